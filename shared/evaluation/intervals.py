"""Confidence intervals: percentile bootstrap by unit for any metric, Wilson for proportions.

Degenerate resamples. A resample may leave a metric undefined (AUROC when only one class was drawn). Such
resamples are left out, their number is stated in ``Interval.method``, and when they are more than one in
ten the interval is refused: too few units carry the rarer class for any interval to mean what it says.

Biased metrics. A binned calibration error lies above its true value, and a resample lies above it by as
much again: percentile ends miss the truth. Metrics marked ``biased`` get the reflected ("basic") bootstrap,
2 v - high to 2 v - low, floored at 0 and widened to hold v (Davison & Hinkley 1997, section 5.2).

Shares of rows with Wilson's interval, also when rows share units and are fewer than they seem.

AUROC with the variance of DeLong, also when rows share units: an interval without resampling.
"""

import math
import statistics
import numpy as np
import numpy.typing as npt
from scipy import special, stats
from shared.evaluation import arrays, intervals, resampling
import dataclasses
import numpy as np
import numpy.typing as npt
from shared.evaluation import arrays, intervals, resampling
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


def proportion(
    successes: npt.ArrayLike, *, units: npt.ArrayLike | None = None, confidence: float = 0.95
) -> intervals.Interval:
    """Return Wilson's interval of the share of True, at the effective number of rows when rows share units.

    The effective number is n / deff, with deff >= 1 the ratio-estimator variance over units divided by that
    of independent rows (Kish 1965; Korn & Graubard 1998). When all rows agree deff cannot be estimated and
    the number of units is used, the cautious end.

    Args:
        successes: (n,) bool.
        units: (n,) unit of each row, or None.
        confidence: in (0, 1).

    Raises:
        ValueError: no rows, or malformed arrays.

    Example:
        >>> found = proportion([True] * 4, units=[1, 1, 2, 2])
        >>> found.low == intervals.wilson(2, 2).low
        True
    """
    hits = np.asarray(successes)
    if hits.ndim != 1 or not hits.size:
        raise ValueError(f"successes: expected a non-empty (n,) bool. Received: shape {hits.shape}")
    hits = arrays.mask(hits, rows=len(hits), name="successes")
    grouping = resampling.units_of(units, rows=len(hits))
    if grouping.count == len(hits):
        return intervals.wilson(int(hits.sum()), len(hits), confidence)
    effective = _effective_rows(hits.astype(np.float64), grouping)
    found = intervals.wilson(float(hits.mean()) * effective, effective, confidence)
    return dataclasses.replace(found, value=float(hits.mean()), method="Wilson, effective size by unit")


def proportion_among(
    hits: arrays.Bools, among: arrays.Bools, *, units: arrays.Ints, confidence: float = 0.95
) -> intervals.Interval | None:
    """Return `proportion` of ``hits`` within the rows ``among`` (n,) bool, None when there are no such rows.

    Example:
        >>> hits, among = np.array([True, False]), np.array([True, False])
        >>> proportion_among(hits, among, units=np.arange(2)).value
        1.0
    """
    if not among.any():
        return None
    return proportion(hits[among], units=units[among], confidence=confidence)


def _effective_rows(hits: arrays.Floats, units: resampling.Units) -> float:
    """Return n / deff, between 1 and n."""
    share, rows = hits.mean(), len(hits)
    if share in (0, 1) or units.count == 1:
        return float(units.count)
    residual = np.bincount(units.code, weights=hits - share, minlength=units.count)
    between = units.count / (units.count - 1) * (residual**2).sum()
    alone = rows * share * (1 - share)
    return float(rows) if between <= alone else float(max(1.0, rows * alone / between))


def delong(
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
    error = math.sqrt(_delong_variance(truth, upper - area, lower - area, grouping))
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


def _delong_variance(truth: arrays.Ints, upper: arrays.Floats, lower: arrays.Floats, units: resampling.Units) -> float:
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
