import dataclasses
import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from apps.driving_perception import baselines, decision, detector_metrics, evaluate, frames, lane, report, simulator
from apps.driving_perception import boxes as box
from shared import errors
from shared.report import document, sections


@pytest.fixture(scope="module")
def part() -> frames.Frames:
    return simulator.render(sequences=10, frames=2, seed=4, width=160, height=96)


@pytest.fixture(scope="module")
def prior(part: frames.Frames) -> box.Detections:
    fitted = baselines.fit(part, np.arange(len(part)), seed=0)
    return fitted[baselines.LOCATION_PRIOR].predict(part, np.arange(len(part)))


def perfect(part: frames.Frames) -> box.Detections:
    real = part.boxes.kind == box.OBJECT
    chosen = part.boxes.take(real)
    score = np.linspace(0.9, 0.6, len(chosen))
    return box.Detections.build(image=chosen.image, xyxy=chosen.xyxy, label=chosen.label, score=score)


def evaluated(part: frames.Frames, found: box.Detections, prior: box.Detections) -> document.Evaluation:
    history = pd.DataFrame(
        {"epoch": [1, 2], "loss": [2.0, 1.0], "validation_loss": [2.0, 1.5], "validation_metric": [0.1, 0.2]}
    )
    rule = decision.DecisionRule(
        class_names=part.class_names,
        threshold=0.5,
        rule="max_f1",
        fppi_budget=0.1,
        recall=0.5,
        precision=0.5,
        false_positives_per_image=0.1,
        fitted_on={"split": "validation", "n": 3},
    )
    data = sections.Data(
        source=part.name, split="test", unit="sequence", sha256=part.sha256, synthetic=part.synthetic, notes=part.notes
    )
    results = evaluate.evaluate(
        evaluate.Rows(frames=part, units=np.arange(len(part)) // 2),
        data,
        evaluate.Predictions(run="run", rule=rule, found=found, details={"Network": "made"}, history=history),
        region=lane.Region(),
        baselines={baselines.LOCATION_PRIOR: prior},
        resamples=100,
        seed=0,
    )
    return report.evaluation(results)


def test_a_detector_that_finds_everything_has_no_error(part: frames.Frames, prior: box.Detections) -> None:
    result = evaluated(part, perfect(part), prior)
    metrics = result.metrics["metrics"]
    assert metrics["map_50"]["value"] == pytest.approx(1.0)
    assert next(iter(metrics)) == "map_50"
    assert metrics["recall"]["value"] == metrics["precision"]["value"] == 1.0
    assert metrics["false_positives_per_image"]["value"] == 0
    assert set(result.metrics["errors"]["counts"].values()) == {0}
    assert result.metrics["baselines"][baselines.LOCATION_PRIOR]["map_50"]["value"] < 0.5
    assert result.metrics["differences"][baselines.LOCATION_PRIOR]["map_50"]["low"] > 0.3
    assert result.predictions["missed"].sum() == 0
    assert len(result.predictions) == len(part)
    assert "SYNTHETIC" in " ".join(result.metrics["notes"])
    page = document.render(result.report)
    assert "finds 100% of the obstacles" in page


def test_a_detector_that_finds_nothing_misses_everything(part: frames.Frames, prior: box.Detections) -> None:
    nothing = box.Detections.build(image=[], xyxy=np.zeros((0, 4)), label=[], score=[])
    result = evaluated(part, nothing, prior)
    metrics = result.metrics["metrics"]
    assert metrics["map_50"]["value"] == 0
    assert metrics["log_average_miss_rate"]["value"] == pytest.approx(1.0)
    assert result.metrics["errors"]["counts"]["missed"] == result.metrics["data"]["objects"]
    assert (result.predictions["decision"] == lane.CLEAR).all()
    assert "The worst misses" in document.render(result.report)


def test_false_alarms_and_decisions_are_told_for_each_image(part: frames.Frames, prior: box.Detections) -> None:
    good = perfect(part)
    alarm = box.Detections.build(
        image=np.concatenate([good.image, [3]]),
        xyxy=np.concatenate([good.xyxy, [[60.0, 40, 100, 95]]]),
        label=np.concatenate([good.label, [0]]),
        score=np.concatenate([good.score, [0.99]]),
    )
    table = evaluated(part, alarm, prior).predictions
    assert table["false_alarms"].sum() <= 1
    assert table.loc[3, "decision"] == lane.AHEAD
    boxes = json.loads(str(table.loc[3, "boxes"]))
    assert {"class": "car", "score": 0.99, "xyxy": [60.0, 40.0, 100.0, 95.0]} in boxes


def with_equal_scores(part: frames.Frames) -> tuple[frames.Frames, box.Detections]:
    found = perfect(part)
    return part, dataclasses.replace(found, score=np.full(len(found), 0.75, np.float32))


def with_one_class(part: frames.Frames) -> tuple[frames.Frames, box.Detections]:
    found = perfect(part)
    kept = dataclasses.replace(part, boxes=part.boxes.take(part.boxes.label == part.class_names.index("car")))
    return kept, found


def with_one_object(part: frames.Frames) -> tuple[frames.Frames, box.Detections]:
    first = np.flatnonzero(part.boxes.kind == box.OBJECT)[:1]
    return dataclasses.replace(part, boxes=part.boxes.take(first)), box.Detections.build(
        image=[], xyxy=[], label=[], score=[]
    )


@pytest.mark.parametrize("degenerate", [with_equal_scores, with_one_class, with_one_object])
def test_degenerate_parts_are_evaluated_without_a_traceback(
    part: frames.Frames, prior: box.Detections, degenerate: Any
) -> None:
    few, found = degenerate(part)
    result = evaluated(few, found, prior)
    for name, each in result.metrics["metrics"].items():
        assert each["low"] <= each["value"] <= each["high"], name
    assert document.render(result.report)
    points = result.metrics["operating_points"]
    budgets = {point["name"]: point["false_positives_per_image"] for point in points[1:]}
    assert all(rate <= float(name.split()[0]) for name, rate in budgets.items())


def test_a_part_without_obstacles_is_refused_in_one_sentence(part: frames.Frames, prior: box.Detections) -> None:
    empty = dataclasses.replace(part, boxes=part.boxes.take(np.empty(0, np.int64)))
    with pytest.raises(errors.InputError, match=r"expected labelled obstacles .* Received: 10 units with 0 obstacles"):
        evaluated(empty, prior, prior)
    assert len(baselines.fit(empty, np.arange(4), seed=0)[baselines.LOCATION_PRIOR].score) == 0


def test_what_cannot_be_evaluated_is_refused(part: frames.Frames, prior: box.Detections) -> None:
    one = part.take(np.array([0, 1]))
    with pytest.raises(errors.InputError, match="at least two units"):
        evaluated(one, perfect(one), prior.take(prior.image < 2))


def test_intervals_hold_the_value_and_narrow_with_more_units(part: frames.Frames) -> None:
    real = perfect(part)
    half = real.take(np.arange(len(real)) % 2 == 0)
    found = detector_metrics.evaluate(part, np.arange(len(part)), half, 0.5, resamples=200, seed=0).with_intervals
    assert found["recall"].low < found["recall"].value < found["recall"].high
    assert found["recall"].value == pytest.approx(0.5, abs=0.02)
    wide = detector_metrics.evaluate(part, np.arange(len(part)) // 10, half, 0.5, resamples=200, seed=0).with_intervals
    assert all(each.low <= each.value <= each.high for each in wide.values())


def test_several_sources_are_also_told_apart(part: frames.Frames, prior: box.Detections) -> None:
    two = dataclasses.replace(part, sources=np.arange(len(part)) // 10, source_names=("near", "far"))
    found = perfect(two)
    # In the second source nothing is found.
    result = evaluated(two, found.take(found.image < 10), prior)
    assert result.metrics["sources"]["near"]["map_50"]["value"] == pytest.approx(1.0)
    assert result.metrics["sources"]["far"]["map_50"]["value"] == 0
    assert 0 < result.metrics["metrics"]["map_50"]["value"] < 1
    assert "in each source alone" in document.render(result.report)


def test_the_usual_places_are_where_objects_were(part: frames.Frames) -> None:
    rows = np.arange(10)
    fitted = baselines.fit(part, rows, seed=0)[baselines.LOCATION_PRIOR]
    assert (fitted.score <= 1).all()
    assert (fitted.xyxy[:, 2:] > fitted.xyxy[:, :2]).all()
    found = fitted.predict(part, np.array([3, 5]))
    assert set(found.image.tolist()) == {0, 1}
    first, second = (found.take(found.image == image) for image in (0, 1))
    assert first.xyxy.tolist() == second.xyxy.tolist()
    again = baselines.fit(part, rows, seed=0)[baselines.LOCATION_PRIOR]
    assert again.xyxy.tolist() == fitted.xyxy.tolist()
