"""Two processes that train with one seed end in the same bits, in every app. Some minutes."""

import pathlib

import pytest

from shared import files
from tests import helpers
from tests.faults import test_killed_verbs

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]


@pytest.mark.parametrize("app", helpers.APPS)
def test_two_processes_train_the_same_bits(app: str, tmp_path: pathlib.Path, shared_runs: pathlib.Path) -> None:
    first = helpers.smoke_run(app, shared_runs)
    again = files.RunFolder(tmp_path / "run")
    helpers.CommandLine(tmp_path).run(f"apps.{app}", "train", "--preset", "smoke", "--run-dir", again.path)
    assert test_killed_verbs.weights(again.model) == test_killed_verbs.weights(first.model)
    assert files.read_json(again.decision) == files.read_json(first.decision)
