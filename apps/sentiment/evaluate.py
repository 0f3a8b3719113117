"""Evaluate a run on labelled texts: metrics beside baselines, slices, calibration, abstention. No TensorFlow here.

``evaluate`` computes the results; ``report`` beside this file shows them.
"""

import dataclasses
import hashlib
import itertools
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from apps.sentiment import baselines, checklist, ordinal
from shared import decision as decisions
from shared import errors
from shared.evaluation import classifier, evaluators, intervals, other_models, summaries
from shared.report import metrics, sections

Bools: TypeAlias = npt.NDArray[np.bool_]
Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Objects: TypeAlias = npt.NDArray[np.object_]

APP = "sentiment"
FEW_ROWS = 200
MEMBER_METRICS = {name: summaries.METRICS[name] for name in ("accuracy", "f1_macro", "auroc", "ece")}
SLICE_METRICS = {name: summaries.METRICS[name] for name in ("accuracy", "f1_macro", "auroc")}
SLICE_COMPARED = {name: summaries.METRICS[name] for name in ("accuracy", "f1_macro")}
MOST_SOURCES = 20
LENGTH_EDGES_WORDS = (25, 100, 200, 400)
UNKNOWN_EDGES_PERCENT = (0, 1, 3, 10)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rows:
    """Labelled texts.

    Attributes:
        texts: (n,) str.
        labels: (n,) int64 in [0, classes).
        sources: (n,) str, where each text comes from.
        files: (n,) str, the file that holds it.
        lines: (n,) int64, its row in that file, from 1.
        units: (n,) int64, its split unit.
        out_of_vocabulary: (n,) float64 in [0, 1], the share of its tokens that the model does not know.
        ordinal: Whether the classes are ratings in rising order.
    """

    texts: Objects
    labels: Ints
    sources: Objects
    files: Objects
    lines: Ints
    units: Ints
    out_of_vocabulary: Floats
    ordinal: bool = False

    def __len__(self) -> int:
        return len(self.labels)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Predictions:
    """What the model predicts for the rows.

    Attributes:
        run: Name of the run.
        logits: (n, classes), uncalibrated.
        decision: Calibration, label and abstention, frozen on validation data.
        members: Calibrated probabilities (n, classes) of each network of an ensemble; empty otherwise.
        history: One row per network and epoch, as in ``history.csv``; may be empty.
    """

    run: str
    logits: npt.NDArray[np.floating[Any]]
    decision: decisions.Decision
    members: Mapping[str, Floats] = dataclasses.field(default_factory=dict)
    history: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Results:
    """What was evaluated, and the numbers.

    Attributes:
        rows: The texts.
        data: What they are.
        predictions: Of the model.
        evaluator: The scores of model and baselines.
        common: The numbers of any classifier.
        members: Some metrics of each network of an ensemble.
        behaviour: The behavioural tests.
    """

    rows: Rows
    data: sections.Data
    predictions: Predictions
    evaluator: evaluators.Evaluator
    common: classifier.Results
    members: Mapping[str, intervals.Intervals]
    behaviour: checklist.BehaviourReport

    @property
    def baseline(self) -> str:
        """The baseline to beat: the run's model, the linear one, or the most accurate where there is neither."""
        groups = self.common.baselines
        if other_models.OWN_MODEL in groups:
            return other_models.OWN_MODEL
        if baselines.LINEAR in groups:
            return baselines.LINEAR
        return max(groups, key=lambda name: groups[name]["accuracy"].value)


def evaluate(
    rows: Rows,
    data: sections.Data,
    predictions: Predictions,
    *,
    baseline_scores: Mapping[str, Floats],
    behaviour_report: checklist.BehaviourReport,
    resamples: int = 2000,
    seed: int = 0,
) -> Results:
    """Evaluate ``predictions`` on ``rows``.

    Args:
        rows: The texts and their labels.
        data: What the texts are.
        predictions: Of the model.
        baseline_scores: Probabilities (n, classes) by name, at least one, from ``baselines.fit`` on the
            run's own training part.
        behaviour_report: What ``checklist.run`` returned for the same model.
        resamples: Bootstrap resamples behind every interval.
        seed: Of the resamples.

    Raises:
        errors.InputError: The rows hold fewer than two units, or a row without a label.
        ValueError: There is no baseline, or arrays do not fit together.
    """
    _check(rows)
    scores = predictions.decision.scores(predictions.logits)
    of_ratings = ordinal.METRICS if rows.ordinal else {}
    evaluator = evaluators.Evaluator(
        labels=rows.labels,
        units=rows.units,
        scores=scores,
        predicted=predictions.decision.predicted(scores),
        baselines=baseline_scores,
        class_names=predictions.decision.class_names,
        metrics={**summaries.METRICS, **of_ratings},
        slice_metrics=SLICE_METRICS,
        slice_compared=SLICE_COMPARED,
        resamples=resamples,
        seed=seed,
    )
    return Results(
        rows=rows,
        data=data,
        predictions=predictions,
        evaluator=evaluator,
        common=classifier.evaluate(evaluator, predictions.logits, predictions.decision, slices(rows)),
        members={name: evaluator.metrics_of(each, MEMBER_METRICS) for name, each in predictions.members.items()},
        behaviour=behaviour_report,
    )


