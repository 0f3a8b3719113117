"""One transaction at a time: its history from a state store, its score from a bundle.

The features are those of ``features.compute``, asked about the few stored transactions of its card and terminal instead
of a file: the same function on the same rows gives the same bits.
"""

import dataclasses
import json
import pathlib
import sqlite3
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from apps.fraud_detection import features, inputs, preprocessing, tensor_names
from apps.fraud_detection.transactions import UNKNOWN
from shared import errors
from shared.bundle import reading as bundle


class Event(NamedTuple):
    """What a store keeps of a transaction for one of its parties.

    Attributes:
        time: Microseconds, as in ``features.Books``.
        amount: Ten-thousandths of the currency.
        label: 1, 0 or ``UNKNOWN``.
        identity: The transaction's id.
        payee: Who was paid; empty where the schema names nobody.
        payee_risk: Share of fraud at the payee in 30 days, as known at this instant; for sequences.
    """

    time: int
    amount: int
    label: int
    identity: str
    payee: str = ""
    payee_risk: float = 0.0


class Store(Protocol):
    """Where histories are kept. One store may serve many scorers."""

    def add(self, parties: Mapping[str, str], event: Event) -> None:
        """Keep a transaction for each of its parties (role -> identity)."""

    def between(self, role: str, party: str, after: int, until: int) -> list[Event]:
        """Return the transactions of a party in (after, until], of one instant in the order of adding."""

    def record_label(self, identity: str, label: int) -> bool:
        """Record a verdict; return whether the transaction is known."""

    def forget(self, time: int) -> None:
        """Drop the transactions up to ``time``."""


