"""The HTTP server, asked as a TF Serving client asks."""

import base64
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
import starlette.testclient

from tests.shared import servers

pytestmark = pytest.mark.tensorflow
PREDICT = "/v1/models/tiny:predict"
Client = starlette.testclient.TestClient


@pytest.fixture(scope="module")
def client(bundle_path: pathlib.Path) -> Iterator[Client]:
    with servers.serving(bundle_path) as found:
        yield found


def predictions(client: Client, body: dict[str, Any]) -> list[dict[str, Any]]:
    reply = client.post(PREDICT, json=body)
    assert reply.status_code == 200, reply.text
    answer: list[dict[str, Any]] = reply.json()["predictions"]
    return answer


def test_rows_go_in_and_one_prediction_for_each_comes_out(client: Client, tiny: Any) -> None:
    texts, expected = tiny.golden.inputs["text"].tolist(), tiny.golden.outputs
    rows = predictions(client, {"instances": [{"text": text} for text in texts]})
    assert [row["labels"] for row in rows] == expected["labels"].tolist()
    assert [row["decision"] for row in rows] == expected["decision"].tolist()
    for row, scores in zip(rows, expected["scores"].tolist(), strict=True):
        assert row["scores"] == pytest.approx(scores, abs=1e-5)


@pytest.mark.parametrize(
    "body",
    [
        {"instances": ["né😀"]},
        {"instances": [{"text": "né😀"}]},
        {"instances": [{"b64": base64.b64encode("né😀".encode()).decode()}]},
        {"instances": [{"text": {"b64": base64.b64encode("né😀".encode()).decode()}}]},
        {"instances": ["né😀"], "signature_name": "serving_default"},
    ],
)
def test_a_row_may_be_written_in_each_of_tf_servings_ways(client: Client, body: dict[str, Any]) -> None:
    assert predictions(client, body) == predictions(client, {"instances": ["né😀"]})


@pytest.mark.parametrize("inputs", [["good", "bad"], {"text": ["good", "bad"]}])
def test_columns_go_in_and_columns_come_out(client: Client, inputs: Any) -> None:
    reply = client.post(PREDICT, json={"inputs": inputs})
    rows = predictions(client, {"instances": ["good", "bad"]})
    assert reply.status_code == 200
    assert reply.json()["outputs"] == {name: [row[name] for row in rows] for name in ("scores", "labels", "decision")}


def test_text_and_bytes_may_stand_in_one_request(client: Client) -> None:
    first, second = predictions(client, {"instances": ["good", {"b64": "Z29vZA=="}]})
    assert first == second


def test_bytes_that_are_no_text_are_answered(client: Client) -> None:
    assert len(predictions(client, {"instances": [{"b64": base64.b64encode(b"\xff\xfe\x00").decode()}]})) == 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, 'exactly one of "instances" and "inputs"'),
        ({"instances": ["a"], "inputs": ["a"]}, 'exactly one of "instances" and "inputs"'),
        ({"instances": []}, "at least 1 item"),
        ({"instances": "good"}, "expected a valid list"),
        ({"instances": None}, "both or none"),
        ({"instances": [3]}, "Received: int"),
        ({"instances": ["good", 3]}, "Received: int"),
        ({"instances": [None]}, "Received: NoneType"),
        ({"instances": [["good"]]}, "Received: list"),
        ({"instances": [{"words": "good"}]}, "expected the inputs"),
        ({"instances": [{"text": "good", "more": 1}]}, "expected the inputs"),
        ({"instances": [{}]}, "expected the inputs"),
        ({"instances": [{"b64": "not base64!"}]}, "expected base64"),
        ({"instances": [{"b64": 3}]}, "Received: dict"),
        ({"instances": ["\ud800"]}, "expected a JSON object"),
        ({"inputs": []}, "row"),
        ({"inputs": {"text": "good"}}, "row"),
        ({"instances": ["good"], "signature_name": "train"}, "signature"),
    ],
)
def test_a_request_that_cannot_be_answered_gets_400_and_one_message(
    client: Client, body: dict[str, Any], message: str
) -> None:
    reply = client.post(PREDICT, content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert (reply.status_code, list(reply.json())) == (400, ["error"]), reply.text
    assert message in reply.json()["error"]


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'"text"', b"\xff", b"null"])
def test_a_body_that_is_no_json_object_gets_400_in_tf_servings_form(client: Client, content: bytes) -> None:
    reply = client.post(PREDICT, content=content, headers={"Content-Type": "application/json"})
    assert (reply.status_code, list(reply.json())) == (400, ["error"]), reply.text
    assert isinstance(reply.json()["error"], str)


