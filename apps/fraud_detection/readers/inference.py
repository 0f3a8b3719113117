"""What the columns of a table of one's own mean, guessed from their names and contents."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from apps.fraud_detection import schema as schemas
from apps.fraud_detection.readers import columns, times
from shared import errors

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
_NOT_TIME = {"birth", "dob", "expiry", "expires", "expiration", "opened", "zone", "offset", "since", "last", "count"}
_UNIT_WORDS = {"step": "hours", "hour": "hours", "hours": "hours", "minute": "minutes", "minutes": "minutes"}
_UNIT_WORDS |= {"day": "days", "days": "days", "month": "months", "months": "months", "second": "seconds"}
_AMOUNT_WORDS = ("amount", "amt", "value", "sum", "total", "price")
_NOT_AMOUNT = {"count", "mean", "average", "avg", "ratio", "max", "min", "std", "currency"}
_LABEL_WORDS = ("fraud", "isfraud", "fraudulent", "chargeback", "label", "class", "target")
_NOT_LABEL = {"score", "count", "type", "scenario", "reason", "date", "time", "flagged", "id"}
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


def infer(table: pd.DataFrame, *, where: str = "table") -> schemas.Schema:
    """Return what the columns of a table mean, as far as their names and contents tell.

    Args:
        table: Its first rows, a sample large enough to show how many distinct values a column has.
        where: The file, for the message.

    Raises:
        errors.InputError: No column is recognised as the time.
    """
    left = [name for name in table.columns if name and not re.match(r"unnamed|index$|__index", name, re.IGNORECASE)]
    label = _take(left, [name for name in _ranked(left, _LABEL_WORDS, _NOT_LABEL) if _holds_labels(table[name])])
    number = _take(left, [name for name in left if _names_transaction(name) and _distinct(table[name]) == len(table)])
    entities = _entities(table, left)
    units = {name: _unit(table[name]) for name in _ranked(left, _TIME_WORDS, _NOT_TIME)}
    dated = [name for name, unit in units.items() if unit]
    time = _take(left, sorted(dated, key=lambda name: units[name] != "datetime"))
    numeric_names = [name for name in left if _is_numeric(table[name])]
    amount = _take(left, _ranked(numeric_names, _AMOUNT_WORDS, _NOT_AMOUNT))
    if time is None:
        missing = [what for what, found in (("time", time), ("amount", amount), ("label", label)) if found is None]
        raise errors.InputError(
            f"{where}: expected columns that are recognised by their names, a time at least. Name them in a file: "
            f"--schema FILE, such as\n{EXAMPLE}\nReceived: {', '.join(table.columns)} "
            f"(not recognised: {', '.join(missing)})"
        )
    rest = [name for name in left if name not in dated]
    return schemas.Schema(
        time=time,
        time_unit=units[time],
        amount=amount,
        entities=entities,
        numeric=tuple(name for name in rest if _is_numeric(table[name])),
        categorical=tuple(name for name in rest if not _is_numeric(table[name]) and _is_category(table[name])),
        label=label,
        id=number,
    )


def words(name: str) -> tuple[str, ...]:
    """Return the words of a column's name.

    >>> words("TX_DateTime"), words("isFraud"), words("trans-num2")
    (('tx', 'date', 'time'), ('is', 'fraud'), ('trans', 'num'))
    """
    return tuple(word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name))


def _take(left: list[str], candidates: Sequence[str]) -> str | None:
    """Take the first candidate out of the columns that are left."""
    if not candidates:
        return None
    left.remove(candidates[0])
    return candidates[0]


def _ranked(names: Sequence[str], wanted: Sequence[str], unwanted: set[str]) -> list[str]:
    """Return the names that hold a wanted word and no unwanted one, by the order of the words and then of the file."""
    found: list[tuple[int, int, str]] = []
    for name in names:
        parts = words(name)
        places = [wanted.index(word) for word in (*parts, "".join(parts)) if word in wanted]
        if places and not unwanted & set(parts):
            found.append((min(places), len(found), name))
    return [name for *_, name in sorted(found)]


def _entities(table: pd.DataFrame, left: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for role, role_words in _ENTITY_WORDS.items():
        name = _take(left, [name for name in left if _names_entity(table, name, role_words)])
        if name is not None:
            found[role] = name
    return found


def _names_entity(table: pd.DataFrame, name: str, role_words: Sequence[str]) -> bool:
    """Tell whether a column says which card, customer, ... it was: not ``device_type``, nor a ``card`` of two kinds."""
    parts = {"".join(words(name))} & set(role_words) or set(words(name))
    if not parts & set(role_words) or parts - set(role_words) - _ID_WORDS - _TRANSACTION_WORDS:
        return False
    distinct = _distinct(table[name])
    return bool(parts & _ID_WORDS) or distinct >= min(_FEW, len(table) / 10)


def _names_transaction(name: str) -> bool:
    parts = set(words(name))
    return bool(parts & _ID_WORDS and parts <= _ID_WORDS | _TRANSACTION_WORDS)


def _holds_labels(column: "pd.Series[Any]") -> bool:
    try:
        columns.labels(column, columns.Place("", ""))
    except errors.InputError:
        return False
    return True


def _is_numeric(column: "pd.Series[Any]") -> bool:
    if columns.is_bool(columns.arrow(column)):
        return False  # In a csv they are words.
    try:
        values = columns.numbers(column, columns.Place("", ""))
    except errors.InputError:
        return False
    return not np.isnan(values).all()


def _unit(column: "pd.Series[Any]") -> str:
    """Return the unit of a column of times; empty where it holds none."""
    try:
        times.parse(column.dropna().head(_MOST_NAMES), columns.Place("", ""), unit="datetime")
    except errors.InputError:
        pass
    else:
        return "datetime"
    if not _is_numeric(column) or np.nanmin(columns.numbers(column, columns.Place("", ""))) < 0:
        return ""
    parts = words(str(column.name))
    return next((_UNIT_WORDS[word] for word in parts if word in _UNIT_WORDS), "seconds")


def _is_category(column: "pd.Series[Any]") -> bool:
    """Tell whether a column of text has few enough names to learn something about each."""
    distinct = _distinct(column)
    return distinct <= _FEW or distinct <= min(_MOST_NAMES, _DISTINCT_SHARE * len(column))


def _distinct(column: "pd.Series[Any]") -> int:
    return int(column.nunique())
