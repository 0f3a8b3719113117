"""Places among the training rows and back, in NumPy and in the graph."""

import json

import numpy as np
import pytest

from apps.fraud_detection import synthesis
from apps.fraud_detection.layers import Quantiles


@pytest.fixture
def numbers(rng: np.random.Generator) -> np.ndarray:
    amounts, counts = rng.lognormal(3, 1, 2_000), rng.poisson(2, 2_000)
    return np.stack([amounts, counts, np.ones(2_000)], axis=1).astype(np.float32)


def test_numbers_come_back_from_their_places(numbers: np.ndarray) -> None:
    found = Quantiles.learn(numbers, (20.0, 2.0, 1.0))
    places = found.places(numbers)
    assert places.min() >= -1
    assert places.max() <= 1
    back = found.numbers(places)
    assert np.array_equal(back[:, 1:], numbers[:, 1:])
    assert back[:, 0] == pytest.approx(numbers[:, 0], rel=1e-3)


def test_places_are_even_whatever_the_column_looks_like(numbers: np.ndarray) -> None:
    places = Quantiles.learn(numbers, (20.0, 2.0, 1.0)).places(numbers)
    assert np.quantile(places[:, 0], [0.25, 0.5, 0.75]) == pytest.approx([-0.5, 0, 0.5], abs=0.02)


def test_drawn_counts_are_whole_and_a_missing_number_is_typical(numbers: np.ndarray, rng: np.random.Generator) -> None:
    found = Quantiles.learn(numbers, (20.0, 2.0, 1.0))
    drawn = found.numbers(rng.uniform(-1, 1, (500, 3)).astype(np.float32))
    assert set(drawn[:, 1].tolist()) <= set(numbers[:, 1].tolist())
    missing = np.array([[np.nan, 2, 1]], np.float32)
    assert found.places(missing)[0, 0] == found.places(np.array([[20, 2, 1]], np.float32))[0, 0]


def test_quantiles_survive_their_file(numbers: np.ndarray) -> None:
    found = Quantiles.learn(numbers, (20.0, 2.0, 1.0))
    assert Quantiles.from_json(json.loads(json.dumps(found.to_json()))) == found


@pytest.mark.tensorflow
def test_the_graph_finds_the_same_places(numbers: np.ndarray) -> None:
    from apps.fraud_detection import layers

    found = Quantiles.learn(numbers, (20.0, 2.0, 1.0))
    numbers[0, 0] = np.nan
    layer = layers.Places(found.to_json())
    assert np.asarray(layer(numbers)) == pytest.approx(found.places(numbers), abs=1e-4)


def test_copies_are_found_and_fresh_rows_are_none(rng: np.random.Generator) -> None:
    train, holdout, fresh = (rng.normal(size=(400, 5)).astype(np.float32) for _ in range(3))
    copied = synthesis.memorisation(train.copy(), train, holdout, seed=0)
    honest = synthesis.memorisation(fresh, train, holdout, seed=0)
    assert (copied["copies"], copied["closeness"]) == (1.0, 1.0)
    assert honest["copies"] == 0
    assert honest["closeness"] == pytest.approx(0.5, abs=0.06)
