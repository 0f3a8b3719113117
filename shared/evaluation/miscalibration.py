"""How far probabilities are from what comes true: calibration error, reliability diagram, slope and intercept."""

import math
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import special

from shared.evaluation import arrays, intervals, resampling, simulated_outcomes, weighted

# A probability of exactly 0 or 1 has no logit; float32 sigmoids reach both.
EPSILON = 1e-7
ITERATIONS = 50
Strategy: TypeAlias = Literal["uniform", "quantile"]


def ece_metric(*, bins: int = 15, strategy: Strategy = "uniform") -> weighted.Metric:
    """Return the expected calibration error, ``sum_b n_b / n |accuracy_b - confidence_b|``, as a metric.

    Naeini et al. 2015 (AAAI). ``(n, C)`` scores are binned by the highest probability and compared with its
    being right (Guo et al. 2017); ``(n,)`` scores by the positive class's probability and compared with its
    frequency.

    The binned estimate is biased upwards on few rows (Kumar et al. 2019), and a resample adds that bias once
    more, so its interval is found by inverting a test (`ends.inverted`) on simulated outcomes (`simulated_outcomes`)
    and not from percentiles, which miss a small true error always.

    Args:
        bins: number of bins.
        strategy: "uniform" widths on [0, 1], or "quantile": equal counts (adaptive ECE, Nixon et al. 2019).

    Example:
        >>> round(ece_metric(bins=5)([1, 1, 0, 0], [0.9, 0.9, 0.1, 0.3]), 3)
        0.15
    """
    arrays.whole(bins, "bins")

    @weighted.metric(reads="probabilities", needs="at least one row")
    def ece(rows: weighted.Rows) -> weighted.Statistic:
        confidence, correct = confidence_and_correctness(rows.y_score, rows.y_true)
        code = bin_of(confidence, bin_edges(confidence, bins=bins, strategy=strategy))
        gap = weighted.one_hot(code, classes=bins) * (correct - confidence)[:, np.newaxis]
        sums = rows.totals(np.column_stack([gap, np.ones_like(confidence)]))

        def value(drawn: arrays.Floats) -> arrays.Floats:
            found = sums(drawn)
            with np.errstate(divide="ignore", invalid="ignore"):
                return np.asarray(np.abs(found[:, :-1]).sum(axis=1) / found[:, -1])

        binned = simulated_outcomes.Binned(
            probability=confidence, outcome=correct, bin=code, weight=rows.weight, units=rows.units
        )
        return weighted.Shrinkable(value, binned.calibration_errors)

    return ece


ece = ece_metric()


def reliability(
    y_true: npt.ArrayLike,
    y_score: npt.ArrayLike,
    *,
    bins: int = 15,
    strategy: Strategy = "uniform",
    units: npt.ArrayLike | None = None,
    confidence: float = 0.95,
) -> list[dict[str, float]]:
    """Return one row per non-empty bin of the reliability diagram; the bins of `ece_metric`.

    Each row holds bin_low and bin_high (edges), n, mean_score (mean probability), observed (share that came
    true), and low and high: Wilson's interval of observed, by unit when units are given.

    Raises:
        ValueError: malformed arrays.

    Example:
        >>> [(row["n"], row["observed"]) for row in reliability([1, 0], [0.9, 0.2], bins=2)]
        [(1, 0.0), (1, 1.0)]
    """
    truth = arrays.labels(y_true)
    probability, outcome = confidence_and_correctness(arrays.probabilities(y_score, rows=len(truth)), truth)
    edges = bin_edges(probability, bins=arrays.whole(bins, "bins"), strategy=strategy)
    code = bin_of(probability, edges)
    identity = arrays.units_of(units, rows=len(truth)).code
    table = []
    for b in np.unique(code):
        inside = code == b
        share = intervals.proportion(outcome[inside] == 1, units=identity[inside], confidence=confidence)
        table.append(
            {
                "bin_low": float(edges[b]),
                "bin_high": float(edges[b + 1]),
                "n": int(inside.sum()),
                "mean_score": float(probability[inside].mean()),
                "observed": share.value,
                "low": share.low,
                "high": share.high,
            }
        )
    return table


def confidence_and_correctness(y_score: arrays.Floats, y_true: arrays.Ints) -> tuple[arrays.Floats, arrays.Floats]:
    """Return the probability that calibration is about, and whether the prediction is correct, each ``(n,)``.

    Example:
        >>> confidence_and_correctness(np.array([[0.7, 0.3]]), np.array([1]))
        (array([0.7]), array([0.]))
    """
    if y_score.ndim == 1:
        return y_score, (y_true == 1).astype(np.float64)
    return y_score.max(axis=1), (y_score.argmax(axis=1) == y_true).astype(np.float64)


def bin_edges(probability: arrays.Floats, *, bins: int, strategy: Strategy) -> arrays.Floats:
    """Return ``(bins + 1,)`` ascending edges from 0 to 1.

    Example:
        >>> bin_edges(np.array([0.1, 0.2, 0.9]), bins=2, strategy="quantile")
        array([0. , 0.2, 1. ])
    """
    if strategy == "uniform":
        return np.linspace(0, 1, bins + 1)
    if strategy != "quantile":
        raise ValueError(f'strategy: expected "uniform" or "quantile". Received: {strategy!r}')
    inner = np.quantile(probability, np.linspace(0, 1, bins + 1)[1:-1])
    return np.concatenate([[0.0], inner, [1.0]])


def bin_of(probability: arrays.Floats, edges: arrays.Floats) -> arrays.Ints:
    """Return each probability's bin: ``edges[b] <= p < edges[b + 1]``, the last bin closed.

    Example:
        >>> bin_of(np.array([0.0, 0.5, 1.0]), np.array([0.0, 0.5, 1.0]))
        array([0, 1, 1])
    """
    return np.clip(np.searchsorted(edges, probability, side="right") - 1, 0, len(edges) - 2)


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
    Zeger 1986), and Student's t of the rarer class' units.

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
    grouping = arrays.units_of(units, rows=len(truth))
    _check(truth, logit, grouping)
    ones = np.ones_like(logit)
    slope = _fit(np.stack([ones, logit], axis=1), truth, np.zeros_like(logit), grouping)[1]
    intercept = _fit(ones[:, np.newaxis], truth, logit, grouping)[0]
    method = f"Wald, sandwich by {grouping.noun}, Student's t"
    reach = intervals.student(max(1, resampling.carriers_of(truth, grouping) - 1), confidence)
    return {
        "slope": _wald(*slope, reach=reach, confidence=confidence, method=method),
        "intercept": _wald(*intercept, reach=reach, confidence=confidence, method=method),
    }


def _check(truth: arrays.Ints, logit: arrays.Floats, units: arrays.Units) -> None:
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
    design: arrays.Floats, truth: arrays.Ints, offset: arrays.Floats, units: arrays.Units
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
        raise ValueError(
            "expected classes that overlap enough in score to fit a slope. Received: classes nearly separated"
        )
    residual = (truth - special.expit(design @ beta + offset))[:, np.newaxis]
    by_unit = np.zeros((units.count, design.shape[1]))
    np.add.at(by_unit, units.code, design * residual)
    bread = np.linalg.inv(information)
    variance = bread @ (by_unit.T @ by_unit) @ bread * units.count / (units.count - 1)
    return [(float(b), math.sqrt(v)) for b, v in zip(beta, variance.diagonal(), strict=True)]


def _wald(value: float, error: float, *, reach: float, confidence: float, method: str) -> intervals.Interval:
    """Return ``value -+ reach error``."""
    return intervals.Interval(value, value - reach * error, value + reach * error, confidence, method)
