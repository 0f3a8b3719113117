"""Files that are never half written, and the run folder's layout (DESIGN section 4)."""

import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import pathlib
import re
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from shared import errors

# Of a file system; and what is longer than this behind a dot is no format's suffix.
_LONGEST_NAME, _LONGEST_SUFFIX = 255, 32
_PATTERN = frozenset("*?[]{}\\")
# What the manifest of a run lists, and folders of a run that other verbs fill or that decide nothing.
_LISTED_SUFFIXES = frozenset((".json", ".keras", ".npz", ".npy"))
_ADDED_LATER = frozenset(
    (
        "evaluation",
        "checkpoints",
        "logs",
        "usage.json",
        "time_limit.json",
        "alerts",
        "challenger",
        "champions",
        "synthesis",
    )
)
# Holds files that a run is about to get, until each is in its place.
_FOLLOWING = ".following"
# Of ``resuming.locked``.
_LOCK = ".lock"
# What a killed ``atomic`` leaves, and what there is in the folder of a run.
_TEMPORARY = re.compile(r"\.[\w.]+-[0-9a-f]{8}(\.\w+)?")
_OF_RUNS = re.compile(
    rf"{_TEMPORARY.pattern}|(config|split|environment|decision|manifest|usage|time_limit|labels|inputs|preprocessing|cross_validation)"
    r"\.json|model\.keras|history\.csv|quarantine\.csv|checkpoints|logs|evaluation|folds|networks|\.following\S*"
)


@contextlib.contextmanager
def atomic(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yield a temporary path beside ``path`` that takes its name only when the block succeeds.

    A reader, or a process killed at any moment, sees the old file or the whole new one. Otherwise the file is what
    ``open(path, "w")`` would have given: a new one has the mode that the umask leaves, a replaced one keeps its own,
    of a symbolic link the target is written, and a device or a pipe stays one. The temporary name keeps the suffix,
    because Keras and pandas choose a format by it.

    Raises:
        OSError: The file cannot be written there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    target = pathlib.Path(os.path.realpath(path)) if path.is_symlink() else path
    before = target.stat() if target.exists() else None
    if before is not None and stat.S_ISDIR(before.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if before is not None and not stat.S_ISREG(before.st_mode):
        with tempfile.TemporaryDirectory() as folder:
            yield (collected := pathlib.Path(folder) / target.name)
            target.write_bytes(collected.read_bytes())
        return
    temporary = _new_temporary(target, private=before is not None)
    try:
        yield temporary
        _flush_to_disk(temporary)
        if before is not None:
            _give_mode_and_owner(temporary, before)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def is_leftover(name: str) -> bool:
    """Tell the name of what a killed ``atomic`` leaves.

    >>> is_leftover(".plan-0123abcd.json"), is_leftover("plan.json")
    (True, False)
    """
    return _TEMPORARY.fullmatch(name) is not None


def _new_temporary(target: pathlib.Path, *, private: bool) -> pathlib.Path:
    """Create an empty file beside ``target``; one that is to get another mode can be read by nobody else meanwhile."""
    name = beside(target, f"-{os.urandom(4).hex()}{target.suffix}", stem=f".{target.stem}")
    os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600 if private else 0o666))
    return name


def _give_mode_and_owner(path: pathlib.Path, before: os.stat_result) -> None:
    with contextlib.suppress(PermissionError):
        # Only the superuser may do so; without, the file belongs to whoever replaced it.
        os.chown(path, before.st_uid, before.st_gid)
    path.chmod(stat.S_IMODE(before.st_mode))


def beside(path: pathlib.Path, ending: str, *, stem: str | None = None) -> pathlib.Path:
    """Return a path beside ``path``, named ``stem`` (default: its name) and ``ending``; a hash where that is too long.

    >>> beside(pathlib.Path("a/scores.csv"), ".partial").as_posix()
    'a/scores.csv.partial'
    >>> beside(pathlib.Path("a") / ("x" * 250), ".partial").name
    'e58940386bfeb020039828ce.partial'
    """
    stem = path.name if stem is None else stem
    if len(os.fsencode(stem + ending)) > _LONGEST_NAME:
        # What is too long for a suffix is none that says a format.
        ending = ending if len(ending) < _LONGEST_SUFFIX else ""
        stem = ("." if stem.startswith(".") else "") + hashlib.sha256(os.fsencode(stem + ending)).hexdigest()[:24]
    return path.with_name(stem + ending)


