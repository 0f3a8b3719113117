"""What is monitored of texts."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from apps.sentiment import monitor

pytestmark = pytest.mark.tensorflow


def test_texts_are_compared_by_missing_ones_length_unknown_words_and_what_is_predicted() -> None:
    predicted = {
        "scores": tf.constant([[0.9, 0.1], [0.4, 0.6]]),
        "labels": tf.constant(["negative", "positive"]),
        "decision": tf.constant(["negative", "abstain"]),
    }
    statistics = {"length": tf.constant([7, 0]), "out_of_vocabulary": tf.constant([0.5, 0.0])}
    found = {name: values.numpy() for name, values in monitor.columns(predicted, statistics).items()}
    assert list(found) == list(monitor.COLUMNS)
    assert found["missing"].tolist() == [b"no", b"yes"]
    assert found["length"].tolist() == [7.0, 0.0]
    assert found["length"].dtype == np.float32
    assert found["out_of_vocabulary"].tolist() == [0.5, 0.0]
    assert found["score"] == pytest.approx([0.1, 0.6])
    assert found["label"].tolist() == [b"negative", b"positive"]
    assert found["abstained"].tolist() == [b"no", b"yes"]


def test_texts_are_asked_about_the_short_ones_together_and_come_back_in_their_order() -> None:
    asked: list[list[int]] = []

    def ask(inputs: Any) -> dict[str, np.ndarray]:
        asked.append([len(text) for text in inputs["text"]])
        return {"length": np.array(asked[-1])}

    texts = np.array(["x" * (row * 7 % 300) for row in range(300)], object)
    assert monitor.drift_columns(ask, texts)["length"].tolist() == [len(text) for text in texts]
    assert [len(part) for part in asked] == [256, 44]
    assert asked[0] == sorted(asked[0])
