"""The ends of an interval that was resampled: one function, `found`, chooses the method by the data.

Plain percentiles of a bootstrap are too narrow where few units carry a number: with 15 positive rows 95 % intervals of
AUROC held the true value in 80 to 91 of 100 data sets, with values near 1 in 75 (docs/intervals.md has the table). Four
things are at fault, and each is mended here.

Variance. The bootstrap's is too small by about (n - 1) / n. Of independent rows, and of units of equal size, the
jackknife's is taken, which errs upwards (Efron & Stein 1981, Ann. Stat. 9); of others the larger of both. The jackknife
of a number with corners, such as a threshold or a sum of absolute values, is far off: then the bootstrap's is taken.

Degrees of freedom. A variance that rests on a few units is itself uncertain: Student's t with Satterthwaite's number,
2 n / (kurtosis - 1) of the units' influences (Satterthwaite 1946, Biometrics 2; that variance of a variance: Cramer
1946, section 27.4), which is n where all units matter alike and about twice the number of rare units where few do. Of
units of equal size n - 1 is enough: their t has lighter tails the heavier those of the rows are (Efron 1969, JASA 64).

Shape. Of a metric in [0, 1] the interval is Wilson's at the effective size v (1 - v) / variance: the standard error
is that of each candidate value and not of the estimate, so the ends stay within the range, the interval leans inwards
near 0 and 1, and it has a width there (Wilson 1927, JASA 22; effective sizes: Kish 1965, Korn & Graubard 1998, Survey
Methodology 24). A mean of losses is skewed, and near 0; its t is corrected for that by Hall's cubic transformation
(Hall 1992, JRSS-B 54). Differences near 0 are symmetric, as either model may be the better one: plain Student's t. One
far from 0 is skewed as its metric is, and gets the wider ends.

Bias. A binned calibration error lies above its true value and a resample by more; see `inverted`.

Where no resample differs from the data there is no variance to use. Of k units none showed a difference: at most
1 - (1 - confidence)^(1/k) of all do (rule of three: Hanley & Lippman-Hand 1983, JAMA 249).
"""

import dataclasses
import math
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from scipy import special

from shared.evaluation import arrays


class Range(NamedTuple):
    """The range of a number, and whether it is a mean of losses: skewed, and far from its upper bound.

    Example:
        >>> Range(-1.0, 1.0).width
        2.0
    """

    low: float
    high: float
    loss: bool = False

    @property
    def width(self) -> float:
        """High minus low."""
        return self.high - self.low


Ends: TypeAlias = tuple[float, float]
UNIT: Final = Range(0.0, 1.0)
# A sum of squared errors of probabilities over the classes is at most 2.
SQUARED: Final = Range(0.0, 2.0, loss=True)
POSITIVE: Final = Range(0.0, math.inf, loss=True)
UNBOUNDED: Final = Range(-math.inf, math.inf)
# Values that differ by less came of other orders of summing.
ROUNDING = 1e-12
# The degrees of freedom never fall below: a t of fewer has tails that no data of ours have.
LEAST_FREEDOM = 1.5
# A jackknife that is so many times the bootstrap, or as much smaller, is that of a number with corners.
CORNERS = 1.2
# A difference of less than so many standard errors is near 0.
NEAR = 2.0

