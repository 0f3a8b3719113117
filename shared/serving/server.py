"""The HTTP server: bundles -> three protocols, metrics and a page. It knows what bundles say, and no app."""

import asyncio
import contextlib
import functools
import importlib.metadata
import importlib.resources
import logging
import math
import mimetypes
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import fastapi
import fastapi.responses
import markdown_it
import starlette.exceptions
import uvicorn
from starlette.types import ASGIApp

from shared import errors
from shared.bundle import reading as bundle
from shared.serving import (
    bodies,
    connection,
    contents,
    foreign,
    limits,
    metrics,
    open_inference,
    openapi,
    origins,
    refusals,
    registry,
    requests,
    settings,
    tensors,
    tf_serving,
    versions,
)
from shared.serving import registry as registries

log = logging.getLogger("fieldnets")

_PAGE_FILES = importlib.resources.files(__package__) / "page"
# Raw HTML inside a card stays text.
_MARKDOWN = markdown_it.MarkdownIt("commonmark", {"html": False}).enable("table")


def create(
    models: registry.Registry,
    options: settings.Settings,
    counters: metrics.Metrics,
    *,
    reader: foreign.Reader | None = None,
) -> ASGIApp:
    """Build the server's application.

    Routes: TF Serving's REST below ``/v1``, the Open Inference Protocol below ``/v2``, Vertex AI's where
    ``options`` name them, ``/health``, ``/metrics``, ``/openapi.json``, a page of these operations at ``/docs``, and
    the page at ``/``.

    Args:
        models: Loaded models.
        options: The server's settings.
        counters: Where requests are counted.
        reader: Reads for the page what a bundle's graph does not; None: nothing does.

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
    service = requests.Service(models, options, counters)
    protocols = (tf_serving.routes(service), open_inference.routes(service, release))
    for router in (*protocols, _operations(service)):
        app.include_router(router)
    _add_vertex(app, service)
    app.include_router(_page_routes(service, reader))
    app.add_exception_handler(refusals.Refusal, _refused)
    app.add_exception_handler(starlette.exceptions.HTTPException, _missed)
    counters.watch(models)
    openapi.install(app, models, with_token=options.token is not None, is_open=limits.is_open)
    return limits.Guard(
        requests.Direct(app, protocols), options=options, counters=counters, closes=lambda: models.draining
    )


def serve(options: settings.Settings, *, reader: foreign.Reader | None = None) -> None:
    """Load all models, then serve until SIGINT or SIGTERM; what was accepted is answered before the end.

    Args:
        options: The server's settings.
        reader: As ``create`` has it.

    Raises:
        errors.FieldnetsError: A model has no version that can be served.
    """
    counters = metrics.Metrics()
    models = registry.Registry(options, counters.served)
    models.load()
    versions.spare_collector()
    if options.token is None and not origins.is_loopback(options.host):
        log.warning("%s is open to everyone who reaches it: --token-file asks for a token", options.host)
        if options.allowed_hosts is None:
            log.warning("requests to any name are answered: --allowed-hosts says which are meant")
    _allow_files(options.max_connections)
    Server(create(models, options, counters, reader=reader), options, models).run()


class Server(uvicorn.Server):
    """uvicorn's server; before it closes, it lets balancers see that it will.

    Args:
        app: What answers.
        options: The server's settings.
        models: Told that the server is about to stop.
        log_level: uvicorn's.
    """

    def __init__(
        self, app: ASGIApp, options: settings.Settings, models: registry.Registry, *, log_level: str = "info"
    ) -> None:
        super().__init__(configure(app, options, log_level=log_level))
        self._models, self._drain_seconds = models, options.drain_seconds

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then stop; a second SIGINT ends the draining."""
        self._models.draining = True
        until = time.monotonic() + self._drain_seconds
        while time.monotonic() < until and not self.force_exit:
            await asyncio.sleep(0.1)
        await super().shutdown(sockets)


def configure(app: ASGIApp, options: settings.Settings, *, log_level: str = "info") -> uvicorn.Config:
    """Return how uvicorn runs the application."""
    return uvicorn.Config(
        app,
        host=options.host,
        port=options.port,
        log_level=log_level,
        http=connection.Protocol,
        ws="none",
        access_log=False,
        proxy_headers=False,
        limit_concurrency=options.max_connections,
        server_header=False,
        timeout_keep_alive=math.ceil(options.keep_alive_seconds),
        timeout_graceful_shutdown=max(1, int(settings.ANSWERING * (options.shutdown_seconds - options.drain_seconds))),
        ssl_certfile=options.tls_cert,
        ssl_keyfile=options.tls_key,
    )


def _allow_files(connections: int) -> None:
    """Let the process have as many open files as the connections need, where the system allows it."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = 2 * connections + 1_000
        if soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))


def _operations(service: requests.Service) -> fastapi.APIRouter:
    router = fastapi.APIRouter(tags=["operations"])
    router.add_api_route("/health", _health(service), methods=["GET"], **openapi.route(bodies.Health))
    for path in ("/metrics", "/monitoring/prometheus/metrics"):

        @router.get(path, response_class=fastapi.responses.PlainTextResponse, **openapi.text())
        async def scrape() -> fastapi.Response:
            """Give the metrics in Prometheus' text format."""
            text = await asyncio.to_thread(service.counters.text)
            return fastapi.Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    return router


def _health(service: requests.Service) -> Callable[[], Awaitable[fastapi.Response]]:
    async def health() -> fastapi.Response:
        """Say whether the server is ready."""
        is_ready = service.models.ready
        return requests.respond({"status": "ready" if is_ready else "stopping"}, 200 if is_ready else 503)

    return health


