"""State stores: where ``online`` keeps the transactions that later ones are compared with: SQLite, or Redis."""

import importlib
import json
import pathlib
import sqlite3
import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, Self

from apps.fraud_detection.transactions import UNKNOWN
from shared import errors, machine


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


# An update that was sent again within this time, because its reply was lost, counts once.
_RESENT_SECONDS = 600
_FORGOTTEN_AT_ONCE = 1_000
# Redis runs a script alone, from its beginning to its end: whoever reads sees all of an update or nothing.
_ADD = """
if not redis.call('SET', KEYS[4], 1, 'NX', 'EX', ARGV[6]) then return 0 end
local number = redis.call('INCR', KEYS[1])
local member = string.format('%020d', number) .. '|' .. ARGV[1] .. '|' .. ARGV[2] .. '|' .. ARGV[3]
for i = 5, #KEYS do redis.call('ZADD', KEYS[i], ARGV[1], member) end
if ARGV[5] ~= '' then redis.call('HSET', KEYS[2], ARGV[4], ARGV[5]) end
redis.call('HSET', KEYS[3], ARGV[4], ARGV[1])
return 1
"""
_RECORD_LABEL = """
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
"""
# Ids that another client has added again meanwhile stay.
_FORGET = """
for i = 2, #ARGV do
    local time = redis.call('HGET', KEYS[2], ARGV[i])
    if time and tonumber(time) <= tonumber(ARGV[1]) then
        redis.call('HDEL', KEYS[1], ARGV[i])
        redis.call('HDEL', KEYS[2], ARGV[i])
    end
end
"""


class RedisStore:
    """A store that several servers share; ``client`` is a ``redis.Redis``.

    A party's transactions are a sorted set by time; verdicts are a hash. Every update is one step of the server:
    updates of several clients lose none of each other, and a client that dies leaves all of its update or nothing.
    Transactions of one instant are in the order in which their updates were done. Amounts are whole numbers: whatever
    the order of updates, what is asked about a later instant gets the same bits.
    """

    def __init__(self, client: Any, *, prefix: str = "fieldnets:fraud") -> None:
        self._client, self._prefix = client, prefix
        self._labels, self._times = f"{prefix}:labels", f"{prefix}:times"
        self._add, self._record_label, self._forget = map(client.register_script, (_ADD, _RECORD_LABEL, _FORGET))

    @classmethod
    def at(cls, url: str, *, prefix: str = "fieldnets:fraud") -> Self:
        """Return the store at a URL such as ``redis://host:6379/0`` or ``unix:///run/redis.sock``.

        Raises:
            errors.InputError: The package ``redis`` is not installed.
        """
        if machine.missing(["redis"]):
            raise errors.InputError(
                "expected the package redis for a state store that servers share: pip install 'fieldnets[cluster]'. "
                "Received: an installation without"
            )
        return cls(importlib.import_module("redis").Redis.from_url(url), prefix=prefix)

    def add(self, parties: Mapping[str, str], event: Event) -> None:
        """Keep a transaction for each of its parties, all or none."""
        about = json.dumps({"risk": event.payee_risk, "payee": event.payee, "id": event.identity})
        label = "" if event.label == UNKNOWN else event.label
        update = f"{self._prefix}:update:{uuid.uuid4().hex}"
        keys = [f"{self._prefix}:number", self._labels, self._times, update]
        self._add(
            keys=[*keys, *(self._key(role, party) for role, party in parties.items())],
            args=[event.time, event.amount, about, event.identity, label, _RESENT_SECONDS],
        )

    def between(self, role: str, party: str, after: int, until: int) -> list[Event]:
        """Return the transactions of a party in (after, until]."""
        members = self._client.zrangebyscore(self._key(role, party), f"({after}", until)
        parts = [_text(member).split("|", 3) for member in members]
        if not parts:
            return []
        about = [json.loads(part[3]) for part in parts]
        labels = self._client.hmget(self._labels, [each["id"] for each in about])
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
        return bool(self._record_label(keys=[self._labels, self._times], args=[identity, label]))

    def forget(self, time: int) -> None:
        """Drop the transactions up to ``time``."""
        for key in self._client.scan_iter(match=f"{self._prefix}:party:*"):
            self._client.zremrangebyscore(key, "-inf", time)
        old = [identity for identity, when in self._client.hscan_iter(self._times) if int(when) <= time]
        for start in range(0, len(old), _FORGOTTEN_AT_ONCE):
            some = old[start : start + _FORGOTTEN_AT_ONCE]
            self._forget(keys=[self._labels, self._times], args=[time, *some])

    def _key(self, role: str, party: str) -> str:
        return f"{self._prefix}:party:{role}:{party}"


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
