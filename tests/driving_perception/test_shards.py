"""Tracks go through the rows of all shards: they are found when the shards are joined."""

import dataclasses
import io
import json
import pathlib
from typing import Any

import numpy as np
import PIL.Image
import pytest

from apps.driving_perception import config, lane
from shared import errors, predicting, steps
from tests import helpers

pytestmark = pytest.mark.tensorflow

FRAMES = 7


@pytest.fixture
def options(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A clip of seven frames in which one car comes nearer: the brighter the frame, the larger the box."""
    from apps.driving_perception import predict

    def answer(items: list[bytes]) -> dict[str, Any]:
        first = np.array([20 + 5 * look(item) for item in items])
        boxes = np.stack([100 - first, 80 - first, 100 + first, 80 + first], axis=1)[:, np.newaxis]
        return {
            "boxes": boxes.astype(np.float32),
            "scores": np.full((len(items), 1), 0.9, np.float32),
            "classes": np.zeros((len(items), 1), np.int64),
            "count": np.ones(len(items), np.int64),
            "decision": np.full(len(items), lane.CLEAR, object),
        }

    monkeypatch.setattr(predict, "_open", lambda _: (answer, ("car",), lane.Region(), {"model": "toy"}))
    folder = tmp_path / "clip"
    folder.mkdir()
    for number in range(FRAMES):
        PIL.Image.new("L", (200, 160), 10 * number).save(folder / f"{number}.png")
    given = helpers.predict_options([folder], tmp_path / "out.csv", config.Config())
    return predict.Options(**vars(given), frames_per_second=10.0)


def look(item: bytes) -> float:
    return float(np.asarray(PIL.Image.open(io.BytesIO(item)))[0, 0]) / 10


def test_a_track_goes_on_over_shards_as_in_one_call(options: Any, tmp_path: pathlib.Path) -> None:
    from apps.driving_perception import predict

    predict.predict(dataclasses.replace(options, coco=tmp_path / "whole.json"))
    parts = [tmp_path / f"part-{number}.parquet" for number in (1, 2, 3)]
    for number, part in enumerate(parts, start=1):
        predict.predict(dataclasses.replace(options, output=part, shard=(number, 3)))
    step = steps.Predict(predict=predict.predict, options=predict.Options, merge=predict.merge)
    joined = dataclasses.replace(
        options, input=parts, output=tmp_path / "joined.csv", coco=tmp_path / "joined.json", merge=True
    )
    assert predicting.merge(step, joined)["rows"] == FRAMES
    assert joined.output.read_bytes() == options.output.read_bytes()
    assert joined.coco.read_bytes() == (tmp_path / "whole.json").read_bytes()
    tables = list(predict.written_rows(joined.output))
    boxes = [json.loads(text)[0] for table in tables for text in table["boxes"]]
    assert [each["track"] for each in boxes] == [1] * FRAMES


@pytest.mark.parametrize("name", ["annotated", "coco", "boxes"])
def test_a_shard_writes_no_boxes_beside_its_output(options: Any, tmp_path: pathlib.Path, name: str) -> None:
    from apps.driving_perception import predict

    with pytest.raises(errors.InputError, match=f"--{name}: expected without --shard"):
        predict.predict(dataclasses.replace(options, shard=(1, 2), **{name: tmp_path / "x.json"}))
