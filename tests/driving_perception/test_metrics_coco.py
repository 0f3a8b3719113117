import contextlib
import io

import numpy as np
import pytest
from pycocotools import coco as reference
from pycocotools import cocoeval

from apps.driving_perception import boxes as box
from apps.driving_perception import coco_metrics

CLASSES = ("car", "person", "bicycle")


def scene(seed: int, images: int = 8, *, neighbours: bool = False) -> tuple[box.Boxes, box.Detections]:
    """Random boxes from small to large, some crowds, and detections that are near them, double, or anywhere."""
    generator = np.random.default_rng(seed)
    count = generator.integers(0, 7, images)
    image = np.repeat(np.arange(images), count)
    corner = generator.uniform(0, 200, (len(image), 2))
    sides = np.exp(generator.uniform(np.log(8), np.log(250), (len(image), 2)))
    label = generator.integers(0, len(CLASSES), len(image))
    kinds = [box.OBJECT, box.OBJECT, box.OBJECT, box.REGION, box.NEIGHBOUR if neighbours else box.OBJECT]
    kind = generator.choice(kinds, len(image))
    xyxy = np.concatenate([corner, corner + sides], axis=1)
    truth = box.Boxes.build(image=image, xyxy=xyxy, label=label, kind=kind)
    near = generator.integers(0, max(len(image), 1), 3 * len(image))
    shaken = truth.xyxy[near] + generator.normal(0, 0.08, (len(near), 4)) * np.tile(
        truth.xyxy[near, 2:] - truth.xyxy[near, :2], 2
    )
    shaken[:, 2:] = np.maximum(shaken[:, 2:], shaken[:, :2] + 1)
    wrong = generator.random(len(near)) < 0.2
    names = np.where(wrong, generator.integers(0, len(CLASSES), len(near)), truth.label[near])
    found = box.Detections.build(
        image=truth.image[near],
        xyxy=shaken,
        label=names,
        score=generator.permutation(len(near)) / (len(near) + 1) + 0.01,
    )
    return truth, found


