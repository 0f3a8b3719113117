"""Encodings of columns: what they say of numbers, missing ones, and outliers."""

import itertools
from typing import Any

import keras
import numpy as np
import pytest

from shared.models import tabular

pytestmark = pytest.mark.tensorflow


@pytest.fixture
def numbers() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.stack([rng.lognormal(3, 1, 5_000), rng.poisson(1, 5_000), np.ones(5_000)], axis=1).astype(np.float32)


def encoded(layer: Any, numbers: np.ndarray) -> np.ndarray:
    return np.asarray(layer(numbers))


def test_piecewise_linear_encoding_is_the_formula(numbers: np.ndarray) -> None:
    edges = tabular.quantile_edges(numbers)
    found = encoded(tabular.PiecewiseLinear(edges), numbers[:50])
    expected = [
        [
            min(max((row[column] - low) / (high - low), 0), 1)
            for column, bins in enumerate(edges)
            for low, high in itertools.pairwise(bins)
        ]
        for row in numbers[:50]
    ]
    assert found == pytest.approx(np.array(expected), abs=1e-4)


def test_encodings_rise_with_the_number_and_end_at_the_training_range(numbers: np.ndarray) -> None:
    layer = tabular.PiecewiseLinear(tabular.quantile_edges(numbers[:, :1]))
    total = encoded(layer, np.sort(numbers[:, :1], axis=0)).sum(axis=1)
    assert (np.diff(total) >= -1e-4).all()
    beyond = encoded(layer, np.array([[-1e9], [1e9]], np.float32))
    assert (beyond[0] == 0).all()
    assert (beyond[1] == 1).all()


def test_a_missing_number_is_zero_everywhere(numbers: np.ndarray) -> None:
    missing = np.full((1, 3), np.nan, np.float32)
    for layer in (
        tabular.PiecewiseLinear(tabular.quantile_edges(numbers)),
        tabular.Standardize(*tabular.standard_scale(numbers)),
    ):
        assert (encoded(layer, missing) == 0).all()


def test_standardized_columns_have_mean_0_and_deviation_1_and_no_far_outliers(numbers: np.ndarray) -> None:
    layer = tabular.Standardize(*tabular.standard_scale(numbers))
    found = encoded(layer, numbers)
    assert found[:, 1].mean() == pytest.approx(0, abs=1e-3)
    assert found[:, 1].std() == pytest.approx(1, abs=1e-3)
    assert (found[:, 2] == 0).all()
    assert np.abs(encoded(layer, numbers * 1e6)).max() == 10


def test_scales_are_of_the_numbers_that_are_known(numbers: np.ndarray) -> None:
    gaps = np.concatenate([numbers, np.full((100, 3), np.nan, np.float32)])
    assert tabular.standard_scale(gaps) == tabular.standard_scale(numbers)
    assert tabular.quantile_edges(gaps) == tabular.quantile_edges(numbers)
    assert tabular.quantile_edges(np.full((3, 1), np.nan)) == [[0.0, 1.0]]


def test_a_saved_model_encodes_alike(numbers: np.ndarray, tmp_path: Any) -> None:
    tensor = keras.Input((3,), name="numbers")
    parts = [
        tabular.Standardize(*tabular.standard_scale(numbers))(tensor),
        tabular.PiecewiseLinear(tabular.quantile_edges(numbers))(tensor),
    ]
    model = keras.Model(tensor, keras.layers.Concatenate()(parts))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", compile=False)
    assert np.array_equal(encoded(model, numbers), encoded(again, numbers))


def test_each_name_has_its_vector() -> None:
    categories = keras.Input((2,), dtype="int32")
    model = keras.Model(categories, tabular.embed(categories, {"channel": 4, "a b": 300}))
    found = encoded(model, np.array([[1, 5], [1, 6], [2, 5]], np.int32))
    assert found.shape == (3, 3 + 8)
    assert np.array_equal(found[0, :3], found[1, :3])
    assert not np.array_equal(found[0, 3:], found[1, 3:])
