"""Times as they stand in tables: calendar times with or without a zone, counts since 1970 or since the file began."""

import time as clock
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.compute as pc

from apps.fraud_detection import schema as schemas
from shared.sources import columns, dates, numerals

# As BigQuery and PostgreSQL write the zone behind a time.
_UTC = r"^\s*(\d{4}[-/].*\d)\s*(?:UTC|GMT)\s*$"
_ISO = "a time such as 2018-04-30 13:05:00"
_MICROSECONDS = 1_000_000
_DAY_SECONDS = 86_400
# Counts since 1970 are told apart by their size: the least of each, from March 1973 on, and how many make a second.
EPOCHS = {"seconds": (1e8, 1), "milliseconds": (1e11, 1e3), "microseconds": (1e14, 1e6), "nanoseconds": (1e17, 1e9)}
_LONGEST_SECONDS = 100 * 365.25 * _DAY_SECONDS


def parse(column: "pd.Series[Any]", place: columns.Place, *, unit: str, how: str = schemas.AUTO) -> columns.Ints:
    """Return (n,) int64 microseconds since 1970 (UTC), or since the beginning of the file.

    Args:
        column: Calendar times, with or without a zone, or counts.
        place: Of the column.
        unit: One of ``schema.UNITS``. For "datetime", numbers are seconds, milliseconds, ... since 1970.
        how: One of ``schema.TIME_FORMATS``: the way in which calendar times are written as text or numbers.

    Raises:
        columns.UnreadableError: A cell is empty, no time, in the future or far from the others.
    """
    values = columns.arrow(column)
    if unit != "datetime":
        counts = numerals.numbers(column, place, expected=f"a time in {unit}")
        return _counted(counts, place, schemas.UNITS[unit], unit)
    if is_typed(values):
        found = values.cast(pyarrow.timestamp("us", getattr(values.type, "tz", None)), safe=False)
    elif how != schemas.AUTO and not is_iso(values):
        return _within(_in_format(column, place, how), place)
    elif columns.is_text(values) and not columns.is_number(columns.first(columns.with_nothing(values))):
        found = _calendar(values, place)
    else:
        return _within(_since_1970(numerals.numbers(column, place, expected=_ISO), place), place)
    if found.null_count:
        row = int(np.asarray(found.is_null()).argmax())
        place.refuse(row, _ISO, values[row].as_py())
    return _within(found.cast(pyarrow.int64()).to_numpy(zero_copy_only=False), place)


def add_clock(days: columns.Ints, column: "pd.Series[Any]", place: columns.Place) -> columns.Ints:
    """Return the instants of days whose time of day stands in a column of its own.

    Args:
        days: (n,) microseconds since 1970 of midnights.
        column: Times of day, as text or in a type of parquet.
        place: Of that column.

    Raises:
        columns.UnreadableError: A cell is empty or no time of day.
    """
    values = columns.arrow(column)
    if pyarrow.types.is_time(values.type):
        micro = values.cast(pyarrow.time64("us"), safe=False).cast(pyarrow.int64())
        found, good = micro.fill_null(0).to_numpy(zero_copy_only=False), np.asarray(values.is_valid())
    else:
        found, good = dates.clock(written_clock(column))
    if not good.all():
        row = int((~good).argmax())
        place.refuse(row, dates.CLOCK_EXAMPLE, values[row].as_py())
    return np.asarray(days + found, np.int64)


def written_clock(column: "pd.Series[Any]") -> Any:
    """Return times of day as Arrow text; whole numbers have six digits: 93015 is 09:30:15, in text, too."""
    values = columns.arrow(column)
    if columns.is_text(values):
        texts = columns.with_nothing(values)
        numbers = pc.all(pc.match_substring_regex(texts, r"^\d{1,6}$")).as_py()
        # Four digits alone are hours and minutes: 0930.
        longest = pc.max(pc.utf8_length(texts)).as_py() or 0
        return pc.utf8_lpad(texts, 6, padding="0") if numbers and longest > 4 else texts
    whole = columns.as_text(columns.identities(column))
    return pyarrow.array([each.zfill(6) if each.isdecimal() else None for each in whole], pyarrow.string())


