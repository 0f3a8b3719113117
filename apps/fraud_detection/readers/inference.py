"""What the columns of a table of one's own mean: the name says the role, and what the cells hold must fit it.

A column whose name says a role and whose cells do not fit is an error, never a reason to give the role to another one.
"""

import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import pandas as pd

from apps.fraud_detection import schema as schemas
from apps.fraud_detection.readers import columns, formats, names, numerals, time_columns
from shared import errors
from shared.sources import cells

Column: TypeAlias = "pd.Series[Any]"

EXAMPLE = (
    '{"time": "booked_at", "amount": "eur", "entities": {"card": "pan_token", "merchant": "shop"},\n'
    ' "numeric": ["distance_km"], "categorical": ["channel"], "label": "is_fraud", "id": "number"}'
)

_TIME_WORDS = (
    "datetime",
    "timestamp",
    "time",
    "date",
    "unixtime",
    "dt",
    "ts",
    "created",
    "booked",
    "at",
    "when",
    "step",
)
_NOT_TIME = {
    "birth",
    "fraud",
    "chargeback",
    "dob",
    "expiry",
    "expires",
    "expiration",
    "opened",
    "zone",
    "offset",
    "since",
    "last",
    "count",
}
_AMOUNT_WORDS = ("amount", "amt", "value", "sum", "total", "price")
_NOT_AMOUNT = {"count", "mean", "average", "avg", "ratio", "max", "min", "std", "currency", "band", "type", "category"}
_MONEY_WORDS = {"eur", "usd", "gbp", "chf", "local", "gross", "net", "total", "in", "of", "the", "purchase", "sum"}
_LABEL_WORDS = ("fraud", "isfraud", "fraudulent", "chargeback", "label", "class", "target")
_NOT_LABEL = {"score", "count", "type", "scenario", "reason", "date", "time", "flagged", "id"}
_FRAUD_WORDS = {"fraud", "isfraud", "fraudulent", "chargeback"}
_LABEL_FILLERS = {"is", "flag", "bool", "label", "target", "class", "ind", "indicator"}
_TIME_FILLERS = {
    "unix",
    "utc",
    "gmt",
    "local",
    "stamp",
    "event",
    "booking",
    "posting",
    "posted",
    "purchase",
    "on",
    "of",
}
_TRANSACTION_WORDS = {"transaction", "trans", "tx", "txn", "payment", "transfer", "order"}
_ID_WORDS = {
    "id",
    "num",
    "number",
    "no",
    "nr",
    "key",
    "hash",
    "code",
    "token",
    "pan",
    "uuid",
    "ref",
    "reference",
    "name",
}
# Who pays comes first: alerts are about the first that is found.
_ENTITY_WORDS = {
    "card": ("card", "cc", "pan"),
    "customer": ("customer", "client", "cardholder", "sender", "payer", "nameorig"),
    "account": ("account", "acct", "iban"),
    "user": ("user",),
    "terminal": ("terminal", "pos", "atm"),
    "merchant": ("merchant", "shop", "store", "vendor", "seller"),
    "device": ("device",),
    "recipient": ("recipient", "beneficiary", "payee", "receiver", "namedest"),
}
_FEW = 20
_MOST_NAMES = 1_000
_DISTINCT_SHARE = 0.5
# A role goes to a column whose name may mean something else only where most of its cells fit.
_MOST = 0.5
# A column of this share of numbers is one of numbers, and its other cells are errors; so of ids that differ.
_NEARLY_ALL = 0.9


@dataclasses.dataclass(frozen=True, kw_only=True)
class Given:
    """The roles that the user names, and how the user says that cells are written; see ``sources.Reading``."""

    time: str | None = None
    amount: str | None = None
    label: str | None = None
    weight: str | None = None
    time_format: str = schemas.AUTO
    decimal: cells.Decimal = "auto"


