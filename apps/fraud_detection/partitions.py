"""Transactions on disk by entity: each partition holds all rows of some cards or terminals, and is computed alone.

A row is a record of fixed size, for each kind of entity in the partition of its own one, in the order of the input.
Histories add whole numbers up, so that those of a partition are, bit for bit, those of all rows together. No TensorFlow
here.
"""

import contextlib
import hashlib
import pathlib
from collections.abc import Mapping, Sequence
from typing import IO, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from apps.fraud_detection import features, transactions
from apps.fraud_detection.readers import checking
from shared import files
from shared.sources import columns

Ints: TypeAlias = npt.NDArray[np.int64]

# A name is a whole number, or text of which two halves of a digest of 128 bits are kept.
RECORD = np.dtype(
    [("row", "<i8"), ("time", "<i8"), ("amount", "<i8"), ("name", "<i8"), ("text", "<i8"), ("label", "i1")]
)
# What computing needs for each row, at its highest: the record, sorted columns, the sums of all windows, the features.
BYTES_PER_ROW = 400
# Files are open for all of them at once, for each kind of entity.
MOST_PARTITIONS = 256
# Rows of a file of the output, at least.
PART_ROWS = 1 << 20
_LARGEST = 2**63 - 1
# Odd numbers whose products spread consecutive names over all partitions (Steele, Lea, Flood 2014, "SplitMix").
_SPREADS = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9))


