"""The compiled steps of the fused ensemble are what their plain definitions say."""

import itertools

import numpy as np
import pytest

from apps.fraud_detection import fused
from shared import errors

EDGES = [[0.0, 1.0, 4.0], [-2.0, -1.0, 0.0, 8.0], [5.0, 6.0]]
UNITS = 130


def ensemble() -> fused.Fused:
    """Three columns in six bins; one tower of 130 units and one more layer."""
    rng = np.random.default_rng(0)
    counts = [len(column) - 1 for column in EDGES]
    arrays: dict[str, np.ndarray] = {
        "low": np.concatenate([column[:-1] for column in EDGES]).astype(np.float32),
        "width": np.concatenate([np.diff(column) for column in EDGES]).astype(np.float32),
        "begins": np.cumsum([0, *counts], dtype=np.int64),
        "table": rng.normal(size=(sum(counts), UNITS)).astype(np.float32),
        "bias": rng.normal(size=UNITS).astype(np.float32),
        "tower_0_kernel_1": rng.normal(size=(UNITS, 1)).astype(np.float32),
        "tower_0_bias_1": rng.normal(size=1).astype(np.float32),
    }
    return fused.Fused.of(arrays, [1], slope=0.5, offset=-1.0)


def numbers() -> np.ndarray:
    drawn = np.random.default_rng(1).uniform(-4, 9, (40, 3)).astype(np.float32)
    drawn[:5, 0] = [np.nan, np.inf, -np.inf, 1.0, 4.0]
    return drawn


def encoded(given: np.ndarray) -> np.ndarray:
    """How far each number reaches into each bin, bin after bin."""
    columns = []
    for number, edges in zip(given.T, EDGES, strict=True):
        for low, high in itertools.pairwise(edges):
            reached = np.clip((number - low) / (high - low), 0, 1)
            columns.append(np.where(np.isnan(number), 0, reached))
    return np.stack(columns, axis=1)


def test_lines_of_a_table_are_the_product_with_all_bins() -> None:
    one, given = ensemble(), numbers()
    hidden = np.maximum(encoded(given) @ one.arrays["table"].astype(float) + one.arrays["bias"], 0)
    expected = 0.5 * (hidden @ one.arrays["tower_0_kernel_1"] + one.arrays["tower_0_bias_1"])[:, 0] - 1
    np.testing.assert_allclose(one.log_odds({"numbers": given}), expected, rtol=1e-4, atol=1e-4)
    scores = one.scores(len(given), lambda rows: {"numbers": given[rows]})
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-expected)), atol=1e-4)


def test_what_was_written_scores_as_before() -> None:
    one, given = ensemble(), {"numbers": numbers()}
    again = fused.Fused.from_json(one.to_json())
    np.testing.assert_array_equal(again.log_odds(given), one.log_odds(given))


@pytest.mark.parametrize("change", [{"shape": [3]}, {"values": "AAA"}, {"shape": [-1]}])
def test_a_file_with_a_broken_array_is_named(change: dict[str, object]) -> None:
    content = ensemble().to_json()
    content["arrays"]["bias"] |= change
    with pytest.raises(errors.InputError, match=r"fused\.json"):
        fused.Fused.from_json(content)


def test_a_sequence_is_read_step_by_step_and_padding_not_at_all() -> None:
    rng, units = np.random.default_rng(2), 8
    shapes: dict[str, tuple[int, ...]] = {"gru_kernel": (3, 24), "gru_recurrent": (8, 24), "gru_bias": (2, 24)}
    shapes |= {"attention_kernel": (8, 8), "attention_bias": (8,), "attention_query": (8,)}
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    sequence = rng.normal(size=(6, 5, 3)).astype(np.float32)
    lengths = [5, 3, 1, 2, 4, 0]
    for row, length in enumerate(lengths):
        sequence[row, length:] = 0
    found = fused.read_sequence(sequence, arrays)
    for row, length in enumerate(lengths):
        state, states, weights = np.zeros(units), [], []
        for step in range(max(length, 1)):
            came = sequence[row, step] @ arrays["gru_kernel"] + arrays["gru_bias"][0]
            kept = state @ arrays["gru_recurrent"] + arrays["gru_bias"][1]
            stay, reset = (1 / (1 + np.exp(-(came + kept)[each * units :][:units])) for each in (0, 1))
            state = stay * state + (1 - stay) * np.tanh(came[2 * units :] + reset * kept[2 * units :])
            states.append(state)
            looked = np.tanh(state @ arrays["attention_kernel"] + arrays["attention_bias"])
            weights.append(np.exp(looked @ arrays["attention_query"]))
        expected = np.average(states, axis=0, weights=weights)
        np.testing.assert_allclose(found[row], expected, atol=2e-6)


def test_the_hyperbolic_tangent_is_right_to_seven_digits() -> None:
    for value in np.linspace(-20, 20, 401, dtype=np.float32):
        assert abs(float(fused.tanh(value)) - np.tanh(float(value))) < 3e-7
