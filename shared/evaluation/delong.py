"""AUROC with the variance of DeLong, also when rows share units: an interval without resampling."""

import math
import statistics

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from shared.evaluation import arrays, intervals, resampling


def interval(
    y_true: npt.ArrayLike, y_score: npt.ArrayLike, *, units: npt.ArrayLike | None = None, confidence: float = 0.95
) -> intervals.Interval:
    """Return AUROC with DeLong's interval (DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44).

    Rows that share a unit are summed by unit (Obuchowski 1997, Biometrics 53); the ends are found on the
    logit scale, so that they stay within (0, 1) (Pepe 2003, section 5.2).

    Args:
        y_true: (n,) in {0, 1}, both present.
        y_score: (n,) or (n, 2) scores.
        units: (n,) unit of each row, or None.
        confidence: in (0, 1).

    Raises:
        ValueError: malformed arrays, one class only, or fewer than two units with rows of either class.

    Example:
        >>> found = interval([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
        >>> found.value, found.method
        (0.75, 'DeLong by row')
    """
    truth = arrays.labels(y_true, classes=2)
    score = arrays.positive(y_score, rows=len(truth))
    grouping = resampling.units_of(units, rows=len(truth))
    upper, lower = placements(truth, score)
    area = float(upper.mean())
    error = math.sqrt(_variance(truth, upper - area, lower - area, grouping))
    method = f"DeLong by {grouping.noun}"
    if area in (0, 1):
        # Perfect separation has no variance to measure; the rarer class' units bound it (rule of three).
        reach = 1 - (1 - confidence) ** (1 / min(_units_with(truth, c, grouping) for c in (0, 1)))
        low, high = (0.0, reach) if area == 0 else (1 - reach, 1.0)
        return intervals.Interval(area, low, high, confidence, f"{method} (no variance; bound by the rarer class)")
    z = statistics.NormalDist().inv_cdf(0.5 + arrays.fraction(confidence, "confidence") / 2)
    half = z * error / (area * (1 - area))
    low, high = special.expit(special.logit(area) + np.array([-half, half])).tolist()
    return intervals.Interval(area, low, high, confidence, method)


def placements(truth: arrays.Ints, score: arrays.Floats) -> tuple[arrays.Floats, arrays.Floats]:
    """Return for each positive the share of negatives below it, for each negative that of positives above it.

    Ties count half. The mean of either is the AUROC.

    Args:
        truth: (n,) in {0, 1}, both present.
        score: (n,), higher means more positive.

    Raises:
        ValueError: one class only.

    Example:
        >>> placements(np.array([0, 1, 1]), np.array([0.2, 0.1, 0.9]))
        (array([0., 1.]), array([0.5]))
    """
    upper, lower = score[truth == 1], score[truth == 0]
    if not (upper.size and lower.size):
        raise ValueError(f"expected rows of both classes. Received: only class {truth[0]}")
    every, among_upper, among_lower = (stats.rankdata(values) for values in (score, upper, lower))
    below = (every[truth == 1] - among_upper) / lower.size
    above = 1 - (every[truth == 0] - among_lower) / upper.size
    return below, above


def _variance(truth: arrays.Ints, upper: arrays.Floats, lower: arrays.Floats, units: resampling.Units) -> float:
    """Return the variance of AUROC from centred placements, summed by unit."""
    sums = np.zeros((2, units.count))
    np.add.at(sums[1], units.code[truth == 1], upper / upper.size)
    np.add.at(sums[0], units.code[truth == 0], lower / lower.size)
    having = [_units_with(truth, c, units) for c in (0, 1)]
    if min(having) < 2:
        raise ValueError(f"units: expected at least two with rows of each class. Received: {having}")
    within = sum(h / (h - 1) * float((sums[c] ** 2).sum()) for c, h in enumerate(having))
    # The correlation of positives and negatives of the same unit.
    across = 2 * units.count / (units.count - 1) * float((sums[0] * sums[1]).sum())
    return max(0.0, within + across)


def _units_with(truth: arrays.Ints, label: int, units: resampling.Units) -> int:
    """Return how many units have rows of this class."""
    return len(np.unique(units.code[truth == label]))
