"""The files of a source, each read in pieces: a table, the two tables of IEEE-CIS, or the simulator."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import pandas as pd

from apps.fraud_detection import simulator
from apps.fraud_detection.readers import formats
from shared import errors
from shared.sources import columns, folders, tables

Reader: TypeAlias = Callable[[Sequence[str], int], Iterator[pd.DataFrame]]

CHUNK_ROWS = 1 << 18

_PARQUET = "parquet"
# By which the two tables of IEEE-CIS belong together.
_KEY = "TransactionID"
_NOTE = "identities"
# What ``fraud-detection data --write`` puts beside a table, which is no part of it.
_OUR_SPLIT = ("split.csv", "split.json")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """One file, or what stands for one.

    Attributes:
        file: For messages.
        columns: Of the file, as it calls them.
        chunks: (columns, rows) -> frames of up to so many rows.
        data_format: Recognised by the columns; one of ``formats.KNOWN``, ``TABLE`` or ``SIMULATOR``.
        aliases: Column as the format calls it -> as the file does, where they differ.
        nested: Columns that hold lists or records, which are not read.
        notes: What a whole reading found out.
    """

    file: str
    columns: tuple[str, ...]
    chunks: Reader
    data_format: str
    aliases: Mapping[str, str] = dataclasses.field(default_factory=dict)
    nested: tuple[str, ...] = ()
    notes: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Every name by which a column can be asked for."""
        return (*self.columns, *self.aliases)

    def read(self, wanted: Sequence[str], rows: int) -> Iterator[pd.DataFrame]:
        """Yield frames with the wanted columns under the names by which they are asked for."""
        own = [self.aliases.get(name, name) for name in wanted]
        for frame in self.chunks(list(dict.fromkeys(own)), rows):
            found = frame[own]
            found.columns = pd.Index(wanted)
            yield found

    def as_format(self, data_format: str) -> "Part":
        """Return the same file, read by another format."""
        aliases = formats.aliases(data_format, self.columns)
        return dataclasses.replace(self, data_format=data_format, aliases=aliases)


class Found(NamedTuple):
    """The parts of a source, and what a reader should know of the files that are none."""

    parts: list[Part]
    notes: tuple[str, ...] = ()


def of_simulator(world: simulator.World) -> Found:
    """Return the simulated transactions, of which each frame is one day."""

    def chunks(names: Sequence[str], rows: int) -> Iterator[pd.DataFrame]:
        del rows  # A day is small whatever the world.
        for day in simulator.days(world):
            yield day[list(names)]

    return Found(
        [Part(file=formats.SIMULATOR, columns=simulator.COLUMNS, chunks=chunks, data_format=formats.SIMULATOR)]
    )


def of_path(path: pathlib.Path, *, follow_links: bool = False) -> Found:
    """Return the tables at a path: a file, or the files of a folder in the order of their names.

    Args:
        path: That exists.
        follow_links: Whether links may lead out of the folder.

    Raises:
        errors.InputError: There is no table, or a folder holds tables of two kinds.
    """
    if not path.is_dir():
        return Found([_table(path)])
    listing = folders.listing(path, follow_links=follow_links)
    joined = ieee_cis_tables(listing.files)
    read = list(joined) or _tables(path, listing.files)
    parts = [_with_identities(*joined)] if len(joined) == 2 else [_table(each) for each in read]
    unread = [each for each in listing.files if each not in read]
    note = folders.unread(unread)
    shown = [str(each.relative_to(path)) for each in unread if tables.is_table(each)]
    shown_note = f"{path}: {note}{f' ({formats.shown(shown)})' if shown else ''}"
    return Found(parts, (*listing.notes, *([shown_note] if note else [])))


def files_of(path: pathlib.Path, *, follow_links: bool = False) -> list[pathlib.Path]:
    """Return the files that are read of a path, in their order."""
    if not path.is_dir():
        return [path]
    found = folders.listing(path, follow_links=follow_links).files
    return list(ieee_cis_tables(found)) or _tables(path, found)


def _tables(folder: pathlib.Path, visible: Sequence[pathlib.Path]) -> list[pathlib.Path]:
    ours = {each for each in visible if each.name == _OUR_SPLIT[0] and each.with_name(_OUR_SPLIT[1]) in visible}
    found = [each for each in visible if tables.is_table(each) and each not in ours]
    if not found:
        for each in visible:
            if each.name.lower().endswith((".pkl", ".pickle")):
                tables.check(each)
        raise errors.InputError(
            f"{folder}: expected a folder with tables ({tables.KINDS}). Received: "
            f"{formats.shown([str(each.relative_to(folder)) for each in visible]) if visible else 'no files'}"
        )
    kinds = {"csv" if each.name.lower().endswith(tables.CSV_SUFFIXES) else _PARQUET for each in found}
    if len(kinds) > 1:
        raise errors.InputError(
            f"{folder}: expected parts of one kind, each row once. Received: csv and parquet; give the files one by one"
        )
    return found


