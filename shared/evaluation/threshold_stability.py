"""Threshold stability: its interval over validation data, and what other thresholds would do."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from shared.evaluation import arrays, intervals, thresholds
from shared.evaluation import thresholds


def interval(
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
        >>> found = interval("max_accuracy", [0, 0, 0, 1, 1, 1] * 4, [0.1, 0.2, 0.3, 0.6, 0.8, 0.9] * 4)
        >>> round(found.value, 2), round(found.low, 2)
        (0.45, 0.45)
    """
    score = arrays.positive(y_score, rows=len(np.asarray(y_true)))
    thresholds.select(rule, y_true, score)

    def chosen(labels: arrays.Array, scores: arrays.Array) -> float:
        return thresholds.select(rule, labels, scores).value

    return intervals.bootstrap(
        chosen, y_true, score, units=units, resamples=resamples, confidence=confidence, seed=seed
    )


def sweep(
    y_true: npt.ArrayLike,
    y_score: npt.ArrayLike,
    cuts: Sequence[float],
    *,
    units: npt.ArrayLike | None = None,
    confidence: float = 0.95,
) -> list[dict[str, Any]]:
    """Return `thresholds.operating_point` for every cut, with the balanced accuracy of each.

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
    rows = [thresholds.operating_point(y_true, y_score, cut, units=units, confidence=confidence) for cut in cuts]
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
        found: the threshold's interval, from `interval`.
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
