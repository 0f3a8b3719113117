"""Times as they stand in tables: calendar times with or without a zone, counts since 1970 or since the file began."""

import time as clock
from typing import Any

import numpy as np
import pandas as pd
import pyarrow

from apps.fraud_detection import schema as schemas
from apps.fraud_detection.readers import columns

_ISO = "a time such as 2018-04-30 13:05:00"
_MICROSECONDS = 1_000_000
_DAY_SECONDS = 86_400
# Counts since 1970 are told apart by their size: the least of each, from March 1973 on, and how many make a second.
_EPOCHS = {"seconds": (1e8, 1), "milliseconds": (1e11, 1e3), "microseconds": (1e14, 1e6), "nanoseconds": (1e17, 1e9)}
_LONGEST_SECONDS = 100 * 365.25 * _DAY_SECONDS


def parse(column: "pd.Series[Any]", place: columns.Place, *, unit: str) -> columns.Ints:
    """Return (n,) int64 microseconds since 1970 (UTC), or since the beginning of the file.

    Args:
        column: Calendar times, with or without a zone, or counts.
        place: Of the column.
        unit: One of ``schema.UNITS``. For "datetime", numbers are seconds, milliseconds, ... since 1970.

    Raises:
        errors.InputError: A cell is empty, no time, in the future or far from the others.
    """
    values = columns.arrow(column)
    if unit != "datetime":
        return _counted(columns.numbers(column, place, expected=f"a time in {unit}"), place, schemas.UNITS[unit], unit)
    if pyarrow.types.is_timestamp(values.type) or pyarrow.types.is_date(values.type):
        found = values.cast(pyarrow.timestamp("us", getattr(values.type, "tz", None)), safe=False)
    elif columns.is_text(values) and not columns.is_number(columns.first(values)):
        found = _calendar(values, place)
    else:
        return _within(_since_1970(columns.numbers(column, place, expected=_ISO), place), place)
    if found.null_count:
        place.refuse(int(np.asarray(found.is_null()).argmax()), _ISO, None)
    return _within(found.cast(pyarrow.int64()).to_numpy(zero_copy_only=False), place)


def _counted(values: columns.Floats, place: columns.Place, seconds: float, unit: str) -> columns.Ints:
    bad = ~((values >= 0) & (values * seconds <= _LONGEST_SECONDS))
    if bad.any():
        row = int(bad.argmax())
        place.refuse(row, f"a time in {unit} since the beginning of the file, up to 100 years", values[row].item())
    return np.rint(values * (seconds * _MICROSECONDS)).astype(np.int64)


def _since_1970(values: columns.Floats, place: columns.Place) -> columns.Ints:
    """Return counts since 1970 in microseconds; the first one tells the unit by its size."""
    known = values[np.isfinite(values)]
    first = abs(known[0]) if len(known) else 0.0
    unit = next((name for name in reversed(_EPOCHS) if first >= _EPOCHS[name][0]), "seconds")
    low, scale = _EPOCHS[unit]
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
    # Zones in some rows only, or more digits than Arrow reads: slower.
    found = pd.to_datetime(values.to_pandas(), format="ISO8601", utc=True, errors="coerce")
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
