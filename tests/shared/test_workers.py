"""Several processes train the model that one would, and go on after one of them is killed."""

import json
import pathlib
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest

from shared import errors, launch
from shared.training import cluster, datasets
from tests import helpers

WORKER = pathlib.Path(__file__).with_name("train_together.py")


def alone(folder: pathlib.Path) -> dict[str, Any]:
    command = [sys.executable, str(WORKER), str(folder), "-1"]
    finished = subprocess.run(command, env=helpers.ENVIRONMENT, capture_output=True, text=True, timeout=600)
    assert finished.returncode == 0, finished.stderr
    return dict(json.loads(finished.stdout))


def weights(folder: pathlib.Path, rank: int) -> list[np.ndarray]:
    with np.load(folder / f"weights-{rank}.npz") as content:
        return [content[name] for name in content.files]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("one")
    return folder, alone(folder)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, Any]:
    folder = tmp_path_factory.mktemp("two")
    return folder, launch.train([sys.executable, str(WORKER), str(folder), "-1"], workers=2)


@pytest.mark.tensorflow
def test_two_processes_end_with_identical_weights(two: tuple[pathlib.Path, Any]) -> None:
    for first, second in zip(weights(two[0], 0), weights(two[0], 1), strict=True):
        assert first.tobytes() == second.tobytes()


@pytest.mark.tensorflow
def test_two_processes_train_the_weights_of_one(two: tuple[pathlib.Path, Any], one: tuple[pathlib.Path, Any]) -> None:
    for together, single in zip(weights(two[0], 0), weights(one[0], 0), strict=True):
        np.testing.assert_allclose(together, single, rtol=0, atol=1e-6)


@pytest.mark.tensorflow
def test_two_processes_report_the_validation_of_one(
    two: tuple[pathlib.Path, Any], one: tuple[pathlib.Path, Any]
) -> None:
    for together, single in zip(two[1]["history"], one[1]["history"], strict=True):
        for column in ("validation_loss", "validation_metric"):
            assert together[column] == pytest.approx(single[column], abs=1e-6)