def count(rows: int, memory_bytes: int) -> int:
    """Return how many partitions of about equal size fit each into so much memory.

    >>> count(100_000_000, 1 << 30), count(10, 1 << 30)
    (38, 1)
    """
    return min(max(-(-rows * BYTES_PER_ROW // memory_bytes), 1), MOST_PARTITIONS)


def keys(values: npt.NDArray[Any]) -> tuple[Ints, Ints]:
    """Return names as two int64 each: a number and 0, or what is no number as a digest; equal names, equal keys.

    A number is the same whether it stands in a column of numbers or as text, as ``joining.agreeing`` has it.

    Args:
        values: (n,) int64 or object of str; -1 or ``""`` is nobody, and -1 and 0 here.
    """
    if values.dtype != object:
        return values, np.zeros(len(values), np.int64)
    found, distinct = pd.factorize(values)
    pairs = np.array([_key(each) for each in distinct], np.int64).reshape(-1, 2)[found]
    return pairs[:, 0], pairs[:, 1]


def _key(name: str) -> tuple[int, int]:
    if name == "":
        return transactions.UNKNOWN, 0
    plain = name.isascii() and name.isdecimal() and (name[0] != "0" or name == "0")
    if plain and int(name) <= _LARGEST:
        return int(name), 0
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    # The second half of text is never 0, that of numbers always is.
    first, second = (int.from_bytes(half, "little", signed=True) for half in (digest[:8], digest[8:]))
    return first, second or 1


def numbers(name: Ints, text: Ints, partitions: int) -> npt.NDArray[np.uint16]:
    """Return (n,) the partition of each key."""
    mixed = (name.view(np.uint64) ^ text.view(np.uint64)) * _SPREADS[0]
    mixed = (mixed ^ (mixed >> np.uint64(32))) * _SPREADS[1]
    return ((mixed >> np.uint64(33)) % np.uint64(partitions)).astype(np.uint16)


class Writer(contextlib.ExitStack):
    """Adds rows to the partitions of a folder, new in each; closes the files at its end."""

    def __init__(self, folder: pathlib.Path, roles: Sequence[str], partitions: int) -> None:
        """Begin ``partitions`` files for each role."""
        super().__init__()
        self.nobody = dict.fromkeys(roles, 0)
        self._partitions = partitions
        self._streams: dict[str, list[IO[bytes]]] = {}
        for place, role in enumerate(roles):
            paths = [records_path(folder, place, number) for number in range(partitions)]
            paths[0].parent.mkdir(parents=True, exist_ok=True)
            self._streams[role] = [self.enter_context(path.open("wb")) for path in paths]

    def add(self, rows: transactions.Transactions, first: int) -> None:
        """Add transactions, of which the first has the number ``first`` among all of the input."""
        for role, streams in self._streams.items():
            name, text = keys(rows.entities[role])
            known = np.flatnonzero((name != transactions.UNKNOWN) | (text != 0))
            self.nobody[role] += len(rows) - len(known)
            number = numbers(name[known], text[known], self._partitions)
            order = np.argsort(number, kind="stable")
            ends = np.searchsorted(number[order], np.arange(self._partitions + 1))
            records = _records(rows, known[order], name, text, first)
            for stream, start, end in zip(streams, ends[:-1], ends[1:], strict=True):
                stream.write(records[start:end].tobytes())


def _records(rows: transactions.Transactions, chosen: Ints, name: Ints, text: Ints, first: int) -> npt.NDArray[Any]:
    found = np.empty(len(chosen), RECORD)
    found["row"] = first + chosen
    found["time"], found["label"] = rows.time[chosen], rows.labels[chosen]
    found["amount"] = transactions.whole_amounts(rows.amount[chosen])
    found["name"], found["text"] = name[chosen], text[chosen]
    return found


def records_path(folder: pathlib.Path, place: int, number: int) -> pathlib.Path:
    """Return where a partition of the role at ``place`` among all is kept until it is computed."""
    return folder / f"entity-{place}" / f"{number:04d}.records"


def result_path(folder: pathlib.Path, place: int, number: int) -> pathlib.Path:
    """Return where the histories of a partition are kept: (n,) int64 rows, rising, and then (n, features) float32."""
    return folder / f"entity-{place}" / f"{number:04d}.histories"


def compute(
    folder: pathlib.Path, place: int, number: int, *, names: Sequence[str], label_delay_days: float, most_rows: int
) -> None:
    """Compute the histories of one partition, then delete its records.

    A partition of more than ``most_rows``, because one entity has so many, is computed in slices of time, each after
    what its first row looks back at.

    Args:
        folder: Of the partitions.
        place: Of the role among all.
        number: Of the partition.
        names: Of the features, without the role.
        label_delay_days: After how many days a label is in the books.
        most_rows: Of a slice.
    """
    path = records_path(folder, place, number)
    books, row = _read(path)
    found = np.empty((len(books), len(names)), np.float32)
    needed = round(features.needed_days(label_delay_days) * features.DAY)
    for start in range(0, len(books), most_rows):
        end = min(start + most_rows, len(books))
        since = int(np.searchsorted(books.time, books.time[start] - needed, side="left"))
        columns = features.compute(_slice(books, since, end), label_delay_days=label_delay_days, first=start - since)
        for column, name in enumerate(names):
            found[start:end, column] = columns[f"{_ROLE}_{name}"]
    order = np.argsort(row)
    with files.atomic(result_path(folder, place, number)) as temporary, temporary.open("wb") as stream:
        row[order].tofile(stream)
        found[order].tofile(stream)
    path.unlink()


_ROLE = "entity"


def _read(path: pathlib.Path) -> tuple[features.Books, Ints]:
    """Return the transactions of a partition in order of time, and the number of each among all."""
    records = np.fromfile(path, RECORD)
    # Of one instant in the order of the input, as those of one process are.
    records = records[np.argsort(records["time"], kind="stable")]
    books = features.Books(
        time=np.ascontiguousarray(records["time"]),
        amount=np.ascontiguousarray(records["amount"]),
        entities={_ROLE: _codes(records)},
        label=records["label"].astype(np.int64),
    )
    return books, np.ascontiguousarray(records["row"])


def _codes(records: npt.NDArray[Any]) -> Ints:
    codes = pd.factorize(records["name"])[0].astype(np.int64)
    if records["text"].any():
        text = pd.factorize(records["text"])[0]
        codes = pd.factorize(codes * (int(text.max()) + 1) + text)[0].astype(np.int64)
    return codes


def _slice(books: features.Books, start: int, end: int) -> features.Books:
    return features.Books(
        time=books.time[start:end],
        amount=books.amount[start:end],
        entities={role: codes[start:end] for role, codes in books.entities.items()},
        label=books.label[start:end],
    )


def of_nobody(names: Sequence[str]) -> npt.NDArray[np.float32]:
    """Return (features,) the history of a transaction whose entity is not known."""
    zero = np.zeros(1, np.int64)
    alone = features.Books(time=zero, amount=zero, entities={_ROLE: zero - 1}, label=zero)
    columns = features.compute(alone, label_delay_days=0.0)
    return np.array([columns[f"{_ROLE}_{name}"][0] for name in names], np.float32)


def take(
    folder: pathlib.Path, place: int, *, partitions: int, names: Sequence[str], rows: range
) -> Mapping[str, npt.NDArray[np.float32]]:
    """Return the histories of consecutive rows of the input: name -> (rows,) float32, from all partitions."""
    found = np.tile(of_nobody(names), (len(rows), 1))
    for number in range(partitions):
        path = result_path(folder, place, number)
        count = path.stat().st_size // (8 + 4 * len(names))
        if count:
            row = np.memmap(path, np.int64, mode="r", shape=(count,))
            start, end = map(int, np.searchsorted(row, [rows.start, rows.stop]))
            before = 8 * count + 4 * len(names) * start
            values = np.fromfile(path, np.float32, (end - start) * len(names), offset=before)
            found[row[start:end] - rows.start] = values.reshape(-1, len(names))
    return {name: np.ascontiguousarray(found[:, column]) for column, name in enumerate(names)}


def rows_path(folder: pathlib.Path, part: int) -> pathlib.Path:
    """Return where it stands which rows a file of the output has."""
    return folder / f"rows-{part:05d}.parquet"


class Rows:
    """Which rows were read, in their order, in files of about ``PART_ROWS``.

    Attributes:
        starts: The number of the first row of each file, and after them that of the rows written so far.
        rows: How many were added.
        id_is_text: Whether ids are text in a piece.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        """Begin in a folder."""
        self._folder = folder
        self._waiting: list[pd.DataFrame] = []
        self.starts, self.rows, self.id_is_text = [0], 0, False

    def add(self, piece: checking.Piece) -> None:
        """Add the rows of a piece."""
        row = np.arange(piece.before + 1, piece.before + len(piece.rows) + 1)
        table = pd.DataFrame({"file": files.printable(piece.file), "row": row})
        if piece.rows.schema.id is not None:
            self.id_is_text |= piece.rows.ids.dtype == object
            table["id"] = piece.rows.ids
        self._waiting.append(table)
        self.rows += len(table)
        if self.rows - self.starts[-1] >= PART_ROWS:
            self.close()

    def close(self) -> None:
        """Write what is waiting."""
        if not self._waiting:
            return
        if "id" in self._waiting[0] and len({table["id"].dtype == object for table in self._waiting}) > 1:
            self._waiting = [table.assign(id=columns.as_text(table["id"].to_numpy())) for table in self._waiting]
        with rows_path(self._folder, len(self.starts) - 1).open("wb") as stream:
            pd.concat(self._waiting, ignore_index=True).to_parquet(stream, index=False)
        self._waiting = []
        self.starts.append(self.rows)
