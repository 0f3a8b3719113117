"""Files in a folder, or in a zip or tar archive without unpacking it, plain or gzipped."""

import collections
import contextlib
import functools
import gzip
import io
import os
import pathlib
import re
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from typing import IO, BinaryIO, NamedTuple, cast

from shared import errors
from shared.sources import delimited, folders


class Entry(NamedTuple):
    """A file: its path within the folder or archive, how to open it, decompressed, and where in truth it lies.

    Attributes:
        real: The path of a file, links resolved; "" in an archive.
    """

    name: str
    opener: delimited.Opener
    real: str = ""

    @property
    def path(self) -> pathlib.PurePosixPath:
        """The path, to take apart."""
        return pathlib.PurePosixPath(self.name)

    @property
    def suffix(self) -> str:
        """The suffix in lower case, without ``.gz``."""
        return pathlib.PurePosixPath(self.name.lower().removesuffix(".gz")).suffix


class Opened(NamedTuple):
    """The files at a path, and what a reader should know of links; those of an archive can be opened while it is."""

    entries: list[Entry]
    notes: tuple[str, ...] = ()


@contextlib.contextmanager
def entries(path: pathlib.Path, *, follow_links: bool = False, name: str) -> Iterator[Opened]:
    """List the files at a path, but for hidden ones.

    Args:
        path: A file, folder or archive.
        follow_links: Whether to follow links that lead out of a folder.
        name: What to call a single file.

    Raises:
        errors.InputError: A link leads out of the folder and is not to be followed, or an archive holds links: a whole
            part of a data set may lie behind one.
    """
    with contextlib.ExitStack() as stack:
        if path.is_dir():
            found = folders.listing(path, follow_links=follow_links)
            ordered = sorted(found.files, key=lambda file: natural(file.relative_to(path).as_posix()))
            yield Opened(
                [
                    Entry(file.relative_to(path).as_posix(), _plain_opener(file), os.path.realpath(file))
                    for file in ordered
                ],
                tuple(f"{path.name}: {note}" for note in found.notes),
            )
        elif _is_zip(path):
            archive = stack.enter_context(zipfile.ZipFile(path))
            infos = [info for info in archive.infolist() if not info.is_dir() and not _is_hidden(info.filename)]
            _refuse_links(path, [info.filename for info in infos if stat.S_ISLNK(info.external_attr >> 16)])
            _refuse_doubles(path, [info.filename for info in infos])
            names = [info.filename for info in infos]
            yield Opened([Entry(each, _unpacking(functools.partial(archive.open, each))) for each in names])
        elif tarfile.is_tarfile(path):
            tar = stack.enter_context(tarfile.open(path))
            members = [member for member in tar.getmembers() if not member.isdir() and not _is_hidden(member.name)]
            _refuse_links(path, [member.name for member in members if member.issym()])
            # A hard link is read as what it leads to.
            kept = [member for member in members if member.isfile() or member.islnk()]
            _refuse_doubles(path, [member.name for member in kept])
            yield Opened([Entry(each.name, _unpacking(functools.partial(tar.extractfile, each))) for each in kept])
        else:
            yield Opened([Entry(name, _plain_opener(path))])


def refuse_twice(folder: pathlib.Path, read: Iterable[Entry]) -> None:
    """Refuse files to which two names of a folder lead: their texts would count twice, and be of two parts.

    Raises:
        errors.InputError: It names both.
    """
    seen: dict[str, str] = {}
    for entry in read:
        if entry.real and seen.setdefault(entry.real, entry.name) != entry.name:
            raise errors.InputError(
                f"{folder}: expected each file once. Received: {entry.name}, which is {seen[entry.real]}: a link"
            )


def is_archive(path: pathlib.Path) -> bool:
    """Tell whether a file is a zip or tar archive that is read as a folder."""
    return _is_zip(path) or tarfile.is_tarfile(path)


def _is_zip(path: pathlib.Path) -> bool:
    return zipfile.is_zipfile(path) and not path.suffix.lower().startswith(".xls")


def _is_hidden(name: str) -> bool:
    return any(
        (part.startswith(".") and part not in (".", "..")) or part == "__MACOSX"
        for part in pathlib.PurePosixPath(name).parts
    )


def _refuse_links(path: pathlib.Path, names: list[str]) -> None:
    if names:
        raise errors.InputError(
            f"{path}: expected an archive of files. Received: {len(names)} symbolic links, the first {names[0]}; "
            "unpack the archive and give its folder"
        )


def _refuse_doubles(path: pathlib.Path, names: list[str]) -> None:
    double = [name for name, count in collections.Counter(names).items() if count > 1]
    if double:
        raise errors.InputError(
            f"{path}: expected an archive that holds each name once. Received: {double[0]} and more of the same name"
        )


def _plain_opener(path: pathlib.Path) -> delimited.Opener:
    def opener() -> BinaryIO:
        with path.open("rb") as stream:
            packed = stream.read(2) == b"\x1f\x8b"
        return cast(BinaryIO, gzip.open(path, "rb")) if packed else path.open("rb")

    return opener


def _unpacking(opener: Callable[[], IO[bytes] | None]) -> delimited.Opener:
    """Read a member of an archive into memory: archives cannot be read at two places at once."""

    def unpacked() -> BinaryIO:
        with cast(BinaryIO, opener()) as stream:
            content = stream.read()
        return io.BytesIO(gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content)

    return unpacked


def natural(name: str) -> list[tuple[int, str]]:
    """Sort key that puts ``9_1.txt`` before ``10_1.txt``."""
    return [(int(piece) if piece.isdigit() else -1, piece) for piece in re.split(r"(\d+)", name)]
