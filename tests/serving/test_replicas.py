"""Two server processes behind the proxy of ``deploy/``: one is stopped or killed, and no request is lost."""

import collections
import contextlib
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests import helpers
from tests.shared import stand_in

CONFIGURATION = helpers.ROOT / "deploy" / "nginx" / "fieldnets.conf"
TEXTS = ["good film", "bad"]
CLIENTS, STEP_SECONDS, START_SECONDS = 8, 1.0, 60.0

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is missing: apt-get install nginx-light"),
]


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


def wait_until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + START_SECONDS
    while not true():
        assert time.monotonic() < until
        time.sleep(0.05)


def is_ready(port: int) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"http://127.0.0.1:{port}/v2/health/ready").status_code == 200
    return False


class Replica:
    """A server process that can be started again on its port."""

    def __init__(self, repository: pathlib.Path, log: pathlib.Path) -> None:
        self.port = free_port()
        self._command = [sys.executable, "-m", "tests.serving.replica", str(repository), str(self.port)]
        self._log = log
        self.start()

    def start(self) -> None:
        with self._log.open("a") as said:
            self.process = subprocess.Popen(self._command, cwd=helpers.ROOT, stdout=said, stderr=said)

    def end(self, how: signal.Signals) -> float:
        """Send a signal, and return the seconds until the process was gone."""
        started = time.monotonic()
        self.process.send_signal(how)
        self.process.wait(30)
        return time.monotonic() - started


@contextlib.contextmanager
def proxy(folder: pathlib.Path, ports: list[int]) -> Iterator[int]:
    """Run nginx with the configuration of ``deploy/``, with these addresses in place of the name and its port."""
    port = free_port()
    text = CONFIGURATION.read_text("utf-8")
    (server,) = [line for line in text.splitlines() if line.strip().startswith("server fieldnets:8501")]
    addresses = "\n".join(server.replace("fieldnets:8501", f"127.0.0.1:{each}") for each in ports)
    text = text.replace(server, addresses).replace("listen 8501", f"listen 127.0.0.1:{port}")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    (folder / "nginx.conf").write_text(
        f"pid {folder}/nginx.pid; error_log {folder}/error.log; daemon off; master_process off; events {{}}\n"
        f"http {{ access_log off; {paths}\n{text}}}\n"
    )
    command = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    with subprocess.Popen(command) as process:
        try:
            wait_until(lambda: is_ready(port))
            yield port
        finally:
            process.terminate()


class Load:
    """Clients that ask all the time, on connections that stay open, small and large requests; counts what they got."""

    def __init__(self, port: int) -> None:
        self.found: collections.Counter[Any] = collections.Counter()
        self._url, self._stop = f"http://127.0.0.1:{port}/v1/models/words:predict", threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(CLIENTS)]

    def _ask(self, number: int) -> None:
        # Every second client sends bodies that fit no buffer of a proxy.
        texts = TEXTS if number % 2 else [*TEXTS, "x" * 150_000]
        with httpx.Client(timeout=30) as client:
            while not self._stop.is_set():
                self.found[self._once(client, texts)] += 1

    def _once(self, client: httpx.Client, texts: list[str]) -> Any:
        try:
            reply = client.post(self._url, json={"instances": texts})
        except httpx.HTTPError as error:
            return repr(error)
        if reply.status_code != 200:
            return reply.status_code
        return tuple(row["labels"] for row in reply.json()["predictions"])[:2]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)


def test_no_request_is_lost_while_a_replica_is_stopped_or_killed(tmp_path: pathlib.Path) -> None:
    with stand_in.installed():
        stand_in.write(tmp_path / "repository", "words", "1", stand_in.GOLDEN["words"])
    replicas = [Replica(tmp_path / "repository", tmp_path / f"{number}.log") for number in range(2)]
    try:
        wait_until(lambda: all(is_ready(replica.port) for replica in replicas))
        with proxy(tmp_path, [replica.port for replica in replicas]) as port, Load(port) as load:
            for replica, how in ((replicas[0], signal.SIGTERM), (replicas[1], signal.SIGKILL)):
                time.sleep(STEP_SECONDS)
                seconds = replica.end(how)
                assert seconds < 10
                time.sleep(STEP_SECONDS)
                replica.start()
                wait_until(lambda replica=replica: is_ready(replica.port))  # type: ignore[misc]
    finally:
        for replica in replicas:
            replica.process.kill()
            replica.process.wait()
    assert set(load.found) == {("positive", "negative")}, (load.found, (tmp_path / "error.log").read_text()[-3_000:])
    assert load.found.total() > 200
