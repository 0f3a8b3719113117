"""HTTP as RFC 9112 has it: what is a body is no request, and what is refused below is refused as everywhere."""

import asyncio
import contextlib
import gzip
import json
import logging
import select
import socket
import time
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from shared.serving import connection, contents, limits, metrics, refusals, settings
from tests.shared import servers

INNER = b"GET /v2/health/live HTTP/1.1\r\nHost: inner\r\nX-Request-Id: from-the-body\r\n\r\n"
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(INNER), INNER)
LENGTH = b"Content-Length: %d\r\n" % len(INNER)
UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def echo() -> Iterator[tuple[metrics.Metrics, int]]:
    with servers.echoing(max_body_bytes=100_000) as found:
        yield found


def talk(port: int, *parts: bytes, wait: float = 0.0, timeout: float = 5.0) -> bytes:
    """Send bytes as they are, and return all that comes until the server closes."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as client:
        for part in parts:
            client.sendall(part)
            time.sleep(wait)
        try:
            while data := client.recv(65536):
                received += data
        except ConnectionResetError:
            pass
    return received


def answers(received: bytes) -> list[tuple[int, dict[str, Any], str]]:
    """Return status, JSON and head of each answer."""
    found = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(": ", 1) for line in head.decode("latin-1").split("\r\n")[1:])
        length = int(fields["content-length"])
        found.append((int(head[9:12]), json.loads(rest[:length]), head.decode("latin-1").lower()))
        received = rest[length:]
    return found


@pytest.mark.parametrize("offer", [UPGRADE, b"Connection: upgrade\r\nUpgrade: websocket\r\n", b""])
@pytest.mark.parametrize(("framing", "body"), [(LENGTH, INNER), (b"Transfer-Encoding: Chunked\r\n", CHUNKED)])
@pytest.mark.parametrize("way", ["whole", "body apart", "byte by byte"])
def test_a_body_is_the_bytes_behind_the_head_and_never_a_request(
    echo: tuple[metrics.Metrics, int], offer: bytes, framing: bytes, body: bytes, way: str
) -> None:
    head = b"POST /first HTTP/1.1\r\nHost: x\r\n" + offer + framing + b"\r\n"
    whole = head + body + NEXT
    parts = {"whole": [whole], "body apart": [head, body, NEXT], "byte by byte": [bytes([each]) for each in whole]}[way]
    first, second = answers(talk(echo[1], *parts, wait=0.05 if way == "body apart" else 0.0))
    assert (first[0], first[1]["path"], first[1]["body"]) == (200, "/first", INNER.decode())
    assert (second[0], second[1]["path"], second[1]["body"]) == (200, "/next", "")
    assert "from-the-body" not in first[2] + second[2]


def test_an_offered_upgrade_without_a_body_is_a_request_like_others(echo: tuple[metrics.Metrics, int]) -> None:
    first, second = answers(talk(echo[1], b"GET /a HTTP/1.1\r\nHost: x\r\n" + UPGRADE + b"\r\n" + NEXT))
    assert (first[0], first[1]["path"], second[1]["path"]) == (200, "/a", "/next")


def test_an_upgrade_offered_again_on_the_same_connection_changes_nothing(echo: tuple[metrics.Metrics, int]) -> None:
    one = b"POST /a HTTP/1.1\r\nHost: x\r\n" + UPGRADE + LENGTH + b"\r\n" + INNER
    found = answers(talk(echo[1], one * 3 + NEXT))
    assert [each[1]["path"] for each in found] == ["/a", "/a", "/a", "/next"]


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/1.1\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n", 400),
        (b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a/b\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: user@a\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n", 501),
        (b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : a\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n folded\r\n", 400),
        (b"GARBAGE\r\n", 400),
        (b"\x16\x03\x01\x00\x05\r\n", 400),
        (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n", 501),
        (b"GET / HTTP/2.0\r\nHost: a\r\n", 505),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 70_000 + b"\r\n", 431),
    ],
)
def test_what_the_connection_refuses_is_json_logged_and_counted_and_ends_it(
    echo: tuple[metrics.Metrics, int],
    head: bytes,
    status: int,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def counted() -> float:
        labels = {"route": "other", "status": str(status), "model": "", "version": ""}
        return echo[0].registry.get_sample_value("fieldnets_requests_total", labels) or 0.0

    monkeypatch.setattr(logging.getLogger("fieldnets.requests"), "propagate", True)
    before = counted()
    with caplog.at_level(logging.INFO, logger="fieldnets.requests"):
        ((found, body, lines),) = answers(talk(echo[1], head + b"\r\n" + INNER))
    assert (found, list(body)) == (status, ["error"])
    assert "expected" in body["error"]
    assert all(field in lines for field in ("application/json", "x-request-id: ", "connection: close"))
    assert counted() == before + 1
    assert json.loads(caplog.records[-1].message)["status"] == status


def test_requests_before_a_broken_one_are_answered_before_it(echo: tuple[metrics.Metrics, int]) -> None:
    good = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
    assert [each[0] for each in answers(talk(echo[1], good * 2 + b"GARBAGE\r\n\r\n" + good))] == [200, 200, 400]


@pytest.mark.parametrize("body", [b"5\r\nhelloX\r\n0\r\n\r\n", b"zz\r\n", b"5;" + b"x" * 300_000])
def test_a_body_that_is_not_framed_as_the_head_says_is_refused(echo: tuple[metrics.Metrics, int], body: bytes) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    ((status, content, _),) = answers(talk(echo[1], head, body + INNER, wait=0.05))
    assert (status, list(content)) in ((400, ["error"]), (431, ["error"]))


def test_trailers_are_no_headers(echo: tuple[metrics.Metrics, int]) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b"2\r\nab\r\n0\r\nAuthorization: Bearer x\r\n\r\n"
    first, _ = answers(talk(echo[1], head + body + NEXT))
    assert (first[1]["body"], first[1]["headers"]) == ("ab", ["host", "transfer-encoding"])


def test_http_1_0_needs_no_host_and_is_closed_after_the_answer(echo: tuple[metrics.Metrics, int]) -> None:
    ((status, _, _),) = answers(talk(echo[1], b"GET /a HTTP/1.0\r\n\r\n"))
    assert status == 200


def test_a_head_that_is_too_slow_gets_408_and_a_connection_without_a_request_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.2)
    with servers.echoing(keep_alive_seconds=1.0) as (_, port):
        assert answers(talk(port, b"GET / HTTP/1.1\r\nHost:"))[0][0] == 408
        assert talk(port, b"") == b""
        assert talk(port, b"\r\n") == b""


def test_an_idle_connection_is_kept_as_long_as_asked_for() -> None:
    request = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
    with (
        servers.echoing(keep_alive_seconds=4.0) as (_, port),
        socket.create_connection(("127.0.0.1", port), timeout=5) as client,
    ):
        for _ in range(2):
            client.sendall(request)
            assert client.recv(65536).startswith(b"HTTP/1.1 200")
            time.sleep(1.2)
        started = time.monotonic()
        assert client.recv(1) == b""
        assert time.monotonic() - started < 4.0


class Slow:
    """An application that answers after a while, and notes who left."""

    def __init__(self) -> None:
        self.left = 0

    async def __call__(self, scope: Any, _receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        try:
            await asyncio.sleep(0 if scope["path"].startswith("/v2") else 60)
        except asyncio.CancelledError:
            self.left += 1
            raise
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"{}"})


def test_the_work_of_a_client_that_left_is_cancelled_and_logged_as_499() -> None:
    app = Slow()
    with servers.echoing(app) as (counters, port):
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
            time.sleep(0.2)
        labels = {"route": "other", "status": "499", "model": "", "version": ""}
        until = time.monotonic() + 10
        while time.monotonic() < until and not counters.registry.get_sample_value("fieldnets_requests_total", labels):
            time.sleep(0.02)
        assert counters.registry.get_sample_value("fieldnets_requests_total", labels) == 1
    assert app.left == 1


@pytest.mark.parametrize("behind", [b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n", b"GARBAGE\r\n\r\n", b""])
def test_a_client_that_leaves_before_its_answer_is_no_fault_of_the_server(
    behind: bytes, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = Slow()
    with servers.echoing(app) as (_, port), monkeypatch.context() as patch:
        patch.setattr(logging.getLogger("uvicorn.error"), "propagate", True)
        patch.setattr(logging.getLogger("uvicorn"), "propagate", True)
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n" + behind)
            time.sleep(0.2)
        until = time.monotonic() + 10
        while time.monotonic() < until and not app.left:
            time.sleep(0.02)
        talk(port, b"GET /v2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert app.left == 1
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_request_that_the_end_of_the_server_cuts_off_is_told_so() -> None:
    options = settings.Settings(model_dirs=(), port=0, allowed_hosts=servers.HOSTS, shutdown_seconds=2.0)
    counters = metrics.Metrics()
    app = limits.Guard(Slow(), options=options, counters=counters)
    with servers.running(app, options) as (server, port):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
            time.sleep(0.2)
            server.should_exit = True
            ((status, body, head),) = answers(client.recv(65536))
        labels = {"route": "other", "status": "503", "model": "", "version": ""}
        assert counters.registry.get_sample_value("fieldnets_requests_total", labels) == 1
    assert (status, list(body)) == (503, ["error"])
    assert "retry-after: 1" in head


def test_too_many_requests_are_refused_with_a_time_to_wait_but_probes_are_answered() -> None:
    with servers.echoing(Slow(), max_connections=3) as (_, port), contextlib.ExitStack() as busy:
        for _ in range(3):
            client = busy.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.sendall(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.5)
        ((status, body, head),) = answers(talk(port, b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"))
        probe = talk(port, b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert (status, list(body)) == (503, ["error"])
    assert "retry-after: 1" in head
    assert probe.startswith(b"HTTP/1.1 200")


def test_idle_connections_make_room_for_those_that_ask() -> None:
    with servers.echoing(max_connections=5) as (_, port), contextlib.ExitStack() as opened:
        idle = [opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5)) for _ in range(5)]
        time.sleep(0.5)
        ((status, _, _),) = answers(talk(port, NEXT))
        assert status == 200
        # One of those that were there ended, without a word.
        ended, _, _ = select.select(idle, [], [], 5)
        assert [client.recv(1) for client in ended] == [b""]


def test_head_is_answered_as_get_without_the_body(echo: tuple[metrics.Metrics, int]) -> None:
    close = b" /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-Id: i\r\n\r\n"
    without, whole = (talk(echo[1], method + close).partition(b"\r\n\r\n") for method in (b"HEAD", b"GET"))
    assert (without[2], json.loads(whole[2])["method"]) == (b"", "GET")
    left_out = (b"date: ",)
    heads = [[line for line in head[0].split(b"\r\n") if not line.startswith(left_out)] for head in (without, whole)]
    assert heads[0] == heads[1]


def bare(content: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(content) + compressor.flush()


@pytest.mark.parametrize(
    ("coding", "compress"),
    [
        ("gzip", gzip.compress),
        ("X-GZIP", gzip.compress),
        ("GZip", lambda content: gzip.compress(content[:3], mtime=0) + gzip.compress(content[3:], mtime=0)),
        ("deflate", zlib.compress),
        ("deflate", bare),
        ("identity", bytes),
        ("", bytes),
    ],
)
def test_a_compressed_body_is_read(echo: tuple[metrics.Metrics, int], coding: str, compress: Any) -> None:
    body = compress(b'{"instances": ["good"]}')
    head = f"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Encoding: {coding}\r\n"
    ((status, found, _),) = answers(talk(echo[1], head.encode() + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)))
    assert (status, found["body"]) == (200, '{"instances": ["good"]}')


@pytest.mark.parametrize(
    ("coding", "body", "status"),
    [
        ("br", b"x", 415),
        ("gzip, gzip", gzip.compress(gzip.compress(b"{}", mtime=0), mtime=0), 415),
        ("gzip", b"{}", 400),
        ("gzip", b"", 400),
        ("gzip", gzip.compress(b"x" * 1000, mtime=0)[:-9], 400),
        ("gzip", gzip.compress(bytes(200_000), mtime=0), 413),
        ("deflate", zlib.compress(bytes(200_000)), 413),
        ("gzip", gzip.compress(bytes(60_000), mtime=0) * 2, 413),
    ],
)
def test_a_compressed_body_that_cannot_be_read_or_is_too_large_is_refused(
    echo: tuple[metrics.Metrics, int], coding: str, body: bytes, status: int
) -> None:
    head = f"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Encoding: {coding}\r\n"
    ((found, message, lines),) = answers(
        talk(echo[1], head.encode() + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    )
    assert (found, list(message)) == (status, ["error"])
    assert ("accept-encoding: gzip, deflate" in lines) == (status == 415)


def test_no_more_is_decompressed_than_may_be_held() -> None:
    bomb = zlib.compress(bytes(50_000_000))
    started = time.perf_counter()
    with pytest.raises(refusals.TooLargeError):
        contents.decompressed(bomb, "deflate", 1_000)
    assert time.perf_counter() - started < 0.05
    assert contents.content_coding([b"identity", b" GZIP "]) == "gzip"
