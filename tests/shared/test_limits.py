"""What stands before every route: tokens, sizes, times, request ids; and what the metrics and log lines say."""

import argparse
import base64
import io
import json
import logging
import pathlib
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import PIL.Image
import pytest
import starlette.testclient

from shared import errors
from shared.serving import limits, refusals, settings, tensors
from tests.shared import servers

pytestmark = pytest.mark.tensorflow
PREDICT = "/v1/models/tiny:predict"
Client = starlette.testclient.TestClient


@pytest.fixture(scope="module")
def limited(bundle_path: pathlib.Path) -> Iterator[Client]:
    limits = {"token": "secret", "max_body_bytes": 2_000, "max_rows": 4, "max_characters": 100}
    with servers.serving(bundle_path, **limits) as found:
        yield found


def ask(client: Client, *texts: str, token: str | None = "secret", **headers: str) -> Any:
    given = {} if token is None else {"Authorization": f"Bearer {token}"}
    return client.post(PREDICT, json={"instances": list(texts)}, headers={**given, **headers})


@pytest.mark.parametrize("token", [None, "", "secre", "secretx", "SECRET", "sécret"])
def test_without_the_token_nothing_is_answered(limited: Client, token: str | None) -> None:
    headers = [] if token is None else [(b"authorization", f"Bearer {token}".encode())]
    for method, path in (("POST", PREDICT), ("GET", "/metrics"), ("GET", "/ui/models"), ("GET", "/v2"), ("GET", "/no")):
        reply = limited.request(method, path, headers=headers)
        assert (reply.status_code, reply.headers["www-authenticate"]) == (401, "Bearer")
        assert "secret" not in reply.text


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer  "])
def test_the_scheme_of_the_token_is_the_same_in_capitals(limited: Client, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} secret"}
    assert limited.post(PREDICT, json={"instances": ["good"]}, headers=headers).status_code == 200
    assert limited.get("/v2", headers={"Authorization": "Basic secret"}).status_code == 401


def test_the_page_and_health_need_no_token(limited: Client) -> None:
    assert [limited.get(path).status_code for path in ("/", "/health", "/v2/health/live", "/v2/health/ready")] == [
        200
    ] * 4
    assert ask(limited, "good").status_code == 200


def test_each_limit_has_its_status_and_its_message(limited: Client) -> None:
    found = {
        413: ask(limited, "x" * 5_000),
        422: ask(limited, *["good"] * 5),
    }
    assert {code: reply.status_code for code, reply in found.items()} == {413: 413, 422: 422}
    assert "at most 2000 bytes" in found[413].json()["error"]
    assert "1 to 4 rows" in found[422].json()["error"]
    assert "at most 100 bytes" in ask(limited, "y" * 101).json()["error"]


def test_a_body_that_does_not_say_its_length_is_cut_off_at_the_limit(limited: Client) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(100):
            yield b"x" * 100

    reply = limited.post(PREDICT, content=parts(), headers={"Authorization": "Bearer secret"})
    assert reply.status_code == 413


def test_an_image_with_too_many_pixels_is_refused_from_its_first_bytes() -> None:
    buffer = io.BytesIO()
    PIL.Image.fromarray(np.zeros((300, 400), np.uint8)).save(buffer, "PNG")
    limits = settings.Settings(model_dirs=(), max_pixels=100_000)
    images = np.array([buffer.getvalue(), b"no image"], object)
    with pytest.raises(refusals.LimitError, match=r"at most 100000 pixels\. Received: 120000"):
        tensors.check_strings("image_bytes", images, limits)
    tensors.check_strings("image_bytes", images[1:], limits)
    # A few bytes that claim a picture of 30,000 x 30,000.
    claimed = bytearray(buffer.getvalue())
    claimed[16:24] = (30_000).to_bytes(4, "big") * 2
    claimed[29:33] = zlib.crc32(claimed[12:29]).to_bytes(4, "big")
    assert tensors.pixels_of(bytes(claimed)) > 100_000_000


def test_request_ids_are_passed_on_or_made(limited: Client) -> None:
    assert ask(limited, "good", **{"X-Request-ID": "abc-1"}).headers["x-request-id"] == "abc-1"
    made = ask(limited, "good", **{"X-Request-ID": "with space"}).headers["x-request-id"]
    assert len(made) == 32
    assert limited.get("/no").headers["x-request-id"] != made


