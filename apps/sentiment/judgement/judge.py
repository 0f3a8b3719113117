"""Value a model and its baselines on any subset of the rows.

Everything is resampled by split unit, and model and baselines on the same resamples. No TensorFlow here.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from apps.sentiment.judgement import evidence
from shared import errors
from shared.evaluation import classification, intervals, resampling, weighted

SLICE_METRICS = {name: classification.METRICS[name] for name in ("accuracy", "f1_macro", "auroc")}
COMPARED = {name: classification.METRICS[name] for name in ("accuracy", "f1_macro")}
SMALLEST_SLICE = 30


@weighted.metric(reads="labels", needs="at least one row")
def mean_absolute_error(rows: weighted.Rows) -> resampling.Statistic:
    """Mean distance, in classes, between the class answered and the true one: for ratings in rising order.

    >>> mean_absolute_error([0, 2], [[0.1, 0.7, 0.2], [0.1, 0.2, 0.7]])
    0.5
    """
    return rows.mean(np.abs(rows.predicted - rows.y_true).astype(np.float64))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judge:
    """Values the model and its baselines on any subset of the rows.

    Attributes:
        labels: (n,) int64.
        units: (n,) int64.
        scores: (n, classes) calibrated probabilities of the model.
        predicted: (n,) int64, the classes it answers, abstention aside.
        baselines: Probabilities (n, classes) by name.
        resamples: Of every bootstrap.
        seed: Of every bootstrap.
    """

    labels: evidence.Ints
    units: evidence.Ints
    scores: evidence.Floats
    predicted: evidence.Ints
    baselines: Mapping[str, evidence.Floats]
    resamples: int
    seed: int

    @property
    def correct(self) -> evidence.Bools:
        """(n,) whether the class answered is the true one."""
        return np.asarray(self.predicted == self.labels)

    @property
    def everything(self) -> evidence.Bools:
        """(n,) True."""
        return np.ones(len(self.labels), np.bool_)

    def model(self, inside: evidence.Bools, metrics: Mapping[str, weighted.Metric]) -> intervals.Intervals:
        """Return the model's metrics on the rows ``inside`` (n,)."""
        return self.values(self.scores, inside, metrics, predicted=self.predicted[inside])

    def values(
        self,
        scores: evidence.Floats,
        inside: evidence.Bools,
        metrics: Mapping[str, weighted.Metric],
        *,
        predicted: evidence.Ints | None = None,
    ) -> intervals.Intervals:
        """Return the metrics of any scores (n, classes); answers are by the highest where none are given."""
        return classification.summarize(
            self.labels[inside],
            scores[inside],
            predicted=predicted,
            units=self.units[inside],
            metrics=metrics,
            resamples=self.resamples,
            seed=self.seed,
        )

    def difference(
        self, name: str, inside: evidence.Bools, metrics: Mapping[str, weighted.Metric]
    ) -> intervals.Intervals:
        """Return the paired differences model minus the named baseline."""
        return classification.compare(
            self.labels[inside],
            self.scores[inside],
            self.baselines[name][inside],
            predicted=(self.predicted[inside], None),
            units=self.units[inside],
            metrics=metrics,
            resamples=self.resamples,
            seed=self.seed,
        )

    def slice(self, name: str, inside: evidence.Bools) -> dict[str, Any]:
        """Return one row of the slice table; "too few" instead of numbers where they would mean nothing."""
        n, n_units = int(inside.sum()), len(np.unique(self.units[inside]))
        row: dict[str, Any] = {"name": name, "n": n, "n_units": n_units}
        if n < SMALLEST_SLICE or n_units < 2:
            return {**row, "metrics": {}, "notes": [f"too few: {n} rows of {n_units} units"]}
        found = self.model(inside, SLICE_METRICS)
        return {
            **row,
            "metrics": found,
            "baselines": {key: self.values(scores, inside, COMPARED) for key, scores in self.baselines.items()},
            "differences": {key: self.difference(key, inside, COMPARED) for key in self.baselines},
            "notes": found.notes,
        }


def appoint(
    rows: evidence.Rows,
    run: evidence.Run,
    *,
    baselines: Mapping[str, evidence.Floats],
    resamples: int,
    seed: int,
) -> Judge:
    """Apply the run's decision to its logits.

    Raises:
        errors.InputError: There are no two units to resample, a row has no label, or the model gives a row
            a number that is not finite.
    """
    if len(np.unique(rows.units)) < 2:
        raise errors.InputError(
            f"evaluate: expected texts of at least two units, to resample them. Received: {len(rows)} texts"
        )
    if rows.labels.min() < 0:
        row = int(np.argmin(rows.labels))
        raise errors.InputError(
            f"evaluate: expected a label in every row. Received: none in row {rows.lines[row]} of {rows.sources[row]}"
        )
    scores = run.decision.scores(run.logits)
    return Judge(
        labels=rows.labels,
        units=rows.units,
        scores=scores,
        predicted=run.decision.predicted(scores),
        baselines=baselines,
        resamples=resamples,
        seed=seed,
    )
