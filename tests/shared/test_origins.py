"""Pages of other sites, names of other machines, and what a body is called: who is answered, and who is not."""

import base64
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
import starlette.testclient

from shared import errors
from shared.serving import origins, settings
from tests.shared import servers, stand_in

Client = starlette.testclient.TestClient
PREDICT = "/v1/models/words:predict"
INFER = "/v2/models/words/infer"
BODY = b'{"instances": ["good"]}'
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pathlib.Path]:
    folder = tmp_path_factory.mktemp("origins")
    with stand_in.installed():
        for name in ("words", "files"):
            stand_in.write(folder, name, "1", stand_in.GOLDEN[name])
        yield folder


@pytest.fixture(scope="module")
def client(repository: pathlib.Path) -> Iterator[Client]:
    """A client of a server as `serve` starts it, but for the files that it serves."""
    with servers.serving(repository, allowed_hosts=None) as found:
        found.base_url = "http://localhost:8501"
        yield found


LOCAL = (
    "127.0.0.1:8501",
    "localhost",
    "LOCALHOST:1",
    "[::1]:8501",
    "localhost.",
    "192.168.1.7:8501",
    "sentiment:8501",
    "",
)
OTHER = ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8501", "not.localhost", "evil.example.")


@pytest.mark.parametrize("host", [*LOCAL, *OTHER])
@pytest.mark.parametrize(("method", "path"), [("POST", PREDICT), ("GET", "/"), ("GET", "/metrics"), ("GET", "/v2")])
def test_a_name_that_another_site_may_have_is_refused_by_default(
    client: Client, host: str, method: str, path: str
) -> None:
    reply = client.request(method, path, content=BODY if method == "POST" else None, headers={"Host": host, **JSON})
    assert reply.status_code == (200 if host in LOCAL else 421)
    if host in OTHER:
        assert "--allowed-hosts" in reply.json()["error"]
        assert client.get("/v2/health/ready", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    ("options", "allowed", "refused"),
    [
        ({"host": "0.0.0.0"}, ("any.example",), ()),
        ({"allowed_hosts": ("*",)}, ("any.example",), ()),
        ({"host": "0.0.0.0", "allowed_hosts": ("a.example",)}, ("a.example:80", "10.0.0.1"), ("b.a.example",)),
        ({"allowed_hosts": (".a.example", "b")}, ("x.a.example", "B:8501"), ("a.example", "xa.example", "c")),
        ({"host": "::1"}, ("localhost", "a"), ("a.example",)),
    ],
)
def test_names_are_allowed_by_an_option_and_all_where_the_server_is_for_others(
    options: dict[str, Any], allowed: tuple[str, ...], refused: tuple[str, ...]
) -> None:
    hosts = origins.Hosts(settings.Settings(model_dirs=(), **options))
    assert [hosts.allow(host.encode()) for host in (*allowed, *refused)] == [True] * len(allowed) + [False] * len(
        refused
    )


@pytest.mark.parametrize("given", [["http://a"], ["a:80"], [""], ["a,,b"], ["*.a"], ["a/b"]])
def test_what_is_no_name_is_no_allowed_host(given: list[str]) -> None:
    with pytest.raises(errors.InputError, match="--allowed-hosts"):
        settings._names(given)
    assert settings._names(["A.example, .b", "*"]) == ("a.example", ".b", "*")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://localhost:8501"}, 200),
        ({"Origin": "HTTP://LOCALHOST:8501"}, 200),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://behind.a.proxy"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://localhost:3000"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:3000"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost:8501"}, 403),
    ],
)
@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded", "", "text/plain"])
def test_a_page_of_another_site_is_refused_whatever_it_calls_its_body(
    client: Client, headers: dict[str, str], status: int, kind: str
) -> None:
    reply = client.post(PREDICT, content=BODY, headers={**headers, **({"Content-Type": kind} if kind else {})})
    assert reply.status_code == (415 if status == 200 and kind == "text/plain" else status), reply.text
    # Reading is what a browser itself keeps from other sites.
    assert client.get("/v2", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        *((kind, 200) for kind in ("application/json", "Application/JSON; charset=utf-8", "application/problem+json")),
        # curl -d, tritonclient, and what a client that knows nothing better says.
        *((kind, 200) for kind in ("application/x-www-form-urlencoded", "", "application/octet-stream")),
        *((kind, 415) for kind in ("text/plain", "text/plain;charset=UTF-8", "text/json", "application/xml")),
        *((kind, 415) for kind in ("multipart/form-data; boundary=x", "image/png", "json")),
    ],
)
@pytest.mark.parametrize("path", [PREDICT, INFER])
def test_a_body_is_read_that_is_called_json_or_what_common_clients_call_it(
    client: Client, path: str, kind: str, status: int
) -> None:
    tensor = b'{"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["good"]}]}'
    headers = {"Content-Type": kind} if kind else {}
    reply = client.post(path, content=BODY if path == PREDICT else tensor, headers=headers)
    assert reply.status_code == status, reply.text
    if status == 415:
        assert reply.headers["accept"] == "application/json"


@pytest.mark.parametrize(
    ("kind", "status"), [("application/octet-stream", 200), ("", 200), ("image/png", 200), ("text/plain", 415)]
)
def test_a_file_behind_no_json_may_be_called_what_it_is(client: Client, kind: str, status: int) -> None:
    headers = {"Inference-Header-Content-Length": "0", **({"Content-Type": kind} if kind else {})}
    reply = client.post("/v2/models/files/infer", content=base64.b64decode("iVBORw0KGgo="), headers=headers)
    assert reply.status_code == status, reply.text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", path) for path in ("/", "/page/api.js", "/metrics", "/health", "/nothing", "/v1/models/words")),
        *(("POST", PREDICT), ("POST", "/health"), ("DELETE", PREDICT)),
    ],
)
def test_every_answer_has_the_headers_that_keep_other_sites_away(client: Client, method: str, path: str) -> None:
    headers = client.request(method, path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["object-src"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cross-origin-resource-policy"] == headers["cross-origin-opener-policy"] == "same-origin"
    assert "access-control-allow-origin" not in headers
