"""HTTP/1.0 and 1.1 as RFC 9112 has them: uvicorn's connection over httptools, with what these two leave open.

httptools (llhttp) refuses what is malformed, and takes four things that it must not: a body behind an offered upgrade,
which it does not read and uvicorn then takes for the next request; codings before ``chunked``, which it does not undo;
a missing or repeated Host; trailers, which uvicorn adds to the headers. Heads have a longest size and time here. Every
refusal goes through the application, as any other answer: it is JSON, logged and counted. See docs/decisions/0013.
"""

import asyncio
import re
from typing import Any

import httptools
from uvicorn.protocols.http import httptools_impl

from shared.serving import refusals

MOST_HEAD_BYTES = 1 << 16
HEAD_SECONDS = 20.0
# Of the cancellation of a request whose client left; the server's end cancels without it.
CLIENT_LEFT = "the client left"
# RFC 9110, 7.2: an address in brackets or a registered name, and a port.
_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~%!$&'()*+,;=-]*)(:[0-9]*)?")
_FRAMING = (b"content-length", b"transfer-encoding")


class Protocol(httptools_impl.HttpToolsProtocol):
    """A connection."""

    # Bytes since the parser last came to something: a head, a part of a body.
    _pending_bytes = 0
    _in_head = False
    # Whether the parser reads the head that stands for one that was read already.
    _rejoining = False
    _refused = False
    # Since when it waits for a whole head, as the loop's time; None: it has one, and the answer is not complete.
    _idle_since: float | None = None
    _timer: asyncio.TimerHandle | None = None
    _task: "asyncio.Task[None] | None" = None
    # What the task answers; ``cycle`` is the request that was read last.
    _answered: Any = None
    _most_connections: int | None = None

    def connection_made(self, transport: Any) -> None:
        """Wait for a head; where there are too many connections, the one that was idle longest ends."""
        super().connection_made(transport)
        # uvicorn would answer 503 itself, to probes as well, and count those that are idle.
        self._most_connections, self.limit_concurrency = self.limit_concurrency, None
        self._idle_since = self.loop.time()
        self._await_data()
        if self._most_connections is not None and len(self.connections) > self._most_connections:
            _end_longest_idle(self.connections, opened=self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop working for a client that left."""
        self._stop_timer()
        if self._task is not None:
            # uvicorn tells the request that was read last, which waits behind this one where several came together.
            self._answered.disconnected = True
            self._task.cancel(CLIENT_LEFT)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse; what follows an offered upgrade is the request's body, and then the next request."""
        self._unset_keepalive_if_required()
        if self._refused:
            return
        self._pending_bytes += len(data)
        try:
            while data:
                data = self._feed(data)
        except httptools.HttpParserError as error:
            own = error.__context__
            self._refuse(own if isinstance(own, refusals.Refusal) else refusals.Refusal(f"expected HTTP/1.1: {error}"))
            return
        if self._pending_bytes > MOST_HEAD_BYTES:
            self._refuse(_too_large())
        self._await_data()

    def on_message_begin(self) -> None:
        """Begin to read a head."""
        self._pending_bytes = 0
        if self._rejoining:
            return
        self._in_head = True
        self._stop_timer()
        slow = refusals.SlowClientError(f"expected the headers within {HEAD_SECONDS:g} s. Received: a part of them")
        self._timer = self.loop.call_later(HEAD_SECONDS, self._refuse, slow)
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Note a part of the request's target."""
        if not self._rejoining:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header; a trailer is none (RFC 9110, 6.5.1)."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Check what the parser does not, and start the request.

        Raises:
            refusals.Refusal: The head is no HTTP/1.1; the parser passes it on.
        """
        self._pending_bytes = 0
        if self._rejoining:
            return
        _check_head(self.parser, self.headers, len(self.url))
        self._in_head = False
        self._idle_since = None
        self._stop_timer()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Hand on a part of the body."""
        self._pending_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a body, unless it was not read yet."""
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next head, or answer the next of several requests that came together."""
        super().on_response_complete()
        if self.cycle.response_complete:
            self._idle_since = self.loop.time()

    def end_idle(self) -> None:
        """Close a connection that waits for a head."""
        self._idle_since = None
        self.transport.close()

    @property
    def idle_since(self) -> float | None:
        """Since when the connection waits for a whole head; None where it does not."""
        return self._idle_since

    def _feed(self, data: bytes) -> bytes:
        """Parse, and return what is left behind an offered upgrade."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offered:
            self._rejoin()
            return data[offered.args[0] :]
        return b""

    def _rejoin(self) -> None:
        """Let another parser go on where this one stops, with a head that says of the body what the request's says."""
        framing = [name + b": " + value for name, value in self.headers if name in _FRAMING]
        self._rejoining = True
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # As uvicorn sets it: the answer closes.
        self.parser.feed_data(b"\r\n".join([b"POST / HTTP/1.1", *framing, b"", b""]))
        self._rejoining = False

    def _should_upgrade(self) -> bool:
        return False

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._answered, self._task = cycle, self.loop.create_task(cycle.run_asgi(app))
        self.tasks.add(self._task)
        self._task.add_done_callback(self.tasks.discard)

    def _await_data(self) -> None:
        """End the connection silently where nothing comes and nothing is being answered or read."""
        if (
            self.timeout_keep_alive_task is None
            and not self._in_head
            and (not self.cycle or self.cycle.response_complete)
        ):
            end = self.timeout_keep_alive_handler
            self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, end)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, refusal: refusals.Refusal) -> None:
        """Let the application answer with a refusal, in its turn, and close; nothing that follows is read."""
        self._stop_timer()
        self._refused = True
        if self.transport.is_closing():
            return
        if not self._in_head:
            self._refuse_body(refusal)
            return
        state = {**self.scope["state"], "refusal": refusal}
        target: Any = {"method": "", "path": "", "raw_path": b"", "query_string": b""}
        cycle = httptools_impl.RequestResponseCycle(
            scope={**target, **self.scope, "state": state},
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=False,
            on_response=self.on_response_complete,
        )
        cycle.more_body = False
        before, self.cycle = self.cycle, cycle
        if before is None or before.response_complete:
            self._start_asgi_task(cycle, self.app)
        else:
            self.pipeline.appendleft((cycle, self.app))

    def _refuse_body(self, refusal: refusals.Refusal) -> None:
        """Refuse a request whose head was good and whose body is not."""
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
            return
        state: Any = self.cycle.scope["state"]
        state["refusal"] = refusal
        self.cycle.keep_alive = self.cycle.more_body = False
        self.cycle.message_event.set()


