"""Resampling whole units with replacement, and the intervals of what was valued on the resamples.

Rows that share a patient, a card, a drive or a near-duplicate text are not independent, so units are drawn,
not rows (cluster bootstrap: Field & Welsh 2007, "Bootstrapping clustered data", JRSS-B 69). A resample is a
vector of how often each unit was drawn. A statistic maps a block of such vectors to one number each, so
that sorting and summing by unit are done once and not 2,000 times.

Degenerate resamples. A resample may leave a metric undefined (AUROC when only one class was drawn). Such
resamples are left out, their number is stated in ``Interval.method``, and when they are more than one in
ten the interval is refused: too few units carry the rarer class for any interval to mean what it says.

Jackknife. Beside the resamples each statistic is valued without one unit, or without one group of units where
there are many: `ends` takes from it how much single units matter, and chooses the method of the interval.
"""

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np

from shared.evaluation import arrays, ends, weighted
from shared.evaluation import intervals as shared_intervals

# Cells (resamples x rows) in one block. 2**17 float64 are 1 MiB per temporary: it stays in the cache for
# 100,000 rows, amortises the interpreter for 100, and bounds memory whatever the number of resamples.
BLOCK_CELLS = 2**17
# More units than this are resampled in groups.
MOST_UNITS = 50_000
# Rows times resamples: beyond, there are fewer resamples, but these at least. Their ends are off by some percent of an
# interval that is a tenth as wide as that of a hundredth of the rows.
MOST_CELLS, LEAST_RESAMPLES = 2 * 10**8, 200


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
    blocks = [_stacked(statistics, drawn) for drawn in draws(units.count, resamples=resamples, block=block, seed=seed)]
    return np.concatenate(blocks, axis=1)


Kept = TypeVar("Kept")
MAXIMUM_UNDEFINED = 0.1
# Groups of the jackknife: every unit, or so many that it costs a tenth of the resamples.
LEAST_GROUPS, SHARE_OF_GROUPS = 25, 10


