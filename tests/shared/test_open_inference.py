"""The Open Inference Protocol, asked as its clients ask: typed tensors, in JSON and in raw bytes."""

import base64
import json
import pathlib
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import starlette.testclient

from tests.shared import servers

pytestmark = pytest.mark.tensorflow
Client = starlette.testclient.TestClient


@pytest.fixture(scope="module")
def client(bundle_path: pathlib.Path, columns_path: pathlib.Path) -> Iterator[Client]:
    with servers.serving(bundle_path, columns_path) as found:
        yield found


def text_tensor(*texts: str, **changes: Any) -> dict[str, Any]:
    return {"name": "text", "shape": [len(texts)], "datatype": "BYTES", "data": list(texts), **changes}


def number_tensors() -> list[dict[str, Any]]:
    return [
        {"name": "amount", "shape": [2], "datatype": "FP32", "data": [1.5, None]},
        {"name": "past", "shape": [2, 2], "datatype": "FP32", "data": [[1, 2], [3, 4]]},
        {"name": "shop", "shape": [2], "datatype": "BYTES", "data": ["a", "b"]},
    ]


def infer(client: Client, model: str, inputs: list[dict[str, Any]], **body: Any) -> Any:
    return client.post(f"/v2/models/{model}/infer", json={"inputs": inputs, **body})


def test_the_server_and_its_models_describe_themselves(client: Client) -> None:
    assert client.get("/v2").json()["name"] == "fieldnets"
    assert client.get("/v2/health/live").status_code == client.get("/v2/health/ready").status_code == 200
    about = client.get("/v2/models/columns").json()
    assert about["versions"] == ["1"]
    assert {"name": "past", "datatype": "FP32", "shape": [-1, 2]} in about["inputs"]
    assert client.get("/v2/models/tiny/versions/1/ready").status_code == 200
    for path in ("/v2/models/none", "/v2/models/tiny/versions/7/ready", "/v2/models/tiny/versions/x"):
        assert client.get(path).status_code == 404


def test_answers_are_those_of_the_other_protocol_with_true_types(client: Client) -> None:
    reply = infer(
        client, "tiny", [text_tensor("good", "né😀")], id="7", outputs=[{"name": "scores"}, {"name": "labels"}]
    )
    found = reply.json()
    assert (found["id"], found["model_name"], found["model_version"]) == ("7", "tiny", "1")
    scores, labels = found["outputs"]
    assert (scores["datatype"], scores["shape"], labels["datatype"]) == ("FP32", [2, 2], "BYTES")
    rows = client.post("/v1/models/tiny:predict", json={"instances": ["good", "né😀"]}).json()["predictions"]
    assert np.reshape(scores["data"], (2, 2)).tolist() == [row["scores"] for row in rows]
    assert labels["data"] == [row["labels"] for row in rows]


def test_flat_and_nested_data_are_the_same_and_null_is_missing(client: Client) -> None:
    nested = infer(client, "columns", number_tensors()).json()["outputs"]
    tensors = number_tensors()
    tensors[1]["data"] = [1, 2, 3, 4]
    assert infer(client, "columns", tensors).json()["outputs"] == nested
    assert nested[0]["data"] == [3.0, None]
    assert nested[1]["data"] == [3.0, 7.0]


def test_bytes_may_come_as_base64_or_raw_behind_the_json(client: Client) -> None:
    plain = infer(client, "tiny", [text_tensor("né😀", "b")]).json()["outputs"]
    encoded = [base64.b64encode(text.encode()).decode() for text in ("né😀", "b")]
    assert (
        infer(client, "tiny", [text_tensor(*encoded, parameters={"content_type": "base64"})]).json()["outputs"] == plain
    )
    raw = b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in ("né😀", "b"))
    assert ask_raw(client, "tiny", [text_tensor("", "")], [raw]).json()["outputs"] == plain


def test_numbers_may_come_raw(client: Client) -> None:
    raws = [np.array([1.5, np.nan], "<f4").tobytes(), np.array([1, 2, 3, 4], "<f4").tobytes()]
    reply = ask_raw(client, "columns", number_tensors(), raws)
    assert reply.json() == infer(client, "columns", number_tensors()).json()


def ask_raw(client: Client, model: str, tensors: list[dict[str, Any]], raws: list[bytes]) -> Any:
    for tensor, raw in zip(tensors, raws, strict=False):
        del tensor["data"]
        tensor["parameters"] = {"binary_data_size": len(raw)}
    head = json.dumps({"inputs": tensors}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}
    return client.post(f"/v2/models/{model}/infer", content=head + b"".join(raws), headers=headers)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "words"}, "expected the inputs ['text']"),
        ({"name": None}, "expected the inputs ['text']"),
        ({"datatype": "FP32"}, "expected datatype BYTES"),
        ({"shape": [3]}, "expected 3 values"),
        ({"shape": [-1]}, "expected shape [-1]"),
        ({"shape": [2, 1]}, "expected shape [-1]"),
        ({"shape": "two"}, "expected shape [-1]"),
        ({"shape": [2.0]}, "expected shape [-1]"),
        ({"data": None}, "expected data"),
        ({"data": ["good", 3]}, "expected strings"),
        ({"parameters": {"content_type": "base64"}}, "expected base64"),
        ({"parameters": 3}, "expected an object"),
        ({"parameters": {"binary_data_size": 5}}, "expected at most 0"),
    ],
)
def test_a_tensor_that_cannot_be_read_gets_400_and_one_message(
    client: Client, changes: dict[str, Any], message: str
) -> None:
    reply = infer(client, "tiny", [text_tensor("good!", "bad!", **changes)])
    assert (reply.status_code, list(reply.json())) == (400, ["error"]), reply.text
    assert message in reply.json()["error"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, '"inputs": expected a list'),
        ({"inputs": [text_tensor("a"), text_tensor("a")]}, "each once"),
        ({"inputs": [text_tensor("a")], "outputs": [{"name": "none"}]}, "expected some of"),
        ({"inputs": [text_tensor("a")], "outputs": 3}, "expected a list of objects"),
        ({"inputs": [text_tensor("a")], "parameters": {"signature_name": ["x"]}}, "expected a signature"),
        ({"inputs": [text_tensor(*["a"] * 2000)]}, "1 to 1024 rows"),
    ],
)
def test_a_request_that_cannot_be_read_is_refused(client: Client, body: dict[str, Any], message: str) -> None:
    reply = client.post("/v2/models/tiny/infer", json=body)
    assert reply.status_code in (400, 422)
    assert message in reply.json()["error"]


@pytest.mark.parametrize(
    ("index", "changes", "message"),
    [
        (0, {"data": ["much", 1]}, "expected numbers"),
        (0, {"data": [10**400, 1]}, "expected"),
        (0, {"data": [1e39, 1]}, "range of float32"),
        (0, {"shape": [1], "data": [1]}, "as many rows"),
        (0, {"data": [{"a": 1}, 1]}, "expected numbers"),
    ],
)
def test_numbers_of_another_kind_are_refused(client: Client, index: int, changes: dict[str, Any], message: str) -> None:
    tensors = number_tensors()
    tensors[index] |= changes
    content = json.dumps({"inputs": tensors})
    reply = client.post("/v2/models/columns/infer", content=content)
    assert reply.status_code == 400, reply.text
    assert message in reply.json()["error"]


def test_what_the_graph_refuses_is_the_clients_fault(client: Client) -> None:
    tensors = number_tensors()
    tensors[2]["data"] = ["forbidden", "b"]
    reply = infer(client, "columns", tensors)
    assert reply.status_code == 400
    assert "an input that the model can read" in reply.json()["error"]
