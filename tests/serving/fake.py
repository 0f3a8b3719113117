"""A server without models: it gives the page's files, and recorded answers of four kinds of model."""

import contextlib
import http.server
import json
import mimetypes
import pathlib
import threading
from collections.abc import Iterator
from typing import Any

from shared.serving import origins
from tests.serving import recorded

PAGE = pathlib.Path(__file__).parents[2] / "shared" / "serving" / "page"
LARGEST_BODY = 3_000_000
POLICY = dict(origins.HEADERS)[b"content-security-policy"].decode()
# Texts that a busy, a stopping and a slow server are asked with.
REFUSED = {"busy": (429, 3), "unavailable": (503, 1), "slow": (504, 5)}


class Server(http.server.ThreadingHTTPServer):
    """A fake server; ``token`` is asked for where it is given, ``asked`` holds every predict request."""

    def __init__(self, token: str | None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.token = token
        self.asked: list[tuple[str, dict[str, Any]]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/prefix/"


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers below a path prefix, as behind a proxy: the page must not know where it stands."""

    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.removeprefix("/prefix/")
        if path == "":
            self._file("index.html")
        elif path == "docs":
            self._file("docs.html")
        elif path.startswith("page/"):
            self._file(path.removeprefix("page/"))
        elif self._may_ask():
            self._data(path)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self._may_ask():
            return
        if len(body) > LARGEST_BODY:
            self._json(413, {"error": f"expected a body of at most {LARGEST_BODY} bytes"})
            return
        name = self.path.removeprefix("/prefix/v1/models/").removesuffix(":predict").split("/")[0]
        content = json.loads(body)
        self.server.asked.append((self.path, content))
        for text, (status, seconds) in REFUSED.items():
            if content["instances"][0].get("text") == text:
                self._json(status, {"error": "refused"}, {"Retry-After": str(seconds)})
                return
        answer = recorded.explain if content.get("signature_name") == "explain" else recorded.answer
        self._json(200, {"predictions": [answer(name, row) for row in content["instances"]]})

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the tests' output to themselves."""

    def _data(self, path: str) -> None:
        if path == "openapi.json":
            self._json(200, recorded.OPENAPI)
        elif path == "ui/models":
            self._json(200, {"models": recorded.MODELS})
        elif path.endswith("/card"):
            self._send(200, recorded.CARD.encode(), "text/html; charset=utf-8", {})
        elif path.endswith("/drift"):
            self._json(200, recorded.DRIFT[path.split("/")[2]])
        else:
            self._json(404, {"error": "expected a route"})

    def _file(self, name: str) -> None:
        file = PAGE / name
        kind = "text/javascript" if name.endswith(".js") else mimetypes.guess_type(name)[0] or "text/plain"
        self._send(200, file.read_bytes(), kind, {})

    def _may_ask(self) -> bool:
        token = self.server.token
        if token is None or self.headers.get("Authorization") == f"Bearer {token}":
            return True
        self._json(401, {"error": "expected a token"})
        return False

    def _json(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(content).encode(), "application/json", headers or {})

    def _send(self, status: int, content: bytes, kind: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        more = {"Content-Type": kind, "Content-Length": str(len(content)), "X-Content-Type-Options": "nosniff"}
        for name, value in {**more, "Content-Security-Policy": POLICY, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


@contextlib.contextmanager
def serving(token: str | None = None) -> Iterator[Server]:
    """Serve on a free port until the block ends."""
    server = Server(token)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