@pytest.mark.tensorflow
def test_a_killed_process_costs_at_most_an_epoch(
    two: tuple[pathlib.Path, Any], tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    result = launch.train([sys.executable, str(WORKER), str(tmp_path), "1"], workers=2)
    assert (tmp_path / "killed").exists()
    assert result["resumed_from"] >= 1, "epochs before the one in which a process died"
    assert "worker 1 was ended by SIGKILL" in caplog.text
    for rank in range(2):
        for resumed, whole in zip(weights(tmp_path, rank), weights(two[0], 0), strict=True):
            assert resumed.tobytes() == whole.tobytes()


def script(tmp_path: pathlib.Path, text: str) -> list[str]:
    path = tmp_path / "script.py"
    path.write_text(
        f"import json, os, pathlib, sys, time\nrank = json.loads(os.environ['TF_CONFIG'])['task']['index']\n{text}"
    )
    return [sys.executable, str(path)]


def test_what_the_first_process_prints_is_the_result(tmp_path: pathlib.Path) -> None:
    told = script(tmp_path, "print(json.dumps({'rank': rank}))")
    assert launch.train(told, workers=3) == {"rank": 0}


def test_what_is_printed_before_the_result_is_no_part_of_it(tmp_path: pathlib.Path) -> None:
    told = script(tmp_path, "print('[Gloo] Rank 0 is connected {1}')\nprint(json.dumps({'rank': rank}, indent=2))")
    assert launch.train(told, workers=2) == {"rank": 0}


def test_bad_input_ends_the_training_at_once_with_exit_code_2(tmp_path: pathlib.Path) -> None:
    count = tmp_path / "starts"
    told = script(tmp_path, f"open({str(count)!r}, 'a').write(str(rank))\nsys.exit(2 if rank else time.sleep(60))")
    with pytest.raises(SystemExit) as left:
        launch.train(told, workers=2)
    assert left.value.code == 2
    assert sorted(count.read_text()) == ["0", "1"], "each process was started once"


def test_processes_are_started_again_with_resume_and_without_overwrite(tmp_path: pathlib.Path) -> None:
    once = tmp_path / "once"
    text = f"once = pathlib.Path({str(once)!r})\nif rank and not once.exists(): once.touch(); os.kill(os.getpid(), 9)\n"
    told = script(tmp_path, text + "time.sleep(1)\nprint(json.dumps({'arguments': sys.argv[1:]}))")
    result = launch.train([*told, "--overwrite"], workers=2)
    assert "--resume" in result["arguments"]
    assert "--overwrite" not in result["arguments"]


def test_a_process_that_always_dies_ends_the_training(tmp_path: pathlib.Path) -> None:
    count = tmp_path / "starts"
    told = script(
        tmp_path, f"open({str(count)!r}, 'a').write(str(rank))\nif rank: os.kill(os.getpid(), 9)\ntime.sleep(60)"
    )
    with pytest.raises(SystemExit) as left:
        launch.train(told, workers=2, restarts=1)
    assert left.value.code == 1
    assert count.read_text().count("1") == 2


def test_processes_end_with_a_launcher_that_is_killed(tmp_path: pathlib.Path) -> None:
    beats = tmp_path / "beats"
    beat = f"while True: open({str(beats)!r}, 'a').write(str(rank)); time.sleep(0.02)"
    told = script(tmp_path, f"from shared import launch\nassert launch.is_helper()\nlaunch.end_with_parent()\n{beat}")
    start = "import sys\nfrom shared import launch\nlaunch.train(sys.argv[1:], workers=2)"
    with subprocess.Popen([sys.executable, "-c", start, *told], env=helpers.ENVIRONMENT) as launcher:
        end = time.monotonic() + 60
        while not (beats.exists() and {"0", "1"} <= set(beats.read_text())):
            assert time.monotonic() < end
            time.sleep(0.05)
        launcher.kill()
    time.sleep(1.0)
    before = beats.read_text()
    time.sleep(0.5)
    assert beats.read_text() == before


@pytest.mark.parametrize("rank", range(3))
def test_the_variable_is_read_as_it_is_written(rank: int, monkeypatch: pytest.MonkeyPatch) -> None:
    written = cluster.Cluster(addresses=("a:1", "b:2", "c:3"), rank=rank)
    monkeypatch.setenv(cluster.VARIABLE, written.to_json())
    assert cluster.from_environment() == written


@pytest.mark.parametrize(
    "told",
    [
        "worker",
        "[]",
        '{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 2}}',
        '{"cluster": {"worker": ["a:1", "b:2"], "ps": ["c:3"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "evaluator", "index": 0}}',
    ],
)
def test_another_description_is_refused(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cluster.VARIABLE, told)
    with pytest.raises(errors.InputError, match="TF_CONFIG: expected"):
        cluster.from_environment()


@pytest.mark.parametrize("told", ["", '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}', "{}"])
def test_one_process_is_no_cluster(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cluster.VARIABLE, told)
    assert cluster.from_environment() is None


def test_an_unknown_version_of_keras_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    keras = pytest.importorskip("keras")
    monkeypatch.setattr(keras, "__version__", "3.99.0")
    with pytest.raises(errors.InputError, match=r"expected Keras 3\.15"):
        cluster.strategy(cluster.Cluster(addresses=("a:1", "b:2"), rank=0))


def test_the_shares_of_a_batch_are_all_its_rows_once() -> None:
    batch = np.arange(13)
    shares = [datasets.Share(first=first, replicas=2, of=4) for first in (0, 2)]
    taken = [batch[each :: share.of] for share in shares for each in range(share.first, share.first + share.replicas)]
    assert sorted(np.concatenate(taken)) == list(batch)
