"""The server under hostile and unlucky clients: refusals only, no crash, and everyone else is answered."""

import asyncio
import json
import pathlib
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.shared import hostile, servers

pytestmark = pytest.mark.tensorflow
# What the OpenAPI description declares.
DECLARED = {200, 204, 400, 401, 404, 405, 408, 413, 415, 422, 429, 503, 504}
GOOD = {"instances": ["good"]}


@pytest.fixture(scope="module")
def port(bundle_path: pathlib.Path, columns_path: pathlib.Path) -> Iterator[int]:
    with servers.listening(bundle_path, columns_path, max_body_bytes=100_000, deadline_seconds=2.0) as (_, found):
        yield found


class Bystander:
    """An honest client that asks all the time and remembers what it got."""

    def __init__(self, port: int) -> None:
        self.statuses: list[int] = []
        self._url = f"http://127.0.0.1:{port}/v1/models/tiny:predict"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def _ask(self) -> None:
        with httpx.Client(timeout=30) as client:
            while not self._stop.is_set():
                self.statuses.append(client.post(self._url, json=GOOD).status_code)
                time.sleep(0.005)

    def __enter__(self) -> "Bystander":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)


async def send_all(port: int, count: int, seed: int) -> dict[int, int]:
    """Send broken requests, 16 at a time; count the statuses."""
    left = hostile.requests(count, seed)
    statuses: dict[int, int] = {}

    async def work(client: httpx.AsyncClient) -> None:
        for method, path, body, headers in left:
            reply = await client.request(method, path, content=body, headers=headers)
            statuses[reply.status_code] = statuses.get(reply.status_code, 0) + 1
            if reply.status_code not in (200, 204) and method != "HEAD":
                assert list(reply.json()) == ["error"], (path, reply.text)

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        await asyncio.gather(*(work(client) for _ in range(16)))
    return statuses


def check(port: int, count: int, seed: int) -> None:
    with Bystander(port) as bystander:
        statuses = asyncio.run(send_all(port, count, seed))
    assert sum(statuses.values()) == count
    assert set(statuses) <= DECLARED, statuses
    assert statuses[400] > count / 10
    assert bystander.statuses
    assert set(bystander.statuses) == {200}


def test_a_thousand_broken_requests_are_refused_and_others_are_answered(port: int) -> None:
    check(port, 1_000, seed=1)


@pytest.mark.slow
def test_ten_thousand_broken_requests_are_refused_and_others_are_answered(port: int) -> None:
    check(port, 10_000, seed=2)


def test_requests_made_from_the_openapi_description_are_answered_as_it_declares(port: int) -> None:
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import strategies as st

    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/openapi.json")
    results: list[Any] = list(schema.get_all_operations())
    operations = [result.ok() for result in results]
    assert len(operations) > 15
    everything = st.one_of([operation.as_strategy() for operation in operations])

    @settings(
        max_examples=300, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(everything)
    def ask(case: Any) -> None:
        reply = case.call(base_url=f"http://127.0.0.1:{port}")
        assert str(reply.status_code) in case.operation.definition.raw["responses"], (case.path, reply.text)

    ask()


def talk(port: int, *parts: bytes, wait: float = 0.0) -> bytes:
    """Send bytes as they are, and return what comes back before the server closes or is silent."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(wait)
        received = b""
        try:
            while data := connection.recv(65536):
                received += data
                if b"\r\n\r\n" in received and received.rstrip().endswith(b"}"):
                    break
        except TimeoutError:
            pass
        return received


HEAD = b"POST /v1/models/tiny:predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"


def test_a_body_that_is_never_finished_is_given_up_after_the_deadline(port: int) -> None:
    with Bystander(port) as bystander:
        started = time.monotonic()
        reply = talk(port, HEAD + b"Content-Length: 100\r\n\r\n{")
        assert reply.startswith(b"HTTP/1.1 408")
        assert 1.5 < time.monotonic() - started < 8
    assert set(bystander.statuses) == {200}


def test_a_client_that_hangs_up_in_the_middle_harms_nobody(port: int) -> None:
    with Bystander(port) as bystander:
        for _ in range(20):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\n" + b"x" * 100)
            connection.close()
        asked = len(bystander.statuses)
        while len(bystander.statuses) < asked + 3:
            time.sleep(0.01)
    assert set(bystander.statuses) == {200}


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 100000000\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n" + 30 * (b"2000\r\n" + b"x" * 8192 + b"\r\n"),
    ],
)
def test_a_hundred_megabytes_are_refused_before_they_are_read(port: int, head: bytes) -> None:
    assert talk(port, HEAD + head).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    "text", [b"nonsense\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", HEAD + b"Content-Length: -5\r\n\r\n", b"\x16\x03\x01\x00"]
)
def test_what_is_no_http_is_refused_or_hung_up_on(port: int, text: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(text)
        connection.shutdown(socket.SHUT_WR)
        reply = connection.recv(4096)
    assert reply == b"" or reply.startswith((b"HTTP/1.1 400", b"HTTP/1.1 505"))


def send_again_and_again(connection: socket.socket, content: bytes) -> None:
    """Send more than any buffers between here and a slow server hold."""
    for _ in range(100):
        connection.sendall(content)


@pytest.mark.parametrize("endless", [b"X-A: " + b"y" * 8000 + b"\r\n", b"y" * 8000])
def test_headers_without_end_are_cut_off(port: int, endless: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX-B: ")
        with pytest.raises(OSError, match=r"Broken pipe|reset"):
            send_again_and_again(connection, endless * 1000)


def test_stopping_answers_what_was_accepted(bundle_path: pathlib.Path) -> None:
    with servers.listening(bundle_path) as (server, port):
        body = json.dumps(GOOD).encode()
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body[:5])
            time.sleep(0.2)
            server.should_exit = True
            time.sleep(0.3)
            connection.sendall(body[5:])
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", port), timeout=5)


def test_the_server_speaks_tls(bundle_path: pathlib.Path, tmp_path: pathlib.Path) -> None:
    name = "/CN=localhost -addext subjectAltName=DNS:localhost"
    made = subprocess.run(
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj {name} -keyout key.pem -out cert.pem".split(),
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    if made.returncode != 0:
        pytest.skip("openssl cannot make a certificate here")
    files = {"tls_cert": tmp_path / "cert.pem", "tls_key": tmp_path / "key.pem"}
    with servers.listening(bundle_path, **files) as (_, port):
        trusted = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
        reply = httpx.post(f"https://localhost:{port}/v1/models/tiny:predict", json=GOOD, verify=trusted)
        assert reply.status_code == 200