WILSON = "Wilson at the effective size"
SKEWED = "t corrected for skewness"
STUDENT = "Student's t"
INVERTED = "test inversion"
ALIKE = "rule of three, all resamples equal"


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Spread:
    """One number, and how it varies over resamples and without some of the units.

    Attributes:
        value: on all units.
        samples: (b,) finite values on resamples of the units.
        left_out: (g,) finite values, each without one unit, or without one of g equal groups of units.
        bounds: the range of the number.
        carriers: units of the rarest class, or of what else carries the number.
        difference: whether it is a paired difference of two numbers in ``bounds``.
        equal: whether all units have the same number of rows, such as one each.
        units: how many units there are; more than g where groups were left out. 0: g of them.
    """

    value: float
    samples: arrays.Floats
    left_out: arrays.Floats
    bounds: Range = UNIT
    carriers: int
    difference: bool = False
    equal: bool = False
    units: int = 0

    @property
    def influence(self) -> arrays.Floats:
        """(g,) what each unit or group adds to the number."""
        return np.asarray(self.left_out.mean() - self.left_out) if len(self.left_out) else np.zeros(1)

    @property
    def error(self) -> float:
        """The standard error, of the bootstrap or the jackknife: see above."""
        bootstrap, jackknife = self._bootstrap, self._jackknife
        smooth = bootstrap <= CORNERS * jackknife and jackknife <= CORNERS * bootstrap
        if self._is_near or (self.equal and not self.difference):
            found = jackknife if smooth else bootstrap
        else:
            found = bootstrap if self.difference and jackknife > CORNERS * bootstrap else max(bootstrap, jackknife)
        return found if found > ROUNDING * max(1.0, abs(self.value)) else 0.0

    @property
    def _bootstrap(self) -> float:
        units = max(2, self.units or len(self.left_out))
        return float(self.samples.std(ddof=1)) * math.sqrt(units / (units - 1)) if len(self.samples) > 1 else 0.0

    @property
    def _jackknife(self) -> float:
        count = len(self.left_out)
        return math.sqrt((count - 1) / count * float((self.influence**2).sum())) if count else 0.0

    @property
    def _is_near(self) -> bool:
        """Whether it is a difference that may as well be 0."""
        return self.difference and abs(self.value) < NEAR * self._jackknife

    @property
    def skewness(self) -> float:
        """The skewness of the number, as of a sum of the influences."""
        squares = float((self.influence**2).sum())
        return float((self.influence**3).sum()) / squares**1.5 if squares > 0 else 0.0

    def student(self, confidence: float) -> float:
        """Return Student's t with Satterthwaite's degrees of freedom, or n - 1 of units of equal size."""
        symmetric = self.equal and (self._is_near or not self.difference)
        found = max(LEAST_FREEDOM, len(self.left_out) - 1.0) if symmetric else freedom(self.influence)
        return float(special.stdtrit(found, 0.5 + confidence / 2))


def found(spread: Spread, *, confidence: float) -> tuple[float, float, str]:
    """Return the low and the high end and the method, chosen by what is known of the number.

    Raises:
        ValueError: no resample differs and the number has no bounds: there is nothing to go by.

    Example:
        >>> left_out = np.array([0.5, 0.75, 0.75, 0.5])
        >>> spread = Spread(value=0.625, samples=np.array([0.5, 0.75]), left_out=left_out, carriers=4)
        >>> [round(end, 2) if isinstance(end, float) else end for end in found(spread, confidence=0.95)]
        [0.14, 0.95, 'Wilson at the effective size']
    """
    low, high, loss = spread.bounds
    width = spread.bounds.width
    if spread.error == 0:
        none_counted = spread.value == low and math.isinf(high)
        if none_counted and not spread.difference:  # the rule of three of a rate
            return low, 1 - (1 - confidence) ** (1 / max(1, spread.carriers)), ALIKE
        if not math.isfinite(width):
            raise ValueError("expected resamples that differ. Received: equal ones, of a number without an upper bound")
        return (*_rule_of_three(spread, confidence), ALIKE)
    if spread.difference:
        half = spread.student(confidence) * spread.error
        return max(-width, spread.value - half), min(width, spread.value + half), STUDENT
    if math.isfinite(width) and not loss:
        return (*_wilson(spread, confidence), WILSON)
    down, up = _skewed(spread, confidence)
    return max(low, down), min(high, up), SKEWED


def freedom(influence: arrays.Floats) -> float:
    """Return Satterthwaite's degrees of freedom, at most n - 1, of a variance that n units' influences show.

    Args:
        influence: (n,) what each unit adds to the number, centred.

    Example:
        >>> freedom(np.array([1.0, -1.0, 1.0, -1.0])), round(freedom(np.array([9.0, -3.0, -3.0, -3.0])), 2)
        (3.0, 3.0)
        >>> round(freedom(np.repeat([39.0, -1.0], [1, 39])), 2)  # one unit alone
        2.16
    """
    count, squares = len(influence), float((influence**2).sum())
    most = max(LEAST_FREEDOM, count - 1.0)
    excess = float((influence**4).sum()) / squares**2 - 1 / count if squares > 0 else 0.0
    return most if excess <= 0 else min(most, max(LEAST_FREEDOM, 2 / excess))


def range_of(values: arrays.Floats) -> Range:
    """Return the range to assume of a number that does not say: [0, 1] if every value is there, else any.

    Example:
        >>> range_of(np.array([0.2, 1.0])), range_of(np.array([0.2, 1.5]))
        (Range(low=0.0, high=1.0, loss=False), Range(low=-inf, high=inf, loss=False))
    """
    return UNIT if bool(((values >= 0) & (values <= 1)).all()) else UNBOUNDED


