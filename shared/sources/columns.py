"""Columns of a table as Arrow arrays of few types, and as names; a bad cell is named with its file, row and column."""

from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow
import pyarrow.compute as pc

from shared import errors
from shared.sources import cells

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Names = npt.NDArray[np.object_]

# From here on a number with a point is no longer exact to the unit.
_EXACT = 2**53
# What ids look like that a spreadsheet has written: their last digits are lost.
_CUT_ID = r"^\d([.,]\d+)?[eE]\+\d+$"


class UnreadableError(errors.InputError):
    """A cell does not hold what its column's role needs."""

    def __init__(self, message: str, column: str) -> None:
        super().__init__(message)
        self.column = column


class Place(NamedTuple):
    """Where a column stands: file, name, how many rows of the file came before, and what to do about a bad cell."""

    file: str
    column: str
    before: int = 0
    advice: str = ""

    def refuse(self, row: int, expected: str, value: Any) -> NoReturn:
        """Raise an error about a row, counted from 0 in the piece at hand."""
        received = "nothing" if value is None or value != value else repr(value)
        raise UnreadableError(
            f"{self.file}: row {self.before + row + 1}, column {self.column!r}: expected {expected}. "
            f"Received: {received}{f' ({self.advice})' if self.advice else ''}",
            self.column,
        )


def arrow(column: "pd.Series[Any]") -> Any:
    """Return a column as one Arrow array of numbers, times, truth values or text, whatever its type was.

    NaN and NaT are null, categories are their values, bytes are text, or their hexadecimal digits after ``0x`` where
    they are no text, and durations are seconds.
    """
    found = pyarrow.array(column, from_pandas=True)
    if isinstance(found, pyarrow.ChunkedArray):
        found = found.combine_chunks()
    found = getattr(found, "storage", found)
    if pyarrow.types.is_dictionary(found.type):
        found = found.dictionary_decode()
    if pyarrow.types.is_float16(found.type):
        found = found.cast(pyarrow.float32())
    if pyarrow.types.is_floating(found.type) and pc.any(pc.is_nan(found)).as_py():
        return pc.if_else(pc.is_nan(found), None, found)
    if pyarrow.types.is_duration(found.type):
        units = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
        return pc.divide(found.cast(pyarrow.int64()).cast(pyarrow.float64()), units[found.type.unit])
    if _is_bytes(found.type):
        return pyarrow.array([_as_text(each) for each in found.to_pylist()], pyarrow.string())
    plain = is_text(found) and found.type != pyarrow.string()
    return found.cast(pyarrow.string()) if plain or pyarrow.types.is_null(found.type) else found


def text(column: "pd.Series[Any]") -> Names:
    """Return (n,) object of str; ``""`` where the cell is empty. A whole number is written without a point."""
    return _objects(_written(arrow(column)))


def identities(column: "pd.Series[Any]") -> npt.NDArray[Any]:
    """Return (n,) int64 where every cell is a whole number from 0 without leading zeros, or else object of str.

    An empty cell is -1 or ``""``.
    """
    values = arrow(column)
    if pyarrow.types.is_integer(values.type) or pyarrow.types.is_floating(values.type):
        whole = _whole_numbers(values)
        if whole is not None:
            return whole
    values = _written(values)
    whole = _whole(values)
    return _objects(values) if whole is None else whole


def lost_digits(column: "pd.Series[Any]") -> str:
    """Return what cost the ids of a column their last digits, so that different ones may be one; "" for nothing.

    >>> lost_digits(pd.Series(["4.53958E+15", "4539578763620020"]))
    "written as '4.53958E+15', as a spreadsheet does"
    """
    values = arrow(column)
    if pyarrow.types.is_floating(values.type):
        highest = pc.max(values).as_py()
        return f"kept as numbers with a point, up to {highest:.6g}" if highest is not None and highest > _EXACT else ""
    if not is_text(values):
        return ""
    cut = values.filter(pc.match_substring_regex(values, _CUT_ID))
    return f"written as {cut.drop_null()[0].as_py()!r}, as a spreadsheet does" if cut.drop_null() else ""


def as_text(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return identities as object of str, ``""`` for -1; objects as they are."""
    if values.dtype == object:
        return values
    return np.where(values == -1, "", values.astype(str).astype(object))


def is_text(values: Any) -> bool:
    """Return whether an Arrow array holds text."""
    return bool(
        pyarrow.types.is_string(values.type)
        or pyarrow.types.is_large_string(values.type)
        or pyarrow.types.is_string_view(values.type)
    )


def is_bool(values: Any) -> bool:
    """Return whether an Arrow array holds truth values."""
    return bool(pyarrow.types.is_boolean(values.type))


def is_number(value: Any) -> bool:
    """Return whether a value, or a text, is a number."""
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def first(values: Any) -> Any:
    """Return the first value that is not empty; None where all are."""
    known = values.slice(0, 1) if len(values) and values[0].is_valid else values.drop_null().slice(0, 1)
    return known[0].as_py() if len(known) else None


def with_nothing(values: Any) -> Any:
    """Return Arrow text without spaces around it, null where a word means that there is nothing: NA, null, ...

    For columns of numbers, times and labels only: in one of names, NA is a name.
    """
    bare = pc.utf8_trim_whitespace(values)
    words = pc.is_in(pc.utf8_lower(bare), pyarrow.array(sorted(cells.NOTHING)))
    return pc.if_else(words, None, bare)


def distinct(column: "pd.Series[Any]") -> int:
    """Return how many different values a column has, empty cells aside."""
    return int(pc.count_distinct(arrow(column), mode="only_valid").as_py())


def counts(values: Any) -> Mapping[str, int]:
    """Return how often each text occurs in an Arrow array, null aside."""
    found = values.drop_null().value_counts()
    return dict(zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True))


def _is_bytes(kind: Any) -> bool:
    types = pyarrow.types
    return bool(
        types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_fixed_size_binary(kind)
        or types.is_binary_view(kind)
    )


def _as_text(content: bytes | None) -> str | None:
    """Return bytes as text; the same bytes give the same text, whatever else stands in the column."""
    if content is None:
        return None
    try:
        found = content.rstrip(b"\0").decode("utf-8")
    except UnicodeDecodeError:
        found = "\0"
    return found if found.isprintable() else f"0x{content.hex()}"


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
    found = np.array(encoded.dictionary.to_pylist(), object)
    return found[encoded.indices.to_numpy(zero_copy_only=False)] if len(found) else np.zeros(0, object)