def _flush_to_disk(path: pathlib.Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def printable(text: str | os.PathLike[str]) -> str:
    r"""Return a text that every format can hold: bytes of a file name that are not UTF-8 are escaped.

    >>> printable(os.fsdecode(b"d/b\xff.png")), printable("\ud800"), printable("né")
    ('d/b\\xff.png', '\\ud800', 'né')
    """
    given = os.fspath(text)
    try:
        return given.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        return given.encode("utf-8", "backslashreplace").decode("utf-8")


def write_text(path: pathlib.Path, text: str) -> None:
    r"""Write ``text`` as UTF-8, atomically; what UTF-8 cannot hold is escaped as JSON does, such as ``\udcff``."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: pathlib.Path, content: Mapping[str, Any]) -> None:
    """Write ``content`` as indented JSON, atomically; NaN and infinity are refused with ValueError."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: pathlib.Path) -> dict[str, Any]:
    """Read a JSON object as RFC 8259 has it; a byte order mark before it is passed over.

    Raises:
        errors.InputError: The file is missing, unreadable, is not JSON, holds no object, or an object has a name twice.
    """
    try:
        content = parse_json(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise errors.InputError(f"Expected a JSON file. Received: {path}, which does not exist") from None
    except OSError as error:
        raise errors.InputError(f"{path}: expected a JSON file. Received: {error.strerror}") from None
    except ValueError as error:
        raise errors.InputError(f"{path}: expected valid JSON. Received: {error}") from None
    if not isinstance(content, dict):
        raise errors.InputError(f"{path}: expected a JSON object. Received: {type(content).__name__}")
    return content


def parse_json(text: str) -> Any:
    """Parse JSON strictly.

    Raises:
        ValueError: It is no JSON, has NaN or infinity, a name twice in an object, or is nested too deeply to be read.
    """
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("lists or objects in each other, too deep to be read") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} twice in one object")
    return content


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name}, which is no number in JSON")


