"""What only two classes have: operating points, threshold stability, decision curve, DeLong's interval, slope.

The last class is the positive one. No TensorFlow here.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from apps.medical_imaging import evaluation_inputs
from shared import decision as decisions
from shared.evaluation import (
    classifier,
    evaluators,
    intervals,
    miscalibration,
    net_benefit,
    operating_points,
    thresholds,
)

# From screening of the healthy to an emergency department.
PREVALENCES = (0.01, 0.05, 0.1, 0.3)
PURPOSES = {"sensitivity": "rule-out", "specificity": "rule-in"}
DECISION_THRESHOLDS = (0.01, 0.02, *np.round(np.arange(0.05, 1.0, 0.05), 2).tolist())
# Odds 20 times lower to 20 times higher.
SHIFTS_LOGITS = tuple(np.linspace(-3.0, 3.0, 25).tolist())
RULES = ("equal_margin", "max_balanced_accuracy", "max_accuracy", "argmax")
THRESHOLD_RESAMPLES = 400
# What both the metrics of the run and the row of a threshold hold.
POINT_METRICS = ("accuracy", "sensitivity", "specificity", "precision")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Results:
    """The numbers.

    Attributes:
        points: One row per frozen threshold, the decision's own first.
        delong: AUROC with DeLong's interval by patient; None with too few patients of a class.
        stability: As ``stability`` returns it.
        decision_curve: As ``net_benefit.decision_curve`` returns it.
        slope: Calibration slope and intercept, or why there is none.
    """

    points: list[dict[str, Any]]
    delong: intervals.Interval | None
    stability: dict[str, Any]
    decision_curve: list[dict[str, Any]]
    slope: dict[str, Any]


def evaluate(
    evaluator: evaluators.Evaluator,
    rule: decisions.Decision,
    points: Sequence[thresholds.Threshold],
    validation: evaluation_inputs.Validation | None,
) -> Results:
    """Evaluate two classes.

    Args:
        evaluator: The scores.
        rule: The decision rule.
        points: Further frozen thresholds.
        validation: The rows that thresholds were chosen on; None leaves their stability out.
    """
    frozen = {"decision": decision_threshold(rule), **{point_name(point.rule): point for point in points}}
    return Results(
        points=[_point(evaluator, name, threshold) for name, threshold in frozen.items()],
        delong=_delong(evaluator),
        stability=stability(evaluator, rule, validation),
        decision_curve=net_benefit.decision_curve(
            evaluator.labels,
            evaluator.scores[:, 1],
            DECISION_THRESHOLDS,
            units=evaluator.units,
            resamples=min(evaluator.resamples, classifier.QUICK_RESAMPLES),
            seed=evaluator.seed,
        ),
        slope=_slope(evaluator),
    )


def with_intervals_of(found: Results, metrics: Mapping[str, intervals.Interval]) -> Results:
    """Let the decision's point carry the intervals of the metrics: one number has one interval on the page.

    The other thresholds are no metric of the run; their rates keep Wilson's interval at the effective size.

    Args:
        found: The evaluation of two classes; its first point is the decision's.
        metrics: Those of the whole evaluation, at the same threshold.
    """
    first = {**found.points[0], **{name: metrics[name] for name in POINT_METRICS if name in metrics}}
    first["at_prevalence"] = at_prevalences(first["sensitivity"], first["specificity"])
    rules = [dict(row) for row in found.stability.get("rules", [])]
    for row in rules:
        if row["rule"] == found.stability["rule"] and row["threshold"] == first["threshold"]:
            row |= {name: first[name] for name in POINT_METRICS if name in row}
    steady = {**found.stability, **({"rules": rules} if rules else {})}
    return dataclasses.replace(found, points=[first, *found.points[1:]], stability=steady)


def decision_threshold(decision: decisions.Decision) -> thresholds.Threshold:
    """Return the decision's threshold, 0.5 where the more probable class is predicted."""
    value = 0.5 if decision.threshold is None else decision.threshold
    return thresholds.Threshold(value, decision.rule, 0.0, value, value, 0, 0)


def point_name(rule: str) -> str:
    """Return what a bounded rule is for.

    >>> point_name("sensitivity>=0.95"), point_name("max_f1")
    ('rule-out (sensitivity>=0.95)', 'max_f1')
    """
    purpose = next((purpose for start, purpose in PURPOSES.items() if rule.startswith(start)), None)
    return f"{purpose} ({rule})" if purpose else rule


