"""Shards on a Ray cluster give the file that one process writes, also when a process is killed."""

import collections
import itertools
import os
import pathlib
import shutil
import subprocess
import sys
import time
import types
from collections.abc import Iterator
from typing import Any

import pytest

from shared import errors, machine, predicting
from tests.shared import toy_cluster


@pytest.fixture
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A folder with the toy app as a package, and what one process writes."""
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "__init__.py").touch()
    shutil.copy(toy_cluster.__file__, tmp_path / "toy" / "__main__.py")
    monkeypatch.chdir(tmp_path)
    toy_cluster.predict(toy_cluster.options(tmp_path / "whole.csv"))
    (tmp_path / "log").unlink()
    return tmp_path


def on_ray(folder: pathlib.Path, environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("ray")
    paths = os.pathsep.join([str(folder), environment.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-m", "toy", *words],
        cwd=folder,
        env={**environment, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.mark.slow
def test_a_local_cluster_writes_what_one_process_writes_though_a_process_is_killed(
    folder: pathlib.Path, environment: dict[str, str]
) -> None:
    (folder / "kill").touch()
    finished = on_ray(folder, environment, "out.csv", "3")
    assert finished.returncode == 0, finished.stderr
    assert (folder / "out.csv").read_bytes() == (folder / "whole.csv").read_bytes()
    assert not (folder / "kill").exists()
    assert not (folder / "out.csv.shards").exists()
    scored = [line.split() for line in (folder / "log").read_text().splitlines()]
    # Chunks that were finished before the kill are not scored again.
    assert collections.Counter(first for first, _ in scored) == {str(start): 1 for start in range(0, 50, 4)}
    assert len({process for _, process in scored}) > 1


@pytest.mark.slow
def test_a_refused_input_is_said_in_one_sentence_and_the_other_shards_are_kept(
    folder: pathlib.Path, environment: dict[str, str]
) -> None:
    (folder / "refuse").touch()
    finished = on_ray(folder, environment, "out.csv", "2")
    assert finished.returncode == 1
    assert finished.stderr.strip().splitlines()[-1] == "né.csv, row 30: expected a number. Received: none"
    assert not (folder / "out.csv").exists()
    (folder / "refuse").unlink()
    before = len((folder / "log").read_text().splitlines())
    assert before > 0
    # Another model's shards are not gone on with.
    other = on_ray(folder, {**environment, "TOY_MODEL": "b"}, "out.csv", "2", "--resume")
    assert "another model" in other.stderr.splitlines()[-1]
    again = on_ray(folder, environment, "out.csv", "2", "--resume")
    assert again.returncode == 0, again.stderr
    assert (folder / "out.csv").read_bytes() == (folder / "whole.csv").read_bytes()
    assert len((folder / "log").read_text().splitlines()) == 13


@pytest.mark.slow
def test_what_a_killed_command_had_scored_is_not_scored_again(
    folder: pathlib.Path, environment: dict[str, str]
) -> None:
    pytest.importorskip("ray")
    (folder / "slow").touch()
    log, paths = folder / "log", os.pathsep.join([str(folder), environment.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "toy", "out.csv", "2"]
    with subprocess.Popen(command, cwd=folder, env={**environment, "PYTHONPATH": paths}) as killed:
        end = time.monotonic() + 200
        while not log.exists() or len(log.read_text().splitlines()) < 4:
            assert time.monotonic() < end
            time.sleep(0.05)
        killed.kill()
    time.sleep(10)
    (folder / "slow").unlink()
    before = log.read_text().splitlines()
    assert len(before) < 13, "the actors ended with the command"
    again = on_ray(folder, environment, "out.csv", "2", "--resume")
    assert again.returncode == 0, again.stderr
    assert (folder / "out.csv").read_bytes() == (folder / "whole.csv").read_bytes()
    counts = collections.Counter(line.split()[0] for line in log.read_text().splitlines())
    assert set(counts) == {str(start) for start in range(0, 50, 4)}
    assert sum(counts.values()) <= 13 + 2, "what each of two actors was about at most"


class FailedTaskError(Exception):
    """Stands for ray.exceptions.RayTaskError."""

    def __init__(self, cause: Exception) -> None:
        self.cause = cause


class Pool:
    """Stands for ray.util.ActorPool: the actors take turns, here and now."""

    def __init__(self, actors: list[Any]) -> None:
        self.actors = actors

    def map(self, ask: Any, values: list[Any]) -> Iterator[Any]:
        for value, actor in zip(values, itertools.cycle(self.actors), strict=False):
            try:
                yield ask(types.SimpleNamespace(predict=types.SimpleNamespace(remote=actor.predict)), value)
            except errors.InputError as error:
                raise FailedTaskError(error) from None


@pytest.fixture
def stand_in(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A stand-in for Ray with two processors, and the toy app with it."""
    ray = types.SimpleNamespace(
        init=lambda **_options: None,
        shutdown=lambda: None,
        cluster_resources=lambda: {"CPU": 2.0},
        remote=lambda **_options: lambda worker: types.SimpleNamespace(remote=worker),
        exceptions=types.SimpleNamespace(RayTaskError=FailedTaskError),
    )
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setitem(sys.modules, "ray.util", types.SimpleNamespace(ActorPool=Pool))
    monkeypatch.setattr(machine, "missing", lambda _names: [])
    monkeypatch.setitem(sys.modules, "toy.__main__", toy_cluster)
    monkeypatch.setitem(sys.modules, "toy", types.SimpleNamespace())
    app: Any = types.SimpleNamespace(config=types.SimpleNamespace(__module__="toy.config"))
    step = toy_cluster.APP.predict()

    def run(**options: Any) -> Any:
        asked = toy_cluster.options(folder / "out.csv", ray_address="local", **options)
        return predicting.on_ray(app, step, asked)

    return types.SimpleNamespace(run=run, ray=ray)


