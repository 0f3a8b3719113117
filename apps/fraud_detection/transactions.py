"""Checked transactions in order of time: what every step of the app works on. No TensorFlow here."""

import dataclasses
import functools
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from apps.fraud_detection import features, schema

UNKNOWN = features.UNKNOWN
CLASS_NAMES = ("genuine", "fraud")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Transactions:
    """Transactions, oldest first; of the same instant in the order of the file.

    Attributes:
        schema: What the columns of the source mean.
        ids: (n,) int64 or object of str, each once.
        time: (n,) int64 microseconds since 1970, or since the beginning of the file.
        calendar: Whether ``time`` is a calendar time.
        amount: (n,) float64 in the currency; zeros where the source has none.
        entities: Role -> (n,) int64 or object of str; ``""`` or -1 is nobody known.
        numeric: Column -> (n,) float32; NaN is missing.
        categorical: Column -> (n,) object of str; ``""`` is missing.
        labels: (n,) int64: 1 fraud, 0 genuine, ``UNKNOWN``.
        weights: (n,) float64, transactions of the population that the row stands for.
        groups: (n,) object of str; None where the schema names no group.
        scenarios: (n,) object of str; None where the schema names none.
        kept: Column -> (n,) cells that are handed on as they are.
        name: Of the source.
        sha256: Of the content.
        notes: What a reader of the report should know about the data.
        roles: Column of the source and its role in words, or why it is not read.
        quarantined: Rows set aside.
    """

    schema: schema.Schema
    ids: npt.NDArray[Any]
    time: npt.NDArray[np.int64]
    calendar: bool
    amount: npt.NDArray[np.float64]
    entities: Mapping[str, npt.NDArray[Any]]
    numeric: Mapping[str, npt.NDArray[np.float32]]
    categorical: Mapping[str, npt.NDArray[np.object_]]
    labels: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]
    groups: npt.NDArray[np.object_] | None = None
    scenarios: npt.NDArray[np.object_] | None = None
    kept: Mapping[str, npt.NDArray[Any]] = dataclasses.field(default_factory=dict)
    name: str = ""
    sha256: str = ""
    notes: tuple[str, ...] = ()
    roles: tuple[tuple[str, str], ...] = ()
    quarantined: int = 0

    def __len__(self) -> int:
        return len(self.time)

    @property
    def columns(self) -> dict[str, str]:
        """What each column of the source is read as, or why it is not."""
        return dict(self.roles)

    @property
    def days(self) -> npt.NDArray[np.int64]:
        """(n,) day of each transaction, counted from 1970 or from the beginning of the file."""
        return np.asarray(self.time // features.DAY, np.int64)

    @functools.cached_property
    def by_payer(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Rows by payer and time; for each row its place among them, and the place of its payer's first row."""
        payers = self.payers if self.schema.payer is None else _distinguished(self.entities[self.schema.payer])
        order = features.stable_order(payers)
        rows = np.arange(len(order))
        place = np.empty(len(order), np.int64)
        place[order] = rows
        begins = np.diff(payers[order], prepend=payers[order[:1]] - 1) != 0
        first = np.maximum.accumulate(np.where(begins, rows, 0))
        return order, place, first[place]

    @functools.cached_property
    def payers(self) -> npt.NDArray[np.int64]:
        """(n,) number of the payer, whom the bootstrap resamples; every row its own where none is named."""
        role = self.schema.payer
        if role is None:
            return np.arange(len(self), dtype=np.int64)
        return codes(self.entities[role])

    def books(self) -> features.Books:
        """Return what features are computed from."""
        return features.Books(
            time=self.time,
            amount=whole_amounts(self.amount),
            entities={role: _distinguished(values) for role, values in self.entities.items()},
            label=self.labels,
        )

    def take(self, rows: npt.NDArray[Any]) -> Self:
        """Return some rows, in the order of ``rows``."""

        def part(value: Any) -> Any:
            if isinstance(value, np.ndarray):
                return value[rows]
            return {name: values[rows] for name, values in value.items()} if isinstance(value, dict) else value

        fields = {
            each.name: part(getattr(self, each.name)) for each in dataclasses.fields(self) if each.name != "schema"
        }
        return dataclasses.replace(self, **fields)

    def content_hashes(self) -> npt.NDArray[np.uint64]:
        """Return (n,) uint64 hash of each row's identity, instant, amount, parties and label: which row it is."""
        table = {"id": self.ids, "time": self.time, "amount": self.amount, "label": self.labels, **self.entities}
        return np.asarray(pd.util.hash_pandas_object(pd.DataFrame(table), index=False), np.uint64)

    def row_hashes(self) -> npt.NDArray[np.uint64]:
        """Return (n,) uint64 hash of what is known of each row before its label: the same in whatever file it stands.

        Ids do not count: where a source has none, they are numbers of rows.
        """
        bare = dataclasses.replace(
            self,
            # Names of a file are numbers only where all of them are: as text they are the same in every file.
            entities={
                role: np.where(values == -1, "", values.astype(str)).astype(object)
                if values.dtype != object
                else values
                for role, values in self.entities.items()
            },
            labels=np.full(len(self), UNKNOWN),
            schema=dataclasses.replace(self.schema, weight=None),
            groups=None,
            scenarios=None,
        )
        return bare.cell_hashes(with_ids=False)

    def cell_hashes(self, *, with_ids: bool = True) -> npt.NDArray[np.uint64]:
        """Return (n,) uint64 hash of every cell of each row that was read; equal content, equal hash.

        Args:
            with_ids: Whether ids count, which in a source without any are the numbers of rows.
        """
        cells: dict[str, npt.NDArray[Any]] = {"time": self.time, "amount": self.amount, "label": self.labels}
        cells |= {"id": self.ids} if with_ids else {}
        cells |= {} if self.schema.weight is None else {"weight": self.weights}
        cells |= {"group": self.groups} if self.groups is not None else {}
        cells |= {"scenario": self.scenarios} if self.scenarios is not None else {}
        for kind in ("entities", "numeric", "categorical"):
            cells |= {f"{kind} {name}": values for name, values in getattr(self, kind).items()}
        found = np.zeros(len(self), np.uint64)
        # One column after the other: no copy of the whole table is made.
        for name in sorted(cells):
            salt = np.uint64(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") | 1)
            found = (found ^ _hashes(cells[name])) * salt
        return found ^ (found >> np.uint64(32))


def _hashes(values: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    if values.dtype.kind == "f":
        # One NaN and one zero: neither has a sign or a payload that means something.
        values = np.where(np.isnan(values), values.dtype.type(np.nan), values + values.dtype.type(0))
    return np.asarray(pd.util.hash_array(values), np.uint64)


def concatenate(parts: Sequence[Transactions]) -> Transactions:
    """Join transactions of one schema, of which each part is later than the one before."""
    first = parts[0]

    def joined(name: str) -> Any:
        values = [getattr(part, name) for part in parts]
        if isinstance(values[0], np.ndarray):
            return np.concatenate(values)
        return {key: np.concatenate([value[key] for value in values]) for key in values[0]}

    names = [
        each.name for each in dataclasses.fields(first) if isinstance(getattr(first, each.name), np.ndarray | dict)
    ]
    return dataclasses.replace(first, **{name: joined(name) for name in names})


def whole_amounts(amounts: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return amounts of the currency as whole ten-thousandths, which add up to the same in any order."""
    return np.rint(amounts * features.AMOUNT_SCALE).astype(np.int64)


def codes(values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return (n,) int64 numbers of ``values``, below how many there are; -1 where nobody is known."""
    if values.dtype != object:
        # An id is a name: cards of 16 digits have numbers as small as others. Nobody, -1, comes first.
        found, distinct = pd.factorize(values, sort=True)
        return np.asarray(found - int(len(distinct) > 0 and distinct[0] == -1), np.int64)
    found, distinct = pd.factorize(values)
    nobody = np.flatnonzero(distinct == "")
    return np.where(np.isin(found, nobody), -1, found).astype(np.int64)


def _distinguished(values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return (n,) int64 that tell entities apart, below 0 where nobody is known; numbers as they are."""
    return codes(values) if values.dtype == object else values.astype(np.int64, copy=False)


def digest(hashes: npt.NDArray[np.uint64]) -> str:
    """Return the SHA-256 of content hashes, whatever their order."""
    return hashlib.sha256(np.sort(hashes).astype(">u8").tobytes()).hexdigest()