def infer(table: pd.DataFrame, *, where: str = "table", given: Given = Given()) -> schemas.Schema:
    """Return what the columns of a table mean, as far as their names and contents tell.

    Args:
        table: Its first rows, a sample large enough to show how many distinct values a column has.
        where: The file, for the message.
        given: What the user says.

    Raises:
        errors.InputError: No column is recognised as the time, or one that is called a time, an amount or a label holds
            something else.
    """
    wanted = [name for name in table.columns if name and not is_index(name) and not formats.is_leaking(name)]
    left = [name for name in wanted if name not in (given.time, given.amount, given.label, given.weight)]
    label = given.label or _take(left, _fitting(table, left, _LABEL_WORDS, _NOT_LABEL, _is_label_name, _label_share))
    # Another column that tells of frauds would give the label away.
    left = [name for name in left if not tells_of_fraud(table[name])]
    number = _take(left, [name for name in left if _names_transaction(name) and _differs(table[name])])
    entities = _entities(table, left)
    time = _time(table, left, where, given)
    written = {name: _written(table[name], given.decimal) for name in left}

    def number_share(column: Column) -> float:
        return numerals.readable_share(column, written=written[str(column.name)])

    amount = given.amount or _take(
        left, _fitting(table, left, _AMOUNT_WORDS, _NOT_AMOUNT, _is_amount_name, number_share)
    )
    if time is None:
        missing = [what for what, found in (("time", time), ("amount", amount), ("label", label)) if found is None]
        raise errors.InputError(
            f"{where}: expected columns that are recognised by their names, a time at least. Name it with "
            f"--time-column, or all in a file: --schema FILE, such as\n{EXAMPLE}\nReceived: {', '.join(table.columns)} "
            f"(not recognised: {', '.join(missing)})"
        )
    if amount is not None and given.decimal == "auto":
        numerals.refuse_thousands(table[amount], columns.Place(where, amount))
    used = {time.name, time.clock, amount, label, given.weight}
    rest = [name for name in left if name not in used and not _is_another_time(table[name], name)]
    numeric = tuple(name for name in rest if _is_numeric(table[name], number_share))
    numbers = [name for name in (amount, given.weight, *numeric) if name]
    kept = {name: written.get(name) or _written(table[name], given.decimal) for name in numbers}
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
        weight=given.weight,
        decimal={name: how for name, how in kept.items() if how},
    )


def likelier(role: str, among: Sequence[str], chosen: str | None) -> list[str]:
    """Return the columns whose names can mean nothing but a role and come before the one that has it, likeliest first.

    Args:
        role: "time", "amount" or "label".
        among: Names of columns.
        chosen: The column that has the role.

    >>> likelier("amount", ["total", "amount"], "total"), likelier("amount", ["amount_eur"], "amount")
    (['amount'], [])
    """
    wanted, unwanted, is_meant = _SAID[role]
    others = [name for name in among if name != chosen]
    # Of names that say the role as well, the chosen one is the likelier.
    ranked = names.ranked([*([chosen] if chosen else []), *others], wanted, unwanted)
    before = ranked[: ranked.index(chosen)] if chosen in ranked else ranked
    return [name for name in before if is_meant(name)]


def is_index(name: str) -> bool:
    """Tell whether a column only numbers the rows, as pandas writes one."""
    return re.match(r"unnamed|index$|__index", name, re.IGNORECASE) is not None


def tells_of_fraud(column: Column) -> bool:
    """Tell whether a column is another label, or says of what kind or when a fraud was."""
    name = str(column.name)
    return is_fraud_name(name) and (not _is_label_name(name) or _label_share(column) == 1.0)


def is_fraud_name(name: str) -> bool:
    """Tell whether a column's name is that of a label, or says of what kind or when a fraud was."""
    parts = {*names.words(name), "".join(names.words(name))}
    return bool(parts & _FRAUD_WORDS and parts & (_NOT_LABEL - {"score", "count"})) or _is_label_name(name)


def is_time_name(name: str) -> bool:
    """Tell whether a column's name may be that of a time."""
    return bool(names.ranked([name], _TIME_WORDS, _NOT_TIME))


def _take(left: list[str], candidates: Sequence[str]) -> str | None:
    """Take the first candidate out of the columns that are left."""
    if not candidates:
        return None
    left.remove(candidates[0])
    return candidates[0]


def _fitting(
    table: pd.DataFrame,
    left: Sequence[str],
    wanted: Sequence[str],
    unwanted: set[str],
    is_meant: Callable[[str], bool],
    share: Callable[[Column], float],
) -> list[str]:
    """Return the columns that may have a role by their names, without those that can mean something else and do."""
    candidates = names.ranked(left, wanted, unwanted)
    return [name for name in candidates if is_meant(name) or share(table[name]) >= _MOST]


def _time(table: pd.DataFrame, left: list[str], where: str, given: Given) -> time_columns.Chosen | None:
    """Take the columns of the time out of those that are left."""
    ranked = names.ranked(left, _TIME_WORDS, _NOT_TIME)
    strong = [name for name in ranked if names.consists_of(name, _TIME_VOCABULARY)]
    if given.time is not None:
        kind = time_columns.kind_of(table[given.time])
        chosen: time_columns.Chosen | None = time_columns.Chosen(given.time, kind)
        if given.time_format == schemas.AUTO and kind.what not in (time_columns.CALENDAR, time_columns.COUNT):
            chosen = time_columns.choose(table, [given.time], where=where, strong=[given.time])
    elif given.time_format != schemas.AUTO and ranked:
        # The user says how it is written: the likeliest name is meant, of those that are written so.
        likely = [*strong, *ranked]
        fitting = [name for name in likely if time_columns.is_written(table[name], given.time_format)]
        meant = (fitting or likely)[0]
        chosen = time_columns.Chosen(meant, time_columns.kind_of(table[meant]))
    else:
        chosen = time_columns.choose(table, ranked, where=where, strong=strong)
    if chosen is not None and given.time_format not in schemas.UNITS:
        others = [name for name in ranked if name != chosen.name]
        # Whoever names the column of the time may want it without numbers of which it is not clear what they count.
        chosen = time_columns.with_clock(
            table, chosen, others, where=where, strong=[] if given.time else [name for name in strong if name in others]
        )
    if chosen is None:
        return None
    left[:] = [name for name in left if name not in (chosen.name, chosen.clock)]
    if given.time_format in schemas.UNITS:
        return chosen._replace(kind=time_columns.Kind(time_columns.COUNT, unit=given.time_format))
    if given.time_format != schemas.AUTO:
        return chosen._replace(kind=time_columns.Kind(time_columns.CALENDAR, how=given.time_format))
    return chosen


