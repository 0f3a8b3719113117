"""uvicorn's HTTP over httptools, with an end to the heads of requests: their bytes, and the time until they are whole.

The parser alone takes headers for as long as a client sends them, which would fill the memory or hold a connection for
ever. Bodies are bounded in ``guarding``.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http import httptools_impl

MOST_HEAD_BYTES = 1 << 16
HEAD_SECONDS = 20.0


class Protocol(httptools_impl.HttpToolsProtocol):
    """A connection; a head that is too long or too slow is answered 400 and ends it."""

    _head_bytes = 0
    _in_head = True
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first head."""
        super().connection_made(transport)
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
