"""Tests that a training survives SIGKILL, with real processes."""

import functools
import pathlib
import random
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.tensorflow]

CHILD = pathlib.Path(__file__).parent / "fit_in_child.py"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> pathlib.Path:
    """A folder in which a training ended undisturbed."""
    folder = tmp_path_factory.mktemp("whole")
    finish(folder, environment)
    return folder


def finish(folder: pathlib.Path, environment: dict[str, str], strategy: str = "none") -> list[int]:
    """Train to the end, and return the number of replicas and the epoch from which the process went on."""
    command = [sys.executable, str(CHILD), str(folder), strategy]
    return [int(word) for word in subprocess.check_output(command, env=environment, text=True).split()]


def kill_when(
    happened: Callable[[], bool],
    folder: pathlib.Path,
    environment: dict[str, str],
    *,
    strategy: str = "none",
    delay_seconds: float = 0,
) -> None:
    """Start a training and kill it ``delay_seconds`` after something has happened."""
    process = subprocess.Popen([sys.executable, CHILD, folder, strategy], env=environment)
    try:
        while not happened():
            assert process.poll() is None, "the training ended before it could be killed"
            time.sleep(0.0005)
        time.sleep(delay_seconds)
    finally:
        process.kill()
        process.wait()


def assert_same(folder: pathlib.Path, whole: pathlib.Path) -> None:
    for file in ("weights.npz", "checkpoints/checkpoint.npz", "checkpoints/checkpoint-before.npz"):
        with np.load(folder / file) as ours, np.load(whole / file) as theirs:
            # The state tells how many seconds it took.
            for name in set(theirs.files) - {"state"}:
                np.testing.assert_array_equal(ours[name], theirs[name], strict=True)
    assert (folder / "history.csv").read_bytes() == (whole / "history.csv").read_bytes()
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"checkpoint.npz", "checkpoint-before.npz"}


def test_two_processes_with_one_seed_give_the_same_bits(
    whole: pathlib.Path, tmp_path: pathlib.Path, environment: dict[str, str]
) -> None:
    assert finish(tmp_path, environment) == [1, 0]
    assert_same(tmp_path, whole)


def test_kills_at_random_moments_leave_no_trace(
    whole: pathlib.Path, tmp_path: pathlib.Path, environment: dict[str, str]
) -> None:
    moments = random.Random(4)

    def begun_again(start: float) -> bool:
        """Whether a process began to train: its event file appears. The start-up does not count."""
        return any(events.stat().st_mtime > start for events in tmp_path.glob("logs/*"))

    for _ in range(3):
        begun = functools.partial(begun_again, time.time())
        kill_when(begun, tmp_path, environment, delay_seconds=moments.uniform(0, 2))
    finish(tmp_path, environment)
    assert_same(tmp_path, whole)


@pytest.mark.parametrize("delay_seconds", [0, 0.005])
def test_a_kill_while_a_checkpoint_is_written_leaves_no_trace(
    whole: pathlib.Path, tmp_path: pathlib.Path, environment: dict[str, str], delay_seconds: float
) -> None:
    folder = tmp_path / "checkpoints"

    def half_written() -> bool:
        """Whether a file is being written that is to replace a complete one."""
        return (folder / "checkpoint.npz").exists() and any(folder.glob(".checkpoint-*"))

    kill_when(half_written, tmp_path, environment, delay_seconds=delay_seconds)
    _, resumed_from = finish(tmp_path, environment)
    assert resumed_from > 0
    assert_same(tmp_path, whole)


def test_two_replicas_train_on_batches_that_cannot_be_halved_and_go_on_after_a_kill(
    tmp_path: pathlib.Path, environment: dict[str, str]
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert finish(whole, environment, "mirrored") == [2, 0]
    checkpoint = killed / "checkpoints" / "checkpoint.npz"
    kill_when(checkpoint.exists, killed, environment, strategy="mirrored")
    assert finish(killed, environment, "mirrored")[1] > 0
    assert_same(killed, whole)
