"""Rows that cannot be used, set aside as a csv of file, row, reason and text."""

import contextlib
import csv
import io
import pathlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, NamedTuple

from shared import files, printing


class BadRow(NamedTuple):
    """A row that cannot be used, and why."""

    file: str
    row: int
    reason: str
    text: str


@contextlib.contextmanager
def opened(columns: Sequence[str] = BadRow._fields) -> Iterator["Quarantine"]:
    """Collect bad rows on disk, however many there are; a process that is killed leaves nothing behind."""
    with tempfile.TemporaryFile() as stream:
        yield Quarantine(stream, columns)


class Quarantine:
    """The bad rows so far.

    Attributes:
        rows: How many rows were added.
    """

    def __init__(self, stream: IO[bytes], columns: Sequence[str] = BadRow._fields) -> None:
        """Begin with no rows, on an empty file."""
        self.rows = 0
        self._stream = stream
        self._text = io.TextIOWrapper(stream, encoding="utf-8", errors="backslashreplace", newline="")
        self._writer = csv.writer(self._text)
        self._writer.writerow(columns)

    def add(self, fault: Iterable[str | int]) -> None:
        """Set a row aside, a cell for each column."""
        self._writer.writerow(map(printing.inert, fault))
        self.rows += 1

    def write(self, path: pathlib.Path) -> None:
        """Write the rows to ``path``."""
        self._text.flush()
        self._stream.seek(0)
        with files.atomic(path) as temporary, temporary.open("wb") as target:
            shutil.copyfileobj(self._stream, target)
