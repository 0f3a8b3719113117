"""Files that are never half written, and the run folder's layout (DESIGN section 4)."""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from shared import errors


@contextlib.contextmanager
def atomic(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yield a temporary path beside ``path`` that takes its name only when the block succeeds.

    A reader, or a process killed at any moment, sees the old file or the whole new one.
    The temporary name keeps the suffix, because Keras and pandas choose a format by it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    temporary = pathlib.Path(name)
    try:
        yield temporary
        _flush_to_disk(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _flush_to_disk(path: pathlib.Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def write_text(path: pathlib.Path, text: str) -> None:
    """Write ``text`` as UTF-8, atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: pathlib.Path, content: Mapping[str, Any]) -> None:
    """Write ``content`` as indented JSON, atomically; NaN and infinity are refused with ValueError."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: pathlib.Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        errors.InputError: The file is missing, unreadable, is not JSON, or holds no object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise errors.InputError(f"Expected a JSON file. Received: {path}, which does not exist") from None
    except OSError as error:
        raise errors.InputError(f"{path}: expected a JSON file. Received: {error.strerror}") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise errors.InputError(f"{path}: expected valid JSON. Received: {error}") from None
    if not isinstance(content, dict):
        raise errors.InputError(f"{path}: expected a JSON object. Received: {type(content).__name__}")
    return content


def refuse_output_over_input(output: pathlib.Path, inputs: Iterable[pathlib.Path]) -> None:
    """Refuse an output that would replace what is read: the same file or folder by whatever name or link.

    Args:
        output: A file or folder to write; it need not exist.
        inputs: Files and folders that are read; what does not exist is no input.

    Raises:
        errors.InputError: The output is an input, or a folder that holds one.
    """
    written = pathlib.Path(os.path.realpath(output))
    for read in inputs:
        # Unlike Path.exists, this takes texts that are too long for a name.
        if not os.path.exists(read):
            continue
        same = os.path.exists(output) and output.samefile(read)
        if (
            same
            or written == pathlib.Path(os.path.realpath(read))
            or written in pathlib.Path(os.path.realpath(read)).parents
        ):
            raise errors.InputError(
                f"{output}: expected an output that is none of the inputs and holds none. Received: "
                f"{'the input ' if same else 'a folder that holds the input '}{read}"
            )


def sha256(path: pathlib.Path) -> str:
    """Return the file's SHA-256 as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """Paths inside one training run. Only ``train`` creates it; every other verb opens it."""

    path: pathlib.Path

    @classmethod
    def create(cls, path: pathlib.Path, *, resume: bool = False, overwrite: bool = False) -> "RunFolder":
        """Make the folder ready for training.

        Raises:
            errors.InputError: It holds a run and neither ``resume`` nor ``overwrite`` was asked for, or
                ``overwrite`` would delete a folder that is not a run.
        """
        run = cls(path)
        occupied = path.is_file() or (path.is_dir() and any(path.iterdir()))
        if occupied and overwrite:
            run._refuse_unless_run("--overwrite deletes run folders only")
            shutil.rmtree(path)
        elif occupied and not resume:
            raise errors.InputError(
                f"{path}: expected a new run folder; this one is in use. "
                "Add --resume to go on with it, or --overwrite to start again."
            )
        elif occupied:
            run._refuse_unless_run("--resume goes on with a run folder only")
        path.mkdir(parents=True, exist_ok=True)
        return run

    @classmethod
    def open(cls, path: pathlib.Path) -> "RunFolder":
        """Open a finished run.

        Raises:
            errors.InputError: It is no run folder, or its training has not finished.
        """
        run = cls(path)
        run._refuse_unless_run("expected a folder that `train --run-dir` wrote")
        if not (run.model.exists() and run.decision.exists()):
            raise errors.InputError(
                f"{path}: training of this run has not finished. Finish it with `train --run-dir {path} --resume`."
            )
        return run

    @contextlib.contextmanager
    def taken_back_unless_begun(self) -> Iterator[None]:
        """Remove the folder where the block fails before there is a split: the mended command may then use it."""
        try:
            yield
        except errors.FieldnetsError:
            if not self.split.exists():
                shutil.rmtree(self.path, ignore_errors=True)
            raise

    def _refuse_unless_run(self, reason: str) -> None:
        if not self.config.is_file():
            raise errors.InputError(f"{self.path}: {reason}. Received: a path without config.json")

    @property
    def config(self) -> pathlib.Path:
        """The resolved configuration."""
        return self.path / "config.json"

    @property
    def split(self) -> pathlib.Path:
        """The split certificate."""
        return self.path / "split.json"

    @property
    def environment(self) -> pathlib.Path:
        """Versions, devices, seed, git commit."""
        return self.path / "environment.json"

    @property
    def history(self) -> pathlib.Path:
        """One row per epoch."""
        return self.path / "history.csv"

    @property
    def checkpoints(self) -> pathlib.Path:
        """What `--resume` goes on from."""
        return self.path / "checkpoints"

    @property
    def model(self) -> pathlib.Path:
        """The trained Keras model."""
        return self.path / "model.keras"

    @property
    def decision(self) -> pathlib.Path:
        """Thresholds, calibration and abstention, all from validation data."""
        return self.path / "decision.json"

    @property
    def evaluation(self) -> pathlib.Path:
        """Where `evaluate` writes by default."""
        return self.path / "evaluation"

    @property
    def logs(self) -> pathlib.Path:
        """TensorBoard events."""
        return self.path / "logs"
