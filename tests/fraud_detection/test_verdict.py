"""Thresholds keep the budget and the costs that they are chosen for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.fraud_detection import verdict
from apps.fraud_detection.config import Config
from shared import errors


def validation(scores: np.ndarray, labels: np.ndarray, amounts: np.ndarray, *, days: float = 1.0) -> verdict.Validation:
    return verdict.Validation(
        scores=scores, labels=labels, amounts=amounts, weights=np.ones(len(scores)), days=days, sha256=""
    )


ROWS = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 1), st.floats(0, 500)), min_size=2, max_size=40, unique_by=lambda r: r[0]
)


@given(rows=ROWS, budget=st.integers(1, 50))
def test_the_budget_is_kept_and_used(rows: list[tuple[float, int, float]], budget: int) -> None:
    scores, labels, amounts = (np.array(column, float) for column in zip(*rows, strict=True))
    settings = Config().replace({"alerts_per_day": budget})
    found = verdict.fit(validation(scores, labels.astype(int), amounts), settings)
    assert (scores >= found.threshold).sum() == min(budget, len(scores))


@given(rows=ROWS)
def test_no_threshold_saves_more_than_the_one_chosen_by_cost(rows: list[tuple[float, int, float]]) -> None:
    scores, labels, amounts = (np.array(column, float) for column in zip(*rows, strict=True))
    settings = Config().replace({"threshold_rule": "cost"})

    def savings(threshold: float) -> float:
        alerted = scores >= threshold
        return float((alerted * (labels * amounts * settings.recovered_share - settings.investigation_cost)).sum())

    found = verdict.fit(validation(scores, labels.astype(int), amounts), settings).threshold
    best = max(savings(threshold) for threshold in [*scores.tolist(), 2.0])
    assert savings(found) == pytest.approx(max(best, 0.0))


def test_weighted_rows_fill_the_budget_with_what_they_stand_for() -> None:
    rows = verdict.Validation(
        scores=np.array([0.9, 0.8, 0.7, 0.6]),
        labels=np.array([1, 0, 0, 0]),
        amounts=np.ones(4),
        weights=np.array([1.0, 10, 10, 10]),
        days=2.0,
        sha256="",
    )
    found = verdict.fit(rows, Config().replace({"alerts_per_day": 6}))
    assert (rows.scores >= found.threshold).tolist() == [True, True, False, False]
    with pytest.raises(errors.InputError, match="expected budget or cost where rows are weighted"):
        verdict.fit(rows, Config().replace({"threshold_rule": "max_f1"}))


def test_a_rule_that_is_none_is_refused_by_name() -> None:
    rows = validation(np.array([0.1, 0.9]), np.array([0, 1]), np.ones(2))
    with pytest.raises(errors.InputError, match="threshold_rule: rule: expected one of"):
        verdict.fit(rows, Config().replace({"threshold_rule": "luck"}))


def test_a_verdict_survives_its_file() -> None:
    rows = validation(np.array([0.1, 0.9]), np.array([0, 1]), np.ones(2))
    made = verdict.fit(rows, Config())
    assert verdict.Verdict.from_json(made.to_json()) == made
