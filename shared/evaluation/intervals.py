"""An interval, and those that need no resampling: Wilson's of a proportion and DeLong's of AUROC, also by unit.

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

from shared.evaluation import arrays


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
    z = standard_errors(confidence)
    share = successes / total
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == total else min(1.0, centre + half)
    return Interval(share, low, high, confidence, "Wilson")


def proportion(successes: npt.ArrayLike, *, units: npt.ArrayLike | None = None, confidence: float = 0.95) -> Interval:
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
    effective = _effective_rows(hits.astype(np.float64), grouping)
    found = wilson(float(hits.mean()) * effective, effective, confidence)
    return dataclasses.replace(found, value=float(hits.mean()), method="Wilson, effective size by unit")


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


def _effective_rows(hits: arrays.Floats, units: arrays.Units) -> float:
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
) -> Interval:
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
        >>> found = delong([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
        >>> found.value, found.method
        (0.75, 'DeLong by row')
    """
    truth = arrays.labels(y_true, classes=2)
    score = arrays.positive(y_score, rows=len(truth))
    grouping = arrays.units_of(units, rows=len(truth))
    upper, lower = placements(truth, score)
    area = float(upper.mean())
    error = math.sqrt(_delong_variance(truth, upper - area, lower - area, grouping))
    method = f"DeLong by {grouping.noun}"
    if area in (0, 1):
        # Perfect separation has no variance to measure; the rarer class' units bound it (rule of three).
        reach = 1 - (1 - confidence) ** (1 / min(_units_with(truth, c, grouping) for c in (0, 1)))
        low, high = (0.0, reach) if area == 0 else (1 - reach, 1.0)
        return Interval(area, low, high, confidence, f"{method} (no variance; bound by the rarer class)")
    z = standard_errors(confidence)
    half = z * error / (area * (1 - area))
    low, high = special.expit(special.logit(area) + np.array([-half, half])).tolist()
    return Interval(area, low, high, confidence, method)


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