def text_of(column: "pd.Series[Any]") -> Any:
    """Return a column that is no typed time as Arrow text, numbers as their digits, null where empty."""
    values = columns.arrow(column)
    if not columns.is_text(values):
        names = columns.text(column)
        values = pyarrow.array([each or None for each in names], pyarrow.string())
    return columns.with_nothing(values)


def is_typed(values: Any) -> bool:
    """Return whether an Arrow array holds times by its type."""
    return bool(pyarrow.types.is_timestamp(values.type) or pyarrow.types.is_date(values.type))


def iso(texts: Any) -> Any:
    """Return Arrow text with slashes and names of UTC as ISO 8601 has them."""
    plain = pc.replace_substring_regex(texts, r"^(\d{4})/(\d{1,2})/(\d{1,2})", r"\1-\2-\3")
    return pc.replace_substring_regex(plain, _UTC, r"\1Z")


def is_iso(values: Any) -> bool:
    """Return whether the first cell of a text is written year first, with something between year and month."""
    if not columns.is_text(values):
        return False
    return bool(pc.match_substring_regex(pyarrow.scalar(columns.first(values) or ""), r"^\s*\d{4}[/-]\d").as_py())


def _in_format(column: "pd.Series[Any]", place: columns.Place, how: str) -> columns.Ints:
    if how == dates.SPREADSHEET:
        values = pyarrow.array(numerals.numbers(column, place, expected=dates.EXAMPLES[how]))
    else:
        values = text_of(column)
    found, good = dates.parse(values, how)
    if not good.all():
        row = int((~good).argmax())
        place.refuse(row, dates.EXAMPLES[how], columns.arrow(column)[row].as_py())
    return found


def _counted(values: columns.Floats, place: columns.Place, seconds: float, unit: str) -> columns.Ints:
    bad = ~((values >= 0) & (values * seconds <= _LONGEST_SECONDS))
    if bad.any():
        row = int(bad.argmax())
        place.refuse(row, f"a time in {unit} since the beginning of the file, up to 100 years", values[row].item())
    return np.rint(values * (seconds * _MICROSECONDS)).astype(np.int64)


def _since_1970(values: columns.Floats, place: columns.Place) -> columns.Ints:
    """Return counts since 1970 in microseconds; the size of the first one gives the unit."""
    known = values[np.isfinite(values)]
    first = abs(known[0]) if len(known) else 0.0
    unit = next((name for name in reversed(EPOCHS) if first >= EPOCHS[name][0]), "seconds")
    low, scale = EPOCHS[unit]
    bad = ~((values >= low) & (values < low * 1e3))
    if bad.any():
        row = int(bad.argmax())
        place.refuse(row, f"{_ISO}, or {unit} since 1970", values[row].item())
    return np.rint(values * (_MICROSECONDS / scale)).astype(np.int64)


def _calendar(values: Any, place: columns.Place) -> Any:
    for zone in (None, "UTC"):
        try:
            return values.cast(pyarrow.timestamp("us", zone))
        except pyarrow.ArrowInvalid:
            continue
    # Zones in some rows only, slashes, or more digits than Arrow reads: slower.
    bare = iso(columns.with_nothing(values))
    found = pd.to_datetime(bare.to_pandas(), format="ISO8601", utc=True, errors="coerce")
    bad = found.isna().to_numpy()
    if bad.any():
        place.refuse(int(bad.argmax()), _ISO, values[int(bad.argmax())].as_py())
    return pyarrow.array(found.dt.as_unit("us"))


def _within(found: columns.Ints, place: columns.Place) -> columns.Ints:
    """Refuse calendar times before 1970 and after tomorrow."""
    tomorrow = int((clock.time() + _DAY_SECONDS) * _MICROSECONDS)
    bad = (found < 0) | (found > tomorrow)
    if bad.any():
        row = int(bad.argmax())
        place.refuse(row, "a time from 1970 to tomorrow", str(np.datetime64(int(found[row]), "us")))
    return found