@contextlib.contextmanager
def plainly_named(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yield a path that leads to a folder and is no pattern: TensorFlow takes brackets and asterisks in paths for one.

    It is a link in a temporary folder where the folder's own path has such characters.
    """
    if _PATTERN.isdisjoint(os.fspath(folder.absolute())):
        yield folder
        return
    with tempfile.TemporaryDirectory() as scratch:
        link = pathlib.Path(scratch) / "folder"
        link.symlink_to(folder.absolute(), target_is_directory=True)
        yield link


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


def _remove(path: pathlib.Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


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
        cls.refuse_occupied(path, resume=resume, overwrite=overwrite)
        run = cls(path)
        path.mkdir(parents=True, exist_ok=True)
        names = [each.name for each in path.iterdir()]
        unwanted = names if overwrite else [name for name in names if _TEMPORARY.fullmatch(name)]
        # The config last: as long as it is there, the folder of a call that was killed is known for what it is.
        for name in sorted(set(unwanted) - {_LOCK}, key=lambda name: name == run.config.name):
            _remove(path / name)
        return run

    @classmethod
    def refuse_occupied(cls, path: pathlib.Path, *, resume: bool = False, overwrite: bool = False) -> None:
        """Raise ``errors.InputError`` where ``create`` does, and touch nothing."""
        run = cls(path)
        if not path.is_file() and not (path.is_dir() and run._holds_more_than_leftovers()):
            return
        if overwrite:
            run._refuse_unless_begun("--overwrite deletes run folders only")
        elif resume:
            run._refuse_unless_begun("--resume goes on with a run folder only")
        else:
            raise errors.InputError(
                f"{path}: expected a new run folder; this one is in use. "
                "Add --resume to go on with it, or --overwrite to start again."
            )

    def _holds_more_than_leftovers(self) -> bool:
        return any(not _TEMPORARY.fullmatch(each.name) and each.name != _LOCK for each in self.path.iterdir())

    def _refuse_unless_begun(self, reason: str) -> None:
        """Take a folder without a config for a run where a call that was killed can have left all that it holds."""
        ours = (self.split, self.environment, self.decision)
        if not (self.path.is_dir() and any(each.is_file() for each in ours) and self._holds_files_of_runs_only()):
            self._refuse_unless_run(reason)

    def _holds_files_of_runs_only(self) -> bool:
        return all(_OF_RUNS.fullmatch(each.name) or each.name == _LOCK for each in self.path.iterdir())

    @classmethod
    def open(cls, path: pathlib.Path) -> "RunFolder":
        """Open a finished run.

        Raises:
            errors.InputError: It is no run folder, or its training has not finished.
        """
        run = cls(path)
        run._refuse_unless_run("expected a folder that `train --run-dir` wrote")
        run._finish_replacing()
        if not (run.model.exists() and run.decision.exists()):
            raise errors.InputError(
                f"{path}: training of this run has not finished. Finish it with `train --run-dir {path} --resume`."
            )
        run.check_manifest()
        return run

    def write_manifest(self) -> None:
        """Keep the SHA-256 of every file that the run's predictions and figures come from; see ``check_manifest``."""
        write_json(self.manifest, {"files": {name: sha256(self.path / name) for name in self._made_by_training()}})

    def check_manifest(self) -> None:
        """Compare the files with the manifest; a run of before there were any, or in training again, has none.

        Raises:
            errors.InputError: A file is missing, or is another one than training wrote.
        """
        if not self.manifest.exists():
            return
        listed = read_json(self.manifest).get("files")
        if not isinstance(listed, dict):
            raise errors.InputError(
                f"{self.manifest}: files: expected names and their SHA-256. Received: {listed!r:.99}"
            )
        for name, expected in listed.items():
            path = self.path / name
            if not path.is_file() or sha256(path) != expected:
                received = "one that was changed since" if path.is_file() else "none"
                raise errors.InputError(
                    f"{path}: expected the file that training wrote, whose SHA-256 {self.manifest.name} has; bring it "
                    f"back, or train anew. Received: {received}"
                )

    def replace_files(self, sources: Mapping[str, pathlib.Path]) -> None:
        """Put files into the run's place of the same names, and a manifest of them: all, or after a kill none.

        A kill after the one rename that decides is made good by whoever opens the run next.

        Args:
            sources: Name within the run -> file to copy.
        """
        self.check_manifest()
        following = self.path / _FOLLOWING
        with tempfile.TemporaryDirectory(dir=self.path, prefix=".following-") as scratch:
            filled = RunFolder(pathlib.Path(scratch) / "run")
            for name, source in sources.items():
                (filled.path / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, filled.path / name)
                _flush_to_disk(filled.path / name)
            kept = read_json(self.manifest)["files"] if self.manifest.exists() else {}
            new = {name: sha256(filled.path / name) for name in sources}
            write_json(filled.manifest, {"files": dict(sorted({**kept, **new}.items()))})
            filled.path.rename(following)
        self._finish_replacing()

    def _finish_replacing(self) -> None:
        """Move the files of a begun ``replace_files`` to their places, the manifest last."""
        following = self.path / _FOLLOWING
        if not following.is_dir():
            return
        names = sorted(each.relative_to(following) for each in following.rglob("*") if each.is_file())
        last = pathlib.Path(self.manifest.name)
        for name in sorted(names, key=lambda each: each == last):
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            # Another process may do the same at this time.
            with contextlib.suppress(FileNotFoundError):
                (following / name).replace(self.path / name)
        shutil.rmtree(following, ignore_errors=True)

    def _made_by_training(self) -> list[str]:
        """Return the names of the files that a manifest lists, in order."""
        found = (each.relative_to(self.path) for each in self.path.rglob("*") if each.suffix in _LISTED_SUFFIXES)
        return sorted(
            each.as_posix()
            for each in found
            if each.parts[0] not in _ADDED_LATER and each.name != self.manifest.name and each.parts[0][0] != "."
        )

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
    def manifest(self) -> pathlib.Path:
        """The SHA-256 of what training wrote."""
        return self.path / "manifest.json"

    @property
    def split(self) -> pathlib.Path:
        """The split certificate."""
        return self.path / "split.json"

    @property
    def environment(self) -> pathlib.Path:
        """Versions, devices, seed, git commit."""
        return self.path / "environment.json"

    @property
    def usage(self) -> pathlib.Path:
        """Seconds, processor seconds and peak memory of the training."""
        return self.path / "usage.json"

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
    def time_limit(self) -> pathlib.Path:
        """The epochs that each network gets of a time, where one was given."""
        return self.path / "time_limit.json"

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
