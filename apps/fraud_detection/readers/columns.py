"""Columns of a table as checked arrays: numbers, names, labels. A bad cell is named with its file and row."""

from typing import Any, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow
import pyarrow.compute as pc

from apps.fraud_detection import transactions
from shared import errors

FRAUD_WORDS = ("1", "true", "yes", "fraud", "fraudulent")
GENUINE_WORDS = ("0", "false", "no", "genuine", "legit", "legitimate")

_LARGEST_AMOUNT = 1e11
_NUMBERS = (pyarrow.types.is_integer, pyarrow.types.is_floating, pyarrow.types.is_decimal, pyarrow.types.is_boolean)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Names = npt.NDArray[np.object_]


class Place(NamedTuple):
    """Where a column stands: file, name, and how many rows of the file came before."""

    file: str
    column: str
    before: int = 0

    def refuse(self, row: int, expected: str, value: Any) -> NoReturn:
        """Raise an error about a row, counted from 0 in the piece at hand."""
        received = "nothing" if value is None or value != value else repr(value)
        raise errors.InputError(
            f"{self.file}: row {self.before + row + 1}, column {self.column!r}: expected {expected}. "
            f"Received: {received}"
        )


def arrow(column: "pd.Series[Any]") -> Any:
    """Return a column as one Arrow array; NaN and NaT are null, categories are their values."""
    found = pyarrow.array(column, from_pandas=True)
    if isinstance(found, pyarrow.ChunkedArray):
        found = found.combine_chunks()
    if pyarrow.types.is_dictionary(found.type):
        found = found.dictionary_decode()
    if pyarrow.types.is_floating(found.type) and pc.any(pc.is_nan(found)).as_py():
        found = pc.if_else(pc.is_nan(found), None, found)
    if pyarrow.types.is_null(found.type):
        return found.cast(pyarrow.string())
    return found.cast(pyarrow.string()) if is_text(found) and found.type != pyarrow.string() else found


def numbers(column: "pd.Series[Any]", place: Place, *, expected: str = "a number") -> Floats:
    """Return (n,) float64; NaN where the cell is empty.

    Raises:
        errors.InputError: A cell holds no number, or an infinite one.
    """
    values = arrow(column)
    if is_text(values):
        found = _parsed(values, place, expected)
    elif any(fits(values.type) for fits in _NUMBERS):
        if not pyarrow.types.is_floating(values.type):
            values = values.cast(pyarrow.float64(), safe=False) if not is_bool(values) else values.cast(pyarrow.int8())
        found = values.to_numpy(zero_copy_only=False).astype(np.float64)
    else:
        place.refuse(0, expected, values[0].as_py() if len(values) else str(values.type))
    infinite = np.isinf(found)
    if infinite.any():
        place.refuse(int(infinite.argmax()), f"{expected} that is finite", found[infinite.argmax()].item())
    return found


def text(column: "pd.Series[Any]") -> Names:
    """Return (n,) object of str; ``""`` where the cell is empty. A whole number is written without a point."""
    return _objects(_written(arrow(column)))


def identities(column: "pd.Series[Any]") -> npt.NDArray[Any]:
    """Return (n,) int64 where every cell is a whole number from 0 without leading zeros, or else object of str.

    An empty cell is -1 or ``""``.
    """
    values = arrow(column)
    if is_text(values):
        values = _written(values)
        whole = _whole(values)
        return _objects(values) if whole is None else whole
    if pyarrow.types.is_integer(values.type) or pyarrow.types.is_floating(values.type):
        whole = _whole_numbers(values)
        if whole is not None:
            return whole
    return _objects(_written(values))


def amounts(column: "pd.Series[Any]", place: Place) -> Floats:
    """Return (n,) float64; negative ones are refunds.

    Raises:
        errors.InputError: A cell is empty, no number, or none that money has.
    """
    found = numbers(column, place, expected="an amount")
    bad = ~(np.abs(found) <= _LARGEST_AMOUNT)
    if bad.any():
        row = int(bad.argmax())
        place.refuse(row, f"an amount up to {_LARGEST_AMOUNT:g}", found[row].item())
    return found


def weights(column: "pd.Series[Any]", place: Place) -> Floats:
    """Return (n,) float64 above 0.

    Raises:
        errors.InputError: A cell is empty, or holds no positive number.
    """
    found = numbers(column, place, expected="a weight above 0")
    bad = ~(found > 0)
    if bad.any():
        place.refuse(int(bad.argmax()), "a weight above 0", found[bad.argmax()].item())
    return found


