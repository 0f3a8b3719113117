"""What the columns of a table of one's own mean: the name gives the role, and what the cells hold must fit it.

A column whose name gives a role and whose cells do not fit is an error, never a reason to give the role to another one.
"""

import dataclasses
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeAlias

import pandas as pd

from apps.fraud_detection import schema as schemas
from apps.fraud_detection.readers import checking, formats, names, time_columns
from shared import errors
from shared.sources import cells, columns, numerals

Column: TypeAlias = "pd.Series[Any]"

EXAMPLE = (
    '{"time": "booked_at", "amount": "eur", "entities": {"card": "pan_token", "merchant": "shop"},\n'
    ' "numeric": ["distance_km"], "categorical": ["channel"], "label": "is_fraud", "id": "number"}'
)

_FEW = 20
_MOST_NAMES = 1_000
_DISTINCT_SHARE = 0.5
# A role goes to a column whose name may mean something else only where most of its cells fit.
_MOST = 0.5
# A column of this share of numbers is one of numbers, and its other cells are errors; so of ids that differ.
_NEARLY_ALL = 0.9


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading:
    """How a user wants tables to be read.

    Attributes:
        data_format: One of ``sources.FORMATS``; ``auto`` decides by the names of the columns.
        follow_links: Whether links may lead out of a folder.
        decimal: The mark before the fraction in numbers of text.
        time_format: One of ``schema.TIME_FORMATS``, or a unit of ``schema.UNITS``.
        time: The column of the time; None: as in the schema.
        amount: That of the amount.
        label: That of the label.
        weight: That of the weights.
        label_delay_days: After how many days a label is known.
    """

    data_format: str = "auto"
    follow_links: bool = False
    decimal: cells.Decimal = "auto"
    time_format: str = schemas.AUTO
    time: str | None = None
    amount: str | None = None
    label: str | None = None
    weight: str | None = None
    label_delay_days: float | None = None

    @property
    def named(self) -> dict[str, str]:
        """Role -> the column that the user names for it."""
        found = {role: getattr(self, role) for role in ("time", "amount", "label", "weight")}
        return {role: name for role, name in found.items() if name is not None}


def infer(table: pd.DataFrame, *, where: str = "table", reading: Reading = Reading()) -> schemas.Schema:
    """Return what the columns of a table mean, as far as their names and contents show.

    Args:
        table: Its first rows, a sample large enough to show how many distinct values a column has.
        where: The file, for the message.
        reading: What the user states.

    Raises:
        errors.InputError: No column is recognised as the time, or one that is called a time, an amount or a label holds
            something else.
    """
    wanted = [name for name in table.columns if name and not names.is_index(name) and not formats.is_leaking(name)]
    left = [name for name in wanted if name not in reading.named.values()]
    label = reading.label or _take(left, _fitting(table, left, names.LABEL, _label_share))
    # Another column about frauds would give the label away.
    left = [name for name in left if not is_of_fraud(table[name])]
    number = _take(left, [name for name in left if names.is_transaction_id(name) and _differs(table[name])])
    entities = _entities(table, left)
    time = _time(table, left, where, reading)
    written = {name: _written(table[name], reading.decimal) for name in left}

    def number_share(column: Column) -> float:
        return numerals.readable_share(column, written=written[str(column.name)])

    amount = reading.amount or _take(left, _fitting(table, left, names.AMOUNT, number_share))
    if time is None:
        missing = [what for what, found in (("time", time), ("amount", amount), ("label", label)) if found is None]
        raise errors.InputError(
            f"{where}: expected columns that are recognised by their names, a time at least. Name it with "
            f"--time-column, or all in a file: --schema FILE, such as\n{EXAMPLE}\nReceived: {', '.join(table.columns)} "
            f"(not recognised: {', '.join(missing)})"
        )
    if amount is not None and reading.decimal == "auto":
        numerals.refuse_thousands(table[amount], columns.Place(where, amount))
    used = {time.name, time.clock, amount, label, reading.weight}
    rest = [name for name in left if name not in used and not _is_another_time(table[name], name)]
    numeric = tuple(name for name in rest if _is_numeric(table[name], number_share))
    numbers = [name for name in (amount, reading.weight, *numeric) if name]
    kept = {name: written.get(name) or _written(table[name], reading.decimal) for name in numbers}
    return schemas.Schema(
        time=time.name,
        time_unit=time.kind.unit,
        time_format=time.kind.how,
        clock=time.clock,
        amount=amount,
        entities=entities,
        numeric=numeric,
        categorical=tuple(name for name in rest if name not in numeric and _is_category(table[name])),
        label=label,
        id=number,
        weight=reading.weight,
        decimal={name: how for name, how in kept.items() if how},
    )


def is_of_fraud(column: Column) -> bool:
    """Return whether a column is another label, or the kind or time of a fraud."""
    name = str(column.name)
    return names.is_of_fraud(name) and (not names.is_label(name) or _label_share(column) == 1.0)


def _take(left: list[str], candidates: Sequence[str]) -> str | None:
    """Take the first candidate out of the columns that are left."""
    if not candidates:
        return None
    left.remove(candidates[0])
    return candidates[0]


