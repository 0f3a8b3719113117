"""What ``fieldnets explain-training`` says of one step of gradient descent is so."""

import importlib
import json
import pathlib
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps import __main__ as program
from shared import errors
from shared.training import by_hand
from tests import helpers


def _problem(rows: int = 40, seed: int = 0) -> by_hand.Problem:
    random = np.random.default_rng(seed)
    raw = random.normal(3, 2, (rows, 2))
    labels = (raw.sum(axis=1) > 6).astype(np.int64)
    labels[:2] = 0, 1
    return by_hand.Problem(
        title="t",
        features=("a", "b"),
        classes=("no", "yes"),
        raw=raw,
        labels=labels,
        names=[f"row {n}" for n in range(rows)],
    )


@given(seed=st.integers(0, 10_000), units=st.integers(1, 6), rows=st.integers(1, 9))
def test_the_chain_rule_gives_what_moving_each_weight_gives(seed: int, units: int, rows: int) -> None:
    random = np.random.default_rng(seed)
    inputs, labels = random.normal(size=(rows, 2)), random.integers(0, 2, rows)
    weights = by_hand.Weights.draw(units, seed=seed)._replace(first_bias=random.normal(0.3, 0.1, units))
    # Where a sum is as near to 0 as a nudge, ReLU has no slope.
    if np.abs(by_hand.forward(weights, inputs).before).min() < 1e-3:
        return
    slopes, moved = (method(weights, inputs, labels) for method in (by_hand.gradients, by_hand.by_finite_differences))
    for one, other in zip(slopes, moved, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-7)


@pytest.mark.tensorflow
def test_forward_loss_and_gradients_are_those_of_keras() -> None:
    import keras
    import tensorflow as tf

    from shared.models import dense, losses

    problem, weights = _problem(), by_hand.Weights.draw(5, seed=3)
    network = dense.build_dense(input_shape=(2,), classes=2, hidden_units=(5,))
    network.set_weights(list(weights))
    loss = losses.by_name("cross_entropy", classes=2)
    with tf.GradientTape() as tape:
        value = loss(problem.labels, network(problem.standardized.astype("float32")))
    expected = tape.gradient(value, network.trainable_variables)
    assert float(value) == pytest.approx(by_hand.loss(weights, problem.standardized, problem.labels), abs=1e-6)
    received = by_hand.gradients(weights, problem.standardized, problem.labels)
    for one, other in zip(received, expected, strict=True):
        np.testing.assert_allclose(one, keras.ops.convert_to_numpy(other), atol=1e-6)


def test_batch_descent_takes_one_step_a_pass_without_noise_and_stochastic_descent_one_a_row() -> None:
    problem, weights = _problem(), by_hand.Weights.draw(3, seed=0)
    batch, single = (
        by_hand.descend(weights, problem, batch_size=size, epochs=2, learning_rate=0.1, seed=0) for size in (40, 1)
    )
    assert (batch.steps, single.steps) == (1, 40)
    assert batch.noise == pytest.approx(0, abs=1e-12)
    assert single.noise > 0.1
    by_one_step = weights.step(by_hand.gradients(weights, problem.standardized, problem.labels), learning_rate=0.1)
    assert batch.losses[1] == pytest.approx(by_hand.loss(by_one_step, problem.standardized, problem.labels), abs=1e-12)


def test_a_problem_of_one_class_is_refused() -> None:
    with pytest.raises(errors.InputError, match="both classes"):
        by_hand.Problem(
            title="t",
            features=("a", "b"),
            classes=("no", "yes"),
            raw=np.zeros((2, 2)),
            labels=np.zeros(2, np.int64),
            names=["x", "y"],
        )


@pytest.mark.parametrize("app", helpers.APPS)
def test_the_page_of_every_app_follows_one_row_whose_loss_falls(
    app: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, page = app.replace("_", "-"), tmp_path / "page.html"
    assert program.main(["explain-training", "--app", name, "--output", str(page), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["loss_after"] < said["loss_before"]
    assert said["largest_difference"] < 1e-7
    text = page.read_text("utf-8")
    assert f"{said['loss_before']:.4f}" in text
    assert not re.search(r"(?:src|href)=\"https?:", text)


def test_the_question_of_an_app_has_both_classes_and_is_the_same_for_one_seed() -> None:
    lesson = importlib.import_module("apps.fraud_detection.lesson")
    first, second = lesson.problem(4), lesson.problem(4)
    np.testing.assert_array_equal(first.raw, second.raw)
    assert set(first.labels.tolist()) == {0, 1}
