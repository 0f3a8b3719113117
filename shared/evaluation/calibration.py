"""Calibration: fitting it on validation data, and applying it. How good it is, `miscalibration` says."""

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from shared.evaluation import arrays

# Beyond these a temperature is an artefact of a separable or a useless validation set, not a calibration.
TEMPERATURE_RANGE = (0.05, 20.0)


def fit_temperature(logits: npt.ArrayLike, y_true: npt.ArrayLike) -> float:
    """Return the temperature that minimises the log loss of ``softmax(logits / T)`` (Guo et al. 2017).

    The log loss is convex in 1 / T, so the one minimum is found by bounded search within [0.05, 20]. The
    order of the classes in a row, and so accuracy, never changes.

    Args:
        logits: (n, C), or (n,) for a binary sigmoid.
        y_true: (n,) class ids.

    Raises:
        ValueError: malformed arrays, or logits that are the same for every class (any temperature fits).

    Example:
        >>> round(fit_temperature([4.0, 4.0, 4.0, -4.0], [1, 1, 0, 0]), 3)  # sigmoid(4 / T) = 3 / 4
        3.641
    """
    truth, columns = arrays.labels(y_true), _two_columns(logits, y_true)
    arrays.labels(truth, classes=columns.shape[1])
    centred = columns - columns.mean(axis=1, keepdims=True)
    if not centred.any():
        raise ValueError("logits: expected different values for different classes. Received: all the same")
    rows = np.arange(len(truth))

    def log_loss(inverse: float) -> float:
        scaled = inverse * centred
        return float((special.logsumexp(scaled, axis=1) - scaled[rows, truth]).mean())

    low, high = TEMPERATURE_RANGE
    bounds = (1 / high, 1 / low)
    found = optimize.minimize_scalar(log_loss, bounds=bounds, method="bounded", options={"xatol": 1e-9})
    return float(1 / found.x)


def apply_temperature(logits: npt.ArrayLike, temperature: float) -> arrays.Floats:
    """Return probabilities ``softmax(logits / T)``, or ``sigmoid(logits / T)`` for ``(n,)``.

    Raises:
        ValueError: malformed logits, or a temperature that is not above 0.

    Example:
        >>> apply_temperature([0.0, 0.0], 2.0)
        array([0.5, 0.5])
    """
    if not temperature > 0:
        raise ValueError(f"temperature: expected a number above 0. Received: {temperature}")
    found = arrays.scores(logits, rows=len(np.asarray(logits)), name="logits") / temperature
    calibrated = special.expit(found) if found.ndim == 1 else special.softmax(found, axis=1)
    return np.asarray(calibrated, dtype=np.float64)


def fit_platt(
    log_odds: npt.ArrayLike, y_true: npt.ArrayLike, *, weight: npt.ArrayLike | None = None
) -> tuple[float, float]:
    """Return (slope, offset) that minimise the weighted log loss of ``sigmoid(slope * log_odds + offset)``.

    Platt 1999, "Probabilistic Outputs for Support Vector Machines", with his smoothed targets, which keep the fit
    finite where classes are separable. Unlike a temperature it also mends the prevalence, as of a sample in which
    one class was thinned out and its rows weigh more.

    Args:
        log_odds: (n,) float, higher means more positive.
        y_true: (n,) in {0, 1}, both present.
        weight: (n,) above 0; None: 1.

    Raises:
        ValueError: malformed arrays, or one class only.

    Example:
        >>> slope, offset = fit_platt([-2.0, 0.0, 0.0, 2.0] * 100, [0, 0, 1, 1] * 100)
        >>> slope > 1, abs(offset) < 1e-6
        (True, True)
    """
    truth = arrays.labels(y_true, classes=2)
    score = arrays.scores(log_odds, rows=len(truth), name="log_odds")
    counts = np.ones(len(truth)) if weight is None else np.asarray(weight, np.float64)
    if len(np.unique(truth)) < 2:
        raise ValueError("y_true: expected rows of both classes. Received: one")
    positive, negative = counts[truth == 1].sum(), counts[truth == 0].sum()
    target = np.where(truth == 1, (positive + 1) / (positive + 2), 1 / (negative + 2))

    def log_loss(parameters: arrays.Floats) -> tuple[float, arrays.Floats]:
        logit = parameters[0] * score + parameters[1]
        error = counts * (special.expit(logit) - target) / counts.sum()
        value = float(np.average(np.logaddexp(0, logit) - target * logit, weights=counts))
        return value, np.array([error @ score, error.sum()])

    start = np.array([1.0, np.log(positive / negative)])
    found = optimize.minimize(log_loss, start, jac=True, method="L-BFGS-B", options={"ftol": 1e-14, "gtol": 1e-10})
    return float(found.x[0]), float(found.x[1])


