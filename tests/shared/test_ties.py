"""Equal scores, in every ranking metric and every threshold of the suite.

A score cannot separate rows of one value: metrics may not depend on the order of such rows, and a threshold lets all of
them in or none, so a rule that promises something is checked with the rows that its threshold really lets in.
"""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from apps.driving_perception import coco_metrics
from apps.driving_perception import decision as detector_decision
from apps.fraud_detection import metrics as fraud
from apps.medical_imaging import decision
from shared.evaluation import (
    arrays,
    classification,
    conformal,
    intervals,
    miscalibration,
    net_benefit,
    operating_points,
    summaries,
    thresholds,
)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)
RULES = ("max_accuracy", "max_f1", "max_balanced_accuracy", "youden", "cost", "equal_margin", "argmax")
BOUNDED = ("sensitivity>=0.9", "specificity>=0.9", "fpr<=0.1", "precision>=0.6")


def coarse(seed: int, *, rows: int = 80) -> tuple[Ints, Floats]:
    """Labels and scores of five values only: each value is shared by positives and negatives."""
    random = np.random.default_rng(seed)
    labels = (np.arange(rows) % 3 == 0).astype(np.int64)
    return labels, random.choice(LEVELS, rows, p=(0.35, 0.25, 0.2, 0.1, 0.1)) * 0.8 + 0.2 * labels * (rows % 2 == 0)


def orders(labels: Ints, scores: Floats, *, seed: int = 0) -> list[tuple[Ints, Floats]]:
    """The same rows: shuffled, and with the positives of each score first or last."""
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    every = (shuffled, np.lexsort((labels, scores)), np.lexsort((-labels, scores)))
    return [(labels[order], scores[order]) for order in every]


def auroc_by_pairs(labels: Ints, scores: Floats) -> float:
    upper, lower = scores[labels == 1], scores[labels == 0]
    return float(np.mean([(a > b) + 0.5 * (a == b) for a, b in itertools.product(upper, lower)]))


def average_precision_by_thresholds(labels: Ints, scores: Floats) -> float:
    area, before = 0.0, 0.0
    for cut in np.unique(scores)[::-1]:
        called = scores >= cut
        recall = labels[called].sum() / labels.sum()
        area += (recall - before) * labels[called].mean()
        before = recall
    return area


@pytest.mark.parametrize("seed", range(5))
def test_ranking_metrics_are_those_of_pairs_and_of_whole_groups_in_any_order(seed: int) -> None:
    labels, scores = coarse(seed)
    for some, values in orders(labels, scores):
        assert classification.auroc(some, values) == pytest.approx(auroc_by_pairs(labels, scores))
        expected = average_precision_by_thresholds(labels, scores)
        assert classification.average_precision(some, values) == pytest.approx(expected)
        assert intervals.delong(some, values).value == pytest.approx(auroc_by_pairs(labels, scores))


def test_one_score_for_all_rows_ranks_nothing() -> None:
    labels, scores = coarse(0)[0], np.full(80, 0.3)
    assert classification.auroc(labels, scores) == 0.5
    assert classification.average_precision(labels, scores) == pytest.approx(labels.mean())
    assert intervals.delong(labels, scores).value == 0.5


@pytest.mark.parametrize("name", summaries.METRICS)
def test_no_metric_depends_on_the_order_of_rows(name: str) -> None:
    labels, scores = coarse(1)
    metric = summaries.METRICS[name]
    found = [metric(some, np.stack([1 - values, values], axis=1)) for some, values in orders(labels, scores)]
    assert found == pytest.approx([found[0]] * 3, abs=1e-12)


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_calibration_error_keeps_rows_of_one_score_in_one_bin(strategy: miscalibration.Strategy) -> None:
    labels, scores = coarse(2)
    metric = miscalibration.ece_metric(bins=4, strategy=strategy)
    found = [metric(some, values) for some, values in orders(labels, scores)]
    assert found == pytest.approx([found[0]] * 3, abs=1e-12)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seed", range(5))
