"""Value a model and its baselines, with one answer per image, on any subset of the rows.

Everything is resampled by patient, and model and baselines on the same resamples. No TensorFlow here.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from apps.medical_imaging.judgement import evidence
from shared import decision as decisions
from shared import errors
from shared.evaluation import classification, intervals, weighted

_SHARED = classification.METRICS
BINARY = {
    "auroc": classification.auroc,
    "average_precision": classification.average_precision,
    "accuracy": classification.accuracy,
    "balanced_accuracy": classification.balanced_accuracy,
    "sensitivity": classification.sensitivity,
    "specificity": classification.specificity,
    "brier": classification.brier,
    "ece": classification.ece,
    "log_loss": classification.log_loss,
}
SEVERAL = {"auroc": _SHARED["auroc"], **_SHARED}
_SLICED = ("auroc", "accuracy", "balanced_accuracy")
BINARY_SLICED = {name: BINARY[name] for name in ("auroc", "sensitivity", "specificity")}
SEVERAL_SLICED = {name: SEVERAL[name] for name in _SLICED}
COMPARED = {name: SEVERAL[name] for name in _SLICED}
SMALLEST_SLICE = 30


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judge:
    """Values the model and its baselines on any subset of the rows.

    Attributes:
        labels: (n,) int64 class of each image.
        units: (n,) int64, numbered patients.
        scores: (n, classes) calibrated probabilities of the model.
        predicted: (n,) int64, the classes it answers, abstention aside.
        baselines: Probabilities (n, classes) by name.
        class_names: One name per class.
        resamples: Of every bootstrap.
        seed: Of every bootstrap.
    """

    labels: evidence.Ints
    units: evidence.Ints
    scores: evidence.Floats
    predicted: evidence.Ints
    baselines: Mapping[str, evidence.Floats]
    class_names: tuple[str, ...]
    resamples: int
    seed: int

    @property
    def binary(self) -> bool:
        """Whether there are two classes, of which the last is the positive one."""
        return len(self.class_names) == 2

    @property
    def correct(self) -> evidence.Bools:
        """(n,) whether the class answered is the true one."""
        return np.asarray(self.predicted == self.labels)

    @property
    def everything(self) -> evidence.Bools:
        """(n,) True."""
        return np.ones(len(self.labels), np.bool_)

    @property
    def metrics(self) -> Mapping[str, weighted.Metric]:
        """The metrics of the whole, the headline first."""
        return BINARY if self.binary else SEVERAL

    def judged(self, scores: evidence.Floats) -> evidence.Floats:
        """Return what metrics read: of two classes the positive one's probability (n,), so that ECE is its own."""
        return scores[:, 1] if self.binary else scores

    def model(
        self, inside: evidence.Bools, metrics: Mapping[str, weighted.Metric] | None = None
    ) -> intervals.Intervals:
        """Return the model's metrics on the rows ``inside`` (n,)."""
        return self.values(self.scores, inside, metrics, predicted=self.predicted)

    def values(
        self,
        scores: evidence.Floats,
        inside: evidence.Bools,
        metrics: Mapping[str, weighted.Metric] | None = None,
        *,
        predicted: evidence.Ints | None = None,
    ) -> intervals.Intervals:
        """Return the metrics of any scores (n, classes); answers (n,) are by the highest where none are given."""
        answers = scores.argmax(axis=1) if predicted is None else predicted
        return classification.summarize(
            self.labels[inside],
            self.judged(scores)[inside],
            predicted=answers[inside],
            units=self.units[inside],
            metrics=self.metrics if metrics is None else metrics,
            resamples=self.resamples,
            seed=self.seed,
        )

    def difference(
        self, name: str, inside: evidence.Bools, metrics: Mapping[str, weighted.Metric] | None = None
    ) -> intervals.Intervals:
        """Return the paired differences model minus the named baseline."""
        theirs = self.baselines[name]
        return classification.compare(
            self.labels[inside],
            self.judged(self.scores)[inside],
            self.judged(theirs)[inside],
            predicted=(self.predicted[inside], theirs.argmax(axis=1)[inside]),
            units=self.units[inside],
            metrics=self.metrics if metrics is None else metrics,
            resamples=self.resamples,
            seed=self.seed,
        )

    def slice(self, name: str, inside: evidence.Bools) -> dict[str, Any]:
        """Return one row of the subgroup table; "too few" instead of numbers where they would mean nothing."""
        n, n_units = int(inside.sum()), len(np.unique(self.units[inside]))
        row: dict[str, Any] = {"name": name, "n": n, "n_units": n_units, **self._positives(inside)}
        if n < SMALLEST_SLICE or n_units < 2:
            return {**row, "metrics": {}, "notes": [f"too few: {n} images of {n_units} patients"]}
        found = self.model(inside, BINARY_SLICED if self.binary else SEVERAL_SLICED)
        return {
            **row,
            "metrics": found,
            "differences": {key: self.difference(key, inside, COMPARED) for key in self.baselines},
            "notes": found.notes,
        }

    def _positives(self, inside: evidence.Bools) -> dict[str, int]:
        return {"n_positive": int(self.labels[inside].sum())} if self.binary else {}


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
        errors.InputError: There are no two patients to resample, or a row has no label.
        ValueError: The run has no decision, there is no baseline, or arrays do not fit together.
    """
    units = number_units(rows)
    demand_baselines(baselines, run.logits)
    unlabelled = np.flatnonzero(~(np.nan_to_num(rows.labels).sum(axis=1) == 1))
    if unlabelled.size:
        raise errors.InputError(
            f"evaluate: expected one label for every image. Received: {rows.labels[unlabelled[0]].tolist()} "
            f"for {rows.names[unlabelled[0]]}"
        )
    decision = demand_decision(run)
    scores = decision.scores(run.logits)
    return Judge(
        labels=rows.labels.argmax(axis=1).astype(np.int64),
        units=units,
        scores=scores,
        predicted=decision.predicted(scores),
        baselines=baselines,
        class_names=run.class_names,
        resamples=resamples,
        seed=seed,
    )


def number_units(rows: evidence.Rows) -> evidence.Ints:
    """Return (n,) int64 numbers of the patients, which resample faster than their names.

    Raises:
        errors.InputError: There are no two patients.
    """
    names, number = np.unique(rows.patients.astype(str), return_inverse=True)
    if len(names) < 2:
        raise errors.InputError(
            f"evaluate: expected images of at least two patients, to resample them. Received: {len(rows)} images "
            f"of {len(names)}"
        )
    return number.astype(np.int64)


def demand_baselines(baselines: Mapping[str, evidence.Floats], logits: evidence.Logits) -> None:
    """Raise ValueError where there is no baseline, or one that does not answer every row."""
    if not baselines:
        raise ValueError("baseline_scores: expected at least one plain baseline of the same run. Received: none")
    for name, scores in baselines.items():
        if scores.shape != logits.shape:
            raise ValueError(f"baseline_scores.{name}: expected shape {logits.shape}. Received: {scores.shape}")


def demand_decision(run: evidence.Run) -> decisions.Decision:
    """Return the run's decision.

    Raises:
        ValueError: It has none.
    """
    if run.decision is None:
        raise ValueError("run.decision: expected a decision for one answer per image. Received: None")
    return run.decision
