import types
from typing import Any

import numpy as np
import pytest

from apps.driving_perception import boxes as box
from apps.driving_perception import coco_metrics, decision, detector_metrics, lane, matching, report_standard
from shared import errors
from tests.driving_perception import roads

NAMES = ("car", "person")
SQUARE = [10.0, 10, 50, 50]


def truth(*rows: tuple[Any, ...], **columns: object) -> box.Boxes:
    """Boxes of (image, corners, label[, kind])."""
    return box.Boxes.build(
        image=[row[0] for row in rows],
        xyxy=[row[1] for row in rows],
        label=[row[2] for row in rows],
        kind=[row[3] if len(row) > 3 else box.OBJECT for row in rows],
        **columns,  # type: ignore[arg-type]
    )


def found(*rows: tuple[Any, ...]) -> box.Detections:
    """Detections of (image, corners, label, score)."""
    return box.Detections.build(
        image=[row[0] for row in rows],
        xyxy=np.array([row[1] for row in rows], float).reshape(-1, 4),
        label=[row[2] for row in rows],
        score=[row[3] for row in rows],
    )


def matched(boxes: box.Boxes, guesses: box.Detections, images: int) -> coco_metrics.Matched:
    return coco_metrics.match(boxes, guesses, images=images, class_names=NAMES)


def moved(dx: float) -> list[float]:
    return [SQUARE[0] + dx, SQUARE[1], SQUARE[2] + dx, SQUARE[3]]


def test_miss_rates_are_those_counted_by_hand() -> None:
    boxes = truth(*((image, SQUARE, 0) for image in range(10)))
    # Found in six images at falling scores; two false alarms between.
    guesses = [(image, SQUARE, 0, 0.9 - 0.05 * image) for image in range(6)]
    guesses += [(7, [60, 10, 90, 40], 0, 0.82), (8, [60, 10, 90, 40], 0, 0.72)]
    swept = decision.sweep(matched(boxes, found(*guesses), 10))
    assert decision.miss_rate_at(swept, 0.05) == pytest.approx(1 - 2 / 10)
    assert decision.miss_rate_at(swept, 0.1) == pytest.approx(1 - 4 / 10)
    assert decision.miss_rate_at(swept, 1.0) == pytest.approx(1 - 6 / 10)
    # 0.01 to 0.056 allow no false alarm, 0.1 and 0.18 one.
    rates = [0.8] * 4 + [0.6] * 2 + [0.4] * 3
    assert decision.log_average_miss_rate(swept) == pytest.approx(float(np.exp(np.log(rates).mean())))
    nothing = decision.sweep(matched(boxes, found(), 10))
    assert decision.log_average_miss_rate(nothing) == pytest.approx(1.0)


def test_the_threshold_of_the_best_f1_and_of_a_budget() -> None:
    boxes = truth(*((image, SQUARE, 0) for image in range(4)))
    guesses = found(
        (0, SQUARE, 0, 0.9),
        (1, SQUARE, 0, 0.8),
        (2, [60, 10, 90, 40], 0, 0.6),
        (2, SQUARE, 0, 0.5),
        (3, [60, 10, 90, 40], 0, 0.3),
    )
    found_there = matched(boxes, guesses, 4)
    judge = {"fitted_on": {"split": "validation"}, "fppi_budget": 0.1}
    # F1 at 0.9, 0.8, 0.6, 0.5, 0.3: 0.4, 0.667, 0.571, 0.75, 0.667.
    best = decision.fit(found_there, rule="max_f1", **judge)  # type: ignore[arg-type]
    assert 0.3 < best.threshold < 0.5
    assert (best.recall, best.precision, best.false_positives_per_image) == pytest.approx((0.75, 0.75, 0.25))
    careful = decision.fit(found_there, rule="fppi", **judge)  # type: ignore[arg-type]
    assert 0.6 < careful.threshold < 0.8
    assert careful.false_positives_per_image == 0
    assert decision.DecisionRule.from_json(careful.to_json()) == careful
    with pytest.raises(errors.InputError, match="threshold_rule"):
        decision.fit(found_there, rule="best", **judge)  # type: ignore[arg-type]
    with pytest.raises(errors.InputError, match="expected the fields"):
        decision.DecisionRule.from_json({"threshold": 0.5})


