"""Columns of numbers, amounts and weights, and how people write them. A column has one convention, all through.

A convention is written as ``point`` (thousands separators), ``comma`` (decimal commas) or ``""`` (plainly), with the
sign of the currency that cells bear behind a space: ``"comma €"``.
"""

import typing
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.compute as pc

from shared.sources import cells, columns

PLAIN = ""

_LARGEST_AMOUNT = 1e11
_KINDS = (pyarrow.types.is_integer, pyarrow.types.is_floating, pyarrow.types.is_decimal, pyarrow.types.is_boolean)
_FEWEST_THOUSANDS = 20
# The cells of a convention that can be read at once; what they leave is read cell by cell.
_SIMPLE = {
    "point": r"^[+-]?(\d+(\.\d*)?|\.\d+|[1-9]\d{0,2}(,\d{3})+(\.\d*)?)$",
    "comma": r"^[+-]?(\d+|\d*,\d+|\d+,)$",
}


def numbers(
    column: "pd.Series[Any]", place: columns.Place, *, expected: str = "a number", written: str = PLAIN
) -> columns.Floats:
    """Return (n,) float64; NaN where the cell is empty.

    Args:
        column: Numbers, or text.
        place: Of the column.
        expected: What a cell should hold.
        written: The convention of text.

    Raises:
        columns.UnreadableError: A cell holds no number, or an infinite one.
    """
    values = columns.arrow(column)
    if columns.is_text(values):
        found = _parsed(values, place, expected, written)
    elif any(fits(values.type) for fits in _KINDS):
        if not pyarrow.types.is_floating(values.type):
            whole = pyarrow.int8() if columns.is_bool(values) else pyarrow.float64()
            values = values.cast(whole, safe=False)
        found = values.to_numpy(zero_copy_only=False).astype(np.float64)
    else:
        place.refuse(0, expected, str(columns.first(values)) if len(values) else str(values.type))
    infinite = np.isinf(found)
    if infinite.any():
        place.refuse(int(infinite.argmax()), f"{expected} that is finite", found[infinite.argmax()].item())
    return found


def amounts(column: "pd.Series[Any]", place: columns.Place, *, written: str = PLAIN) -> columns.Floats:
    """Return (n,) float64; negative ones are refunds.

    Raises:
        columns.UnreadableError: A cell is empty, no number, or none that money has.
    """
    found = numbers(column, place, expected="an amount", written=written)
    bad = ~(np.abs(found) <= _LARGEST_AMOUNT)
    if bad.any():
        row = int(bad.argmax())
        place.refuse(row, f"an amount up to {_LARGEST_AMOUNT:g}", found[row].item())
    return found


def weights(column: "pd.Series[Any]", place: columns.Place, *, written: str = PLAIN) -> columns.Floats:
    """Return (n,) float64 above 0.

    Raises:
        columns.UnreadableError: A cell is empty, or holds no positive number.
    """
    found = numbers(column, place, expected="a weight above 0", written=written)
    bad = ~(found > 0)
    if bad.any():
        place.refuse(int(bad.argmax()), "a weight above 0", found[bad.argmax()].item())
    return found


def find_convention(parts: Iterable["pd.Series[Any]"], *, decimal: cells.Decimal) -> str:
    """Return the convention of a column, from all of its rows.

    Args:
        parts: The column, piece after piece.
        decimal: The mark that the user states.
    """
    shapes: dict[str, int] = {}
    for part in parts:
        values = columns.arrow(part)
        if not columns.is_text(values):
            continue
        # Digits do not matter, but for zeros at the beginning: a few shapes stand for millions of cells.
        for shape, count in columns.counts(pc.replace_substring_regex(values, "[1-9]", "1")).items():
            shapes[shape] = shapes.get(shape, 0) + count
    found = cells.convention(shapes, decimal=decimal)
    filled = sum(count for shape, count in shapes.items() if not cells.is_nothing(shape))
    signed = sum(count for shape, count in shapes.items() if cells.currency_of(shape))
    if 2 * signed < filled:
        # A few signs among plain numbers are slips, which are refused where they stand.
        bare = {shape: count for shape, count in shapes.items() if not cells.currency_of(shape)}
        return cells.convention(bare, decimal=decimal).decimal
    return f"{found.decimal} {found.currency}".strip()


def refuse_thousands(column: "pd.Series[Any]", place: columns.Place) -> None:
    """Refuse amounts whose points all stand before three digits, beside whole ones below 1,000: thousands, most likely.

    As fractions some of them would end in a zero, which is not written.

    Args:
        column: Amounts as text; of other types there is no doubt.
        place: Of the column.

    Raises:
        columns.UnreadableError: It names the first of them.
    """
    values = columns.arrow(column)
    if not columns.is_text(values):
        return
    texts = columns.with_nothing(values)
    grouped = pc.fill_null(pc.match_substring_regex(texts, r"^[+-]?[1-9]\d{0,2}(\.\d{3})+$"), False)
    small = pc.fill_null(pc.match_substring_regex(texts, r"^[+-]?\d{1,3}$"), False)
    others = len(texts) - texts.null_count - pc.sum(grouped).as_py() - pc.sum(small).as_py()
    if pc.sum(grouped).as_py() >= _FEWEST_THOUSANDS and pc.any(small).as_py() and not others:
        row = int(np.asarray(grouped).argmax())
        place.refuse(row, "an amount whose point is stated (--decimal point or comma)", values[row].as_py())


