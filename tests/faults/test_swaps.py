"""Versions that come and go while a server answers, without TensorFlow: refused ones, many swaps, memory, requests."""

import asyncio
import gc
import itertools
import os
import pathlib
import random
import shutil
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import psutil
import pytest

from shared.bundle import reading as bundle
from shared.serving import registry, settings, versions
from tests.faults import trials
from tests.shared import hostile, servers, stand_in

PREDICT = "/v1/models/words:predict"
GOOD = {"instances": ["good", "bad"]}
# As the descriptions of the protocols have it; 501 of HTTP for what is no method.
DECLARED = {200, 204, 400, 401, 403, 404, 405, 406, 408, 411, 413, 414, 415, 421, 422, 429, 431, 501, 503, 504, 505}


@pytest.fixture
def repository(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    with stand_in.installed():
        for name, golden in stand_in.GOLDEN.items():
            stand_in.write(tmp_path / "models", name, "1", golden)
        yield tmp_path / "models"


def refresh(models: registry.Registry) -> None:
    asyncio.run(models.refresh())


def a_registry(folder: pathlib.Path) -> registry.Registry:
    models = registry.Registry(settings.Settings(model_dirs=(folder,), poll_seconds=0))
    models.load()
    return models


def test_a_refused_version_is_tried_again_a_few_times_at_intervals(
    repository: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = a_registry(repository / "words")
    stand_in.write(repository, "words", "2", stand_in.GOLDEN["words"])
    tries: list[float] = []
    load = bundle.load

    def short_of_memory(path: pathlib.Path) -> bundle.Bundle:
        if bundle.number(path) == 2:
            tries.append(clock[0])
            raise MemoryError("no room for the model")
        return load(path)

    clock = [time.monotonic()]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(bundle, "load", short_of_memory)
    started = clock[0]
    for _ in range(100):
        refresh(models)
        clock[0] += registry.RETRY_SECONDS / 10
    # TF Serving: at once, and five times more, a minute apart.
    assert [round((each - started) / registry.RETRY_SECONDS) for each in tries] == [0, 1, 2, 3, 4, 5]
    assert sorted(models.models["words"].served) == [1]
    monkeypatch.setattr(bundle, "load", load)
    clock[0] += 10 * registry.RETRY_SECONDS
    refresh(models)
    assert sorted(models.models["words"].served) == [1]
    # Its files are written anew: then it has all its tries again.
    os.utime(repository / "words" / "2" / "saved_model.pb", (1, 1))
    refresh(models)
    assert sorted(models.models["words"].served) == [2]


def test_a_refused_version_is_served_when_what_it_lacked_is_there(
    repository: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = a_registry(repository / "words")
    stand_in.write(repository, "words", "2", stand_in.GOLDEN["words"])
    with monkeypatch.context() as patch:
        patch.setattr(versions, "Version", lambda *_: (_ for _ in ()).throw(MemoryError()))
        refresh(models)
    refresh(models)
    assert sorted(models.models["words"].served) == [1]
    monkeypatch.setattr(registry, "RETRY_SECONDS", 0.0)
    refresh(models)
    assert sorted(models.models["words"].served) == [2]


class Clients:
    """Honest clients that ask all the time."""

    def __init__(self, port: int, number: int) -> None:
        self.statuses: list[int] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(port,)) for _ in range(number)]

    def _ask(self, port: int) -> None:
        with httpx.Client(timeout=60) as client:
            while not self._stop.is_set():
                try:
                    self.statuses.append(client.post(f"http://127.0.0.1:{port}{PREDICT}", json=GOOD).status_code)
                except httpx.HTTPError:
                    self.statuses.append(0)
                time.sleep(0.002)

    def __enter__(self) -> "Clients":
        for thread in self._threads:
            thread.start()
        while not self.statuses:
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)


