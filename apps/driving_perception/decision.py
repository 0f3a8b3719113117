"""What every threshold gives: recall, precision, misses against false alarms; and the rule that chooses one.

Dollar et al. 2012, "Pedestrian Detection: An Evaluation of the State of the Art": the log-average miss rate is the
geometric mean of the miss rate at nine rates of false alarms, evenly spaced in logarithm from 0.01 to 1 per image.
"""

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from apps.driving_perception import coco_metrics
from shared import decision_rule, errors, stored

Floats: TypeAlias = npt.NDArray[np.float64]

log = logging.getLogger("fieldnets")
RULES = ("max_f1", "fppi")
# A threshold no detector of ours is worse than predicting everything at.
LEAST_THRESHOLD = 0.02
MISS_RATE_POINTS = np.logspace(-2, 0, 9)
_LEAST_MISS_RATE = 1e-10


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Sweep:
    """What every threshold gives, at an overlap of 0.5, all classes together.

    Attributes:
        score: (d,) float64 falling: the thresholds, each once: boxes of one score are predicted together or not.
        right: (d,) float64 objects found from there on.
        wrong: (d,) float64 false alarms from there on.
        objects: Objects to be found.
        images: Images.
    """

    score: Floats
    right: Floats
    wrong: Floats
    objects: float
    images: float

    @property
    def recall(self) -> Floats:
        """(d,) share of objects found."""
        return self.right / max(self.objects, 1.0)

    @property
    def precision(self) -> Floats:
        """(d,) share of boxes that are right."""
        return self.right / np.maximum(self.right + self.wrong, 1e-9)

    @property
    def false_alarms(self) -> Floats:
        """(d,) false alarms per image."""
        return self.wrong / max(self.images, 1.0)

    @property
    def f1(self) -> Floats:
        """(d,) harmonic mean of precision and recall."""
        return 2 * self.right / np.maximum(self.right + self.wrong + self.objects, 1e-9)

    def at(self, threshold: float) -> int:
        """Return the row of the last score that is at least ``threshold``; -1 where there is none."""
        return int(np.searchsorted(-self.score, -threshold, side="right")) - 1

    def rates(self, threshold: float) -> dict[str, float]:
        """Return recall, precision, F1 and false alarms per image from a threshold on; 0 where nothing reaches it."""
        row = self.at(threshold)
        columns = {
            "recall": self.recall,
            "precision": self.precision,
            "f1": self.f1,
            "false_positives_per_image": self.false_alarms,
        }
        return {name: float(column[row]) if row >= 0 else 0.0 for name, column in columns.items()}


def sweep(matched: coco_metrics.Matched, weights: Floats | None = None) -> Sweep:
    """Join the matches of all classes at an overlap of 0.5, with ``weights`` (n,) on the images."""
    copies = np.ones(matched.images) if weights is None else weights
    every = list(matched.by_size["all"].values())
    score = np.concatenate([each.score for each in every] or [np.empty(0)])
    flags = [
        np.concatenate([getattr(each, name)[0] * copies[each.image] for each in every] or [np.empty(0)])
        for name in ("right", "wrong")
    ]
    order = np.argsort(-score, kind="stable")
    falling = score[order]
    last = np.flatnonzero(np.append(falling[1:] < falling[:-1], True)) if len(falling) else np.empty(0, np.int64)
    right, wrong = (np.cumsum(each[order])[last] for each in flags)
    objects = sum(float(copies @ each.objects) for each in every)
    return Sweep(score=falling[last], right=right, wrong=wrong, objects=objects, images=float(copies.sum()))


def miss_rate_at(swept: Sweep, false_alarms: float) -> float:
    """Return the lowest share of objects missed with at most so many false alarms per image; 1 where none is found."""
    row = int(np.searchsorted(swept.false_alarms, false_alarms, side="right")) - 1
    return 1.0 - float(swept.recall[row]) if row >= 0 else 1.0


def log_average_miss_rate(swept: Sweep) -> float:
    """Return the geometric mean of the miss rate at ``POINTS``; NaN where there is no object."""
    if swept.objects == 0:
        return float("nan")
    rates = np.maximum([miss_rate_at(swept, point) for point in MISS_RATE_POINTS], _LEAST_MISS_RATE)
    return float(np.exp(np.mean(np.log(rates))))


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

    class_names: stored.SomeNames
    threshold: stored.Threshold
    rule: stored.Text
    fppi_budget: stored.NotNegative
    recall: stored.Share
    precision: stored.Share
    false_positives_per_image: stored.NotNegative
    fitted_on: Mapping[str, Any]


def fit(matched: coco_metrics.Matched, *, rule: str, fppi_budget: float, fitted_on: Mapping[str, Any]) -> DecisionRule:
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
    swept = sweep(matched)
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


def _threshold(swept: Sweep, rule: str, budget: float) -> float:
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