@pytest.mark.parametrize("shards", [None, 1, 5, 40])
def test_any_number_of_shards_gives_the_file_of_one_process(
    stand_in: Any, folder: pathlib.Path, shards: int | None
) -> None:
    assert stand_in.run(shards=shards)["shards"] == shards or shards is None
    assert (folder / "out.csv").read_bytes() == (folder / "whole.csv").read_bytes()
    assert not (folder / "out.csv.shards").exists()


def test_an_interrupted_call_keeps_its_shards_and_resume_scores_the_rest(stand_in: Any, folder: pathlib.Path) -> None:
    (folder / "refuse").touch()
    with pytest.raises(errors.InputError, match=r"row 30: expected a number"):
        stand_in.run(shards=3)
    (folder / "refuse").unlink()
    assert stand_in.run(shards=3, resume=True)["resumed_rows"] > 0
    assert len((folder / "log").read_text().splitlines()) == 13
    assert (folder / "out.csv").read_bytes() == (folder / "whole.csv").read_bytes()


def test_a_cluster_that_does_not_answer_is_named(stand_in: Any, folder: pathlib.Path) -> None:
    def refuse(**_options: Any) -> None:
        raise ConnectionError("nobody there")

    stand_in.ray.init = refuse
    with pytest.raises(errors.InputError, match=r"--ray-address local: .*nobody there"):
        stand_in.run()
    assert not (folder / "out.csv").exists()


def test_without_ray_one_sentence_names_the_extra(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "missing", list)
    asked = toy_cluster.options(tmp_path / "out.csv", ray_address="local")
    with pytest.raises(errors.InputError, match=r"the extra `cluster` \(pip install 'fieldnets\[cluster\]'\)"):
        predicting.on_ray(toy_cluster.APP, toy_cluster.APP.predict(), asked)
    assert not list(tmp_path.iterdir())


def test_a_folder_of_somebody_else_in_the_place_of_the_shards_is_never_touched(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "missing", lambda _names: [])
    (tmp_path / "out.csv.shards").mkdir()
    (tmp_path / "out.csv.shards" / "photo.jpg").write_text("precious")
    asked = toy_cluster.options(tmp_path / "out.csv", ray_address="local")
    with pytest.raises(errors.InputError, match=r"photo.jpg, which `predict` did not write"):
        predicting.on_ray(toy_cluster.APP, toy_cluster.APP.predict(), asked)
    assert (tmp_path / "out.csv.shards" / "photo.jpg").read_text() == "precious"
