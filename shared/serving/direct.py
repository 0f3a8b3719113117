"""A short way to the routes that are asked most: past the layers of the framework that describes them.

The routes are FastAPI's own, with the same patterns and the same functions; only its resolution of parameters, its
middleware and its error handlers are left out, which cost more than half of a small request. Refusals are answered by
``guarding``, as everywhere.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import fastapi
import fastapi.routing
from starlette.types import ASGIApp, Receive, Scope, Send


class Direct:
    """ASGI application that answers POST requests of some routes itself, and hands everything else on.

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