def test_json_is_read_whatever_the_client_calls_it(client: Client) -> None:
    # ``curl -d`` sends application/x-www-form-urlencoded, and TF Serving does not mind.
    reply = client.post(
        PREDICT,
        content=b'{"instances": ["good"]}',
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert reply.status_code == 200, reply.text


@pytest.mark.parametrize(("method", "path", "code"), [("POST", "/v1/models/other:predict", 404), ("GET", PREDICT, 405)])
def test_an_unknown_route_has_an_error_in_the_same_form(client: Client, method: str, path: str, code: int) -> None:
    reply = client.request(method, path, json={"instances": ["good"]})
    assert (reply.status_code, list(reply.json())) == (code, ["error"])


def test_status_and_metadata_have_tf_servings_names(client: Client) -> None:
    assert client.get("/v1/models/tiny").json()["model_version_status"][0] == {
        "version": "1",
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }
    about = client.get("/v1/models/tiny/metadata").json()
    assert about["inputs"] == {"text": {"dtype": "string", "shape": [-1]}}
    assert about["outputs"]["scores"] == {"dtype": "float32", "shape": [-1, 2]}
    assert about["class_names"] == ["negative", "positive"]


def test_the_server_says_when_it_is_ready(client: Client) -> None:
    assert client.get("/health").json() == {"status": "ready"}


@pytest.fixture(scope="module")
def columns(columns_path: pathlib.Path) -> Iterator[Client]:
    with servers.serving(columns_path) as found:
        yield found


def ask_columns(client: Client, **row: Any) -> Any:
    return client.post("/v1/models/columns:predict", json={"instances": [{"past": [1, 2], "shop": "a", **row}]})


def test_columns_of_numbers_are_numbers_and_null_is_missing(columns: Client) -> None:
    assert ask_columns(columns, amount=4).json() == {"predictions": [{"score": 8.0, "sum": 3.0}]}
    assert ask_columns(columns, amount=1.0, past=[0.5, 0.25]).json()["predictions"][0]["sum"] == 0.75
    assert ask_columns(columns, amount=None).json()["predictions"][0] == {"score": None, "sum": 3.0}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"amount": "much"}, "amount: expected numbers of shape [-1]. Received: a text"),
        *(({"amount": text}, "Received: a text") for text in ("12.5", "1_000", "nan", "Infinity", "")),
        ({"amount": True}, "Received: true or false"),
        ({"past": [1, False], "amount": 1}, "past: expected numbers of shape [-1, 2]. Received: true or false"),
        ({"past": [1, [2]], "amount": 1}, "lists of different depth"),
        ({"amount": 1e39}, "range of float32"),
        ({"amount": 1, "past": [1, 2, 3]}, "past: expected shape [-1, 2]. Received: [1, 3]"),
        ({"amount": {"b64": "YQ=="}}, "amount: expected numbers"),
    ],
)
def test_what_is_no_number_is_refused_by_name(row: dict[str, Any], message: str, columns: Client) -> None:
    reply = ask_columns(columns, **row)
    assert reply.status_code == 400
    assert message in reply.json()["error"]


@pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity", "null"])
def test_what_json_dumps_writes_for_a_missing_number_is_read_as_one(columns: Client, token: str) -> None:
    text = f'{{"instances": [{{"past": [1, 2], "shop": "NaN, -Infinity \\" NaN", "amount": {token}}}]}}'
    assert columns.post("/v1/models/columns:predict", content=text).json() == ask_columns(columns, amount=None).json()


def test_optional_fields_may_be_null(client: Client) -> None:
    body = {"instances": ["good"], "inputs": None, "signature_name": None}
    assert predictions(client, body) == predictions(client, {"instances": ["good"]})
    body = {"examples": ["good"], "context": None, "signature_name": None}
    assert client.post("/v1/models/tiny:classify", json=body).status_code == 200