def readable_share(column: "pd.Series[Any]", *, written: str = PLAIN) -> float:
    """Return the share of numbers among the cells that are not empty; 0 where all are."""
    values = columns.arrow(column)
    if not columns.is_text(values):
        return float(any(fits(values.type) for fits in _KINDS))
    texts = columns.with_nothing(values).drop_null()
    if not len(texts):
        return 0.0
    try:
        _parsed(texts, columns.Place("", ""), "", written)
    except columns.UnreadableError:
        found = columns.counts(texts)
    else:
        return 1.0
    good = pd.to_numeric(pd.Series(list(found)), errors="coerce").notna().to_numpy()
    if written:
        good = good | pc.match_substring_regex(
            _bare(list(found), written), _SIMPLE[written.partition(" ")[0]]
        ).to_numpy(False)
    return float(np.array(list(found.values()))[good].sum() / len(texts))


def looks_numeric(column: "pd.Series[Any]") -> bool:
    """Return whether most filled cells of a text hold digits and no letters but those of a currency."""
    values = columns.arrow(column)
    if not columns.is_text(values):
        return False
    texts = columns.with_nothing(values).drop_null()
    found = pc.match_substring_regex(texts, r"^[^\pL]*([A-Z]{3})?[^\pL]*$")
    digits = pc.match_substring_regex(texts, r"\d")
    return bool(len(texts)) and 2 * pc.sum(pc.and_(found, digits)).as_py() >= len(texts)


def has_words(column: "pd.Series[Any]") -> bool:
    """Return whether any cell of a text that is no number has a letter or a digit: a question mark has none."""
    found = pd.Series(list(columns.counts(columns.with_nothing(columns.arrow(column)))), dtype=object)
    words = found[pd.to_numeric(found, errors="coerce").isna()]
    return bool(words.str.contains(r"\w", regex=True).any())


def _parsed(values: Any, place: columns.Place, expected: str, written: str) -> columns.Floats:
    decimal, _, currency = written.partition(" ")
    if decimal != "comma":
        try:
            found: columns.Floats = values.cast(pyarrow.float64()).to_numpy(zero_copy_only=False)
            return found
        except pyarrow.ArrowInvalid:
            pass
    bare = columns.with_nothing(values)
    if not decimal:
        return _plain(bare, place, expected, values)
    found = _simple(bare, decimal, currency)
    rest = np.flatnonzero(np.isnan(found) & np.asarray(bare.is_valid()))
    one_by_one = [cells.numbers([bare[row].as_py()], decimal=typing.cast(cells.Decimal, decimal)) for row in rest]
    for row, read in zip(rest.tolist(), one_by_one, strict=True):
        if read.wrong.size or cells.currency_of(bare[row].as_py()) not in ("", currency):
            place.refuse(row, f"{expected}, {_words(decimal, currency)}", values[row].as_py())
    found[rest] = [read.values[0] for read in one_by_one]
    return found


def _plain(bare: Any, place: columns.Place, expected: str, values: Any) -> columns.Floats:
    try:
        found: columns.Floats = bare.cast(pyarrow.float64()).to_numpy(zero_copy_only=False)
        return found
    except pyarrow.ArrowInvalid:
        found = pd.to_numeric(bare.to_pandas(), errors="coerce").to_numpy(np.float64, na_value=np.nan)
    bad = np.isnan(found) & np.asarray(bare.is_valid())
    if bad.any():
        place.refuse(int(bad.argmax()), expected, values[int(bad.argmax())].as_py())
    return found


def _simple(bare: Any, decimal: str, currency: str) -> columns.Floats:
    """Return (n,) float64 of the cells that are written in the usual way, NaN for all others."""
    bare = _bare(bare, f"{decimal} {currency}")
    fits = pc.match_substring_regex(bare, _SIMPLE[decimal])
    bare = pc.if_else(fits, bare, None)
    plain = pc.replace_substring(bare, ",", "." if decimal == "comma" else "")
    return np.array(plain.cast(pyarrow.float64()).to_numpy(zero_copy_only=False), np.float64)


def _words(decimal: str, currency: str) -> str:
    words = "with a decimal comma" if decimal == "comma" else "with thousands separators or none"
    return f"{words}{f' in {currency}' if currency else ''}, as the others"


def _bare(values: Any, written: str) -> Any:
    """Return Arrow text without the sign of the currency."""
    currency = written.partition(" ")[2]
    found = values if isinstance(values, pyarrow.Array) else pyarrow.array(values, pyarrow.string())
    if not currency:
        return found
    return pc.utf8_trim_whitespace(pc.replace_substring(found, currency, "", max_replacements=1))
