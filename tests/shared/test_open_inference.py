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
        ({"name": None}, '"inputs.0.name": expected a valid string'),
        ({"datatype": "FP32"}, "expected datatype BYTES"),
        ({"shape": [3]}, "expected 3 values"),
        ({"shape": [-1]}, '"inputs.0.shape.0": expected greater than'),
        ({"shape": [2, 1]}, "expected shape [-1]"),
        ({"shape": "two"}, '"inputs.0.shape": expected a valid list'),
        ({"shape": [2.5]}, '"inputs.0.shape.0": expected a valid integer'),
        ({"shape": [True]}, '"inputs.0.shape.0": expected a valid integer'),
        ({"data": None}, "expected data"),
        ({"data": ["good", 3]}, "expected strings"),
        ({"parameters": {"content_type": "base64"}}, "expected base64"),
        ({"parameters": {"content_type": "hex"}}, "content_type: expected base64"),
        ({"parameters": {"shared_memory_region": "a"}}, "Received: shared_memory_region"),
        ({"parameters": 3}, '"inputs.0.parameters": expected a valid dictionary'),
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
        ({}, '"inputs": expected a value'),
        ({"inputs": [text_tensor("a"), text_tensor("a")]}, "each once"),
        ({"inputs": [text_tensor("a")], "outputs": [{"name": "none"}]}, "expected some of"),
        ({"inputs": [text_tensor("a")], "outputs": 3}, '"outputs": expected a valid list'),
        (
            {"inputs": [text_tensor("a")], "outputs": [{"name": "scores", "parameters": {"classification": 2}}]},
            "classif",
        ),
        ({"inputs": [text_tensor("a")], "parameters": {"binary_data_output": "yes"}}, "expected true or false"),
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
        (0, {"data": ["1.5", 1]}, "Received: a text"),
        (0, {"data": [True, 1]}, "Received: true or false"),
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


def sent_binary(reply: Any) -> tuple[dict[str, Any], bytes]:
    """Return the JSON of a binary answer, and what is behind it."""
    size = int(reply.headers["inference-header-content-length"])
    return json.loads(reply.content[:size]), reply.content[size:]


def unpacked(raw: bytes) -> list[bytes]:
    found = []
    while raw:
        (size,) = struct.unpack_from("<I", raw)
        found.append(raw[4 : 4 + size])
        raw = raw[4 + size :]
    return found


@pytest.mark.parametrize(
    "asked",
    [
        {"parameters": {"binary_data_output": True}},
        {"outputs": [{"name": name, "parameters": {"binary_data": True}} for name in ("decision", "labels", "scores")]},
    ],
)
def test_outputs_are_binary_where_that_is_asked_for(client: Client, asked: dict[str, Any]) -> None:
    plain = {row["name"]: row for row in infer(client, "tiny", [text_tensor("good", "né😀")]).json()["outputs"]}
    about, raw = sent_binary(infer(client, "tiny", [text_tensor("good", "né😀")], **asked))
    assert sorted(row["name"] for row in about["outputs"]) == sorted(plain)
    for row in about["outputs"]:
        size = row["parameters"]["binary_data_size"]
        part, raw = raw[:size], raw[size:]
        assert "data" not in row
        if row["datatype"] == "BYTES":
            assert [text.decode() for text in unpacked(part)] == plain[row["name"]]["data"]
        else:
            assert np.frombuffer(part, "<f4").tolist() == pytest.approx(plain[row["name"]]["data"])
    assert raw == b""


def test_one_output_may_be_binary_and_another_json(client: Client) -> None:
    outputs = [{"name": "labels"}, {"name": "scores", "parameters": {"binary_data": True}}]
    about, raw = sent_binary(infer(client, "tiny", [text_tensor("good")], outputs=outputs))
    assert "data" in about["outputs"][0]
    assert len(raw) == 8


def test_a_content_type_of_the_request_holds_for_tensors_that_name_none(client: Client) -> None:
    plain = infer(client, "tiny", [text_tensor("good")]).json()
    encoded, whole = text_tensor("Z29vZA=="), {"content_type": "base64"}
    assert infer(client, "tiny", [encoded], parameters=whole).json() == plain
    own = text_tensor("good", parameters={"content_type": "str"})
    assert infer(client, "tiny", [own], parameters=whole).json() == plain
    reply = infer(client, "tiny", [text_tensor("good")], parameters={"content_type": "hex"})
    assert (reply.status_code, "content_type" in reply.json()["error"]) == (400, True)


def test_optional_fields_may_be_null(client: Client) -> None:
    tensor = text_tensor("good", parameters=None)
    nothing = {"id": None, "parameters": None, "outputs": None}
    assert infer(client, "tiny", [tensor], **nothing).json() == infer(client, "tiny", [text_tensor("good")]).json()


def test_bytes_behind_the_last_binary_tensor_are_refused(client: Client) -> None:
    reply = ask_raw(client, "tiny", [text_tensor("")], [struct.pack("<I", 4) + b"good", b"MORE"])
    assert (reply.status_code, "4 bytes more" in reply.json()["error"]) == (400, True)


def test_a_body_without_json_is_the_only_inputs_only_value(client: Client) -> None:
    headers = {"Inference-Header-Content-Length": "0", "Content-Type": "image/png"}
    about, raw = sent_binary(client.post("/v2/models/tiny/infer", content=b"good", headers=headers))
    plain = infer(client, "tiny", [text_tensor("good")], parameters={"binary_data_output": True})
    assert (about, raw) == sent_binary(plain)
    assert client.post("/v2/models/columns/infer", content=b"good", headers=headers).status_code == 400
    # What is called JSON is JSON.
    headers["Content-Type"] = "application/json"
    assert client.post("/v2/models/tiny/infer", content=b"good", headers=headers).status_code == 400


def test_raw_numbers_are_finite_or_missing(client: Client) -> None:
    raws = [np.array([1.5, np.inf], "<f4").tobytes(), np.array([1, 2, 3, 4], "<f4").tobytes()]
    assert ask_raw(client, "columns", number_tensors(), raws).status_code == 400