def library(truth: box.Boxes, found: box.Detections, images: int) -> np.ndarray:
    """What pycocotools itself says: its twelve numbers."""
    annotations = [
        {
            "id": i + 1,
            "image_id": int(truth.image[i]),
            "category_id": int(truth.label[i]),
            "bbox": [*map(float, truth.xyxy[i, :2]), *map(float, truth.xyxy[i, 2:] - truth.xyxy[i, :2])],
            "area": float(box.area(truth.xyxy[i].astype(np.float64))),
            "iscrowd": int(truth.kind[i] == box.REGION),
        }
        for i in range(len(truth))
    ]
    results = [
        {
            "image_id": int(found.image[i]),
            "category_id": int(found.label[i]),
            "bbox": [*map(float, found.xyxy[i, :2]), *map(float, found.xyxy[i, 2:].astype(float) - found.xyxy[i, :2])],
            "score": float(found.score[i]),
        }
        for i in range(len(found))
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        labelled = reference.COCO()
        labelled.dataset = {
            "images": [{"id": i} for i in range(images)],
            "annotations": annotations,
            "categories": [{"id": i} for i in range(len(CLASSES))],
        }
        labelled.createIndex()
        judged = cocoeval.COCOeval(labelled, labelled.loadRes(results), "bbox")
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    return np.array(judged.stats)


NAMES = ("map", "map_50", "map_75", "map_small", "map_medium", "map_large", "ar_1", "ar_10", "ar_100")


@pytest.mark.parametrize("seed", range(12))
def test_the_numbers_are_those_of_pycocotools(seed: int) -> None:
    truth, found = scene(seed)
    ours = coco_metrics.summary(coco_metrics.match(truth, found, images=8, class_names=CLASSES))
    expected = library(truth, found, 8)[: len(NAMES)]
    for name, value in zip(NAMES, expected, strict=True):
        # pycocotools says -1 where we say that there is no number.
        assert (-1.0 if np.isnan(ours[name]) else ours[name]) == pytest.approx(value, abs=1e-6), name


@pytest.mark.parametrize("seed", range(6))
def test_an_image_of_weight_two_counts_like_two_copies_of_it(seed: int) -> None:
    truth, found = scene(seed, images=6)
    copies = np.random.default_rng(seed).integers(0, 3, 6)
    rows = np.repeat(np.arange(6), copies)
    if not len(rows):
        rows = np.arange(6)
        copies = np.ones(6, int)
    starts = [found.take(found.image == row) for row in rows]
    repeated = box.Detections.build(
        image=np.repeat(np.arange(len(rows)), [len(part) for part in starts]),
        xyxy=np.concatenate([part.xyxy for part in starts]),
        label=np.concatenate([part.label for part in starts]),
        score=np.concatenate([part.score for part in starts]),
    )
    weighted = coco_metrics.summary(
        coco_metrics.match(truth, found, images=6, class_names=CLASSES), copies.astype(float)
    )
    whole = coco_metrics.summary(
        coco_metrics.match(truth.of_images(rows), repeated, images=len(rows), class_names=CLASSES)
    )
    for name in NAMES:
        np.testing.assert_allclose(weighted[name], whole[name], atol=1e-9, err_msg=name)


def test_a_neighbour_that_is_found_is_neither_right_nor_wrong_and_one_that_is_missed_neither() -> None:
    truth = box.Boxes.build(
        image=[0, 0], xyxy=[[0, 0, 40, 40], [100, 0, 140, 40]], label=[0, 0], kind=[box.OBJECT, box.NEIGHBOUR]
    )
    one = box.Detections.build(image=[0], xyxy=[[0, 0, 40, 40]], label=[0], score=[0.5])
    both = box.Detections.build(image=[0, 0], xyxy=truth.xyxy, label=[0, 0], score=[0.5, 0.9])
    for found in (one, both):
        numbers = coco_metrics.summary(coco_metrics.match(truth, found, images=1, class_names=CLASSES))
        assert numbers["map_50"] == pytest.approx(1.0)


def test_a_region_of_any_class_swallows_detections_of_every_class() -> None:
    truth = box.Boxes.build(
        image=[0, 0],
        xyxy=[[0, 0, 40, 40], [100, 0, 200, 100]],
        label=[0, box.ANY_CLASS],
        kind=[box.OBJECT, box.REGION],
    )
    found = box.Detections.build(
        image=[0, 0, 0],
        xyxy=[[110, 10, 130, 30], [150, 10, 180, 60], [0, 0, 40, 40]],
        label=[0, 0, 0],
        score=[0.9, 0.8, 0.1],
    )
    assert coco_metrics.summary(coco_metrics.match(truth, found, images=1, class_names=CLASSES))[
        "map_50"
    ] == pytest.approx(1.0)


def test_what_an_image_does_not_label_is_not_judged_there() -> None:
    truth = box.Boxes.build(image=[0], xyxy=[[0, 0, 40, 40]], label=[0])
    found = box.Detections.build(image=[0, 1], xyxy=[[0, 0, 40, 40], [0, 0, 40, 40]], label=[0, 0], score=[0.5, 0.9])
    known = np.array([[True] * 3, [False] * 3])
    judged = coco_metrics.match(truth, found, images=2, class_names=CLASSES, known_classes=known)
    assert coco_metrics.summary(judged)["ap_50_car"] == pytest.approx(1.0)
    assert coco_metrics.summary(coco_metrics.match(truth, found, images=2, class_names=CLASSES))[
        "ap_50_car"
    ] == pytest.approx(0.5)


def test_no_detection_scores_zero_and_no_object_is_no_number() -> None:
    nothing = box.Detections.build(image=[], xyxy=np.zeros((0, 4)), label=[], score=[])
    truth = box.Boxes.build(image=[0], xyxy=[[0, 0, 40, 40]], label=[1])
    numbers = coco_metrics.summary(coco_metrics.match(truth, nothing, images=1, class_names=CLASSES))
    assert numbers["map_50"] == 0
    assert "ap_car" not in numbers
    assert np.isnan(numbers["map_small"])
    assert coco_metrics.map_50(coco_metrics.match(truth, nothing, images=1, class_names=CLASSES)) == 0
