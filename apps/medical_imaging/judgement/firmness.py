"""How firm the frozen threshold is: its own interval, and what accuracy does when it, or the images, shift.

No TensorFlow here.
"""

from typing import Any

import numpy as np

from apps.medical_imaging.judgement import evidence, operating
from apps.medical_imaging.judgement import judge as judges
from shared.evaluation import threshold_stability, thresholds

# Odds 20 times lower to 20 times higher.
SHIFTS_LOGITS = tuple(np.linspace(-3.0, 3.0, 25).tolist())
RULES = ("equal_margin", "max_balanced_accuracy", "max_accuracy", "argmax")
THRESHOLD_RESAMPLES = 400


def measure(judge: judges.Judge, run: evidence.Run) -> dict[str, Any]:
    """Return threshold, rule, sweep, hindsight, and with validation rows also interval, accuracy_range and rules.

    ``hindsight`` is the best accuracy that any threshold would have had on these rows: nobody could have
    chosen it, and the distance to it is what the choice cost.
    """
    threshold = operating.decision_threshold(judges.demand_decision(run))
    score = judge.scores[:, 1]
    cuts = threshold_stability.shifted(threshold.value, SHIFTS_LOGITS)
    found: dict[str, Any] = {
        "threshold": threshold.value,
        "rule": threshold.rule,
        "accuracy": float(judge.correct.mean()),
        "sweep": [
            {"shift_logits": shift, **row}
            for shift, row in zip(
                SHIFTS_LOGITS,
                threshold_stability.sweep(judge.labels, score, cuts, units=judge.units),
                strict=True,
            )
        ],
    }
    if len(np.unique(judge.labels)) == 2:
        found["hindsight"] = thresholds.select("max_accuracy", judge.labels, score).objective
    if run.validation is not None:
        found |= _on_validation(judge, run, run.validation)
    return found


def _on_validation(judge: judges.Judge, run: evidence.Run, validation: evidence.Validation) -> dict[str, Any]:
    """Return the threshold's interval and what other rules would have chosen on the same rows."""
    decision = judges.demand_decision(run)
    labels = validation.labels.argmax(axis=1)
    score = decision.scores(validation.logits)[:, 1]
    if len(np.unique(labels)) < 2:
        return {}
    rules = [_chosen(judge, rule, labels, score) for rule in dict.fromkeys([decision.rule, *RULES])]
    found: dict[str, Any] = {"rules": [row for row in rules if row is not None]}
    try:
        interval = threshold_stability.interval(
            decision.rule,
            labels,
            score,
            units=validation.patients.astype(str),
            resamples=min(judge.resamples, THRESHOLD_RESAMPLES),
            seed=judge.seed,
        )
    except ValueError:
        return found
    lowest, highest = threshold_stability.accuracy_over(judge.labels, judge.scores[:, 1], interval)
    return {**found, "interval": interval, "accuracy_range": {"lowest": lowest, "highest": highest}}


def _chosen(judge: judges.Judge, rule: str, labels: evidence.Ints, score: evidence.Floats) -> dict[str, Any] | None:
    """Return a rule's threshold on validation and what it does here, None for a rule of another kind."""
    try:
        threshold = thresholds.select(rule, labels, score)
    except ValueError:
        return None
    point = thresholds.operating_point(judge.labels, judge.scores[:, 1], threshold, units=judge.units)
    wanted = ("accuracy", "sensitivity", "specificity")
    return {"rule": rule, "threshold": threshold.value, **{name: point[name] for name in wanted}}