def _check(rows: Rows) -> None:
    if len(np.unique(rows.units)) < 2:
        raise errors.InputError(
            f"evaluate: expected texts of at least two units, to resample them. Received: {len(rows)} texts of one unit"
        )
    if rows.labels.min() < 0:
        row = int(np.argmin(rows.labels))
        raise errors.InputError(
            f"evaluate: expected a label in every row. Received: none in row {rows.lines[row]} of {rows.sources[row]}"
        )


def slices(rows: Rows) -> dict[str, Bools]:
    """Return the slices by name: ``source=...``, ``length=...`` and ``out_of_vocabulary=...``."""
    names, counts = np.unique(rows.sources.astype(str), return_counts=True)
    common = names[np.argsort(-counts, kind="stable")][:MOST_SOURCES]
    words = np.array([len(text.split()) for text in rows.texts], np.float64)
    kinds = {
        "source": {name: np.asarray(rows.sources == name) for name in common},
        "length": _bins(words, LENGTH_EDGES_WORDS, unit="words"),
        "out_of_vocabulary": _bins(100 * rows.out_of_vocabulary, UNKNOWN_EDGES_PERCENT, unit="%"),
    }
    return {f"{kind}={name}": inside for kind, masks in kinds.items() for name, inside in masks.items()}


def _bins(values: Floats, edges: tuple[int, ...], *, unit: str) -> dict[str, Bools]:
    """Cut at ``edges``; a bin holds its upper edge. Empty bins are left out."""
    names = [
        f"at most {edges[0]} {unit}",
        *(f"above {low} to {high} {unit}" for low, high in itertools.pairwise(edges)),
        f"above {edges[-1]} {unit}",
    ]
    place = np.searchsorted(edges, values, side="left")
    return {name: place == number for number, name in enumerate(names) if (place == number).any()}


def metrics_document(results: Results) -> dict[str, Any]:
    """Return the content of ``metrics.json``."""
    found, rows, rule = results.common, results.rows, results.predictions.decision
    every, unsure = classifier.operating_points(found.abstention, noun="text")
    return metrics.metrics_document(
        app=APP,
        run=results.predictions.run,
        data=results.data.content(n=len(rows), n_units=len(np.unique(rows.units))),
        metrics=found.metrics,
        baselines=found.baselines,
        differences=found.differences,
        operating_points=[{**every, "rule": rule.rule, "threshold": rule.threshold}, unsure],
        slices=found.slices,
        calibration=found.calibration,
        notes=_notes(results),
        more={
            "per_class": found.per_class,
            "confusion": {"classes": rule.class_names, "counts": found.confusion},
            "abstention": found.abstention,
            "members": results.members,
            "behaviour": results.behaviour.to_json(),
        },
    )


def _notes(results: Results) -> list[str]:
    notes = [*results.data.notes, *results.common.notes]
    if len(results.rows) < FEW_ROWS:
        notes.append(f"Only {len(results.rows)} texts were evaluated: most differences cannot show on so few.")
    for name, needs in baselines.REQUIREMENTS.items():
        if name not in results.common.baselines:
            notes.append(f"Baseline left out: {baselines.LABELS[name]}. {needs}")
    return [*notes, "These numbers hold for texts of the same subject, language and kind of writer as these."]


def predictions_table(results: Results) -> pd.DataFrame:
    """Return one row per text.

    Columns: row, file, source, unit, text, text_sha256, label, predicted, decision (a class or "abstain"),
    ``score_<class>`` and for each baseline ``<baseline>_predicted`` and ``<baseline>_score_<class>``.
    """
    rows, evaluator = results.rows, results.evaluator
    classes = np.array(evaluator.class_names, object)
    columns: dict[str, Any] = {
        "row": rows.lines,
        "file": rows.files.astype(str),
        "source": rows.sources.astype(str),
        "unit": rows.units,
        "text": rows.texts,
        "text_sha256": [hashlib.sha256(text.encode()).hexdigest() for text in rows.texts],
        "label": classes[evaluator.labels],
        "predicted": classes[evaluator.predicted],
        "decision": results.predictions.decision.decisions(evaluator.scores),
        **classifier.score_columns("", evaluator.scores, evaluator.class_names),
    }
    for name, scores in evaluator.baselines.items():
        columns[f"{name}_predicted"] = classes[scores.argmax(axis=1)]
        columns |= classifier.score_columns(f"{name}_", scores, evaluator.class_names)
    return pd.DataFrame(columns)
