"""Several files that appear in a folder together: a reader, or a kill at any moment, sees the old ones or the new."""

import contextlib
import ctypes
import errno
import os
import pathlib
import shutil
from collections.abc import Iterator

from shared import errors, files

# Lists the files of the call before, which the next one takes away.
LIST = ".written.json"
_EXCHANGE, _HERE = 2, -100


@contextlib.contextmanager
def folder(path: pathlib.Path, *, listed: bool = True) -> Iterator[pathlib.Path]:
    """Yield a hidden folder beside ``path`` whose content is there, when the block succeeds, by one rename.

    What else lies at ``path`` stays; what an earlier call wrote there, and this one does not, goes. A process that is
    killed leaves the hidden folder, and nothing of it at ``path``.

    A folder that cannot change its name (the current one, where something is mounted, below one in which nothing may
    be written) gets one whole file after the other.

    Args:
        path: The folder.
        listed: Whether to keep a list of the files, for the next call to take them away; of no use where every call
            writes files of the same names.
    """
    path = pathlib.Path(os.path.realpath(path))
    inside = _keeps_its_name(path)
    scratch = files.beside(path / path.name if inside else path, f"-{os.urandom(4).hex()}", stem=f".{path.name}")
    scratch.mkdir(parents=True)
    try:
        yield scratch
        new = _below(scratch)
        if new:
            if listed:
                files.write_json(scratch / LIST, {"files": new})
            if inside:
                _one_by_one(scratch, path, new)
            elif path.is_dir() and any(path.iterdir()):
                _carry_over(path, scratch)
                _exchange(scratch, path)
            else:
                scratch.rename(path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def replace(new: pathlib.Path, path: pathlib.Path) -> None:
    """Give a folder the name of another, which goes: whoever looks sees the one or the other."""
    if path.is_dir():
        _exchange(new, path)
        shutil.rmtree(new, ignore_errors=True)
    else:
        new.rename(path)


def _keeps_its_name(path: pathlib.Path) -> bool:
    here = pathlib.Path(os.path.realpath(os.curdir))
    return path.is_dir() and (path == here or path in here.parents or path.is_mount() or not _is_writable(path.parent))


def _is_writable(path: pathlib.Path) -> bool:
    # The superuser may write everywhere but in a file system that nobody may write into.
    return os.access(path, os.W_OK | os.X_OK)


def _one_by_one(scratch: pathlib.Path, path: pathlib.Path, new: list[str]) -> None:
    """Move the new files to their places, and only then take away what is not written any more."""
    before = _listed(path)
    for name in [*new, *([LIST] if (scratch / LIST).exists() else [])]:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (scratch / name).replace(path / name)
    for name in set(before) - set(new):
        (path / name).unlink(missing_ok=True)


def _below(path: pathlib.Path) -> list[str]:
    return sorted(each.relative_to(path).as_posix() for each in path.rglob("*") if each.is_file())


def _carry_over(old: pathlib.Path, new: pathlib.Path) -> None:
    """Give the new folder the files of the old one that no call of ours wrote; links to them, where that can be."""
    before = set(_listed(old))
    for each in sorted(old.rglob("*")):
        target = new / each.relative_to(old)
        if each.relative_to(old).as_posix() in before or os.path.lexists(target):
            continue
        if each.is_dir() and not each.is_symlink():
            if not any(each.iterdir()):
                target.mkdir(parents=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(each, target, follow_symlinks=False)
        except OSError:
            shutil.copy2(each, target, follow_symlinks=False)


def _listed(path: pathlib.Path) -> list[str]:
    """Return the files of the call before; a list that cannot be read names none, and all stay."""
    with contextlib.suppress(errors.InputError):
        found = files.read_json(path / LIST).get("files")
        if isinstance(found, list) and all(isinstance(each, str) for each in found):
            return found
    return []


def _exchange(new: pathlib.Path, path: pathlib.Path) -> None:
    """Let two folders take each other's name at once (Linux 3.15, ``renameat2``); elsewhere, in two renames."""
    if not _exchanged(new, path):
        aside = files.beside(path, f"-{os.urandom(4).hex()}", stem=f".{path.name}")
        path.rename(aside)
        new.rename(path)
        shutil.rmtree(aside)


def _exchanged(new: pathlib.Path, path: pathlib.Path) -> bool:
    """Tell whether the system could do so."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    if renameat2(_HERE, os.fsencode(new), _HERE, os.fsencode(path), _EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return False
    raise OSError(number, os.strerror(number), str(path))
