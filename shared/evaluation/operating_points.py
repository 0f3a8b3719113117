"""What a threshold does: operating points, predictive values, and how stable the choice of the threshold is."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from shared.evaluation import arrays, bootstrap, intervals, thresholds


def operating_point(
    y_true: npt.ArrayLike,
    y_score: npt.ArrayLike,
    threshold: thresholds.Threshold | float,
    *,
    units: npt.ArrayLike | None = None,
    confidence: float = 0.95,
) -> dict[str, Any]:
    """Return what a frozen threshold does on (test) data, as one row of a table.

    Returns:
        rule, threshold, n, tp, fp, fn, tn, and as Wilson intervals (at the effective size when units are
        given; None where there is nothing to divide by) sensitivity, specificity, precision,
        negative_predictive_value, accuracy and positive_rate, the share of rows called positive.

    Raises:
        ValueError: malformed arrays, or a threshold that is not finite.

    Example:
        >>> row = operating_point([0, 1, 1, 0], [0.1, 0.3, 0.7, 0.8], 0.5)
        >>> row["tp"], row["fp"], row["sensitivity"].value
        (1, 1, 0.5)
    """
    truth = arrays.labels(y_true, classes=2)
    score = arrays.positive(y_score, rows=len(truth))
    value = threshold.value if isinstance(threshold, thresholds.Threshold) else float(threshold)
    if not math.isfinite(value):
        raise ValueError(f"threshold: expected a finite number. Received: {value}")
    identity = arrays.units_of(units, rows=len(truth)).code
    positive, called = truth == 1, score >= value

    def share(hits: arrays.Bools, among: arrays.Bools) -> intervals.Interval | None:
        return intervals.proportion_among(hits, among, units=identity, confidence=confidence)

    everyone = np.ones_like(positive)
    return {
        "rule": threshold.rule if isinstance(threshold, thresholds.Threshold) else "given",
        "threshold": value,
        "n": len(truth),
        "tp": int((positive & called).sum()),
        "fp": int((~positive & called).sum()),
        "fn": int((positive & ~called).sum()),
        "tn": int((~positive & ~called).sum()),
        "sensitivity": share(called, positive),
        "specificity": share(~called, ~positive),
        "precision": share(positive, called),
        "negative_predictive_value": share(~positive, ~called),
        "accuracy": share(positive == called, everyone),
        "positive_rate": share(called, everyone),
    }


def predictive_values(sensitivity: float, specificity: float, *, prevalence: float) -> tuple[float, float]:
    """Return (positive, negative) predictive value at a stated prevalence, by Bayes' rule.

    A test part enriched with positives flatters precision; this restates it for the population served.

    Raises:
        ValueError: prevalence not within (0, 1), or nobody called positive or negative.

    Example:
        >>> positive, negative = predictive_values(0.9, 0.9, prevalence=0.01)
        >>> round(positive, 4), round(negative, 4)
        (0.0833, 0.9989)
    """
    sick = arrays.fraction(prevalence, "prevalence")
    called = sensitivity * sick + (1 - specificity) * (1 - sick)
    if not 0 < called < 1:
        raise ValueError(f"expected rows called positive and negative. Received: a share of {called} positive")
    return sensitivity * sick / called, specificity * (1 - sick) / (1 - called)


def threshold_interval(
    rule: str,
    y_true: npt.ArrayLike,
    y_score: npt.ArrayLike,
    *,
    units: npt.ArrayLike | None = None,
    resamples: int = 500,
    confidence: float = 0.95,
    seed: int = 0,
) -> intervals.Interval:
    """Return the threshold that ``rule`` chooses, with its own bootstrap interval over validation units.

    Args:
        rule: of `thresholds.select`.
        y_true: (n,) in {0, 1}, both present: validation labels.
        y_score: (n,) or (n, 2) validation scores.
        units: (n,) unit of each row, or None.
        resamples: number of resamples; each searches the threshold again.
        confidence: in (0, 1).
        seed: of the resamples.

    Raises:
        ValueError: malformed arrays, an unknown rule, or one that over a tenth of the resamples cannot follow.

    Example:
        >>> found = threshold_interval("max_accuracy", [0, 0, 0, 1, 1, 1] * 4, [0.1, 0.2, 0.3, 0.6, 0.8, 0.9] * 4)
        >>> round(found.value, 2), round(found.low, 2)
        (0.45, 0.42)
    """
    score = arrays.positive(y_score, rows=len(np.asarray(y_true)))
    thresholds.select(rule, y_true, score)

    def chosen(labels: arrays.Array, scores: arrays.Array) -> float:
        return thresholds.select(rule, labels, scores).value

    return bootstrap.interval(chosen, y_true, score, units=units, resamples=resamples, confidence=confidence, seed=seed)


def sweep(
    y_true: npt.ArrayLike,
    y_score: npt.ArrayLike,
    cuts: Sequence[float],
    *,
    units: npt.ArrayLike | None = None,
    confidence: float = 0.95,
) -> list[dict[str, Any]]:
    """Return `operating_point` for every cut, with the balanced accuracy of each.

    Args:
        y_true: (n,) in {0, 1}.
        y_score: (n,) or (n, 2) scores.
        cuts: thresholds.
        units: (n,) unit of each row, or None.
        confidence: in (0, 1).

    Returns:
        One row per cut; ``balanced_accuracy`` is a plain number, None where a class is missing.

    Raises:
        ValueError: malformed arrays.

    Example:
        >>> [row["accuracy"].value for row in sweep([0, 1, 1], [0.1, 0.4, 0.8], [0.2, 0.5])]
        [1.0, 0.6666666666666666]
    """
    rows = [operating_point(y_true, y_score, cut, units=units, confidence=confidence) for cut in cuts]
    for row in rows:
        pair = (row["sensitivity"], row["specificity"])
        row["balanced_accuracy"] = None if None in pair else (pair[0].value + pair[1].value) / 2
    return rows


def shifted(threshold: float, shifts: Sequence[float]) -> list[float]:
    """Return a threshold on probabilities moved by ``shifts`` on the logit scale.

    Another scanner or exposure moves logits by about a constant; moving the threshold by it is the same.

    Raises:
        ValueError: a threshold outside (0, 1).

    Example:
        >>> shifted(0.5, [0.0, np.log(3)])
        [0.5, 0.75]
    """
    centre = special.logit(np.clip(arrays.fraction(threshold, "threshold"), thresholds.EPSILON, 1 - thresholds.EPSILON))
    return [float(value) for value in np.round(special.expit(centre + np.asarray(shifts)), 15)]


def accuracy_over(
    y_true: npt.ArrayLike,
    y_score: npt.ArrayLike,
    found: intervals.Interval,
    *,
    points: int = 101,
) -> tuple[float, float]:
    """Return the lowest and the highest accuracy of the thresholds within an interval, evenly in logits.

    Args:
        y_true: (n,) in {0, 1}.
        y_score: (n,) or (n, 2) probabilities.
        found: the threshold's interval, from `threshold_interval`.
        points: thresholds tried between its ends.

    Raises:
        ValueError: malformed arrays.

    Example:
        >>> accuracy_over([0, 1, 1], [0.1, 0.4, 0.8], intervals.Interval(0.3, 0.2, 0.6))
        (0.6666666666666666, 1.0)
    """
    truth = arrays.labels(y_true, classes=2)
    score = arrays.positive(y_score, rows=len(truth))
    low, high = special.logit(np.clip([found.low, found.high], thresholds.EPSILON, 1 - thresholds.EPSILON)).tolist()
    between = special.expit(np.linspace(low, high, arrays.whole(points, "points")))
    cuts = [found.low, *between[1:-1].tolist(), found.high]
    correct = [float(((score >= cut) == truth).mean()) for cut in cuts]
    return min(correct), max(correct)
