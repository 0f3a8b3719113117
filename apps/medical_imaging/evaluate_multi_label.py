"""Evaluate a run on radiographs with several findings per image, some of them unknown. No TensorFlow here."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from apps.medical_imaging import baselines as plain
from apps.medical_imaging import evaluate as single
from apps.medical_imaging import evaluation_inputs, subgroups
from shared.evaluation import calibration, classifier, intervals, multilabel, thresholds, weighted
from shared.report.sections import provenance

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
        if n < classifier.SMALLEST_SLICE or n_units < 2:
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
        panel: The scores of model and baselines.
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
    data: provenance.Data
    predictions: evaluation_inputs.Predictions
    panel: Evaluator
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
    data: provenance.Data,
    predictions: evaluation_inputs.Predictions,
    *,
    baseline_scores: Mapping[str, single.Floats],
    resamples: int = 2000,
    seed: int = 0,
) -> Results:
    """Evaluate findings of which an image may have several, or unknown ones; arguments as in ``evaluate.evaluate``.

    Raises:
        errors.InputError: There are no two patients to resample.
        ValueError: Temperatures or thresholds are not one per finding, or there is no baseline.
    """
    panel = _evaluator(rows, predictions, baseline_scores, resamples=resamples, seed=seed)
    everything = np.ones(len(rows), np.bool_)
    model = panel.values(panel.scores, panel.present, everything)
    others = {name: panel.values(scores, scores >= 0.5, everything).macro for name, scores in baseline_scores.items()}
    differences = {name: panel.difference(name) for name in baseline_scores}
    return Results(
        rows=rows,
        data=data,
        predictions=predictions,
        panel=panel,
        metrics=model.macro,
        baselines=others,
        differences={name: summary.macro for name, summary in differences.items()},
        per_finding=_per_finding(panel, model, differences[plain.reference(others)]),
        points=_operating_points(panel, predictions),
        slices=[panel.slice(name, inside) for name, inside in subgroups.slices(rows.attributes, None).items()],
        reliability=_reliability(panel),
        robustness=_robustness(panel, predictions),
    )


def metrics_document(results: Results) -> dict[str, Any]:
    """Return the content of ``metrics.json``."""
    temperatures = zip(results.predictions.class_names, results.predictions.temperatures, strict=True)
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
        notes=[*results.metrics.notes, *_unknown_notes(results.panel)],
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
    panel, names = results.panel, results.predictions.class_names
    columns = {
        **single.identity(results.rows),
        **{f"label_{name}": results.rows.labels[:, place] for place, name in enumerate(names)},
        **classifier.score_columns("", panel.scores, names),
        **{f"present_{name}": panel.present[:, place] for place, name in enumerate(names)},
    }
    for name, scores in panel.baselines.items():
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
    """Apply the run's temperatures and thresholds to its logits."""
    classifier.require_baselines(baselines, predictions.logits.shape)
    k = len(predictions.class_names)
    if len(predictions.temperatures) != k or len(predictions.thresholds) != k:
        received = f"{len(predictions.temperatures)} and {len(predictions.thresholds)}"
        raise ValueError(
            f"predictions: expected {k} temperatures and thresholds, one per finding. Received: {received}"
        )
    scores = _probabilities(predictions.logits, predictions)
    return Evaluator(
        labels=np.asarray(rows.labels, np.float64),
        units=single.number_units(rows),
        scores=scores,
        present=np.asarray(scores >= np.array(predictions.thresholds), np.bool_),
        baselines=baselines,
        class_names=predictions.class_names,
        resamples=resamples,
        seed=seed,
    )


def _per_finding(panel: Evaluator, found: multilabel.Summary, difference: multilabel.Summary) -> list[dict[str, Any]]:
    """Return one row per finding: finding, n (known), n_positive, unknown, metrics and difference."""
    known = ~np.isnan(panel.labels)
    return [
        {
            "finding": name,
            "n": int(known[:, place].sum()),
            "n_positive": int(np.nansum(panel.labels[:, place])),
            "unknown": int((~known[:, place]).sum()),
            "metrics": found.findings[place],
            "difference": difference.findings[place],
            "notes": found.findings[place].notes,
        }
        for place, name in enumerate(panel.class_names)
    ]


def _operating_points(panel: Evaluator, predictions: evaluation_inputs.Predictions) -> list[dict[str, Any]]:
    """Return what each finding's frozen threshold does; none for a finding that no image is known for."""
    found = []
    for place, (name, value) in enumerate(zip(panel.class_names, predictions.thresholds, strict=True)):
        known = ~np.isnan(panel.labels[:, place])
        if not known.any():
            continue
        threshold = thresholds.Threshold(value, predictions.threshold_rule or "given", 0.0, value, value, 0, 0)
        truth = panel.labels[known, place].astype(np.int64)
        row = thresholds.operating_point(truth, panel.scores[known, place], threshold, units=panel.units[known])
        found.append({"name": name, **row})
    return found


def _reliability(panel: Evaluator) -> dict[str, list[dict[str, float]]]:
    """Return the reliability bins of each finding."""
    found = {}
    for place, name in enumerate(panel.class_names):
        known = ~np.isnan(panel.labels[:, place])
        if known.any():
            truth = panel.labels[known, place].astype(np.int64)
            found[name] = calibration.reliability(truth, panel.scores[known, place], bins=10, units=panel.units[known])
    return found


def _robustness(panel: Evaluator, predictions: evaluation_inputs.Predictions) -> list[dict[str, Any]]:
    """Return rows with corruption, level (0: the same images untouched), n and mean metrics."""
    if predictions.corrupted is None:
        return []
    rows = predictions.corrupted.rows
    part = dataclasses.replace(panel, labels=panel.labels[rows], units=panel.units[rows])
    everything = np.ones(len(rows), np.bool_)
    found = []
    for kind, levels in predictions.corrupted.logits.items():
        for level, logits in enumerate([predictions.logits[rows], *levels]):
            scores = _probabilities(logits, predictions)
            present = np.asarray(scores >= np.array(predictions.thresholds), np.bool_)
            metrics = part.values(scores, present, everything, ROBUSTNESS_METRICS).macro
            found.append({"corruption": kind, "level": level, "n": len(rows), "metrics": metrics})
    return found


def _probabilities(logits: evaluation_inputs.Logits, predictions: evaluation_inputs.Predictions) -> single.Floats:
    """Return (n, k) calibrated probabilities."""
    return np.asarray(special.expit(np.asarray(logits, np.float64) / np.array(predictions.temperatures)), np.float64)


def _unknown_notes(panel: Evaluator) -> list[str]:
    """Note how many labels were unknown and left out."""
    unknown = int(np.isnan(panel.labels).sum())
    if not unknown:
        return []
    return [f"{unknown:,} of {panel.labels.size:,} labels are unknown: each counts for no number of its finding."]
