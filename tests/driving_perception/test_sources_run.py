"""Whole runs on sources other than the default: every verb, in every format that boxes are kept in."""

import pathlib

import pandas as pd
import pytest

from apps.driving_perception import config
from shared import files
from tests import helpers

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]
APP = "apps.driving_perception"
# KITTI keeps no sequences: short blocks give each part several units.
SMOKE = ("--preset", "smoke", "--block-frames", 2)
SCENES = ("--scene-sequences", 40, "--scene-frames", 1)
FORMATS = [name for name in config.FORMATS if name not in ("auto", "road-scenes")]


@pytest.mark.parametrize("name", FORMATS)
def test_every_verb_works_on_every_format(name: str, tmp_path: pathlib.Path, command_line: helpers.CommandLine) -> None:
    data, run, models = (tmp_path / folder for folder in ("source", "run", "models"))
    command_line.run(APP, "data", *SCENES, "--write", data, "--write-format", name)
    said = command_line.run(APP, "data", "--data", data, "--output-dir", tmp_path / "look", "--json").json
    assert sum(part["rows"] for part in said["split"]["counts"].values()) == 40
    command_line.run(APP, "train", *SMOKE, "--data", data, "--run-dir", run)
    command_line.run(APP, "evaluate", "--run-dir", run)
    metrics = files.read_json(run / "evaluation" / "metrics.json")["metrics"]
    assert all({"value", "low", "high"} <= interval.keys() for interval in metrics.values())
    assert {"map_50", "ap_50_car"} <= metrics.keys()
    image = min(path for path in data.rglob("*") if path.suffix in (".jpg", ".png"))
    command_line.run(APP, "explain", "--run-dir", run, image, "--output", tmp_path / "why.html")
    bundle = command_line.run(APP, "export", "--run-dir", run, "--output-dir", models, "--json").json["bundle"]
    outputs = [tmp_path / "run.csv", tmp_path / "bundle.csv"]
    for flags, output in zip((("--run-dir", run), ("--model-dir", bundle)), outputs, strict=True):
        command_line.run(APP, "predict", *flags, image.parent, "--output", output)
    first, second = map(pd.read_csv, outputs)
    assert len(first) > 1
    assert first["decision"].tolist() == second["decision"].tolist()
    command_line.run(APP, "monitor", "--model-dir", models, "--data", data, "--output-dir", tmp_path / "drift")
    tuned = (*SMOKE, "--data", data, "--trials", 1, "--output-dir", tmp_path / "tuned")
    command_line.run(APP, "tune", *tuned)
    assert (tmp_path / "tuned" / "best.json").is_file()
