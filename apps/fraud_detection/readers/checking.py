"""Every row checked: frames and the roles of their columns become transactions, or one error that names the row."""

import contextlib
import dataclasses
import types
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow

from apps.fraud_detection import schema as schemas
from apps.fraud_detection import transactions
from apps.fraud_detection.readers import columns, formats, numerals, times
from shared import errors


@dataclasses.dataclass(frozen=True, kw_only=True)
class Piece:
    """Some rows of one file, checked each for itself, in the order of the file.

    Attributes:
        file: The file.
        before: How many rows of it came before.
        rows: The transactions, not yet in order of time.
    """

    file: str
    before: int
    rows: transactions.Transactions


# What to do about a cell that does not say what its column's role needs.
ADVICE = {
    "amount": "--decimal says how numbers are written, --amount-column names another column",
    "time": "--time-format says how times are written, --time-column names another column",
    "label": "--label-column names another column",
    "numeric": "--decimal says how numbers are written; --schema FILE can name the column a categorical one",
}


def require(demanded: Sequence[str], names: Collection[str], *, file: str) -> None:
    """Refuse a file with the columns ``names`` that lacks one of the ``demanded``.

    Raises:
        errors.InputError: The message lists what is missing and what the file has.
    """
    missing = [column for column in demanded if not formats.has(column, names)]
    if missing:
        raise errors.InputError(
            f"{file}: expected the columns {formats.shown(demanded)}. Received: a table without "
            f"{', '.join(missing)}; it has {formats.shown(names)}"
        )


def piece(
    frame: pd.DataFrame,
    schema: schemas.Schema,
    *,
    file: str,
    before: int,
    numbered: int,
    own_names: Mapping[str, str] = types.MappingProxyType({}),
) -> Piece:
    """Check the rows of a frame.

    Args:
        frame: Rows of a file, as ``formats.adapt`` returns them; labels, groups, scenarios, weights, ids are optional.
        schema: What its columns mean.
        file: For messages.
        before: Rows of the file before these.
        numbered: Rows of all files before these: without a column of ids, rows are numbered from 1 on.
        own_names: What the file calls columns that the schema calls otherwise, for messages.

    Raises:
        errors.InputError: A cell cannot be used; the message names file, row and column.
    """
    count = len(frame)

    def place(column: str, role: str = "") -> columns.Place:
        return columns.Place(file, own_names.get(column, column), before, ADVICE.get(role, ""))

    def optional(column: str | None) -> str | None:
        return column if column in frame else None

    def written(column: str) -> str:
        return schema.decimal.get(column, numerals.PLAIN)

    label, weight, amount = optional(schema.label), optional(schema.weight), schema.amount
    with _reading(file):
        rows = transactions.Transactions(
            schema=schema,
            ids=_ids(frame, optional(schema.id), place, numbered),
            time=_times(frame, schema, place),
            calendar=schema.time_unit == "datetime",
            amount=np.zeros(count)
            if amount is None
            else numerals.amounts(frame[amount], place(amount, "amount"), written=written(amount)),
            entities={role: columns.identities(frame[name]) for role, name in schema.entities.items()},
            numeric={name: _features(frame[name], place(name, "numeric"), written(name)) for name in schema.numeric},
            categorical={name: columns.text(frame[name]) for name in schema.categorical},
            labels=np.full(count, transactions.UNKNOWN)
            if label is None
            else numerals.labels(frame[label], place(label, "label")),
            weights=np.ones(count)
            if weight is None
            else numerals.weights(frame[weight], place(weight, "amount"), written=written(weight)),
            groups=_names(frame, schema.group),
            scenarios=_names(frame, schema.scenario),
        )
    return Piece(file=file, before=before, rows=rows)


def join(sources: Sequence[Sequence[Piece]], *, names: Sequence[str]) -> transactions.Transactions:
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


def following(piece: Piece, before: Piece | None) -> Piece:
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


def refuse_repeated_ids(ids: npt.NDArray[Any], pieces: Sequence[Piece]) -> None:
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


def _like(piece: Piece, column: str, values: npt.NDArray[Any], before: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return names as text where they were text before; once they were numbers, they must stay numbers."""
    if before.dtype == object:
        return columns.as_text(values)
    if values.dtype == object and not (values == "").all():
        _refuse_text(piece, column, values)
    return values if values.dtype != object else np.full(len(values), -1)


def _refuse_text(piece: Piece, column: str, values: npt.NDArray[Any]) -> NoReturn:
    other = np.array([not value.isdecimal() and value != "" for value in values])
    expected = "a whole number as in the rows before; give all rows in one type, as parquet has"
    columns.Place(piece.file, column, piece.before).refuse(int(other.argmax()), expected, values[other.argmax()])


def _where(row: int, pieces: Sequence[Piece]) -> str:
    for each in pieces:
        if row < len(each.rows):
            return f"{each.file}: row {each.before + row + 1}"
        row -= len(each.rows)
    raise IndexError(row)


def _ids(frame: pd.DataFrame, column: str | None, place: Any, numbered: int) -> npt.NDArray[Any]:
    if column is None:
        return np.arange(numbered + 1, numbered + len(frame) + 1)
    found = columns.identities(frame[column])
    empty = found == ("" if found.dtype == object else -1)
    if empty.any():
        place(column).refuse(int(empty.argmax()), "an id", None)
    return found


def _times(frame: pd.DataFrame, schema: schemas.Schema, place: Any) -> columns.Ints:
    time = schema.time
    found = times.parse(frame[time], place(time, "time"), unit=schema.time_unit, how=schema.time_format)
    return found if schema.clock is None else times.add_clock(found, frame[schema.clock], place(schema.clock, "time"))


@contextlib.contextmanager
def _reading(file: str) -> Iterator[None]:
    """Turn what Arrow cannot convert, of a type that nobody foresaw, into an error of the file."""
    try:
        yield
    except (pyarrow.ArrowException, OverflowError) as error:
        raise errors.InputError(
            f"{file}: expected columns of numbers, times, truth values or text. Received: {error}"
        ) from None


def _features(column: "pd.Series[Any]", place: columns.Place, written: str) -> npt.NDArray[np.float32]:
    found = numerals.numbers(column, place, written=written)
    large = np.abs(found) > np.finfo(np.float32).max
    if large.any():
        place.refuse(int(large.argmax()), "a number below 3.4e38", found[large.argmax()].item())
    return found.astype(np.float32)


def _names(frame: pd.DataFrame, column: str | None) -> columns.Names | None:
    if column is None:
        return None
    return columns.text(frame[column]) if column in frame else np.full(len(frame), "", object)
