"""``--skip-bad`` lists what it sets aside, in every verb that reads images; and no verb writes over them."""

import pathlib
import types
from typing import Any

import numpy as np
import pytest

from apps.driving_perception import config
from shared import errors, splits
from tests import helpers
from tests.driving_perception import loading, roads

pytestmark = pytest.mark.tensorflow


def half_bad(folder: pathlib.Path) -> pathlib.Path:
    roads.voc(folder, {"a": [("car", (1, 1, 20, 20))], "b": [("car", (50, 10, 50, 40))]})
    return folder


def test_evaluate_lists_what_it_sets_aside(tmp_path: pathlib.Path) -> None:
    from apps.driving_perception import run as loaded_run

    own = loading.load([str(roads.voc(tmp_path / "own", {"z": [("car", (1, 1, 20, 20))]}))])
    roads.picture(tmp_path / "own" / "z.jpg", seed=50)
    own = loading.load([str(tmp_path / "own")])
    split = splits.Split(part=np.array(["train"]), unit=np.array([0]), unit_name="", method="", seed=0)
    run: Any = types.SimpleNamespace(rule=types.SimpleNamespace(class_names=("car",)))
    settings = config.Config(data=(str(half_bad(tmp_path / "new")),), skip_bad=True)
    part = loaded_run.other_part(run, own, split, settings, "all", quarantine=tmp_path / "out" / "quarantine.csv")
    assert part.dataset.quarantined == 1
    lines = (tmp_path / "out" / "quarantine.csv").read_text().splitlines()
    assert lines[0] == "file,object,reason,image"
    assert lines[1].endswith('b.xml,1,"an empty box: 50, 10, 50, 40",b.jpg')


def test_an_empty_part_is_refused_with_those_that_are_there(tmp_path: pathlib.Path) -> None:
    from shared import files
    from shared.splits import parts

    own = loading.load([str(roads.voc(tmp_path / "own", {"z": [("car", (1, 1, 20, 20))]}))])
    split = splits.Split(part=np.array(["train"]), unit=np.array([0]), unit_name="", method="", seed=0)
    run = types.SimpleNamespace(folder=files.RunFolder(tmp_path))
    files.write_json(tmp_path / "split.json", helpers.a_certificate())
    with pytest.raises(errors.InputError, match="--split test: expected a part with rows: train"):
        parts.of_run(own, split, "test", run.folder)


def test_predict_writes_over_no_picture_that_it_reads(tmp_path: pathlib.Path) -> None:
    from apps.driving_perception import predict

    path = roads.picture(tmp_path / "road" / "a.png")
    (tmp_path / "link.csv").hardlink_to(path)
    for name, value in {"boxes": tmp_path / "link.csv", "coco": path, "annotated": tmp_path / "road"}.items():
        given = {"output": tmp_path / "o.csv", "coco": None, "boxes": None, "annotated": None, name: value}
        options: Any = types.SimpleNamespace(**given)
        with pytest.raises(errors.InputError, match=r"expected an output that|holds no input"):
            predict._refuse_output_over_input(options, [path])
