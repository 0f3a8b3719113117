"""What all protocols share: which version a request means, its body, asking in time, and answering as JSON."""

import asyncio
import concurrent.futures
import functools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import fastapi
import fastapi.routing
import numpy as np
import numpy.typing as npt
import orjson
from starlette import convertors
from starlette.types import ASGIApp, Receive, Scope, Send

from shared.serving import metrics, refusals, registry, settings, versions

_Result = TypeVar("_Result")
# Bodies and answers that are read and written in about a millisecond, whatever they hold.
_SMALL_BYTES = 1 << 14
# Where larger ones are: few, so that those of one client do not take the processor from all others.
_READERS = concurrent.futures.ThreadPoolExecutor(2, "reader")


class _PlainConvertor(convertors.StringConvertor):
    """A part of a path without a colon, which begins a verb: ``NAME:predict`` is no model's name."""

    regex = "[^/:]+"


convertors.register_url_convertor("plain", _PlainConvertor())


class Service:
    """Asks the models of a server.

    Args:
        models: The models.
        options: The server's settings.
        counters: Told of each answer.
    """

    def __init__(self, models: registry.Registry, options: settings.Settings, counters: metrics.Metrics) -> None:
        self.models, self.options, self.counters = models, options, counters

    def version(self, request: fastapi.Request) -> versions.Version:
        """Return the version that a path means by its name, and its version or label.

        Raises:
            refusals.Refusal: There is none.
        """
        found = request.path_params
        version = self.models.get(found["name"], number=_number(found.get("version")), label=found.get("label"))
        request.scope["state"]["version"] = version.names
        return version

    def states(self, request: fastapi.Request) -> list[dict[str, Any]]:
        """Return the versions of the model that a path means, with their states, as TF Serving does.

        Raises:
            refusals.Refusal: There is no such model, version or label.
        """
        found = request.path_params
        model = self.models.model(found["name"])
        rows = [_state(number, "AVAILABLE", "OK", "") for number in model.served]
        rows += [_state(number, "END", "FAILED_PRECONDITION", why) for number, why in model.refused.items()]
        if "version" in found or "label" in found:
            number = _number(found.get("version"))
            if number not in model.refused:
                number = self.version(request).number
            rows = [row for row in rows if row["version"] == str(number)]
        return sorted(rows, key=lambda row: -int(row["version"]))

    async def ask(
        self,
        version: versions.Version,
        arrays: Mapping[str, npt.NDArray[Any]],
        *,
        signature: str,
        came: float,
        wanted: Iterable[str] | None = None,
    ) -> dict[str, npt.NDArray[Any]]:
        """Answer arrays; where the version was just retired, its successor answers.

        Args:
            version: The version that was meant.
            arrays: One array (rows, ...) per input.
            signature: Which signature.
            came: When the request came, as ``time.monotonic()``.
            wanted: The outputs that the answer has; None: all.

        Raises:
            refusals.Refusal: It cannot be answered, or not in time.
        """
        self._check_size(len(next(iter(arrays.values()))) * version.answer_bytes(signature, wanted))
        deadline = came + self.options.deadline_seconds
        try:
            outputs = await version.answer(arrays, signature=signature, deadline=deadline)
        except refusals.UnavailableError:
            successor = self.models.get(version.name)
            if successor is version:
                raise
            version = successor
            outputs = await version.answer(arrays, signature=signature, deadline=deadline)
        if signature == versions.DEFAULT:
            self.counters.answered(version.names, outputs)
        return outputs

    async def respond(
        self, outputs: Mapping[str, npt.NDArray[Any]], write: Callable[[], fastapi.Response]
    ) -> fastapi.Response:
        """Return what ``write`` makes of outputs: at once where they are small, else in a thread.

        Raises:
            refusals.LimitError: The answer would be too large.
        """
        size = sum(map(_array_bytes, outputs.values()))
        self._check_size(size)
        return write() if size <= _SMALL_BYTES else await _elsewhere(write)

    def _check_size(self, size: int) -> None:
        most = self.options.max_answer_bytes
        if size > most:
            raise refusals.LimitError(
                f"expected rows whose answer has at most {most} bytes. Received: rows for about {size}; ask for fewer"
            )

    @staticmethod
    def came(request: fastapi.Request) -> float:
        """Return when a request came, as ``time.monotonic()``."""
        return float(getattr(request.state, "started", time.monotonic()))


class Direct:
    """ASGI application that answers POST requests of some routes itself, and hands everything else on.

    The routes are FastAPI's own, with the same patterns and functions; its resolution of parameters, its middleware and
    its error handlers are left out, which take a third of the calls that a small request makes in Python
    (docs/decisions/0013). Refusals are answered by ``limits.Guard``, as everywhere.

    Args:
        app: Who gets everything else.
        routers: Where the routes are; each endpoint takes a request and returns a response.
    """

    def __init__(self, app: ASGIApp, routers: Iterable[fastapi.APIRouter]) -> None:
        self._app = app
        self._routes: Sequence[Any] = [
            route
            for router in routers
            for route in router.routes
            if isinstance(route, fastapi.routing.APIRoute) and "POST" in (route.methods or ())
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] == "http" and scope["method"] == "POST":
            for route in self._routes:
                if found := route.path_regex.match(scope["path"]):
                    scope.update(route=route, path_params=found.groupdict())
                    response = await route.endpoint(fastapi.Request(scope, receive))
                    await response(scope, receive, send)
                    return
        await self._app(scope, receive, send)


async def aside(function: Callable[..., _Result], content: bytes, *arguments: Any) -> _Result:
    """Call ``function`` with a body: at once where it is small, else in a thread, so that nobody waits for it."""
    if len(content) <= _SMALL_BYTES:
        return function(content, *arguments)
    return await _elsewhere(functools.partial(function, content, *arguments))


async def _elsewhere(function: Callable[[], _Result]) -> _Result:
    """Call ``function`` in a thread; where nobody waits for it any more, it does not begin."""
    return await asyncio.get_running_loop().run_in_executor(_READERS, function)


def respond(content: Any, status: int = 200) -> fastapi.Response:
    """Return a JSON response; what is no finite number becomes null, which JSON has."""
    return fastapi.Response(orjson.dumps(content, default=plain), status, media_type="application/json")


def refused(refusal: refusals.Refusal) -> fastapi.Response:
    """Return a refusal's response: its status, its headers and one message."""
    response = respond({"error": str(refusal)}, refusal.status)
    response.headers.update(refusal.headers)
    return response


def plain(value: Any) -> Any:
    """Return what ``orjson`` cannot write itself: bytes as text, numbers of NumPy."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(type(value).__name__)


def _array_bytes(values: npt.NDArray[Any]) -> int:
    """Return how many bytes of JSON an output has about."""
    if values.dtype != object:
        return int(values.size) * versions.NUMBER_BYTES
    return sum(map(len, values.ravel().tolist()))


def _number(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise refusals.NotFoundError(f"expected a version number. Received: {text!r:.100}")
    return int(text)


def _state(number: int, state: str, code: str, message: str) -> dict[str, Any]:
    return {"version": str(number), "state": state, "status": {"error_code": code, "error_message": message}}
