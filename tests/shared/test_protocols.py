"""What clients are promised whatever the model: tested with functions in place of models."""

import asyncio
import concurrent.futures
import contextlib
import json
import pathlib
import shutil
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import starlette.testclient

from shared.bundle import reading as bundle
from shared.serving import batching
from tests.shared import servers, stand_in

Client = starlette.testclient.TestClient
EXPLAIN = "/v1/models/words:predict"


@contextlib.contextmanager
def written(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    with stand_in.installed():
        for name, golden in stand_in.GOLDEN.items():
            stand_in.write(folder, name, "1", golden)
        yield folder


@pytest.fixture
def repository(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    with written(tmp_path) as found:
        yield found


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of tests that change no folder."""
    with written(tmp_path_factory.mktemp("unchanged")) as folder, servers.serving(folder) as found:
        yield found


@pytest.fixture
def client(repository: pathlib.Path) -> Iterator[Client]:
    with servers.serving(repository) as found:
        yield found


def row(**changes: Any) -> dict[str, Any]:
    return {"amount": 1.5, "past": [1, 2], "count": 3, "flag": True, **changes}


def ask(client: Client, **changes: Any) -> Any:
    return client.post("/v1/models/numbers:predict", json={"instances": [row(**changes)]})


def test_whole_numbers_keep_their_last_digits(unchanged: Client) -> None:
    largest = 2**63 - 1
    assert ask(unchanged, count=largest).json()["predictions"][0]["kept"] == largest
    assert ask(unchanged, count=2**53 + 1).json()["predictions"][0]["kept"] == 2**53 + 1
    assert ask(unchanged, count=7.0).json()["predictions"][0]["kept"] == 7


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"flag": 1}, "flag: expected true or false"),
        ({"flag": "true"}, "flag: expected true or false"),
        ({"flag": None}, "flag: expected true or false"),
        ({"count": True}, "count: expected numbers"),
        ({"count": "3"}, "count: expected numbers"),
        ({"count": 1.5}, "whole numbers"),
        ({"count": None}, "whole numbers"),
        ({"past": [1, 2**31]}, "past: expected"),
        ({"past": [1, "2"]}, "past: expected numbers"),
        ({"past": [1, None]}, "whole numbers"),
        ({"amount": [1.5]}, "expected shape"),
    ],
)
def test_a_value_of_another_type_than_the_signatures_is_refused(
    unchanged: Client, changes: dict[str, Any], message: str
) -> None:
    reply = ask(unchanged, **changes)
    assert (reply.status_code, message in reply.json()["error"]) == (400, True), reply.text
    assert reply.json()["error"].count("Received") == 1
    names, types = ("amount", "past", "count", "flag"), ("FP32", "INT32", "INT64", "BOOL")
    given = [row(**changes)[name] for name in names]
    tensors = [
        {"name": name, "shape": [1, 2] if name == "past" else [1], "datatype": kind, "data": [value]}
        for name, kind, value in zip(names, types, given, strict=True)
    ]
    reply = unchanged.post("/v2/models/numbers/infer", json={"inputs": tensors})
    # A list around one number is the protocol's nesting.
    assert reply.status_code == (200 if changes == {"amount": [1.5]} else 400)


TEXTS = ["bad", "very good film", "a long review with many words that goes on and on until the very end"]


def test_an_answer_does_not_hang_on_the_texts_of_others(unchanged: Client) -> None:
    def tokens(text: str) -> list[str]:
        reply = unchanged.post(EXPLAIN, json={"signature_name": "explain", "instances": [text]})
        found: list[str] = reply.json()["predictions"][0]
        return found

    with concurrent.futures.ThreadPoolExecutor(24) as threads:
        found = list(threads.map(tokens, TEXTS * 24))
    assert found == [text.split() for text in TEXTS * 24]


def test_requests_that_must_stand_alone_are_batches_of_their_own_and_others_are_joined() -> None:
    sizes: list[tuple[str, int]] = []

    def run(signature: str, inputs: Any) -> dict[str, Any]:
        sizes.append((signature, len(inputs["x"])))
        time.sleep(0.02)
        return {"y": inputs["x"]}

    joined = batching.Batcher(run, batch_rows=8, queue_rows=100, wait_seconds=0.0)
    for alone in (True, False):
        sent = [
            joined.submit(str(alone), {"x": np.zeros((1, 1))}, deadline=time.monotonic() + 9, alone=alone)
            for _ in range(8)
        ]
        concurrent.futures.wait(sent)
    joined.close()
    assert {size for signature, size in sizes if signature == "True"} == {1}
    assert max(size for signature, size in sizes if signature == "False") > 1


def test_a_request_that_is_cancelled_leaves_the_queue_at_once() -> None:
    answered: list[int] = []

    def run(_signature: str, inputs: Any) -> dict[str, Any]:
        time.sleep(0.1)
        answered.append(int(inputs["x"][0, 0]))
        return {"y": inputs["x"]}

    batches = batching.Batcher(run, batch_rows=1, queue_rows=6, wait_seconds=0.0)
    deadline = time.monotonic() + 9
    sent = [batches.submit("s", {"x": np.full((1, 1), number)}, deadline=deadline) for number in range(6)]
    time.sleep(0.05)
    for future in sent[1:]:
        assert future.cancel()
    assert batches.waiting_rows == 0
    # A full queue has room again.
    last = [batches.submit("s", {"x": np.full((1, 1), number)}, deadline=deadline) for number in range(6, 12)]
    concurrent.futures.wait(last)
    batches.close()
    assert answered == [0, *range(6, 12)]


def test_who_cancels_a_request_to_a_version_takes_it_out_of_the_queue(unchanged: Client) -> None:
    version = unchanged.models.get("words")  # type: ignore[attr-defined]

    async def leave() -> int:
        texts = np.array([b"good"] * 5, object)
        asking = [
            asyncio.create_task(version.answer({"text": texts}, signature="explain", deadline=time.monotonic() + 9))
            for _ in range(50)
        ]
        await asyncio.sleep(0)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        waiting: int = version.waiting_rows
        return waiting

    assert asyncio.run(leave()) == 0


def states(client: Client) -> dict[str, str]:
    rows = client.get("/v1/models/words").json()["model_version_status"]
    return {each["version"]: each["state"] for each in rows}


def refresh(client: Any) -> None:
    client.portal.call(client.models.refresh)


@pytest.mark.parametrize("order", ["manifest first", "manifest last"])
def test_a_version_that_is_copied_slowly_is_served_once_it_is_whole(
    client: Client, repository: pathlib.Path, order: str
) -> None:
    source, target = repository / "words" / "1", repository / "words" / "2"
    paths = sorted(path for path in source.rglob("*") if path.is_file())
    manifest = source / bundle.MANIFEST
    paths.sort(key=lambda path: (path == manifest) == (order == "manifest last"))
    for number, path in enumerate(paths):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        # With the time of the original, as rsync -t and cp -p leave it; half of it first.
        copy.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        refresh(client)
        shutil.copy2(path, copy)
        refresh(client)
        assert ("2" in states(client) and states(client)["2"] == "AVAILABLE") == (number == len(paths) - 1)
    assert client.get("/v1/models/words/versions/2").json()["model_version_status"][0]["state"] == "AVAILABLE"


def test_a_refused_version_is_loaded_again_only_when_a_file_changed(
    client: Client, repository: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(repository / "words" / "1", repository / "words" / "2")
    (repository / "words" / "2" / "saved_model.pb").unlink()
    refresh(client)
    reply = client.get("/v1/models/words/versions/2")
    assert (reply.status_code, reply.json()["model_version_status"][0]["state"]) == (200, "END")
    assert client.get("/v1/models/words/versions/3").status_code == 404
    loads: list[pathlib.Path] = []
    real = bundle.load

    def noted(path: pathlib.Path) -> bundle.Bundle:
        loads.append(path)
        return real(path)

    monkeypatch.setattr(bundle, "load", noted)
    refresh(client)
    assert loads == []
    (repository / "words" / "2" / "saved_model.pb").write_bytes(b"")
    refresh(client)
    assert states(client) == {"2": "AVAILABLE"}


@pytest.mark.parametrize("name", ["\u00b2", "\u0663", "1.0", "-3", "+4", " 5", "6_0", "latest", "9" * 30])
def test_a_folder_that_is_no_version_is_none(client: Client, repository: pathlib.Path, name: str) -> None:
    shutil.copytree(repository / "words" / "1", repository / "words" / name)
    refresh(client)
    assert states(client) == {"1": "AVAILABLE"}
    shutil.copytree(repository / "words" / "1", repository / "words" / "7")
    refresh(client)
    assert states(client) == {"7": "AVAILABLE"}
    with servers.serving(repository) as again:
        assert states(again) == {"7": "AVAILABLE"}


def test_a_version_folder_may_have_leading_zeros(client: Client, repository: pathlib.Path) -> None:
    shutil.copytree(repository / "words" / "1", repository / "words" / "00012")
    refresh(client)
    assert states(client) == {"12": "AVAILABLE"}
    reply = client.post("/v1/models/words/versions/12:predict", json={"instances": ["good"]})
    assert reply.status_code == 200
    with servers.serving(repository / "words" / "00012") as pinned:
        assert states(pinned) == {"12": "AVAILABLE"}


def test_the_watch_outlives_whatever_goes_wrong_in_one_look(
    repository: pathlib.Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with servers.serving(repository, poll_seconds=0.05) as client:
        monkeypatch.setattr(bundle, "versions", lambda _: 1 / 0)
        time.sleep(0.2)
        assert "could not be looked at" in caplog.text
        monkeypatch.undo()
        with stand_in.installed():
            shutil.copytree(repository / "words" / "1", repository / "words" / "2")
            until = time.monotonic() + 5
            while "2" not in states(client) and time.monotonic() < until:
                time.sleep(0.05)
            assert states(client) == {"2": "AVAILABLE"}


def test_a_server_is_not_started_with_a_folder_that_is_no_version(repository: pathlib.Path) -> None:
    strange = repository / "words" / "latest"
    shutil.copytree(repository / "words" / "1", strange)
    with pytest.raises(Exception, match="named by a number"), servers.serving(strange):
        pass


def test_metrics_tell_models_and_versions_apart(repository: pathlib.Path) -> None:
    shutil.copytree(repository / "words" / "1", repository / "words" / "2")
    with servers.serving(repository, keep_versions=2) as client:
        for number, times in (("1", 2), ("2", 3)):
            for _ in range(times):
                client.post(f"/v1/models/words/versions/{number}:predict", json={"instances": ["good"]})
        text = client.get("/metrics").text
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    for number, times in (("1", 2), ("2", 3)):
        named = f'model="words",version="{number}"'
        for family in ("batch_rows_sum", "model_seconds_count", "queue_seconds_count", "score_count"):
            assert float(lines[f"fieldnets_{family}{{{named}}}"]) == times
        route = 'model="words",route="/v1/models/{name}/versions/{version}:predict"'
        assert float(lines[f'fieldnets_request_seconds_count{{{route},version="{number}"}}']) == times
        decisions = f'fieldnets_decisions_total{{decision="positive",{named}}}'
        assert float(lines[decisions]) == times
    assert float(lines["process_resident_memory_bytes"]) > 0


def test_the_description_is_of_what_is_read_and_answered(unchanged: Client) -> None:
    about = unchanged.get("/openapi.json").json()
    schemas = about["components"]["schemas"]
    assert about["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    assert {"oneOf", "anyOf"} <= set(schemas["PredictRequest"])
    assert "data" not in schemas["InferTensor"]["required"]
    assert "signature_name" in schemas["ClassifyRequest"]["properties"]
    infer = about["paths"]["/v2/models/{name}/infer"]["post"]
    assert set(infer["requestBody"]["content"]) == {"application/json", "application/octet-stream"}
    assert {each["in"] for each in infer["parameters"]} == {"path", "header"}
    for path, operations in about["paths"].items():
        for operation in operations.values():
            assert "security" not in operation
            assert {"400", "401", "503"} <= set(operation["responses"]), path
    text = json.dumps(about)
    for reference in set(text.split('"#/components/schemas/')[1:]):
        assert reference.split('"')[0] in schemas


def test_a_token_is_described_where_it_is_asked_for(repository: pathlib.Path) -> None:
    with servers.serving(repository, token="t") as client:
        paths = client.get("/openapi.json", headers={"Authorization": "bearer t"}).json()["paths"]
    secured = {path for path, operations in paths.items() if "security" in next(iter(operations.values()))}
    assert set(paths) - secured == {"/health", "/v2/health/live", "/v2/health/ready"}
