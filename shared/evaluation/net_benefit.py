"""Decision curves: is acting on the model worth more than acting on everyone, or on no one?

A threshold probability p_t says how many false alarms one found case is worth: acting at a risk of p_t means
that (1 - p_t) / p_t of them are. The net benefit counts found cases per person, false alarms taken off at
that rate (Vickers & Elkin 2006, Med. Decis. Making 26; Vickers, van Calster & Steyerberg 2019).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.evaluation import arrays, bootstrap, ends, intervals, weighted


def net_benefit_metric(threshold: float) -> weighted.Metric:
    """Return the net benefit ``TP / n - FP / n * p_t / (1 - p_t)`` of acting where the score is >= p_t.

    Args:
        threshold: p_t in (0, 1), a probability.

    Raises:
        ValueError: a threshold outside (0, 1).

    Example:
        >>> net_benefit_metric(0.2)([1, 1, 0, 0], [0.9, 0.1, 0.3, 0.1])  # 1/4 - 1/4 * 1/4
        0.1875
    """
    odds = arrays.fraction(threshold, "threshold") / (1 - threshold)

    @weighted.metric(reads="probabilities", needs="at least one row", bounds=ends.Range(-odds, 1.0))
    def net_benefit(rows: weighted.Rows) -> weighted.Statistic:
        called = arrays.positive(rows.y_score, rows=len(rows.y_true)) >= threshold
        return rows.mean(np.where(called, np.where(rows.y_true == 1, 1.0, -odds), 0.0))

    return net_benefit


def decision_curve(
    y_true: npt.ArrayLike,
    y_score: npt.ArrayLike,
    threshold_probabilities: Sequence[float],
    *,
    units: npt.ArrayLike | None = None,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Return the net benefit of a model and of acting on everyone, for each threshold probability.

    Acting on no one has a net benefit of 0. Everything is valued on the same resamples.

    Args:
        y_true: (n,) in {0, 1}.
        y_score: (n,) or (n, 2) calibrated probabilities: a decision curve takes them as they are.
        threshold_probabilities: each in (0, 1).
        units: (n,) unit of each row, or None.
        confidence: in (0, 1).
        resamples: number of resamples.
        seed: of the resamples.

    Returns:
        One row per threshold: threshold, and the intervals model, everyone and gain, the model minus the
        better of everyone and no one (of which of them is better on all rows).

    Raises:
        ValueError: malformed arrays, probabilities outside [0, 1], or fewer than two units.

    Example:
        >>> row = decision_curve([1, 1, 0, 0], [0.9, 0.8, 0.3, 0.1], [0.5], resamples=50)[0]
        >>> row["model"].value, row["everyone"].value, row["gain"].value
        (0.5, 0.0, 0.5)
    """
    truth = arrays.labels(y_true, classes=2)
    score = arrays.positive(arrays.probabilities(y_score, rows=len(truth)), rows=len(truth))
    cases: dict[str, bootstrap.Case] = {}
    for number, threshold in enumerate(threshold_probabilities):
        metric = net_benefit_metric(threshold)
        everyone = np.ones_like(score)
        best = everyone if metric(truth, everyone) > 0 else np.zeros_like(score)
        cases |= {
            f"model {number}": bootstrap.Case(metric, score),
            f"everyone {number}": bootstrap.Case(metric, everyone),
            f"gain {number}": bootstrap.Case(metric, score, best),
        }
    found = bootstrap.intervals_of(cases, truth, units=units, confidence=confidence, resamples=resamples, seed=seed)
    return [_row(found, number, threshold) for number, threshold in enumerate(threshold_probabilities)]


def useful_range(curve: Sequence[Mapping[str, Any]]) -> tuple[float, float] | None:
    """Return the first longest run of thresholds at which the model clearly gains, or None where it never does.

    Args:
        curve: rows of `decision_curve`, ascending in threshold.

    Example:
        >>> gain = intervals.Interval(0.1, 0.05, 0.2)
        >>> useful_range([{"threshold": 0.1, "gain": gain}, {"threshold": 0.2, "gain": gain}])
        (0.1, 0.2)
    """
    best: list[float] = []
    run: list[float] = []
    for row in curve:
        run = [*run, row["threshold"]] if row["gain"].low > 0 else []
        best = max(best, run, key=len)
    return (best[0], best[-1]) if best else None


def _row(found: intervals.Intervals, number: int, threshold: float) -> dict[str, Any]:
    return {"threshold": threshold, **{name: found[f"{name} {number}"] for name in ("model", "everyone", "gain")}}
