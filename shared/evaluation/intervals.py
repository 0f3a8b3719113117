"""Confidence intervals: percentile bootstrap by unit for any metric, Wilson for proportions.

Degenerate resamples. A resample may leave a metric undefined (AUROC when only one class was drawn). Such
resamples are left out, their number is stated in ``Interval.method``, and when they are more than one in
ten the interval is refused: too few units carry the rarer class for any interval to mean what it says.

Biased metrics. A binned calibration error lies above its true value, and a resample lies above it by as
much again: percentile ends miss the truth. Metrics marked ``biased`` get the reflected ("basic") bootstrap,
2 v - high to 2 v - low, floored at 0 and widened to hold v (Davison & Hinkley 1997, section 5.2).
"""

import dataclasses
import math
import statistics
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from shared.evaluation import arrays, resampling, weighted

MAXIMUM_UNDEFINED = 0.1

# A `weighted.Metric`, or any function (y_true, y_score) -> float: slower, one call per resample.
MetricLike: TypeAlias = weighted.Metric | Callable[[arrays.Array, arrays.Array], float]


@dataclasses.dataclass(frozen=True)
class Interval:
    """A number and the range that the data leave for it.

    Attributes:
        value: the estimate on all rows.
        low: lower end.
        high: upper end.
        confidence: probability that intervals made this way hold the true value.
        method: how the ends were found.
    """

    value: float
    low: float
    high: float
    confidence: float = 0.95
    method: str = "bootstrap by unit"

    def __post_init__(self) -> None:
        """Refuse what is no interval."""
        if not all(map(math.isfinite, (self.value, self.low, self.high))) or self.low > self.high:
            raise ValueError(f"expected finite low <= high and a finite value. Received: {self}")
        arrays.fraction(self.confidence, "confidence")

    def to_json(self) -> dict[str, float | str]:
        """Return the mapping that metrics.json holds."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, mapping: Mapping[str, Any]) -> "Interval":
        """Return the interval that `to_json` wrote."""
        return cls(**{field.name: mapping[field.name] for field in dataclasses.fields(cls)})


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


class Intervals(dict[str, Interval]):
    """Intervals by name, and in ``notes`` why a name is missing."""

    notes: list[str]

    def __init__(self) -> None:
        """Start empty."""
        super().__init__()
        self.notes = []


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Resampled:
    """Metrics on all rows and on resamples of their units: what intervals and paired differences are made from.

    Attributes:
        values: metric -> its value on all rows; NaN where undefined.
        samples: metric -> (resamples,) its values on the resamples; NaN where undefined.
        unit: what was resampled, for ``Interval.method``.
        biased: metrics whose bootstrap is reflected (see above).
        undefined: metric -> why it has no value, where the caller can say more than that.
        differences: metrics that are paired differences.
        widened: whether an interval is widened to hold its value, which percentiles need not.
    """

    values: Mapping[str, float]
    samples: Mapping[str, arrays.Floats]
    unit: str = "unit"
    biased: frozenset[str] = frozenset()
    undefined: Mapping[str, str] = dataclasses.field(default_factory=dict)
    differences: frozenset[str] = frozenset()
    widened: bool = False

    @classmethod
    def of(
        cls,
        prepared: Mapping[str, resampling.Statistic],
        units: resampling.Units,
        *,
        resamples: int,
        seed: int,
        biased: frozenset[str] = frozenset(),
        widened: bool = False,
    ) -> "Resampled":
        """Value every statistic on all units and on the same resamples of them.

        Raises:
            ValueError: fewer than two units.
        """
        samples = resampling.distribution(list(prepared.values()), units, resamples=resamples, seed=seed)
        everything = np.ones((1, units.count))
        return cls(
            values={name: float(statistic(everything)[0]) for name, statistic in prepared.items()},
            samples=dict(zip(prepared, samples, strict=True)),
            unit=units.noun,
            biased=biased,
            widened=widened,
        )

    def minus(self, other: "Resampled") -> "Resampled":
        """Return the paired differences of the metrics that both have."""
        names = [name for name in self.values if name in other.values]
        return dataclasses.replace(
            self,
            values={name: self.values[name] - other.values[name] for name in names},
            samples={name: self.samples[name] - other.samples[name] for name in names},
            differences=frozenset(names),
        )

    def intervals(self, names: Sequence[str] | None = None, *, confidence: float = 0.95) -> Intervals:
        """Return the intervals of ``names``, all metrics by default; a note says why one is missing."""
        found = Intervals()
        for name in self.values if names is None else [name for name in names if name in self.values]:
            problem = self._problem(name)
            if problem:
                found.notes.append(f"{name}: {problem}")
            else:
                found[name] = self._interval(name, confidence)
        return found

    def _interval(self, name: str, confidence: float) -> Interval:
        value, samples = self.values[name], self.samples[name]
        biased, paired = name in self.biased, name in self.differences
        known = samples[np.isfinite(samples)]
        low, high = ends(value, known, confidence=confidence, biased=biased, difference=paired)
        kind = ("paired " if paired else "") + ("reflected " if biased else "")
        undefined = len(samples) - len(known)
        left_out = f" ({undefined} of {len(samples)} resamples undefined, left out)" if undefined else ""
        equal = " (all resamples equal)" if low == high else ""
        if self.widened:
            low, high = min(low, value), max(high, value)
        return Interval(value, low, high, confidence, f"{kind}bootstrap by {self.unit}{left_out}{equal}")

    def _problem(self, name: str) -> str:
        """Return why there is no interval, or an empty string."""
        if not math.isfinite(self.values[name]):
            return self.undefined.get(name, "not defined on these rows")
        undefined = float((~np.isfinite(self.samples[name])).mean())
        if undefined > MAXIMUM_UNDEFINED:
            return (
                f"expected a metric defined on at least {1 - MAXIMUM_UNDEFINED:.0%} of the resamples. "
                f"Received: {1 - undefined:.0%}; too few units carry the rarer classes"
            )
        return ""


def bootstrap(
    metric: MetricLike,
    y_true: npt.ArrayLike,
    y_score: npt.ArrayLike,
    *,
    units: npt.ArrayLike | None = None,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return the percentile bootstrap interval of a metric, resampling units (Efron & Tibshirani 1993).

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
        >>> found = bootstrap(classification.auroc, y_true, y_score, seed=1)
        >>> round(found.value, 3), found.method
        (0.889, 'bootstrap by row (69 of 2000 resamples undefined, left out)')
    """
    case = {"metric": Case(metric, y_score)}
    return _only(bootstrap_many(case, y_true, units=units, resamples=resamples, confidence=confidence, seed=seed))


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
) -> Interval:
    """Return the interval of ``metric(a) - metric(b)``, both valued on the same resamples of the units.

    Pairing removes the variation that both models share, so that the interval is narrower than two separate
    ones suggest. Arguments and errors as in `bootstrap`.

    Example:
        >>> from shared.evaluation import classification
        >>> score = [0.1, 0.8, 0.6, 0.3]
        >>> paired_difference(classification.brier, [0, 1, 1, 0], score, score).high
        0.0
    """
    case = {"metric": Case(metric, score_a, score_b)}
    return _only(bootstrap_many(case, y_true, units=units, resamples=resamples, confidence=confidence, seed=seed))


