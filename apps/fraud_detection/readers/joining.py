"""The checked rows of several files together: in order of time, each id once, no file or row given twice."""

import collections
import dataclasses
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import pandas as pd

from apps.fraud_detection import transactions
from apps.fraud_detection.readers import checking, formats, names
from shared import errors
from shared.sources import columns

_PARTS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "holdout"),
}


def refuse_twice(
    specs: Sequence[str], files_of: Callable[[Sequence[str], Any], Sequence[pathlib.Path]], reading: Any
) -> None:
    """Refuse sources of which one, or a file of one, is given twice: its rows would count twice.

    Args:
        specs: The sources.
        files_of: Lists the files of sources.
        reading: For ``files_of``.

    Raises:
        errors.InputError: It names both.
    """
    seen: dict[str, str] = {}
    for spec in specs:
        paths = [spec] if spec == formats.SIMULATOR else map(str, files_of([spec], reading))
        for path in paths:
            real = spec if spec == formats.SIMULATOR else os.path.realpath(path)
            if real in seen:
                both = f"{path}, which is {seen[real]}" if path != seen[real] else f"{path} twice"
                raise errors.InputError(f"Expected each file once. Received: {both}")
            seen[real] = path


def source_names(specs: Sequence[str]) -> list[str]:
    """Return short names of sources, each another one.

    >>> source_names(["a/x.csv", "y.csv"]), source_names(["a/x.csv", "b/x.csv"])
    (['x.csv', 'y.csv'], ['a/x.csv', 'b/x.csv'])
    """
    short = [spec if spec == formats.SIMULATOR else pathlib.Path(spec).name or spec for spec in specs]
    count = collections.Counter(short)
    return [name if count[name] == 1 else spec for name, spec in zip(short, specs, strict=True)]


def refuse_copies(pieces: Sequence[checking.Piece]) -> list[str]:
    """Return notes on rows that stand in more than one file, where no column of ids keeps them apart.

    Args:
        pieces: Of all files, those of a file one after another.

    Raises:
        errors.InputError: Two files hold the same rows.
    """
    files = list(dict.fromkeys(piece.file for piece in pieces))
    if len(files) < 2 or pieces[0].rows.schema.id is not None:
        return []
    found: dict[str, npt.NDArray[np.uint64]] = {
        file: np.sort(np.concatenate([p.rows.cell_hashes(with_ids=False) for p in pieces if p.file == file]))
        for file in files
    }
    notes: list[str] = []
    for number, file in enumerate(files):
        for other in files[:number]:
            if np.array_equal(found[file], found[other]):
                raise errors.InputError(f"{file}: expected rows of its own. Received: the very rows of {other}")
        before = [found[other] for other in files[:number]]
        twice = int(np.isin(found[file], np.concatenate(before)).sum()) if before else 0
        if twice:
            notes.append(f"{file}: {twice:,} of {len(found[file]):,} rows stand in a file before it, too; all are kept")
    return notes


def named_parts(files: Sequence[str]) -> list[str]:
    """Return a note on files that are named for parts, which are not the parts that will be made.

    >>> named_parts(["a/fraudTrain.csv", "a/fraudTest.csv"])[0][:64]
    'files are named for parts (train: fraudTrain.csv; test: fraudTes'
    """
    paths = [pathlib.Path(file) for file in files]
    found_words = [{*names.words(path.name.partition(".")[0]), *names.words(path.parent.name)} for path in paths]
    named = {
        part: [path.name for path, words in zip(paths, found_words, strict=True) if words & set(spellings)]
        for part, spellings in _PARTS.items()
    }
    found = {part: each for part, each in named.items() if each}
    if len(found) < 2:
        return []
    shown = "; ".join(f"{part}: {formats.shown(each)}" for part, each in found.items())
    return [
        f"files are named for parts ({shown}): their rows are joined, and parts are made in order of time. To keep the "
        f"files apart, train on the first ones and give the others to evaluate as --data"
    ]


def join(sources: Sequence[Sequence[checking.Piece]], *, names: Sequence[str]) -> transactions.Transactions:
    """Join the pieces of sources, sorted by time, rows of one instant in the order of the sources and files.

    Raises:
        errors.InputError: A source has no row, or an id occurs twice.
    """
    notes: list[str] = []
    for source, name in zip(sources, names, strict=True):
        if not source:
            raise errors.InputError(f"{name}: expected at least one transaction. Received: no rows")
        time = np.concatenate([each.rows.time for each in source])
        late = int((time < np.maximum.accumulate(time)).sum())
        if late:
            column = source[0].rows.schema.time
            notes.append(f"{name}: {late:,} of {len(time):,} rows stood after a later one: sorted by {column}")
    pieces = [each for source in sources for each in source]
    joined = transactions.concatenate(agreeing([each.rows for each in pieces]))
    refuse_repeated_ids(joined.ids, pieces)
    joined = dataclasses.replace(joined, name=" + ".join(names), notes=tuple(notes))
    if (np.diff(joined.time) >= 0).all():
        return joined
    return joined.take(np.argsort(joined.time, kind="stable"))


