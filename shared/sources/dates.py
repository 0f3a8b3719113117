"""Calendar times as people and spreadsheets write them, in columns of one way of writing each."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow
import pyarrow.compute as pc

DAY_FIRST, MONTH_FIRST, DIGITS, SPREADSHEET = "day-first", "month-first", "yyyymmdd", "excel"
EXAMPLES = {
    DAY_FIRST: "a time such as 31/12/2018 13:05:00, the day first as in the others",
    MONTH_FIRST: "a time such as 12/31/2018 13:05:00, the month first as in the others",
    DIGITS: "a date such as 20181231, or with a clock 20181231130500",
    SPREADSHEET: "days since 1900 as spreadsheets count them, such as 43465.5",
}
CLOCK_EXAMPLE = "a time of day such as 13:05:00"

_MICROSECONDS = 1_000_000
_DAY = 86_400 * _MICROSECONDS
_CLOCK = r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}(?:\.\d+)?))?\s*(?P<half>[AaPp])?\.?(?:[Mm]\.?)?"
_DATE = r"(?P<first>\d{1,2})[/.\-](?P<second_part>\d{1,2})[/.\-](?P<year>\d{4})"
_WRITTEN = rf"^{_DATE}(?:(?:[ T]|, )\s*{_CLOCK})?$"
_DIGITS = r"^(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})(?:(?P<hour>\d{2})(?P<minute>\d{2})(?P<second>\d{2})?)?$"
_CLOCK_DIGITS = r"^(?P<hour>\d{2})(?P<minute>\d{2})(?P<second>\d{2})?$"
# Day 0 of spreadsheets, which take 1900 for a leap year: right for all days from March 1900 on.
_SPREADSHEET_ZERO = int(np.datetime64("1899-12-30", "D").astype(np.int64))
# Dates of 1970 to 2100 in spreadsheets.
SERIALS = (25_569.0, 73_050.0)

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def parse(values: Any, how: str) -> tuple[Ints, Flags]:
    """Return microseconds since 1970 and whether a cell is such a time, each (n,); both are whole days without a clock.

    Args:
        values: Arrow text without spaces around it, null where empty; for ``SPREADSHEET`` float64.
        how: One of ``EXAMPLES``.
    """
    if how == SPREADSHEET:
        return _spreadsheet(values)
    if how == DIGITS:
        parts = _parts(values, _DIGITS)
        return _instants(parts, parts["month"], parts["day"])
    parts = _parts(values, _WRITTEN)
    one, other = parts["first"], parts["second_part"]
    return _instants(parts, other, one) if how == DAY_FIRST else _instants(parts, one, other)


def clock(values: Any) -> tuple[Ints, Flags]:
    """Return microseconds since midnight and whether a cell is a time of day, each (n,).

    Args:
        values: Arrow text as 13:05, 1:05:30 PM or 130530, null where empty.
    """
    digits = pc.all(pc.match_substring_regex(values.drop_null(), _CLOCK_DIGITS)).as_py()
    parts = _parts(values, _CLOCK_DIGITS if digits else f"^{_CLOCK}$")
    return _time_of_day(parts)


def order(values: Any) -> tuple[int, int, int]:
    """Return how many cells are dates with the year last, and in how many the day must come first, or the month.

    Args:
        values: Arrow text without spaces around it.
    """
    parts = _parts(values, _WRITTEN)
    known = np.isfinite(parts["year"])
    return int(known.sum()), int((parts["first"] > 12).sum()), int((parts["second_part"] > 12).sum())


def share(values: Any, how: str) -> float:
    """Return the share of the filled cells that are times of a kind: one of ``EXAMPLES``, "clock", or "dated".

    "dated" are those with the year last, whichever of day and month comes first.
    """
    filled = values.drop_null()
    if not len(filled):
        return 0.0
    if how == "dated":
        return float(np.isfinite(_parts(filled, _WRITTEN)["year"]).mean())
    return float((clock(filled) if how == "clock" else parse(filled, how))[1].mean())


def _parts(values: Any, pattern: str) -> dict[str, npt.NDArray[np.float64]]:
    """Return what the groups of a pattern hold, NaN where the cell does not fit or the group is empty."""
    found = pc.extract_regex(values, pattern)
    parts = {}
    for index in range(found.type.num_fields):
        name = found.type.field(index).name
        texts = found.field(index)
        texts = pc.if_else(pc.and_(found.is_valid(), pc.not_equal(texts, "")), texts, None)
        if name == "half":
            late = pc.is_in(texts, pyarrow.array(["p", "P"]))
            texts = pc.if_else(texts.is_valid(), pc.if_else(late, "1", "0"), None)
        parts[name] = np.asarray(texts.cast(pyarrow.float64()).to_numpy(zero_copy_only=False), np.float64)
    return parts


def _instants(
    parts: dict[str, npt.NDArray[np.float64]], month: npt.NDArray[np.float64], day: npt.NDArray[np.float64]
) -> tuple[Ints, Flags]:
    year = parts["year"]
    good = (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
    months = (np.where(good, year, 1970) - 1970) * 12 + np.where(good, month, 1) - 1
    first = months.astype(np.int64).astype("datetime64[M]")
    days = first.astype("datetime64[D]").astype(np.int64) + np.where(good, day, 1).astype(np.int64) - 1
    # The 30th of February is in March.
    good &= days.astype("datetime64[D]").astype("datetime64[M]") == first
    without = np.isnan(parts["hour"])
    of_day, valid = _time_of_day(parts)
    return days * _DAY + np.where(without, 0, of_day), good & (without | valid)


def _time_of_day(parts: dict[str, npt.NDArray[np.float64]]) -> tuple[Ints, Flags]:
    hour, minute, second = parts["hour"], parts["minute"], np.nan_to_num(parts["second"])
    half = parts.get("half", np.full(len(hour), np.nan))
    halved = np.isfinite(half)
    good = (hour < 24) & (minute < 60) & (second < 60) & (~halved | ((hour >= 1) & (hour <= 12)))
    hour = np.where(halved, hour % 12 + 12 * np.nan_to_num(half), hour)
    seconds = np.where(good, hour * 3_600 + minute * 60, 0)
    return seconds.astype(np.int64) * _MICROSECONDS + np.rint(second * _MICROSECONDS).astype(np.int64), good


def _spreadsheet(values: Any) -> tuple[Ints, Flags]:
    days = np.asarray(values.cast(pyarrow.float64()).to_numpy(zero_copy_only=False), np.float64)
    good = (days >= SERIALS[0]) & (days <= SERIALS[1])
    # A spreadsheet keeps the time of day to about a millisecond.
    milliseconds = np.rint((np.where(good, days, SERIALS[0]) + _SPREADSHEET_ZERO) * 86_400_000)
    return milliseconds.astype(np.int64) * 1_000, good
