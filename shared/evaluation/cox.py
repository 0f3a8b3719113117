"""Calibration slope and intercept: is the model overconfident, and does it promise too much?"""

import math
import statistics

import numpy as np
import numpy.typing as npt
from scipy import special

from shared.evaluation import arrays, intervals, resampling

# A probability of exactly 0 or 1 has no logit; float32 sigmoids reach both.
EPSILON = 1e-7
ITERATIONS = 50


def slope_and_intercept(
    y_true: npt.ArrayLike,
    y_score: npt.ArrayLike,
    *,
    units: npt.ArrayLike | None = None,
    confidence: float = 0.95,
) -> dict[str, intervals.Interval]:
    """Return Cox's calibration slope and the calibration-in-the-large of binary probabilities.

    The slope is b in ``logit P(y = 1) = a + b logit(p)`` (Cox 1958, Biometrika 45): 1 is ideal, below 1
    overconfident. The intercept is a with b held at 1 (Van Calster et al. 2016): 0 is ideal, below 0 the
    model promises too much of class 1. Wald intervals with a sandwich variance summed by unit (Liang &
    Zeger 1986).

    Args:
        y_true: (n,) in {0, 1}, both present.
        y_score: (n,) or (n, 2) probabilities, clipped to [1e-7, 1 - 1e-7].
        units: (n,) unit of each row, or None.
        confidence: in (0, 1).

    Returns:
        ``{"slope": Interval, "intercept": Interval}``

    Raises:
        ValueError: one class only, fewer than two units, constant scores, or classes that the scores separate
            perfectly (the slope is infinite).

    Example:
        >>> found = slope_and_intercept([0, 1, 0, 1, 1, 0], [0.25, 0.25, 0.25, 0.75, 0.75, 0.75])
        >>> round(found["slope"].value, 3), round(abs(found["intercept"].value), 3)
        (0.631, 0.0)
    """
    truth = arrays.labels(y_true, classes=2)
    arrays.probabilities(y_score, rows=len(truth))
    logit = special.logit(np.clip(arrays.positive(y_score, rows=len(truth)), EPSILON, 1 - EPSILON))
    grouping = resampling.units_of(units, rows=len(truth))
    _check(truth, logit, grouping)
    ones = np.ones_like(logit)
    slope = _fit(np.stack([ones, logit], axis=1), truth, np.zeros_like(logit), grouping)[1]
    intercept = _fit(ones[:, np.newaxis], truth, logit, grouping)[0]
    method = "Wald, sandwich by " + grouping.noun
    return {
        "slope": _wald(*slope, confidence=confidence, method=method),
        "intercept": _wald(*intercept, confidence=confidence, method=method),
    }


def _check(truth: arrays.Ints, logit: arrays.Floats, units: resampling.Units) -> None:
    """Refuse data on which one of the two numbers does not exist."""
    if units.count < 2:
        raise ValueError(f"units: expected at least two. Received: {units.count}")
    if len(np.unique(truth)) < 2:
        raise ValueError(f"expected rows of both classes. Received: only class {truth[0]}")
    if np.ptp(logit) == 0:
        raise ValueError("y_score: expected different probabilities. Received: all the same")
    lower, upper = logit[truth == 0], logit[truth == 1]
    if lower.max() <= upper.min() or upper.max() <= lower.min():
        raise ValueError("expected classes that overlap in score. Received: perfectly separated classes")


def _fit(
    design: arrays.Floats, truth: arrays.Ints, offset: arrays.Floats, units: resampling.Units
) -> list[tuple[float, float]]:
    """Return (coefficient, standard error) of each column of an unpenalised logistic regression."""
    beta = np.zeros(design.shape[1])
    for _ in range(ITERATIONS):
        mean = special.expit(design @ beta + offset)
        information = (design * (mean * (1 - mean))[:, np.newaxis]).T @ design
        step = np.linalg.solve(information, design.T @ (truth - mean))
        # A full Newton step can overshoot when probabilities are extreme; shorter ones cannot.
        beta = beta + step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-10:
            break
    else:
        raise ValueError(f"expected Newton steps that converge. Received: {beta} after {ITERATIONS} steps")
    residual = (truth - special.expit(design @ beta + offset))[:, np.newaxis]
    by_unit = np.zeros((units.count, design.shape[1]))
    np.add.at(by_unit, units.code, design * residual)
    bread = np.linalg.inv(information)
    variance = bread @ (by_unit.T @ by_unit) @ bread * units.count / (units.count - 1)
    return [(float(b), math.sqrt(v)) for b, v in zip(beta, variance.diagonal(), strict=True)]


def _wald(value: float, error: float, *, confidence: float, method: str) -> intervals.Interval:
    """Return ``value -+ z error``."""
    z = statistics.NormalDist().inv_cdf(0.5 + arrays.fraction(confidence, "confidence") / 2)
    return intervals.Interval(value, value - z * error, value + z * error, confidence, method)
