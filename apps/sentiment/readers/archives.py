"""Files in a folder, or in a zip or tar archive without unpacking it, plain or gzipped."""

import contextlib
import functools
import gzip
import io
import pathlib
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from typing import IO, BinaryIO, NamedTuple, cast

from apps.sentiment.readers import reading


class Entry(NamedTuple):
    """A file: its path within the folder or archive, and how to open it, decompressed."""

    name: str
    opener: reading.Opener

    @property
    def path(self) -> pathlib.PurePosixPath:
        """The path, to take apart."""
        return pathlib.PurePosixPath(self.name)

    @property
    def suffix(self) -> str:
        """The suffix in lower case, without ``.gz``."""
        return pathlib.PurePosixPath(self.name.lower().removesuffix(".gz")).suffix


@contextlib.contextmanager
def entries(path: pathlib.Path) -> Iterator[list[Entry]]:
    """List the files at a path; those of an archive can be opened while the archive is."""
    with contextlib.ExitStack() as stack:
        if path.is_dir():
            found = sorted((file for file in path.rglob("*") if file.is_file()), key=lambda file: natural(str(file)))
            yield [Entry(file.relative_to(path).as_posix(), _plain_opener(file)) for file in found]
        elif zipfile.is_zipfile(path) and not path.suffix.lower().startswith(".xls"):
            archive = stack.enter_context(zipfile.ZipFile(path))
            names = [name for name in archive.namelist() if not name.endswith("/")]
            yield [Entry(name, _unpacking(name, functools.partial(archive.open, name))) for name in names]
        elif tarfile.is_tarfile(path):
            tar = stack.enter_context(tarfile.open(path))
            members = [member for member in tar.getmembers() if member.isfile()]
            yield [
                Entry(member.name, _unpacking(member.name, functools.partial(tar.extractfile, member)))
                for member in members
            ]
        else:
            yield [Entry(path.name, _plain_opener(path))]


def _plain_opener(path: pathlib.Path) -> reading.Opener:
    def opener() -> BinaryIO:
        with path.open("rb") as stream:
            packed = stream.read(2) == b"\x1f\x8b"
        return cast(BinaryIO, gzip.open(path, "rb")) if packed else path.open("rb")

    return opener


def _unpacking(name: str, opener: Callable[[], IO[bytes] | None]) -> reading.Opener:
    """Read a member of an archive into memory: archives cannot be read at two places at once."""

    def unpacked() -> BinaryIO:
        with cast(BinaryIO, opener()) as stream:
            content = stream.read()
        return io.BytesIO(gzip.decompress(content) if name.endswith(".gz") else content)

    return unpacked


def natural(name: str) -> list[tuple[int, str]]:
    """Sort key that puts ``9_1.txt`` before ``10_1.txt``."""
    return [(int(piece) if piece.isdigit() else -1, piece) for piece in re.split(r"(\d+)", name)]