def calibrated_log_likelihood(y_true: npt.ArrayLike, logits: npt.ArrayLike) -> float:
    """Return the mean log-likelihood of the labels at the temperature that suits them best; 0 is perfect.

    What to compare epochs by: accuracy on some thousand rows moves by chance more than epochs differ, and a loss
    would punish a network for being surer than the temperature, fitted later, lets it be.

    Args:
        y_true: (n,) int in [0, classes).
        logits: (n, classes) float.
    """
    truth = np.asarray(y_true, np.int64)
    scaled = np.asarray(logits, np.float64) / fit_temperature(logits, truth)
    return float(np.mean(special.log_softmax(scaled, axis=1)[np.arange(len(truth)), truth]))


def fit_isotonic(y_score: npt.ArrayLike, y_true: npt.ArrayLike) -> dict[str, list[float]]:
    """Return the knots of the best non-decreasing map from score to probability (Zadrozny & Elkan 2002).

    Pool-adjacent-violators on the mean label of each distinct score; of every flat stretch only the two
    ends are kept. Use it with 1,000 rows or more: with fewer it overfits (Niculescu-Mizil & Caruana 2005).

    Args:
        y_score: (n,) or (n, 2) scores of a binary problem.
        y_true: (n,) in {0, 1}.

    Returns:
        ``{"score": [...], "probability": [...]}``, both ascending: plain numbers for decision.json.

    Raises:
        ValueError: malformed arrays.

    Example:
        >>> fit_isotonic([0.1, 0.2, 0.3, 0.4], [0, 1, 0, 1])
        {'score': [0.1, 0.2, 0.3, 0.4], 'probability': [0.0, 0.5, 0.5, 1.0]}
    """
    truth = arrays.labels(y_true, classes=2)
    distinct, code, count = np.unique(
        arrays.positive(y_score, rows=len(truth)), return_inverse=True, return_counts=True
    )
    share = np.bincount(code, weights=truth) / count
    fitted = np.clip(optimize.isotonic_regression(share, weights=count).x, 0, 1)
    changes = np.diff(fitted) != 0
    ends = np.append(True, changes) | np.append(changes, True)
    return {"score": distinct[ends].tolist(), "probability": fitted[ends].tolist()}


def apply_isotonic(y_score: npt.ArrayLike, knots: dict[str, list[float]]) -> arrays.Floats:
    """Return ``(n,)`` probabilities: linear between knots, constant beyond them.

    Raises:
        ValueError: malformed scores or knots.

    Example:
        >>> apply_isotonic([0.0, 0.15], {"score": [0.1, 0.2], "probability": [0.0, 0.5]})
        array([0.  , 0.25])
    """
    x, y = (np.asarray(knots[name], dtype=np.float64) for name in ("score", "probability"))
    if x.shape != y.shape or not x.size or (np.diff(x) <= 0).any() or (np.diff(y) < 0).any():
        raise ValueError(f"knots: expected ascending score and probability, equally long. Received: {knots}")
    return np.interp(arrays.positive(y_score, rows=len(np.asarray(y_score))), x, y)


def _two_columns(logits: npt.ArrayLike, y_true: npt.ArrayLike) -> arrays.Floats:
    """Return ``(n, C)`` logits; a sigmoid's logit z is the softmax of (0, z)."""
    found = arrays.scores(logits, rows=len(np.asarray(y_true)), name="logits")
    return np.column_stack([np.zeros_like(found), found]) if found.ndim == 1 else found
