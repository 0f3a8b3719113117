"""From transactions to the arrays that the networks read: ``numbers``, ``categories`` and ``sequence``.

What is learnt from training rows here, the names of a category, travels in ``inputs.json`` and in the bundle. The
bundle computes the same columns from raw ones in its graph (``graph.py``). No TensorFlow here.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from apps.fraud_detection import features, schema
from apps.fraud_detection.transactions import Transactions
from shared import errors

Floats: TypeAlias = npt.NDArray[np.float32]
Ints: TypeAlias = npt.NDArray[np.int64]

FILE = "inputs.json"
# Begins the names of columns that are computed; no column of a source may begin so (``schema``).
COMPUTED = schema.COMPUTED
AMOUNT, HOUR, WEEKEND = (f"{COMPUTED}{name}" for name in ("amount", "hour", "weekend"))
SATURDAY = 5
# 1970-01-01 was a Thursday, the fourth day of a week that begins on Monday.
FIRST_WEEKDAY = 3
MOST_NAMES = 2_000
# Older transactions of the payer are in no sequence.
SEQUENCE_DAYS = 30
RAREST_NAME = 5
CHANNELS = ("amount", "hours_before", "hour", "payee_risk", "same_payee", "present")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inputs:
    """Which columns the networks read.

    Attributes:
        schema: What the columns of the source mean.
        calendar: Whether times are calendar times.
        numbers: Names of the columns of ``numbers``: ``AMOUNT``, ``HOUR``, ``WEEKEND``, the schema's numeric ones and
            the features of its entities behind ``COMPUTED``.
        vocabularies: Categorical column -> the names that have an id of their own, from 1.
        typical: One number per column of ``numbers``: the median of genuine training transactions; NaN if missing.
        frauds: Among the training rows.
        sequence_length: Transactions of the payer in ``sequence``; 0 without a payer or a network that reads them.
        typical_categories: Categorical column -> its most common name among genuine training transactions.
        typical_sequence: (sequence_length, channels): the medians of their sequences; empty without sequences.
    """

    schema: schema.Schema
    calendar: bool
    numbers: tuple[str, ...]
    vocabularies: Mapping[str, tuple[str, ...]]
    typical: tuple[float, ...]
    frauds: int
    sequence_length: int
    typical_categories: Mapping[str, str] = dataclasses.field(default_factory=dict)
    typical_sequence: tuple[tuple[float, ...], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able mapping; a missing typical number is None."""
        return {
            "schema": self.schema.to_json(),
            "calendar": self.calendar,
            "numbers": list(self.numbers),
            "vocabularies": {name: list(words) for name, words in self.vocabularies.items()},
            "typical": [None if np.isnan(value) else value for value in self.typical],
            "frauds": self.frauds,
            "sequence_length": self.sequence_length,
            "typical_categories": dict(self.typical_categories),
            "typical_sequence": [list(step) for step in self.typical_sequence],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read what ``to_json`` wrote, now or before computed columns had names of their own.

        Raises:
            errors.InputError: A column of the source had the name of a computed one, and was read in its place.
        """
        named = schema.Schema.from_json(content["schema"])
        return cls(
            schema=named,
            calendar=content["calendar"],
            numbers=_with_prefix(content["numbers"], named),
            vocabularies={name: tuple(words) for name, words in content["vocabularies"].items()},
            typical=tuple(np.nan if value is None else float(value) for value in content["typical"]),
            frauds=content["frauds"],
            sequence_length=content["sequence_length"],
            typical_categories=content.get("typical_categories", {}),
            typical_sequence=tuple(tuple(step) for step in content.get("typical_sequence", ())),
        )

    @property
    def history(self) -> tuple[str, ...]:
        """The features of entities, which a state store knows and a raw row does not hold."""
        own = {AMOUNT, HOUR, WEEKEND, *self.schema.numeric}
        return tuple(name.removeprefix(COMPUTED) for name in self.numbers if name not in own)

    @property
    def shown(self) -> tuple[str, ...]:
        """What reports call the columns of ``numbers``: without the prefix, unless the source has such a column."""
        source = {*self.schema.numeric, *self.vocabularies}
        return tuple(name if (bare := name.removeprefix(COMPUTED)) in source else bare for name in self.numbers)


def _with_prefix(names: Sequence[str], found: schema.Schema) -> tuple[str, ...]:
    """Return the names of numbers as they are now; earlier runs wrote computed ones without the prefix."""
    if any(name.startswith(COMPUTED) for name in names) or set(names) == set(found.numeric):
        return tuple(names)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise errors.InputError(
            f"{FILE}: expected columns of different names; train anew. Received: {', '.join(twice)} of the source, "
            f"which this run read in place of what is computed under that name"
        )
    return tuple(name if name in found.numeric else f"{COMPUTED}{name}" for name in names)


def needed_days(found: Inputs) -> float:
    """Return how many days before a transaction its arrays are made of; 0 where no entity is named."""
    if not found.schema.entities:
        return 0.0
    # The transactions of a sequence bring the risk of their own payees, at their own instants.
    return features.needed_days(found.schema.label_delay_days) + (SEQUENCE_DAYS if found.sequence_length else 0)


def learn(transactions: Transactions, rows: Ints, *, sequence_length: int) -> Inputs:
    """Choose the columns and the names of categories by the training ``rows``; ``typical`` is still zeros."""
    found = transactions.schema
    names = [AMOUNT] if found.amount is not None else []
    if found.time_unit in ("datetime", "seconds", "minutes", "hours"):
        names += [HOUR]
    if transactions.calendar:
        names += [WEEKEND]
    names += [*found.numeric, *(f"{COMPUTED}{name}" for name in history_names(found))]
    vocabularies = {}
    for column, values in transactions.categorical.items():
        words, counts = np.unique(values[rows].astype(str), return_counts=True)
        frequent = np.argsort(-counts, kind="stable")[:MOST_NAMES]
        vocabularies[column] = tuple(words[i] for i in sorted(frequent) if counts[i] >= RAREST_NAME and words[i] != "")
    return Inputs(
        schema=found,
        calendar=transactions.calendar,
        numbers=tuple(names),
        vocabularies=vocabularies,
        typical=(0.0,) * len(names),
        frauds=int((transactions.labels[rows] == 1).sum()),
        sequence_length=sequence_length if found.payer is not None else 0,
    )


def history_names(found: schema.Schema) -> tuple[str, ...]:
    """Return the features of the schema's entities. A payer with known frauds is blocked: his risk is no feature."""
    blocked = {f"{found.payer}_{what}" for what in ("judged_30d", *(f"risk_{days}d" for days in features.WINDOW_DAYS))}
    return tuple(name for name in features.names(tuple(found.entities)) if name not in blocked)


def compute_history(transactions: Transactions, found: schema.Schema, *, first: int = 0) -> dict[str, Floats]:
    """Return the features of ``history_names`` for every row from ``first`` on, from all rows before it."""
    if not found.entities:
        return {}
    columns = features.compute(transactions.books(), label_delay_days=found.label_delay_days, first=first)
    return {name: columns[name] for name in history_names(found)}


def arrays(
    inputs: Inputs, transactions: Transactions, history: Mapping[str, Floats], rows: Ints | slice
) -> dict[str, npt.NDArray[Any]]:
    """Return what the networks read of ``rows``.

    Args:
        inputs: Which columns.
        transactions: All transactions, those before the rows too: the sequences are made of them.
        history: As ``compute_history`` returns it for all transactions.
        rows: Row numbers, or a slice.

    Returns:
        ``numbers`` (n, columns) float32; ``categories`` (n, columns) int32 where there are any; ``sequence``
        (n, length, channels) float32 where the inputs have one.
    """
    result: dict[str, npt.NDArray[Any]] = {"numbers": numbers(inputs, transactions, history, rows)}
    if inputs.vocabularies:
        result["categories"] = np.stack(
            [_ids(transactions.categorical[name][rows], words) for name, words in inputs.vocabularies.items()], axis=1
        )
    if inputs.sequence_length:
        result["sequence"] = sequences(inputs, transactions, history, rows)
    return result


def numbers(inputs: Inputs, transactions: Transactions, history: Mapping[str, Floats], rows: Ints | slice) -> Floats:
    """Return (n, columns) float32, in the order of ``inputs.numbers``."""
    time = transactions.time[rows]
    computed = {
        AMOUNT: lambda: transactions.amount[rows],
        HOUR: lambda: hours(time),
        WEEKEND: lambda: weekends(time),
    }

    def column(name: str) -> npt.NDArray[Any]:
        if name in computed:
            return computed[name]()
        if name.startswith(COMPUTED):
            return history[name.removeprefix(COMPUTED)][rows]
        return transactions.numeric[name][rows]

    return np.stack([np.asarray(column(name), np.float32) for name in inputs.numbers], axis=1)


def hours(time: Ints) -> npt.NDArray[np.float64]:
    """Return (n,) hour of the day in [0, 24) of ``time`` in microseconds."""
    return (time % features.DAY) / features.HOUR


def weekends(time: Ints) -> npt.NDArray[np.float64]:
    """Return (n,) 1 on Saturdays and Sundays, else 0."""
    return ((time // features.DAY + FIRST_WEEKDAY) % 7 >= SATURDAY).astype(np.float64)


def sequences(inputs: Inputs, transactions: Transactions, history: Mapping[str, Floats], rows: Ints | slice) -> Floats:
    """Return the payer's last transactions, oldest first, the newest last: (n, length, channels) float32.

    Channels: the logarithm of the amount, the logarithm of the hours before the newest, the hour of its
    day, the risk of the payee at its instant, whether its payee is that of the newest, and 1. Rows with
    fewer transactions end in zeros.
    """
    places = previous(transactions, inputs, rows)
    known = places >= 0
    place = np.maximum(places, 0)
    last = np.take_along_axis(place, known.sum(axis=1, keepdims=True) - 1, axis=1)
    payees = _payees(transactions)
    found = channels(
        amount=transactions.amount[place],
        time=transactions.time[place],
        now=transactions.time[last],
        payee_risk=payees.risk(history)[place],
        same_payee=payees.codes[place] == payees.codes[last],
    )
    return np.where(known[:, :, np.newaxis], found, np.float32(0))


def channels(
    *,
    amount: npt.NDArray[np.float64],
    time: Ints,
    now: Ints,
    payee_risk: Floats,
    same_payee: npt.NDArray[np.bool_],
) -> Floats:
    """Return ``CHANNELS`` of transactions, (..., channels) float32.

    Args:
        amount: (...) in the currency.
        time: (...) their instants in microseconds.
        now: Instant of the newest; broadcast to them.
        payee_risk: (...) share of fraud at their payees in 30 days, as known at their instants.
        same_payee: (...) whether their payee is that of the newest.
    """
    before = (now - time) / features.HOUR
    found = (
        np.log1p(np.maximum(amount, 0)) / 5,
        np.log1p(before) / 5,
        hours(time) / 24,
        payee_risk,
        same_payee,
        np.ones(time.shape),
    )
    return np.stack([np.asarray(channel, np.float64) for channel in found], axis=-1).astype(np.float32)


def previous(transactions: Transactions, inputs: Inputs, rows: Ints | slice) -> Ints:
    """Return (n, length) rows of the payer's last transactions, oldest first, padded with -1 at the end."""
    order, place, first = transactions.by_payer
    end = place[rows] + 1
    start = np.maximum(first[rows], end - inputs.sequence_length)
    # Nobody's transactions are no sequence: such a row stands alone.
    start = np.where(transactions.payers[rows] < 0, end - 1, start)
    oldest = (transactions.time[rows] - SEQUENCE_DAYS * features.DAY)[:, np.newaxis]
    steps = np.arange(inputs.sequence_length)
    taken = order[np.minimum(start[:, np.newaxis] + steps, len(order) - 1)]
    inside = start[:, np.newaxis] + steps < end[:, np.newaxis]
    start += (inside & (transactions.time[taken] <= oldest)).sum(axis=1)
    places = start[:, np.newaxis] + steps
    return np.where(places < end[:, np.newaxis], order[np.minimum(places, len(order) - 1)], -1)


@dataclasses.dataclass(frozen=True, eq=False)
class _Payees:
    """Who is paid: the entity after the payer, if there is one."""

    role: str | None
    codes: npt.NDArray[Any]

    def risk(self, history: Mapping[str, Floats]) -> Floats:
        if self.role is None:
            return np.zeros(len(self.codes), np.float32)
        return history[f"{self.role}_risk_{features.WINDOW_DAYS[-1]}d"]


def _payees(transactions: Transactions) -> _Payees:
    roles = list(transactions.schema.entities)[1:2]
    if not roles:
        return _Payees(None, np.zeros(len(transactions), np.int64))
    return _Payees(roles[0], transactions.entities[roles[0]])


def _ids(values: npt.NDArray[np.object_], words: tuple[str, ...]) -> npt.NDArray[np.int32]:
    """Return (n,) int32 ids: 0 for a name that is not among ``words``, which are sorted."""
    if not words:
        return np.zeros(len(values), np.int32)
    known = np.array(words, dtype=str)
    texts = values.astype(str)
    place = np.minimum(np.searchsorted(known, texts), len(known) - 1)
    return np.where(known[place] == texts, place + 1, 0).astype(np.int32)
