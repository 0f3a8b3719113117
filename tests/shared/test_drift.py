import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from shared.evaluation import drift


def row_of(before, after, **options):
    return drift.compare(json.loads(json.dumps(drift.reference({"x": before}))), {"x": after}, **options)[0]


@given(
    st.lists(st.integers(-5, 5), min_size=1, max_size=40),
    st.lists(st.integers(-7, 7), min_size=1, max_size=40),
)
def test_the_distance_is_the_widest_gap_of_the_two_distribution_functions_ties_included(before, after):
    gaps = [abs(np.mean(np.array(before) <= x) - np.mean(np.array(after) <= x)) for x in range(-8, 9)]
    assert row_of(before, after)["ks"] == pytest.approx(max(gaps))


def test_distance_and_p_value_equal_those_of_scipy_for_continuous_values():
    generator = np.random.default_rng(0)
    before, after = generator.normal(size=300), generator.normal(0.2, 1, size=200)
    expected = stats.ks_2samp(before, after, method="asymp")
    row = row_of(before, after)
    assert row["ks"] == pytest.approx(expected.statistic)
    assert row["p"] == pytest.approx(expected.pvalue, rel=1e-6)


def test_a_long_reference_is_thinned_and_its_distance_stays_within_a_grid_step_below():
    generator = np.random.default_rng(1)
    before, after = generator.normal(size=20_000), generator.normal(0.3, 1, size=1000)
    exact = stats.ks_2samp(before, after, method="asymp").statistic
    assert exact - 2 / drift.GRID <= row_of(before, after)["ks"] <= exact + 1e-12
    assert len(json.dumps(drift.reference({"x": before}))) < 40_000


def test_psi_equals_the_symmetrised_divergence_of_scipy():
    before, after = np.array([30.0, 50, 20]), np.array([10.0, 60, 40])
    p, q = ((side + 0.5) / (side + 0.5).sum() for side in (before, after))
    assert drift.psi(before, after) == pytest.approx(stats.entropy(p, q) + stats.entropy(q, p))
    assert drift.psi(before, after) != drift.psi(after + 100, before)
    assert drift.psi(after, before) == pytest.approx(drift.psi(before, after))


def test_holm_equals_the_textbook_step_down():
    p_values = np.random.default_rng(0).random(8) / 20
    expected, largest = {}, 0.0
    for step, i in enumerate(np.argsort(p_values)):
        largest = max(largest, min(1.0, (8 - step) * p_values[i]))
        expected[i] = largest
    assert drift.holm(p_values.tolist()) == pytest.approx([expected[i] for i in range(8)])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (np.linspace(0, 1, 500), np.linspace(0.4, 1.4, 300)),  # shift
        (np.random.default_rng(0).normal(size=800), 2 * np.random.default_rng(1).normal(size=800)),  # spread
        ([5.0] * 200, [3.0] * 200),  # a constant that moved down
        ([5.0] * 200, [7.0] * 200),  # ... and up
        ([0.0] * 90 + [10.0] * 110, [0.0] * 90 + [7.0] * 110),  # a heavy value that moved between two cells
        ([1.0] * 200, [1.0] * 120 + [math.nan] * 80),  # values that went missing
        (["a"] * 150 + ["b"] * 50, ["a"] * 50 + ["b"] * 150),  # label shift
        (["a"] * 200, ["new"] * 200),  # a category never seen
        (["a"] * 200, ["a"] * 120 + [None] * 80),
        ([True] * 150 + [False] * 50, [False] * 200),
    ],
)
def test_planted_drift_is_found(before, after):
    row = row_of(before, after)
    assert row["drift"] is True
    assert row["psi"] >= row["threshold"]
    assert row["p_adjusted"] <= 0.01


@pytest.mark.parametrize(
    "values",
    [
        np.linspace(0, 1, 400),
        [3.0] * 50,
        [math.nan] * 50,
        ["a", "b"] * 40,
        [None] * 40,
        np.array([True, False] * 30),
    ],
)
def test_the_reference_itself_never_drifts(values):
    row = row_of(values, values)
    assert (row["drift"], row["psi"]) == (False, pytest.approx(0))


def test_a_trifle_in_many_rows_is_significant_and_still_no_drift():
    generator = np.random.default_rng(2)
    row = row_of(generator.normal(size=50_000), generator.normal(0.05, 1, size=50_000))
    assert row["p"] < 1e-6
    assert row["drift"] is False


def test_noise_in_few_rows_raises_the_threshold_of_the_index():
    generator = np.random.default_rng(3)
    row = row_of(generator.normal(size=1000), generator.normal(size=25))
    assert row["threshold"] > 0.5
    assert row["drift"] is False


def columns(generator, n):
    return {
        **{f"normal {i}": generator.normal(size=n) for i in range(4)},
        "count": generator.poisson(3, size=n),
        "zero inflated": np.where(generator.random(n) < 0.6, 0, generator.exponential(size=n)),
        "gaps": np.where(generator.random(n) < 0.1, np.nan, generator.random(n)),
        "label": generator.choice(["a", "b", "c"], size=n, p=[0.6, 0.3, 0.1]),
    }


@pytest.mark.slow
@pytest.mark.parametrize("n", [60, 500])
def test_without_drift_a_comparison_of_many_columns_raises_an_alarm_no_oftener_than_alpha(n):
    alarms = rejected = 0
    for seed in range(400):
        generator = np.random.default_rng(seed)
        rows = drift.compare(
            drift.reference(columns(generator, 1000)), columns(generator, n), alpha=0.05, psi_threshold=0.0
        )
        alarms += any(row["drift"] for row in rows)
        rejected += any(row["p_adjusted"] <= 0.05 for row in rows)
    # 0.05 of 400 is 20, with a standard deviation of 4.4.
    assert alarms <= rejected <= 33


def test_the_order_of_the_rows_and_of_the_columns_does_not_matter():
    generator = np.random.default_rng(4)
    before, after = columns(generator, 300), columns(generator, 200)
    reference = drift.reference(before)
    plain = {row["name"]: row for row in drift.compare(reference, after)}
    order = generator.permutation(200)
    shuffled = {name: np.asarray(values)[order] for name, values in reversed(after.items())}
    backward = drift.compare(dict(reversed(reference.items())), shuffled)
    assert {row["name"]: row for row in backward} == plain


def test_rare_categories_are_counted_together():
    before = [str(i) for i in range(100)] + ["often"] * 100
    counts = drift.reference({"x": before}, categories=1)["x"]["counts"]
    assert counts == {"often": 100, drift.OTHER: 100}
    assert row_of(before, before)["drift"] is False


def test_extra_columns_are_ignored_and_rows_are_plain_json():
    rows = drift.compare(drift.reference({"x": [1.0, 2.0]}), {"x": [1.0], "y": [2.0]})
    assert [row["name"] for row in json.loads(json.dumps(rows))] == ["x"]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ({}, {}, "columns: expected at least one"),
        ({"x": []}, {}, r"x: expected a non-empty column"),
        ({"x": [[1.0]]}, {}, r"x: expected a non-empty column"),
        ({"x": [math.inf]}, {}, r"x: expected finite numbers"),
        ({"x": [1.0]}, {"y": [1.0]}, r"those of the reference\. Received: none for x"),
        ({"x": [1.0]}, {"x": ["a"]}, r"x: expected a numeric column\. Received: dtype object"),
        ({"x": ["a"]}, {"x": [1.0]}, r"x: expected a categorical column\. Received: dtype float64"),
    ],
)
def test_malformed_columns_are_named(before, after, message):
    with pytest.raises(ValueError, match=message):
        drift.compare(drift.reference(before), after)