@pytest.mark.parametrize(
    "examples", [["good"], [{"text": "good"}], [{"text": ["good"]}], [{"text": [{"b64": "Z29vZA=="}]}]]
)
def test_a_feature_is_a_value_or_a_list_of_it(client: Client, examples: list[Any]) -> None:
    reply = client.post("/v1/models/tiny:classify", json={"examples": examples, "signature_name": "classify"})
    assert reply.json() == client.post("/v1/models/tiny:classify", json={"examples": ["good"]}).json()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"signature_name": "nope", "examples": ["good"]}, "signature_name"),
        ({"signature_name": "serving_default", "examples": ["good"]}, "signature_name"),
        ({"context": {"text": "bad"}, "examples": [{"text": "good"}]}, "in both"),
        ({"context": {"text": "bad"}, "examples": ["good"]}, "expected objects"),
        ({"examples": [{"text": ["good", "bad"]}]}, "expected 1 values"),
    ],
)
def test_what_classify_cannot_mean_is_refused(client: Client, body: dict[str, Any], message: str) -> None:
    reply = client.post("/v1/models/tiny:classify", json=body)
    assert (reply.status_code, message in reply.json()["error"]) == (400, True), reply.text


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/models/tiny", "GET, HEAD"),
        ("/v1/models/tiny:predict", "POST"),
        ("/v1/models/tiny/versions/1:classify", "POST"),
        ("/health", "GET, HEAD"),
    ],
)
def test_allow_names_the_methods_that_a_path_takes(client: Client, path: str, allowed: str) -> None:
    assert client.request("DELETE", path).headers["allow"] == allowed
    other = "POST" if "GET" in allowed else "GET"
    assert (client.request(other, path).status_code, client.request(other, path).headers["allow"]) == (405, allowed)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_verb_is_no_route(client: Client, method: str) -> None:
    assert client.request(method, "/v1/models/tiny:regress").status_code == 404


@pytest.mark.parametrize(
    "path",
    ["/", "/health", "/v2/health/ready", "/v2/health/live", "/v2", "/v1/models/tiny", "/metrics", "/openapi.json"],
)
def test_head_is_answered_wherever_get_is(client: Client, path: str) -> None:
    reply = client.head(path)
    assert (reply.status_code, reply.content) == (200, b"")
    assert reply.headers["content-type"] == client.get(path).headers["content-type"]


PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)


@pytest.mark.parametrize(
    ("sent", "status", "message"),
    [
        ({"files": {"image": ("a.png", PNG)}}, 415, '{"instances": [{"image_bytes": {"b64": "..."}}]}'),
        ({"content": PNG, "headers": {"Content-Type": "Image/PNG"}}, 415, "Received: image/png"),
        ({"content": PNG, "headers": {"Content-Type": "application/octet-stream"}}, 400, "48 bytes that are none"),
        ({"content": PNG}, 400, '{"instances": [{"image_bytes": {"b64": "..."}}]}'),
        ({"json": {"instances": [base64.b64encode(PNG).decode()]}}, 400, 'expected {"b64": "..."}'),
        ({"json": {"instances": [{"b64": "data:image/png;base64,aa=="}]}}, 400, "behind its comma"),
    ],
)
def test_who_sends_an_image_otherwise_is_told_how_to_send_it(
    picture_path: pathlib.Path, sent: dict[str, Any], status: int, message: str
) -> None:
    with servers.serving(picture_path) as client:
        reply = client.post("/v1/models/picture:predict", **sent)
        assert (reply.status_code, message in reply.json()["error"]) == (status, True), reply.text


def test_white_space_in_base64_is_passed_over(client: Client) -> None:
    text = "a long text that takes more than one line in base64, " * 3
    broken = base64.encodebytes(text.encode()).decode()
    assert "\n" in broken[:-1]
    assert predictions(client, {"instances": [{"b64": broken}]}) == predictions(client, {"instances": [text]})


def test_classify_answers_examples_with_classes_and_scores(client: Client) -> None:
    rows = predictions(client, {"instances": ["good", "bad"]})
    reply = client.post("/v1/models/tiny:classify", json={"examples": [{"text": "good"}, {"text": "bad"}]})
    assert reply.status_code == 200, reply.text
    shared = client.post("/v1/models/tiny:classify", json={"context": {"text": "good"}, "examples": [{}]})
    assert shared.json()["results"] == reply.json()["results"][:1]
    for found, row in zip(reply.json()["results"], rows, strict=True):
        assert [name for name, _ in found] == ["negative", "positive"]
        assert [score for _, score in found] == pytest.approx(row["scores"], abs=1e-6)


@pytest.mark.parametrize("body", [{}, {"examples": []}, {"examples": ["good"] * 2, "context": 3}, {"examples": [{}]}])
def test_examples_that_cannot_be_read_are_refused(client: Client, body: dict[str, Any]) -> None:
    assert client.post("/v1/models/tiny:classify", json=body).status_code == 400


def test_a_model_without_classes_says_that_it_does_not_classify(columns: Client) -> None:
    reply = columns.post("/v1/models/columns:classify", json={"examples": [{}]})
    assert "expected a model with the signature classify" in reply.json()["error"]
