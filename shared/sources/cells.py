"""What single cells of tables say: numbers as people and their programs write them, truth values, nothing.

A column is read by one convention, and only where all of its cells agree on one; nothing is guessed cell by cell.
"""

import collections
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Decimal = Literal["auto", "point", "comma"]

# Words for "no value" in columns of numbers, times and labels. In columns of names they are names: NA is Namibia.
# \N is what COPY of PostgreSQL and exports of MySQL write.
NOTHING = frozenset(("", "na", "n/a", "#n/a", "nan", "<na>", "null", "none", "nat", "\\n"))
_TRUE = frozenset(("1", "1.0", "true", "t", "yes", "y"))
_FALSE = frozenset(("0", "0.0", "false", "f", "no", "n"))

_SIGNS = "$€£¥₹₩₽₺₪฿"
_CODES = "USD|EUR|GBP|JPY|CHF|INR|AUD|CAD|CNY|SEK|NOK|DKK|PLN|CZK|BRL|MXN|ZAR|TRY|NZD|SGD|HKD|KRW"
_CURRENCY = re.compile(rf"(?:[{_SIGNS}]|(?<![A-Za-z])(?:{_CODES})(?![A-Za-z]))")
# What stands between groups of three digits besides the other convention's decimal mark: apostrophes and thin spaces.
_SPACES = "'’ \u00a0\u2009\u202f"
_PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_POINT = re.compile(rf"[+-]?[1-9]\d{{0,2}}([,{_SPACES}])\d{{3}}(\1\d{{3}})*(\.\d*)?")
_WHOLE = re.compile(r"[+-]?\d+")
_COMMA = re.compile(rf"[+-]?(\d*,\d+|\d+,|[1-9]\d{{0,2}}([.{_SPACES}])\d{{3}}(\2\d{{3}})*(,\d*)?)")
# Negative numbers as accounting and SAP write them; without a fraction they may be something else: marks at school.
_ACCOUNTING = re.compile(r"\([^()]*\.\d+\)|[^()-]*\.\d+\s*-")
# One cell that is written in a way of its own is more likely a slip than a convention.
_FEWEST_WITNESSES = 2


class Numbers(NamedTuple):
    """A column of cells as numbers.

    Attributes:
        values: (n,) float64; NaN where a cell is empty or no number.
        wrong: Places of the cells that are no numbers by the convention of the others, in order.
        note: How the cells are written, "" where plainly.
        expected: What a cell should have been, for a message.
    """

    values: NDArray[np.float64]
    wrong: NDArray[np.int64]
    note: str
    expected: str


class Convention(NamedTuple):
    """How the cells of a column are written.

    Attributes:
        decimal: "point" with thousands separators, "comma" with decimal commas; "" plainly, or not told.
        currency: The sign or code of most cells; "" where none has one.
        expected: What a cell should be, for a message.
    """

    decimal: str
    currency: str
    expected: str


class _Convention(NamedTuple):
    """One way to write numbers: which cells fit, and which of these would be something else, or nothing, plainly."""

    name: str
    fits: list[bool]
    needed: list[bool]


def is_nothing(cell: object) -> bool:
    """Tell a cell of a column of numbers, times or labels that gives no value.

    >>> is_nothing(" NaN "), is_nothing(None), is_nothing("0")
    (True, True, False)
    """
    return cell is None or cell != cell or str(cell).strip().casefold() in NOTHING


def truth(cell: object) -> bool | None:
    """Return what a cell of yes and no says, None where it is neither.

    >>> truth("Y"), truth(" false"), truth(1.0), truth("maybe")
    (True, False, True, None)
    """
    text = str(cell).strip().casefold()
    return True if text in _TRUE else False if text in _FALSE else None


def numbers(cells: Iterable[Any], *, decimal: Decimal = "auto") -> Numbers:
    """Read a column of text as numbers.

    Besides plain numbers, as ``float`` takes them, these are read where all cells of the column agree: one currency's
    sign or code, thousands separators (``1,234.50``), decimal commas (``1.234,50``), negatives in parentheses.
    Two cells at least must show the convention. Where ``1,234`` could be both, neither is taken.

    Args:
        cells: Text; None and NaN are empty.
        decimal: Which mark stands before the fraction: settles what cells alone do not.

    >>> numbers(["1,234.50", "2,000.00", "12.5", ""]).values.tolist()
    [1234.5, 2000.0, 12.5, nan]
    >>> numbers(["12,5", "1.234,5"]).values.tolist(), numbers(["12.5", "1,234.50"]).wrong.tolist()
    ([12.5, 1234.5], [1])
    """
    place, distinct = pd.factorize(np.array(list(cells), dtype=object), use_na_sentinel=True)
    counts = np.bincount(place[place >= 0], minlength=len(distinct)).tolist()
    texts = ["" if is_nothing(cell) else _bare(str(cell)) for cell in distinct]
    chosen = _convention(texts, counts, decimal)
    values = np.array(
        [_value(text, chosen.name) if fit else np.nan for text, fit in zip(texts, chosen.fits, strict=True)]
    )
    money = [currency_of(cell) for cell in distinct]
    usual = _usual(money, counts)
    mixed = [each not in ("", usual) for each in money]
    wrong = np.array([bool(text) and not fit for text, fit in zip(texts, chosen.fits, strict=True)], bool) | mixed
    said = [
        note for note, holds in ((_NOTES[chosen.name], any(chosen.needed)), (f"the currency {usual}", usual)) if holds
    ]
    return Numbers(
        values=np.append(values, np.nan)[place],
        wrong=np.flatnonzero(np.append(wrong, False)[place]),
        note=f"read with {' and '.join(said)}" if said else "",
        expected=_expected(chosen.name, usual),
    )