def test_a_threshold_does_not_depend_on_the_order_and_reaches_what_it_says(rule: str, seed: int) -> None:
    labels, scores = coarse(seed)
    found = [thresholds.select(rule, *pair, cost_false_negative=5) for pair in orders(labels, scores)]
    assert len({each.value for each in found}) == 1
    objectives: dict[str, Callable[[npt.NDArray[np.bool_]], float]] = {
        "max_accuracy": lambda called: (called == labels).mean(),
        "max_f1": lambda called: 2 * (called & (labels == 1)).sum() / (called.sum() + labels.sum()),
        "cost": lambda called: -((called & (labels == 0)).sum() + 5 * (~called & (labels == 1)).sum()),
        "max_balanced_accuracy": lambda called: called[labels == 1].mean() + (~called)[labels == 0].mean(),
        "youden": lambda called: called[labels == 1].mean() + (~called)[labels == 0].mean(),
    }
    if rule in objectives:
        reached = objectives[rule](scores >= found[0].value)
        every = [objectives[rule](scores >= cut) for cut in (*np.unique(scores), 2.0)]
        assert reached == pytest.approx(max(every))


@pytest.mark.parametrize("rule", BOUNDED)
@pytest.mark.parametrize("seed", range(8))
def test_a_promise_holds_for_the_rows_that_the_threshold_lets_in(rule: str, seed: int) -> None:
    labels, scores = coarse(seed)
    try:
        found = [thresholds.select(rule, *pair) for pair in orders(labels, scores)]
    except ValueError:  # no cut between groups keeps the promise, and that is said
        assert rule.startswith("precision")
        assert max(labels[scores >= cut].mean() for cut in np.unique(scores)) < 0.6
        return
    assert len({each.value for each in found}) == 1
    called = scores >= found[0].value
    name, bound = rule.replace("<=", ">=").split(">=")
    rates = {
        "sensitivity": lambda: called[labels == 1].mean(),
        "specificity": lambda: (~called)[labels == 0].mean(),
        "fpr": lambda: -called[labels == 0].mean(),
        "precision": lambda: labels[called].mean(),
    }
    assert rates[name]() >= (-float(bound) if name == "fpr" else float(bound)) - 1e-12
    row = operating_points.operating_point(labels, scores, found[0])
    assert row["tp"] + row["fp"] == called.sum()


def test_scores_that_are_all_equal_leave_only_all_or_none() -> None:
    labels, scores = coarse(0)[0], np.full(80, 0.3)
    for rule in ("sensitivity>=0.9", "max_f1"):
        assert (scores >= thresholds.select(rule, labels, scores).value).all()
    for rule in ("specificity>=0.9", "fpr<=0.1", "max_accuracy"):
        assert not (scores >= thresholds.select(rule, labels, scores).value).any()


def test_the_stability_of_a_threshold_does_not_depend_on_the_order_of_rows_within_units() -> None:
    labels, scores = coarse(3)
    units = np.arange(80) // 2
    found = operating_points.threshold_interval("max_f1", labels, scores, units=units, resamples=50)
    swapped = np.arange(80).reshape(-1, 2)[:, ::-1].ravel()
    again = operating_points.threshold_interval(
        "max_f1", labels[swapped], scores[swapped], units=units[swapped], resamples=50
    )
    assert (found.value, found.low, found.high) == (again.value, again.low, again.high)


def test_acting_from_a_shared_score_on_acts_on_all_of_its_rows() -> None:
    labels, scores = np.array([1, 0, 0, 1]), np.array([0.5, 0.5, 0.5, 0.2])
    assert net_benefit.net_benefit_metric(0.5)(labels, scores) == pytest.approx((1 - 2) / 4)


def test_the_risk_of_equally_sure_rows_is_the_mean_over_their_orders() -> None:
    correct, confidence = np.array([True, False, True, False, True]), np.array([0.9, 0.9, 0.9, 0.6, 0.6])
    areas = []
    for sure, unsure in itertools.product(itertools.permutations(correct[:3]), itertools.permutations(correct[3:])):
        wrong = ~np.array([*sure, *unsure])
        areas.append((wrong.cumsum() / np.arange(1, 6)).mean())
    assert conformal.risk_coverage(correct, confidence)["aurc"] == pytest.approx(np.mean(areas))


@pytest.mark.parametrize("alpha", [0.05, 0.2, 0.5])
def test_prediction_sets_keep_their_promise_where_scores_are_equal(alpha: float) -> None:
    labels, scores = coarse(4)
    quantile = conformal.fit_quantile(scores, labels, alpha=alpha)
    sets = conformal.prediction_sets(scores, quantile)
    assert sets[np.arange(80), labels].mean() >= 1 - alpha


