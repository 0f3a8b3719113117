"""Every row of a frame checked: by the roles of its columns it becomes transactions, or an error that names the row.

Before that ``adapt`` computes columns that a schema names and a file lacks, and rewrites cells of single formats.
"""

import contextlib
import dataclasses
import re
import types
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow

from apps.fraud_detection import schema as schemas
from apps.fraud_detection import simulator, transactions
from apps.fraud_detection.readers import formats, times
from shared import errors
from shared.sources import cells, columns, numerals


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


FRAUD_WORDS = ("1", "true", "t", "yes", "y", "fraud", "fraudulent")
GENUINE_WORDS = ("0", "false", "f", "no", "n", "genuine", "legit", "legitimate")

_NO_LABEL = -2
# What to do about a cell that does not hold what its column's role needs.
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
        frame: Rows of a file, as ``adapt`` returns them; labels, groups, scenarios, weights, ids are optional.
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

    label_column, weight, amount = optional(schema.label), optional(schema.weight), schema.amount
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
            if label_column is None
            else labels(frame[label_column], place(label_column, "label")),
            weights=np.ones(count)
            if weight is None
            else numerals.weights(frame[weight], place(weight, "amount"), written=written(weight)),
            groups=_names(frame, schema.group),
            scenarios=_names(frame, schema.scenario),
        )
    return Piece(file=file, before=before, rows=rows)


def labels(column: "pd.Series[Any]", place: columns.Place) -> columns.Ints:
    """Return (n,) int64: 1 fraud, 0 genuine, ``UNKNOWN`` where the cell is empty.

    Raises:
        columns.UnreadableError: A cell holds neither.
    """
    encoded = columns.arrow(column).dictionary_encode()
    words = encoded.dictionary.to_pylist()
    meaning = np.array([*(label(word) for word in words), transactions.UNKNOWN], np.int64)
    where = encoded.indices.fill_null(len(words)).to_numpy(zero_copy_only=False)
    found: columns.Ints = meaning[where]
    bad = found == _NO_LABEL
    if bad.any():
        row = int(bad.argmax())
        expected = f"a label (fraud: {', '.join(FRAUD_WORDS)}; genuine: {', '.join(GENUINE_WORDS)}; or empty)"
        place.refuse(row, expected, words[where[row]])
    given = {_word(word) for word in words}
    if "f" in given and given & {"n", "g", "l", "no"}:
        # Beside t, f is false; beside n or g it is a fraud as likely.
        row = int(np.argmax([word is not None and _word(word) == "f" for word in [*words, None]]))
        place.refuse(int((where == row).argmax()), "a clear label (t and f, or fraud and genuine)", words[row])
    return found


def is_label(word: Any) -> bool:
    """Return whether a cell is a label, or empty."""
    return label(word) != _NO_LABEL


def label(word: Any) -> int:
    """Return 1, 0, ``UNKNOWN`` for an empty cell, or another number for what is no label."""
    if word is None or word != word or cells.is_nothing(_word(word)):
        return transactions.UNKNOWN
    return 1 if _word(word) in FRAUD_WORDS else 0 if _word(word) in GENUINE_WORDS else _NO_LABEL


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


def _word(value: Any) -> str:
    return re.sub(r"\.0$", "", str(value).strip(" '\"").casefold())


def adapt(frame: pd.DataFrame, wanted: Sequence[str], *, data_format: str, file: str, before: int) -> pd.DataFrame:
    """Return a frame with computed columns, and with what a format writes in a way of its own written plainly.

    Args:
        frame: Rows of a file.
        wanted: The columns that a schema names.
        data_format: As ``recognise`` returns it.
        file: For messages.
        before: Rows of the file before these.
    """
    changed: dict[str, Any] = {}
    if "card_key" in wanted and "card_key" not in frame:
        changed["card_key"] = _card_key(frame)
    if "age_group" in wanted and "age_group" not in frame and "customer_age" in frame:
        age = numerals.numbers(frame["customer_age"], columns.Place(file, "customer_age", before))
        changed["age_group"] = np.select(
            [age > formats.AGE_LIMIT, age <= formats.AGE_LIMIT], ["age > 50", "age <= 50"], ""
        )
    if data_format == "baf":
        for name in set(formats.BAF_MISSING) & set(frame):
            values = numerals.numbers(frame[name], columns.Place(file, name, before))
            changed[name] = np.where(values < 0, np.nan, values)
    if data_format in ("handbook", formats.SIMULATOR) and "TX_FRAUD_SCENARIO" in frame:
        changed["TX_FRAUD_SCENARIO"] = _scenario(frame["TX_FRAUD_SCENARIO"])
    return frame.assign(**changed) if changed else frame


def _card_key(frame: pd.DataFrame) -> columns.Names:
    """Return (n,) object: the fields of a card joined; ``""`` where even the first is missing."""
    parts = [columns.text(frame[name]) for name in formats.CARD if name in frame]
    joined = parts[0]
    for part in parts[1:]:
        joined = joined + "|" + part
    return np.where(parts[0] == "", "", joined)


def _scenario(column: pd.Series) -> columns.Names:
    names = {str(number): name for number, name in enumerate(simulator.SCENARIOS)}
    found, distinct = pd.factorize(columns.text(column))
    return np.array([names.get(value, value) for value in distinct] or [""], object)[found]
