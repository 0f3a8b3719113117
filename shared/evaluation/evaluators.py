"""A classifier beside its baselines, on all rows or on a slice of them.

Everything is resampled by unit, and the model and its baselines on the same resamples, so that differences are paired.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from shared.evaluation import (
    arrays,
    intervals,
    resampling,
    summaries,
    weighted,
)

SMALLEST_SLICE = 30
# A mean over the classes that occur, or are predicted: of other classes it is another number.
CLASS_MEANS = ("f1_macro",)


class Comparison(NamedTuple):
    """The model's metrics, those of each baseline, and the paired differences model minus baseline."""

    model: intervals.Intervals
    baselines: dict[str, intervals.Intervals]
    differences: dict[str, intervals.Intervals]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Evaluator:
    """Evaluates a classifier and its baselines on any subset of the rows.

    Attributes:
        labels: (n,) int64 true classes.
        units: (n,) int64, what is resampled.
        scores: (n, classes) calibrated probabilities of the model.
        predicted: (n,) int64 classes that the model predicts, abstention aside.
        baselines: Probabilities (n, classes) by name.
        class_names: One name per class.
        metrics: What is computed on all rows, the headline first.
        slice_metrics: What is computed of the model on a slice.
        slice_compared: What is computed of the baselines and as differences on a slice.
        resamples: Of every bootstrap.
        seed: Of every bootstrap.
        positive_only: Whether metrics of two classes read the last one's probability alone, so that ECE is its own.
        reliability_bins: Bins of the reliability diagram.
        nouns: What rows and units are called in notes.
    """

    labels: arrays.Ints
    units: arrays.Ints
    scores: arrays.Floats
    predicted: arrays.Ints
    baselines: Mapping[str, arrays.Floats]
    class_names: tuple[str, ...]
    metrics: Mapping[str, weighted.Metric]
    slice_metrics: Mapping[str, weighted.Metric]
    slice_compared: Mapping[str, weighted.Metric]
    resamples: int
    seed: int
    positive_only: bool = False
    reliability_bins: int = 15
    nouns: tuple[str, str] = ("rows", "units")

    def __post_init__(self) -> None:
        """Refuse baselines that do not belong to the rows."""
        require_baselines(self.baselines, self.scores.shape)

    @property
    def binary(self) -> bool:
        """Whether there are two classes, of which the last is the positive one."""
        return len(self.class_names) == 2

    @property
    def correct(self) -> arrays.Bools:
        """(n,) whether the predicted class is the true one."""
        return np.asarray(self.predicted == self.labels)

    def read(self, scores: arrays.Floats) -> arrays.Floats:
        """Return what metrics read of scores (n, classes)."""
        return scores[:, 1] if self.positive_only and self.binary else scores

    def metrics_of(
        self, scores: arrays.Floats, metrics: Mapping[str, weighted.Metric], *, predicted: arrays.Ints | None = None
    ) -> intervals.Intervals:
        """Return metrics of any scores (n, classes); the class predicted is the highest where none is given."""
        rows = self._rows(scores, predicted)
        return summaries.summarize(**rows, metrics=metrics, resamples=self.resamples, seed=self.seed)

    def compare(
        self,
        metrics: Mapping[str, weighted.Metric],
        compared: Mapping[str, weighted.Metric],
        inside: arrays.Bools | None = None,
    ) -> Comparison:
        """Return metrics of the model, and the ``compared`` ones of its baselines and of the differences.

        Args:
            metrics: Of the model.
            compared: Of the baselines and the differences.
            inside: (n,) which rows; None: all.
        """
        if len(np.unique(self.labels[_chosen(inside)])) == 1:
            metrics, compared = _without_class_means(metrics), _without_class_means(compared)
        model, found = self._resampled(self.scores, self.predicted, {**metrics, **compared}, list(metrics), inside)
        others = {
            name: self._resampled(scores, None, compared, list(compared), inside)
            for name, scores in self.baselines.items()
        }
        differences = {
            name: model.minus(other).intervals(self._comparable(compared, self.baselines[name], inside))
            for name, (other, _) in others.items()
        }
        return Comparison(found, {name: intervals_of for name, (_, intervals_of) in others.items()}, differences)

    def _comparable(
        self, metrics: Mapping[str, weighted.Metric], scores: arrays.Floats, inside: arrays.Bools | None
    ) -> list[str]:
        """Return the metrics of which a difference from other scores (n, classes) has a meaning.

        Means over classes have none where one side predicts a class that the other does not and no row is of.
        """
        rows = _chosen(inside)
        occurring = [
            set(np.union1d(self.labels[rows], predicted[rows])) for predicted in (self.predicted, scores.argmax(axis=1))
        ]
        return list(metrics if occurring[0] == occurring[1] else _without_class_means(metrics))

    def _rows(
        self, scores: arrays.Floats, predicted: arrays.Ints | None, inside: arrays.Bools | None = None
    ) -> dict[str, Any]:
        """Return the arguments of `summaries.resampled` for some rows."""
        chosen = _chosen(inside)
        decided = scores.argmax(axis=1) if predicted is None else predicted
        return {
            "y_true": self.labels[chosen],
            "scores": self.read(scores)[chosen],
            "predicted": decided[chosen],
            "units": self.units[chosen],
        }

    def _resampled(
        self,
        scores: arrays.Floats,
        predicted: arrays.Ints | None,
        metrics: Mapping[str, weighted.Metric],
        names: list[str],
        inside: arrays.Bools | None,
    ) -> tuple[resampling.Resampled, intervals.Intervals]:
        rows = self._rows(scores, predicted, inside)
        found = summaries.resampled(**rows, metrics=metrics, resamples=self.resamples, seed=self.seed)
        return found, summaries.with_closed_forms(found.intervals(names), **rows)

    def slice(self, name: str, rows: npt.ArrayLike) -> dict[str, Any]:
        """Return one row of the slice table: name, n, n_units, metrics, baselines, differences and notes.

        A slice of too few rows, or of one unit, has no metrics but a note: they would mean nothing.

        Args:
            name: Of the slice.
            rows: (n,) bool; slices may overlap.

        Raises:
            ValueError: Another shape or type.
        """
        inside = arrays.mask(rows, rows=len(self.labels), name=name)
        n, n_units = int(inside.sum()), len(np.unique(self.units[inside]))
        row: dict[str, Any] = {"name": name, "n": n, "n_units": n_units}
        if n < SMALLEST_SLICE or n_units < 2:
            return {**row, "metrics": {}, "notes": [f"too few: {n} {self.nouns[0]} of {n_units} {self.nouns[1]}"]}
        found = self.compare(self.slice_metrics, self.slice_compared, inside)
        return {
            **row,
            "metrics": found.model,
            "baselines": found.baselines,
            "differences": found.differences,
            "notes": found.model.notes,
        }


def _chosen(inside: arrays.Bools | None) -> Any:
    """Return what picks rows: those of a mask, or all."""
    return slice(None) if inside is None else inside


def _without_class_means(metrics: Mapping[str, weighted.Metric]) -> dict[str, weighted.Metric]:
    return {name: metric for name, metric in metrics.items() if name not in CLASS_MEANS}


def require_baselines(baselines: Mapping[str, arrays.Floats], shape: tuple[int, ...]) -> None:
    """Raise ValueError where there is no baseline, or one that does not predict every row."""
    if not baselines:
        raise ValueError("baseline_scores: expected at least one plain baseline of the same run. Received: none")
    for name, scores in baselines.items():
        if scores.shape != shape:
            raise ValueError(f"baseline_scores.{name}: expected shape {shape}. Received: {scores.shape}")
