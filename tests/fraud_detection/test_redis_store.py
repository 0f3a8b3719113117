"""Servers that share a Redis store lose no update of each other, also where one of them is killed."""

import pathlib
import signal
import socket
import subprocess
from typing import Any

import pytest

from apps.fraud_detection import features, online, stores
from apps.fraud_detection.transactions import Transactions
from shared import errors, machine
from tests.fraud_detection import redis_writer
from tests.fraud_detection.test_online import make_scorer

COUNT, SECOND = 600, 1_000_000
AFTER = redis_writer.BEGIN + COUNT * 60 * SECOND
ROLES = {"customer": 5, "terminal": 3}


def start_writer(path: str, *numbers: int) -> "subprocess.Popen[str]":
    script = pathlib.Path(__file__).with_name("redis_writer.py")
    command = [*machine.python_command("x")[:2], str(script), path, *map(str, numbers)]
    return subprocess.Popen(command, env=machine.python_environment(), stdout=subprocess.PIPE, text=True)


def stored(store: stores.Store) -> list[tuple[str, str, stores.Event]]:
    """Return role, party and transaction of all that is kept, in an order of its own."""
    return sorted(
        (role, str(party), event)
        for role, parties in ROLES.items()
        for party in range(parties)
        for event in store.between(role, str(party), 0, AFTER)
    )


