"""Text tables as bytes in UTF-8, whatever their encoding, packed or not."""

import bz2
import functools
import gzip
import io
import lzma
import pathlib
import typing
import zipfile
from collections.abc import Callable
from typing import BinaryIO

import pyarrow

from shared import errors
from shared.sources import delimited

PACKED_SUFFIXES = ("", ".gz", ".bz2", ".xz", ".zst", ".zip")
CSV_SUFFIXES = tuple(kind + packed for kind in (".csv", ".tsv") for packed in PACKED_SUFFIXES)
# What reading a broken file raises, by whatever way it is packed.
FAILURES = (OSError, EOFError, UnicodeError, lzma.LZMAError, zipfile.BadZipFile, pyarrow.ArrowException)

_HEAD_BYTES = 1 << 16


def opener(path: pathlib.Path) -> delimited.Opener:
    """Return what opens a table anew, unpacked and in UTF-8.

    Raises:
        errors.InputError: A zip holds not one table.
    """
    unpacked = functools.partial(_unpacked, path)
    with unpacked() as stream:
        encoding = delimited.encoding_of(stream.read(512))
    if encoding == delimited.UTF8:
        return unpacked
    return lambda: io.BufferedReader(_Recoded(unpacked(), encoding), _HEAD_BYTES)


def delimiter(open_table: delimited.Opener) -> str:
    """Return what stands between the names in the header."""
    with open_table() as stream:
        head = stream.read(_HEAD_BYTES)
    return delimited.delimiter_of(head.partition(b"\n")[0].decode("utf-8", errors="replace"))


def _unpacked(path: pathlib.Path) -> BinaryIO:
    suffix = path.suffix.lower()
    packed: dict[str, Callable[[pathlib.Path], typing.Any]] = {
        ".gz": gzip.GzipFile,
        ".bz2": bz2.BZ2File,
        ".xz": lzma.LZMAFile,
        ".zst": _Unzipped,
    }
    if suffix in packed:
        return io.BufferedReader(packed[suffix](path), _HEAD_BYTES)
    return _member(path) if suffix == ".zip" else path.open("rb")


def _member(path: pathlib.Path) -> BinaryIO:
    """Open the one table of a zip."""
    with zipfile.ZipFile(path) as archive:
        names = [each for each in archive.namelist() if not each.endswith("/") and "__MACOSX" not in each]
        if len(names) != 1:
            raise errors.InputError(
                f"{path}: expected a zip of one table (unpack the others into a folder). Received: "
                f"{', '.join(names[:5]) or 'nothing'}{' ...' if len(names) > 5 else ''}"
            )
        return typing.cast(BinaryIO, archive.open(names[0]))


class _Raw(io.RawIOBase):
    """A stream of bytes that come in pieces of any size."""

    def __init__(self) -> None:
        self._held = b""

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        """Fill a buffer as far as the piece at hand goes."""
        size = len(buffer)
        if not self._held:
            self._held = self._more(size)
        piece, self._held = self._held[:size], self._held[size:]
        buffer[: len(piece)] = piece
        return len(piece)

    def _more(self, size: int) -> bytes:
        raise NotImplementedError


class _Unzipped(_Raw):
    """A file packed by Zstandard, which Python itself does not read."""

    def __init__(self, path: pathlib.Path) -> None:
        super().__init__()
        self._stream = pyarrow.input_stream(str(path), compression="zstd")

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
        super().close()

    def _more(self, size: int) -> bytes:
        return bytes(self._stream.read(size))


class _Recoded(_Raw):
    """Text of another encoding in UTF-8."""

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        super().__init__()
        self._text = io.TextIOWrapper(stream, encoding=encoding, newline="")

    def close(self) -> None:
        """Close the file."""
        self._text.close()
        super().close()

    def _more(self, size: int) -> bytes:
        return self._text.read(size).encode()
