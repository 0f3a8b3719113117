"""Servers in this process, asked without a socket."""

import contextlib
import pathlib
from collections.abc import Iterator
from typing import Any

import starlette.testclient

from shared.serving import observing, registry, server, settings


@contextlib.contextmanager
def serving(*model_dirs: pathlib.Path, **options: Any) -> Iterator[starlette.testclient.TestClient]:
    """Serve bundles; a fault inside is an answer with status 500."""
    chosen = settings.Settings(model_dirs=model_dirs, **{"poll_seconds": 0.0, **options})
    metrics = observing.Metrics()
    models = registry.Registry(chosen, metrics.served)
    models.load()
    app = server.create(models, chosen, metrics)
    with starlette.testclient.TestClient(app, raise_server_exceptions=False) as client:
        client.models = models  # type: ignore[attr-defined]
        yield client