def filled_alone(count: int) -> stores.SqliteStore:
    """Return what one process makes of the same transactions, one after another."""
    store = stores.SqliteStore()
    for number in range(count):
        store.add(redis_writer.parties(number), redis_writer.event(number))
        if number % 2:
            store.record_label(str(number), number // 2 % 2)
    return store


def torn(client: Any) -> set[str]:
    """Return the ids that are kept for some of their parties only, or that no verdict could be recorded on."""
    store = stores.RedisStore(client)
    kept = {role: {event.identity for each, _, event in stored(store) if each == role} for role in ROLES}
    times = {identity.decode() for identity in client.hkeys("fieldnets:fraud:times")}
    return (kept["customer"] | kept["terminal"] | times) - (kept["customer"] & kept["terminal"] & times)


def test_two_processes_lose_no_update_of_each_other(redis_socket: str, redis_client: Any, booked: Transactions) -> None:
    writers = [start_writer(redis_socket, first, 2, COUNT) for first in range(2)]
    redis_client.rpush("go", 1, 1)
    for writer in writers:
        writer.communicate(timeout=120)
        assert writer.returncode == 0
    shared, alone = stores.RedisStore(redis_client), filled_alone(COUNT)
    assert stored(shared) == stored(alone)
    scorers = [make_scorer(booked, each) for each in (shared, alone)]
    for number in range(15):
        one = online.Transaction(
            identity="new", time=AFTER + 8 * features.DAY, amount=12.34, parties=redis_writer.parties(number)
        )
        found, expected = (scorer.history(one) for scorer in scorers)
        assert {name: value.tobytes() for name, value in found.items()} == {
            name: value.tobytes() for name, value in expected.items()
        }
        assert expected["terminal_judged_30d"] > 0


def test_a_server_that_is_killed_in_the_middle_leaves_whole_updates_only(redis_socket: str, redis_client: Any) -> None:
    killed, other = start_writer(redis_socket, 0, 2, 10**6), start_writer(redis_socket, 1, 2, COUNT)
    redis_client.rpush("go", 1, 1)
    with killed:
        assert killed.stdout is not None
        said = [killed.stdout.readline() for _ in range(100)]
        killed.send_signal(signal.SIGKILL)
        said += killed.stdout.read().splitlines()
    other.communicate(timeout=120)
    assert killed.returncode == -signal.SIGKILL
    assert torn(redis_client) == set()
    kept = {event.identity for _, _, event in stored(stores.RedisStore(redis_client))}
    assert kept >= {str(number) for number in range(1, COUNT, 2)}
    # What it has said is kept, but perhaps for the last number, which it was writing.
    assert kept >= {each.strip() for each in said if each.strip()} - {said[-1].strip()}


def test_a_connection_that_ends_within_an_update_changes_nothing(redis_socket: str, redis_client: Any) -> None:
    stores.RedisStore(redis_client).add(redis_writer.parties(0), redis_writer.event(0))
    before = {key: redis_client.dump(key) for key in redis_client.scan_iter()}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(redis_socket)
        connection.sendall(b"*4\r\n$4\r\nEVAL\r\n$40\r\nredis.call('INCR', 'fieldnets:fraud:number')")
    assert {key: redis_client.dump(key) for key in redis_client.scan_iter()} == before


def test_an_update_of_one_party_after_another_would_be_seen_as_torn(redis_client: Any) -> None:
    """The planted fault: a client that dies between two commands."""
    redis_client.zadd(
        "fieldnets:fraud:party:customer:0", {'00000000000000000001|5|7|{"id": "x", "payee": "", "risk": 0}': 5}
    )
    assert torn(redis_client) == {"x"}


def test_an_update_that_is_sent_again_counts_once(redis_client: Any) -> None:
    """As the client does that has lost the connection before the reply."""
    store = stores.RedisStore(redis_client)
    script = store._add

    def twice(**given: Any) -> None:
        script(**given)
        script(**given)

    store._add = twice
    store.add(redis_writer.parties(0), redis_writer.event(0))
    assert stored(store) == [(role, "0", redis_writer.event(0)) for role in ROLES]
    assert 0 < redis_client.ttl(redis_client.keys("fieldnets:fraud:update:*")[0]) <= 600


def test_the_same_transaction_added_twice_counts_twice_as_in_any_store(redis_client: Any) -> None:
    for store in (stores.RedisStore(redis_client), stores.SqliteStore()):
        for _ in range(2):
            store.add(redis_writer.parties(0), redis_writer.event(0))
        assert len(store.between("customer", "0", 0, AFTER)) == 2


def test_of_one_instant_the_order_is_that_of_the_updates(redis_client: Any) -> None:
    first, second = stores.RedisStore(redis_client), stores.RedisStore(redis_client)
    for number in range(12):
        event = redis_writer.event(0)._replace(identity=f"{'zyx'[number % 3]}{number}")
        (first, second)[number % 2].add({"customer": "1"}, event)
    found = [event.identity for event in first.between("customer", "1", 0, AFTER)]
    assert found == [f"{'zyx'[number % 3]}{number}" for number in range(12)]


def test_what_is_added_while_others_forget_is_not_forgotten(redis_client: Any) -> None:
    store, other = stores.RedisStore(redis_client), stores.RedisStore(redis_client)
    old = redis_writer.event(0)
    store.add(redis_writer.parties(0), old)
    scan = redis_client.hscan_iter

    def scan_then_another_adds(*given: Any) -> Any:
        yield from list(scan(*given))
        other.add(redis_writer.parties(0), old._replace(time=old.time + SECOND))

    redis_client.hscan_iter = scan_then_another_adds
    store.forget(old.time)
    assert [event.time for event in other.between("customer", "0", 0, AFTER)] == [old.time + SECOND]
    assert other.record_label(old.identity, 1)
    redis_client.hscan_iter = scan
    store.forget(old.time + SECOND)
    assert not other.record_label(old.identity, 1)
    assert not redis_client.hlen("fieldnets:fraud:labels")


def test_a_store_of_an_earlier_version_is_read_and_added_to(redis_client: Any) -> None:
    member = '00000000000000000041|1600000000000000|7|{"risk": 0.25, "payee": "2", "id": "old"}'
    redis_client.set("fieldnets:fraud:number", 41)
    redis_client.zadd("fieldnets:fraud:party:customer:0", {member: 1_600_000_000_000_000})
    redis_client.hset("fieldnets:fraud:times", "old", 1_600_000_000_000_000)
    store = stores.RedisStore(redis_client)
    assert store.record_label("old", 1)
    store.add({"customer": "0"}, redis_writer.event(0))
    expected = stores.Event(redis_writer.BEGIN, 7, 1, "old", "2", 0.25)
    assert store.between("customer", "0", 0, AFTER) == [expected, redis_writer.event(0)]


def test_a_store_at_a_url_is_that_of_the_server(redis_socket: str, redis_client: Any) -> None:
    stores.RedisStore.at(f"unix://{redis_socket}").add({"customer": "0"}, redis_writer.event(0))
    assert len(stores.RedisStore(redis_client).between("customer", "0", 0, AFTER)) == 1


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "missing", list)
    with pytest.raises(errors.InputError, match=r"expected the package redis .*fieldnets\[cluster\]"):
        stores.RedisStore.at("redis://localhost")
