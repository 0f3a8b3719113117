"""uvicorn's HTTP over httptools, with an end to the heads of requests, and answers that are sent in one piece.

The parser alone takes headers for as long as a client sends them, which would fill the memory or hold a connection for
ever: their bytes are bounded, and the time until they are whole. Bodies are bounded in ``guarding``. Head and body of
an answer are written one after the other; sent apart they are two calls of the system and wake the client twice.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http import httptools_impl

MOST_HEAD_BYTES = 1 << 16
HEAD_SECONDS = 20.0
MOST_HELD_BYTES = 1 << 16


class Joined:
    """A transport that sends at the end of the loop's turn what was written during it.

    Args:
        transport: What sends.
        loop: Whose turns.
    """

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._parts: list[bytes] = []
        self._held = 0

    def __getattr__(self, name: str) -> Any:
        """Be the transport in everything else."""
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Hold a part of an answer until the turn ends, or until there is much of it."""
        if not self._parts:
            self._loop.call_soon(self._send)
        self._parts.append(data)
        self._held += len(data)
        if self._held > MOST_HELD_BYTES:
            self._send()

    def close(self) -> None:
        """Send what is held, and close."""
        self._send()
        self._transport.close()

    def _send(self) -> None:
        if self._parts:
            whole = b"".join(self._parts)
            self._parts.clear()
            self._held = 0
            self._transport.write(whole)


class Protocol(httptools_impl.HttpToolsProtocol):
    """A connection; a head that is too long or too slow is answered 400 and ends it."""

    _head_bytes = 0
    _in_head = True
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first head."""
        joined: Any = Joined(transport, self.loop)
        super().connection_made(joined)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what comes before a head is whole."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > MOST_HEAD_BYTES:
            self._end("Expected shorter headers.")

    def on_message_begin(self) -> None:
        """Begin to wait for a head."""
        self._in_head, self._head_bytes = True, 0
        self._wait()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Stop waiting: the head is whole."""
        self._in_head = False
        self._stop()
        super().on_headers_complete()

    def _wait(self) -> None:
        self._stop()
        self._timer = self.loop.call_later(HEAD_SECONDS, self._end, "Expected the headers in time.")

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self, message: str) -> None:
        self._stop()
        if not self.transport.is_closing():
            self.send_400_response(message)
