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
    return lambda: _buffered(pyarrow.transcoding_input_stream(pyarrow.PythonFile(unpacked(), "r"), encoding, "utf-8"))


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
        ".zst": functools.partial(pyarrow.input_stream, compression="zstd"),
    }
    if suffix in packed:
        return _buffered(packed[suffix](path))
    return _member(path) if suffix == ".zip" else path.open("rb")


def _buffered(stream: typing.Any) -> BinaryIO:
    return io.BufferedReader(stream, _HEAD_BYTES)


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
