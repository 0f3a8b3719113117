"""Servers in this process, asked without a socket."""

import contextlib
import pathlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import starlette.responses
import starlette.testclient
from starlette.types import ASGIApp, Receive, Scope, Send

from shared.serving import limits, metrics, registry, server, settings

# What the tests' clients call a server; "testserver" is starlette's.
HOSTS = ("a", "x", "inner", "testserver")


@contextlib.contextmanager
def serving(*model_dirs: pathlib.Path, reader: Any = None, **options: Any) -> Iterator[starlette.testclient.TestClient]:
    """Serve bundles; a fault inside is an answer with status 500."""
    chosen = settings.Settings(model_dirs=model_dirs, **{"poll_seconds": 0.0, "allowed_hosts": HOSTS, **options})
    counters = metrics.Metrics()
    models = registry.Registry(chosen, counters.served)
    models.load()
    app = server.create(models, chosen, counters, reader=reader)
    with starlette.testclient.TestClient(app, raise_server_exceptions=False) as client:
        client.models = models  # type: ignore[attr-defined]
        yield client


@contextlib.contextmanager
def listening(*model_dirs: pathlib.Path, reader: Any = None, **options: Any) -> Iterator[tuple[Any, int]]:
    """Serve bundles on a socket in a thread; give the uvicorn server and its port."""
    chosen = settings.Settings(
        model_dirs=model_dirs, **{"poll_seconds": 0.0, "port": 0, "allowed_hosts": HOSTS, **options}
    )
    counters = metrics.Metrics()
    models = registry.Registry(chosen, counters.served)
    models.load()
    with running(server.create(models, chosen, counters, reader=reader), chosen, models) as found:
        yield found


@contextlib.contextmanager
def running(
    app: ASGIApp, options: settings.Settings, models: registry.Registry | None = None
) -> Iterator[tuple[Any, int]]:
    """Run an application on a socket in a thread; give the uvicorn server, which has its thread, and its port."""
    running = server.Server(app, options, models or registry.Registry(options), log_level="warning")
    thread = threading.Thread(target=running.run, daemon=True)
    running.thread = thread  # type: ignore[attr-defined]
    thread.start()
    while not running.started:
        time.sleep(0.01)
    try:
        yield running, running.servers[0].sockets[0].getsockname()[1]
    finally:
        running.should_exit = True
        thread.join(60)


@contextlib.contextmanager
def echoing(app: ASGIApp | None = None, **options: Any) -> Iterator[tuple[metrics.Metrics, int]]:
    """Serve what tells a request back in JSON, behind the server's own limits; give its metrics and its port."""
    chosen = settings.Settings(model_dirs=(), **{"port": 0, "allowed_hosts": HOSTS, **options})
    counters = metrics.Metrics()
    with running(limits.Guard(app or _echo, options=chosen, counters=counters), chosen) as (_, port):
        yield counters, port


def post(port: int, path: str, body: Any) -> int:
    """Ask once; return the status, 0 for none."""
    try:
        return httpx.post(f"http://127.0.0.1:{port}{path}", json=body, timeout=60).status_code
    except httpx.HTTPError:
        return 0


async def _echo(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        return
    body = (await receive())["body"].decode("latin-1")
    names = [name.decode() for name, _ in scope["headers"]]
    about = {"method": scope["method"], "path": scope["path"], "body": body, "headers": names}
    await starlette.responses.JSONResponse(about)(scope, receive, send)
