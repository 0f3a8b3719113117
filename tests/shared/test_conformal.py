import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from shared.evaluation import arrays, bootstrap, conformal, intervals


def example(n, *, classes=3, seed=0):
    generator = np.random.default_rng(seed)
    y_true = generator.choice(classes, size=n, p=np.array([6, 3, 1])[:classes] / sum([6, 3, 1][:classes]))
    return special.softmax(generator.normal(size=(n, classes)) + 1.5 * np.eye(classes)[y_true], axis=1), y_true


@given(n=st.integers(1, 60), alpha=st.sampled_from([0.05, 0.1, 0.2, 0.5]), seed=st.integers(0, 1000))
def test_the_quantile_is_the_smallest_value_that_enough_rows_do_not_exceed(n, alpha, seed):
    scores, y_true = example(n, seed=seed)
    values = sorted(1 - scores[i, y_true[i]] for i in range(n))
    enough = [v for v in values if sum(w <= v for w in values) >= (n + 1) * (1 - alpha) - 1e-9]
    assert conformal.fit_quantile(scores, y_true, alpha=alpha) == (enough[0] if enough else 1.0)


def test_too_few_rows_for_alpha_put_every_class_in_every_set():
    scores, y_true = example(8)
    quantile = conformal.fit_quantile(scores, y_true, alpha=0.1)
    assert quantile == 1
    assert conformal.prediction_sets(scores, quantile).all()


def test_sets_hold_the_truth_as_often_as_promised_on_average_over_calibration_samples():
    reached = []
    for seed in range(300):
        scores, y_true = example(300, seed=seed)
        quantile = conformal.fit_quantile(scores[:100], y_true[:100], alpha=0.1)
        reached.append(conformal.prediction_sets(scores[100:], quantile)[np.arange(200), y_true[100:]].mean())
    # Without ties the mean is between 1 - alpha and 1 - alpha + 1 / (n + 1); 4 standard errors are 0.009.
    assert 0.9 - 0.009 <= np.mean(reached) <= 0.9 + 1 / 101 + 0.009


def test_class_quantiles_keep_the_promise_within_the_rare_class_where_one_quantile_breaks_it():
    one: list[float] = []
    each: list[float] = []
    for seed in range(60):
        scores, y_true = example(3000, seed=seed)
        favouring = special.softmax(np.log(scores) + np.array([1.0, 0.0, -1.0]), axis=1)  # planted: the common class
        rare = favouring[1500:][y_true[1500:] == 2]
        for fit, found in ((conformal.fit_quantile, one), (conformal.fit_class_quantiles, each)):
            quantile = fit(favouring[:1500], y_true[:1500], alpha=0.1)
            found.append(conformal.prediction_sets(rare, quantile)[:, 2].mean())
    assert np.mean(each) == pytest.approx(0.9, abs=0.02)
    assert np.mean(one) < 0.8


def test_sets_only_grow_with_the_quantile():
    scores, _ = example(100)
    small, large = conformal.prediction_sets(scores, 0.3), conformal.prediction_sets(scores, 0.7)
    assert (large | ~small).all()


def test_calibration_rows_at_the_quantile_itself_are_covered():
    scores, y_true = example(99)
    quantile = conformal.fit_quantile(scores, y_true, alpha=0.1)
    assert conformal.prediction_sets(scores, quantile)[np.arange(99), y_true].sum() == 90


def test_a_binary_column_and_two_columns_give_the_same_sets():
    scores, y_true = example(80, classes=2)
    assert conformal.fit_quantile(scores[:, 1], y_true, alpha=0.2) == pytest.approx(
        conformal.fit_quantile(scores, y_true, alpha=0.2)
    )
    assert np.array_equal(conformal.prediction_sets(scores[:, 1], 0.6), conformal.prediction_sets(scores, 0.6))


def test_only_sets_of_exactly_one_class_are_answers():
    sets = np.array([[False, False], [True, False], [True, True]])
    assert conformal.abstains(sets).tolist() == [True, False, True]


@pytest.mark.parametrize("quantile", [-0.1, 1.1, [0.5], [0.5, 0.5, np.nan]])
def test_broken_quantiles_are_refused(quantile):
    with pytest.raises(ValueError, match="quantile: expected"):
        conformal.prediction_sets(example(5)[0], quantile)


@pytest.mark.parametrize("alpha", [0, 1, -0.1])
def test_alpha_lies_strictly_between_zero_and_one(alpha):
    with pytest.raises(ValueError, match="alpha: expected"):
        conformal.fit_quantile(*example(5), alpha=alpha)