def test_the_log_says_what_happened_and_never_what_was_sent(
    limited: Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = logging.getLogger("fieldnets.requests")
    monkeypatch.setattr(log, "propagate", True)
    with caplog.at_level(logging.INFO, logger="fieldnets.requests"):
        ask(limited, "private words", **{"X-Request-ID": "seen"})
    line = json.loads(caplog.records[-1].message)
    assert (line["request"], line["status"], line["route"]) == ("seen", 200, "/v1/models/{name}:predict")
    assert line["milliseconds"] > 0
    assert "private" not in caplog.text


def test_metrics_count_requests_batches_decisions_and_scores(bundle_path: pathlib.Path) -> None:
    with servers.serving(bundle_path) as client:
        for _ in range(3):
            assert ask(client, "good", "bad", token=None).status_code == 200
        assert ask(client, token=None).status_code == 400
        text = client.get("/monitoring/prometheus/metrics").text
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    model, route = 'model="tiny"', 'route="/v1/models/{name}:predict"'
    assert float(lines[f'fieldnets_requests_total{{{model},{route},status="200",version="1"}}']) == 3
    assert float(lines[f'fieldnets_requests_total{{{model},{route},status="400",version="1"}}']) == 1
    for family in ("batch_rows_sum", "score_count"):
        assert float(lines[f'fieldnets_{family}{{{model},version="1"}}']) == 6
    assert sum(float(value) for name, value in lines.items() if name.startswith("fieldnets_decisions_total")) == 6
    assert float(lines['fieldnets_version{engine="tensorflow",model="tiny",version="1"}']) == 1


def test_a_fault_of_ours_is_said_without_its_inside(bundle_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with servers.serving(bundle_path) as client:
        version: Any = client.models.get("tiny")  # type: ignore[attr-defined]

        async def fail(*_: Any, **__: Any) -> None:
            raise RuntimeError("inner secret")

        monkeypatch.setattr(version, "answer", fail)
        reply = ask(client, "good", token=None)
    assert reply.status_code == 500
    assert "inner secret" not in reply.text
    assert reply.headers["x-request-id"] in reply.json()["error"]


@pytest.mark.parametrize("path", ["/page/../server.py", "/page/..%2fserver.py", "/page/%2e%2e/server.py", "/page/no"])
def test_no_path_leads_out_of_the_page(limited: Client, path: str) -> None:
    assert limited.get(path, headers={"Authorization": "Bearer secret"}).status_code == 404


def test_answers_carry_headers_that_keep_the_page_to_itself(limited: Client) -> None:
    headers = limited.get("/").headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


def test_settings_come_from_flags_files_and_vertex_variables(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIP_STORAGE_URI", str(tmp_path))
    parser = argparse.ArgumentParser()
    settings.add_options(parser)
    (tmp_path / "token").write_text(" abc\n")
    flags = ["--model-dir", "m", "--token-file", str(tmp_path / "token"), "--max-body-mib", "3", "--batch-wait-ms", "0"]
    found = settings.from_arguments(parser.parse_args(flags), {})
    assert (found.host, found.port, found.token, found.max_body_bytes) == ("127.0.0.1", 8501, "abc", 3 << 20)
    assert found.batch_wait_seconds == 0
    assert "abc" not in repr(found)
    vertex = {
        "AIP_HTTP_PORT": "8080",
        "AIP_HEALTH_ROUTE": "/h",
        "AIP_PREDICT_ROUTE": "/p",
        "AIP_STORAGE_URI": str(tmp_path),
        "FIELDNETS_TOKEN": "t",
    }
    cloud = settings.from_arguments(parser.parse_args([]), vertex)
    assert (cloud.host, cloud.port, cloud.health_route, cloud.predict_route) == ("0.0.0.0", 8080, "/h", "/p")
    assert (cloud.model_dirs, cloud.token) == ((tmp_path,), "t")


@pytest.mark.parametrize(
    ("flags", "environment", "message"),
    [
        ([], {}, "expected --model-dir"),
        ([], {"AIP_STORAGE_URI": "gs://bucket/model"}, "expected a folder"),
        (["--model-dir", "m"], {"AIP_HTTP_PORT": "many"}, "expected a port"),
        (["--model-dir", "m", "--token-file", "none"], {}, "expected a file"),
        (["--model-dir", "m"], {"FIELDNETS_TOKEN": " "}, "expected a token"),
        (["--model-dir", "m", "--tls-cert", __file__], {}, "both --tls-cert and --tls-key"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    flags: list[str], environment: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIP_STORAGE_URI", "elsewhere")
    parser = argparse.ArgumentParser()
    settings.add_options(parser)
    with pytest.raises(errors.InputError, match=message):
        settings.from_arguments(parser.parse_args(flags), environment)


def test_vertex_routes_answer_where_they_are_asked_for(bundle_path: pathlib.Path) -> None:
    with servers.serving(bundle_path, health_route="/isalive", predict_route="/invocations", token="t") as client:
        assert client.get("/isalive").status_code == 200
        body = {"instances": [{"text": {"b64": base64.b64encode(b"good").decode()}}], "parameters": {}}
        reply = client.post("/invocations", json=body, headers={"Authorization": "Bearer t"})
        plain = ask(client, "good", token="t")
    assert reply.json() == plain.json()


def test_the_page_of_operations_needs_no_token_and_what_it_shows_does() -> None:
    assert limits.is_open("/docs")
    assert not limits.is_open("/openapi.json")
    assert not limits.is_open("/docs/x")