def test_findings_are_called_present_in_whole_groups_of_one_score() -> None:
    labels = np.stack([coarse(seed)[0] for seed in range(2)], axis=1)
    logits = np.stack([np.log(s / (1 - s)) for s in (np.clip(coarse(seed)[1], 0.01, 0.99) for seed in range(2))], 1)
    options: dict[str, Any] = {
        "task": "multi_label",
        "class_names": ("a", "b"),
        "rule": "max_balanced_accuracy",
        "alpha": 0.1,
    }
    rule = decision.fit(logits, labels.astype(np.float32), fitted_on={}, **options)
    assert isinstance(rule, decision.MultiLabelDecision)
    for place, present in enumerate(rule.present(rule.scores(logits)).T):
        for value in np.unique(logits[:, place]):
            assert len(set(present[logits[:, place] == value])) == 1
    shuffled = np.random.default_rng(0).permutation(80)
    again = decision.fit(logits[shuffled], labels[shuffled].astype(np.float32), fitted_on={}, **options)
    assert isinstance(again, decision.MultiLabelDecision)
    assert again.thresholds == pytest.approx(rule.thresholds, abs=1e-4)
    assert (again.present(again.scores(logits)) == rule.present(rule.scores(logits))).all()


def detections(right: list[bool], score: list[float]) -> coco_metrics.Matched:
    """One class in two images with three objects; boxes of these scores, right or false alarms."""
    hits = np.tile(np.array(right), (10, 1))
    matches = coco_metrics.Matches(
        image=np.arange(len(right)) % 2,
        rank=np.arange(len(right)) // 2,
        score=np.array(score),
        right=hits,
        wrong=~hits,
        objects=np.array([2, 1]),
    )
    return coco_metrics.Matched(class_names=("car",), images=2, by_size={"all": {0: matches}})


def test_boxes_of_one_score_are_let_in_together_whatever_their_order() -> None:
    score = [0.9, 0.6, 0.6, 0.6, 0.3]
    for order in itertools.permutations([True, True, False]):
        swept = detector_decision.sweep(detections([True, *order, False], score))
        assert swept.score.tolist() == [0.9, 0.6, 0.3]
        assert swept.right.tolist() == [1, 3, 3]
        assert swept.wrong.tolist() == [0, 1, 2]
        assert detector_decision.miss_rate_at(swept, 0.4) == pytest.approx(2 / 3)
        assert detector_decision.miss_rate_at(swept, 0.5) == 0


@pytest.mark.parametrize("budget", [0.4, 0.5, 1.0])
def test_the_budget_of_false_alarms_holds_where_boxes_have_one_score(budget: float) -> None:
    """Planted: three false alarms share a score, so that a cut between them is none."""
    matched = detections([True, False, True, False, False, True], [0.9, 0.6, 0.6, 0.6, 0.6, 0.3])
    rule = detector_decision.fit(matched, rule="fppi", fppi_budget=budget, fitted_on={})
    boxes = next(iter(matched.by_size["all"].values()))
    assert (boxes.wrong[0] & (boxes.score >= rule.threshold)).sum() / 2 <= budget
    assert rule.false_positives_per_image <= budget


def test_a_budget_that_the_surest_boxes_break_lets_none_in() -> None:
    rule = detector_decision.fit(detections([False, False], [0.8, 0.8]), rule="fppi", fppi_budget=0.1, fitted_on={})
    assert rule.threshold > 0.8


@pytest.mark.parametrize("rate", fraud.FALSE_POSITIVE_RATES)
def test_recall_at_a_rate_of_false_positives_counts_whole_groups(rate: float) -> None:
    labels, scores = coarse(5, rows=400)
    best = max(
        (
            labels[scores >= cut].sum() / labels.sum()
            for cut in np.unique(scores)
            if (scores >= cut)[labels == 0].mean() <= rate
        ),
        default=0.0,
    )
    for some, values in orders(labels, scores):
        part = fraud.Scored(
            labels=some,
            scores=values,
            days=np.zeros(400, np.int64),
            amounts=np.ones(400),
            weights=np.ones(400),
            units=arrays.units_of(None, rows=400),
            alerted=np.zeros(400, bool),
        )
        assert fraud.recall_at_fpr(part, rate)(np.ones((1, 400)))[0] == pytest.approx(best)