def _check_head(parser: Any, headers: list[tuple[bytes, bytes]], target_bytes: int) -> None:
    """Raise ``refusals.Refusal`` where a head that could be parsed must not be answered."""
    version, found = parser.get_http_version(), {name: value for name, value in headers}
    if version not in ("1.0", "1.1"):
        raise refusals.HttpVersionError(f"expected HTTP/1.0 or 1.1. Received: HTTP/{version}")
    if parser.get_method() == b"CONNECT":
        raise refusals.NotImplementedHereError("expected a request for this server. Received: CONNECT")
    if target_bytes + sum(len(name) + len(value) for name, value in headers) > MOST_HEAD_BYTES:
        raise _too_large()
    hosts = sum(name == b"host" for name, _ in headers)
    if hosts > 1 or (hosts == 0 and version == "1.1") or not _HOST.fullmatch(found.get(b"host", b"")):
        raise refusals.Refusal("Host: expected one name or address, and a port. Received: none, several or another")
    coding = found.get(b"transfer-encoding")
    if coding is not None and version == "1.0":
        raise refusals.Refusal("expected Content-Length with HTTP/1.0. Received: Transfer-Encoding")
    if coding is not None and coding.strip().lower() != b"chunked":
        raise refusals.NotImplementedHereError("Transfer-Encoding: expected chunked alone. Received: another coding")


def _too_large() -> refusals.Refusal:
    return refusals.HeadTooLargeError(f"expected headers of at most {MOST_HEAD_BYTES} bytes. Received: longer ones")


def _end_longest_idle(connections: Any, *, opened: Protocol) -> None:
    """Close the connection that has waited longest for a head, so that one that opens finds room."""
    others = (each for each in connections if isinstance(each, Protocol) and each is not opened)
    idle = [each for each in others if each.idle_since is not None]
    if idle:
        min(idle, key=lambda each: each.idle_since or 0.0).end_idle()
