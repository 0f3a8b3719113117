"""The HTTP server: bundles -> three protocols, metrics and a page. It knows what bundles say, and no app."""

import asyncio
import contextlib
import importlib.metadata
import logging
from collections.abc import AsyncIterator
from typing import Any

import fastapi
import starlette.exceptions
import uvicorn
from starlette.types import ASGIApp

from shared import errors
from shared.serving import (
    connection,
    direct,
    limits,
    metrics,
    open_inference,
    openapi,
    page_routes,
    refusals,
    registry,
    requests,
    settings,
    tensors,
    tf_serving,
)

log = logging.getLogger("fieldnets")

# More connections at a time are answered 503.
_CONNECTIONS = 1_000
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def create(models: registry.Registry, options: settings.Settings, metrics: metrics.Metrics) -> ASGIApp:
    """Build the server's application.

    Routes: TF Serving's REST below ``/v1``, the Open Inference Protocol below ``/v2``, Vertex AI's where
    ``options`` name them, ``/health``, ``/metrics``, ``/openapi.json``, and the page at ``/``.

    Args:
        models: Loaded models.
        options: The server's settings.
        metrics: Where requests are counted.

    Raises:
        errors.InputError: A predict route of Vertex AI is asked for, but there are several models.
    """
    release = importlib.metadata.version("fieldnets")

    @contextlib.asynccontextmanager
    async def live(_app: fastapi.FastAPI) -> AsyncIterator[None]:
        watching = asyncio.create_task(models.watch())
        try:
            yield
        finally:
            watching.cancel()
            await models.close()

    app = fastapi.FastAPI(
        title="fieldnets", version=release, docs_url=None, redoc_url=None, lifespan=live, redirect_slashes=False
    )
    asked = requests.Answering(models, options, metrics)
    protocols = (tf_serving.routes(asked), open_inference.routes(asked, release))
    for router in (*protocols, _operations(asked)):
        app.include_router(router)
    _add_vertex(app, asked)
    app.include_router(page_routes.routes(asked))
    app.add_exception_handler(refusals.Refusal, _refused)
    app.add_exception_handler(starlette.exceptions.HTTPException, _missed)
    metrics.watch(models)
    openapi.install(app, models)
    return limits.Guard(direct.Direct(app, protocols), options=options, metrics=metrics)


def serve(options: settings.Settings) -> None:
    """Load all models, then serve until SIGINT or SIGTERM; what was accepted is answered before the end.

    Raises:
        errors.FieldnetsError: A model has no version that can be served.
    """
    counters = metrics.Metrics()
    models = registry.Registry(options, counters.served)
    models.load()
    if options.token is None and options.host not in _LOOPBACK:
        log.warning("%s is open to everyone who reaches it: --token-file asks for a token", options.host)
    uvicorn.run(
        create(models, options, counters),
        host=options.host,
        port=options.port,
        log_level="info",
        http=connection.Protocol,
        access_log=False,
        proxy_headers=False,
        limit_concurrency=_CONNECTIONS,
        server_header=False,
        timeout_graceful_shutdown=int(options.deadline_seconds) + 1,
        ssl_certfile=options.tls_cert,
        ssl_keyfile=options.tls_key,
    )


def _operations(asked: requests.Answering) -> fastapi.APIRouter:
    router = fastapi.APIRouter(tags=["operations"])
    described: dict[str, Any] = {"responses": openapi.RESPONSES}

    @router.get("/health", **described)
    async def health() -> fastapi.Response:
        """Say whether the server is ready."""
        is_open = asked.models.open
        return requests.respond({"status": "ready" if is_open else "stopping"}, 200 if is_open else 503)

    for path in ("/metrics", "/monitoring/prometheus/metrics"):

        @router.get(path, response_class=fastapi.responses.PlainTextResponse)
        async def metrics() -> fastapi.Response:
            """Give the metrics in Prometheus' text format."""
            text = await asyncio.to_thread(asked.metrics.text)
            return fastapi.Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    return router


def _add_vertex(app: fastapi.FastAPI, asked: requests.Answering) -> None:
    """Add the two routes that Vertex AI names: health, and predict of the only model."""
    if asked.options.health_route:

        @app.get(asked.options.health_route, tags=["Vertex AI"])
        async def health() -> fastapi.Response:
            """Say whether the server is ready."""
            return requests.respond({}, 200 if asked.models.open else 503)

    if not asked.options.predict_route:
        return
    if len(asked.models.models) > 1:
        names = ", ".join(sorted(asked.models.models))
        raise errors.InputError(f"AIP_PREDICT_ROUTE: expected one model. Received: {names}")
    extra = openapi.body("PredictRequest")

    @app.post(asked.options.predict_route, tags=["Vertex AI"], openapi_extra=extra, responses=openapi.RESPONSES)
    async def predict(request: fastapi.Request) -> fastapi.Response:
        """Answer `instances`; `parameters` may name a signature."""
        body = tensors.read_json(await request.body())
        parameters = body.get("parameters") or {}
        if not isinstance(parameters, dict):
            raise refusals.Refusal('"parameters": expected an object. Received: another value')
        rows = {"instances": body.get("instances"), **parameters}
        version = asked.models.get(next(iter(asked.models.models)))
        question = tf_serving.question(rows, version, asked.options)
        return requests.respond(await tf_serving.answer(asked, version, question, asked.came(request)))


def _refused(_request: fastapi.Request, error: Exception) -> fastapi.Response:
    """Answer with a refusal's status and message."""
    refusal = error if isinstance(error, refusals.Refusal) else refusals.Refusal(str(error))
    response = requests.respond({"error": str(refusal)}, refusal.status)
    if refusal.retry_seconds is not None:
        response.headers["Retry-After"] = str(refusal.retry_seconds)
    return response


def _missed(request: fastapi.Request, error: Exception) -> fastapi.Response:
    """Answer what no route takes."""
    code = error.status_code if isinstance(error, starlette.exceptions.HTTPException) else 500
    headers = getattr(error, "headers", None) or {}
    response = requests.respond({"error": f"{request.method} {request.url.path:.200}: {error}"}, code)
    response.headers.update(headers)
    return response
