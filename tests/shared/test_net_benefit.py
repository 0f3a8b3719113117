import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize
from sklearn import metrics as sklearn_metrics

from shared.evaluation import bootstrap, classification, intervals, net_benefit


def example(seed, *, n=200, decimals=2):
    generator = np.random.default_rng(seed)
    y_true = (generator.random(n) < 0.3).astype(int)
    y_true[:2] = 0, 1
    return y_true, np.round(np.clip(generator.normal(0.35 + 0.25 * y_true, 0.15), 0, 1), decimals)


@given(seed=st.integers(0, 1000), threshold=st.floats(0.01, 0.99))
def test_net_benefit_equals_the_count_of_a_plain_loop(seed, threshold):
    y_true, score = example(seed, n=50)
    benefit = 0.0
    for label, value in zip(y_true, score, strict=True):
        if value >= threshold:
            benefit += 1 if label else -threshold / (1 - threshold)
    assert net_benefit.net_benefit_metric(threshold)(y_true, score) == pytest.approx(benefit / 50)


def test_acting_on_everyone_is_worth_the_prevalence_at_a_threshold_of_almost_nothing_and_nothing_at_prevalence():
    y_true, score = example(0)
    prevalence = y_true.mean()
    low, at = net_benefit.decision_curve(y_true, score, [1e-6, prevalence], resamples=20)
    assert low["everyone"].value == pytest.approx(prevalence, abs=1e-5)
    assert at["everyone"].value == pytest.approx(0, abs=1e-12)


@given(seed=st.integers(0, 1000), threshold=st.floats(0.05, 0.95))
def test_no_model_beats_a_perfect_one_and_that_is_worth_the_prevalence(seed, threshold):
    y_true, score = example(seed, n=60)
    metric = net_benefit.net_benefit_metric(threshold)
    assert metric(y_true, y_true.astype(float)) == pytest.approx(y_true.mean())
    assert metric(y_true, score) <= y_true.mean() + 1e-12


def test_the_gain_is_over_the_better_of_all_and_none():
    y_true, score = example(1)
    for row in net_benefit.decision_curve(y_true, score, [0.05, 0.2, 0.5, 0.8], resamples=20):
        best = max(row["everyone"].value, 0.0)
        assert row["gain"].value == pytest.approx(row["model"].value - best)


def test_a_good_model_is_useful_somewhere_and_a_constant_one_nowhere():
    y_true, score = example(2)
    grid = [0.1, 0.2, 0.3, 0.4, 0.5]
    useful = net_benefit.useful_range(net_benefit.decision_curve(y_true, score, grid, resamples=200))
    assert useful is not None
    assert useful[0] < y_true.mean() < useful[1]
    constant = np.full(len(y_true), y_true.mean())
    assert net_benefit.useful_range(net_benefit.decision_curve(y_true, constant, grid, resamples=200)) is None


@pytest.mark.parametrize("threshold", [0.0, 1.0, -1.0])
def test_a_threshold_that_is_no_probability_is_refused(threshold):
    with pytest.raises(ValueError, match="threshold: expected"):
        net_benefit.net_benefit_metric(threshold)


def delong_by_loops(y_true, score):
    """The variance as the paper writes it, with explicit pairs."""
    upper, lower = score[y_true == 1], score[y_true == 0]
    kernel = (upper[:, None] > lower[None, :]) + 0.5 * (upper[:, None] == lower[None, :])
    ten, one = kernel.mean(axis=1), kernel.mean(axis=0)
    return kernel.mean(), ten.var(ddof=1) / len(upper) + one.var(ddof=1) / len(lower)


def hanley_and_mcneil(area, upper, lower):
    """The variance that Newcombe 2006 puts in his method 5, in the words of the paper: Q1, Q2 and the mean size."""
    first, second, size = area / (2 - area), 2 * area**2 / (1 + area), (upper + lower) / 2
    return (area * (1 - area) + (size - 1) * (first - area**2) + (size - 1) * (second - area**2)) / (upper * lower)


@given(seed=st.integers(0, 1000), decimals=st.sampled_from([1, 2, 8]))
def test_the_ends_of_auroc_are_1_96_of_their_own_standard_errors_from_the_estimate(seed, decimals):
    y_true, score = example(seed, n=80, decimals=decimals)
    found = intervals.delong(y_true, score)
    area, variance = delong_by_loops(y_true, score)
    assert found.value == pytest.approx(sklearn_metrics.roc_auc_score(y_true, score))
    assert found.value == pytest.approx(area)
    sizes = int((y_true == 1).sum()), int((y_true == 0).sum())
    excess = max(1.0, variance / hanley_and_mcneil(area, *sizes)) if 0 < area < 1 else 1.0
    for end in {found.low, found.high} - {0.0, 1.0}:
        error = np.sqrt(excess * hanley_and_mcneil(end, *sizes))
        assert abs(end - area) / error == pytest.approx(1.959964, rel=1e-5)


def test_repeating_every_row_within_its_unit_changes_hardly_anything():
    y_true, score = example(5, n=120)
    once = intervals.delong(y_true, score, units=np.arange(120))
    thrice = intervals.delong(np.repeat(y_true, 3), np.repeat(score, 3), units=np.repeat(np.arange(120), 3))
    assert (thrice.low, thrice.high) == pytest.approx((once.low, once.high), rel=0.005)


def test_delong_by_unit_agrees_with_the_bootstrap_by_unit():
    generator = np.random.default_rng(0)
    units = np.repeat(np.arange(150), 4)
    y_true = (generator.random(600) < 0.4).astype(int)
    score = 0.8 * y_true + np.repeat(generator.normal(size=150), 4) + 0.5 * generator.normal(size=600)
    ours = intervals.delong(y_true, score, units=units)
    theirs = bootstrap.interval(classification.auroc, y_true, score, units=units, resamples=1000)
    assert ours.high - ours.low == pytest.approx(theirs.high - theirs.low, rel=0.12)


def test_perfect_separation_leaves_room_below_one():
    found = intervals.delong([0] * 10 + [1] * 30, np.arange(40))
    assert found.high == 1
    # 1.96 of its own standard errors below 1, by scipy's root of the definition.
    expected = optimize.brentq(lambda low: 1 - low - 1.959964 * np.sqrt(hanley_and_mcneil(low, 30, 10)), 0.5, 0.999)
    assert found.low == pytest.approx(expected, abs=1e-6)


def test_perfect_separation_of_copied_rows_is_as_unsure_as_that_of_the_units():
    rows = intervals.delong([0] * 10 + [1] * 10, np.arange(20))
    copies = intervals.delong([0] * 40 + [1] * 40, np.arange(80), units=np.arange(80) // 4)
    assert copies.low < rows.low


def test_delong_needs_both_classes_and_two_units_of_each():
    with pytest.raises(ValueError, match="both classes"):
        intervals.delong([1, 1], [0.1, 0.2])
    with pytest.raises(ValueError, match="at least two"):
        intervals.delong([0, 0, 1], [0.1, 0.3, 0.2])
