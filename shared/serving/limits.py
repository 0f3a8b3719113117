"""What stands before every route: who may ask, how much, for how long; and that every fault is one JSON message."""

import asyncio
import hmac
import logging
import random
import re
import time
from typing import Any

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.serving import metrics, refusals, settings

log = logging.getLogger("fieldnets")

REQUEST_ID = "x-request-id"
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (
        b"content-security-policy",
        b"default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; style-src 'self'; script-src 'self'; "
        b"frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    ),
]
# Paths that need no token: a page without data, and what a load balancer asks.
_OPEN = re.compile(r"/|/favicon\.ico|/page/[^/]+|/health|/v2/health/(live|ready)")
# Bodies that may be in memory at a time, in largest bodies.
_BODIES = 8


class Guard:
    """ASGI middleware: token, size, deadline, request id, log line, metrics.

    Args:
        app: What is guarded.
        options: The server's settings.
        metrics: Where requests are counted.
    """

    def __init__(self, app: ASGIApp, *, options: settings.Settings, metrics: metrics.Metrics) -> None:
        self._app, self._options, self._metrics = app, options, metrics
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it with a refusal."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        call = _Call(scope, send)
        try:
            self._admit(scope)
            content = await self._body(scope, receive)
            try:
                await self._app(scope, _replay(content, receive), call.send)
            finally:
                self._held -= len(content)
        except refusals.Refusal as refusal:
            await call.refuse(refusal)
        except Exception:
            log.exception("request %s: a fault of the server", call.identity)
            await call.answer(500, {"error": f"a fault of the server; its log says more under {call.identity}"}, [])
        self._tell(call)

    def _admit(self, scope: Scope) -> None:
        """Refuse who sends no token where one is needed, compared in constant time."""
        options = self._options
        if options.token is None or _OPEN.fullmatch(scope["path"]) or scope["path"] == options.health_route:
            return
        given = dict(scope["headers"]).get(b"authorization", b"")
        if not hmac.compare_digest(given, b"Bearer " + options.token.encode("ascii")):
            raise UnauthorizedError("expected the header Authorization: Bearer TOKEN. Received: another or none")

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """Read the body, within its limit and in time.

        Raises:
            refusals.Refusal: It is too large or too slow, or too many are in memory.
        """
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self._options.max_body_bytes:
            raise self._too_large()
        parts: list[bytes] = []
        held = 0
        try:
            async with asyncio.timeout(self._options.deadline_seconds):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        raise refusals.SlowClientError("expected the whole body. Received: a part of it")
                    part = message.get("body", b"")
                    held += len(part)
                    self._held += len(part)
                    if held > self._options.max_body_bytes:
                        raise self._too_large()
                    if self._held > _BODIES * self._options.max_body_bytes:
                        raise refusals.UnavailableError("expected bodies that fit the memory. Received: too many")
                    parts.append(part)
                    if not message.get("more_body", False):
                        return b"".join(parts)
        except TimeoutError:
            self._held -= held
            raise refusals.SlowClientError(
                f"expected the body within {self._options.deadline_seconds:g} s. Received: a part of it"
            ) from None
        except refusals.Refusal:
            self._held -= held
            raise

    def _too_large(self) -> refusals.Refusal:
        return refusals.TooLargeError(f"expected a body of at most {self._options.max_body_bytes} bytes")

    def _tell(self, call: "_Call") -> None:
        seconds = time.perf_counter() - call.started
        route = call.route
        self._metrics.requests.labels(route, str(call.status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        metrics.log_request(
            request=call.identity,
            method=call.scope["method"],
            route=route,
            status=call.status,
            milliseconds=round(1000 * seconds, 2),
            bytes=call.sent,
            client=(call.scope.get("client") or ("",))[0],
        )


class UnauthorizedError(refusals.Refusal):
    """Nobody who may ask."""

    status = 401


class _Call:
    """One request: its id, and what was answered."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.scope, self._send = scope, send
        given = dict(scope["headers"]).get(REQUEST_ID.encode(), b"")
        self.identity = given.decode() if _REQUEST_ID.fullmatch(given) else f"{random.getrandbits(128):032x}"
        self.started = time.perf_counter()
        # A client that went away got no answer: nginx counts it as 499.
        self.status, self.sent = 499, 0
        scope.setdefault("state", {})["started"] = time.monotonic()

    @property
    def route(self) -> str:
        """Return the route's pattern: paths themselves are without number."""
        route = self.scope.get("route")
        return str(getattr(route, "path", "other"))

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = [*_HEADERS, (REQUEST_ID.encode(), self.identity.encode())]
            message = {**message, "headers": [*message.get("headers", []), *own]}
        self.sent += len(message.get("body", b""))
        await self._send(message)

    async def refuse(self, refusal: refusals.Refusal) -> None:
        """Answer with the refusal's status; a body that was not read to its end closes the connection."""
        headers = []
        if refusal.retry_seconds is not None:
            headers.append((b"retry-after", str(refusal.retry_seconds).encode()))
        if refusal.status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        if refusal.status in (408, 413, 503):
            headers.append((b"connection", b"close"))
        await self.answer(refusal.status, {"error": str(refusal)}, headers)

    async def answer(self, status: int, content: Any, headers: list[tuple[bytes, bytes]]) -> None:
        """Send JSON, unless an answer has begun already."""
        if self.status != 499:
            return
        body = orjson.dumps(content)
        start = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *headers]
        await self.send({"type": "http.response.start", "status": status, "headers": start})
        await self.send({"type": "http.response.body", "body": body})


def _replay(content: bytes, receive: Receive) -> Receive:
    """Return a ``receive`` that gives the body that was read, and then whether the client went away."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": content, "more_body": False}

    return again