def bootstrap_many(
    cases: Mapping[str, Case],
    y_true: npt.ArrayLike,
    *,
    units: npt.ArrayLike | None = None,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Intervals:
    """Return `bootstrap` of many metrics at once, all on the same resamples.

    A metric that is undefined here, or on over a tenth of the resamples, is left out and explained in
    ``notes``.

    Raises:
        ValueError: malformed arrays, or fewer than two units.

    Example:
        >>> from shared.evaluation import classification
        >>> cases = {"auroc": Case(classification.auroc, [0.2, 0.4])}
        >>> bootstrap_many(cases, [1, 1]).notes
        ['auroc: expected rows of every class. Received: y_true with classes [1], n = 2']
    """
    arrays.fraction(confidence, "confidence")
    truth = arrays.labels(y_true)
    grouping = resampling.units_of(units, rows=len(truth))
    prepared = {name: _statistic(case, truth, grouping) for name, case in cases.items()}
    found = Resampled.of(prepared, grouping, resamples=resamples, seed=seed)
    found = dataclasses.replace(
        found,
        biased=frozenset(name for name, case in cases.items() if _biased(case)),
        differences=frozenset(name for name, case in cases.items() if case.reference is not None),
        undefined={name: _undefined(case, truth, found.values[name]) for name, case in cases.items()},
    )
    return found.intervals(confidence=confidence)


def wilson(successes: float, total: float, confidence: float = 0.95) -> Interval:
    """Return Wilson's score interval of a proportion (Wilson 1927, JASA 22).

    Recommended by Brown, Cai & DasGupta (2001, Stat. Sci. 16). Unlike ``p +- z se`` it stays within [0, 1]
    and has a width at 0 and 1. The counts may be effective, not whole.

    Raises:
        ValueError: ``total`` not above 0, or ``successes`` outside 0 .. total.

    Example:
        >>> round(wilson(0, 10).high, 4)
        0.2775
    """
    if not (total > 0 and 0 <= successes <= total):
        raise ValueError(f"expected 0 <= successes <= total and total > 0. Received: {successes} of {total}")
    z = statistics.NormalDist().inv_cdf(0.5 + arrays.fraction(confidence, "confidence") / 2)
    share = successes / total
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == total else min(1.0, centre + half)
    return Interval(share, low, high, confidence, "Wilson")


def _statistic(case: Case, truth: arrays.Ints, units: resampling.Units) -> resampling.Statistic:
    """Return the statistic of one case: a metric, or the difference of two."""
    ours = _prepare(case.metric, truth, case.score, units)
    if case.reference is None:
        return ours
    theirs = _prepare(case.metric, truth, case.reference, units)
    return lambda drawn: ours(drawn) - theirs(drawn)


def _prepare(
    metric: MetricLike, truth: arrays.Ints, y_score: npt.ArrayLike, units: resampling.Units
) -> resampling.Statistic:
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


def ends(
    value: float, values: arrays.Floats, *, confidence: float, biased: bool = False, difference: bool = False
) -> tuple[float, float]:
    """Return the interval's ends from the resampled values: percentiles, or reflected for a biased metric.

    Args:
        value: the estimate on all rows.
        values: (k,) finite resampled values.
        confidence: in (0, 1).
        biased: whether to reflect (see above).
        difference: whether the value may be below 0.

    Example:
        >>> ends(1.0, np.array([0.0, 1.0, 2.0]), confidence=0.5)
        (0.5, 1.5)
    """
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail]).tolist()
    if not biased:
        return low, high
    floor = -math.inf if difference else 0.0
    return min(value, max(floor, 2 * value - high)), max(value, 2 * value - low)


def _biased(case: Case) -> bool:
    """Return whether the metric's bootstrap must be reflected."""
    return isinstance(case.metric, weighted.Metric) and case.metric.biased


def _only(found: Intervals) -> Interval:
    """Return the single interval, or raise what its note says."""
    if "metric" not in found:
        raise ValueError(found.notes[0].removeprefix("metric: "))
    return found["metric"]