def _add_vertex(app: fastapi.FastAPI, service: requests.Service) -> None:
    """Add the two routes that Vertex AI names: health, and predict of the only model."""
    if service.options.health_route:
        described = openapi.route(bodies.Health)
        app.add_api_route(
            service.options.health_route, _health(service), methods=["GET"], tags=["Vertex AI"], **described
        )
    if not service.options.predict_route:
        return
    if len(service.models.models) > 1:
        names = ", ".join(sorted(service.models.models))
        raise errors.InputError(f"AIP_PREDICT_ROUTE: expected one model. Received: {names}")
    described = openapi.route(bodies.RowsAnswer, body=bodies.VertexRequest)

    @app.post(service.options.predict_route, tags=["Vertex AI"], **described)
    async def predict(request: fastapi.Request) -> fastapi.Response:
        """Answer `instances`; `parameters` may name a signature."""
        request.path_params["name"] = next(iter(service.models.models))
        version = service.version(request)
        example = functools.partial(tf_serving.example, version)
        content = await contents.content(request, example)
        question = await requests.aside(read, content, version)
        return await tf_serving.answer(service, version, question, service.came(request))

    def read(content: bytes, version: versions.Version) -> tf_serving.Question:
        given = contents.read_json(content, lambda: tf_serving.example(version), service.options)
        body = bodies.read(bodies.VertexRequest, given)
        signature = {"signature_name": (body.parameters or {}).get("signature_name")}
        rows = bodies.read(bodies.PredictRequest, {"instances": body.instances, **signature})
        return tf_serving.question(rows, version, service.options)


def _refused(_request: fastapi.Request, error: Exception) -> fastapi.Response:
    """Answer with a refusal's status and message."""
    return requests.refused(error if isinstance(error, refusals.Refusal) else refusals.Refusal(str(error)))


def _missed(request: fastapi.Request, error: Exception) -> fastapi.Response:
    """Answer what no route takes."""
    code = error.status_code if isinstance(error, starlette.exceptions.HTTPException) else 500
    headers = dict(getattr(error, "headers", None) or {})
    if headers.get("Allow") == "GET":
        headers["Allow"] = "GET, HEAD"
    response = requests.respond({"error": f"{request.method} {request.url.path:.200}: {error}"}, code)
    response.headers.update(headers)
    return response


def _page_routes(service: requests.Service, reader: foreign.Reader | None) -> fastapi.APIRouter:
    """Return ``/``, ``/page/FILE`` and what the page asks below ``/ui``."""
    router = fastapi.APIRouter(include_in_schema=False)
    pages = {entry.name: entry.read_bytes() for entry in _PAGE_FILES.iterdir() if entry.is_file()}

    @router.get("/")
    async def index() -> fastapi.Response:
        return fastapi.Response(pages["index.html"], media_type="text/html")

    @router.get("/docs")
    async def operations() -> fastapi.Response:
        return fastapi.Response(pages["docs.html"], media_type="text/html")

    @router.get("/favicon.ico")
    async def icon() -> fastapi.Response:
        return fastapi.Response(status_code=204)

    @router.get("/page/{name}")
    async def file(name: str) -> fastapi.Response:
        if name not in pages:
            raise refusals.NotFoundError(f"expected a file of the page. Received: {name!r:.100}")
        kind = "text/javascript" if name.endswith(".js") else mimetypes.guess_type(name)[0]
        return fastapi.Response(pages[name], media_type=kind)

    @router.get("/ui/models")
    async def models() -> fastapi.Response:
        known = service.models.models.values()
        found = [_about(service.models.get(model.name), model, reader) for model in known if model.served]
        return requests.respond({"models": found, "fieldnets": importlib.metadata.version("fieldnets")})

    @router.get("/ui/models/{name:plain}/card")
    async def card(request: fastapi.Request) -> fastapi.Response:
        path = service.version(request).bundle.path / bundle.EXTRA / "model_card.md"
        return fastapi.responses.HTMLResponse(_MARKDOWN.render(path.read_text("utf-8")))

    @router.get("/ui/models/{name:plain}/drift")
    async def drift(request: fastapi.Request) -> fastapi.Response:
        return requests.respond(service.version(request).watch.summary())

    @router.post("/ui/models/{name:plain}/read")
    async def read(request: fastapi.Request) -> fastapi.Response:
        if reader is None:
            raise refusals.NotFoundError("expected a server that reads files of another kind. Received: none are known")
        loaded, most = service.version(request).bundle, service.options.max_pixels
        content = await contents.content(request, lambda: "a file", raw=True)
        return requests.respond(await requests.aside(foreign.converted, content, reader, loaded, most))

    return router


def _about(version: versions.Version, model: registries.Model, reader: foreign.Reader | None) -> dict[str, Any]:
    """Return what a page needs to know of a model."""
    inputs, outputs = version.specs(versions.DEFAULT)
    display = version.bundle.path / bundle.EXTRA / "display.json"
    return {
        "name": version.name,
        "version": version.number,
        "versions": sorted(model.served),
        "engine": version.engine_name,
        "signatures": sorted(version.signatures),
        "inputs": tensors.described(inputs),
        "outputs": tensors.described(outputs),
        "decision": version.decision,
        "display": version.bundle.extra("display.json") if display.exists() else {},
        "example": version.example,
        "reads": [] if reader is None else [reader.kind],
        "smoke": version.bundle.extra("manifest.json").get("smoke", False),
        "drift": version.watch.works,
    }
