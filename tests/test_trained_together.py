"""In every app two processes train a run that evaluates and exports like any other. Some minutes each."""

import csv
import json
import pathlib
import zipfile

import pytest

from shared import files
from tests import helpers

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

# What the preset leaves out: a network that is not trained in shares.
MORE = {"fraud_detection": ["--members", "dense", "gan", "--dense-copies", "1"]}


@pytest.mark.parametrize("app", helpers.APPS)
def test_a_run_of_two_processes_evaluates_and_exports_like_any_other(app: str, tmp_path: pathlib.Path) -> None:
    command_line, module = helpers.CommandLine(tmp_path), f"apps.{app}"
    run = files.RunFolder(tmp_path / "run")
    arguments = ["--preset", "smoke", "--run-dir", run.path, "--workers", 2, "--json", *MORE.get(app, [])]
    finished = command_line.run(module, "train", *arguments, timeout_seconds=1200)
    assert finished.json["run_dir"] == str(run.path)
    assert json.loads(run.environment.read_text())["replicas"] == 2

    with zipfile.ZipFile(run.model) as archive:
        assert '"synchronized": true' not in archive.read("config.json").decode()
    for table in run.checkpoints.rglob("history.csv"):
        with table.open() as stream:
            epochs = [int(float(row["epoch"])) for row in csv.DictReader(stream)]
        assert epochs == list(range(1, len(epochs) + 1)), table
    assert run.history.exists()

    evaluated = command_line.run(module, "evaluate", "--run-dir", run.path, "--json", timeout_seconds=1200)
    assert evaluated.json["metrics"]
    exported = command_line.run(
        module, "export", "--run-dir", run.path, "--output-dir", tmp_path / "bundles", "--json", timeout_seconds=1200
    )
    assert exported.json, "the bundle was replayed in a clean process"
    again = command_line.run(module, "train", *arguments, "--resume", timeout_seconds=1200)
    assert again.json["validation"] == finished.json["validation"], "nothing was left to do"
