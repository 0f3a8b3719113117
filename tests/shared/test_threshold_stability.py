import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from shared.evaluation import intervals, operating_points, thresholds


def separable(seed, *, n=400, centres=(-6.0, 4.0), spreads=(2.0, 1.0)):
    """Scores whose logits are normal in each class."""
    generator = np.random.default_rng(seed)
    y_true = (np.arange(n) % 2).astype(int)
    logit = generator.normal(np.array(centres)[y_true], np.array(spreads)[y_true])
    return y_true, special.expit(logit)


def test_the_cut_is_the_minimax_cut_of_two_normal_distributions():
    y_true, score = separable(0, n=40_000)
    found = special.logit(thresholds.select("equal_margin", y_true, score).value)
    # Where both tails are equal: (t + 6) / 2 = (4 - t) / 1.
    assert found == pytest.approx(2 / 3, abs=0.1)
    assert stats.norm.sf((found + 6) / 2) == pytest.approx(stats.norm.cdf(found - 4), rel=0.3)


@given(seed=st.integers(0, 1000), shift=st.floats(-3, 3))
def test_the_cut_lies_between_the_medians_and_follows_a_shift_of_all_logits(seed, shift):
    y_true, score = separable(seed, n=60)
    value, distance = thresholds.equal_margin(y_true, score)
    logit = special.logit(score)
    assert np.median(logit[y_true == 0]) < special.logit(value) < np.median(logit[y_true == 1])
    moved, same = thresholds.equal_margin(y_true, special.expit(logit + shift))
    assert special.logit(moved) == pytest.approx(special.logit(value) + shift, abs=1e-4)
    assert same == pytest.approx(distance, rel=1e-3)


@given(seed=st.integers(0, 1000))
def test_swapping_the_classes_mirrors_the_cut(seed):
    y_true, score = separable(seed, n=60)
    value, _ = thresholds.equal_margin(y_true, score)
    mirrored, _ = thresholds.equal_margin(1 - y_true, 1 - score)
    assert mirrored == pytest.approx(1 - value, abs=1e-9)


def test_one_odd_image_moves_the_most_accurate_cut_far_and_the_equal_margin_hardly():
    y_true, score = separable(0, n=200, centres=(-8.0, 8.0), spreads=(1.0, 1.0))
    odd = score.copy()
    odd[np.flatnonzero(y_true == 1)[0]] = special.expit(-4.0)
    odd[np.flatnonzero(y_true == 0)[:2]] = special.expit(5.0)
    moves = {}
    for rule in ("equal_margin", "max_accuracy"):
        before, after = (special.logit(thresholds.select(rule, y_true, each).value) for each in (score, odd))
        moves[rule] = abs(after - before)
    assert moves["equal_margin"] < 0.5
    assert moves["max_accuracy"] > 3


def test_its_range_holds_no_validation_score():
    y_true, score = separable(3)
    found = thresholds.select("equal_margin", y_true, score)
    assert found.low < found.value <= found.high
    assert not ((score > found.low) & (score < found.high)).any()


def test_classes_that_score_all_alike_are_cut_in_the_middle():
    value, _ = thresholds.equal_margin(np.array([0, 0, 1, 1]), np.array([0.2, 0.2, 0.8, 0.8]))
    assert value == pytest.approx(0.5)
    # One class of one score does not draw the cut onto itself.
    value, _ = thresholds.equal_margin(np.array([0, 0, 0, 1, 1, 1]), np.array([0.0, 0.0, 0.0, 0.7, 0.8, 0.9]))
    assert 0 < value < 0.7


def test_a_useless_model_gets_the_balanced_cut_under_its_own_name():
    found = thresholds.select("equal_margin", [0, 1, 0, 1], [0.9, 0.1, 0.8, 0.2])
    assert found.rule == "max_balanced_accuracy"
    assert thresholds.select("equal_margin", [0, 1, 0, 1], [0.5, 0.5, 0.5, 0.5]).rule == "max_balanced_accuracy"


def test_scores_that_are_no_probabilities_are_refused():
    with pytest.raises(ValueError, match="probabilities"):
        thresholds.select("equal_margin", [0, 1], [-1.0, 2.0])


def test_the_thresholds_interval_covers_the_thresholds_of_fresh_samples():
    y_true, score = separable(0, n=300)
    found = operating_points.threshold_interval("equal_margin", y_true, score, resamples=200)
    fresh = [thresholds.select("equal_margin", *separable(seed, n=300)).value for seed in range(1, 101)]
    inside = np.mean([found.low <= value <= found.high for value in fresh])
    # One interval against fresh samples: both vary, so less than the nominal 95 %.
    assert inside > 0.6


def test_rows_that_share_units_make_the_threshold_less_sure():
    y_true, score = separable(1, n=100)
    y_true, score, units = np.repeat(y_true, 5), np.repeat(score, 5), np.repeat(np.arange(100), 5)
    alone, together = (
        operating_points.threshold_interval("equal_margin", y_true, score, units=given, resamples=200)
        for given in (None, units)
    )
    assert together.high - together.low > 1.5 * (alone.high - alone.low)


def test_an_unknown_rule_is_named_and_not_counted_as_an_undefined_resample():
    with pytest.raises(ValueError, match="rule: expected one of"):
        operating_points.threshold_interval("best", [0, 1], [0.1, 0.9])


@given(shift=st.floats(-5, 5))
def test_moving_the_threshold_is_moving_all_scores_the_other_way(shift):
    y_true, score = separable(2, n=80)
    (cut,) = operating_points.shifted(0.3, [shift])
    moved = special.expit(special.logit(score) - shift)
    ours = operating_points.sweep(y_true, score, [cut])[0]
    theirs = operating_points.sweep(y_true, moved, [0.3])[0]
    assert ours["accuracy"].value == pytest.approx(theirs["accuracy"].value)


def test_accuracy_over_an_interval_is_that_of_a_plain_search():
    y_true, score = separable(4, centres=(-1.0, 1.0))
    found = intervals.Interval(0.5, 0.2, 0.7)
    lowest, highest = operating_points.accuracy_over(y_true, score, found, points=2001)
    cuts = np.append(score[(score > 0.2) & (score < 0.7)], [0.2, 0.7])
    accuracies = [((score >= cut) == y_true).mean() for cut in cuts]
    assert (lowest, highest) == pytest.approx((min(accuracies), max(accuracies)), abs=0.003)
