"""The metrics of fraud detection, derived a second time."""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from apps.fraud_detection import breakdowns, evaluate, metrics
from apps.fraud_detection import decision as decision_rule
from shared.evaluation import arrays

COSTS = decision_rule.Costs(investigation=5.0, recovered_share=0.8, alerts_per_day=4)


def make_rows(size: int, seed: int, *, cards: int = 30, folds: int = 1, days: int = 4) -> metrics.Rows:
    rng = np.random.default_rng(seed)
    fold = np.sort(rng.integers(0, folds, size))
    return metrics.Rows(
        ids=np.arange(size),
        folds=fold,
        days=rng.integers(0, days, size) + days * fold,
        day_names={day: f"day {day}" for day in range(days * folds)},
        amounts=np.round(rng.lognormal(3, 1, size), 2),
        labels=(rng.random(size) < 0.2).astype(np.int64),
        payers=rng.integers(0, cards, size),
        has_payer=True,
        weights=np.ones(size),
        columns={"amount": rng.normal(size=size)},
        reference_columns={"amount": rng.normal(size=300)},
        reference_scores=rng.random(300),
    )


def make_scores(rows: metrics.Rows, seed: int, *, digits: int = 3) -> np.ndarray:
    """Scores that know something, with ties."""
    rng = np.random.default_rng(seed + 1)
    return np.round(np.clip(0.3 * rows.labels + 0.7 * rng.random(len(rows)), 0, 1), digits)


def values(rows: metrics.Rows, scores: np.ndarray, *, drawn: np.ndarray | None = None) -> dict[str, float]:
    units = arrays.units_of(rows.payers, rows=len(rows))
    found = metrics.statistics(
        rows, scores, thresholds=np.full(len(rows), 0.5), costs=COSTS, units=units, calibrated=True
    )
    draws = np.ones((1, units.count)) if drawn is None else drawn[np.newaxis].astype(float)
    return {name: float(statistic(draws)[0]) for name, statistic in found.items()}


def card_precision_by_loops(rows: metrics.Rows, scores: np.ndarray, *, cards: int, copies: np.ndarray) -> float:
    """Card precision from its definition; ``copies`` says how often each row's card was drawn."""
    daily: list[float] = []
    caught: set[Any] = set()
    for day in np.unique(rows.days):
        table = pd.DataFrame({"card": rows.payers, "score": scores, "fraud": rows.labels, "copies": copies})
        today = table[(rows.days == day) & ~table["card"].isin(caught)]
        # Of equal scores the card whose best transaction comes first.
        order = today.sort_values("score", ascending=False, kind="stable")
        ranked = order.groupby("card", sort=False).agg({"score": "max", "fraud": "max", "copies": "first"})
        ranked = ranked.sort_values("score", ascending=False, kind="stable")
        left, found = cards, 0.0
        for card, row in ranked.iterrows():
            seen = min(left, row["copies"])
            left -= seen
            if seen > 0 and row["fraud"]:
                found += seen
                caught.add(card)
        daily.append(found / cards)
    return float(np.mean(daily))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), cards=st.integers(1, 12), levels=st.sampled_from([120, 8, 2, 1]))
def test_card_precision_is_its_definition_also_on_resampled_cards_and_ties(seed: int, cards: int, levels: int) -> None:
    rows = make_rows(120, seed)
    scores = np.random.default_rng(seed).permutation(120) % levels / levels
    units = arrays.units_of(rows.payers, rows=120)
    (part,) = metrics.fold_parts(rows, scores, None, units)
    statistic = metrics.card_precision(part, cards=cards)
    for drawn in (np.ones(units.count), np.random.default_rng(seed).integers(0, 4, units.count)):
        expected = card_precision_by_loops(rows, scores, cards=cards, copies=drawn[units.code])
        assert statistic(drawn[np.newaxis].astype(float))[0] == pytest.approx(expected)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_recall_at_a_false_positive_rate_is_the_best_on_the_roc_curve(seed: int) -> None:
    rows = make_rows(300, seed)
    scores = make_scores(rows, seed, digits=1)
    found = values(rows, scores)
    false_positive, recall, _ = sklearn_metrics.roc_curve(rows.labels, scores, drop_intermediate=False)
    for rate in (0.001, 0.005, 0.01, 0.05):
        assert found[f"recall_at_fpr_{rate:g}"] == pytest.approx(recall[false_positive <= rate].max())
    assert found["auroc"] == pytest.approx(sklearn_metrics.roc_auc_score(rows.labels, scores))
    assert found["average_precision"] == pytest.approx(sklearn_metrics.average_precision_score(rows.labels, scores))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), levels=st.sampled_from([200, 8, 2, 1]))
def test_the_budget_is_each_days_first_alerts_and_never_more_at_ties(seed: int, levels: int) -> None:
    rows = make_rows(200, seed)
    scores = np.random.default_rng(seed).permutation(200) % levels / levels
    chosen = [
        row
        for day in np.unique(rows.days)
        for row in sorted(np.flatnonzero(rows.days == day), key=lambda row: -scores[row])[: COSTS.alerts_per_day]
    ]
    frauds = rows.labels[chosen].sum()
    found = values(rows, scores)
    assert len(chosen) == COSTS.alerts_per_day * len(np.unique(rows.days))
    assert found["precision_in_budget"] == pytest.approx(frauds / len(chosen))
    assert found["recall_in_budget"] == pytest.approx(frauds / rows.labels.sum())
    money = (rows.labels * rows.amounts)[chosen].sum() / (rows.labels * rows.amounts).sum()
    assert found["value_recall_in_budget"] == pytest.approx(money)
    assert np.flatnonzero(breakdowns.within_budget(rows, scores, COSTS.alerts_per_day)).tolist() == sorted(chosen)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), levels=st.sampled_from([10, 3, 2, 1]))
