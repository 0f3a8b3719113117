import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from shared.evaluation import intervals, operating_points, thresholds


def example(seed, *, n=60, decimals=2):
    generator = np.random.default_rng(seed)
    y_true = generator.permutation(np.arange(n) % 3 == 0).astype(int)
    return y_true, np.round(np.clip(generator.normal(0.4 + 0.2 * y_true, 0.2), 0, 1), decimals)


def rates(y_true, score, threshold):
    called = score >= threshold
    tp, fp = (called & (y_true == 1)).sum(), (called & (y_true == 0)).sum()
    fn, tn = (y_true == 1).sum() - tp, (y_true == 0).sum() - fp
    return {
        "max_accuracy": (tp + tn) / len(y_true),
        "max_f1": 2 * tp / (2 * tp + fp + fn),
        "max_balanced_accuracy": (tp / (tp + fn) + tn / (tn + fp)) / 2,
        "youden": tp / (tp + fn) - fp / (fp + tn),
        "cost": -(1 * fp + 5 * fn) / len(y_true),
        "sensitivity": tp / (tp + fn),
        "specificity": tn / (tn + fp),
        "fpr": fp / (fp + tn),
        "precision": tp / (tp + fp) if tp + fp else 0.0,
    }


def every_threshold(score):
    return np.concatenate([[-1.0], np.unique(score), [2.0]])


@pytest.mark.parametrize("rule", ["max_accuracy", "max_f1", "max_balanced_accuracy", "youden", "cost"])
@given(seed=st.integers(0, 10_000), decimals=st.sampled_from([1, 2, 6]))
def test_no_threshold_beats_the_chosen_one_at_its_own_rule(rule, seed, decimals):
    y_true, score = example(seed, decimals=decimals)
    found = thresholds.select(rule, y_true, score, cost_false_negative=5)
    best = max(rates(y_true, score, t)[rule] for t in every_threshold(score))
    assert rates(y_true, score, found.value)[rule] == pytest.approx(best)
    assert found.objective == pytest.approx(-best if rule == "cost" else best)


@pytest.mark.parametrize(
    ("rule", "bounded", "maximised"),
    [
        ("sensitivity>=0.9", lambda r: r["sensitivity"] >= 0.9, "specificity"),
        ("specificity>=0.9", lambda r: r["specificity"] >= 0.9 - 1e-12, "sensitivity"),
        ("fpr<=0.1", lambda r: r["fpr"] <= 0.1, "sensitivity"),
        ("precision>=0.5", lambda r: r["precision"] >= 0.5, "sensitivity"),
    ],
)
@given(seed=st.integers(0, 10_000), decimals=st.sampled_from([1, 2, 6]))
def test_a_bounded_rule_meets_its_bound_and_maximises_the_rest(rule, bounded, maximised, seed, decimals):
    y_true, score = example(seed, decimals=decimals)
    allowed = [r for r in (rates(y_true, score, t) for t in every_threshold(score)) if bounded(r)]
    if not allowed:
        with pytest.raises(ValueError, match="that some threshold reaches"):
            thresholds.select(rule, y_true, score)
        return
    found = thresholds.select(rule, y_true, score)
    reached = rates(y_true, score, found.value)
    assert bounded(reached)
    assert reached[maximised] == pytest.approx(max(r[maximised] for r in allowed))
    assert found.objective == pytest.approx(reached[maximised])


def test_the_middle_of_the_plateau_is_taken():
    found = thresholds.select("max_accuracy", [0, 0, 1, 1], [0.1, 0.2, 0.6, 0.9])
    assert (found.value, found.low, found.high) == pytest.approx((0.4, 0.2, 0.6))


def test_of_two_plateaus_the_wider_is_taken():
    # Cutting above 0.2 or above 0.5 makes one error each; the gap 0.5 .. 0.9 is the wider one.
    found = thresholds.select("max_accuracy", [0, 1, 0, 1], [0.2, 0.3, 0.5, 0.9])
    assert found.value == pytest.approx(0.7)


def test_scores_one_float_apart_are_still_told_apart():
    low = 0.5
    high = np.nextafter(low, 1)
    found = thresholds.select("max_accuracy", [0, 1], [low, high])
    assert low < found.value <= high


