"""Split-conformal prediction sets, abstention and its price: coverage against risk.

The promise: on rows exchangeable with the calibration rows, the set holds the true class with probability
at least 1 - alpha, whatever the model (Vovk, Gammerman & Shafer 2005; Angelopoulos & Bates 2021,
arXiv:2107.07511). Rows that share a unit are exchangeable only as units, and a shifted population is not
exchangeable at all: report the coverage that was reached.
"""

import math
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from shared.evaluation import arrays, intervals, weighted


class RiskCoverage(TypedDict):
    """The curve: coverage, risk and threshold are lists of equal length, the areas single numbers."""

    coverage: list[float]
    risk: list[float]
    threshold: list[float]
    aurc: float
    excess_aurc: float


def fit_quantile(scores: npt.ArrayLike, y_true: npt.ArrayLike, *, alpha: float) -> float:
    """Return the calibrated quantile of ``1 - p(true class)``.

    The score of least ambiguous sets (Sadinle, Lei & Wasserman 2019, JASA 114). Of n such values it is the
    ``ceil((n + 1)(1 - alpha))``-th smallest, or 1 (every class in every set) when n is too small for alpha.

    Args:
        scores: (n, C) probabilities of validation rows, or (n,) of the positive class.
        y_true: (n,) class ids.
        alpha: accepted rate of sets that miss the true class, in (0, 1).

    Raises:
        ValueError: malformed arrays or alpha.

    Example:
        >>> round(fit_quantile([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6]], [0, 0, 0], alpha=0.5), 3)
        0.2
    """
    truth, columns = _checked(scores, y_true)
    return _quantile(1 - columns[np.arange(len(truth)), truth], arrays.fraction(alpha, "alpha"))


def fit_class_quantiles(scores: npt.ArrayLike, y_true: npt.ArrayLike, *, alpha: float) -> tuple[float, ...]:
    """Return one quantile per class, so that the promise holds within each class (Mondrian: Vovk 2012).

    A class with fewer than ``1 / alpha - 1`` validation rows gets 1: it is in every set. Arguments as in
    `fit_quantile`.

    Example:
        >>> fit_class_quantiles([[0.75, 0.25], [0.5, 0.5]], [0, 1], alpha=0.5)
        (0.25, 0.5)
    """
    truth, columns = _checked(scores, y_true)
    level = arrays.fraction(alpha, "alpha")
    return tuple(_quantile(1 - columns[truth == c, c], level) for c in range(columns.shape[1]))


def prediction_sets(scores: npt.ArrayLike, quantile: float | npt.ArrayLike) -> arrays.Bools:
    """Return ``(n, C) bool``: class c is in the row's set when ``1 - p_c <= quantile``.

    Args:
        scores: (n, C) probabilities, or (n,) of the positive class.
        quantile: from `fit_quantile`, or (C,) from `fit_class_quantiles`.

    Raises:
        ValueError: malformed arrays, or quantiles outside [0, 1].

    Example:
        >>> prediction_sets([[0.75, 0.25], [0.5, 0.5]], 0.5)
        array([[ True, False],
               [ True,  True]])
    """
    columns = _columns(scores, rows=len(np.asarray(scores)))
    limit = np.asarray(quantile, dtype=np.float64)
    if limit.shape not in ((), (columns.shape[1],)) or not ((limit >= 0) & (limit <= 1)).all():
        raise ValueError(f"quantile: expected one number in [0, 1], or one per class. Received: {limit}")
    return np.asarray(1 - columns <= limit)


def abstains(sets: arrays.Bools) -> arrays.Bools:
    """Return ``(n,) bool``: True where the set does not hold exactly one class, so that no class is predicted.

    Example:
        >>> abstains(np.array([[True, False], [True, True]]))
        array([False,  True])
    """
    return np.asarray(sets.sum(axis=1) != 1)


