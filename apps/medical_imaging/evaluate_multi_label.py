"""Evaluate a run on radiographs with several findings per image, some of them unknown. No TensorFlow here."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from apps.medical_imaging import baselines as plain
from apps.medical_imaging import evaluate as single
from apps.medical_imaging import evaluation_inputs, subgroups
from shared.evaluation import (
    classifier,
    evaluators,
    intervals,
    miscalibration,
    multilabel,
    operating_points,
    thresholds,
    weighted,
)
from shared.report import sections

METRICS: Mapping[str, weighted.Metric] = {
    name: metric for name, metric in single.BINARY_METRICS.items() if name != "accuracy"
}
SLICE_METRICS = {name: METRICS[name] for name in ("auroc", "average_precision", "balanced_accuracy")}
ROBUSTNESS_METRICS = {name: METRICS[name] for name in ("auroc", "balanced_accuracy")}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluator:
    """Evaluates all findings of a model at once.

    Attributes:
        labels: (n, k) float, NaN where unknown.
        units: (n,) int64, numbered patients.
        scores: (n, k) calibrated probabilities.
        present: (n, k) bool, what the model calls present.
        baselines: Probabilities (n, k) by name, which call present what has 0.5 or more.
        class_names: k names.
        resamples: Of every bootstrap.
        seed: Of every bootstrap.
    """

    labels: single.Floats
    units: single.Ints
    scores: single.Floats
    present: single.Bools
    baselines: Mapping[str, single.Floats]
    class_names: tuple[str, ...]
    resamples: int
    seed: int

    def values(
        self,
        scores: single.Floats,
        present: single.Bools,
        inside: single.Bools,
        metrics: Mapping[str, weighted.Metric] = METRICS,
    ) -> multilabel.Summary:
        """Return the metrics of any scores (n, k) on the rows ``inside`` (n,)."""
        return multilabel.summarize(
            self.labels[inside],
            scores[inside],
            present=present[inside],
            units=self.units[inside],
            metrics=metrics,
            resamples=self.resamples,
            seed=self.seed,
        )

    def difference(self, name: str) -> multilabel.Summary:
        """Return the paired differences model minus the named baseline."""
        theirs = self.baselines[name]
        return multilabel.compare(
            self.labels,
            (self.scores, theirs),
            present=(self.present, theirs >= 0.5),
            units=self.units,
            metrics=METRICS,
            resamples=self.resamples,
            seed=self.seed,
        )

    def slice(self, name: str, inside: single.Bools) -> dict[str, Any]:
        """Return one row of the subgroup table; "too few" instead of numbers where they would mean nothing."""
        n, n_units = int(inside.sum()), len(np.unique(self.units[inside]))
        row: dict[str, Any] = {"name": name, "n": n, "n_units": n_units}
        if n < evaluators.SMALLEST_SLICE or n_units < 2:
            return {**row, "metrics": {}, "notes": [f"too few: {n} images of {n_units} patients"]}
        found = self.values(self.scores, self.present, inside, SLICE_METRICS).macro
        return {**row, "metrics": found, "notes": found.notes}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Results:
    """What was evaluated, and the numbers.

    Attributes:
        rows: The images.
        data: What they are.
        predictions: Of the model.
        evaluator: The scores of model and baselines.
        metrics: Means over the findings.
        baselines: The same of each baseline.
        differences: Model minus baseline, paired.
        per_finding: Rows with finding, n (known), n_positive, unknown, metrics, difference and notes.
        points: What each finding's frozen threshold does.
        slices: Rows of the subgroup table.
        reliability: The reliability bins of each finding.
        robustness: Rows with corruption, level, n and mean metrics.
    """

    rows: evaluation_inputs.Rows
    data: sections.Data
    predictions: evaluation_inputs.Predictions
    evaluator: Evaluator
    metrics: intervals.Intervals
    baselines: Mapping[str, intervals.Intervals]
    differences: Mapping[str, intervals.Intervals]
    per_finding: list[dict[str, Any]]
    points: list[dict[str, Any]]
    slices: list[dict[str, Any]]
    reliability: dict[str, list[dict[str, float]]]
    robustness: list[dict[str, Any]]


def evaluate(
    rows: evaluation_inputs.Rows,
    data: sections.Data,
    predictions: evaluation_inputs.Predictions,
    *,
    baseline_scores: Mapping[str, single.Floats],
    resamples: int = 2000,
    seed: int = 0,
) -> Results:
    """Evaluate findings of which an image may have several, or unknown ones; arguments as in ``evaluate.evaluate``.

    Raises:
        errors.InputError: There are no two patients to resample.
        ValueError: There is no baseline, or no decision rule for several findings.
    """
    evaluator = _evaluator(rows, predictions, baseline_scores, resamples=resamples, seed=seed)
    everything = np.ones(len(rows), np.bool_)
    model = evaluator.values(evaluator.scores, evaluator.present, everything)
    others = {
        name: evaluator.values(scores, scores >= 0.5, everything).macro for name, scores in baseline_scores.items()
    }
    differences = {name: evaluator.difference(name) for name in baseline_scores}
    return Results(
        rows=rows,
        data=data,
        predictions=predictions,
        evaluator=evaluator,
        metrics=model.macro,
        baselines=others,
        differences={name: summary.macro for name, summary in differences.items()},
        per_finding=_per_finding(evaluator, model, differences[plain.reference(others)]),
        points=_operating_points(evaluator, predictions),
        slices=[evaluator.slice(name, inside) for name, inside in subgroups.slices(rows.attributes, None).items()],
        reliability=_reliability(evaluator),
        robustness=_robustness(evaluator, predictions),
    )


def metrics_document(results: Results) -> dict[str, Any]:
    """Return the content of ``metrics.json``."""
    temperatures = zip(results.predictions.class_names, results.predictions.multi_label_rule.temperatures, strict=True)
    return single.document(
        results.rows,
        results.data,
        results.predictions,
        metrics=results.metrics,
        baselines=results.baselines,
        differences=results.differences,
        operating_points=results.points,
        slices=results.slices,
        calibration={
            "method": "one temperature per finding, fitted on validation data",
            "temperatures": dict(temperatures),
            "reliability": results.reliability,
        },
        notes=[*results.metrics.notes, *degenerate(results.evaluator), *_unknown_notes(results.evaluator)],
        more={
            "per_finding": results.per_finding,
            "robustness": results.robustness,
            "explanations": single.explanations(results.predictions),
        },
    )


def predictions_table(results: Results) -> pd.DataFrame:
    """Return one row per image.

    Columns: row, image, patient, and per finding ``label_<finding>`` (NaN unknown), ``score_<finding>``,
    ``present_<finding>``, and for each baseline ``<baseline>_score_<finding>``.
    """
    evaluator, names = results.evaluator, results.predictions.class_names
    columns = {
        **results.rows.identity(),
        **{f"label_{name}": results.rows.labels[:, place] for place, name in enumerate(names)},
        **classifier.score_columns("", evaluator.scores, names),
        **{f"present_{name}": evaluator.present[:, place] for place, name in enumerate(names)},
    }
    for name, scores in evaluator.baselines.items():
        columns |= classifier.score_columns(f"{name}_", scores, names)
    return pd.DataFrame(columns)


def _evaluator(
    rows: evaluation_inputs.Rows,
    predictions: evaluation_inputs.Predictions,
    baselines: Mapping[str, single.Floats],
    *,
    resamples: int,
    seed: int,
) -> Evaluator:
    """Apply the decision rule to the logits."""
    evaluators.require_baselines(baselines, predictions.logits.shape)
    rule = predictions.multi_label_rule
    scores = rule.scores(predictions.logits)
    return Evaluator(
        labels=np.asarray(rows.labels, np.float64),
        units=rows.units(),
        scores=scores,
        present=rule.present(scores),
        baselines=baselines,
        class_names=predictions.class_names,
        resamples=resamples,
        seed=seed,
    )


def _per_finding(
    evaluator: Evaluator, found: multilabel.Summary, difference: multilabel.Summary
) -> list[dict[str, Any]]:
    """Return one row per finding: finding, n (known), n_positive, unknown, metrics and difference."""
    known = ~np.isnan(evaluator.labels)
    return [
        {
            "finding": name,
            "n": int(known[:, place].sum()),
            "n_positive": int(np.nansum(evaluator.labels[:, place])),
            "unknown": int((~known[:, place]).sum()),
            "metrics": found.findings[place],
            "difference": difference.findings[place],
            "notes": found.findings[place].notes,
        }
        for place, name in enumerate(evaluator.class_names)
    ]


def _known(evaluator: Evaluator) -> Iterator[tuple[int, single.Ints, single.Floats, single.Ints]]:
    """Yield place, labels, scores and units of each finding, on the images that it is known for; none without any."""
    for place in range(len(evaluator.class_names)):
        rows = ~np.isnan(evaluator.labels[:, place])
        if rows.any():
            labels = evaluator.labels[rows, place].astype(np.int64)
            yield place, labels, evaluator.scores[rows, place], evaluator.units[rows]


def _operating_points(evaluator: Evaluator, predictions: evaluation_inputs.Predictions) -> list[dict[str, Any]]:
    """Return what each finding's frozen threshold does; none for a finding that no image is known for."""
    rule, found = predictions.multi_label_rule, []
    for place, labels, scores, units in _known(evaluator):
        value = rule.thresholds[place]
        threshold = thresholds.Threshold(value, rule.rule, 0.0, value, value, 0, 0)
        row = operating_points.operating_point(labels, scores, threshold, units=units)
        found.append({"name": evaluator.class_names[place], **row})
    return found