def _point(evaluator: evaluators.Evaluator, name: str, threshold: thresholds.Threshold) -> dict[str, Any]:
    """Return what one threshold does, and what it would do where fewer or more are ill."""
    found = operating_points.operating_point(evaluator.labels, evaluator.scores[:, 1], threshold, units=evaluator.units)
    return {"name": name, **found, "at_prevalence": at_prevalences(found["sensitivity"], found["specificity"])}


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
    ends = [(getattr(sensitivity, end), getattr(specificity, end)) for end in ("value", "low", "high")]
    try:
        value, low, high = (operating_points.predictive_values(*pair, prevalence=prevalence)[place] for pair in ends)
    except ValueError:
        return None
    return intervals.Interval(value, low, high, sensitivity.confidence, "from the ends of sensitivity and specificity")


def _delong(evaluator: evaluators.Evaluator) -> intervals.Interval | None:
    try:
        return intervals.delong(evaluator.labels, evaluator.scores[:, 1], units=evaluator.units)
    except ValueError:
        return None


def _slope(evaluator: evaluators.Evaluator) -> dict[str, Any]:
    try:
        return dict(miscalibration.slope_and_intercept(evaluator.labels, evaluator.scores, units=evaluator.units))
    except ValueError as error:
        return {"slope": None, "intercept": None, "why": str(error)}


def stability(
    evaluator: evaluators.Evaluator, rule: decisions.Decision, validation: evaluation_inputs.Validation | None
) -> dict[str, Any]:
    """Return threshold, rule, sweep, hindsight, and with validation rows also interval, accuracy_range and rules.

    ``hindsight`` is the best accuracy that any threshold would have had on these rows: nobody could have
    chosen it, and the distance to it is what the choice cost.
    """
    threshold, score = decision_threshold(rule), evaluator.scores[:, 1]
    cuts = operating_points.shifted(threshold.value, SHIFTS_LOGITS)
    swept = operating_points.sweep(evaluator.labels, score, cuts, units=evaluator.units)
    found: dict[str, Any] = {
        "threshold": threshold.value,
        "rule": threshold.rule,
        "accuracy": float(evaluator.correct.mean()),
        "sweep": [{"shift_logits": shift, **row} for shift, row in zip(SHIFTS_LOGITS, swept, strict=True)],
    }
    if len(np.unique(evaluator.labels)) == 2:
        found["hindsight"] = thresholds.select("max_accuracy", evaluator.labels, score).objective
    return found if validation is None else {**found, **_on_validation(evaluator, rule, validation)}


def _on_validation(
    evaluator: evaluators.Evaluator, rule: decisions.Decision, validation: evaluation_inputs.Validation
) -> dict[str, Any]:
    """Return the threshold's interval and what other rules would have chosen on the same rows."""
    labels, score = validation.labels.argmax(axis=1), rule.scores(validation.logits)[:, 1]
    if len(np.unique(labels)) < 2:
        return {}
    rules = [_chosen(evaluator, name, labels, score) for name in dict.fromkeys([rule.rule, *RULES])]
    found: dict[str, Any] = {"rules": [row for row in rules if row is not None]}
    try:
        interval = operating_points.threshold_interval(
            rule.rule,
            labels,
            score,
            units=validation.patients.astype(str),
            resamples=min(evaluator.resamples, THRESHOLD_RESAMPLES),
            seed=evaluator.seed,
        )
    except ValueError:
        return found
    lowest, highest = operating_points.accuracy_over(evaluator.labels, evaluator.scores[:, 1], interval)
    return {**found, "interval": interval, "accuracy_range": {"lowest": lowest, "highest": highest}}


def _chosen(
    evaluator: evaluators.Evaluator, rule: str, labels: npt.NDArray[np.int64], score: npt.NDArray[np.float64]
) -> dict[str, Any] | None:
    """Return a rule's threshold on validation and what it does here, None for a rule of another kind."""
    try:
        threshold = thresholds.select(rule, labels, score)
    except ValueError:
        return None
    point = operating_points.operating_point(evaluator.labels, evaluator.scores[:, 1], threshold, units=evaluator.units)
    wanted = ("accuracy", "sensitivity", "specificity")
    return {"rule": rule, "threshold": threshold.value, **{name: point[name] for name in wanted}}