def convention(counts: Mapping[str, int], *, decimal: Decimal = "auto") -> Convention:
    """Return how a column of text is written, from its distinct cells; see ``numbers``.

    Where only the convention is wanted, cells may be given by their shapes, each digit but leading zeros as 1.

    Args:
        counts: Cell -> how many there are.
        decimal: As for ``numbers``.

    >>> convention({"$1,111.11": 20, "$111": 3})[:2], convention({"1.5": 9, "1,5": 1})[:2]
    (('point', '$'), ('', ''))
    """
    many = list(counts.values())
    chosen = _convention(["" if is_nothing(cell) else _bare(cell) for cell in counts], many, decimal)
    usual = _usual([currency_of(cell) for cell in counts], many)
    decided = chosen.name if chosen.name in ("point", "comma") else ""
    if chosen.name == "plain" and (usual or _is_accounting(counts)):
        decided = "point"
    return Convention(decimal=decided, currency=usual, expected=_expected(chosen.name, usual))


def currency_of(cell: object) -> str:
    """Return the sign or code of a currency in a cell, "" for none.

    >>> currency_of("12 EUR"), currency_of("$5"), currency_of("7")
    ('EUR', '$', '')
    """
    found = _CURRENCY.search(str(cell))
    return found[0] if found else ""


def _is_accounting(counts: Mapping[str, int]) -> bool:
    """Tell whether all filled cells are plain numbers, but for some negative ones with their sign behind or around."""
    filled = {cell.strip(): count for cell, count in counts.items() if not is_nothing(cell)}
    signed = {cell: count for cell, count in filled.items() if _ACCOUNTING.fullmatch(cell)}
    plain = [cell for cell in filled if cell not in signed]
    return sum(signed.values()) >= _FEWEST_WITNESSES and bool(plain) and all(map(_is_plain, plain))


def _usual(currencies: Sequence[str], counts: Sequence[int]) -> str:
    totals: collections.Counter[str] = collections.Counter()
    for currency, count in zip(currencies, counts, strict=True):
        totals[currency] += count
    return max(filter(None, totals), key=totals.__getitem__, default="")


def _expected(name: str, currency: str) -> str:
    return _EXPECTED[name] + (f" in {currency}" if currency else "")


_NOTES = {"plain": "", "point": "thousands separators", "comma": "decimal commas", "unclear": ""}
_EXPECTED = {
    "plain": "a number",
    "point": "a number with thousands separators",
    "comma": "a number with a decimal comma",
    "unclear": "a number whose comma is told (--decimal point or comma)",
}


def _bare(text: str) -> str:
    """Return a cell without currency and spaces; a negative number with its sign in front."""
    bare = _CURRENCY.sub("", text, count=1).strip()
    if bare.startswith("(") and bare.endswith(")"):
        bare = f"-{bare[1:-1].strip()}"
    bare = bare.replace("−", "-")
    return f"-{bare[:-1].strip()}" if bare.endswith("-") else re.sub(r"^([+-])\s+", r"\1", bare)


def _convention(texts: Sequence[str], counts: Sequence[int], decimal: Decimal) -> _Convention:
    plain = _Convention("plain", [_is_plain(text) for text in texts], [False] * len(texts))
    if decimal != "comma" and all(fit or not text for fit, text in zip(plain.fits, texts, strict=True)):
        return plain
    # Beside grouped numbers a large plain one is written otherwise: the cells do not agree.
    grouped = [_POINT.fullmatch(text) is not None for text in texts]
    point = _Convention(
        "point", [grouped[i] or (_is_plain(text) and _is_small(text)) for i, text in enumerate(texts)], grouped
    )
    commas = [_COMMA.fullmatch(text) is not None for text in texts]
    comma = _Convention(
        "comma", [commas[i] or _WHOLE.fullmatch(text) is not None for i, text in enumerate(texts)], commas
    )
    allowed = {"auto": (point, comma), "point": (point,), "comma": (comma,)}[decimal]
    fitting = [each for each in allowed if _accepted(each, texts, counts, asked=decimal != "auto")]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        return _Convention("unclear", [_WHOLE.fullmatch(text) is not None for text in texts], [False] * len(texts))
    # None fits all: cells are wrong by the way in which most are written.
    seen = [each for each in allowed if _witnesses(each, counts) >= _FEWEST_WITNESSES]
    return max((plain, *seen), key=lambda each: sum(n for n, fit in zip(counts, each.fits, strict=True) if fit))


def _accepted(each: _Convention, texts: Sequence[str], counts: Sequence[int], *, asked: bool) -> bool:
    whole = all(fit or not text for fit, text in zip(each.fits, texts, strict=True))
    return whole and (asked or _witnesses(each, counts) >= _FEWEST_WITNESSES)


def _witnesses(each: _Convention, counts: Sequence[int]) -> int:
    return sum(count for count, needed in zip(counts, each.needed, strict=True) if needed)


def _is_plain(text: str) -> bool:
    return _PLAIN.fullmatch(text) is not None or text.lower().lstrip("+-") in ("inf", "infinity")


def _is_small(text: str) -> bool:
    return abs(float(text)) < 1000


def _value(text: str, convention: str) -> float:
    if not text:
        return float("nan")
    if convention == "plain":
        return float(text)
    bare = re.sub(rf"[{_SPACES}]", "", text)
    return float(bare.replace(".", "").replace(",", ".") if convention == "comma" else bare.replace(",", ""))