def inverted(value: float, shrunk: arrays.Floats, factors: arrays.Floats, *, confidence: float) -> tuple[float, float]:
    """Return the ends of a number that is biased upwards from 0, by inverting a test.

    A true value of c v is in the interval unless the estimate v lies in a tail of what it would be then: of values that
    are simulated as if the observed gaps were c times as large (Carpenter 1999, JRSS-B 61; Garthwaite & Buckland 1992,
    Appl. Stat. 41). Nothing is below 0, so that a true value of 0 has its whole tail above (Feldman & Cousins 1998,
    Phys. Rev. D 57). Where v is no larger than noise alone gives, the low end is 0; where it is smaller, no true value
    would be likely to give it, and the high end is that of noise alone.

    Args:
        value: v, 0 or more.
        shrunk: (f, b) simulated values, each row as if the truth were ``factors[f]`` times the estimate.
        factors: (f,) rising, from 0 to 1 or more.
        confidence: in (0, 1).

    Example:
        >>> shrunk = np.array([[0.0, 0.1], [0.5, 0.6], [1.0, 1.1]])
        >>> [round(end, 2) for end in inverted(0.8, shrunk, np.array([0.0, 0.5, 1.0]), confidence=0.5)]
        [0.58, 0.62]
        >>> [round(float(end), 2) for end in inverted(0.01, shrunk + 0.2, np.array([0.0, 0.5, 1.0]), confidence=0.5)]
        [0.0, 0.25]
    """
    tail = (1 - confidence) / 2
    low_tails, high_tails = (np.quantile(shrunk, at, axis=1) for at in (tail, 1 - tail))
    high_tails[0] = np.quantile(shrunk[0], confidence)
    # Monotone but for the chance of finitely many values.
    below, above = (np.maximum.accumulate(each) for each in (low_tails, high_tails))
    if value <= low_tails[0]:
        return 0.0, float(high_tails[0])
    low = _crossing(above, factors, value)
    high = _crossing(below, factors, value)
    return max(0.0, low * value), high * value


def _crossing(quantiles: arrays.Floats, factors: arrays.Floats, value: float) -> float:
    """Return the factor at which the quantile reaches the value; beyond the last one it grows by the value itself."""
    if quantiles[0] >= value:
        return float(factors[0])
    if quantiles[-1] < value:
        return float(factors[-1] + (value - quantiles[-1]) / value)
    return float(np.interp(value, quantiles, factors))


def _wilson(spread: Spread, confidence: float) -> Ends:
    low, width = spread.bounds.low, spread.bounds.width
    share = min(1.0, max(0.0, (spread.value - low) / width))
    error, reach = spread.error / width, spread.student(confidence)
    # At 0 and 1 nothing varies but by rounding: as many rows as there are carriers.
    size = share * (1 - share) / error**2 if 0 < share < 1 else float(spread.carriers)
    down, up = score_ends(share, size, reach)
    return low + down * width, low + up * width


def score_ends(share: float, size: float, reach: float) -> Ends:
    """Return Wilson's ends of a share of ``size`` rows, ``reach`` standard errors to either side.

    Example:
        >>> [round(end, 4) for end in score_ends(0.0, 10, 1.959964)]
        [0.0, 0.2775]
    """
    squared = reach * reach / size
    centre = (share + squared / 2) / (1 + squared)
    half = math.sqrt(squared * share * (1 - share) + squared * squared / 4) / (1 + squared)
    return max(0.0, centre - half), min(1.0, centre + half)


def _skewed(spread: Spread, confidence: float) -> Ends:
    """Return Hall's ends: g(T) = T + c T^2 / 3 + c^2 T^3 / 27 + c / 6 is nearly Student's, c the skewness."""
    skewness, reach = spread.skewness, spread.student(confidence)
    if abs(skewness) < 1e-6:
        return spread.value - reach * spread.error, spread.value + reach * spread.error
    turned = [3 / skewness * (np.cbrt(1 + skewness * (side - skewness / 6)) - 1) for side in (reach, -reach)]
    low, high = (spread.value - spread.error * float(each) for each in turned)
    return min(low, spread.value), max(high, spread.value)


def _rule_of_three(spread: Spread, confidence: float) -> Ends:
    low, high, _ = spread.bounds
    hidden = (high - low) * (1 - (1 - confidence) ** (1 / max(1, spread.carriers)))
    if spread.difference:
        return spread.value - hidden, spread.value + hidden
    return max(low, spread.value - hidden), min(high, spread.value + hidden)
