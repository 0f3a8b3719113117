"""Requests that cost a server more than they cost who sends them: each is refused, and in little time."""

import concurrent.futures
import json
import pathlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import starlette.testclient

from shared.serving import contents, open_inference, refusals, registry, requests, settings, tf_serving, versions
from tests.shared import servers, stand_in

Client = starlette.testclient.TestClient
# Before these were mended, each took from half a minute to hours.
SECONDS = 5.0
DEEP = b"[" * 900 + b"]" * 900
MANY = 300_000
INFER = "/v2/models/words/infer"
PREDICT = "/v1/models/words:predict"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pathlib.Path]:
    folder = tmp_path_factory.mktemp("attacked")
    with stand_in.installed():
        for name, golden in stand_in.GOLDEN.items():
            stand_in.write(folder, name, "1", golden)
        yield folder


@pytest.fixture(scope="module")
def client(repository: pathlib.Path) -> Iterator[Client]:
    with servers.serving(repository) as found:
        yield found


def tensor(data: bytes, *, shape: bytes = b"[1]") -> bytes:
    return b'{"name": "text", "shape": ' + shape + b', "datatype": "BYTES", "data": ' + data + b"}"


def infer(*inputs: bytes, more: bytes = b"") -> bytes:
    return b'{"inputs": [' + b", ".join(inputs) + b"]" + more + b"}"


def many(value: bytes) -> bytes:
    return b"[" + b",".join([value] * MANY) + b"]"


ATTACKS: dict[str, tuple[str, bytes]] = {
    "deep data behind many values": (INFER, infer(tensor(many(b"1")[:-1] + b"," + DEEP + b"]"))),
    "deep data": (INFER, infer(tensor(DEEP))),
    "deep data, many times": (INFER, infer(tensor(many(b"[[[[]]]]")))),
    "a deep signature": (INFER, infer(tensor(b'["a"]'), more=b', "parameters": {"signature_name": ' + DEEP + b"}")),
    "a deep content type": (INFER, infer(tensor(b'["a"]'), more=b', "parameters": {"content_type": ' + DEEP + b"}")),
    "a long shape": (INFER, infer(tensor(b'["a"]', shape=many(b"1")))),
    "a shape that has no end": (INFER, infer(tensor(b'["a"]', shape=b"[" + b"1e9," * 31 + b"1e9]"))),
    "many faults": (INFER, infer(*[b"1"] * MANY)),
    "many outputs": (INFER, infer(tensor(b'["a"]'), more=b', "outputs": ' + many(b'{"name": "labels"}'))),
    "deep rows": (PREDICT, b'{"instances": [' + DEEP + b"]}"),
    "many rows": (PREDICT, b'{"instances": ' + many(b'"a"') + b"}"),
    "many columns": (PREDICT, b'{"inputs": ' + many(b"[]") + b"}"),
    "a string without end behind NaN": (PREDICT, b'{"instances": [NaN, "' + b'\\"' * MANY),
    "many strings behind NaN": (PREDICT, b'{"instances": [NaN, ' + many(b'"\\""') + b"]}"),
    "deep numbers": ("/v1/models/numbers:predict", b'{"inputs": {"past": [' + DEEP + b"]}}"),
    "a long signature": (PREDICT, b'{"signature_name": ' + many(b"1") + b', "instances": ["a"]}'),
    "JSON of brackets": (PREDICT, b"[" * MANY),
    "many lists": (PREDICT, many(b"[],[],[],[]")),
    "many names": (PREDICT, b"{" + b",".join(b'"%d":1' % number for number in range(MANY)) + b"}"),
    "files that are none": ("/v1/models/files:predict", b'{"instances": ' + many(b'{"b64": "AAAA"}') + b"}"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_body_that_is_made_to_be_slow_is_refused_at_once(client: Client, attack: str) -> None:
    path, body = ATTACKS[attack]
    started = time.monotonic()
    reply = client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert time.monotonic() - started < SECONDS
    assert reply.status_code in (400, 422), reply.text
    assert len(reply.json()["error"]) < 500


def test_texts_between_many_lengths_of_zero_are_not_read_to_the_end(client: Client) -> None:
    head = infer(b'{"name": "text", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 8000000}}')
    headers = {"Inference-Header-Content-Length": str(len(head))}
    started = time.monotonic()
    reply = client.post(INFER, content=head + bytes(8_000_000), headers=headers)
    assert (reply.status_code, time.monotonic() - started < SECONDS) == (400, True), reply.text


def test_a_context_of_many_features_is_refused_before_it_is_put_into_each_example(
    repository: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = registry.Registry(settings.Settings(model_dirs=(repository,)))
    models.load()
    version = models.get("words")
    monkeypatch.setitem(version.signatures, "classify", version.signatures[versions.DEFAULT])
    body = {"context": {str(number): 1 for number in range(20_000)}, "examples": [{}] * 1_000}
    with pytest.raises(refusals.Refusal, match='"context": expected some of'):
        tf_serving.read_examples(json.dumps(body).encode(), version, settings.Settings(model_dirs=()))
    body = {"context": {}, "examples": [{}] * 2_000}
    with pytest.raises(refusals.LimitError, match="1 to 1024 rows"):
        tf_serving.read_examples(json.dumps(body).encode(), version, settings.Settings(model_dirs=()))


@pytest.mark.parametrize(
    ("content", "values"),
    [
        (b'{"instances": [1, 2, 3, 4]}', 5),
        (b'{"instances": ["a, b, c [ {", "d, e"]}', 3),
        (b'{"instances": [{"a": "x, \\" [y", "b": [1, 2]}]}', 6),
    ],
)
def test_values_are_counted_outside_of_texts(content: bytes, values: int) -> None:
    for most in (values, values - 1):
        limits = settings.Settings(model_dirs=(), max_values=most)
        if most == values:
            assert contents.read_json(content, str, limits) == json.loads(content)
            continue
        with pytest.raises(refusals.LimitError, match=f"at most {most} values. Received: {values}"):
            contents.read_json(content, str, limits)


TEXT = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["good"]}


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": [TEXT], "outputs": [{"name": "labels"}, {"name": "labels"}]},
        {"inputs": [TEXT], "outputs": [{"name": "scores"}, {"name": "labels"}, {"name": "scores"}]},
        {"inputs": [TEXT, TEXT]},
    ],
)
def test_an_input_or_output_that_is_named_twice_is_refused(client: Client, body: dict[str, Any]) -> None:
    reply = client.post(INFER, json=body)
    assert (reply.status_code, "each once" in reply.json()["error"]) == (400, True), reply.text


