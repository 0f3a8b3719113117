"""State stores: where ``online`` keeps the transactions that later ones are compared with: SQLite, or Redis."""

import json
import pathlib
import sqlite3
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from apps.fraud_detection.transactions import UNKNOWN


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
