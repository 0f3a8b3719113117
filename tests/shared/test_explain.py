"""Explanations against models whose contributions are known by other means."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies
from keras import ops

from shared.explain import gradients, sanity_checks
from shared.models import cnn, dense, sequences

pytestmark = pytest.mark.tensorflow

TABLE = np.random.default_rng(1).normal(size=(30, 1))
IDS = np.array([[3, 7, 7, 1, 12, 29], [5, 9, 2, 0, 0, 0]], dtype="int32")


def linear_model() -> keras.Model:
    return dense.build_bag(table=dense.BagTable(buckets=30, initial_values=TABLE), classes=2)


def quadratic_model() -> keras.Model:
    """Log-odds of class 1 = the sum of the squares."""
    inputs = keras.Input((3,))
    square = keras.layers.Lambda(lambda x: ops.sum(x * x, axis=-1, keepdims=True), output_shape=(1,))(inputs)
    zero = keras.layers.Lambda(lambda x: x * 0, output_shape=(1,))(square)
    return keras.Model(inputs, keras.layers.Concatenate()([zero, square]))


def logits_of(model: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    return lambda ids: ops.convert_to_numpy(model(ids, training=False))


def test_in_a_linear_model_each_token_contributes_its_weight() -> None:
    found = gradients.integrated_gradients(linear_model(), IDS, targets=np.array([1, 1]))
    np.testing.assert_allclose(found.values, np.where(IDS == 0, 0, TABLE[IDS, 0]), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found.baseline_score, 0, atol=1e-6)


def test_the_contributions_to_the_other_class_have_the_opposite_sign() -> None:
    model = linear_model()
    one, other = (gradients.integrated_gradients(model, IDS, targets=np.full(2, target)) for target in (0, 1))
    np.testing.assert_allclose(one.values, -other.values, rtol=1e-6)


def test_in_a_sum_of_squares_each_feature_contributes_its_square() -> None:
    inputs = np.array([[1.0, -2.0, 0.5]], dtype="float32")
    found = gradients.integrated_gradients(quadratic_model(), inputs, layer_name=None, targets=np.array([1]))
    np.testing.assert_allclose(found.values, inputs**2, rtol=1e-5)


def test_without_targets_the_predicted_classes_are_explained() -> None:
    model = linear_model()
    predicted = logits_of(model)(IDS).argmax(axis=1)
    np.testing.assert_array_equal(gradients.integrated_gradients(model, IDS).targets, predicted)


def test_contributions_of_a_text_cnn_add_up_and_leave_padding_out() -> None:
    keras.utils.set_random_seed(0)
    tokens = sequences.TokenEmbedding(vocabulary_size=30, embedding_size=4)
    model = cnn.build_text_cnn(tokens=tokens, classes=3, windows=(2, 3), filters=8)
    found = gradients.integrated_gradients(model, IDS)
    logits = logits_of(model)(IDS)
    np.testing.assert_allclose(found.score, sanity_checks.log_odds(logits, found.targets), rtol=1e-4, atol=1e-6)
    assert (found.completeness_error < 0.02).all()
    assert (found.values[1, 3:] == 0).all()
    assert (found.values[0] != 0).all()


def test_a_bent_score_gets_more_steps_until_the_contributions_add_up() -> None:
    inputs = keras.Input((1,))
    steep = keras.layers.Lambda(lambda x: 10 * ops.sigmoid(100 * (x - 0.31)), output_shape=(1,))(inputs)
    zero = keras.layers.Lambda(lambda x: x * 0, output_shape=(1,))(steep)
    model = keras.Model(inputs, keras.layers.Concatenate()([zero, steep]))
    point = np.ones((1, 1), dtype="float32")
    once = gradients.integrated_gradients(model, point, layer_name=None, steps=8, maximum_steps=8)
    found = gradients.integrated_gradients(model, point, layer_name=None, steps=8)
    assert once.completeness_error[0] > 0.02 >= found.completeness_error[0]
    assert found.steps[0] > 8


def test_the_gradient_is_that_of_each_row_alone() -> None:
    values, gradient = gradients.value_and_gradient(lambda x: ops.sum(x**3, axis=1), np.array([[1.0, 2.0], [3.0, 0.0]]))
    np.testing.assert_allclose(values, [9, 27])
    np.testing.assert_allclose(gradient, [[3, 12], [27, 0]])


def test_no_rows_are_refused() -> None:
    with pytest.raises(ValueError, match=r"at least one row to explain\. Received: 0"):
        gradients.integrated_gradients(linear_model(), IDS[:0])


def many_texts() -> np.ndarray:
    return np.random.default_rng(2).integers(1, 30, (40, 20)).astype("int32")


def test_true_contributions_pass_the_deletion_check_and_shuffled_ones_do_not() -> None:
    model, ids = linear_model(), many_texts()
    found = gradients.integrated_gradients(model, ids)
    assert sanity_checks.deletion(logits_of(model), ids, found).passed
    shuffled = np.random.default_rng(3).permuted(found.values, axis=1)
    planted = gradients.Attribution(
        values=shuffled,
        targets=found.targets,
        score=found.score,
        baseline_score=found.baseline_score,
        steps=found.steps,
    )
    assert (planted.completeness_error < 0.02).all()
    assert not sanity_checks.deletion(logits_of(model), ids, planted).passed


def test_the_fall_without_the_top_tokens_is_the_sum_of_their_weights() -> None:
    model, ids = linear_model(), many_texts()
    found = gradients.integrated_gradients(model, ids, targets=np.ones(len(ids), dtype=int))
    top = np.sort(TABLE[ids, 0], axis=1)[:, -4:].sum(axis=1)
    got = sanity_checks.deletion(logits_of(model), ids, found, fraction=0.2)
    np.testing.assert_allclose(got.top, top, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(got.random.mean(), TABLE[ids, 0].mean() * 4, atol=0.3)
    assert got.share_larger == np.mean(got.top > got.random)


@given(numpy_strategies.arrays("int32", (3, 6), elements=st.integers(1, 9)), st.integers(0, 2**18 - 1))
def test_removal_keeps_the_other_tokens_in_order(ids: np.ndarray, pattern: int) -> None:
    removed = np.array([(pattern >> bit) & 1 for bit in range(18)], dtype=bool).reshape(3, 6)
    for row, mask, got in zip(ids, removed, sanity_checks.remove(ids, removed), strict=True):
        kept = [token for token, gone in zip(row, mask, strict=True) if not gone]
        assert got.tolist() == kept + [0] * (6 - len(kept))


@pytest.mark.parametrize(("ids", "fraction"), [(np.array([[4, 0]]), 0.1), (np.array([[4, 5]]), 1.0)])
def test_a_check_without_anything_to_remove_is_refused(ids: np.ndarray, fraction: float) -> None:
    model = linear_model()
    found = gradients.integrated_gradients(model, ids.astype("int32"))
    with pytest.raises(ValueError, match="Received: "):
        sanity_checks.deletion(logits_of(model), ids, found, fraction=fraction)
