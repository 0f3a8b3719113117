"""The decision rule: the score from which a box is predicted, frozen on validation data."""

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from apps.driving_perception.metrics import coco, thresholds
from shared import decision_rule, errors

log = logging.getLogger("fieldnets")
RULES = ("max_f1", "fppi")
# A threshold no detector of ours is worse than predicting everything at.
LEAST_THRESHOLD = 0.02


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecisionRule(decision_rule.Rule):
    """From which score a box is predicted.

    Attributes:
        class_names: What is found.
        threshold: Score from which a box is predicted.
        rule: How it was chosen: the largest F1, or as many false alarms as ``fppi_budget`` allows.
        fppi_budget: False alarms per image of the rule ``fppi``.
        recall: Share of objects found at the threshold, on validation.
        precision: Share of predicted boxes that are correct, on validation.
        false_positives_per_image: On validation.
        fitted_on: What validation is.
    """

    class_names: tuple[str, ...]
    threshold: float
    rule: str
    fppi_budget: float
    recall: float
    precision: float
    false_positives_per_image: float
    fitted_on: Mapping[str, Any]


def fit(matched: coco.Matched, *, rule: str, fppi_budget: float, fitted_on: Mapping[str, Any]) -> DecisionRule:
    """Choose the threshold on validation images.

    Args:
        matched: All detections in them, down to a low score, matched with their labelled boxes.
        rule: One of ``RULES``.
        fppi_budget: False alarms per image for ``fppi``.
        fitted_on: What the images are.

    Raises:
        errors.InputError: The rule is not one of these.
    """
    if rule not in RULES:
        raise errors.InputError(f"threshold_rule: expected one of {RULES}. Received: {rule!r}")
    swept = thresholds.sweep(matched)
    threshold = _threshold(swept, rule, fppi_budget)
    at = swept.rates(threshold)
    return DecisionRule(
        class_names=matched.class_names,
        threshold=float(threshold),
        rule=rule,
        fppi_budget=fppi_budget,
        recall=at["recall"],
        precision=at["precision"],
        false_positives_per_image=at["false_positives_per_image"],
        fitted_on=fitted_on,
    )


def _threshold(swept: thresholds.Sweep, rule: str, budget: float) -> float:
    """Return the threshold that a rule chooses; 0.5 where nothing was detected."""
    if not len(swept.score):
        return 0.5
    if rule == "max_f1":
        row = int(np.argmax(swept.f1))
    else:
        row = int(np.searchsorted(swept.false_alarms, budget, side="right")) - 1
    # Half way to the next score: a box that scores the same to the last digit elsewhere is not left to rounding.
    above = float(swept.score[row]) if row >= 0 else 1.0
    below = float(swept.score[row + 1]) if row + 1 < len(swept.score) else 0.0
    if row < 0:
        log.warning(
            "no threshold keeps to %g false alarms per image: the boxes of the highest score, %.3f, alone bring %g. "
            "The threshold lies above it, so that nothing is predicted on validation",
            budget, below, float(swept.false_alarms[0]),
        )  # fmt: skip
    return max((above + below) / 2, LEAST_THRESHOLD)
