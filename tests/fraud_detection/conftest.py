"""A small simulated town and its transactions, and a Redis server of the tests' own."""

import pathlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from apps.fraud_detection import data, simulator, transactions
from apps.fraud_detection.config import Config


@pytest.fixture(scope="session")
def town() -> Config:
    return Config.smoke().replace({"customers": 120, "terminals": 240, "days": 80})


@pytest.fixture(scope="session")
def booked(town: Config) -> transactions.Transactions:
    return data.load(town)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def world() -> simulator.World:
    return simulator.World(customers=400, terminals=800, days=60, seed=3)


@pytest.fixture(scope="session")
def redis_socket() -> Iterator[str]:
    """Start a server that listens on a socket in a folder of its own, and keeps nothing."""
    pytest.importorskip("redis", reason="needs the package redis (extra cluster)")
    if shutil.which("redis-server") is None:
        pytest.skip("needs redis-server (Debian: apt-get install redis-server)")
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        path = pathlib.Path(folder) / "redis.sock"
        options = ["--port", "0", "--unixsocket", str(path), "--dir", folder, "--save", "", "--appendonly", "no"]
        server = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while not path.exists() and server.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        yield str(path)
        server.terminate()
        server.wait()


@pytest.fixture
def redis_client(redis_socket: str) -> Iterator[Any]:
    """Return a client of an empty server."""
    redis = pytest.importorskip("redis")
    with redis.Redis(unix_socket_path=redis_socket) as client:
        client.flushall()
        yield client