def _is_another_time(column: Column, name: str) -> bool:
    """Tell whether a column that is called a time holds times, or counts that could be some."""
    if not is_time_name(name):
        return False
    numbers = numerals.readable_share(column) == 1.0 and not columns.is_bool(columns.arrow(column))
    return numbers or time_columns.kind_of(column).what != time_columns.NONE


def _entities(table: pd.DataFrame, left: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for role, role_words in _ENTITY_WORDS.items():
        name = _take(left, [name for name in left if _names_entity(table, name, role_words)])
        if name is not None:
            found[role] = name
    return found


def _names_entity(table: pd.DataFrame, name: str, role_words: Sequence[str]) -> bool:
    """Tell whether a column says which card, customer, ... it was: not ``device_type``, nor a ``card`` of two kinds."""
    words = names.words(name)
    parts = {"".join(words)} & set(role_words) or set(words)
    if not parts & set(role_words) or parts - set(role_words) - _ID_WORDS - _TRANSACTION_WORDS:
        return False
    distinct = columns.distinct(table[name])
    return bool(parts & _ID_WORDS) or distinct >= min(_FEW, len(table) / 10)


def _names_transaction(name: str) -> bool:
    parts = set(names.words(name))
    return bool(parts & _ID_WORDS and parts <= _ID_WORDS | _TRANSACTION_WORDS)


def _differs(column: Column) -> bool:
    """Tell whether a column of ids names transactions: each its own, or nearly, so that the others are errors."""
    parts = set(names.words(str(column.name)))
    share = columns.distinct(column) / len(column)
    return share == 1.0 or bool(parts & _TRANSACTION_WORDS and share >= _NEARLY_ALL)


def _is_label_name(name: str) -> bool:
    parts = set(names.words(name)) | {"".join(names.words(name))}
    fraud = bool(parts & _FRAUD_WORDS)
    return names.consists_of(name, {*_LABEL_WORDS, *_LABEL_FILLERS, *_TRANSACTION_WORDS}) and (fraud or len(parts) == 1)


def _is_amount_name(name: str) -> bool:
    parts = set(names.words(name))
    return bool(parts & {"amount", "amt"}) and parts <= {"amount", "amt", *_MONEY_WORDS, *_TRANSACTION_WORDS}


def _label_share(column: Column) -> float:
    """Return the share of labels among the filled cells; 1 where there is none."""
    found = columns.arrow(column).drop_null().value_counts()
    counts = found.field("counts").to_numpy(zero_copy_only=False)
    good = [numerals.is_label(word) for word in found.field("values").to_pylist()]
    return float(counts[good].sum() / counts.sum()) if len(counts) else 1.0


def _written(column: Column, decimal: cells.Decimal) -> str:
    """Return the convention of a column, as far as the sample shows; plain for one of names."""
    plain = decimal == "auto" and numerals.readable_share(column) == 1.0
    return numerals.PLAIN if plain or not numerals.looks_numeric(column) else numerals.settle([column], decimal=decimal)


def _is_numeric(column: Column, share: Callable[[Column], float]) -> bool:
    """Tell whether a column holds numbers: all of its cells, or nearly all, where the others can be no names."""
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
    """Tell whether a column of text has few enough names to learn something about each."""
    distinct = columns.distinct(column)
    return distinct > 0 and (distinct <= _FEW or distinct <= min(_MOST_NAMES, _DISTINCT_SHARE * len(column)))


_TIME_VOCABULARY = {*_TIME_WORDS, *_TIME_FILLERS, *_TRANSACTION_WORDS} - {"step", "at", "created", "booked"}
_SAID: dict[str, tuple[Sequence[str], set[str], Callable[[str], bool]]] = {
    "time": (_TIME_WORDS, _NOT_TIME, lambda name: names.consists_of(name, _TIME_VOCABULARY)),
    "amount": (_AMOUNT_WORDS, _NOT_AMOUNT, _is_amount_name),
    "label": (_LABEL_WORDS, _NOT_LABEL, _is_label_name),
}
