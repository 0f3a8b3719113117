"""Resampling whole units with replacement, and the intervals of what was valued on the resamples.

Rows that share a patient, a card, a drive or a near-duplicate text are not independent, so units are drawn,
not rows (cluster bootstrap: Field & Welsh 2007, "Bootstrapping clustered data", JRSS-B 69). A resample is a
vector of how often each unit was drawn. A statistic maps a block of such vectors to one number each, so
that sorting and summing by unit are done once and not 2,000 times.

Degenerate resamples. A resample may leave a metric undefined (AUROC when only one class was drawn). Such
resamples are left out, their number is stated in ``Interval.method``, and when they are more than one in
ten the interval is refused: too few units carry the rarer class for any interval to mean what it says.

Biased metrics. A binned calibration error lies above its true value, and a resample lies above it by as
much again: percentile ends miss the truth. Metrics marked ``biased`` get the reflected ("basic") bootstrap,
2 v - high to 2 v - low, floored at 0 and widened to hold v (Davison & Hinkley 1997, section 5.2).
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from shared.evaluation import arrays, weighted
from shared.evaluation import intervals as shared_intervals

# Cells (resamples x rows) in one block. 2**17 float64 are 1 MiB per temporary: it stays in the cache for
# 100,000 rows, amortises the interpreter for 100, and bounds memory whatever the number of resamples.
BLOCK_CELLS = 2**17


def draws(n_units: int, *, resamples: int, block: int, seed: int) -> Iterator[arrays.Floats]:
    """Yield blocks ``(<= block, n_units) float64`` of how often each unit was drawn; rows sum to n_units.

    Drawing n_units ids and counting them is the multinomial of the bootstrap, ten times faster than asking
    the generator for a multinomial. The stream does not depend on the block size.

    Example:
        >>> next(draws(3, resamples=1, block=1, seed=0)).sum()
        np.float64(3.0)
    """
    generator = np.random.default_rng(seed)
    for first in range(0, resamples, block):
        size = min(block, resamples - first)
        picked = generator.integers(n_units, size=(size, n_units))
        picked += n_units * np.arange(size)[:, np.newaxis]
        counted = np.bincount(picked.ravel(), minlength=size * n_units)
        yield counted.reshape(size, n_units).astype(np.float64)


def distribution(
    statistics: Sequence[weighted.Statistic], units: arrays.Units, *, resamples: int, seed: int
) -> arrays.Floats:
    """Return ``(len(statistics), resamples) float64``: every statistic on the same resamples of the units.

    Raises:
        ValueError: fewer than two units (nothing can vary), or fewer than one resample.

    Example:
        >>> total = lambda drawn: drawn.sum(axis=1)
        >>> distribution([total], arrays.units_of(None, rows=4), resamples=3, seed=0)
        array([[4., 4., 4.]])
    """
    if units.count < 2:
        raise ValueError(f"units: expected at least two units to resample. Received: {units.count}")
    arrays.whole(resamples, "resamples")
    block = max(1, BLOCK_CELLS // len(units.code))
    blocks = [
        np.stack([statistic(drawn) for statistic in statistics])
        for drawn in draws(units.count, resamples=resamples, block=block, seed=seed)
    ]
    return np.concatenate(blocks, axis=1)


MAXIMUM_UNDEFINED = 0.1


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
        prepared: Mapping[str, weighted.Statistic],
        units: arrays.Units,
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
        samples = distribution(list(prepared.values()), units, resamples=resamples, seed=seed)
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

    def intervals(self, names: Sequence[str] | None = None, *, confidence: float = 0.95) -> shared_intervals.Intervals:
        """Return the intervals of ``names``, all metrics by default; a note says why one is missing."""
        found = shared_intervals.Intervals()
        for name in self.values if names is None else [name for name in names if name in self.values]:
            problem = self._problem(name)
            if problem:
                found.notes.append(f"{name}: {problem}")
            else:
                found[name] = self._interval(name, confidence)
        return found

    def _interval(self, name: str, confidence: float) -> shared_intervals.Interval:
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
        return shared_intervals.Interval(
            value, low, high, confidence, f"{kind}bootstrap by {self.unit}{left_out}{equal}"
        )

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
