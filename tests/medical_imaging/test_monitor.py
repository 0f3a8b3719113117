"""The columns of the drift check: those of the graph against NumPy and values known beforehand."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from apps.medical_imaging import decision, graph, monitor
from shared import decision as decisions
from shared.evaluation import drift

pytestmark = pytest.mark.tensorflow

SQUARES = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)


RULE = decisions.Decision(
    class_names=("a", "b"), temperature=1.0, threshold=0.5, rule="given", alpha=0.1, quantile=0.5, fitted_on={}
)
FINDINGS = decision.MultiLabelDecision(
    class_names=("Edema", "Effusion", "Mass? 5 % (left/right)"),
    temperatures=(1.0,) * 3,
    thresholds=(0.5, 0.6, 0.5),
    rule="given",
    alpha=0.1,
    quantiles=(0.5,) * 3,
    fitted_on={},
)


def predicted(labels: list[str], scores: list[list[float]], decision: list[str] | None = None) -> dict[str, Any]:
    valid = [label != "invalid" for label in labels]
    return {"scores": scores, "labels": labels, "decision": decision or labels, "valid": valid}


def columns(values: dict[str, Any], rule: decision.Rule) -> dict[str, np.ndarray]:
    tensors = {name: tf.constant(values) for name, values in values.items()}
    found = graph.drift_columns(tensors, tf.constant(SQUARES), rule)
    assert set(found) <= set(monitor.column_names(rule.class_names))
    return {name: values.numpy() for name, values in found.items()}


def test_one_label_per_image_is_compared_by_its_name_and_the_last_class() -> None:
    scores = [[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]]
    found = columns(predicted(["a", "b", "b"], scores, ["a", "abstain", "b"]), RULE)
    assert found["label"].tolist() == [b"a", b"b", b"b"]
    assert found["abstained"].tolist() == [b"no", b"yes", b"no"]
    assert found["score"] == pytest.approx([0.1, 0.8, 0.6])


def test_several_findings_are_compared_each_by_itself_and_by_their_number() -> None:
    scores = [[0.9, 0.7, 0.2], [0.1, 0.1, 0.1], [0.0, 0.0, 0.0]]
    found = columns(predicted(["Edema|Effusion", "No Finding", "invalid"], scores), FINDINGS)
    assert found["label"].tolist() == [b"2", b"0", b"invalid"]
    assert found["score_Effusion"] == pytest.approx([0.7, 0.1, 0.0])
    assert found["called_Effusion"].tolist() == [b"yes", b"no", b"invalid"]
    assert found["called_Mass? 5 % (left/right)"].tolist() == [b"no", b"no", b"invalid"]


def test_one_finding_in_the_place_of_another_is_drift_though_their_number_stays() -> None:
    """Planted change: the count of findings and the mean score are as before."""
    before = columns(predicted(["Edema"] * 3, [[0.9, 0.1, 0.1]] * 3), FINDINGS)
    after = columns(predicted(["Effusion"] * 3, [[0.1, 0.9, 0.1]] * 3), FINDINGS)
    reference = drift.reference({name: np.tile(values, 40) for name, values in before.items()})
    rows = drift.compare(reference, {name: np.tile(values, 40) for name, values in after.items()})
    drifted = {row["name"] for row in rows if row["drift"]}
    assert drifted == {f"{kind}_{name}" for kind in ("score", "called") for name in ("Edema", "Effusion")}


def test_pictures_that_stand_on_their_head_are_drift() -> None:
    """Every grey value is as before: only where it lies has changed."""
    generator = np.random.default_rng(1)
    shaded = generator.integers(0, 60, (120, 8, 8, 1)) + np.linspace(0, 150, 8)[:, None, None]
    valid = tf.ones(120, tf.bool)
    statistics = [
        {name: values.numpy() for name, values in graph.image_statistics(tf.constant(squares), valid).items()}
        for squares in (shaded.astype(np.uint8), shaded[:, ::-1].astype(np.uint8), shaded[:, :, ::-1].astype(np.uint8))
    ]
    compared = [drift.compare(drift.reference(statistics[0]), after) for after in statistics[1:]]
    drifted = [{row["name"] for row in rows if row["drift"]} for rows in compared]
    assert drifted == [{"upper_minus_lower"}, set()]


def test_exposure_is_measured_of_grey_values_from_0_to_1_and_is_0_for_what_is_no_image() -> None:
    found = columns(predicted(["a", "b", "invalid"], [[0.5, 0.5]] * 3), RULE)
    for row in range(2):
        grey = SQUARES[row, ..., 0] / 255
        edges = [
            abs(4 * grey[y, x] - grey[y - 1, x] - grey[y + 1, x] - grey[y, x - 1] - grey[y, x + 1])
            for y in range(1, 7)
            for x in range(1, 7)
        ]
        expected = (grey.mean(), grey.std(), np.mean(edges))
        assert [found[name][row] for name in ("brightness", "contrast", "sharpness")] == pytest.approx(expected)
    assert found["brightness"][2] == found["contrast"][2] == found["sharpness"][2] == 0


def test_images_are_asked_about_a_part_at_a_time_and_arrays_become_files() -> None:
    asked = []

    def ask(inputs: Any) -> dict[str, np.ndarray]:
        asked.append(len(inputs["image_bytes"]))
        return {"first": np.array([given[:4] for given in inputs["image_bytes"]], object)}

    found = monitor.drift_columns(ask, [b"file"] * 70 + [np.zeros((4, 5, 1), np.float32)])
    assert asked == [64, 7]
    assert found["first"].tolist() == [b"file"] * 70 + [b"\x89PNG"]