def test_boxes_of_one_score_are_counted_together_so_that_a_budget_holds(caplog: pytest.LogCaptureFixture) -> None:
    """Ten false alarms and a hit at 0.7 in ten images, one hit above: a budget of 0.5 has no threshold below 0.7."""
    boxes = truth((0, SQUARE, 0), (1, SQUARE, 0))
    wrong = [(image, [60, 10, 90, 40], 0, 0.7) for image in range(10)]
    tied = matched(boxes, found((0, SQUARE, 0, 0.9), (1, SQUARE, 0, 0.7), *wrong), 10)
    swept = decision.sweep(tied)
    assert swept.score == pytest.approx([0.9, 0.7])
    assert swept.false_alarms == pytest.approx([0, 1.0])
    rule = decision.fit(tied, rule="fppi", fppi_budget=0.5, fitted_on={})
    assert rule.threshold == pytest.approx(0.8)
    assert (rule.false_positives_per_image, rule.recall) == (0, 0.5)
    assert not caplog.records
    none = decision.fit(matched(boxes, found(*wrong), 10), rule="fppi", fppi_budget=0.5, fitted_on={})
    assert none.threshold == pytest.approx(0.85)
    assert none.false_positives_per_image == 0
    assert "no threshold keeps to 0.5 false alarms per image: the boxes of the highest score" in caplog.text


def test_each_planted_error_is_named_and_mending_it_brings_what_it_cost() -> None:
    boxes = truth((0, SQUARE, 0), (1, SQUARE, 0), (2, SQUARE, 0), (3, SQUARE, 0), (4, SQUARE, 0))
    guesses = found(
        (0, SQUARE, 0, 0.9),
        (0, moved(2), 0, 0.85),  # a second box at one object
        (1, SQUARE, 1, 0.8),  # the wrong class
        (2, moved(20), 0, 0.7),  # badly placed: overlap 1/3
        (3, moved(20), 1, 0.6),  # both
        (4, [80, 60, 100, 80], 0, 0.5),  # nothing there
    )
    known = np.ones((5, 2), bool)
    pairs = matching.pair(boxes, guesses, known_classes=known)
    names, missed = matching.error_kinds(boxes, guesses, pairs)
    expected = {0.9: "", 0.85: "duplicate", 0.8: "classification", 0.7: "localisation", 0.6: "both", 0.5: "background"}
    assert dict(zip(guesses.score.astype(float).round(2).tolist(), names.tolist(), strict=True)) == expected
    assert missed.tolist() == [False, False, False, True, True]
    part = roads.collection(boxes, images=5)
    gains = matching.gains_of_mending(part, guesses, names, pairs, missed)
    assert gains["classification"] > 0.1
    assert gains["localisation"] > 0.1
    assert gains["missed"] > 0.1
    assert gains["duplicate"] >= 0
    assert gains["background"] == pytest.approx(0.0, abs=0.05)


def test_a_detection_in_a_region_or_of_an_unlabelled_class_is_neither_right_nor_wrong() -> None:
    boxes = truth(
        (0, [0, 0, 60, 60], box.ANY_CLASS, box.REGION), (1, SQUARE, 0, box.NEIGHBOUR), (1, [60, 10, 90, 40], 0)
    )
    guesses = found((0, SQUARE, 1, 0.9), (1, SQUARE, 0, 0.8), (1, [60, 10, 90, 40], 0, 0.7), (2, SQUARE, 1, 0.6))
    known = np.ones((3, 2), bool)
    known[2, 1] = False
    pairs = matching.pair(boxes, guesses, known_classes=known)
    assert pairs.outcome.tolist() == [matching.IGNORED, matching.IGNORED, matching.RIGHT, matching.IGNORED]
    assert pairs.wanted.tolist() == [False, False, True]


def test_kitti_levels_ask_for_size_occlusion_and_truncation() -> None:
    tall, low = [10, 0, 60, 45], [70, 0, 110, 30]
    boxes = truth((0, tall, 0), (0, low, 0), (1, tall, 0), occlusion=[0, 1, 2], truncation=[0.0, 0.2, 0.4])
    guesses = found((0, tall, 0, 0.9), (0, low, 0, 0.8), (1, tall, 0, 0.7))
    objects = {
        level.name: detector_metrics.kitti_match(boxes, guesses, label=0, overlap=0.7, level=level, images=2)
        for level in detector_metrics.KITTI_LEVELS
    }
    assert [objects[name].objects.sum() for name in ("easy", "moderate", "hard")] == [1, 2, 3]
    assert [detector_metrics.kitti_average_precision(each) for each in objects.values()] == pytest.approx([1, 1, 1])
    # What is found and belongs to a harder level is no false alarm.
    assert [len(each.right) for each in objects.values()] == [1, 2, 3]