def _fitting(
    table: pd.DataFrame,
    left: Sequence[str],
    role: names.Role,
    share: Callable[[Column], float],
) -> list[str]:
    """Return the columns that may have a role by their names, without those that can mean something else and do."""
    return [name for name in role.ranked(left) if role.is_meant(name) or share(table[name]) >= _MOST]


def _time(table: pd.DataFrame, left: list[str], where: str, reading: Reading) -> time_columns.Chosen | None:
    """Take the columns of the time out of those that are left."""
    ranked = names.TIME.ranked(left)
    strong = [name for name in ranked if names.TIME.is_meant(name)]
    if reading.time is not None:
        kind = time_columns.kind_of(table[reading.time])
        chosen: time_columns.Chosen | None = time_columns.Chosen(reading.time, kind)
        if reading.time_format == schemas.AUTO and kind.what not in (time_columns.CALENDAR, time_columns.COUNT):
            chosen = time_columns.choose(table, [reading.time], where=where, strong=[reading.time])
    elif reading.time_format != schemas.AUTO and ranked:
        # The user states how it is written: the likeliest name is meant, of those that are written so.
        likely = [*strong, *ranked]
        fitting = [name for name in likely if time_columns.is_written(table[name], reading.time_format)]
        meant = (fitting or likely)[0]
        chosen = time_columns.Chosen(meant, time_columns.kind_of(table[meant]))
    else:
        chosen = time_columns.choose(table, ranked, where=where, strong=strong)
    if chosen is not None and reading.time_format not in schemas.UNITS:
        others = [name for name in ranked if name != chosen.name]
        # Whoever names the column of the time may want it without numbers of which it is not clear what they count.
        chosen = time_columns.with_clock(
            table,
            chosen,
            others,
            where=where,
            strong=[] if reading.time else [name for name in strong if name in others],
        )
    if chosen is None:
        return None
    left[:] = [name for name in left if name not in (chosen.name, chosen.clock)]
    if reading.time_format in schemas.UNITS:
        return chosen._replace(kind=time_columns.Kind(time_columns.COUNT, unit=reading.time_format))
    if reading.time_format != schemas.AUTO:
        return chosen._replace(kind=time_columns.Kind(time_columns.CALENDAR, how=reading.time_format))
    return chosen


def _is_another_time(column: Column, name: str) -> bool:
    """Return whether a column that is called a time holds times, or counts that could be some."""
    if not names.is_time(name):
        return False
    numbers = numerals.readable_share(column) == 1.0 and not columns.is_bool(columns.arrow(column))
    return numbers or time_columns.kind_of(column).what != time_columns.NONE


def _entities(table: pd.DataFrame, left: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for role, role_words in names.ENTITIES.items():
        name = _take(left, [name for name in left if _names_entity(table, name, role_words)])
        if name is not None:
            found[role] = name
    return found


def _names_entity(table: pd.DataFrame, name: str, role_words: Collection[str]) -> bool:
    """Return whether a column names the card, customer, ...: not ``device_type``, nor a ``card`` of two kinds."""
    words = names.words(name)
    parts = {"".join(words)} & set(role_words) or set(words)
    if not parts & set(role_words) or parts - set(role_words) - names.ID - names.TRANSACTION:
        return False
    distinct = columns.distinct(table[name])
    return bool(parts & names.ID) or distinct >= min(_FEW, len(table) / 10)


def _differs(column: Column) -> bool:
    """Return whether a column of ids names transactions: each its own, or nearly, so that the others are errors."""
    parts = set(names.words(str(column.name)))
    share = columns.distinct(column) / len(column)
    return share == 1.0 or bool(parts & names.TRANSACTION and share >= _NEARLY_ALL)


def _label_share(column: Column) -> float:
    """Return the share of labels among the filled cells; 1 where there is none."""
    found = columns.arrow(column).drop_null().value_counts()
    counts = found.field("counts").to_numpy(zero_copy_only=False)
    good = [checking.is_label(word) for word in found.field("values").to_pylist()]
    return float(counts[good].sum() / counts.sum()) if len(counts) else 1.0


def _written(column: Column, decimal: cells.Decimal) -> str:
    """Return the convention of a column, as far as the sample shows; plain for one of names."""
    plain = decimal == "auto" and numerals.readable_share(column) == 1.0
    return (
        numerals.PLAIN
        if plain or not numerals.looks_numeric(column)
        else numerals.find_convention([column], decimal=decimal)
    )


def _is_numeric(column: Column, share: Callable[[Column], float]) -> bool:
    """Return whether a column holds numbers: all of its cells, or nearly all, where the others can be no names."""
    values = columns.arrow(column)
    if columns.is_bool(values):
        return False  # In a csv they are words.
    if columns.is_text(values):
        values = columns.with_nothing(values)
    found = share(column) if values.null_count < len(values) else 0.0
    if found < _NEARLY_ALL or found == 1.0:
        return found == 1.0
    return columns.distinct(column) > _FEW or not numerals.has_words(column)


def _is_category(column: Column) -> bool:
    """Return whether a column of text has few enough names to learn something about each."""
    distinct = columns.distinct(column)
    return distinct > 0 and (distinct <= _FEW or distinct <= min(_MOST_NAMES, _DISTINCT_SHARE * len(column)))
