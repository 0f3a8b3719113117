"""One transaction at a time: its history from a state store (``stores``), its score from a bundle.

For a service of its own that asks the model as transactions happen; no verb of the command line needs it. The features
are those of ``features.compute``, asked about the few stored transactions of its card and terminal instead of a file:
the same function on the same rows gives the same bits.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from apps.fraud_detection import features, inputs, preprocessing, stores, tensor_names
from apps.fraud_detection.transactions import UNKNOWN
from shared import errors
from shared.bundle import reading as bundle


@dataclasses.dataclass(frozen=True, kw_only=True)
class Transaction:
    """A transaction to score.

    Attributes:
        identity: Its id.
        time: Microseconds since 1970, or since the beginning of the data where times are no calendar times.
        amount: In the currency.
        parties: Role -> identity, for each entity of the schema; ``""`` for nobody.
        numeric: Column -> number, NaN for missing.
        categorical: Column -> name, ``""`` for missing.
    """

    identity: str
    time: int
    amount: float
    parties: Mapping[str, str] = dataclasses.field(default_factory=dict)
    numeric: Mapping[str, float] = dataclasses.field(default_factory=dict)
    categorical: Mapping[str, str] = dataclasses.field(default_factory=dict)


class Scorer:
    """Scores transactions in order of time, and remembers them."""

    def __init__(self, loaded: bundle.Bundle, store: stores.Store) -> None:
        """Join a bundle and a store."""
        self._bundle, self._store = loaded, store
        self.inputs = inputs.Inputs.from_json(loaded.extra("inputs.json"))
        self._tensors, self._history = tensor_names.of_inputs(self.inputs), frozenset(self.inputs.history)
        self._delay = self.inputs.schema.label_delay_days
        self._needed = round(features.needed_days(self._delay) * features.DAY)
        self._payee = next(iter(list(self.inputs.schema.entities)[1:]), None)

    def score(self, transaction: Transaction, *, reasons: bool = False) -> dict[str, Any]:
        """Return score and decision, and the indices of its reasons if asked; then remember the transaction.

        Raises:
            errors.InputError: A party that the schema names is missing.
        """
        history = self.history(transaction)
        outputs = self._bundle.run(
            self._columns(transaction, history), signature="serving_default" if reasons else "score"
        )
        self._keep(transaction, history, UNKNOWN)
        return {name: values[0].tolist() if values.ndim > 1 else values[0] for name, values in outputs.items()}

    def remember(self, transaction: Transaction, *, label: int = UNKNOWN) -> None:
        """Keep a transaction without scoring it, to fill a new store, oldest first."""
        history = self.history(transaction) if self.inputs.sequence_length else {}
        self._keep(transaction, history, label)

    def record_label(self, identity: str, label: int) -> bool:
        """Record a verdict: 1 fraud, 0 genuine; return whether the transaction is known."""
        return self._store.record_label(identity, label)

    def forget(self, now: int) -> None:
        """Drop what no transaction from ``now`` (microseconds) on is compared with."""
        self._store.forget(now - self._needed)

    def history(self, transaction: Transaction) -> dict[str, np.float32]:
        """Return the features of a transaction: those of ``inputs.compute_history`` for a file that ends with it."""
        found: dict[str, np.float32] = {}
        for role in self.inputs.schema.entities:
            if role not in transaction.parties:
                raise errors.InputError(f"transaction {transaction.identity}: expected a {role}. Received: none")
            columns = features.compute(self._books(role, transaction), label_delay_days=self._delay)
            found |= {name: values[-1] for name, values in columns.items() if name in self._history}
        return found

    def sequence(self, transaction: Transaction, history: Mapping[str, np.float32]) -> npt.NDArray[np.float32]:
        """Return (length, channels) float32: ``preprocessing.sequences`` of a file that ends with the transaction."""
        payer, length = self.inputs.schema.payer or "", self.inputs.sequence_length
        own = self._event(transaction, history, UNKNOWN)
        events = [*self._earlier(payer, transaction, inputs.SEQUENCE_DAYS * features.DAY), own][-length:]
        found = preprocessing.channels(
            amount=np.array([event.amount for event in events]) / features.AMOUNT_SCALE,
            time=np.array([event.time for event in events]),
            now=np.array(transaction.time),
            payee_risk=np.array([event.payee_risk for event in events], np.float32),
            same_payee=np.array([event.payee == own.payee for event in events]),
        )
        return np.pad(found, [(0, length - len(events)), (0, 0)])

    def _keep(self, transaction: Transaction, history: Mapping[str, np.float32], label: int) -> None:
        parties = {role: party for role, party in transaction.parties.items() if party}
        self._store.add(parties, self._event(transaction, history, label))

    def _event(self, transaction: Transaction, history: Mapping[str, np.float32], label: int) -> stores.Event:
        return stores.Event(
            transaction.time,
            round(transaction.amount * features.AMOUNT_SCALE),
            label,
            transaction.identity,
            transaction.parties.get(self._payee or "", ""),
            float(history.get(f"{self._payee}_risk_{features.WINDOW_DAYS[-1]}d", 0.0)),
        )

    def _books(self, role: str, transaction: Transaction) -> features.Books:
        events = [*self._earlier(role, transaction, self._needed), self._event(transaction, {}, UNKNOWN)]
        time, amount, label = np.array([event[:3] for event in events], np.int64).T
        code = np.full(len(time), 0 if transaction.parties[role] else -1, np.int64)
        return features.Books(time=time, amount=amount, entities={role: code}, label=label)

    def _earlier(self, role: str, transaction: Transaction, microseconds: int) -> list[stores.Event]:
        """Return the stored transactions of one of its parties in so many microseconds before it; none of nobody."""
        party, now = transaction.parties[role], transaction.time
        return self._store.between(role, party, now - microseconds, now) if party else []

    def _columns(self, transaction: Transaction, history: Mapping[str, np.float32]) -> dict[str, npt.NDArray[Any]]:
        def value(source: tensor_names.Source) -> Any:
            if source.kind == "time":
                return transaction.time / features.MICROSECONDS
            if source.kind == "history":
                return history[source.name]
            if source.kind == "text":
                return transaction.categorical[source.name]
            if source.kind == "sequence":
                return self.sequence(transaction, history)
            if source.name == self.inputs.schema.amount:
                return transaction.amount
            return transaction.numeric[source.name]

        return {name: np.array([value(source)]) for source, name in self._tensors.items()}