@pytest.mark.parametrize("rule", ["max_f1", "youden", "sensitivity>=0.95", "cost"])
def test_decisions_do_not_depend_on_the_order_or_on_copies_of_the_rows(rule):
    y_true, score = example(3)
    order = np.random.default_rng(0).permutation(len(score))
    plain = thresholds.select(rule, y_true, score).value
    assert thresholds.select(rule, y_true[order], score[order]).value == plain
    assert thresholds.select(rule, np.tile(y_true, 3), np.tile(score, 3)).value == plain


@given(seed=st.integers(0, 10_000))
def test_decisions_survive_a_monotone_transform_of_the_scores(seed):
    y_true, score = example(seed)
    plain, cubed = (thresholds.select("sensitivity>=0.8", y_true, s) for s in (score, score**3))
    assert np.array_equal(score >= plain.value, score**3 >= cubed.value)


def test_a_rate_that_is_met_exactly_counts_as_met_at_a_hundred_thousand_rows():
    y_true = np.arange(100_000) % 5 == 0  # each further positive costs four negatives, so the fewest are taken
    score = np.linspace(1, 0, 100_000)
    found = thresholds.select("sensitivity>=0.95", y_true, score)
    assert (score[y_true] >= found.value).sum() == 19_000


def test_argmax_is_one_half_whatever_the_data():
    y_true, score = example(4)
    assert thresholds.select("argmax", y_true, score).value == 0.5


@pytest.mark.parametrize("rule", ["best", "sensitivity", "fpr>=0.1", "sensitivity<=0.9", "f1>=0.5", ""])
def test_an_unknown_rule_is_answered_with_the_known_ones(rule):
    with pytest.raises(ValueError, match=r"rule: expected one of argmax, max_accuracy, .*Received: '"):
        thresholds.select(rule, [0, 1], [0.2, 0.7])


def test_one_class_only_has_no_threshold():
    with pytest.raises(ValueError, match=r"rows of both classes\. Received: only class 1"):
        thresholds.select("youden", [1, 1], [0.2, 0.7])


@pytest.mark.parametrize("costs", [(-1, 1), (0, 0), (float("nan"), 1)])
def test_impossible_costs_are_refused(costs):
    with pytest.raises(ValueError, match="expected costs >= 0"):
        thresholds.select("cost", [0, 1], [0.2, 0.7], cost_false_positive=costs[0], cost_false_negative=costs[1])


def test_a_threshold_survives_json():
    found = thresholds.select("max_f1", *example(5))
    assert thresholds.Threshold(**json.loads(json.dumps(found.to_json()))) == found


def test_the_operating_point_equals_the_confusion_matrix_of_scikit_learn():
    y_true, score = example(6, n=200)
    row = operating_points.operating_point(y_true, score, thresholds.select("max_f1", y_true, score))
    (tn, fp), (fn, tp) = sklearn_metrics.confusion_matrix(y_true, score >= row["threshold"])
    assert (row["tp"], row["fp"], row["fn"], row["tn"], row["rule"]) == (tp, fp, fn, tn, "max_f1")
    expected = {
        "sensitivity": (tp, tp + fn),
        "specificity": (tn, tn + fp),
        "precision": (tp, tp + fp),
        "negative_predictive_value": (tn, tn + fn),
        "accuracy": (tp + tn, 200),
        "positive_rate": (tp + fp, 200),
    }
    assert {name: row[name] for name in expected} == {
        name: intervals.wilson(int(hits), int(total)) for name, (hits, total) in expected.items()
    }


def test_an_operating_point_that_calls_nobody_has_no_precision():
    row = operating_points.operating_point([0, 1], [0.2, 0.7], 0.9)
    assert (row["precision"], row["sensitivity"].value, row["rule"]) == (None, 0, "given")


def test_units_widen_the_intervals_of_an_operating_point():
    y_true, score = (np.repeat(a, 8) for a in example(7))
    alone = operating_points.operating_point(y_true, score, 0.5)["specificity"]
    grouped = operating_points.operating_point(y_true, score, 0.5, units=np.arange(480) // 8)["specificity"]
    assert grouped.value == pytest.approx(alone.value)
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)


def test_predictive_values_at_the_prevalence_of_the_sample_are_those_of_the_sample():
    y_true, score = example(8, n=300)
    row = operating_points.operating_point(y_true, score, 0.5)
    positive, negative = operating_points.predictive_values(
        row["sensitivity"].value, row["specificity"].value, prevalence=y_true.mean()
    )
    assert positive == pytest.approx(row["precision"].value)
    assert negative == pytest.approx(row["negative_predictive_value"].value)