class SqliteStore:
    """A store in one file, or in memory: the default for a single server."""

    def __init__(self, path: pathlib.Path | None = None) -> None:
        """Open or make the file; None keeps all in memory."""
        self._connection = sqlite3.connect(":memory:" if path is None else path, isolation_level=None)
        # With a write-ahead log a crash loses at most the last transactions, never the file.
        for setting in ("journal_mode=WAL", "synchronous=NORMAL"):
            self._connection.execute(f"PRAGMA {setting}")
        self._connection.executescript(
            "CREATE TABLE IF NOT EXISTS event (number INTEGER PRIMARY KEY, role TEXT NOT NULL, party TEXT NOT NULL,"
            " time INTEGER NOT NULL, amount INTEGER NOT NULL, label INTEGER NOT NULL, identity TEXT NOT NULL,"
            " payee TEXT NOT NULL, payee_risk REAL NOT NULL);"
            "CREATE INDEX IF NOT EXISTS by_party ON event (role, party, time);"
            "CREATE INDEX IF NOT EXISTS by_identity ON event (identity);"
            "CREATE INDEX IF NOT EXISTS by_time ON event (time);"
        )

    def add(self, parties: Mapping[str, str], event: Event) -> None:
        """Keep a transaction for each of its parties."""
        rows = [(role, party, *event) for role, party in parties.items()]
        with self._connection:
            self._connection.execute("BEGIN")
            self._connection.executemany(
                "INSERT INTO event (role, party, time, amount, label, identity, payee, payee_risk)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )

    def between(self, role: str, party: str, after: int, until: int) -> list[Event]:
        """Return the transactions of a party in (after, until]."""
        found = self._connection.execute(
            "SELECT time, amount, label, identity, payee, payee_risk FROM event "
            "WHERE role = ? AND party = ? AND time > ? AND time <= ? "
            "ORDER BY time, number",
            (role, party, after, until),
        )
        return [Event(*row) for row in found]

    def record_label(self, identity: str, label: int) -> bool:
        """Record a verdict."""
        changed = self._connection.execute("UPDATE event SET label = ? WHERE identity = ?", (label, identity))
        return changed.rowcount > 0

    def forget(self, time: int) -> None:
        """Drop the transactions up to ``time``."""
        self._connection.execute("DELETE FROM event WHERE time <= ?", (time,))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


class RedisStore:
    """A store that several servers share; ``client`` is a ``redis.Redis`` (package ``redis``, not installed by us).

    A party's transactions are a sorted set by time; verdicts are a hash.
    """

    def __init__(self, client: Any, *, prefix: str = "fieldnets:fraud") -> None:
        self._client, self._prefix = client, prefix

    def add(self, parties: Mapping[str, str], event: Event) -> None:
        """Keep a transaction for each of its parties, all or none."""
        pipe = self._client.pipeline(transaction=True)
        number = int(self._client.incr(f"{self._prefix}:number"))
        for role, party in parties.items():
            # The number keeps transactions of one instant in order: members of one score are sorted as text.
            about = {"risk": event.payee_risk, "payee": event.payee, "id": event.identity}
            member = f"{number:020d}|{event.time}|{event.amount}|{json.dumps(about)}"
            pipe.zadd(self._key(role, party), {member: event.time})
        if event.label != UNKNOWN:
            pipe.hset(f"{self._prefix}:labels", event.identity, event.label)
        pipe.hset(f"{self._prefix}:times", event.identity, event.time)
        pipe.execute()

    def between(self, role: str, party: str, after: int, until: int) -> list[Event]:
        """Return the transactions of a party in (after, until]."""
        members = self._client.zrangebyscore(self._key(role, party), f"({after}", until)
        parts = [_text(member).split("|", 3) for member in members]
        if not parts:
            return []
        about = [json.loads(part[3]) for part in parts]
        labels = self._client.hmget(f"{self._prefix}:labels", [each["id"] for each in about])
        return [
            Event(
                int(part[1]),
                int(part[2]),
                UNKNOWN if label is None else int(label),
                each["id"],
                each["payee"],
                each["risk"],
            )
            for part, each, label in zip(parts, about, labels, strict=True)
        ]

    def record_label(self, identity: str, label: int) -> bool:
        """Record a verdict."""
        if not self._client.hexists(f"{self._prefix}:times", identity):
            return False
        self._client.hset(f"{self._prefix}:labels", identity, label)
        return True

    def forget(self, time: int) -> None:
        """Drop the transactions up to ``time``."""
        for key in self._client.scan_iter(match=f"{self._prefix}:party:*"):
            self._client.zremrangebyscore(key, "-inf", time)
        times = self._client.hgetall(f"{self._prefix}:times")
        old = [identity for identity, when in times.items() if int(when) <= time]
        if old:
            self._client.hdel(f"{self._prefix}:times", *old)
            self._client.hdel(f"{self._prefix}:labels", *old)

    def _key(self, role: str, party: str) -> str:
        return f"{self._prefix}:party:{role}:{party}"


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


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

    def __init__(self, loaded: bundle.Bundle, store: Store) -> None:
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

    def _keep(self, transaction: Transaction, history: Mapping[str, np.float32], label: int) -> None:
        parties = {role: party for role, party in transaction.parties.items() if party}
        event = Event(
            transaction.time,
            round(transaction.amount * features.AMOUNT_SCALE),
            label,
            transaction.identity,
            transaction.parties.get(self._payee or "", ""),
            float(history.get(self._risk_name, 0.0)),
        )
        self._store.add(parties, event)

    @property
    def _risk_name(self) -> str:
        return f"{self._payee}_risk_{features.WINDOW_DAYS[-1]}d"

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
        party, payee = transaction.parties[payer], transaction.parties.get(self._payee or "", "")
        since = transaction.time - inputs.SEQUENCE_DAYS * features.DAY
        earlier = self._store.between(payer, party, since, transaction.time) if party else []
        own = Event(
            transaction.time,
            round(transaction.amount * features.AMOUNT_SCALE),
            UNKNOWN,
            transaction.identity,
            payee,
            float(history.get(self._risk_name, 0.0)),
        )
        events = [*earlier, own][-length:]
        found = preprocessing.channels(
            amount=np.array([event.amount for event in events]) / features.AMOUNT_SCALE,
            time=np.array([event.time for event in events]),
            now=np.array(transaction.time),
            payee_risk=np.array([event.payee_risk for event in events], np.float32),
            same_payee=np.array([event.payee == payee for event in events]),
        )
        return np.pad(found, [(0, length - len(events)), (0, 0)])

    def _books(self, role: str, transaction: Transaction) -> features.Books:
        party = transaction.parties[role]
        earlier = self._earlier(role, party, transaction.time)
        rows = np.array([event[:3] for event in earlier], np.int64).reshape(-1, 3)
        own = [transaction.time, round(transaction.amount * features.AMOUNT_SCALE), UNKNOWN]
        time, amount, label = np.concatenate([rows, [own]]).T
        code = np.full(len(time), 0 if party else -1, np.int64)
        return features.Books(time=time, amount=amount, entities={role: code}, label=label)

    def _earlier(self, role: str, party: str, time: int) -> list[Event]:
        return self._store.between(role, party, time - self._needed, time) if party else []

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
