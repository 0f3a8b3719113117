"""Which column of a table is the time, how it is written, and whether its clock stands in another one."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.compute as pc

from apps.fraud_detection import schema as schemas
from apps.fraud_detection.readers import names, times
from shared.sources import columns, dates, numerals

# Columns whose names are those of dates: counts in them do not begin with the file.
_CALENDAR_WORDS = frozenset(("date", "datetime", "timestamp", "created", "booked", "at", "when", "dt", "ts"))
_UNIT_WORDS = {"step": "hours", "hour": "hours", "hours": "hours", "minute": "minutes", "minutes": "minutes"}
_UNIT_WORDS |= {"day": "days", "days": "days", "month": "months", "months": "months"}
_UNIT_WORDS |= {"second": "seconds", "seconds": "seconds", "secs": "seconds", "sec": "seconds"}
_SAMPLE = 1_000
_MOST = 0.5
# Days of 1990 to 2036 in spreadsheets: a column of nothing else, called time, could be these or seconds.
_LIKELY_SERIALS = (32_874, 49_710)
_LARGEST_CLOCK_SECONDS = 86_399
CALENDAR, CLOCK, COUNT, NONE = "calendar", "clock", "count", "none"
ADVICE = (
    "--time-format says how times are written: day-first, month-first, yyyymmdd, excel, or seconds, minutes, hours, "
    "days or months since the beginning; --time-column names another column"
)


class Kind(NamedTuple):
    """What a column holds.

    Attributes:
        what: ``CALENDAR``, ``CLOCK``, ``COUNT`` or ``NONE``.
        how: How calendar times are written, see ``schema.TIME_FORMATS``.
        unit: Of a count.
        days_only: Whether calendar times have no clock.
        expected: Of ``NONE``: what it should hold.
    """

    what: str
    how: str = schemas.AUTO
    unit: str = "datetime"
    days_only: bool = False
    expected: str = "a time such as 2018-04-30 13:05:00"


class Chosen(NamedTuple):
    """The column of the time, what it holds, and the column of its clock."""

    name: str
    kind: Kind
    clock: str | None = None


def choose(table: pd.DataFrame, ranked: Sequence[str], *, where: str, strong: Sequence[str]) -> Chosen | None:
    """Return the time of a table, by the order of names and then by what they hold; None where no column is one.

    A calendar time comes before a count.

    Args:
        table: The first rows.
        ranked: Columns whose names may be those of a time, the likeliest first.
        where: The file, for messages.
        strong: Those of them whose names cannot mean anything else.

    Raises:
        columns.UnreadableError: A column that is called a time, and comes before all that are one, holds something
            else.
    """
    kinds = {name: kind_of(table[name]) for name in ranked}
    usable = [name for what in (CALENDAR, COUNT) for name in ranked if kinds[name].what == what]
    before = ranked[: ranked.index(usable[0])] if usable else ranked
    for name in before:
        wrong = kinds[name].what == NONE or (kinds[name].what == CLOCK and not usable)
        if name in strong and wrong:
            _refuse(table[name], kinds[name], where)
    if not usable:
        return None
    return Chosen(usable[0], kinds[usable[0]])


def with_clock(
    table: pd.DataFrame, chosen: Chosen, others: Sequence[str], *, where: str, strong: Sequence[str]
) -> Chosen:
    """Return a column of days with that of the time of day, if there is one.

    Args:
        table: The first rows.
        chosen: The column of the time.
        others: Columns whose names may be those of a time.
        where: The file, for messages.
        strong: Those of them in which numbers must be times of day.

    Raises:
        columns.UnreadableError: Numbers in a column called time could be a time of day or something else.
    """
    if chosen.kind.what != CALENDAR or not chosen.kind.days_only:
        return chosen
    kinds = {name: kind_of(table[name]).what for name in others}
    clocks = [name for name in others if kinds[name] == CLOCK]
    if clocks:
        return chosen._replace(clock=clocks[0])
    counts = [name for name in strong if kinds[name] == COUNT and "time" in names.words(name)]
    return chosen._replace(clock=_numbered_clock(table[counts[0]], where)) if counts else chosen


def is_written(column: "pd.Series[Any]", how: str) -> bool:
    """Return whether most filled cells of a column are times of a kind, one of ``schema.TIME_FORMATS`` or a unit."""
    if how in (dates.DAY_FIRST, dates.MONTH_FIRST, dates.DIGITS):
        return dates.share(times.text_of(column).drop_null().slice(0, _SAMPLE), how) >= _MOST
    kind = kind_of(column)
    return kind.how == how if how == dates.SPREADSHEET else kind.what == COUNT


def kind_of(column: "pd.Series[Any]") -> Kind:
    """Return what most filled cells of a column are."""
    values = columns.arrow(column).drop_null()
    if not len(values):
        return Kind(NONE)
    if times.is_typed(values):
        whole = values.cast(pyarrow.timestamp("us"), safe=False).cast(pyarrow.int64()).to_numpy(zero_copy_only=False)
        return Kind(CALENDAR, days_only=bool((whole % 86_400_000_000 == 0).all()))
    if pyarrow.types.is_time(values.type):
        return Kind(CLOCK)
    if not columns.is_text(values) or numerals.readable_share(column) >= _MOST:
        return _number_kind(column)
    texts = columns.with_nothing(values).drop_null()
    texts = texts.slice(0, _SAMPLE)
    if dates.share(texts, "clock") >= _MOST:
        return Kind(CLOCK)
    if dates.share(texts, "dated") >= _MOST:
        return Kind(CALENDAR, days_only=not pc.any(pc.match_substring(texts, ":")).as_py())
    good = pd.to_datetime(times.iso(texts).to_pandas(), format="ISO8601", utc=True, errors="coerce").notna()
    if len(good) and good.mean() >= _MOST:
        return Kind(CALENDAR, days_only=not pc.any(pc.match_substring(texts, ":")).as_py())
    return Kind(NONE)


def date_order(parts: "Iterable[pd.Series[Any]]", *, where: str, column: str) -> str:
    """Return how a column of dates with the year last is written, from all of its rows.

    Args:
        parts: The column, piece after piece.
        where: The file, for messages.
        column: Its name.

    Returns:
        The order that most rows show which can show one; those that contradict it are refused when they are read.

    Raises:
        columns.UnreadableError: No row shows which is the day and which the month.
    """
    days, months, example = 0, 0, ""
    for part in parts:
        values = columns.arrow(part)
        if not columns.is_text(values):
            continue
        texts = columns.with_nothing(values)
        dated, day_first, month_first = dates.order(texts)
        days, months = days + day_first, months + month_first
        if dated and not example:
            example = str(columns.first(texts))
    if not example:
        return schemas.AUTO
    if not days and not months:
        raise columns.UnreadableError(
            f"{where}: column {column!r}: expected dates of which one shows the day and the month (--time-format "
            f"{dates.DAY_FIRST} or {dates.MONTH_FIRST} does). Received: {example!r} and others whose day and month are "
            f"both at most 12",
            column,
        )
    return dates.DAY_FIRST if days >= months else dates.MONTH_FIRST


def _number_kind(column: "pd.Series[Any]") -> Kind:
    parts = _parts_of(column)
    if dates.share(times.text_of(column).drop_null().slice(0, _SAMPLE), dates.DIGITS) >= _MOST:
        found, good = dates.parse(times.text_of(column).drop_null(), dates.DIGITS)
        found = found[good]
        if 0 <= np.median(found) < np.datetime64("2100-01-01", "us").astype(np.int64):
            return Kind(CALENDAR, how=dates.DIGITS, days_only=not (found % 86_400_000_000).any())
    numbers = pd.to_numeric(columns.arrow(column).to_pandas(), errors="coerce").dropna().to_numpy(np.float64)
    if not len(numbers) or (numbers < 0).any():
        return Kind(NONE)
    if np.median(numbers) >= min(low for low, _ in times.EPOCHS.values()):
        return Kind(CALENDAR)
    unit = next((_UNIT_WORDS[word] for word in names.words(str(column.name)) if word in _UNIT_WORDS), "")
    if unit:
        return Kind(COUNT, unit=unit)
    if parts & _CALENDAR_WORDS:
        serial = ((numbers >= dates.SERIALS[0]) & (numbers <= dates.SERIALS[1])).mean() >= _MOST
        if serial:
            return Kind(CALENDAR, how=dates.SPREADSHEET, days_only=not (numbers % 1).any())
        return Kind(NONE, expected="a calendar time, or seconds or finer since 1970, in a column of this name")
    if ((numbers >= _LIKELY_SERIALS[0]) & (numbers <= _LIKELY_SERIALS[1])).all():
        return Kind(NONE, expected="a time of a stated unit: this could be days as spreadsheets count them, or seconds")
    return Kind(COUNT, unit="seconds")


def _parts_of(column: "pd.Series[Any]") -> set[str]:
    found = names.words(str(column.name))
    return {*found, "".join(found)}


def _numbered_clock(column: "pd.Series[Any]", where: str) -> str:
    """Return the name of a column whose numbers are clocks beyond doubt, 93015 for 09:30:15.

    Raises:
        columns.UnreadableError: They could be seconds as well.
    """
    texts = times.written_clock(column).drop_null()
    _, good = dates.clock(texts)
    if good.all() and max(int(each) for each in texts.to_pylist()) > _LARGEST_CLOCK_SECONDS:
        return str(column.name)
    _refuse(column, Kind(NONE, expected=f"{dates.CLOCK_EXAMPLE} beside a column of days"), where)
    raise AssertionError


def _refuse(column: "pd.Series[Any]", kind: Kind, where: str) -> None:
    values = columns.arrow(column)
    known = np.asarray(values.is_valid())
    expected = "a date beside the time of day" if kind.what == CLOCK else kind.expected
    row = int(known.argmax()) if known.any() else 0
    received = values[row].as_py() if len(values) else None
    columns.Place(where, str(column.name), 0, ADVICE).refuse(row, expected, received)


def described(schema: schemas.Schema) -> Mapping[str, str]:
    """Return the roles of the columns of the time, in words."""
    how = {
        schemas.AUTO: schema.time_unit,
        dates.SPREADSHEET: "datetime, days as spreadsheets count them from 1900",
    }.get(schema.time_format, f"datetime, written {schema.time_format}")
    return {schema.time: f"time ({how})", **({schema.clock: "time of day"} if schema.clock else {})}
