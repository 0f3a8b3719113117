"""What stands before every route: who may ask, how much, for how long; and that every fault is one JSON message."""

import asyncio
import hmac
import logging
import random
import re
import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.serving import connection, contents, metrics, origins, refusals, requests, settings

log = logging.getLogger("fieldnets")

REQUEST_ID = "x-request-id"
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
# What a load balancer asks: answered without a token, and however many others ask.
_PROBE = re.compile(r"/health|/v2/health/(live|ready)")
# A page without data.
_PAGE = re.compile(r"/|/docs|/favicon\.ico|/page/[^/]+")
# Bodies that may be in memory at a time, in largest bodies.
_BODIES = 8


def is_open(path: str) -> bool:
    """Return whether a path is answered without a token."""
    return bool(_PROBE.fullmatch(path) or _PAGE.fullmatch(path))


class Guard:
    """ASGI middleware: names, pages of other sites, token, size, deadline, request id, log line, metrics.

    Args:
        app: What is guarded.
        options: The server's settings.
        counters: Where requests are counted.
        closes: Says whether connections are to end with their next answer.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        options: settings.Settings,
        counters: metrics.Metrics,
        closes: Callable[[], bool] = lambda: False,
    ) -> None:
        self._closes = closes
        self._app, self._options, self._counters = app, options, counters
        self._hosts = origins.Hosts(options)
        self._held_bytes = self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it with a refusal."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        call = _Call(scope, receive, send, closes=self._closes())
        self._running += 1
        try:
            self._admit(call)
            await self._in_time(call)
        except refusals.Refusal as refusal:
            await call.refuse(refusal)
        except asyncio.CancelledError as cancelled:
            if cancelled.args == (connection.CLIENT_LEFT,):
                log.debug("request %s: the client left", call.identity)
            else:
                await call.refuse(refusals.UnavailableError("expected a server that goes on. Received: its end"))
        except Exception:
            log.exception("request %s: a fault of the server", call.identity)
            await call.refuse(_Fault(f"a fault of the server; its log says more under {call.identity}"))
        finally:
            self._running -= 1
            self._held_bytes -= call.held_bytes
        self._tell(call)

    async def _in_time(self, call: "_Call") -> None:
        """Read the body and answer it; at the deadline all that is done for it ends, wherever it is.

        Raises:
            refusals.Refusal: It is refused, or was too slow.
        """
        seconds = self._options.deadline_seconds
        try:
            async with asyncio.timeout(seconds) as limit:
                call.body = await self._body(call)
                call.check()
                call.whole = True
                await self._app(call.scope, call.receive, call.send)
        except TimeoutError:
            if not limit.expired():
                raise
            if call.whole:
                raise refusals.DeadlineError(f"expected an answer within {seconds:g} s. Received: none") from None
            raise refusals.SlowClientError(f"expected the body within {seconds:g} s. Received: a part of it") from None

    def _admit(self, call: "_Call") -> None:
        """Let a request pass that could be read, is meant for here, finds room and has the token.

        Raises:
            refusals.Refusal: It is refused.
        """
        call.check()
        path, options = call.scope["path"], self._options
        if _PROBE.fullmatch(path) or path == options.health_route:
            return
        self._hosts.check(call.method, call.scope["headers"])
        if self._running > options.max_connections:
            raise refusals.UnavailableError(f"expected at most {options.max_connections} requests at a time")
        if options.token is None or is_open(path):
            return
        scheme, _, given = (call.header(b"authorization") or b"").partition(b" ")
        # In constant time; the scheme is the same in capitals (RFC 9110, 11.1).
        if not hmac.compare_digest(given.strip(), options.token.encode("ascii")) or scheme.lower() != b"bearer":
            raise refusals.UnauthorizedError(
                "expected the header Authorization: Bearer TOKEN. Received: another or none",
                {"www-authenticate": "Bearer"},
            )

    async def _body(self, call: "_Call") -> bytes:
        """Read the body within its limit, and decompress it.

        Raises:
            refusals.Refusal: It is too large, is not what the headers say, or too many are in memory.
        """
        coding = contents.content_coding(value for name, value in call.scope["headers"] if name == b"content-encoding")
        declared = call.header(b"content-length") or b"0"
        if declared.isdigit() and int(declared) > self._options.max_body_bytes:
            raise self._too_large()
        body = await self._whole(call)
        if not coding:
            return body
        body = await requests.aside(contents.decompressed, body, coding, self._options.max_body_bytes)
        self._hold(call, len(body))
        return body

    async def _whole(self, call: "_Call") -> bytes:
        parts: list[bytes] = []
        while True:
            message = await call.wait()
            if message["type"] != "http.request":
                raise refusals.SlowClientError("expected the whole body. Received: a part of it")
            part = message.get("body", b"")
            self._hold(call, len(part))
            if call.held_bytes > self._options.max_body_bytes:
                raise self._too_large()
            parts.append(part)
            if not message.get("more_body", False):
                return b"".join(parts)

    def _hold(self, call: "_Call", size: int) -> None:
        """Count bytes that are in memory."""
        call.held_bytes += size
        self._held_bytes += size
        if self._held_bytes > _BODIES * self._options.max_body_bytes:
            raise refusals.UnavailableError("expected bodies that fit the memory. Received: too many")

    def _too_large(self) -> refusals.Refusal:
        return refusals.TooLargeError(f"expected a body of at most {self._options.max_body_bytes} bytes")

    def _tell(self, call: "_Call") -> None:
        seconds = time.perf_counter() - call.started
        self._counters.requested(call.route, call.status, seconds, call.version)
        metrics.log_request(
            request=call.identity,
            method=call.method,
            route=call.route,
            status=call.status,
            milliseconds=round(1000 * seconds, 2),
            bytes=call.sent,
            client=(call.scope.get("client") or ("",))[0],
        )


class _Fault(refusals.Refusal):
    """A fault of ours."""

    status = 500


class _Call:
    """One request: its id, its body once it was read, and what was answered."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, *, closes: bool) -> None:
        self._closes = [(b"connection", b"close")] if closes else []
        self.method = scope["method"]
        # HEAD is GET without the body (RFC 9110, 9.3.2): the connection leaves it out, by its own scope.
        self.scope = {**scope, "method": "GET"} if self.method == "HEAD" else scope
        self.wait, self._send = receive, send
        given = self.header(REQUEST_ID.encode()) or b""
        self.identity = given.decode() if _REQUEST_ID.fullmatch(given) else f"{random.getrandbits(128):032x}"
        self.started = time.perf_counter()
        # A client that went away got no answer: nginx counts it as 499.
        self.status, self.sent = 499, 0
        self.body: bytes | None = None
        # Whether the whole body came.
        self.whole = False
        self.held_bytes = 0
        self._state = self.scope.setdefault("state", {})
        self._state["started"] = time.monotonic()

    @property
    def route(self) -> str:
        """Return the route's pattern: paths themselves are without number."""
        route = self.scope.get("route")
        return str(getattr(route, "path_format", "other"))

    @property
    def version(self) -> tuple[str, str]:
        """Return the name and number of the version that was asked; empty where none was."""
        found: tuple[str, str] = self._state.get("version", ("", ""))
        return found

    def header(self, name: bytes) -> bytes | None:
        """Return a header that must not be there twice; where it is, nothing."""
        found = [value for key, value in self.scope["headers"] if key == name]
        return found[0] if len(found) == 1 else None

    def check(self) -> None:
        """Raise what the connection found wrong with the request."""
        if (refusal := self._state.get("refusal")) is not None:
            raise refusal

    async def receive(self) -> Message:
        """Give the body that was read, and then whether the client went away."""
        if self.body is None:
            return await self.wait()
        body, self.body = self.body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = [*origins.HEADERS, *self._closes, (REQUEST_ID.encode(), self.identity.encode())]
            message = {**message, "headers": [*message.get("headers", []), *own]}
        elif self.method == "HEAD":
            message = {**message, "body": b""}
        self.sent += len(message.get("body", b""))
        await self._send(message)

    async def refuse(self, refusal: refusals.Refusal) -> None:
        """Answer with a refusal, unless an answer has begun already."""
        if self.status == 499:
            await requests.refused(refusal)(self.scope, self.receive, self.send)
