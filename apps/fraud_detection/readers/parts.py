"""The files of a source, each read in pieces: a table, the two tables of IEEE-CIS, or the simulator."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import pandas as pd

from apps.fraud_detection import simulator
from apps.fraud_detection.readers import formats, tables
from shared import errors

Reader: TypeAlias = Callable[[Sequence[str], int], Iterator[pd.DataFrame]]

_KEY = "TransactionID"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """One file, or what stands for one.

    Attributes:
        file: For messages.
        columns: Of the file.
        chunks: (columns, rows) -> frames of up to so many rows.
        data_format: What the columns tell; one of ``formats.KNOWN``, ``TABLE`` or ``SIMULATOR``.
    """

    file: str
    columns: tuple[str, ...]
    chunks: Reader
    data_format: str


def of_simulator(world: simulator.World) -> list[Part]:
    """Return the simulated transactions, of which each frame is one day."""

    def chunks(names: Sequence[str], rows: int) -> Iterator[pd.DataFrame]:
        del rows  # A day is small whatever the world.
        for day in simulator.days(world):
            yield day[list(names)]

    return [
        Part(file=formats.SIMULATOR, columns=simulator.COLUMNS, chunks=chunks, data_format=formats.SIMULATOR),
    ]


def of_path(path: pathlib.Path) -> list[Part]:
    """Return the tables at a path: a file, or the files of a folder in the order of their names.

    Raises:
        errors.InputError: There is no table, or a folder holds tables of two kinds.
    """
    if not path.is_dir():
        return [_table(path)]
    for part in ("train", "test"):
        found = [
            each for each in path.iterdir() if each.name.startswith(f"{part}_transaction.") and tables.is_table(each)
        ]
        if found:
            return [_joined(found[0], path / found[0].name.replace("transaction", "identity"))]
    return [_table(each) for each in _tables(path)]


def _tables(folder: pathlib.Path) -> list[pathlib.Path]:
    visible = sorted(each for each in folder.iterdir() if each.is_file() and not each.name.startswith("."))
    found = [each for each in visible if tables.is_table(each)]
    if not found:
        for each in visible:
            if each.name.lower().endswith((".pkl", ".pickle")):
                tables.check(each)
        raise errors.InputError(
            f"{folder}: expected a folder with tables ({', '.join(tables.SUFFIXES)}). Received: "
            f"{formats.shown([each.name for each in visible]) if visible else 'no files'}"
        )
    kinds = {"csv" if each.name.lower().endswith(tables.CSV_SUFFIXES) else "parquet" for each in found}
    if len(kinds) > 1:
        raise errors.InputError(
            f"{folder}: expected parts of one kind, each row once. Received: csv and parquet; give the files one by one"
        )
    return found


def _table(path: pathlib.Path) -> Part:
    names = tables.columns(path)

    def chunks(wanted: Sequence[str], rows: int) -> Iterator[pd.DataFrame]:
        return tables.chunks(path, rows, wanted)

    return Part(file=str(path), columns=names, chunks=chunks, data_format=formats.recognise(names))


def _joined(path: pathlib.Path, identity: pathlib.Path) -> Part:
    """Return the transactions of IEEE-CIS with what is known of the device; about a quarter has a row there."""
    table = _table(path)
    if not identity.exists():
        return table
    # Test files write id-01 for id_01.
    names = {name.replace("-", "_"): name for name in tables.columns(identity)}
    extra = [name for name in names if name not in table.columns]

    def chunks(wanted: Sequence[str], rows: int) -> Iterator[pd.DataFrame]:
        asked = [name for name in extra if name in wanted]
        own = [name for name in wanted if name not in asked]
        if not asked:
            yield from table.chunks(own, rows)
            return
        details = tables.read(identity, [_KEY, *(names[name] for name in asked)])
        details.columns = pd.Index([_KEY, *asked])
        for frame in table.chunks(list(dict.fromkeys([_KEY, *own])), rows):
            yield frame.merge(details, how="left", on=_KEY, validate="m:1")

    return dataclasses.replace(table, columns=(*table.columns, *extra), chunks=chunks)