def coverage_report(
    sets: arrays.Bools, y_true: npt.ArrayLike, *, units: npt.ArrayLike | None = None, confidence: float = 0.95
) -> dict[str, Any]:
    """Return how often the sets hold the truth, overall and per class, and how large they are.

    Args:
        sets: (n, C) bool from `prediction_sets`.
        y_true: (n,) class ids.
        units: (n,) unit of each row, or None.
        confidence: of the intervals.

    Returns:
        coverage (interval), class_coverage (one interval or None per class), mean_size, and the shares empty,
        single and several.

    Raises:
        ValueError: malformed arrays.

    Example:
        >>> coverage_report(np.array([[True, False], [True, True]]), [1, 1])["coverage"].value
        0.5
    """
    truth = arrays.labels(y_true, classes=sets.shape[1])
    arrays.same_length(len(truth), "sets", sets)
    identity = arrays.units_of(units, rows=len(truth)).code
    held, size = sets[np.arange(len(truth)), truth], sets.sum(axis=1)
    return {
        "coverage": intervals.proportion(held, units=identity, confidence=confidence),
        "class_coverage": [
            intervals.proportion_among(held, truth == c, units=identity, confidence=confidence)
            for c in range(sets.shape[1])
        ],
        "mean_size": float(size.mean()),
        "empty": float((size == 0).mean()),
        "single": float((size == 1).mean()),
        "several": float((size > 1).mean()),
    }


def abstention(
    correct: npt.ArrayLike,
    abstained: npt.ArrayLike,
    *,
    units: npt.ArrayLike | None = None,
    confidence: float = 0.95,
) -> dict[str, Any]:
    """Return what abstaining buys: the share of rows predicted, and the accuracy on these and on those held back.

    Args:
        correct: (n,) bool, whether the class decided on is the true one.
        abstained: (n,) bool, from `abstains`.
        units: (n,) unit of each row, or None.
        confidence: of the intervals.

    Returns:
        n, answered (counts), and the intervals coverage, accuracy, selective_accuracy and
        abstained_accuracy; the last two are None where there are no such rows.

    Raises:
        ValueError: malformed arrays.

    Example:
        >>> found = abstention([True, True, False], [False, False, True])
        >>> found["answered"], found["selective_accuracy"].value
        (2, 1.0)
    """
    hits = np.asarray(correct)
    rows = len(hits)
    hits = arrays.mask(hits, rows=rows, name="correct")
    silent = arrays.mask(abstained, rows=rows, name="abstained")
    identity = arrays.units_of(units, rows=rows).code

    return {
        "n": rows,
        "answered": int((~silent).sum()),
        "coverage": intervals.proportion(~silent, units=identity, confidence=confidence),
        "accuracy": intervals.proportion(hits, units=identity, confidence=confidence),
        "selective_accuracy": intervals.proportion_among(hits, ~silent, units=identity, confidence=confidence),
        "abstained_accuracy": intervals.proportion_among(hits, silent, units=identity, confidence=confidence),
    }


def risk_coverage(correct: npt.ArrayLike, confidence: npt.ArrayLike) -> RiskCoverage:
    """Return the error rate among the most confident rows, for every share of them that can be predicted.

    One point per distinct confidence, since equal ones are predicted together. AURC is the mean risk over
    all coverages 1/n .. 1 (Geifman & El-Yaniv 2017, arXiv:1705.08500), ties in expectation over their
    orders; excess AURC takes off what a perfect ordering of the same errors leaves (Geifman, Uziel &
    El-Yaniv 2019, arXiv:1805.08206).

    Args:
        correct: (n,) bool.
        confidence: (n,) score of the predicted class, higher is surer.

    Raises:
        ValueError: malformed arrays.

    Example:
        >>> curve = risk_coverage([True, False], [0.9, 0.6])
        >>> curve["coverage"], curve["risk"], curve["aurc"], curve["excess_aurc"]
        ([0.5, 1.0], [0.0, 0.5], 0.25, 0.0)
    """
    rows = len(np.asarray(correct))
    wrong = ~arrays.mask(correct, rows=rows, name="correct")
    surety = arrays.scores(confidence, rows=rows, name="confidence")
    distinct, code, count = np.unique(-surety, return_inverse=True, return_counts=True)
    errors = np.bincount(code, weights=wrong)
    expected = np.repeat(errors / count, count)
    predicted = count.cumsum()
    area = _mean_risk(expected)
    return {
        "coverage": (predicted / rows).tolist(),
        "risk": (errors.cumsum() / predicted).tolist(),
        "threshold": (-distinct).tolist(),
        "aurc": area,
        "excess_aurc": max(0.0, area - _mean_risk(np.sort(wrong.astype(np.float64)))),
    }


