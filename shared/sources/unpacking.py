"""How much a packed file may become: a few bytes can ask for a disk or a memory that no machine has.

Up to a quarter of a gigabyte anything is unpacked; beyond, at most 250 times the size of the packed file, and never
more than 256 GiB. Text packs to a fifth, tables of repeated values to a fiftieth. Where a data set is larger, the
environment variable of ``LIMIT`` says how many GiB one file may become, whatever its size.
"""

import gzip
import io
import lzma
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO, cast

import pyarrow.parquet

from shared import errors

LIMIT = "FIELDNETS_UNPACK_GIB"
FREE_BYTES = 1 << 28
RATIO = 250
MOST_BYTES = 256 << 30
# What the libraries raise for a stream that is damaged; bz2 and zstd only an OSError.
_DAMAGED = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)


def allowed(packed: int) -> int:
    """Return how many bytes a file of ``packed`` bytes may become.

    Raises:
        errors.InputError: The environment variable holds no number above 0.

    >>> allowed(133) == FREE_BYTES, allowed(1 << 30) == 250 << 30
    (True, True)
    """
    given = os.environ.get(LIMIT, "")
    if not given:
        return min(max(FREE_BYTES, packed * RATIO), MOST_BYTES)
    if not given.isascii() or not given.isdecimal() or not 0 < len(given) < 7 or not int(given):
        raise errors.InputError(f"{LIMIT}: expected a whole number of GiB from 1 to 999999. Received: {given!r:.40}")
    return int(given) << 30


def check(sizes: Iterable[int], *, packed: int, where: str) -> None:
    """Refuse a file whose members are too much, before any is unpacked.

    Args:
        sizes: Bytes of the members, as the file says or, of a stream, one after another as they come.
        packed: Bytes of the file.
        where: The file, for the message.

    Raises:
        errors.InputError: Together they are more than is allowed.
    """
    limit, total = allowed(packed), 0
    for size in sizes:
        total += size
        if total > limit:
            _refuse(total, packed=packed, where=where)


def check_zip(archive: zipfile.ZipFile, *, where: str) -> None:
    """Refuse a zip or npz whose members are too much; see ``check``."""
    stream = cast(BinaryIO, archive.fp)
    packed = stream.seek(0, io.SEEK_END)
    check((info.file_size for info in archive.infolist()), packed=packed, where=where)


def check_parquet(file: pyarrow.parquet.ParquetFile, *, packed: int, where: str) -> None:
    """Refuse a Parquet file whose pages, or whose cells at a byte each, are too much; see ``check``."""
    about = file.metadata
    pages = sum(about.row_group(number).total_byte_size for number in range(about.num_row_groups))
    check([max(pages, about.num_rows * about.num_columns)], packed=packed, where=where)


def _refuse(total: int, *, packed: int, where: str) -> None:
    raise errors.InputError(
        f"{where}: expected a file of {packed:,} bytes that unpacks to at most {allowed(packed):,} ({LIMIT}=N allows N "
        f"GiB). Received: {total:,} bytes or more"
    )


class Bounded(io.RawIOBase):
    """A stream that is being unpacked, and ends with an error where it becomes too much or is damaged."""

    def __init__(self, stream: Any, *, packed: int, where: str) -> None:
        """Read from ``stream``; ``packed`` bytes lie behind it, of the file ``where``."""
        self._stream, self._packed, self._where = stream, packed, where
        self._limit, self._read = allowed(packed), 0

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell whether it can be read at another place; what is read again counts once."""
        return bool(self._stream.seekable())

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to another place."""
        return int(self._of_whole(self._stream.seek, offset, whence))

    def tell(self) -> int:
        """Return the place."""
        return int(self._stream.tell())

    def readinto(self, buffer: Any) -> int:
        """Read some bytes."""
        content = self._of_whole(self._stream.read, len(buffer))
        self._read = max(self._read + len(content), 0) if not self.seekable() else self._stream.tell()
        if self._read > self._limit:
            _refuse(self._read, packed=self._packed, where=self._where)
        buffer[: len(content)] = content
        return len(content)

    def _of_whole(self, call: Callable[..., Any], *given: int) -> Any:
        try:
            return call(*given)
        except _DAMAGED as error:
            raise errors.InputError(
                f"{self._where}: expected a packed file that can be read to its end. Received: {error}"
            ) from error

    def close(self) -> None:
        """Close both."""
        if not self.closed:
            self._stream.close()
        super().close()


def bounded(stream: Any, *, packed: int, where: str) -> BinaryIO:
    """Return a stream that is being unpacked as one that ends with ``errors.InputError``: too much, or damaged."""
    return cast(BinaryIO, io.BufferedReader(Bounded(stream, packed=packed, where=where), 1 << 16))
