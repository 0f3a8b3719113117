"""The Fréchet distance against its closed forms; the samples have exactly the moments asked for."""

import hypothesis
import numpy as np
import pytest
import scipy.linalg
from hypothesis import strategies as st

from shared.evaluation import frechet


def sample(mean: np.ndarray, root: np.ndarray, *, seed: int, rows: int = 50) -> np.ndarray:
    """Return rows whose sample mean is ``mean`` and whose sample covariance is ``root.T @ root``."""
    noise = np.random.default_rng(seed).normal(size=(rows, len(mean)))
    noise -= noise.mean(axis=0)
    white = noise @ np.linalg.inv(np.linalg.cholesky(np.cov(noise, rowvar=False)).T)
    return np.asarray(mean + white @ root)


numbers = st.floats(-5, 5, width=32)
vectors = st.lists(numbers, min_size=3, max_size=3).map(np.array)
spreads = st.lists(st.floats(0.125, 4, width=32), min_size=3, max_size=3).map(np.array)


@hypothesis.given(vectors, vectors, spreads, spreads)
def test_independent_columns_add_squared_differences_of_mean_and_of_deviation(
    mean_a: np.ndarray, mean_b: np.ndarray, deviation_a: np.ndarray, deviation_b: np.ndarray
) -> None:
    a, b = sample(mean_a, np.diag(deviation_a), seed=1), sample(mean_b, np.diag(deviation_b), seed=2)
    wanted = np.square(mean_a - mean_b).sum() + np.square(deviation_a - deviation_b).sum()
    assert frechet.frechet_distance(a, b) == pytest.approx(wanted, rel=1e-6, abs=1e-6)


@hypothesis.given(st.integers(0, 1000))
def test_correlated_columns_give_what_the_matrix_square_root_of_scipy_gives(seed: int) -> None:
    generator = np.random.default_rng(seed)
    root_a, root_b = generator.normal(size=(2, 4, 4))
    mean = generator.normal(size=4)
    s_a, s_b = root_a.T @ root_a, root_b.T @ root_b
    cross = scipy.linalg.sqrtm(s_a @ s_b).real
    wanted = mean @ mean + np.trace(s_a + s_b - 2 * cross)
    got = frechet.frechet_distance(sample(mean, root_a, seed=3), sample(np.zeros(4), root_b, seed=4))
    assert got == pytest.approx(wanted, rel=1e-4, abs=1e-4)


def test_equal_sets_have_no_distance_and_sides_may_change() -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 30, 5))
    assert frechet.frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet.frechet_distance(a, 2 * b) == pytest.approx(frechet.frechet_distance(2 * b, a))


def test_fewer_rows_than_columns_still_have_a_distance() -> None:
    a = np.random.default_rng(0).normal(size=(4, 9))
    assert frechet.frechet_distance(a, a + 2) == pytest.approx(9 * 4, rel=1e-6)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.ones((3, 2)), np.ones((3, 4)), "one width. Received: 2 and 4"),
        (np.ones((1, 2)), np.ones((3, 2)), "features_a: expected finite"),
        (np.ones((3, 2)), np.full((3, 2), np.nan), "features_b: expected finite"),
    ],
)
def test_features_at_fault_are_named(a: np.ndarray, b: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        frechet.frechet_distance(a, b)
