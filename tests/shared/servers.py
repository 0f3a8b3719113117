"""Servers in this process, asked without a socket."""

import contextlib
import pathlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import starlette.testclient
import uvicorn

from shared.serving import connection, metrics, registry, server, settings


@contextlib.contextmanager
def serving(*model_dirs: pathlib.Path, **options: Any) -> Iterator[starlette.testclient.TestClient]:
    """Serve bundles; a fault inside is an answer with status 500."""
    chosen = settings.Settings(model_dirs=model_dirs, **{"poll_seconds": 0.0, **options})
    counters = metrics.Metrics()
    models = registry.Registry(chosen, counters.served)
    models.load()
    app = server.create(models, chosen, counters)
    with starlette.testclient.TestClient(app, raise_server_exceptions=False) as client:
        client.models = models  # type: ignore[attr-defined]
        yield client


@contextlib.contextmanager
def listening(
    *model_dirs: pathlib.Path, tls: dict[str, str] | None = None, **options: Any
) -> Iterator[tuple[Any, int]]:
    """Serve bundles on a socket in a thread; give the uvicorn server and its port."""
    chosen = settings.Settings(model_dirs=model_dirs, **{"poll_seconds": 0.0, **options})
    counters = metrics.Metrics()
    models = registry.Registry(chosen, counters.served)
    models.load()
    app = server.create(models, chosen, counters)
    running = uvicorn.Server(
        uvicorn.Config(app, port=0, log_level="warning", access_log=False, http=connection.Protocol, **(tls or {}))
    )
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.01)
    try:
        yield running, running.servers[0].sockets[0].getsockname()[1]
    finally:
        running.should_exit = True
        thread.join(60)