def labels(column: "pd.Series[Any]", place: Place) -> Ints:
    """Return (n,) int64: 1 fraud, 0 genuine, ``UNKNOWN`` where the cell is empty.

    Raises:
        errors.InputError: A cell holds neither.
    """
    encoded = arrow(column).dictionary_encode()
    distinct = encoded.dictionary.to_pylist()
    meaning = np.array([*(_label(value) for value in distinct), transactions.UNKNOWN], np.int64)
    where = encoded.indices.fill_null(len(distinct)).to_numpy(zero_copy_only=False)
    found: Ints = meaning[where]
    bad = found == _NO_LABEL
    if bad.any():
        row = int(bad.argmax())
        expected = f"a label (fraud: {', '.join(FRAUD_WORDS)}; genuine: {', '.join(GENUINE_WORDS)}; or empty)"
        place.refuse(row, expected, distinct[where[row]])
    return found


_NO_LABEL = -2


def is_text(values: Any) -> bool:
    """Tell whether an Arrow array holds text."""
    return bool(
        pyarrow.types.is_string(values.type)
        or pyarrow.types.is_large_string(values.type)
        or pyarrow.types.is_string_view(values.type)
    )


def is_bool(values: Any) -> bool:
    """Tell whether an Arrow array holds truth values."""
    return bool(pyarrow.types.is_boolean(values.type))


def is_number(value: Any) -> bool:
    """Tell whether a value, or a text, is a number."""
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def first(values: Any) -> Any:
    """Return the first value that is not empty; None where all are."""
    known = values.slice(0, 1) if len(values) and values[0].is_valid else values.drop_null().slice(0, 1)
    return known[0].as_py() if len(known) else None


def _parsed(values: Any, place: Place, expected: str) -> Floats:
    try:
        found: Floats = values.cast(pyarrow.float64()).to_numpy(zero_copy_only=False)
        return found
    except pyarrow.ArrowInvalid:
        trimmed = values.to_pandas().str.strip()
    found = pd.to_numeric(trimmed, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    bad = np.isnan(found) & trimmed.notna().to_numpy() & (trimmed != "").to_numpy()
    if bad.any():
        place.refuse(int(bad.argmax()), expected, values[int(bad.argmax())].as_py())
    return found


def _written(values: Any) -> Any:
    """Return values as Arrow text; whole numbers without a point, in whatever file they stood."""
    if not is_text(values):
        if pyarrow.types.is_floating(values.type):
            whole = _whole_numbers(values, negative=True)
            values = pyarrow.array(whole, mask=np.asarray(values.is_null())) if whole is not None else values
        if is_bool(values):
            return pc.if_else(values, "True", "False")
        values = values.cast(pyarrow.string())
    if pc.any(pc.ends_with(values, ".0")).as_py():
        values = pc.replace_substring_regex(values, r"^(-?\d+)\.0$", r"\1")
    return values


def _whole(values: Any) -> Ints | None:
    """Return texts as whole numbers where they are written as such."""
    beginning = first(values)
    if beginning is None or not beginning[:1].isdigit():
        return None
    try:
        found = _whole_numbers(values.cast(pyarrow.int64()))
    except pyarrow.ArrowInvalid:
        return None
    padded = pc.and_(pc.starts_with(values, "0"), pc.greater(pc.binary_length(values), 1))
    other = pc.match_substring_regex(values, "[^0-9]")
    return None if pc.any(pc.or_(padded, other)).as_py() else found


def _whole_numbers(values: Any, *, negative: bool = False) -> Ints | None:
    """Return numbers as int64, -1 for empty cells; None where one is broken, too large or, unless allowed, negative."""
    lowest = pc.min_max(values)["min"].as_py()
    if lowest is not None and lowest < 0 and not negative:
        return None
    try:
        return np.asarray(values.cast(pyarrow.int64()).fill_null(-1).to_numpy(zero_copy_only=False), np.int64)
    except pyarrow.ArrowInvalid:
        return None


def _objects(values: Any) -> Names:
    """Return Arrow text as objects, one for each distinct text."""
    encoded = values.fill_null("").dictionary_encode()
    distinct = np.array(encoded.dictionary.to_pylist(), object)
    return distinct[encoded.indices.to_numpy(zero_copy_only=False)] if len(distinct) else np.zeros(0, object)


def _label(value: Any) -> int:
    if value is None or value != value or str(value).strip() == "":
        return transactions.UNKNOWN
    word = str(value).strip(" '\"").casefold().removesuffix(".0")
    return 1 if word in FRAUD_WORDS else 0 if word in GENUINE_WORDS else _NO_LABEL
