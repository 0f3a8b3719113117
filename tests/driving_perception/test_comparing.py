"""What an evaluation keeps for ``compare`` gives the metrics of the detector again, to the last digit."""

import dataclasses
import pathlib

import numpy as np
import pandas as pd
import pytest

from apps.driving_perception import boxes as box
from apps.driving_perception import comparing as driving
from apps.driving_perception import detector_metrics, prediction_tables
from shared import errors, files
from shared.runs import comparing, page

IMAGES = 40


def scene() -> tuple[driving.Labels, box.Detections]:
    """Return some images with boxes, three without any, and what a detector found in them."""
    random = np.random.default_rng(7)
    image = np.sort(random.integers(0, IMAGES - 3, 90))
    corner = random.uniform(0, 200, (90, 2))
    xyxy = np.hstack([corner, corner + random.uniform(20, 90, (90, 2))])
    known = np.ones((IMAGES, 2), bool)
    known[5, 1] = False
    kinds = np.where(np.arange(90) % 9 == 0, box.NEIGHBOUR, box.OBJECT)
    labelled = box.Boxes.build(image=image, xyxy=xyxy, label=random.integers(0, 2, 90), kind=kinds)
    score = random.uniform(0, 1, 90)
    found = box.Detections.build(
        image=labelled.image, xyxy=labelled.xyxy + random.normal(0, 5, (90, 4)), label=labelled.label, score=score
    )
    return driving.Labels(boxes=labelled, class_names=("car", "person"), known_classes=known), found


def a_run(path: pathlib.Path, labels: driving.Labels, found: box.Detections) -> comparing.Tested:
    run = files.RunFolder(path)
    files.write_json(run.config, {"resamples": 60})
    files.write_json(run.decision, {"class_names": list(labels.class_names), "threshold": 0.4})
    run.model.write_bytes(b"weights")
    data = {"split": "test", "n": IMAGES, "unit": "sequence"}
    document = {"app": "driving_perception", "data": data, "metrics": {"map_50": {}}, "baselines": {}}
    files.write_json(run.evaluation / "metrics.json", document)
    names = {"image": [f"{row}.jpg" for row in range(IMAGES)], "unit": np.arange(IMAGES) // 2}
    table = pd.DataFrame({**names, **prediction_tables.cells(labels, found)})
    table.to_parquet(run.evaluation / "predictions.parquet", index=False)
    return comparing.open_tested(path, name=path.name, app=driving.COMPARISON)


def test_the_metrics_of_a_comparison_are_those_of_the_evaluation(tmp_path: pathlib.Path) -> None:
    labels, found = scene()
    worse = box.Detections(**{**vars(found), "label": 1 - found.label})
    both = page.compare(
        [a_run(tmp_path / "a", labels, found), a_run(tmp_path / "b", labels, worse)], driving.COMPARISON
    ).pairs[0]
    report = [
        detector_metrics.evaluate(labels, np.arange(IMAGES) // 2, each, 0.4, resamples=60, seed=0)
        for each in (found, worse)
    ]
    assert dict(both.first) == dict(report[0].with_intervals)
    assert both.difference["map_50"].value == report[1].values["map_50"] - report[0].values["map_50"]
    assert both.difference["map_50"].high < 0


def test_images_meet_in_any_order_and_other_labels_are_refused(tmp_path: pathlib.Path) -> None:
    labels, found = scene()
    first, second = (a_run(tmp_path / name, labels, found) for name in "ab")
    met = comparing.meet([first, dataclasses.replace(second, table=second.table[::-1])])
    assert len(met.clusters) == IMAGES
    moved = box.Boxes(**{**vars(labels.boxes), "xyxy": labels.boxes.xyxy + 1})
    other = driving.Labels(boxes=moved, class_names=labels.class_names, known_classes=labels.known_classes)
    with pytest.raises(errors.InputError, match="expected the same labels"):
        comparing.meet([first, a_run(tmp_path / "c", other, found)])
