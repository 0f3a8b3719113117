"""NumPy and graph say the same of logits, for one label and for several findings."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from apps.medical_imaging import decision, graph

pytestmark = pytest.mark.tensorflow


def drawn(k: int, *, task: str, n: int = 400) -> tuple[Any, Any]:
    generator = np.random.default_rng(k)
    if task == "single_label":
        labels = np.eye(k, dtype=np.float32)[generator.integers(0, k, n)]
    else:
        labels = (generator.random((n, k)) < 0.3).astype(np.float32)
    logits = (generator.normal(size=(n, k)) * 2 + 3 * labels).astype(np.float32)
    return logits, labels


def rule_of(k: int, *, task: str, rule: str = "equal_margin") -> Any:
    logits, labels = drawn(k, task=task)
    if task == "multi_label":
        labels[::7, 0] = np.nan
    names = tuple(f"c{i}" for i in range(k))
    return decision.fit(
        logits, labels, task=task, class_names=names, rule=rule, alpha=0.1, fitted_on={"n": len(logits)}
    )


@pytest.mark.parametrize(("k", "task"), [(2, "single_label"), (4, "single_label"), (3, "multi_label")])
def test_the_graph_says_what_numpy_says(k: int, task: str) -> None:
    rule = rule_of(k, task=task)
    inputs = keras.Input((1, 1, k), name="image")
    model = keras.Model(inputs, keras.layers.Flatten()(inputs))
    logits = drawn(k, task=task)[0].round()
    valid = np.arange(len(logits)) % 5 != 0
    expected = decision.predictions(rule, logits, valid)
    # The graph takes whole grey values: here logits, which were rounded for it.
    said = graph.predictions(model, rule)(tf.constant(logits[:, None, None, :]), tf.constant(valid))
    assert said["scores"].numpy() == pytest.approx(expected["scores"], abs=1e-5)
    for name in ("labels", "decision"):
        assert [value.decode() for value in said[name].numpy()] == expected[name].tolist()
    assert set(expected["decision"][~valid]) == {decision.INVALID}
    assert not expected["scores"][~valid].any()


def test_a_rule_survives_its_json_file() -> None:
    for task in ("single_label", "multi_label"):
        rule = rule_of(2, task=task)
        assert decision.from_json(rule.to_json()) == rule


def test_an_image_without_findings_says_so_and_several_are_joined() -> None:
    rule = rule_of(3, task="multi_label")
    scores = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 1.0]])
    assert rule.labels(scores).tolist() == ["No Finding", "c0|c2"]


def test_a_finding_that_validation_never_shows_is_named_and_called_from_one_half_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logits, labels = drawn(3, task="multi_label")
    labels[:, 1] = 0
    names = ("c0", "c1", "c2")
    rule = decision.fit(
        logits, labels, task="multi_label", class_names=names, rule="equal_margin", alpha=0.1, fitted_on={}
    )
    assert isinstance(rule, decision.MultiLabelDecision)
    assert (rule.temperatures[1], rule.thresholds[1]) == (1.0, 0.5)
    assert "c1" in caplog.text


def test_the_robust_threshold_stands_between_the_classes_and_argmax_at_one_half() -> None:
    assert rule_of(2, task="single_label").threshold is not None
    assert rule_of(2, task="single_label", rule="argmax").threshold is None


def test_a_validation_part_of_one_class_gives_a_rule_without_calibration_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    labels = np.eye(2, dtype=np.float32)[np.ones(30, int)]
    rule = decision.fit(
        np.random.default_rng(0).normal(size=(30, 2)),
        labels,
        task="single_label",
        class_names=("normal", "opacity"),
        rule="equal_margin",
        alpha=0.1,
        fitted_on={},
    )
    assert "one class only" in caplog.text
    assert rule.scores([[0.0, np.log(3.0)]])[0].tolist() == pytest.approx([0.25, 0.75])
    assert rule.decisions(np.array([[0.25, 0.75], [0.6, 0.4]])).tolist() == ["opacity", "normal"]
