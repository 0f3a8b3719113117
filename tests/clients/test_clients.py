"""Clients that nobody here wrote ask the server: each gets what its own documentation promises."""

import json
import pathlib
import subprocess
import sys
import urllib.request

import pytest
from prometheus_client import parser

from tests.clients import conftest

# Run by .ci/clients, which sets up what they need.
pytestmark = pytest.mark.slow
BODY = '{"instances": ["good film", "bad"]}'
LABELS = ["positive", "negative"]
PREDICT = "/v1/models/words:predict"


def labels(text: str) -> list[str]:
    return [row["labels"] for row in json.loads(text)["predictions"]]


def test_code_written_for_triton_gets_bytes_and_arrays(python: conftest.Run, address: str) -> None:
    found = json.loads(python("triton_client.py", address))
    assert found.pop("live")
    assert found.pop("ready")
    assert found.pop("extensions") == ["binary_tensor_data"]
    assert found.pop("inputs") == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    assert (found.pop("id"), found.pop("image")) == ("7", [6])
    status, message = found.pop("refused")
    assert (status, "expected a version" in message) == ("404", True)
    scores = [[pytest.approx(0.1, abs=1e-6), pytest.approx(0.9)], [pytest.approx(0.8), pytest.approx(0.2)]]
    assert list(found) == ["default", "named", "json in", "version", "gzip", "deflate"]
    assert all(each == [LABELS, scores, "float32"] for each in found.values())


def test_kserves_client_is_answered_in_both_protocols(python: conftest.Run, address: str) -> None:
    found = json.loads(python("kserve_client.py", address))
    assert found == {"live": True, "ready": True, "binary": LABELS, "json": LABELS, "rows": LABELS}


def test_a_stock_java_client_is_answered_though_it_offers_http_2(run: conftest.Run, address: str) -> None:
    lines = run("java", "-Xshare:auto", "Ask.java", address + PREDICT, BODY).splitlines()
    assert [line[:3] for line in lines] == ["200", "200"]
    assert [labels(line[4:]) for line in lines] == [LABELS, LABELS]


@pytest.mark.parametrize(
    "options",
    [
        ("--http1.0",),
        ("--http1.1",),
        ("--http2",),
        ("--http1.1", "-H", "Transfer-Encoding: chunked"),
        ("--http1.1", "-H", "Expect: 100-continue"),
        ("--http1.1", "-H", "Connection: upgrade", "-H", "Upgrade: websocket"),
        ("--http1.1", "-H", "Connection: close"),
    ],
)
def test_curl_is_answered_in_each_of_its_ways(run: conftest.Run, address: str, options: tuple[str, ...]) -> None:
    assert labels(run("curl", "-sS", *options, "-d", BODY, address + PREDICT)) == LABELS


def test_curl_gets_the_head_of_what_it_would_get(run: conftest.Run, address: str) -> None:
    head = run("curl", "-sS", "-I", f"{address}/health").lower()
    assert head.startswith("http/1.1 200")
    assert "content-length: 18" in head


def test_curl_that_speaks_http_2_from_the_start_is_told_so(run: conftest.Run, address: str) -> None:
    # 16: a fault in HTTP/2; 52, 55 and 56: the connection ended; 1 and 2: built without it.
    asked = ("-sS", "--http2-prior-knowledge", "-d", BODY, address + PREDICT)
    run("curl", *asked, accepted=(1, 2, 16, 52, 55, 56))


def test_a_file_that_curl_sends_compressed_or_as_a_form_is_read_or_explained(
    run: conftest.Run, address: str, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "image.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))
    path = f"{address}/v1/models/files:predict"
    for way in (("-F", f"file=@{tmp_path}/image.png"), ("--data-binary", f"@{tmp_path}/image.png")):
        assert '{"b64": "..."}' in json.loads(run("curl", "-sS", *way, path))["error"]


def test_prometheus_own_parser_reads_the_metrics(address: str) -> None:
    request = urllib.request.Request(address + PREDICT, BODY.encode(), {"Content-Type": "application/json"})
    urllib.request.urlopen(request).close()
    with urllib.request.urlopen(f"{address}/metrics") as answer:
        families = {family.name: family for family in parser.text_string_to_metric_families(answer.read().decode())}
    asked = [sample.labels for sample in families["fieldnets_requests"].samples]
    assert {"route": "/v1/models/{name}:predict", "status": "200", "model": "words", "version": "1"} in asked
    assert "process_cpu_seconds" in families


@pytest.mark.parametrize(
    "options",
    [
        ("--exclude-path-regex", "infer"),
        # JSON Schema cannot say that a tensor has as many values as its shape, so what it allows may be refused.
        ("--include-path-regex", "infer", "--exclude-checks", "positive_data_acceptance"),
    ],
)
def test_schemathesis_has_no_findings(of_words: str, options: tuple[str, ...], tmp_path: pathlib.Path) -> None:
    program = pathlib.Path(sys.executable).with_name("st")
    command = [str(program), "run", f"{of_words}/openapi.json", "-c", "all", "-n", "8", "--seed", "7", *options]
    command += ["--continue-on-failure", "--no-color"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=170, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-6000:]
