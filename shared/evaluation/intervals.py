"""An interval, and those that need no resampling, also by unit: of a proportion (Wilson) and of AUROC (DeLong).

Rows that share a patient, a card, a drive or a text are fewer than they seem; both take that into account.
"""

import dataclasses
import math
import statistics
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from shared.evaluation import arrays, ends


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


class Intervals(dict[str, Interval]):
    """Intervals by name, and in ``notes`` why a name is missing."""

    notes: list[str]

    def __init__(self) -> None:
        """Start empty."""
        super().__init__()
        self.notes = []


def standard_errors(confidence: float) -> float:
    """Return how many standard errors a normal interval of this confidence reaches to either side.

    >>> round(standard_errors(0.95), 2)
    1.96
    """
    return statistics.NormalDist().inv_cdf(0.5 + arrays.fraction(confidence, "confidence") / 2)


def student(freedom: float, confidence: float) -> float:
    """Return `standard_errors` for a standard error that is estimated with so many degrees of freedom.

    >>> round(student(14, 0.95), 2)
    2.14
    """
    return float(special.stdtrit(freedom, 0.5 + arrays.fraction(confidence, "confidence") / 2))


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
    share = successes / total
    low, high = ends.score_ends(share, total, standard_errors(confidence))
    return Interval(share, low if successes else 0.0, high if successes < total else 1.0, confidence, "Wilson")


def proportion(successes: npt.ArrayLike, *, units: npt.ArrayLike | None = None, confidence: float = 0.95) -> Interval:
    """Return Wilson's interval of the share of True, at the effective number of rows when rows share units.

    The effective number is n / deff, with deff >= 1 the variance over units, by a jackknife as the ratio of sums is
    biased with few of them, divided by that of independent rows (Kish 1965; Korn & Graubard 1998). When all rows agree
    deff cannot be estimated and the number of units is used, the cautious end. An estimated variance takes Student's t
    in place of the normal quantile (Korn & Graubard 1998, Survey Methodology 24), with Satterthwaite's degrees of
    freedom (`ends.freedom`): few where the rows that differ are in few units, or some units hold most of the rows.

    Args:
        successes: (n,) bool.
        units: (n,) unit of each row, or None.
        confidence: in (0, 1).

    Raises:
        ValueError: no rows, or malformed arrays.

    Example:
        >>> found = proportion([True] * 4, units=[1, 1, 2, 2])
        >>> found.low == wilson(2, 2).low
        True
    """
    hits = np.asarray(successes)
    if hits.ndim != 1 or not hits.size:
        raise ValueError(f"successes: expected a non-empty (n,) bool. Received: shape {hits.shape}")
    hits = arrays.mask(hits, rows=len(hits), name="successes")
    grouping = arrays.units_of(units, rows=len(hits))
    if grouping.count == len(hits):
        return wilson(int(hits.sum()), len(hits), confidence)
    share, influence = float(hits.mean()), _influences(hits.astype(np.float64), grouping)
    effective = _effective_rows(share, len(hits), influence)
    estimated = 0 < share < 1 and grouping.count > 1
    reach = student(ends.freedom(influence), confidence) if estimated else standard_errors(confidence)
    low, high = ends.score_ends(share, effective, reach)
    low, high = low if share > 0 else 0.0, high if share < 1 else 1.0
    return Interval(share, low, high, confidence, "Wilson, effective size by unit")


def proportion_among(
    hits: arrays.Bools, among: arrays.Bools, *, units: arrays.Ints, confidence: float = 0.95
) -> Interval | None:
    """Return `proportion` of ``hits`` within the rows ``among`` (n,) bool, None when there are no such rows.

    Example:
        >>> hits, among = np.array([True, False]), np.array([True, False])
        >>> proportion_among(hits, among, units=np.arange(2)).value
        1.0
    """
    if not among.any():
        return None
    return proportion(hits[among], units=units[among], confidence=confidence)


