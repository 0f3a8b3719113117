"""What all protocols share: which version a request means, asking it in time, and answering as JSON."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import fastapi
import numpy as np
import numpy.typing as npt
import orjson

from shared.serving import metrics, refusals, registry, settings, versions

_Result = TypeVar("_Result")
# Bodies that are read in less time than a thread takes to start.
_SMALL_BYTES = 1 << 16


class Answering:
    """Asks the models of a server.

    Args:
        models: The models.
        options: The server's settings.
        metrics: Told of each answer.
    """

    def __init__(self, models: registry.Registry, options: settings.Settings, metrics: metrics.Metrics) -> None:
        self.models, self.options, self.metrics = models, options, metrics

    def version(self, request: fastapi.Request) -> versions.Version:
        """Return the version that a path means by its name, and its version or label.

        Raises:
            refusals.Refusal: There is none.
        """
        found = request.path_params
        return self.models.get(found["name"], number=_number(found.get("version")), label=found.get("label"))

    def states(self, request: fastapi.Request) -> list[dict[str, Any]]:
        """Return the versions of the model that a path means, with their states, as TF Serving does."""
        chosen = self.version(request).number if len(request.path_params) > 1 else None
        model = self.models.model(request.path_params["name"])
        found = [_state(number, "AVAILABLE", "OK", "") for number in model.served]
        found += [_state(number, "END", "FAILED_PRECONDITION", why) for number, why in model.refused.items()]
        kept = [state for state in found if chosen is None or state["version"] == str(chosen)]
        return sorted(kept, key=lambda state: -int(state["version"]))

    async def ask(
        self, version: versions.Version, arrays: Mapping[str, npt.NDArray[Any]], *, signature: str, came: float
    ) -> dict[str, npt.NDArray[Any]]:
        """Answer arrays; where the version was just retired, its successor answers.

        Args:
            version: The version that was meant.
            arrays: One array (rows, ...) per input.
            signature: Which signature.
            came: When the request came, as ``time.monotonic()``.

        Raises:
            refusals.Refusal: It cannot be answered, or not in time.
        """
        deadline = came + self.options.deadline_seconds
        try:
            outputs = await version.answer(arrays, signature=signature, deadline=deadline)
        except refusals.UnavailableError:
            successor = self.models.get(version.name)
            if successor is version:
                raise
            outputs = await successor.answer(arrays, signature=signature, deadline=deadline)
        if signature == versions.DEFAULT:
            self.metrics.answered(version.name, outputs)
        return outputs

    @staticmethod
    def came(request: fastapi.Request) -> float:
        """Return when a request came, as ``time.monotonic()``."""
        return float(getattr(request.state, "started", time.monotonic()))


async def aside(function: Callable[..., _Result], content: bytes, *arguments: Any) -> _Result:
    """Call ``function`` with a body: at once where it is small, else in a thread, so that nobody waits for it."""
    if len(content) <= _SMALL_BYTES:
        return function(content, *arguments)
    return await asyncio.to_thread(function, content, *arguments)


def respond(content: Any, status: int = 200) -> fastapi.Response:
    """Return a JSON response; what is no finite number becomes null, which JSON has."""
    return fastapi.Response(orjson.dumps(content, default=_plain), status, media_type="application/json")


def _number(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise refusals.NotFoundError(f"expected a version number. Received: {text!r:.100}")
    return int(text)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(type(value).__name__)


def _state(number: int, state: str, code: str, message: str) -> dict[str, Any]:
    return {"version": str(number), "state": state, "status": {"error_code": code, "error_message": message}}
