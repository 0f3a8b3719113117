"""The operating point: the score from which a box is answered, frozen on validation data."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from apps.driving_perception.scores import coco
from shared import errors

RULES = ("max_f1", "fppi")
# A threshold no detector of ours is worse than answering everything at.
LEAST_THRESHOLD = 0.02

Floats: TypeAlias = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Operating:
    """What is answered.

    Attributes:
        class_names: What is found.
        threshold: Score from which a box is answered.
        rule: How it was chosen: the largest F1, or as many false alarms as ``fppi_budget`` allows.
        fppi_budget: False alarms per image of the rule ``fppi``.
        recall: Share of objects found at the threshold, on validation.
        precision: Share of answered boxes that are right, on validation.
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

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read what ``to_json`` wrote.

        Raises:
            errors.InputError: A field is missing or unknown.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        if set(content) != names:
            raise errors.InputError(f"decision: expected the fields {sorted(names)}. Received: {sorted(content)}")
        return cls(**{**content, "class_names": tuple(content["class_names"])})

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able mapping."""
        return {**vars(self), "class_names": list(self.class_names), "fitted_on": dict(self.fitted_on)}


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Sweep:
    """What every threshold gives, at an overlap of 0.5, all classes together.

    Attributes:
        score: (d,) float64 falling: the thresholds.
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


def sweep(matched: coco.Matched, weights: Floats | None = None) -> Sweep:
    """Join the matches of all classes at an overlap of 0.5, with ``weights`` (n,) on the images."""
    copies = np.ones(matched.images) if weights is None else weights
    every = list(matched.by_size["all"].values())
    score = np.concatenate([each.score for each in every] or [np.empty(0)])
    flags = [
        np.concatenate([getattr(each, name)[0] * copies[each.image] for each in every] or [np.empty(0)])
        for name in ("right", "wrong")
    ]
    order = np.argsort(-score, kind="stable")
    right, wrong = (np.cumsum(each[order]) for each in flags)
    objects = sum(float(copies @ each.objects) for each in every)
    return Sweep(score=score[order], right=right, wrong=wrong, objects=objects, images=float(copies.sum()))


def fit(matched: coco.Matched, *, rule: str, fppi_budget: float, fitted_on: Mapping[str, Any]) -> Operating:
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
    row = _best(swept, rule, fppi_budget)
    # Half way to the next score: a box that scores the same to the last digit elsewhere is not left to rounding.
    below = swept.score[row + 1] if row + 1 < len(swept.score) else 0.0
    threshold = max((swept.score[row] + below) / 2, LEAST_THRESHOLD) if row >= 0 else 0.5
    row = swept.at(threshold)
    at = {
        name: float(getattr(swept, name)[row]) if row >= 0 else 0.0 for name in ("recall", "precision", "false_alarms")
    }
    return Operating(
        class_names=matched.class_names,
        threshold=float(threshold),
        rule=rule,
        fppi_budget=fppi_budget,
        recall=at["recall"],
        precision=at["precision"],
        false_positives_per_image=at["false_alarms"],
        fitted_on=fitted_on,
    )


def _best(swept: Sweep, rule: str, budget: float) -> int:
    """Return the row of the chosen score; -1 where nothing was found."""
    if not len(swept.score):
        return -1
    if rule == "max_f1":
        return int(np.argmax(swept.f1))
    return int(np.searchsorted(swept.false_alarms, budget, side="right")) - 1
