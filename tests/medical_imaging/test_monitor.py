"""What drift is judged on: the columns of the graph against NumPy and values known beforehand."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from apps.medical_imaging import monitor

pytestmark = pytest.mark.tensorflow

SQUARES = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)


def said(labels: list[str], scores: list[list[float]], decision: list[str] | None = None) -> dict[str, Any]:
    valid = [label != "invalid" for label in labels]
    return {"scores": scores, "labels": labels, "decision": decision or labels, "valid": valid}


def columns(answers: dict[str, Any], *, several: bool) -> dict[str, np.ndarray]:
    tensors = {name: tf.constant(values) for name, values in answers.items()}
    found = monitor.columns(tensors, tf.constant(SQUARES), several=several)
    assert list(found) == list(monitor.COLUMNS)
    return {name: values.numpy() for name, values in found.items()}


def test_one_answer_per_image_is_compared_by_its_name_and_the_last_class() -> None:
    scores = [[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]]
    found = columns(said(["a", "b", "b"], scores, ["a", "abstain", "b"]), several=False)
    assert found["label"].tolist() == [b"a", b"b", b"b"]
    assert found["abstained"].tolist() == [b"no", b"yes", b"no"]
    assert found["score"] == pytest.approx([0.1, 0.8, 0.6])


def test_several_findings_are_compared_by_their_number_and_mean_score() -> None:
    scores = [[0.9, 0.7, 0.2], [0.1, 0.1, 0.1], [0.0, 0.0, 0.0]]
    found = columns(said(["Edema|Effusion", "No Finding", "invalid"], scores), several=True)
    assert found["label"].tolist() == [b"2", b"0", b"invalid"]
    assert found["score"] == pytest.approx([0.6, 0.1, 0.0])


def test_exposure_is_measured_of_grey_values_from_0_to_1_and_is_0_for_what_is_no_image() -> None:
    found = columns(said(["a", "b", "invalid"], [[0.5, 0.5]] * 3), several=False)
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

    found = monitor.measure(ask, [b"file"] * 70 + [np.zeros((4, 5, 1), np.float32)])
    assert asked == [64, 7]
    assert found["first"].tolist() == [b"file"] * 70 + [b"\x89PNG"]