def affordable(resamples: int, *, rows: int) -> int:
    """Return how many resamples are drawn of so many rows.

    >>> affordable(2_000, rows=100_000), affordable(2_000, rows=1_000_000), affordable(100, rows=10**9)
    (2000, 200, 100)
    """
    return min(resamples, max(MOST_CELLS // max(rows, 1), LEAST_RESAMPLES))


def omissions(n_units: int, *, resamples: int, block: int) -> Iterator[arrays.Floats]:
    """Yield blocks ``(<= block, n_units) float64`` that count one group of units not at all and all others once.

    Units are dealt to groups at random, with a fixed seed: neighbours in number may be alike.

    Example:
        >>> next(omissions(3, resamples=10, block=2))
        array([[0., 1., 1.],
               [1., 0., 1.]])
    """
    groups = min(n_units, max(LEAST_GROUPS, resamples // SHARE_OF_GROUPS))
    code = np.arange(n_units) if groups == n_units else np.random.default_rng(0).permutation(n_units) % groups
    for first in range(0, groups, block):
        omitted = np.arange(first, min(first + block, groups))
        yield (code != omitted[:, np.newaxis]).astype(np.float64)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Resampled:
    """Metrics on all rows and on resamples of their units: what intervals and paired differences are made from.

    Attributes:
        values: metric -> its value on all rows; NaN where undefined.
        samples: metric -> (resamples,) its values on the resamples; NaN where undefined.
        left_out: metric -> (groups,) its values without one unit or group of units each; NaN where undefined.
        shrunk: biased metric -> (factors, resamples) simulated as if the truth were smaller (`weighted.FACTORS`).
        bounds: metric -> its range; one that is not named is taken to be in [0, 1] if all its values are.
        carriers: units of the rarest class, where it is known: what a perfect value rests on.
        unit: what was resampled, for ``Interval.method``.
        units: how many units were resampled; 0: as many as were left out.
        equal: whether all units have the same number of rows, such as one each.
        undefined: metric -> why it has no value, where the caller can say more than that.
        differences: metrics that are paired differences.
    """

    values: Mapping[str, float]
    samples: Mapping[str, arrays.Floats]
    left_out: Mapping[str, arrays.Floats]
    shrunk: Mapping[str, arrays.Floats] = dataclasses.field(default_factory=dict)
    bounds: Mapping[str, ends.Range] = dataclasses.field(default_factory=dict)
    carriers: int | None = None
    unit: str = "unit"
    units: int = 0
    equal: bool = False
    undefined: Mapping[str, str] = dataclasses.field(default_factory=dict)
    differences: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, prepared: Mapping[str, weighted.Statistic], units: arrays.Units, *, resamples: int, seed: int
    ) -> "Resampled":
        """Value every statistic on all units, on the same resamples of them, and without each of them.

        Raises:
            ValueError: fewer than two units.
        """
        wanted = arrays.whole(resamples, "resamples")
        resamples = affordable(wanted, rows=len(units.code))
        biased = {name: each for name, each in prepared.items() if isinstance(each, weighted.Shrinkable)}
        samples = distribution(list(prepared.values()), units, resamples=resamples, seed=seed)
        everything = np.ones((1, units.count))
        block = max(1, BLOCK_CELLS // len(units.code))
        without = omissions(units.count, resamples=resamples, block=block)
        left_out = np.concatenate([_stacked(prepared.values(), drawn) for drawn in without], axis=1)
        return cls(
            values={name: float(statistic(everything)[0]) for name, statistic in prepared.items()},
            samples=dict(zip(prepared, samples, strict=True)),
            left_out=dict(zip(prepared, left_out, strict=True)),
            shrunk={name: each.simulated(resamples, seed) for name, each in biased.items()},
            units=units.count,
            unit=units.noun if resamples == wanted else f"{units.noun}, {resamples:,} resamples",
        )

    def minus(self, other: "Resampled") -> "Resampled":
        """Return the paired differences of the metrics that both have."""
        names = [name for name in self.values if name in other.values]
        return dataclasses.replace(
            self,
            values={name: self.values[name] - other.values[name] for name in names},
            samples={name: self.samples[name] - other.samples[name] for name in names},
            left_out={name: self.left_out[name] - other.left_out[name] for name in names},
            shrunk={},
            differences=frozenset(names),
        )

    def renamed(self, names: Mapping[str, str]) -> "Resampled":
        """Return the metrics that ``names`` (new -> old) chooses, under their new names."""
        return dataclasses.replace(
            self,
            values=_renamed(self.values, names),
            samples=_renamed(self.samples, names),
            left_out=_renamed(self.left_out, names),
            shrunk=_renamed(self.shrunk, names),
            bounds=_renamed(self.bounds, names),
        )

    def intervals(self, names: Sequence[str] | None = None, *, confidence: float = 0.95) -> shared_intervals.Intervals:
        """Return the intervals of ``names``, all metrics by default; a note says why one is missing."""
        found = shared_intervals.Intervals()
        for name in self.values if names is None else [name for name in names if name in self.values]:
            problem = self._problem(name)
            if problem:
                found.notes.append(f"{name}: {problem}")
                continue
            try:
                found[name] = self._interval(name, confidence)
            except ValueError as error:
                found.notes.append(f"{name}: {error}")
        return found

    def _interval(self, name: str, confidence: float) -> shared_intervals.Interval:
        value, samples, paired = self.values[name], self.samples[name], name in self.differences
        spread = self._spread(name)
        low, high, method = ends.found(spread, confidence=confidence)
        if name in self.shrunk and value > 0 and spread.error > 0:
            kept = self.shrunk[name][:, np.isfinite(self.shrunk[name]).all(axis=0)]
            low, high = ends.inverted(value, kept, weighted.FACTORS, confidence=confidence)
            method = ends.INVERTED
        undefined = int((~np.isfinite(samples)).sum())
        left_out = f" ({undefined} of {len(samples)} resamples undefined, left out)" if undefined else ""
        kind = "paired " if paired else ""
        return shared_intervals.Interval(
            value,
            min(low, value),
            max(high, value),
            confidence,
            f"{kind}bootstrap by {self.unit}, {method}{left_out}",
        )

    def _spread(self, name: str) -> ends.Spread:
        samples, left_out = (held[name][np.isfinite(held[name])] for held in (self.samples, self.left_out))
        paired = name in self.differences
        known = np.append(samples, self.values[name])
        assumed = ends.UNIT if paired and np.abs(known).max() <= 1 else ends.range_of(known)
        return ends.Spread(
            value=self.values[name],
            samples=samples,
            left_out=left_out,
            bounds=self.bounds.get(name, assumed),
            carriers=len(self.left_out[name]) if self.carriers is None else self.carriers,
            difference=paired,
            equal=self.equal,
            units=self.units,
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


def carriers_of(y_true: arrays.Ints, units: arrays.Units) -> int:
    """Return how many units have rows of the rarest class that occurs.

    Example:
        >>> carriers_of(np.array([0, 0, 0, 1, 1]), arrays.units_of([1, 2, 3, 3, 3], rows=5))
        1
    """
    return min(len(np.unique(units.code[y_true == label])) for label in np.unique(y_true))


def _renamed(held: Mapping[str, Kept], names: Mapping[str, str]) -> dict[str, Kept]:
    return {new: held[old] for new, old in names.items() if old in held}


def _stacked(statistics: Iterable[weighted.Statistic], drawn: arrays.Floats) -> arrays.Floats:
    return np.stack([statistic(drawn) for statistic in statistics])
