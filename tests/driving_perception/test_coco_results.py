"""Tests of boxes of another detector, read from COCO results."""

import json
import pathlib
from typing import Any

import numpy as np
import pandas as pd
import pytest

from apps.driving_perception import coco_results
from shared import errors, given_predictions

ROWS = given_predictions.Rows(
    table=pd.DataFrame({"id": ["a.jpg", "b.jpg", "c.jpg"], "image_id": [1, 2, 3]}),
    identity=("image_id",),
    parts={"validation": np.array([2]), "test": np.array([1, 0])},
    class_names=("car", "person"),
)
BOX: dict[str, Any] = {"image_id": 1, "category_id": 2, "bbox": [10, 20, 30, 40], "score": 0.5}
HELD_OUT: dict[str, Any] = {**BOX, "image_id": 3}


def written(tmp_path: pathlib.Path, content: Any) -> pathlib.Path:
    path = tmp_path / "other.json"
    path.write_text(json.dumps(content))
    return path


def test_a_list_names_images_by_number_or_name_and_classes_from_1(tmp_path: pathlib.Path) -> None:
    boxes = [BOX, {**BOX, "image_id": "b.jpg", "category_id": 1, "score": 0.9}, {**HELD_OUT, "score": 0.25}]
    found = coco_results.read(written(tmp_path, boxes), ROWS)
    test = found.scores["test"]
    # The part holds b.jpg first.
    assert (test.image.tolist(), test.label.tolist()) == ([0, 1], [0, 1])
    assert test.xyxy.tolist() == [[10, 20, 40, 60], [10, 20, 40, 60]]
    np.testing.assert_allclose(test.score, [0.9, 0.5])
    assert found.scores["validation"].score.tolist() == [0.25]


def test_a_document_names_both_and_classes_that_the_run_lacks_are_counted(tmp_path: pathlib.Path) -> None:
    content = {
        "images": [{"id": 70, "file_name": "a.jpg"}, {"id": 71, "file_name": "c.jpg"}],
        "categories": [{"id": 3, "name": "car"}, {"id": 10, "name": "traffic light"}],
        "annotations": [
            {**BOX, "image_id": 70, "category_id": 3},
            {**BOX, "image_id": 70, "category_id": 10},
            {**BOX, "image_id": 71, "category_id": 3},
        ],
    }
    found = coco_results.read(written(tmp_path, content), ROWS)
    assert (found.scores["test"].image.tolist(), found.scores["test"].label.tolist()) == ([1], [0])
    assert found.notes == ("1 boxes of the class traffic light are left out: the run has no such class",)


def test_ids_of_no_kind_that_a_document_may_have_are_named(tmp_path: pathlib.Path) -> None:
    content = {"images": [{"id": 1, "file_name": "a.jpg"}], "categories": [{"id": 1, "name": "car"}]}
    for wrong, message in (({"image_id": [1]}, r"an image of the run"), ({"category_id": {}}, r"file's categories")):
        with pytest.raises(errors.InputError, match=message):
            coco_results.read(written(tmp_path, {**content, "annotations": [{**BOX, **wrong}]}), ROWS)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([{**BOX, "image_id": 4}], r"box 1: expected an image of the run. Received: '4'"),
        ([{**BOX, "category_id": 3}], r"box 1: expected a category_id out of 1 car, 2 person. Received: 3"),
        ([{**BOX, "category_id": True}], r"box 1: expected a category_id out of .*Received: True"),
        ([{**BOX, "bbox": [1, 2, 0, 4]}], r"box 1: expected a bbox of four numbers, width and height above 0"),
        ([{**BOX, "score": 1.5}], r"a score in \[0, 1\]. Received: .*1.5"),
        ([{**BOX, "score": float("nan")}], r"a score in \[0, 1\]"),
        ([{"image_id": 1}], r"box 1: expected .*KeyError"),
        ([3], r"box 1: expected "),
        ({"annotations": []}, r"expected COCO results, a list of"),
        ([BOX], r"expected boxes in the images of the part validation. Received: none"),
    ],
)
def test_what_is_no_box_of_the_run_is_named(tmp_path: pathlib.Path, content: Any, message: str) -> None:
    with pytest.raises(errors.InputError, match=message):
        coco_results.read(written(tmp_path, content), ROWS)
