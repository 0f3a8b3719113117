"""New versions while the server answers: swapped without a failed request, refused when broken, freed when retired."""

import asyncio
import gc
import json
import pathlib
import shutil
import threading
import weakref
from typing import Any

import psutil
import pytest

from shared import errors
from shared.bundle import reading as bundle
from shared.serving import registry, settings
from tests.faults import trials
from tests.shared import servers

pytestmark = pytest.mark.tensorflow
PREDICT = "/v1/models/tiny:predict"


@pytest.fixture
def folder(bundle_path: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """A model's folder with one version."""
    add(bundle_path, tmp_path / "models" / "tiny", 1)
    return tmp_path / "models" / "tiny"


def add(source: pathlib.Path, folder: pathlib.Path, number: int) -> pathlib.Path:
    """Copy a bundle as another version, which appears in one rename, as `export` lets it."""
    hidden = folder / f".new-{number}"
    shutil.copytree(source, hidden)
    (hidden / bundle.MANIFEST).unlink()
    bundle.write_manifest(hidden, {"name": "tiny", "version": number})
    return hidden.rename(folder / str(number))


def refresh(client: Any) -> None:
    client.portal.call(client.models.refresh)


def served(client: Any) -> list[int]:
    return sorted(client.models.models["tiny"].served)


def states(client: Any) -> dict[str, str]:
    return {row["version"]: row["state"] for row in client.get("/v1/models/tiny").json()["model_version_status"]}


def test_a_new_version_replaces_the_old_one_which_is_freed(folder: pathlib.Path, bundle_path: pathlib.Path) -> None:
    with servers.serving(folder.parent) as client:
        old = client.models.get("tiny")  # type: ignore[attr-defined]
        loaded = weakref.ref(old.bundle.loaded)
        del old
        add(bundle_path, folder, 2)
        refresh(client)
        assert served(client) == [2]
        assert client.post(PREDICT, json={"instances": ["good"]}).status_code == 200
        assert client.post("/v1/models/tiny/versions/1:predict", json={"instances": ["good"]}).status_code == 404
        gc.collect()
        assert loaded() is None


def test_a_request_that_was_read_while_its_version_was_retired_is_answered_by_the_next_one(
    folder: pathlib.Path, bundle_path: pathlib.Path
) -> None:
    with servers.serving(folder) as client:
        old = client.models.get("tiny")  # type: ignore[attr-defined]
        add(bundle_path, folder, 2)
        refresh(client)
        client.models.get = lambda *_, **__: old if served(client) == [2] and not asked else newest()  # type: ignore[attr-defined]
        asked: list[int] = []

        def newest() -> Any:
            return client.models.models["tiny"].served[2]  # type: ignore[attr-defined]

        original = old.answer

        async def answer(*given: Any, **more: Any) -> Any:
            asked.append(1)
            return await original(*given, **more)

        old.answer = answer
        assert client.post(PREDICT, json={"instances": ["good"]}).status_code == 200
        assert asked == [1]


def test_while_versions_are_swapped_no_request_fails(folder: pathlib.Path, bundle_path: pathlib.Path) -> None:
    with servers.serving(folder) as client:
        failures: list[str] = []
        answered, stop = [0], threading.Event()

        def ask() -> None:
            while not stop.is_set():
                reply = client.post(PREDICT, json={"instances": ["good", "bad"]})
                answered[0] += 1
                if reply.status_code != 200:
                    failures.append(reply.text)

        askers = [threading.Thread(target=ask) for _ in range(4)]
        for asker in askers:
            asker.start()
        for number in range(2, 6):
            add(bundle_path, folder, number)
            refresh(client)
        stop.set()
        for asker in askers:
            asker.join(30)
        assert failures == []
        assert answered[0] > 20
        assert served(client) == [5]


@pytest.mark.parametrize("damage", ["byte", "missing", "answers"])
def test_a_broken_new_version_is_refused_and_the_old_one_goes_on(
    folder: pathlib.Path, bundle_path: pathlib.Path, damage: str
) -> None:
    with servers.serving(folder) as client:
        broken = add(bundle_path, folder, 2)
        weights = next(broken.glob("variables/*data*"))
        if damage == "byte":
            content = bytearray(weights.read_bytes())
            content[len(content) // 2] ^= 1
            weights.write_bytes(content)
        elif damage == "missing":
            weights.unlink()
        else:
            golden = json.loads((broken / "assets.extra/golden.json").read_text())
            golden["outputs"]["scores"][0][0] += 0.1
            (broken / "assets.extra/golden.json").write_text(json.dumps(golden))
            bundle.write_manifest(broken, {"name": "tiny", "version": 2})
        refresh(client)
        assert served(client) == [1]
        assert client.post(PREDICT, json={"instances": ["good"]}).status_code == 200
        assert states(client) == {"1": "AVAILABLE", "2": "END"}
        shutil.rmtree(broken)
        add(bundle_path, folder, 3)
        refresh(client)
        assert served(client) == [3]


def test_a_version_that_is_written_anew_is_tried_again(folder: pathlib.Path, bundle_path: pathlib.Path) -> None:
    with servers.serving(folder) as client:
        broken = add(bundle_path, folder, 2)
        next(broken.glob("variables/*data*")).write_bytes(b"")
        refresh(client)
        assert served(client) == [1]
        shutil.rmtree(broken)
        add(bundle_path, folder, 2)
        refresh(client)
        assert served(client) == [2]
        assert states(client) == {"2": "AVAILABLE"}


def test_labels_name_versions_and_keep_them_served(folder: pathlib.Path, bundle_path: pathlib.Path) -> None:
    add(bundle_path, folder, 2)
    (folder / registry.LABELS).write_text('{"stable": 1, "canary": 2}')
    with servers.serving(folder) as client:
        assert served(client) == [1, 2]
        for label in ("stable", "canary"):
            reply = client.post(f"/v1/models/tiny/labels/{label}:predict", json={"instances": ["good"]})
            assert reply.status_code == 200
        reply = client.get("/v1/models/tiny/labels/old")
        assert (reply.status_code, "expected a label of ['canary', 'stable']" in reply.text) == (404, True)
        (folder / registry.LABELS).write_text("not json")
        refresh(client)
        assert served(client) == [1, 2]
        (folder / registry.LABELS).write_text('{"stable": 2}')
        refresh(client)
        assert served(client) == [2]


def test_as_many_versions_are_kept_as_asked_for(folder: pathlib.Path, bundle_path: pathlib.Path) -> None:
    add(bundle_path, folder, 2)
    add(bundle_path, folder, 3)
    with servers.serving(folder, keep_versions=2) as client:
        assert served(client) == [2, 3]


def test_a_version_folder_is_served_alone(folder: pathlib.Path, bundle_path: pathlib.Path) -> None:
    add(bundle_path, folder, 2)
    with servers.serving(folder / "1") as client:
        refresh(client)
        assert served(client) == [1]


def test_a_folder_that_vanishes_does_not_stop_the_service(folder: pathlib.Path) -> None:
    with servers.serving(folder) as client:
        shutil.rmtree(folder)
        refresh(client)
        assert client.post(PREDICT, json={"instances": ["good"]}).status_code == 200


def test_the_server_starts_with_the_newest_version_that_can_be_served(
    folder: pathlib.Path, bundle_path: pathlib.Path
) -> None:
    broken = add(bundle_path, folder, 2)
    next(broken.glob("variables/*data*")).write_bytes(b"")
    with servers.serving(folder) as client:
        assert served(client) == [1]


def test_without_any_version_that_can_be_served_the_server_does_not_start(folder: pathlib.Path) -> None:
    next(folder.glob("1/variables/*data*")).write_bytes(b"")
    with pytest.raises(errors.GateError, match="was changed after export"), servers.serving(folder):
        pass
    with pytest.raises(errors.InputError, match="expected a bundle"):
        registry.Registry(settings.Settings(model_dirs=(folder / "variables",)))


def test_closing_frees_everything_and_refuses_what_comes(folder: pathlib.Path) -> None:
    models = registry.Registry(settings.Settings(model_dirs=(folder,)))
    models.load()
    asyncio.run(models.close())
    with pytest.raises(errors.InputError, match="expected a server that is ready"):
        models.get("tiny")


@pytest.mark.slow
@pytest.mark.fault("swap")
def test_memory_is_flat_over_swaps_of_a_saved_model(folder: pathlib.Path, bundle_path: pathlib.Path) -> None:
    """The first swaps cost what TensorFlow keeps once; what every swap left would grow on."""
    swaps, process, memory = trials.count(40, 200), psutil.Process(), []
    tried = trials.Trials("swap", "test_memory_is_flat_over_swaps_of_a_saved_model")
    with servers.serving(folder) as client:
        for number in range(2, swaps + 2):
            with tried.one(number):
                add(bundle_path, folder, number)
                refresh(client)
                assert served(client) == [number]
                assert client.post(PREDICT, json={"instances": ["good"]}).status_code == 200
                shutil.rmtree(folder / str(number - 1))
            gc.collect()
            memory.append(process.memory_info().rss >> 20)
    tried.end()
    print("MiB after each tenth of the swaps:", memory[:: max(swaps // 10, 1)])
    assert memory[-1] - memory[swaps // 4] < 100, memory
