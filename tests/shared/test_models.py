"""Model builders: sizes worked out by hand, layers against NumPy loops, refusals that name the argument."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import scipy.special
from keras import ops

from shared.models import cnn, dense, rnn, sequences

pytestmark = pytest.mark.tensorflow

TOKENS = sequences.TokenEmbedding(vocabulary_size=1000, embedding_size=16)
GENERATOR = np.random.default_rng(11)
FEATURES = GENERATOR.normal(size=(3, 7, 4)).astype("float32")
STEPS = np.arange(7) < np.array([[7], [4], [1]])


def lstm(inputs: int, units: int) -> int:
    return 4 * units * (inputs + units + 1)


def attention(size: int) -> int:
    return size * size + size + size


GOLDEN: dict[str, tuple[Callable[[], keras.Model], int]] = {
    "dense": (
        lambda: dense.build_dense(input_shape=(10,), classes=3, hidden_units=(8, 4)),
        (10 + 1) * 8 + (8 + 1) * 4 + (4 + 1) * 3,
    ),
    "dense with batch normalization": (
        lambda: dense.build_dense(input_shape=(2, 5), classes=3, hidden_units=(8,), normalization="batch"),
        10 * 8 + 4 * 8 + (8 + 1) * 3,
    ),
    "logistic regression": (lambda: dense.build_dense(input_shape=(10,), classes=2, hidden_units=()), 11 * 2),
    "linear bag": (
        lambda: dense.build_bag(table=dense.BagTable(buckets=100), classes=2),
        100 + 100 + (1 + 1) * 2,  # weights, fixed factors, read-out
    ),
    "deep bag": (
        lambda: dense.build_bag(table=dense.BagTable(buckets=100, size=5), classes=3, hidden_units=(6,)),
        100 * 5 + 100 + (5 + 1) * 6 + (6 + 1) * 3,
    ),
    "image": (
        lambda: cnn.build_cnn(input_shape=(16, 16, 1), classes=3, stages=cnn.Stages(filters=(4, 8))),
        9 * 4 + 4 * 4 + 9 * 4 * 8 + 4 * 8 + (8 + 1) * 3,
    ),
    "residual signal": (
        lambda: cnn.build_cnn(
            input_shape=(None, 2),
            classes=2,
            stages=cnn.Stages(filters=(4,), residual=True, normalization=None),
        ),
        (3 * 2 + 1) * 4 + (3 * 4 + 1) * 4 + (2 + 1) * 4 + (4 + 1) * 2,
    ),
    "text cnn": (
        lambda: cnn.build_text_cnn(tokens=TOKENS, classes=2, windows=(3, 4, 5), filters=10, hidden_units=(7,)),
        16_000 + sum((width * 16 + 1) * 10 for width in (3, 4, 5)) + 31 * 7 + 8 * 2,
    ),
    "bidirectional lstm": (
        lambda: rnn.build_text_rnn(tokens=TOKENS, classes=2, recurrence=rnn.Recurrence(units=(8,))),
        16_000 + 2 * lstm(16, 8) + attention(16) + 17 * 2,
    ),
    "two lstm after downsampling": (
        lambda: rnn.build_text_rnn(
            tokens=TOKENS,
            classes=3,
            recurrence=rnn.Recurrence(units=(8, 6), bidirectional=False, pooling="mean", downsampling=4),
        ),
        16_000 + (5 * 16 + 1) * 8 + lstm(8, 8) + lstm(8, 6) + 7 * 3,
    ),
    "gru": (
        lambda: rnn.build_rnn(
            input_shape=(None, 5),
            classes=2,
            recurrence=rnn.Recurrence(cell="gru", units=(8,), bidirectional=False, pooling="last"),
        ),
        3 * 8 * (5 + 8 + 2) + 9 * 2,  # Keras' GRU has two biases per gate
    ),
    "simple rnn": (
        lambda: rnn.build_rnn(
            input_shape=(12, 5),
            classes=2,
            recurrence=rnn.Recurrence(cell="simple", units=(8,), pooling="max"),
        ),
        2 * 8 * (5 + 8 + 1) + 17 * 2,
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_the_number_of_parameters_is_the_one_worked_out_by_hand(name: str) -> None:
    build, parameters = GOLDEN[name]
    assert build().count_params() == parameters


@pytest.mark.parametrize("name", GOLDEN)
def test_every_input_and_layer_has_a_name_of_ours(name: str) -> None:
    build, _ = GOLDEN[name]
    first, second = build(), build()
    # Keras counts its own names on: they would differ from build to build.
    assert [layer.name for layer in first.layers] == [layer.name for layer in second.layers]
    assert first.name == second.name
    assert first.layers[-1].name == "logits"
    assert not getattr(first, "compiled", False)


def logits_of(model: keras.Model, inputs: Any) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(model(np.asarray(inputs), training=False)))


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh", "gelu"])
def test_a_dense_network_is_its_matrix_products(activation: Any) -> None:
    model = dense.build_dense(input_shape=(4,), classes=3, hidden_units=(5,), activation=activation)
    weights = [GENERATOR.normal(size=weight.shape).astype("float32") for weight in model.get_weights()]
    model.set_weights(weights)
    functions: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "relu": lambda x: np.maximum(x, 0),
        "sigmoid": scipy.special.expit,
        "tanh": np.tanh,
        "gelu": lambda x: x * scipy.special.ndtr(x),
    }
    x = FEATURES[0]
    wanted = functions[activation](x @ weights[0] + weights[1]) @ weights[2] + weights[3]
    np.testing.assert_allclose(logits_of(model, x), wanted, rtol=1e-4, atol=1e-5)


def test_a_table_of_naive_bayes_ratios_is_the_naive_bayes_classifier_before_training() -> None:
    likelihood = GENERATOR.dirichlet(np.ones(20), size=3).T
    ids = np.array([[3, 5, 5, 9], [1, 2, 0, 0]], dtype="int32")
    real = ids != 0
    wanted = (np.log(likelihood)[ids] * real[..., None]).sum(axis=1)
    table = dense.BagTable(buckets=20, size=3, initial_values=np.log(likelihood))
    np.testing.assert_allclose(logits_of(dense.build_bag(table=table, classes=3), ids), wanted, rtol=1e-5)

    ratio = np.log(likelihood[:, 1:2] / likelihood[:, :1])
    two = logits_of(dense.build_bag(table=dense.BagTable(buckets=20, initial_values=ratio), classes=2), ids)
    np.testing.assert_allclose(two[:, 1] - two[:, 0], wanted[:, 1] - wanted[:, 0], rtol=1e-4)


@pytest.mark.parametrize(("pooling", "power"), [("sum", 0), ("mean", 1), ("sqrtn", 0.5)])
def test_a_bag_adds_up_its_scaled_rows(pooling: Any, power: float) -> None:
    values, scale = GENERATOR.normal(size=(10, 2)), GENERATOR.uniform(size=10)
    table = dense.BagTable(buckets=10, size=2, pooling=pooling, initial_values=values, scale=scale)
    model = dense.build_bag(table=table, classes=2)
    wanted = (values[[4, 7, 7]] * scale[[4, 7, 7], None]).sum(axis=0) / 3**power
    np.testing.assert_allclose(logits_of(model, [[4, 0, 7, 7]])[0], wanted, rtol=1e-4)


def test_only_the_rows_of_a_bag_are_trained_not_their_scale() -> None:
    model = dense.build_bag(table=dense.BagTable(buckets=10, scale=np.arange(10.0)), classes=2)
    assert model.trainable_weights[0].path == "embedding/table"
    assert [weight.path for weight in model.non_trainable_weights] == ["embedding/scale"]


def test_the_mask_marks_real_steps_and_one_step_of_an_empty_row() -> None:
    layer = sequences.RealSteps()
    ids = np.array([[5, 3, 0], [0, 0, 0]], dtype="int32")
    wanted = [[True, True, False], [True, False, False]]
    np.testing.assert_array_equal(layer(ids), wanted)
    vectors = np.array([[[0, 5], [3, 0], [0, 0]], [[0, 0]] * 3], dtype="float32")
    np.testing.assert_array_equal(layer(vectors), wanted)


def test_pooling_over_time_sees_the_real_steps_only() -> None:
    rows = [FEATURES[row, : STEPS[row].sum()] for row in range(3)]
    got = sequences.MaxOverTime()(FEATURES, STEPS)
    np.testing.assert_allclose(got, [row.max(axis=0) for row in rows], rtol=1e-6)
    got = sequences.MeanOverTime()(FEATURES, STEPS)
    np.testing.assert_allclose(got, [row.mean(axis=0) for row in rows], rtol=1e-5, atol=1e-6)


def test_attention_pooling_is_the_published_formula() -> None:
    layer = sequences.AttentionPooling()
    got = layer(FEATURES, STEPS)
    kernel, bias, query = (np.asarray(weight, dtype=np.float64) for weight in layer.get_weights())
    for row, vector in enumerate(np.asarray(got)):
        x = FEATURES[row, : STEPS[row].sum()].astype(np.float64)
        weights = scipy.special.softmax((np.tanh(x @ kernel + bias) @ query)[:, 0])
        np.testing.assert_allclose(vector, weights @ x, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("factor", [2, 3, 7, 9])
def test_downsampling_keeps_the_highest_real_value_of_each_window(factor: int) -> None:
    x = np.abs(FEATURES)
    kept, steps = sequences.DownsampleMax(factor)(x, STEPS)
    starts = range(0, 7, factor)
    masked = np.where(STEPS[..., None], x, 0)
    np.testing.assert_array_equal(kept, np.stack([masked[:, s : s + factor].max(axis=1) for s in starts], axis=1))
    np.testing.assert_array_equal(steps, np.stack([STEPS[:, s : s + factor].any(axis=1) for s in starts], axis=1))


def test_a_text_cnn_is_a_loop_over_windows() -> None:
    tokens = sequences.TokenEmbedding(vocabulary_size=9, embedding_size=3)
    model = cnn.build_text_cnn(tokens=tokens, classes=2, windows=(3,), filters=4)
    vectors, kernel, bias, readout, offset = model.get_weights()
    padded = np.concatenate([np.zeros((1, 3)), vectors[[4, 2, 8]], np.zeros((1, 3))])
    windows = [np.einsum("wd,wdf->f", padded[start : start + 3], kernel) + bias for start in range(3)]
    wanted = np.maximum(windows, 0).max(axis=0) @ readout + offset
    np.testing.assert_allclose(logits_of(model, [[4, 2, 8, 0, 0]])[0], wanted, rtol=1e-4, atol=1e-6)


def test_last_pooling_is_the_state_after_the_last_real_step_in_each_direction() -> None:
    recurrence = rnn.Recurrence(cell="simple", units=(2,), pooling="last")
    model = rnn.build_rnn(input_shape=(None, 4), classes=2, recurrence=recurrence)
    kernel, recurrent, bias, kernel_back, recurrent_back, bias_back, readout, offset = model.get_weights()
    forward, backward = np.zeros(2), np.zeros(2)
    for x in FEATURES[1, :4]:
        forward = np.tanh(x @ kernel + forward @ recurrent + bias)
    for x in FEATURES[1, 3::-1]:
        backward = np.tanh(x @ kernel_back + backward @ recurrent_back + bias_back)
    wanted = np.concatenate([forward, backward]) @ readout + offset
    got = logits_of(model, np.where(STEPS[..., None], FEATURES, 0))
    np.testing.assert_allclose(got[1], wanted, rtol=1e-4, atol=1e-6)


def test_an_empty_text_among_others_has_finite_logits_and_gradients() -> None:
    model = rnn.build_text_rnn(tokens=TOKENS, classes=2, recurrence=rnn.Recurrence(units=(4,), downsampling=2))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.train_on_batch(np.array([[0, 0, 0], [4, 5, 6]], dtype="int32"), np.array([0, 1]))
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_dropout_acts_in_training_only() -> None:
    tokens = sequences.TokenEmbedding(vocabulary_size=30, embedding_size=8, dropout_rate=0.5)
    model = cnn.build_text_cnn(tokens=tokens, classes=2, filters=5)
    ids = np.arange(1, 21, dtype="int32").reshape(2, 10)
    np.testing.assert_array_equal(logits_of(model, ids), logits_of(model, ids))
    assert not np.array_equal(model(ids, training=True), model(ids, training=True))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_logits_stay_float32_under_mixed_precision(policy: str) -> None:
    keras.config.set_dtype_policy(policy)
    try:
        model = rnn.build_text_rnn(tokens=TOKENS, classes=2, recurrence=rnn.Recurrence(units=(4,), downsampling=2))
        other = dense.build_bag(table=dense.BagTable(buckets=1000, size=4), classes=3, hidden_units=(4,))
    finally:
        keras.config.set_dtype_policy("float32")
    ids = GENERATOR.integers(0, 1000, (2, 9)).astype("int32")
    for logits in (logits_of(model, ids), logits_of(other, ids)):
        assert logits.dtype == np.float32
        assert np.isfinite(logits).all()
    assert model.get_layer("pooling").compute_dtype == policy.removeprefix("mixed_")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: dense.build_dense(input_shape=(4,), classes=1), r"classes .* at least 2. Received: \(1,\)"),
        (
            lambda: dense.build_dense(input_shape=(4,), classes=2, activation="swish"),  # type: ignore[arg-type]
            "activation to be one of 'relu', .*Received: 'swish'",
        ),
        (
            lambda: dense.build_bag(table=dense.BagTable(buckets=9, scale=np.ones(8)), classes=2),
            r"scale of shape \(9,\). Received: \(8,\)",
        ),
        (lambda: cnn.build_cnn(input_shape=(9,), classes=2), r"2 or 3 dimensions .*Received: \(9,\)"),
        (lambda: cnn.build_cnn(input_shape=(4, 40, 1), classes=2), r"at least 8 .*Received: \(4, 40, 1\)"),
        (
            lambda: cnn.build_text_cnn(tokens=TOKENS, classes=2, dropout_rate=1.0),
            r"in \[0, 1\). Received: 1.0",
        ),
        (lambda: cnn.build_text_cnn(tokens=TOKENS, classes=2, windows=()), "windows .*Received: none"),
        (
            lambda: rnn.build_rnn(input_shape=(4,), classes=2),  # type: ignore[arg-type]
            r"2 dimensions without the batch. Received: \(4,\)",
        ),
        (
            lambda: rnn.build_text_rnn(tokens=TOKENS, classes=2, recurrence=rnn.Recurrence(units=())),
            "units .*Received: none",
        ),
    ],
)
def test_an_argument_at_fault_is_named(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
