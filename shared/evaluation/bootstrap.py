"""Bootstrap intervals by unit: of any metric, of a difference of two models, of many metrics at once.

What happens to undefined resamples is told in `resampling`, how the ends are found in `ends`.
"""

import dataclasses
import math
import warnings
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from shared.evaluation import arrays, intervals, resampling, weighted

# A `weighted.Metric`, or any function (y_true, y_score) -> float: slower, one call per resample.
MetricLike: TypeAlias = weighted.Metric | Callable[[arrays.Array, arrays.Array], float]


class Case(NamedTuple):
    """One metric on one set of scores; with ``reference`` the difference ``score - reference`` instead.

    Attributes:
        metric: what to compute.
        score: (n,) or (n, C).
        reference: the scores to compare with, or None.
    """

    metric: MetricLike
    score: npt.ArrayLike
    reference: npt.ArrayLike | None = None


def interval(
    metric: MetricLike,
    y_true: npt.ArrayLike,
    y_score: npt.ArrayLike,
    *,
    units: npt.ArrayLike | None = None,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> intervals.Interval:
    """Return the bootstrap interval of a metric, resampling units (Efron & Tibshirani 1993; ends: see `ends`).

    Args:
        metric: a `weighted.Metric` (fast), or any function ``(y_true, y_score) -> float``.
        y_true: (n,) class ids.
        y_score: (n,) or (n, C) scores.
        units: (n,) id of the unit (patient, card, drive, text group) of each row; None: every row is its own.
        resamples: number of resamples.
        confidence: in (0, 1).
        seed: the same seed gives the same resamples of the same units, whatever the metric.

    Raises:
        ValueError: the metric is undefined on the data or on over a tenth of the resamples; fewer than two
            units.

    Example:
        >>> from shared.evaluation import classification
        >>> y_true, y_score = [0, 0, 0, 1, 1, 1], [0.1, 0.2, 0.6, 0.3, 0.7, 0.9]
        >>> found = interval(classification.auroc, y_true, y_score, seed=1)
        >>> round(found.value, 3), found.method
        (0.889, 'bootstrap by row, Wilson at the effective size (69 of 2000 resamples undefined, left out)')
    """
    case = {"metric": Case(metric, y_score)}
    return _only(intervals_of(case, y_true, units=units, resamples=resamples, confidence=confidence, seed=seed))


def paired_difference(  # noqa: PLR0913
    metric: MetricLike,
    y_true: npt.ArrayLike,
    score_a: npt.ArrayLike,
    score_b: npt.ArrayLike,
    *,
    units: npt.ArrayLike | None = None,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> intervals.Interval:
    """Return the interval of ``metric(a) - metric(b)``, both valued on the same resamples of the units.

    Pairing removes the variation that both models share, so that the interval is narrower than two separate
    ones suggest. Arguments and errors as in `interval`.

    Example:
        >>> from shared.evaluation import classification
        >>> score = [0.1, 0.8, 0.6, 0.3]
        >>> paired_difference(classification.accuracy, [0, 1, 1, 0], score, score).value
        0.0
    """
    case = {"metric": Case(metric, score_a, score_b)}
    return _only(intervals_of(case, y_true, units=units, resamples=resamples, confidence=confidence, seed=seed))


def intervals_of(
    cases: Mapping[str, Case],
    y_true: npt.ArrayLike,
    *,
    units: npt.ArrayLike | None = None,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> intervals.Intervals:
    """Return `interval` of many metrics at once, all on the same resamples.

    A metric that is undefined here, or on over a tenth of the resamples, is left out and explained in
    ``notes``.

    Raises:
        ValueError: malformed arrays, or fewer than two units.

    Example:
        >>> from shared.evaluation import classification
        >>> cases = {"auroc": Case(classification.auroc, [0.2, 0.4])}
        >>> intervals_of(cases, [1, 1]).notes
        ['auroc: expected rows of every class. Received: y_true with classes [1], n = 2']
    """
    arrays.fraction(confidence, "confidence")
    truth = arrays.labels(y_true)
    own = arrays.units_of(units, rows=len(truth))
    grouping = own.in_groups(resampling.MOST_UNITS)
    prepared = {name: _statistic(case, truth, grouping) for name, case in cases.items()}
    found = resampling.Resampled.of(prepared, grouping, resamples=resamples, seed=seed)
    found = dataclasses.replace(
        found,
        bounds={name: case.metric.bounds for name, case in cases.items() if isinstance(case.metric, weighted.Metric)},
        carriers=resampling.carriers_of(truth, own),
        equal=own.equal,
        differences=frozenset(name for name, case in cases.items() if case.reference is not None),
        undefined={name: _undefined(case, truth, found.values[name]) for name, case in cases.items()},
    )
    return found.intervals(confidence=confidence)


def _statistic(case: Case, truth: arrays.Ints, units: arrays.Units) -> weighted.Statistic:
    """Return the statistic of one case: a metric, or the difference of two."""
    ours = _prepare(case.metric, truth, case.score, units)
    if case.reference is None:
        return ours
    theirs = _prepare(case.metric, truth, case.reference, units)
    return lambda drawn: ours(drawn) - theirs(drawn)


def _prepare(metric: MetricLike, truth: arrays.Ints, y_score: npt.ArrayLike, units: arrays.Units) -> weighted.Statistic:
    """Return a metric as a statistic over draws of the units."""
    if isinstance(metric, weighted.Metric):
        return metric.statistic(truth, y_score, units=units)
    score = np.asarray(y_score)
    arrays.same_length(len(truth), "y_score", score)
    every_row = np.arange(len(truth))

    def value(drawn: arrays.Floats) -> arrays.Floats:
        repeats = drawn.astype(np.int64)[:, units.code]
        chosen = (np.repeat(every_row, times) for times in repeats)
        return np.array([_call(metric, truth[rows], score[rows]) for rows in chosen])

    return value


def _call(metric: MetricLike, y_true: arrays.Array, y_score: arrays.Array) -> float:
    """Return the metric, NaN when it refuses; its warnings on odd resamples would come by the thousand."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return float(metric(y_true, y_score))
        except ValueError:
            return math.nan


def _undefined(case: Case, truth: arrays.Ints, value: float) -> str:
    """Return why a metric has no value."""
    if isinstance(case.metric, weighted.Metric):
        return case.metric.undefined(truth)
    return f"expected a metric that is defined on these rows. Received: {value} from {case.metric!r}"


def _only(found: intervals.Intervals) -> intervals.Interval:
    """Return the single interval, or raise what its note says."""
    if "metric" not in found:
        raise ValueError(found.notes[0].removeprefix("metric: "))
    return found["metric"]
