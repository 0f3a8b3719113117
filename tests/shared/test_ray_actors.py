"""The processes of a training, or of a search, run in actors of a real Ray cluster, which ends with each test."""

import collections
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from shared import errors, launch
from shared.training import tuning
from tests import helpers
from tests.shared import search_together

# Ray leaves its own processes to the operating system.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")

WORKER = pathlib.Path(__file__).with_name("train_together.py")
TOLD = "import json, os, pathlib, sys, time\ntold = json.loads(os.environ['TF_CONFIG'])\nrank = told['task']['index']\n"


def script(folder: pathlib.Path, text: str) -> list[str]:
    path = folder / "script.py"
    path.write_text(TOLD + text)
    return [sys.executable, str(path)]


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(errors.InputError, match=r"expected the extra `cluster` .* Received: no ray"):
        launch.train(["python"], workers=2, ray_address="local")


def test_an_address_for_one_process_is_refused(command_line: helpers.CommandLine) -> None:
    finished = command_line.run("apps.sentiment", "train", "--preset", "smoke", "--ray-address", "local", code=2)
    assert "--ray-address: expected --workers of at least 2" in finished.stderr


def train(command: Sequence[str], *, workers: int = 2) -> Mapping[str, Any]:
    try:
        return launch.train(command, workers=workers, ray_address="local")
    except errors.InputError as error:
        if "timed out during startup" in str(error):
            pytest.skip("this machine is too busy: Ray gives its own processes 30 seconds")
        raise


@pytest.fixture
def ray() -> None:
    pytest.importorskip("ray")


@pytest.mark.slow
@pytest.mark.usefixtures("ray")
def test_actors_run_the_command_in_this_folder_and_know_each_other(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    told = script(
        tmp_path, "print('seen', rank, file=sys.stderr)\nprint(json.dumps({**told, 'folder': os.getcwd()}, indent=1))"
    )
    result = train(told)
    assert result["folder"] == str(tmp_path)
    assert result["task"]["index"] == 0
    assert len(set(result["cluster"]["worker"])) == 2
    assert capfd.readouterr().err.count("seen") == 1, "what the first process says"


@pytest.mark.slow
@pytest.mark.usefixtures("ray")
def test_all_begin_again_where_a_process_is_killed(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    once = tmp_path / "once"
    text = f"once = pathlib.Path({str(once)!r})\nif rank and not once.exists(): once.touch(); os.kill(os.getpid(), 9)\n"
    told = script(tmp_path, text + "time.sleep(1)\nprint(json.dumps({'arguments': sys.argv[1:]}))")
    result = train([*told, "--overwrite"])
    assert "--resume" in result["arguments"]
    assert "--overwrite" not in result["arguments"]
    assert "worker 1 was ended by SIGKILL" in caplog.text


@pytest.mark.slow
@pytest.mark.usefixtures("ray")
def test_all_begin_again_where_an_actor_is_killed(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    once = tmp_path / "once"
    text = (
        f"once = pathlib.Path({str(once)!r})\nif rank and not once.exists(): once.touch(); os.kill(os.getppid(), 9)\n"
    )
    told = script(tmp_path, text + "time.sleep(1)\nprint(json.dumps({'rank': rank}))")
    assert train(told) == {"rank": 0}
    assert "worker 1 was ended by SIGKILL" in caplog.text


@pytest.mark.slow
@pytest.mark.usefixtures("ray")
def test_bad_input_and_a_cluster_that_is_too_small_end_the_training_with_exit_code_2(tmp_path: pathlib.Path) -> None:
    with pytest.raises(SystemExit) as left:
        train(script(tmp_path, "sys.exit(2)"))
    assert left.value.code == 2
    with pytest.raises(errors.InputError, match="expected at most the cores of the Ray cluster"):
        train(["python"], workers=10_000)


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.usefixtures("ray")
def test_two_actors_train_the_weights_of_one_process_though_one_is_killed(tmp_path: pathlib.Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    result = train([sys.executable, str(WORKER), str(two), "1", "--kill-parent"])
    assert (two / "killed").exists()
    assert result["resumed_from"] >= 1, "the actor was killed at the end of the second epoch: one is done again at most"
    single = [sys.executable, str(WORKER), str(one), "-1"]
    finished = subprocess.run(single, env=helpers.ENVIRONMENT, capture_output=True, text=True, timeout=600)
    assert json.loads(finished.stdout)["resumed_from"] == 0
    files = [np.load(path) for path in (two / "weights-0.npz", two / "weights-1.npz", one / "weights-0.npz")]
    for name in files[0].files:
        assert files[0][name].tobytes() == files[1][name].tobytes()
        np.testing.assert_allclose(files[0][name], files[2][name], rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.usefixtures("ray")
def test_actors_work_on_one_search_that_a_process_of_this_machine_goes_on_with(
    tmp_path: pathlib.Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "kill").touch()
    tuning.search(search_together.wanted(tmp_path / "search", trials=5, workers=2, ray_address="local"))
    log = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    assert collections.Counter(trial for trial, _ in log) == {
        f"trial-00{number}": 1 + (number == 2) for number in range(5)
    }, "the one whose process was killed was tried again, and no other"
    assert len({process for _, process in log} - {str(os.getpid())}) >= 2
    assert tuning.search(search_together.wanted(tmp_path / "search", trials=6, workers=1))["trials"] == 6
    assert [line.split()[0] for line in (tmp_path / "log").read_text().splitlines()][6:] == ["trial-005"]
