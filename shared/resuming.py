"""Work that is gone on with: known by what it was made of, not by its folder, and done by one process at a time."""

import contextlib
import fcntl
import hashlib
import importlib.metadata
import json
import os
import pathlib
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from shared import errors, files
from shared.sources import folders

LOCK = ".lock"
_SHOWN = 3
# What is written into a run folder and decides no prediction.
_NO_PART_OF_A_MODEL = ("evaluation", "checkpoints", "logs")
_MODEL_SUFFIXES = (".json", ".keras", ".npz")
_NO_MODEL_FILES = ("environment.json", "manifest.json", "update.json")


def version() -> dict[str, str]:
    """Return what identifies this code."""
    return {"fieldnets": importlib.metadata.version("fieldnets")}


def inputs(paths: Iterable[pathlib.Path]) -> list[dict[str, Any]]:
    """Return path, size in bytes and SHA-256 of each file, in their order."""
    return [{"file": os.fspath(path), "bytes": path.stat().st_size, "sha256": files.sha256(path)} for path in paths]


def files_below(path: pathlib.Path) -> list[pathlib.Path]:
    """Return a file, or all files below a folder that a reader may read, links followed, in order of their paths."""
    return list(folders.listing(path, follow_links=True).files) if path.is_dir() else [path]


def digest(path: pathlib.Path) -> str:
    """Return the SHA-256 of a file, or of the names and contents of all files below a folder."""
    if not path.is_dir():
        return files.sha256(path)
    return _joined((each.relative_to(path), each) for each in files_below(path))


def run_digest(folder: pathlib.Path) -> str:
    """Return the SHA-256 of what decides a run's predictions: settings, weights, decision rule, preprocessing."""
    found = [(each.relative_to(folder), each) for each in files_below(folder)]
    return _joined(
        (name, each)
        for name, each in found
        if each.suffix in _MODEL_SUFFIXES
        and name.parts[0] not in _NO_PART_OF_A_MODEL
        and each.name not in _NO_MODEL_FILES
    )


def _joined(named: Iterable[tuple[pathlib.PurePath, pathlib.Path]]) -> str:
    """Hash names and contents; a hash has one length, so that no name can be taken for the end of another."""
    found = hashlib.sha256()
    for name, path in named:
        found.update(hashlib.sha256(os.fsencode(name)).digest() + bytes.fromhex(files.sha256(path)))
    return found.hexdigest()


def begin(record: pathlib.Path, made_of: Mapping[str, Any], *, what: str) -> None:
    """Keep what a piece of work is made of, or check that the one that was begun is made of the same.

    Args:
        record: A JSON file in the folder of the work.
        made_of: Name -> value that decides the result; JSON-able.
        what: For messages: what the folder holds.

    Raises:
        errors.InputError: The work that was begun is made of something else; the message names what.
    """
    wanted = json.loads(json.dumps(made_of))
    if not record.exists():
        files.write_json(record, wanted)
        return
    changed = differing(files.read_json(record), wanted)
    if changed:
        raise errors.InputError(
            f"{record.parent}: expected the same {what} as was begun there. Received: another {changed}"
        )


def differing(begun: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Say what two pieces of work, as JSON has it, are made of differently; "" for nothing.

    >>> differing({"model": "a", "rows": 2}, {"model": "b", "rows": 2})
    'model'
    """
    changed = [_changed(key, begun.get(key), wanted.get(key)) for key in sorted(wanted.keys() | begun.keys())]
    return ", ".join(filter(None, changed))


def _changed(name: str, begun: Any, wanted: Any) -> str:
    if begun == wanted:
        return ""
    if isinstance(begun, list) and isinstance(wanted, list) and _are_files(begun) and _are_files(wanted):
        return f"{name} ({_changed_files(begun, wanted)})"
    if isinstance(begun, dict) and isinstance(wanted, dict):
        return ", ".join(key for key in sorted(begun.keys() | wanted.keys()) if begun.get(key) != wanted.get(key))
    return name


def _are_files(entries: list[Any]) -> bool:
    return all(isinstance(each, dict) and "file" in each for each in entries)


def _changed_files(begun: Sequence[Mapping[str, Any]], wanted: Sequence[Mapping[str, Any]]) -> str:
    """Say which files are new, missing or have another content; else they come in another order, or more often."""
    before, now = ({str(each["file"]): each for each in entries} for entries in (begun, wanted))
    differing = {
        "new": [name for name in now if name not in before],
        "missing": [name for name in before if name not in now],
        "changed": [name for name in now if name in before and now[name] != before[name]],
    }
    return "; ".join(f"{how}: {_shown(names)}" for how, names in differing.items() if names) or "in another order"


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(files.printable, names[:_SHOWN])) + more


@contextlib.contextmanager
def locked(folder: pathlib.Path, *, what: str, wait: bool = False) -> Iterator[None]:
    """Hold a folder for this process, until the block ends or the process does, however it ends.

    Args:
        folder: Made where it is not there.
        what: For the message: what another process does there.
        wait: Whether to wait for that process.

    Raises:
        errors.InputError: Another process holds it, and ``wait`` is not set.
    """
    path = folder / LOCK
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                raise errors.InputError(
                    f"{folder}: expected {what} by one process at a time. Received: a second one while the first runs"
                ) from None
            if _is_at(path, stream.fileno()):
                yield
                return


def clear(folder: pathlib.Path, *, but: Sequence[str] = ()) -> None:
    """Delete what a folder that this process holds has in it, but for its lock and what is named.

    What says whose it is goes last: a kill leaves no folder that nobody may use.
    """
    named = [each for each in folder.iterdir() if each.name not in (LOCK, *but)]
    for each in sorted(named, key=lambda path: path.suffix == ".json"):
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each)
        else:
            each.unlink()


def _is_at(path: pathlib.Path, handle: int) -> bool:
    """Tell whether an open file is still at its path: a lock on one that was deleted meanwhile keeps nobody out."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
