"""Thresholds keep the budget and the costs that they are chosen for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.fraud_detection import decision as decision_rule
from apps.fraud_detection.config import Config
from shared import errors


def validation(
    scores: np.ndarray, labels: np.ndarray, amounts: np.ndarray, *, days: float = 1.0
) -> decision_rule.Validation:
    return decision_rule.Validation(
        scores=scores, labels=labels, amounts=amounts, weights=np.ones(len(scores)), days=days, sha256=""
    )


ROWS = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 1), st.floats(0, 500)), min_size=2, max_size=40, unique_by=lambda r: r[0]
)


@given(rows=ROWS, budget=st.integers(1, 50))
def test_the_budget_is_kept_and_used(rows: list[tuple[float, int, float]], budget: int) -> None:
    scores, labels, amounts = (np.array(column, float) for column in zip(*rows, strict=True))
    settings = Config().replace({"alerts_per_day": budget})
    found = decision_rule.fit(validation(scores, labels.astype(int), amounts), settings)
    assert (scores >= found.threshold).sum() == min(budget, len(scores))


@given(rows=ROWS)
def test_no_threshold_saves_more_than_the_one_chosen_by_cost(rows: list[tuple[float, int, float]]) -> None:
    scores, labels, amounts = (np.array(column, float) for column in zip(*rows, strict=True))
    settings = Config().replace({"threshold_rule": "cost"})

    def savings(threshold: float) -> float:
        alerted = scores >= threshold
        return float((alerted * (labels * amounts * settings.recovered_share - settings.investigation_cost)).sum())

    found = decision_rule.fit(validation(scores, labels.astype(int), amounts), settings).threshold
    best = max(savings(threshold) for threshold in [*scores.tolist(), 2.0])
    assert savings(found) == pytest.approx(max(best, 0.0))


def test_weighted_rows_fill_the_budget_with_what_they_stand_for() -> None:
    rows = decision_rule.Validation(
        scores=np.array([0.9, 0.8, 0.7, 0.6]),
        labels=np.array([1, 0, 0, 0]),
        amounts=np.ones(4),
        weights=np.array([1.0, 10, 10, 10]),
        days=2.0,
        sha256="",
    )
    found = decision_rule.fit(rows, Config().replace({"alerts_per_day": 6}))
    assert (rows.scores >= found.threshold).tolist() == [True, True, False, False]
    with pytest.raises(errors.InputError, match="expected budget or cost where rows are weighted"):
        decision_rule.fit(rows, Config().replace({"threshold_rule": "max_f1"}))


def test_a_rule_that_is_none_is_refused_by_name() -> None:
    rows = validation(np.array([0.1, 0.9]), np.array([0, 1]), np.ones(2))
    with pytest.raises(errors.InputError, match="threshold_rule: rule: expected one of"):
        decision_rule.fit(rows, Config().replace({"threshold_rule": "luck"}))


def test_a_verdict_survives_its_file() -> None:
    rows = validation(np.array([0.1, 0.9]), np.array([0, 1]), np.ones(2))
    made = decision_rule.fit(rows, Config())
    assert decision_rule.DecisionRule.from_json(made.to_json()) == made


@given(scores=st.lists(st.sampled_from([0.1, 0.2, 0.2308, 0.9]), min_size=2, max_size=60), budget=st.integers(1, 20))
def test_equal_scores_never_exceed_the_budget_and_the_rule_tells_what_is_reached(
    scores: list[float], budget: int
) -> None:
    given_scores = np.array(scores)
    rows = validation(given_scores, np.zeros(len(scores), int), np.ones(len(scores)), days=2.0)
    found = decision_rule.fit(rows, Config().replace({"alerts_per_day": budget}))
    reached = (given_scores >= found.threshold).sum() / 2
    assert reached <= budget
    assert found.fitted_on["alerts_per_day"] == reached
    # Another whole group of equal scores would not have fitted.
    below = given_scores[given_scores < found.threshold]
    assert not len(below) or reached + (given_scores == below.max()).sum() / 2 > budget


def test_a_threshold_above_equal_scores_is_above_their_last_bits_too() -> None:
    scores = np.full(1_221, 0.2308)
    found = decision_rule.fit(
        validation(scores, np.zeros(1_221, int), np.ones(1_221), days=60.0), Config().replace({"alerts_per_day": 5})
    )
    assert found.threshold > 0.2308 + 1e-6
    assert found.rule == "budget of 5 alerts a day, 0 reached on validation: the next 1,221 transactions have one score"