@pytest.mark.fault("swap")
def test_while_versions_are_swapped_no_good_request_fails_and_memory_is_flat(
    repository: pathlib.Path, tried: trials.Trials
) -> None:
    model, swaps = repository / "words", trials.count(8, 1_000)
    chosen = settings.Settings(model_dirs=(model,), poll_seconds=0, port=0, allowed_hosts=servers.HOSTS)
    models = registry.Registry(chosen)
    models.load()
    from shared.serving import metrics, server

    process = psutil.Process()
    memory: list[int] = []
    with servers.running(server.create(models, chosen, metrics.Metrics()), chosen, models) as (_, port):
        with Clients(port, 2) as clients:
            for number in range(2, swaps + 2):
                stand_in.write(repository, "words", str(number), stand_in.GOLDEN["words"])
                with tried.one(number):
                    refresh(models)
                    assert sorted(models.models["words"].served) == [number]
                shutil.rmtree(model / str(number - 1))
                if number % max(swaps // 20, 1) == 0:
                    gc.collect()
                    memory.append(process.memory_info().rss)
        tried.number += len(clients.statuses)
        tried.failures += [f"status {status}" for status in clients.statuses if status != 200]
    assert len(clients.statuses) > swaps / 10
    # From the first fifth on, when all that is kept once is there.
    assert memory[-1] - memory[len(memory) // 5] < 48 << 20, [each >> 20 for each in memory]


@pytest.mark.fault("hostile request")
def test_malformed_requests_are_refused_in_process(repository: pathlib.Path, tried: trials.Trials) -> None:
    with servers.serving(repository, max_body_bytes=100_000) as client:
        for number, (method, path, body, headers) in enumerate(hostile.requests(trials.count(300, 10_000), seed=11)):
            with tried.one(f"{number}: {method} {path}"):
                where = path.replace("/tiny", "/words").replace("/columns", "/numbers")
                reply = client.request(method, where, content=body, headers=headers)
                assert reply.status_code in DECLARED, reply.text
                if reply.status_code >= 400 and method != "HEAD":
                    assert list(reply.json()) == ["error"], reply.text
                    assert "Traceback" not in reply.text
        assert client.post(PREDICT, json=GOOD).status_code == 200


def raw(chance: random.Random) -> bytes:
    """Return bytes that a socket gets: a request that is broken anywhere."""
    body = chance.choice([b'{"instances": ["good"]}', b"{", b"\x00" * 50, b"[" * 200])
    method = chance.choice([b"POST", b"GET", b"PUT", b"G\x00T", b"", b"post", b"CONNECT"])
    query = chance.choice([b"", b"?a=\xff", b"%", b"/" * 300])
    lines = [
        method + b" " + PREDICT.encode() + query + chance.choice([b" HTTP/1.1", b" HTTP/9", b"", b" HTTP/1.0"]),
        b"Host: " + chance.choice([b"a", b"a", b"a", b"evil.example", b"", b"a\r\nHost: b"]),
        b"Content-Type: application/json",
        b"Content-Length: " + chance.choice([str(len(body)).encode(), b"-1", b"x", b"0", b"5, 5", b"9" * 30]),
        chance.choice([b"X: y", b"X", b": y", b"X: " + b"z" * 9_000, b"Transfer-Encoding: chunked"]),
    ]
    found = b"\r\n".join(chance.sample(lines, len(lines)) if chance.random() < 0.1 else lines) + b"\r\n\r\n" + body
    if chance.random() < 0.3:
        place = chance.randrange(len(found))
        found = found[:place] + chance.randbytes(3) + found[place + chance.randrange(4) :]
    return found


@pytest.mark.fault("hostile request")
def test_malformed_requests_on_sockets_are_refused_and_others_are_answered(
    repository: pathlib.Path, tried: trials.Trials
) -> None:
    chance = random.Random(12)
    with servers.listening(repository / "words", deadline_seconds=1.0) as (server, port), Clients(port, 1) as clients:
        for number in range(trials.count(60, 3_000)):
            sent = raw(chance)
            with tried.one(f"{number}: {sent[:300]!r}"):
                status = answered(port, sent)
                assert status is None or status in DECLARED
        assert server.thread.is_alive()
    tried.failures += [f"an honest request: status {status}" for status in clients.statuses if status != 200]
    assert clients.statuses


@pytest.mark.fault("soak")
def test_a_server_that_is_asked_for_ten_minutes_answers_all_the_time_and_its_memory_is_flat(
    repository: pathlib.Path, tried: trials.Trials
) -> None:
    chance, process = random.Random(13), psutil.Process()
    memory: list[int] = []
    seconds = trials.count(2, 600)
    with servers.listening(repository / "words", deadline_seconds=10.0) as (server, port), Clients(port, 2) as clients:
        ends = time.monotonic() + seconds
        for number in itertools.count():
            if time.monotonic() > ends:
                break
            sent = raw(chance)
            with tried.one(f"{number}: {sent[:300]!r}"):
                status = answered(port, sent)
                assert status is None or status in DECLARED
            if time.monotonic() > ends - seconds + len(memory) * seconds / 20:
                gc.collect()
                memory.append(process.memory_info().rss)
            time.sleep(0.01)
        assert server.thread.is_alive()
    tried.number += len(clients.statuses)
    tried.failures += [f"an honest request: status {status}" for status in clients.statuses if status != 200]
    with tried.one("memory"):
        assert max(memory[len(memory) // 5 :]) - memory[len(memory) // 5] < 16 << 20, [each >> 20 for each in memory]
    print("MiB:", [each >> 20 for each in memory])


def answered(port: int, sent: bytes) -> int | None:
    """Return the status of the first answer to what a socket sends; None where the server hangs up."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        received = b""
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            received = connection.recv(65536)
        except ConnectionError:
            return None
    words = received.split(b" ", 2)
    return int(words[1]) if received.startswith(b"HTTP/1.1 ") and len(words) > 2 else None