@weighted.metric(reads="ranking", needs="at least one row")
def aurc(rows: weighted.Rows) -> weighted.Statistic:
    """Return the area of `risk_coverage`, as `bootstrap.interval` takes it: ``correct`` (n,) in {0, 1}.

    Of w equally confident rows with E errors, after N rows with C errors, the risks at N + 1 .. N + w add up to E +
    (C - N E / w) (H(N + w) - H(N)), with H the harmonic numbers. Weights are whole: how often a row was drawn.

    Example:
        >>> aurc(np.array([1, 0]), np.array([0.9, 0.6]))
        0.25
    """
    _, code = np.unique(-rows.y_score, return_inverse=True)
    order = np.argsort(code, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(code[order]) > 0, True))
    unit, wrong = rows.units.code[order], (rows.y_true[order] != 1).astype(np.float64)

    def value(drawn: arrays.Floats) -> arrays.Floats:
        times = drawn.take(unit, axis=1)
        reached = np.cumsum(times, axis=1)[:, ends]
        failed = np.cumsum(times * wrong, axis=1)[:, ends]
        before, failed_before = (np.pad(each[:, :-1], ((0, 0), (1, 0))) for each in (reached, failed))
        count, errors = reached - before, failed - failed_before
        share = np.divide(errors, count, out=np.zeros_like(errors), where=count > 0)
        harmonic = np.append(0.0, np.cumsum(1 / np.arange(1, int(reached[:, -1].max(initial=0)) + 1)))
        passed = harmonic[reached.astype(np.int64)] - harmonic[before.astype(np.int64)]
        total = (errors + (failed_before - before * share) * passed).sum(axis=1)
        return np.asarray(total / reached[:, -1])

    return value


def _mean_risk(errors: arrays.Floats) -> float:
    """Return the mean over k of the mean of the first k errors."""
    return float((errors.cumsum() / np.arange(1, len(errors) + 1)).mean())


def _quantile(nonconformity: arrays.Floats, alpha: float) -> float:
    """Return the finite-sample quantile, 1 when the sample is too small for one."""
    n = len(nonconformity)
    # Taking off 1e-9 undoes (n + 1)(1 - alpha) = 90.00000000000001, which would ask for one row more.
    rank = math.ceil((n + 1) * (1 - alpha) - 1e-9)
    return float(np.partition(nonconformity, rank - 1)[rank - 1]) if rank <= n else 1.0


def _columns(scores: npt.ArrayLike, *, rows: int) -> arrays.Floats:
    """Return ``(n, C)`` probabilities."""
    found = arrays.probabilities(scores, rows=rows, name="scores")
    return np.stack([1 - found, found], axis=1) if found.ndim == 1 else found


def _checked(scores: npt.ArrayLike, y_true: npt.ArrayLike) -> tuple[arrays.Ints, arrays.Floats]:
    """Return checked class ids and ``(n, C)`` probabilities."""
    truth = arrays.labels(y_true)
    columns = _columns(scores, rows=len(truth))
    return arrays.labels(truth, classes=columns.shape[1]), columns