def _reliability(evaluator: Evaluator) -> dict[str, list[dict[str, float]]]:
    """Return the reliability bins of each finding."""
    return {
        evaluator.class_names[place]: miscalibration.reliability(labels, scores, bins=10, units=units)
        for place, labels, scores, units in _known(evaluator)
    }


def _robustness(evaluator: Evaluator, predictions: evaluation_inputs.Predictions) -> list[dict[str, Any]]:
    if predictions.corrupted is None:
        return []
    rule, rows = predictions.multi_label_rule, predictions.corrupted.rows
    part = dataclasses.replace(evaluator, labels=evaluator.labels[rows], units=evaluator.units[rows])
    everything = np.ones(len(rows), np.bool_)

    def metrics_of(logits: evaluation_inputs.Logits) -> intervals.Intervals:
        scores = rule.scores(logits)
        return part.values(scores, rule.present(scores), everything, ROBUSTNESS_METRICS).macro

    return predictions.robustness(metrics_of)


def degenerate(evaluator: Evaluator) -> list[str]:
    """Return a sentence on the findings that are all present or all absent here, and one on those of equal scores."""
    states, equal = [], []
    for place, name in enumerate(evaluator.class_names):
        labels, scores = evaluator.labels[:, place], evaluator.scores[:, place]
        if len(np.unique(labels[~np.isnan(labels)])) < 2:
            states.append(name)
        if np.ptp(scores) == 0:
            equal.append(name)
    found = []
    if states:
        found.append(
            f"Not both present and absent among these images, so without ranking or comparison: {', '.join(states)}."
        )
    if equal:
        found.append(f"The model gives every image the same score, so that it separates nothing: {', '.join(equal)}.")
    return found


def _unknown_notes(evaluator: Evaluator) -> list[str]:
    """Note how many labels were unknown and left out."""
    unknown = int(np.isnan(evaluator.labels).sum())
    if not unknown:
        return []
    return [f"{unknown:,} of {evaluator.labels.size:,} labels are unknown: each counts for no number of its finding."]