def test_kitti_forgives_small_boxes_regions_and_neighbours_and_nothing_else() -> None:
    tall = [10, 0, 60, 45]
    boxes = truth(
        (0, tall, 0),
        (0, [70, 0, 110, 60], box.ANY_CLASS, box.REGION),
        (1, tall, 0, box.NEIGHBOUR),
        occlusion=[0, 0, 0],
        truncation=[0, 0, 0],
    )
    level = detector_metrics.KITTI_LEVELS[0]
    rest = [(0, [75, 5, 105, 50], 0, 0.95), (1, tall, 0, 0.93), (1, [80, 60, 110, 79], 0, 0.92)]
    kind = detector_metrics.kitti_match(
        boxes, found((0, tall, 0, 0.5), *rest), label=0, overlap=0.7, level=level, images=2
    )
    assert kind.right.tolist() == [True]
    alarm = found((0, tall, 0, 0.5), (1, [70, 10, 110, 70], 0, 0.9))
    counted = detector_metrics.kitti_match(boxes, alarm, label=0, overlap=0.7, level=level, images=2)
    assert counted.right.tolist() == [False, True]
    assert detector_metrics.kitti_average_precision(counted) == pytest.approx(0.5)
    assert not detector_metrics.kitti_applies(truth((0, SQUARE, 0)))


def test_recall_is_told_by_group_with_an_interval() -> None:
    boxes = truth(*((image, SQUARE if image % 2 else [5, 5, 25, 25], image % 2) for image in range(20)))
    guesses = found(*((image, SQUARE, 1, 0.9) for image in range(1, 20, 2)))
    part = roads.collection(boxes, images=20, weather=np.array(["fog", "clear"] * 10, object))
    pairs = matching.pair(boxes, guesses, known_classes=part.known_classes)
    rows = {(row["by"], row["group"]): row for row in matching.recall_by_group(part, pairs, np.arange(20))}
    assert rows["class", "car"]["recall"].value == 0
    assert rows["class", "person"]["recall"].value == 1
    assert rows["weather", "fog"]["n"] == 10
    assert rows["box height", "0 to 25 px"]["recall"].value == 0
    assert all(row["recall"].low <= row["recall"].value <= row["recall"].high for row in rows.values())


def test_scores_that_are_right_as_often_as_they_say_are_calibrated() -> None:
    generator = np.random.default_rng(0)
    score = generator.uniform(0.1, 1, 4000)
    right = generator.random(4000) < score
    guesses = box.Detections(
        image=np.arange(4000),
        xyxy=np.zeros((4000, 4), np.float32),
        label=np.zeros(4000, np.int64),
        score=score.astype(np.float32),
    )
    nothing = np.full(4000, matching.NONE)
    pairs = matching.Pairing(outcome=right.astype(np.int8), object_of=nothing, found_by=nothing, wanted=right)
    assert matching.calibration_error(matching.calibration_bins(guesses, pairs, least=0.05)) < 0.03
    sure = matching.Pairing(outcome=np.ones(4000, np.int8), object_of=nothing, found_by=nothing, wanted=right)
    assert matching.calibration_error(matching.calibration_bins(guesses, sure, least=0.05)) == pytest.approx(
        1 - score.mean(), abs=0.01
    )
    assert matching.calibration_error([]) == 0


def test_an_approach_is_flagged_by_how_its_box_grows() -> None:
    # 20 m and 10 m ahead half a second apart: 0.5 s to go. Through a pinhole the box doubles.
    boxes = truth(
        (0, [50, 40, 70, 60], 0), (1, [40, 35, 80, 75], 0), distance=[20.0, 10.0], track=[4, 4], truncation=[0.0, 0.0]
    )
    part = roads.collection(boxes, images=2, sequences=("a", "a"), seconds=np.array([0.0, 0.5]))
    seen = found((0, [50, 40, 70, 60], 0, 0.9), (1, [40, 35, 80, 75], 0, 0.9))
    assert lane.count_approaches(part, seen, threshold=0.5) == {
        "pairs": 1,
        "approaching": 1,
        "flagged": 1,
        "flagged_wrongly": 0,
    }
    assert lane.count_approaches(part, seen, threshold=0.95)["flagged"] == 0
    still = roads.collection(
        truth((0, SQUARE, 0), (1, SQUARE, 0), distance=[20.0, 20.0], track=[4, 4]),
        images=2,
        sequences=("a", "a"),
        seconds=np.array([0.0, 0.5]),
    )
    assert (
        lane.count_approaches(still, found((0, SQUARE, 0, 0.9), (1, SQUARE, 0, 0.9)), threshold=0.5)["approaching"] == 0
    )


def test_the_confusion_of_classes_holds_what_is_taken_missed_and_made_up() -> None:
    """Counted by hand: a car found, a person taken for a car, a car missed, a person where nothing is."""
    elsewhere = [100.0, 100, 140, 150]
    boxes = truth((0, SQUARE, 0), (1, SQUARE, 1), (2, SQUARE, 0))
    guesses = found((0, SQUARE, 0, 0.9), (1, moved(2), 0, 0.8), (2, elsewhere, 1, 0.7))
    collection: Any = types.SimpleNamespace(boxes=boxes, class_names=NAMES, known_classes=np.ones((3, 2), bool))
    counts = report_standard.confusion(collection, guesses)
    assert counts.tolist() == [[1, 0, 1], [1, 0, 0], [0, 1, 0]]
