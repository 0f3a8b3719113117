"""What drift is judged on."""

import numpy as np
import pytest

from apps.medical_imaging import monitor

pytestmark = pytest.mark.tensorflow

MEASURED = {name: np.zeros(3) for name in ("brightness", "contrast", "sharpness")}


def said(labels: list[str], scores: np.ndarray) -> dict[str, np.ndarray]:
    answers = np.array(labels, object)
    return {**MEASURED, "scores": scores, "labels": answers, "decision": answers}


def test_one_answer_per_image_is_compared_by_its_name_and_the_last_class() -> None:
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]])
    found = monitor.columns(said(["a", "b", "b"], scores), several=False)
    assert found["label"].tolist() == ["a", "b", "b"]
    assert found["score"].tolist() == [0.1, 0.8, 0.6]


def test_several_findings_are_compared_by_their_number_and_mean_score() -> None:
    scores = np.array([[0.9, 0.7, 0.2], [0.1, 0.1, 0.1], [0.0, 0.0, 0.0]])
    found = monitor.columns(said(["Edema|Effusion", "No Finding", "invalid"], scores), several=True)
    assert found["label"].tolist() == ["2", "0", "invalid"]
    assert found["score"] == pytest.approx([0.6, 0.1, 0.0])
    assert set(found) == set(monitor.COLUMNS)