def following(piece: checking.Piece, before: checking.Piece | None) -> checking.Piece:
    """Return a piece of a stream, its names written as in the piece before it, which it must not be older than.

    Raises:
        errors.InputError: A row is older than the one before, an id occurs twice, or numbers turn into text.
    """
    time = piece.rows.time
    last = time[:1] if before is None else before.rows.time[-1:]
    older = np.diff(time, prepend=last) < 0
    if older.any():
        column = columns.Place(piece.file, piece.rows.schema.time, piece.before)
        row = int(older.argmax())
        column.refuse(
            row, "a time not before that of the row before it; sort the rows by time", _instant(piece.rows, row)
        )
    if before is None:
        refuse_repeated_ids(piece.rows.ids, [piece])
        return piece
    roles = piece.rows.schema.entities
    like = {
        role: _like(piece, name, piece.rows.entities[role], before.rows.entities[role]) for role, name in roles.items()
    }
    ids = _like(piece, piece.rows.schema.id or "", piece.rows.ids, before.rows.ids)
    refuse_repeated_ids(np.concatenate([before.rows.ids, ids]), [before, piece])
    return dataclasses.replace(piece, rows=dataclasses.replace(piece.rows, entities=like, ids=ids))


def agreeing(parts: Sequence[transactions.Transactions]) -> list[transactions.Transactions]:
    """Write ids and names of entities as text in every part where they are text in one."""
    entities = [role for role in parts[0].entities if len({part.entities[role].dtype == object for part in parts}) > 1]
    ids = len({part.ids.dtype == object for part in parts}) > 1
    if not entities and not ids:
        return list(parts)
    return [
        dataclasses.replace(
            part,
            ids=columns.as_text(part.ids) if ids else part.ids,
            entities={**part.entities, **{role: columns.as_text(part.entities[role]) for role in entities}},
        )
        for part in parts
    ]


def refuse_repeated_ids(ids: npt.NDArray[Any], pieces: Sequence[checking.Piece]) -> None:
    """Refuse an id that occurs twice.

    Args:
        ids: (n,) of the rows of ``pieces``, one after another.
        pieces: Where those rows stand.

    Raises:
        errors.InputError: Names both rows.
    """
    if ids.dtype != object and (len(ids) < 2 or (np.diff(ids) > 0).all()):
        return
    repeated = pd.Series(ids).duplicated().to_numpy()
    if not repeated.any():
        return
    second = int(repeated.argmax())
    first = int((ids == ids[second]).argmax())
    column = pieces[0].rows.schema.id
    raise errors.InputError(
        f"{_where(second, pieces)}, column {column!r}: expected an id that occurs once. Received: {ids[second]!s}, "
        f"which also stands in {_where(first, pieces)}"
    )


def refuse_unlearnable(found: transactions.Transactions) -> None:
    """Refuse labelled data of one class.

    Raises:
        errors.InputError: There are no labels, no frauds or no genuine transactions.
    """
    counts = {name: int((found.labels == number).sum()) for number, name in enumerate(transactions.CLASS_NAMES)}
    if all(counts.values()):
        return
    column = f"column {found.schema.label!r}" if found.schema.label else "a column of labels"
    received = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    raise errors.InputError(
        f"{found.name}: expected genuine transactions and frauds in {column}. Received: {received}, "
        f"{int((found.labels == transactions.UNKNOWN).sum()):,} without a label"
    )


def _instant(rows: transactions.Transactions, row: int) -> str:
    when = int(rows.time[row])
    return str(np.datetime64(when, "us")) if rows.calendar else f"{when / 1e6:g} s"


def _like(piece: checking.Piece, column: str, values: npt.NDArray[Any], before: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return names as text where they were text before; once they were numbers, they must stay numbers."""
    if before.dtype == object:
        return columns.as_text(values)
    if values.dtype == object and not (values == "").all():
        _refuse_text(piece, column, values)
    return values if values.dtype != object else np.full(len(values), -1)


def _refuse_text(piece: checking.Piece, column: str, values: npt.NDArray[Any]) -> NoReturn:
    other = np.array([not value.isdecimal() and value != "" for value in values])
    expected = "a whole number as in the rows before; give all rows in one type, as parquet has"
    columns.Place(piece.file, column, piece.before).refuse(int(other.argmax()), expected, values[other.argmax()])


def _where(row: int, pieces: Sequence[checking.Piece]) -> str:
    for each in pieces:
        if row < len(each.rows):
            return f"{each.file}: row {each.before + row + 1}"
        row -= len(each.rows)
    raise IndexError(row)
