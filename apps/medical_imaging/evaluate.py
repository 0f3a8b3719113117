"""Evaluate a run on labelled radiographs with one label per image: metrics beside baselines, thresholds, subgroups.

``evaluate`` computes the results, ``evaluate_multi_label`` those of several findings per image; ``report`` shows
both. No TensorFlow here.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from apps.medical_imaging import baselines, evaluate_binary, evaluation_inputs, subgroups
from shared import errors
from shared.evaluation import classification, classifier, evaluators, intervals, miscalibration, summaries
from shared.report import metrics, sections

Bools: TypeAlias = npt.NDArray[np.bool_]
Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]

APP = "medical_imaging"
FEW_ROWS = 200
NOT_A_DEVICE = "It is not a medical device and must not be used for the care of patients."
BINARY_METRICS = {
    "auroc": classification.auroc,
    "average_precision": classification.average_precision,
    "accuracy": classification.accuracy,
    "balanced_accuracy": classification.balanced_accuracy,
    "sensitivity": classification.sensitivity,
    "specificity": classification.specificity,
    "brier": classification.brier,
    "ece": miscalibration.ece,
    "log_loss": classification.log_loss,
}
SEVERAL_METRICS = {"auroc": classification.auroc, **summaries.METRICS}
SLICE_COMPARED = {name: SEVERAL_METRICS[name] for name in ("auroc", "accuracy", "balanced_accuracy")}
BINARY_SLICE_METRICS = {name: BINARY_METRICS[name] for name in ("auroc", "sensitivity", "specificity")}
ROBUSTNESS_METRICS = {name: SEVERAL_METRICS[name] for name in ("auroc", "balanced_accuracy")}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Results:
    """What was evaluated, and the numbers.

    Attributes:
        rows: The images.
        data: What they are.
        predictions: Of the model.
        evaluator: The scores of model and baselines.
        common: The numbers of any classifier.
        binary: What only two classes have; None for more.
        shortcuts: As ``subgroups.shortcuts`` returns them; of two classes only.
        robustness: evaluation_inputs.Rows with corruption, level, n and metrics.
    """

    rows: evaluation_inputs.Rows
    data: sections.Data
    predictions: evaluation_inputs.Predictions
    evaluator: evaluators.Evaluator
    common: classifier.Results
    binary: evaluate_binary.Results | None
    shortcuts: list[dict[str, Any]]
    robustness: list[dict[str, Any]]


def evaluate(
    rows: evaluation_inputs.Rows,
    data: sections.Data,
    predictions: evaluation_inputs.Predictions,
    *,
    baseline_scores: Mapping[str, Floats],
    resamples: int = 2000,
    seed: int = 0,
) -> Results:
    """Evaluate two or more classes of which each image has one.

    Args:
        rows: The images' labels, patients and attributes.
        data: What the images are.
        predictions: Of the model.
        baseline_scores: Probabilities (n, k) by name, at least one, from ``baselines.fit`` on the run's own
            training part.
        resamples: Bootstrap resamples behind every interval.
        seed: Of the resamples.

    Raises:
        errors.InputError: The rows hold fewer than two patients, or a row without a label.
        ValueError: There is no baseline or no decision, or arrays do not fit together.
    """
    evaluator = evaluator_of(rows, predictions, baselines=baseline_scores, resamples=resamples, seed=seed)
    positive = np.asarray(evaluator.labels == 1) if evaluator.binary else None
    slices = subgroups.slices(rows.attributes, positive)
    common = classifier.evaluate(evaluator, predictions.logits, predictions.rule, slices)
    return Results(
        rows=rows,
        data=data,
        predictions=predictions,
        evaluator=evaluator,
        common=_with_counts(common, evaluator, slices),
        binary=evaluate_binary.with_intervals_of(
            evaluate_binary.evaluate(evaluator, predictions.rule, predictions.operating_points, predictions.validation),
            common.metrics,
        )
        if evaluator.binary
        else None,
        shortcuts=subgroups.shortcuts(evaluator, rows.attributes)
        if evaluator.binary and len(np.unique(evaluator.labels)) == 2
        else [],
        robustness=_robustness(evaluator, predictions),
    )


def evaluator_of(
    rows: evaluation_inputs.Rows,
    predictions: evaluation_inputs.Predictions,
    *,
    baselines: Mapping[str, Floats],
    resamples: int,
    seed: int,
) -> evaluators.Evaluator:
    """Apply the decision rule to the logits; errors as in ``evaluate``."""
    units = rows.units()
    evaluators.require_baselines(baselines, predictions.logits.shape)
    unlabelled = np.flatnonzero(~(np.nan_to_num(rows.labels).sum(axis=1) == 1))
    if unlabelled.size:
        raise errors.InputError(
            f"evaluate: expected one label for every image. Received: {rows.labels[unlabelled[0]].tolist()} "
            f"for {rows.names[unlabelled[0]]}"
        )
    scores = predictions.rule.scores(predictions.logits)
    binary = len(predictions.class_names) == 2
    return evaluators.Evaluator(
        labels=rows.labels.argmax(axis=1).astype(np.int64),
        units=units,
        scores=scores,
        predicted=predictions.rule.predicted(scores),
        baselines=baselines,
        class_names=predictions.class_names,
        metrics=BINARY_METRICS if binary else SEVERAL_METRICS,
        slice_metrics=BINARY_SLICE_METRICS if binary else SLICE_COMPARED,
        slice_compared=SLICE_COMPARED,
        resamples=resamples,
        seed=seed,
        positive_only=True,
        reliability_bins=10,
        nouns=("images", "patients"),
    )


def _with_counts(
    common: classifier.Results, evaluator: evaluators.Evaluator, slices: Mapping[str, Bools]
) -> classifier.Results:
    """Add to each class its AUROC against the rest, and of two classes to each slice its number of positives."""
    per_class = [
        {**row, "auroc": subgroups.auroc(evaluator, (evaluator.labels == number).astype(np.int64), column=number)}
        for number, row in enumerate(common.per_class)
    ]
    kept = ("name", "n", "n_units", "metrics", "differences", "notes")
    rows = [{name: row[name] for name in kept if name in row} for row in common.slices]
    if evaluator.binary:
        rows = [{**row, "n_positive": int(evaluator.labels[slices[row["name"]]].sum())} for row in rows]
    return dataclasses.replace(common, per_class=per_class, slices=rows)


def _robustness(evaluator: evaluators.Evaluator, predictions: evaluation_inputs.Predictions) -> list[dict[str, Any]]:
    if predictions.corrupted is None:
        return []
    rule, rows = predictions.rule, predictions.corrupted.rows
    part = dataclasses.replace(
        evaluator,
        labels=evaluator.labels[rows],
        units=evaluator.units[rows],
        scores=evaluator.scores[rows],
        baselines={name: scores[rows] for name, scores in evaluator.baselines.items()},
    )

    def metrics_of(logits: evaluation_inputs.Logits) -> intervals.Intervals:
        scores = rule.scores(logits)
        return part.metrics_of(scores, ROBUSTNESS_METRICS, predicted=rule.predicted(scores))

    return predictions.robustness(metrics_of)


def metrics_document(results: Results) -> dict[str, Any]:
    """Return the content of ``metrics.json``."""
    common, binary = results.common, results.binary
    every, unsure = classifier.operating_points(common.abstention, noun="image")
    return document(
        results.rows,
        results.data,
        results.predictions,
        metrics=common.metrics,
        baselines=common.baselines,
        differences=common.differences,
        operating_points=[*binary.points, unsure] if binary else [every, unsure],
        slices=common.slices,
        calibration={**common.calibration, **(binary.slope if binary else {})},
        notes=common.metrics.notes,
        more={
            "per_class": common.per_class,
            "confusion": {"classes": results.predictions.class_names, "counts": common.confusion},
            "abstention": common.abstention,
            "auroc_delong": binary.delong if binary else None,
            "threshold_stability": binary.stability if binary else {},
            "decision_curve": binary.decision_curve if binary else [],
            "shortcuts": results.shortcuts,
            "robustness": results.robustness,
            "explanations": explanations(results.predictions),
        },
    )


def document(
    rows: evaluation_inputs.Rows,
    data: sections.Data,
    predictions: evaluation_inputs.Predictions,
    *,
    notes: Sequence[str],
    **content: Any,
) -> dict[str, Any]:
    """Return the content of ``metrics.json`` of one label or of several findings per image."""
    return metrics.metrics_document(
        app=APP,
        run=predictions.run,
        data={
            **data.content(n=len(rows), n_units=len(np.unique(rows.patients.astype(str)))),
            "synthetic": data.synthetic,
            "task": rows.task,
        },
        notes=_notes(rows, data, notes, content["baselines"]),
        **content,
    )


def _notes(
    rows: evaluation_inputs.Rows, data: sections.Data, notes: Sequence[str], found: Mapping[str, object]
) -> list[str]:
    every = [NOT_A_DEVICE, *data.notes, *notes]
    if data.synthetic:
        every.insert(1, "The images are simulated. Nothing here holds for patients.")
    if len(rows) < FEW_ROWS:
        every.append(f"Only {len(rows)} images were evaluated: most differences cannot show on so few.")
    if not any(name in found for name in (baselines.PIXELS, baselines.FEATURES)):
        label, needs = baselines.LABELS[baselines.PIXELS], baselines.REQUIREMENTS[baselines.PIXELS]
        every.append(f"Baseline left out: {label}. {needs}")
    return every


def explanations(predictions: evaluation_inputs.Predictions) -> list[dict[str, Any]]:
    """Return the checks of the explanations for ``metrics.json``."""
    # vars keeps an interval whole; asdict would make it a mapping.
    return [dict(vars(one)) for one in predictions.explained]


def predictions_table(results: Results) -> pd.DataFrame:
    """Return one row per image.

    Columns: row, image, patient, label, predicted, decision (a class or "abstain"), ``score_<class>`` and for each
    baseline ``<baseline>_score_<class>``.
    """
    evaluator = results.evaluator
    classes = np.array(evaluator.class_names, object)
    columns = {
        **results.rows.identity(),
        "label": classes[evaluator.labels],
        "predicted": classes[evaluator.predicted],
        "decision": results.predictions.rule.decisions(evaluator.scores),
        **classifier.score_columns("", evaluator.scores, evaluator.class_names),
    }
    for name, scores in evaluator.baselines.items():
        columns |= classifier.score_columns(f"{name}_", scores, evaluator.class_names)
    return pd.DataFrame(columns)