def test_the_coverage_report_counts_what_a_loop_counts():
    scores, y_true = example(200)
    sets = conformal.prediction_sets(scores, 0.6)
    found = conformal.coverage_report(sets, y_true)
    held = [bool(sets[i, y_true[i]]) for i in range(200)]
    assert found["coverage"] == intervals.wilson(sum(held), 200)
    assert found["mean_size"] == pytest.approx(np.mean([sum(row) for row in sets.tolist()]))
    assert found["empty"] + found["single"] + found["several"] == pytest.approx(1)
    inside = [h for h, y in zip(held, y_true, strict=True) if y == 2]
    assert found["class_coverage"][2] == intervals.wilson(sum(inside), len(inside))


def test_abstention_splits_the_accuracy_into_answered_and_abstained():
    correct = np.array([True] * 80 + [False] * 20)
    silent = np.arange(100) >= 70
    found = conformal.abstention(correct, silent)
    assert found["coverage"] == intervals.wilson(70, 100)
    assert found["selective_accuracy"] == intervals.wilson(70, 70)
    assert found["abstained_accuracy"] == intervals.wilson(10, 30)
    assert conformal.abstention(correct, ~np.zeros(100, dtype=bool))["selective_accuracy"] is None


def slow_aurc(correct, confidence):
    """The mean, over all orders of the rows that sort them by confidence, of the mean selective risk."""
    rows = range(len(correct))
    areas = []
    for order in itertools.permutations(rows):
        if all(confidence[a] >= confidence[b] for a, b in itertools.pairwise(order)):
            wrong = np.array([not correct[i] for i in order])
            areas.append((wrong.cumsum() / np.arange(1, len(wrong) + 1)).mean())
    return np.mean(areas)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.5, 0.7, 0.9])), min_size=1, max_size=6))
def test_aurc_with_ties_is_the_mean_over_all_orders_of_the_tied_rows(rows):
    correct, confidence = (np.array(column) for column in zip(*rows, strict=True))
    assert conformal.risk_coverage(correct, confidence)["aurc"] == pytest.approx(slow_aurc(correct, confidence))


@given(st.integers(0, 1000))
def test_the_curve_ends_at_the_error_rate_and_sees_only_the_order_of_confidences(seed):
    generator = np.random.default_rng(seed)
    correct, confidence = generator.random(40) < 0.8, np.round(generator.random(40), 1)
    curve = conformal.risk_coverage(correct, confidence)
    assert (curve["coverage"][-1], curve["risk"][-1]) == pytest.approx((1, 1 - correct.mean()))
    moved = conformal.risk_coverage(correct, np.exp(confidence))
    assert (moved["coverage"], moved["risk"], moved["aurc"]) == (
        curve["coverage"],
        curve["risk"],
        curve["aurc"],
    )
    for coverage, risk, threshold in zip(curve["coverage"], curve["risk"], curve["threshold"], strict=True):
        answered = confidence >= threshold
        assert (coverage, risk) == pytest.approx((answered.mean(), 1 - correct[answered].mean()))


def test_a_perfect_order_has_no_excess_and_the_worst_order_the_most():
    correct = np.arange(50) >= 10
    best = conformal.risk_coverage(correct, np.arange(50.0))
    worst = conformal.risk_coverage(correct, -np.arange(50.0))
    assert best["excess_aurc"] == pytest.approx(0)
    k = np.arange(1, 51)
    last_wrong, first_wrong = (k - 40).clip(0) / k, np.minimum(k, 10) / k
    assert worst["excess_aurc"] == pytest.approx(first_wrong.mean() - last_wrong.mean())


def test_the_area_under_risk_coverage_can_be_bootstrapped():
    generator = np.random.default_rng(0)
    confidence = generator.random(150)
    correct = (generator.random(150) < confidence).astype(int)
    found = bootstrap.interval(conformal.aurc, correct, confidence, resamples=100)
    assert found.low < found.value < found.high


def test_quantiles_and_curves_are_plain_json():
    scores, y_true = example(50)
    content = {
        "one": conformal.fit_quantile(scores, y_true, alpha=0.1),
        "each": conformal.fit_class_quantiles(scores, y_true, alpha=0.1),
        "curve": conformal.risk_coverage(scores.argmax(axis=1) == y_true, scores.max(axis=1)),
    }
    assert json.loads(json.dumps(content))["one"] == content["one"]


@pytest.mark.parametrize("surety", [[0.9, 0.4, 0.9, 0.2, 0.2, 0.7], [0.5] * 6])
def test_aurc_of_a_resample_is_that_of_its_rows(surety: list[float]) -> None:
    correct, confidence = np.array([1, 0, 0, 1, 0, 1]), np.array(surety)
    drawn = np.random.default_rng(0).integers(0, 4, (20, 6)).astype(float)
    found = conformal.aurc.statistic(correct, confidence, units=arrays.units_of(None, rows=6))(drawn)
    for times, value in zip(drawn.astype(int), found, strict=True):
        expected = conformal.risk_coverage(np.repeat(correct == 1, times), np.repeat(confidence, times))
        assert value == pytest.approx(expected["aurc"])
