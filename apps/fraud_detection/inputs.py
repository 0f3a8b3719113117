"""Which columns the networks read, and what is learnt of them from training rows: names and the typical transaction.

It travels in ``inputs.json`` and in the bundle; ``preprocessing`` makes the arrays themselves. No TensorFlow here.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from typing_extensions import TypedDict

from apps.fraud_detection import features, schema
from apps.fraud_detection.transactions import Transactions
from shared import errors, stored

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


@stored.open_fields
class _Written(TypedDict):
    """What ``inputs.json`` holds."""

    schema: dict[str, Any]
    calendar: bool
    numbers: stored.Several[stored.Text]
    vocabularies: dict[str, stored.Names]
    typical: stored.Several[stored.Number | None]
    frauds: stored.Count
    sequence_length: stored.Count
    typical_categories: NotRequired[dict[str, stored.Text]]
    typical_sequence: NotRequired[stored.Several[stored.Several[stored.Number]]]


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
    def from_json(cls, content: Mapping[str, Any], *, where: str = FILE) -> Self:
        """Read what ``to_json`` wrote, now or before computed columns had names of their own.

        Args:
            content: The JSON object.
            where: The file, for the message.

        Raises:
            errors.InputError: A field has another type or range, or a column of the source had the name of a computed
                one, and was read in its place.
        """
        found = stored.check(_Written, content, where=where)
        if len(found["typical"]) != len(found["numbers"]):
            raise errors.InputError(
                f"{where}: typical: expected {len(found['numbers'])} values, one for each of numbers. Received: "
                f"{len(found['typical'])}"
            )
        named = schema.Schema.from_json(found["schema"], where=f"{where}: schema")
        return cls(
            schema=named,
            calendar=found["calendar"],
            numbers=_with_prefix(found["numbers"], named),
            vocabularies=found["vocabularies"],
            typical=tuple(np.nan if value is None else float(value) for value in found["typical"]),
            frauds=found["frauds"],
            sequence_length=found["sequence_length"],
            typical_categories=found.get("typical_categories", {}),
            typical_sequence=found.get("typical_sequence", ()),
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


def learn_typical(found: Inputs, arrays: Mapping[str, npt.NDArray[Any]], labels: npt.NDArray[np.int64]) -> Inputs:
    """Return ``found`` with the typical genuine transaction, which reasons compare others with.

    Args:
        found: Which columns.
        arrays: What the networks read of the training rows.
        labels: (n,) of the rows.
    """
    genuine = {name: values[labels == 0] for name, values in arrays.items()}
    medians = [_median(column) for column in genuine["numbers"].T]
    names = {
        column: ("", *words)[int(np.bincount(genuine["categories"][:, index], minlength=1).argmax())]
        for index, (column, words) in enumerate(found.vocabularies.items())
    }
    steps = _typical_sequence(genuine["sequence"]) if "sequence" in genuine else ()
    return dataclasses.replace(found, typical=tuple(medians), typical_categories=names, typical_sequence=steps)


def _median(column: npt.NDArray[np.float32]) -> float:
    known = column[np.isfinite(column)]
    return float(np.median(known)) if len(known) else np.nan


def _typical_sequence(sequences: npt.NDArray[np.float32]) -> tuple[tuple[float, ...], ...]:
    """Return the medians of (n, length, channels) step by step, as long as the median sequence, counted from its end.

    The last step is the transaction itself, whatever the length.
    """
    present = sequences[:, :, -1] > 0
    length = max(1, int(np.median(present.sum(axis=1)))) if len(sequences) else 1
    ends = np.maximum(present.sum(axis=1), 1)
    found = np.zeros(sequences.shape[1:], np.float64)
    for step in range(length):
        place = ends - length + step
        rows = np.flatnonzero(place >= 0)
        if len(rows):
            found[step] = np.median(sequences[rows, place[rows]], axis=0)
    return tuple(tuple(step.tolist()) for step in found)


def typical_arrays(found: Inputs) -> dict[str, npt.NDArray[Any]]:
    """Return what the networks read of the typical genuine transaction: array name -> (...), without a batch."""
    ids = [
        words.index(name) + 1 if (name := found.typical_categories.get(column, "")) in words else 0
        for column, words in found.vocabularies.items()
    ]
    sequence = np.zeros((found.sequence_length, len(CHANNELS)), np.float32)
    if found.typical_sequence:
        sequence[:] = found.typical_sequence
    else:
        # Earlier runs kept none: the transaction alone, of the typical amount and at the typical hour.
        place = {name: value for name, value in zip(found.numbers, found.typical, strict=True) if np.isfinite(value)}
        amount, hour = place.get(AMOUNT, 0.0), place.get(HOUR, 12.0)
        sequence[:1] = [np.log1p(max(amount, 0.0)) / 5, 0.0, hour / 24, 0.0, 1.0, 1.0]
    return {
        "numbers": np.asarray(found.typical, np.float32),
        "categories": np.asarray(ids, np.int32),
        "sequence": sequence,
    }
