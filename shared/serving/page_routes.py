"""What the web page asks: its files, the models with what they take and how they decide, model cards, drift."""

import importlib.metadata
import importlib.resources
import mimetypes
from typing import Any

import fastapi
import fastapi.responses
import markdown_it

from shared.bundle import reading as bundle
from shared.serving import refusals, requests, tensors, versions
from shared.serving import registry as registries

_FILES = importlib.resources.files(__package__) / "page"
# Raw HTML inside a card stays text.
_MARKDOWN = markdown_it.MarkdownIt("commonmark", {"html": False}).enable("table")


def routes(service: requests.Service) -> fastapi.APIRouter:
    """Return ``/``, ``/page/FILE`` and what the page asks below ``/ui``."""
    router = fastapi.APIRouter(include_in_schema=False)
    pages = {entry.name: entry.read_bytes() for entry in _FILES.iterdir() if entry.is_file()}

    @router.get("/")
    async def index() -> fastapi.Response:
        return fastapi.Response(pages["index.html"], media_type="text/html")

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
        found = [about(service.models.get(model.name), model) for model in known if model.served]
        return requests.respond({"models": found, "fieldnets": importlib.metadata.version("fieldnets")})

    @router.get("/ui/models/{name:plain}/card")
    async def card(request: fastapi.Request) -> fastapi.Response:
        path = service.version(request).bundle.path / bundle.EXTRA / "model_card.md"
        return fastapi.responses.HTMLResponse(_MARKDOWN.render(path.read_text("utf-8")))

    @router.get("/ui/models/{name:plain}/drift")
    async def drift(request: fastapi.Request) -> fastapi.Response:
        return requests.respond(service.version(request).watch.summary())

    return router


def about(version: versions.Version, model: registries.Model) -> dict[str, Any]:
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
        "drift": version.watch.works,
    }
