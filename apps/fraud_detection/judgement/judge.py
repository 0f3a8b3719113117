"""Values models on the same resamples of the cards, so that differences are paired. No TensorFlow here."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from apps.fraud_detection.judgement import evidence, measures
from shared.evaluation import intervals, resampling

MAXIMUM_UNDEFINED = intervals.MAXIMUM_UNDEFINED


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """One model's metrics.

    Attributes:
        values: Metric -> its value on all rows.
        samples: Metric -> (resamples,) its values on the resamples.
        unit: "unit" or "row", what was resampled.
    """

    values: Mapping[str, float]
    samples: Mapping[str, evidence.Floats]
    unit: str

    def metrics(self, names: tuple[str, ...] | None = None) -> intervals.Intervals:
        """Return every metric with its interval, or those of ``names`` that there are."""
        found = intervals.Intervals()
        for name in self.values if names is None else [name for name in names if name in self.values]:
            self._add(found, name, self.values[name], self.samples[name], difference=False)
        return found

    def less(self, other: "Measured", names: tuple[str, ...] | None = None) -> intervals.Intervals:
        """Return the paired differences of this model and another."""
        found = intervals.Intervals()
        for name in self.values:
            if name in other.values and (names is None or name in names):
                value, samples = self.values[name] - other.values[name], self.samples[name] - other.samples[name]
                self._add(found, name, value, samples, difference=True)
        return found

    def _add(
        self, found: intervals.Intervals, name: str, value: float, samples: evidence.Floats, *, difference: bool
    ) -> None:
        known = samples[np.isfinite(samples)]
        if not np.isfinite(value) or len(known) < (1 - MAXIMUM_UNDEFINED) * len(samples):
            found.notes.append(f"{name}: not defined on these rows, or on too many resamples of their cards")
            return
        low, high = intervals.ends(
            value, known, confidence=0.95, biased=name == "ece" and not difference, difference=difference
        )
        paired = "paired " if difference else ""
        found[name] = intervals.Interval(
            value, min(low, value), max(high, value), 0.95, f"{paired}bootstrap by {self.unit}"
        )


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Judge:
    """Values any scores on the rows.

    Attributes:
        rows: The transactions.
        costs: The cost matrix and the budget.
        units: The card of each row.
        resamples: Of every bootstrap.
        seed: Of every bootstrap.
    """

    rows: evidence.Rows
    costs: evidence.Costs
    units: resampling.Units
    resamples: int
    seed: int

    def measure(
        self,
        scores: evidence.Floats,
        *,
        thresholds: evidence.Floats | None = None,
        calibrated: bool = False,
        only: tuple[str, ...] | None = None,
    ) -> Measured:
        """Return one model's metrics, or those of ``only``, on all rows and on every resample."""
        statistics = measures.statistics(
            self.rows, scores, thresholds=thresholds, costs=self.costs, units=self.units, calibrated=calibrated
        )
        if only is not None:
            statistics = {name: statistics[name] for name in only if name in statistics}
        everything = np.ones((1, self.units.count))
        values = {name: float(statistic(everything)[0]) for name, statistic in statistics.items()}
        samples = resampling.distribution(
            list(statistics.values()), self.units, resamples=self.resamples, seed=self.seed
        )
        return Measured(values=values, samples=dict(zip(statistics, samples, strict=True)), unit=self.unit)

    @property
    def unit(self) -> str:
        """What is resampled: a card is the split's unit, and so is a row where no card is named."""
        return "unit"

    def by_fold(self, scores: evidence.Floats) -> list[dict[str, float]]:
        """Return the values of the ranking metrics on each fold."""
        found = []
        for inside in measures.fold_masks(self.rows):
            part = dataclasses.replace(
                self.rows,
                **{
                    name: getattr(self.rows, name)[inside]
                    for name in ("ids", "folds", "days", "amounts", "labels", "payers", "weights")
                },
            )
            units = resampling.Units(self.units.code[inside], self.units.count, self.units.given)
            statistics = measures.statistics(
                part, scores[inside], thresholds=None, costs=self.costs, units=units, calibrated=False
            )
            everything = np.ones((1, units.count))
            found.append({name: float(statistic(everything)[0]) for name, statistic in statistics.items()})
        return found


def appoint(rows: evidence.Rows, costs: evidence.Costs, *, resamples: int, seed: int) -> Judge:
    """Return a judge of ``rows``."""
    units = resampling.units_of(rows.payers, rows=len(rows))
    return Judge(rows=rows, costs=costs, units=units, resamples=resamples, seed=seed)
