"""Losses against formulas written out by other hands: scikit-learn, Keras' one-hot losses, NumPy."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
import sklearn.metrics
from keras import ops
from scipy import special

from shared.models import losses

pytestmark = pytest.mark.tensorflow

GENERATOR = np.random.default_rng(5)
LOGITS = GENERATOR.normal(scale=2, size=(40, 4)).astype("float32")
LABELS = GENERATOR.integers(0, 4, 40)
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
ONE_HOT = np.eye(4, dtype="float32")[LABELS]


def test_cross_entropy_is_the_log_loss_of_scikit_learn() -> None:
    got = float(losses.by_name("cross_entropy", classes=4)(LABELS, LOGITS))
    assert got == pytest.approx(sklearn.metrics.log_loss(LABELS, PROBABILITIES), rel=1e-5)


def test_cross_entropy_with_smoothing_is_what_keras_computes_from_one_hot_labels() -> None:
    got = float(losses.by_name("cross_entropy", classes=4, label_smoothing=0.1)(LABELS, LOGITS))
    wanted = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)(ONE_HOT, LOGITS)
    assert got == pytest.approx(float(wanted), rel=1e-5)


def test_focal_loss_is_what_keras_computes_from_one_hot_labels_without_class_weights() -> None:
    got = float(losses.by_name("focal", classes=4, focusing=1.5)(LABELS, LOGITS))
    wanted = keras.losses.CategoricalFocalCrossentropy(alpha=1.0, gamma=1.5, from_logits=True)(ONE_HOT, LOGITS)
    assert got == pytest.approx(float(wanted), rel=1e-4)


def test_mse_is_the_brier_score_over_the_number_of_classes() -> None:
    got = float(losses.by_name("mse", classes=4)(LABELS, LOGITS))
    assert got == pytest.approx(np.square(PROBABILITIES - ONE_HOT).sum(axis=1).mean() / 4, rel=1e-5)


@pytest.mark.parametrize("name", ["cross_entropy", "focal", "mse"])
def test_labels_may_stand_in_a_column_and_rows_may_be_weighted(name: losses.LossName) -> None:
    loss = losses.by_name(name, classes=4)
    assert float(loss(LABELS[:, None], LOGITS)) == pytest.approx(float(loss(LABELS, LOGITS)))
    first_row_only = np.eye(1, 40)[0]
    weighted = float(loss(LABELS, LOGITS, sample_weight=first_row_only)) * 40
    assert weighted == pytest.approx(float(loss(LABELS[:1], LOGITS[:1])), rel=1e-5)


@pytest.mark.parametrize("name", ["cross_entropy", "focal", "mse"])
def test_a_loss_is_finite_and_nearly_zero_for_a_certain_right_answer(name: losses.LossName) -> None:
    loss = float(losses.by_name(name, classes=2, focusing=0.5)(np.array([1]), np.array([[-200.0, 200.0]], "float32")))
    assert loss == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("focusing", [0.5, 2.0])
def test_the_focal_gradient_is_finite_at_certain_answers(focusing: float) -> None:
    import tensorflow as tf

    logits = tf.Variable([[-200.0, 200.0], [200.0, -200.0]])
    with tf.GradientTape() as tape:
        loss = losses.FocalCrossEntropy(2, focusing=focusing)(np.array([1, 1]), logits)
    assert np.isfinite(tape.gradient(loss, logits)).all()


def test_unknown_labels_count_neither_in_the_loss_nor_in_its_gradient() -> None:
    import tensorflow as tf

    labels = np.array([[1.0, np.nan, 0.0], [np.nan, np.nan, 1.0]], dtype="float32")
    logits = tf.Variable([[0.3, 9.0, -1.2], [5.0, -5.0, 0.7]])
    with tf.GradientTape() as tape:
        loss = losses.MaskedBinaryCrossEntropy()(labels, logits)
    known = [(1, 0.3), (0, -1.2), (1, 0.7)]
    wanted = sum(np.log1p(np.exp(-logit if label else logit)) for label, logit in known) / 6
    assert float(loss) == pytest.approx(wanted, rel=1e-5)
    gradient = np.asarray(tape.gradient(loss, logits))
    assert (gradient[np.isnan(labels)] == 0).all()
    assert (gradient[~np.isnan(labels)] != 0).all()


def test_masked_binary_cross_entropy_without_unknown_labels_is_that_of_keras() -> None:
    labels = (LOGITS > 1).astype("float32")
    wanted = keras.losses.BinaryCrossentropy(from_logits=True)(labels, LOGITS)
    assert float(losses.MaskedBinaryCrossEntropy()(labels, LOGITS)) == pytest.approx(float(wanted), rel=1e-5)


@pytest.mark.parametrize(
    "loss",
    [
        losses.FocalCrossEntropy(4, focusing=1.5, label_smoothing=0.2),
        losses.BrierScore(4, label_smoothing=0.2),
        losses.MaskedBinaryCrossEntropy(),
    ],
)
def test_a_loss_survives_its_configuration(loss: keras.losses.Loss) -> None:
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert type(again) is type(loss)
    labels = ONE_HOT if isinstance(loss, losses.MaskedBinaryCrossEntropy) else LABELS
    assert float(again(labels, LOGITS)) == float(loss(labels, LOGITS))
    assert keras.saving.get_registered_name(type(loss)).startswith("fieldnets>")


def test_losses_are_computed_in_float32_from_half_precision_logits() -> None:
    half = ops.cast(LOGITS, "bfloat16")
    assert keras.backend.standardize_dtype(losses.by_name("focal", classes=4)(LABELS, half).dtype) == "float32"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: losses.by_name("hinge", classes=2), "mse. Received: 'hinge'"),  # type: ignore[arg-type]
        (lambda: losses.by_name("mse", classes=1), "at least 2 classes. Received: 1"),
        (lambda: losses.by_name("focal", classes=2, focusing=-1), "focusing of at least 0. Received: -1"),
        (lambda: losses.by_name("mse", classes=2, label_smoothing=1.0), r"in \[0, 1\). Received: 1.0"),
    ],
)
def test_an_argument_at_fault_is_named(make: Callable[[], object], message: str) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("name", ["cross_entropy", "focal", "mse"])
def test_shares_of_one_class_are_its_label_and_mixed_shares_are_mixed_terms(name: losses.LossName) -> None:
    generator = np.random.default_rng(4)
    logits, labels = generator.normal(size=(5, 3)).astype(np.float32), np.array([0, 2, 1, 1, 0])
    loss = losses.by_name(name, classes=3, label_smoothing=0.1)
    one_hot = np.eye(3, dtype=np.float32)[labels]
    assert float(loss(one_hot, logits)) == pytest.approx(float(loss(labels, logits)), rel=1e-6)
    mixed = 0.25 * one_hot + 0.75 * np.eye(3, dtype=np.float32)[(labels + 1) % 3]
    if name == "cross_entropy":
        smoothed = 0.9 * mixed + 0.1 / 3
        expected = -(smoothed * special.log_softmax(logits, axis=1)).sum(axis=1).mean()
        assert float(loss(mixed, logits)) == pytest.approx(expected, rel=1e-5)
