"""Resampling whole units with replacement: the one source of randomness behind every bootstrap interval.

Rows that share a patient, a card, a drive or a near-duplicate text are not independent, so units are drawn,
not rows (cluster bootstrap: Field & Welsh 2007, "Bootstrapping clustered data", JRSS-B 69). A resample is a
vector of how often each unit was drawn. A statistic maps a block of such vectors to one number each, so
that sorting and summing by unit are done once and not 2,000 times.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from shared.evaluation import arrays

# Draws (k, n_units) float64 -> values (k,) float64, NaN where a resample leaves the statistic undefined.
Statistic: TypeAlias = Callable[[arrays.Floats], arrays.Floats]

# Cells (resamples x rows) in one block. 2**17 float64 are 1 MiB per temporary: it stays in the cache for
# 100,000 rows, amortises the interpreter for 100, and bounds memory whatever the number of resamples.
BLOCK_CELLS = 2**17


@dataclasses.dataclass(frozen=True)
class Units:
    """Which unit each row belongs to.

    Attributes:
        code: (n,) int64 in 0 .. count - 1.
        count: number of units.
        given: False when each row is its own unit because the caller named none.
    """

    code: arrays.Ints
    count: int
    given: bool = True

    @property
    def noun(self) -> str:
        """What is resampled, for ``Interval.method``."""
        return "unit" if self.given else "row"


def units_of(units: npt.ArrayLike | None, *, rows: int) -> Units:
    """Number the units; None makes every row its own unit.

    Args:
        units: (n,) ids of any sortable type.
        rows: the expected n.

    Raises:
        ValueError: another shape.

    Example:
        >>> units_of(["b", "a", "b"], rows=3).code
        array([1, 0, 1])
    """
    if units is None:
        return Units(np.arange(rows), rows, given=False)
    ids = np.asarray(units)
    arrays.same_length(rows, "units", ids)
    if ids.ndim != 1:
        raise ValueError(f"units: expected one id per row, shape ({rows},). Received: shape {ids.shape}")
    distinct, code = np.unique(ids, return_inverse=True)
    return Units(code.astype(np.int64), len(distinct))


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


def distribution(statistics: Sequence[Statistic], units: Units, *, resamples: int, seed: int) -> arrays.Floats:
    """Return ``(len(statistics), resamples) float64``: every statistic on the same resamples of the units.

    Raises:
        ValueError: fewer than two units (nothing can vary), or fewer than one resample.

    Example:
        >>> total = lambda drawn: drawn.sum(axis=1)
        >>> distribution([total], units_of(None, rows=4), resamples=3, seed=0)
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
