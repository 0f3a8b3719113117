"""Calibration errors of outcomes that are simulated as if probabilities were nearly or wholly true.

How large is the binned calibration error of a model that is calibrated? Not 0: chance alone makes a gap in every bin,
and on few rows a large one. The outcomes are drawn from the probabilities themselves (consistency resampling: Broecker
& Smith 2007, Weather and Forecasting 22), or from probabilities that are off by a part of the gaps observed. Resampled
rows cannot show it: a bin with one row never varies about its own gap.
"""

import dataclasses

import numpy as np

from shared.evaluation import arrays, weighted

# Outcomes of a bin with more rows are summed by the normal law: a million rows take no longer than a thousand.
MOST_EXACT = 50


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Binned:
    """Rows of one evaluation in bins of the probability.

    Attributes:
        probability: (n,) float64 of the outcome.
        outcome: (n,) float64 in {0, 1}.
        bin: (n,) int64 bin of each row.
        weight: (n,) float64 >= 0.
        units: the unit of each row.
    """

    probability: arrays.Floats
    outcome: arrays.Floats
    bin: arrays.Ints
    weight: arrays.Floats
    units: arrays.Units

    def calibration_errors(self, number: int, seed: int) -> arrays.Floats:
        """Return ``(factors, number)`` errors, each row as if the gaps were `weighted.FACTORS` times those observed.

        Example:
            >>> half, one = np.full(2, 0.5), np.ones(2)
            >>> unit = arrays.units_of(None, rows=2)
            >>> rows = Binned(probability=half, outcome=one, bin=np.zeros(2, int), weight=one, units=unit)
            >>> np.unique(rows.calibration_errors(100, 0)[0]).tolist()
            [0.0, 0.5]
        """
        generator = np.random.default_rng([seed, len(self.probability)])
        found = np.zeros((len(weighted.FACTORS), number))
        excess = self._overdispersion() - 1
        shared = self.units.count < len(self.probability)
        for inside in self._members():
            for row, factor in enumerate(weighted.FACTORS):
                # Independent outcomes of calibrated probabilities vary as they say; what more there is comes of gaps.
                scale = np.sqrt(1 + excess * (1.0 if shared else factor))
                shift, noise = self._shifted(inside, factor), self._noise(inside, factor, number, generator)
                found[row] += np.abs(shift + scale * noise)
        return np.asarray(found / self.weight.sum())

    def _members(self) -> list[arrays.Ints]:
        """Return the rows of each bin that has any."""
        order = np.argsort(self.bin, kind="stable")
        return np.split(order, np.flatnonzero(np.diff(self.bin[order])) + 1)

    def _shifted(self, inside: arrays.Ints, factor: float) -> float:
        """Return a part of the gap of a bin, as a sum over its rows."""
        return factor * float(((self.outcome - self.probability) * self.weight)[inside].sum())

    def _noise(self, inside: arrays.Ints, factor: float, number: int, generator: np.random.Generator) -> arrays.Floats:
        """Return ``(number,)`` sums of outcomes of a bin, less what is expected of them."""
        weight, probability = self.weight[inside], self.probability[inside]
        # One row more, without a gap, keeps the probabilities of a bin with few rows from being 0 or 1.
        gap = ((self.outcome[inside] - probability) * weight).sum() / max(weight.sum(), 1e-300)
        true = np.clip(probability + factor * gap * len(inside) / (len(inside) + 1), 0.0, 1.0)
        if len(inside) > MOST_EXACT:
            return np.asarray(generator.normal(size=number) * np.sqrt((weight**2 * true * (1 - true)).sum()))
        happened = generator.random((number, len(inside))) < true
        return np.asarray((happened * weight).sum(axis=1) - (true * weight).sum())

    def _overdispersion(self) -> float:
        """Return how many times the variance of independent outcomes that of the units' sums is, 1 at least."""
        cells = self.units.code * (int(self.bin.max()) + 1) + self.bin
        sums = np.bincount(cells, weights=(self.outcome - self.probability) * self.weight)
        expected = float((self.weight**2 * self.probability * (1 - self.probability)).sum())
        return max(1.0, float((sums**2).sum()) / expected) if expected > 0 else 1.0