def test_an_answer_that_would_be_too_large_is_refused(repository: pathlib.Path) -> None:
    long = {"signature_name": "explain", "instances": ["word " * 400] * 3}
    with servers.serving(repository, max_answer_bytes=4_000) as client:
        # Two numbers and two labels: 50 bytes a row, known before anything is computed.
        reply = client.post(PREDICT, json={"instances": ["good"] * 100})
        assert (reply.status_code, "at most 4000 bytes" in reply.json()["error"]) == (422, True), reply.text
        assert client.post(PREDICT, json={"instances": ["good"] * 50}).status_code == 200
        # One word for each of the text's: known when it is computed.
        assert client.post(PREDICT, json=long).status_code == 422
        asked = {"inputs": [{**TEXT, "shape": [150], "data": ["good"] * 150}], "outputs": [{"name": "labels"}]}
        assert client.post(INFER, json=asked).status_code == 200
    with servers.serving(repository) as client:
        assert client.post(PREDICT, json=long).status_code == 200


@pytest.mark.parametrize("path", [PREDICT, INFER, "/predict"])
def test_only_small_bodies_are_read_and_small_answers_written_on_the_event_loop(
    repository: pathlib.Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    where: list[str] = []

    def noted(function: Any) -> Any:
        def call(*given: Any, **more: Any) -> Any:
            where.append(threading.current_thread().name.partition("_")[0])
            return function(*given, **more)

        return call

    monkeypatch.setattr(contents, "read_json", noted(contents.read_json))
    monkeypatch.setattr(tf_serving, "in_rows", noted(tf_serving.in_rows))
    monkeypatch.setattr(open_inference, "_written", noted(open_inference._written))
    with servers.serving(repository / "words", predict_route="/predict") as client:
        for texts, expected in ((["good"], False), (["good"] * 1_000, True)):
            tensor = {**TEXT, "shape": [len(texts)], "data": texts}
            body = {"inputs": [tensor]} if path == INFER else {"instances": texts}
            where.clear()
            assert client.post(path, content=json.dumps(body).ljust(20_000 if expected else 0)).status_code == 200
            assert [name == "reader" for name in where] == [expected] * 2


def test_what_takes_longer_than_the_deadline_is_given_up_wherever_it_is(
    repository: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    begun: list[int] = []

    def read(*_: Any) -> dict[str, Any]:
        begun.append(1)
        gate.wait(30)
        return {"instances": ["good"]}

    monkeypatch.setattr(contents, "read_json", read)
    with servers.serving(repository, deadline_seconds=0.3) as client:
        started = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(4) as senders:
            body = b" " * 20_000
            replies = list(senders.map(lambda _: client.post(PREDICT, content=body), range(4)))
        assert [reply.status_code for reply in replies] == [504] * 4
        assert time.monotonic() - started < SECONDS
        gate.set()
        requests._READERS.submit(int).result(30)
    # Two were being read; the others had not begun, and never do.
    assert len(begun) == 2


def test_the_server_ends_in_time_though_a_model_does_not_answer(
    repository: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()

    def never(given: Any) -> dict[str, Any]:
        if len(given["text"]) == 7:
            gate.wait(60)
        scores = np.zeros((len(given["text"]), 2), np.float32)
        labels = np.full(len(scores), "positive", object)
        return {"scores": scores, "labels": labels, "decision": labels}

    with servers.listening(repository / "words", shutdown_seconds=2.0) as (server, port):
        monkeypatch.setattr(versions.Version, "_run", lambda _self, _signature, inputs: never(inputs))
        body = {"instances": ["good"] * 7}
        asking = threading.Thread(target=servers.post, args=(port, PREDICT, body), daemon=True)
        asking.start()
        time.sleep(0.3)
        server.should_exit = True
        started = time.monotonic()
        while server.thread.is_alive() and time.monotonic() - started < 20:
            time.sleep(0.05)
        assert time.monotonic() - started < 4
        gate.set()