def test_metrics_of_a_ranking_do_not_depend_on_the_order_of_equal_scores(seed: int, levels: int) -> None:
    rows = make_rows(200, seed)
    scores = np.random.default_rng(seed).integers(0, levels, 200) / levels
    # Frauds first and frauds last: what breaks ties by position would be best in one and worst in the other.
    names = ("ids", "folds", "days", "amounts", "labels", "payers", "weights")
    found = [
        values(dataclasses.replace(rows, **{name: getattr(rows, name)[order] for name in names}), scores[order])
        for order in (np.argsort(rows.labels, kind="stable"), np.argsort(-rows.labels, kind="stable"))
    ]
    invariant = [name for name in found[0] if "budget" not in name and not name.startswith("card_precision")]
    for name in invariant:
        assert found[0][name] == pytest.approx(found[1][name], nan_ok=True), name
    assert {"average_precision", "auroc", "recall_at_fpr_0.01", "sensitivity", "net_savings_per_day"} <= {*invariant}
    if levels == 1:
        assert found[0]["auroc"] == 0.5
        assert found[0]["average_precision"] == pytest.approx(rows.labels.mean())
        assert found[0]["recall_at_fpr_0.05"] == 0


def test_the_frozen_threshold_saves_what_its_alerts_save() -> None:
    rows = make_rows(200, 5)
    scores = make_scores(rows, 5)
    alerted = scores >= 0.5
    saved = (0.8 * rows.amounts[alerted & (rows.labels == 1)]).sum() - 5 * alerted.sum()
    found = values(rows, scores)
    assert found["net_savings_per_day"] == pytest.approx(saved / 4)
    assert found["alerts_per_day"] == pytest.approx(alerted.sum() / 4)
    assert found["precision"] == pytest.approx(rows.labels[alerted].mean())
    assert found["sensitivity"] == pytest.approx(alerted[rows.labels == 1].mean())


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_weight_counts_as_so_many_rows(seed: int) -> None:
    rows = make_rows(80, seed, cards=80)
    rows = dataclasses.replace(rows, payers=np.arange(80), weights=np.where(rows.labels == 1, 1.0, 3.0))
    scores = make_scores(rows, seed)
    copies = np.repeat(np.arange(80), rows.weights.astype(int))
    repeated = dataclasses.replace(
        rows,
        **{name: getattr(rows, name)[copies] for name in ("ids", "folds", "days", "amounts", "labels")},
        payers=np.arange(len(copies)),
        weights=np.ones(len(copies)),
        columns={"amount": rows.columns["amount"][copies]},
    )
    first, second = values(rows, scores), values(repeated, scores[copies])
    for name in ("average_precision", "auroc", "recall_at_fpr_0.05", "brier", "log_loss", "net_savings_per_day"):
        assert first[name] == pytest.approx(second[name]), name


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_drawn_card_counts_as_often_as_it_was_drawn(seed: int) -> None:
    rows = make_rows(90, seed, cards=9)
    scores = make_scores(rows, seed)
    drawn = np.random.default_rng(seed).integers(0, 3, 9)
    drawn[0] = 1
    kept = np.repeat(np.arange(90), drawn[np.unique(rows.payers, return_inverse=True)[1]])
    again = dataclasses.replace(
        rows,
        **{name: getattr(rows, name)[kept] for name in ("ids", "folds", "days", "amounts", "labels", "payers")},
        weights=np.ones(len(kept)),
        columns={},
    )
    if len(np.unique(rows.payers)) < 9 or len(np.unique(again.labels)) < 2 or len(np.unique(again.days)) < 4:
        return
    first, second = values(rows, scores, drawn=drawn), values(again, scores[kept])
    for name in ("average_precision", "auroc", "sensitivity", "recall_at_fpr_0.05"):
        assert first[name] == pytest.approx(second[name]), name


def test_several_folds_are_averaged() -> None:
    rows = make_rows(400, 2, folds=2)
    scores = make_scores(rows, 2)
    alone = []
    for fold in (0, 1):
        inside = rows.folds == fold
        part = dataclasses.replace(
            rows,
            **{
                name: getattr(rows, name)[inside]
                for name in ("ids", "folds", "days", "amounts", "labels", "payers", "weights")
            },
        )
        alone.append(values(part, scores[inside]))
    for name, value in values(rows, scores).items():
        assert value == pytest.approx((alone[0][name] + alone[1][name]) / 2), name


def test_a_perfect_ranking_has_what_it_must() -> None:
    rows = make_rows(400, 1)
    found = values(rows, rows.labels * 0.9 + 0.05)
    for name in (
        "average_precision",
        "auroc",
        "recall_at_fpr_0.001",
        "precision",
        "sensitivity",
        "precision_in_budget",
    ):
        assert found[name] == 1.0, name


def test_differences_of_a_model_and_itself_are_nothing_and_better_models_are_found_better() -> None:
    rows = make_rows(600, 7, cards=200)
    found = evaluate.Evaluator(rows=rows, costs=COSTS, resamples=200, seed=0)
    good, noise = found.resampled(make_scores(rows, 7)), found.resampled(np.random.default_rng(0).random(600))
    same = good.minus(good).intervals()["average_precision"]
    assert same.value == 0
    # No resample differed: what may hide behind the units of the rarer class.
    assert -same.low == same.high > 0
    assert good.minus(noise).intervals()["average_precision"].low > 0
    assert "by unit" in good.intervals()["auroc"].method