def _influences(hits: arrays.Floats, units: arrays.Units) -> arrays.Floats:
    """Return what leaving out each unit changes of the number of hits, centred; zeros where all rows agree."""
    if units.count == 1:
        return np.zeros(1)
    residual = np.bincount(units.code, weights=hits - hits.mean(), minlength=units.count)
    change = residual / (1 - np.bincount(units.code, minlength=units.count) / len(hits))
    return np.asarray(change - change.mean())


def _effective_rows(share: float, rows: int, influence: arrays.Floats) -> float:
    """Return n / deff, between 1 and n; the number of units where all rows agree."""
    units = len(influence)
    if share in (0, 1) or units == 1:
        return float(units)
    between = (units - 1) / units * float((influence**2).sum())
    alone = rows * share * (1 - share)
    return float(rows) if between <= alone else float(max(1.0, rows * alone / between))


def delong(
    y_true: npt.ArrayLike, y_score: npt.ArrayLike, *, units: npt.ArrayLike | None = None, confidence: float = 0.95
) -> Interval:
    """Return AUROC with a score interval at DeLong's variance.

    The variance at the estimate is DeLong's (DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44), rows that share
    a unit summed by unit (Obuchowski 1997, Biometrics 53). How it changes with the true area is taken from Hanley &
    McNeil (1982, Radiology 143), and the ends are the areas from which the estimate is just that many standard
    errors away: Newcombe's method 5 (2006, Stat. Med. 25), which keeps its confidence near 1 and with a rare class,
    where DeLong's own ends, on the logit scale too, are too narrow. DeLong's variance is not let below Hanley &
    McNeil's. Where rows share units, Student's t of the rarer class' units replaces the normal quantile.

    Args:
        y_true: (n,) in {0, 1}, both present.
        y_score: (n,) or (n, 2) scores.
        units: (n,) unit of each row, or None.
        confidence: in (0, 1).

    Raises:
        ValueError: malformed arrays, one class only, or fewer than two units with rows of either class.

    Example:
        >>> found = delong([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
        >>> found.value, found.method
        (0.75, 'DeLong by row, score interval')
    """
    truth = arrays.labels(y_true, classes=2)
    score = arrays.positive(y_score, rows=len(truth))
    grouping = arrays.units_of(units, rows=len(truth))
    upper, lower = placements(truth, score)
    area = float(upper.mean())
    sizes = (int((truth == 1).sum()), int((truth == 0).sum()))
    carriers = min(_units_with(truth, label, grouping) for label in (0, 1))
    variance = _delong_variance(truth, upper - area, lower - area, grouping)
    shared = grouping.count < len(truth)
    # At 0 and 1 nothing varies: the rarer class' units count, not its rows.
    excess = variance / _area_variance(area, sizes) if 0 < area < 1 else min(sizes) / carriers
    reach = student(carriers - 1, confidence) if shared else standard_errors(confidence)
    low, high = _area_ends(area, sizes, reach * math.sqrt(max(1.0, excess)))
    return Interval(area, low, high, confidence, f"DeLong by {grouping.noun}, score interval")


def _area_variance(area: float, sizes: tuple[int, int]) -> float:
    """Return Hanley & McNeil's variance of AUROC, with both classes as large as their mean (Newcombe 2006)."""
    others = sum(sizes) / 2 - 1
    return area * (1 - area) * (1 + others * ((1 - area) / (2 - area) + area / (1 + area))) / (sizes[0] * sizes[1])


def _area_ends(area: float, sizes: tuple[int, int], reach: float) -> tuple[float, float]:
    """Return the areas that are ``reach`` of their own standard errors from the estimate, by bisection."""
    found = []
    for end in (0.0, 1.0):
        far, near = end, area
        for _ in range(50):
            tried = (far + near) / 2
            outside = abs(tried - area) > reach * math.sqrt(_area_variance(tried, sizes))
            far, near = (tried, near) if outside else (far, tried)
        found.append(far)
    return min(found[0], area), max(found[1], area)


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


def _delong_variance(truth: arrays.Ints, upper: arrays.Floats, lower: arrays.Floats, units: arrays.Units) -> float:
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


def _units_with(truth: arrays.Ints, label: int, units: arrays.Units) -> int:
    """Return how many units have rows of this class."""
    return len(np.unique(units.code[truth == label]))
