"""Frozen thresholds on the judged rows: what each finds, misses and raises falsely. No TensorFlow here."""

from collections.abc import Sequence
from typing import Any

from apps.medical_imaging.judgement import evidence
from apps.medical_imaging.judgement import judge as judges
from shared import decision as decisions
from shared.evaluation import intervals, thresholds

# From screening of the healthy to an emergency department.
PREVALENCES = (0.01, 0.05, 0.1, 0.3)
NAMES = {"sensitivity": "rule-out", "specificity": "rule-in"}
DECISION = "decision"


def points(judge: judges.Judge, run: evidence.Run) -> list[dict[str, Any]]:
    """Return one row per frozen threshold, the decision's own first.

    Each holds name, what ``thresholds.operating_point`` returns, and at_prevalence.
    """
    frozen = [(DECISION, decision_threshold(judges.demand_decision(run)))]
    frozen += [(point_name(point.rule), point) for point in run.operating_points]
    return [point_row(judge, name, point) for name, point in frozen]


def point_row(judge: judges.Judge, name: str, threshold: thresholds.Threshold) -> dict[str, Any]:
    """Return what one threshold does, and what it would do where fewer or more are ill."""
    found = thresholds.operating_point(judge.labels, judge.scores[:, 1], threshold, units=judge.units)
    return {"name": name, **found, "at_prevalence": at_prevalences(found["sensitivity"], found["specificity"])}


def decision_threshold(decision: decisions.Decision) -> thresholds.Threshold:
    """Return the decision's threshold, 0.5 where the more probable class is answered."""
    value = 0.5 if decision.threshold is None else decision.threshold
    return thresholds.Threshold(value, decision.rule, 0.0, value, value, 0, 0)


def point_name(rule: str) -> str:
    """Return what a bounded rule is for.

    >>> point_name("sensitivity>=0.95"), point_name("max_f1")
    ('rule-out (sensitivity>=0.95)', 'max_f1')
    """
    purpose = next((purpose for start, purpose in NAMES.items() if rule.startswith(start)), None)
    return f"{purpose} ({rule})" if purpose else rule


def at_prevalences(
    sensitivity: intervals.Interval | None,
    specificity: intervals.Interval | None,
    prevalences: Sequence[float] = PREVALENCES,
) -> list[dict[str, Any]]:
    """Return positive and negative predictive values at stated prevalences, by Bayes' rule.

    Both rise with sensitivity and with specificity, so their ends follow from the ends of the two: an
    interval that is too wide rather than too narrow. None where nobody would be called so.
    """
    if sensitivity is None or specificity is None:
        return []
    return [
        {
            "prevalence": prevalence,
            "precision": _predictive(sensitivity, specificity, prevalence, place=0),
            "negative_predictive_value": _predictive(sensitivity, specificity, prevalence, place=1),
        }
        for prevalence in prevalences
    ]


def _predictive(
    sensitivity: intervals.Interval, specificity: intervals.Interval, prevalence: float, *, place: int
) -> intervals.Interval | None:
    ends = [
        (sensitivity.value, specificity.value),
        (sensitivity.low, specificity.low),
        (sensitivity.high, specificity.high),
    ]
    try:
        value, low, high = (thresholds.predictive_values(*pair, prevalence=prevalence)[place] for pair in ends)
    except ValueError:
        return None
    return intervals.Interval(value, low, high, sensitivity.confidence, "from the ends of sensitivity and specificity")