def _table(path: pathlib.Path) -> Part:
    header = tables.header(path)

    def chunks(wanted: Sequence[str], rows: int) -> Iterator[pd.DataFrame]:
        return tables.chunks(path, rows, wanted)

    part = Part(file=str(path), columns=header.names, chunks=chunks, data_format="", nested=header.nested)
    return part.as_format(formats.recognise(header.names))


def _with_identities(path: pathlib.Path, identity: pathlib.Path) -> Part:
    """Return the transactions of IEEE-CIS with what is known of the device; about a quarter has a row there."""
    table = _table(path)
    join = IdentityJoin(transactions=path, identity=identity, columns=table.columns, aliases=table.aliases)
    part = dataclasses.replace(table, columns=(*table.columns, *join.extra), chunks=join.chunks, notes=join.notes)
    return part.as_format(table.data_format)


def ieee_cis_tables(files: Sequence[pathlib.Path]) -> tuple[pathlib.Path, ...]:
    """Return the table of transactions and, if there is one, that of identities among files; none of other sources.

    The parts to train on come first; the others, which have no labels, are read where they are alone.
    """
    for part in ("train", "test"):
        for path in files:
            beginning = f"{part}_transaction."
            if path.name.lower().startswith(beginning) and tables.is_table(path):
                identity = path.name.lower().replace("transaction", "identity")
                beside = [each for each in files if each.parent == path.parent and each.name.lower() == identity]
                return (path, *beside[:1])
    return ()


class IdentityJoin:
    """Transactions with the columns of their identities.

    Attributes:
        extra: Columns that only the identities have.
        notes: After a whole reading, how many rows met.
    """

    def __init__(
        self,
        *,
        transactions: pathlib.Path,
        identity: pathlib.Path,
        columns: Sequence[str],
        aliases: Mapping[str, str],
    ) -> None:
        """Take the two tables, and the columns of the first with what their format calls them."""
        self._path, self._identity = transactions, identity
        self._key = aliases.get(_KEY, _KEY)
        own = tables.columns(identity)
        keys = [name for name in own if formats.normalised(name) == formats.normalised(_KEY)]
        if len(keys) != 1 or self._key not in columns:
            raise errors.InputError(f"{identity}: expected a column {_KEY}. Received: {formats.shown(own)}")
        self._identity_key = keys[0]
        self.extra = tuple(name for name in own if name not in (*columns, self._identity_key))
        self.notes: dict[str, str] = {}

    def chunks(self, wanted: Sequence[str], rows: int) -> Iterator[pd.DataFrame]:
        """Yield the transactions in pieces, with the wanted columns.

        Raises:
            errors.InputError: An id has two identities, or no identity belongs to any transaction.
        """
        asked = [name for name in self.extra if name in wanted]
        own = [name for name in wanted if name not in asked]
        if not asked:
            yield from tables.chunks(self._path, rows, own)
            return
        details = tables.read(self._identity, [self._identity_key, *asked])
        known = self._known(details[self._identity_key])
        matched, count = 0, 0
        for frame in tables.chunks(self._path, rows, list(dict.fromkeys([self._key, *own]))):
            place = known.get_indexer(pd.Index(columns.as_text(columns.identities(frame[self._key]))))
            # -1 is the number of no row: those cells are empty.
            found = details[asked].reindex(place).reset_index(drop=True)
            matched, count = matched + int((place >= 0).sum()), count + len(frame)
            yield pd.concat([frame, found], axis=1)[list(wanted)]
        self._note(matched, len(details), count)

    def _known(self, keys: "pd.Series[Any]") -> "pd.Index[Any]":
        """Return the ids of the identities as text, however they are written."""
        found: pd.Index[Any] = pd.Index(columns.as_text(columns.identities(keys)))
        if not found.is_unique:
            second = int(found.duplicated().argmax())
            first = int((found == found[second]).argmax())
            raise errors.InputError(
                f"{self._identity}: row {second + 1}, column {self._identity_key!r}: expected an id that occurs once. "
                f"Received: {found[second]}, which also stands in row {first + 1}"
            )
        return found

    def _note(self, matched: int, identities: int, count: int) -> None:
        if identities and count and not matched:
            raise errors.InputError(
                f"{self._identity}: expected identities of transactions in {self._path.name}. Received: "
                f"{identities:,} rows, none of whose {self._identity_key} is one of its {count:,}"
            )
        self.notes[_NOTE] = (
            f"{self._identity.name}: {matched:,} of {identities:,} identities belong to a transaction; "
            f"{count - matched:,} of {count:,} transactions have none"
        )
