"""Judge a run on labelled radiographs: metrics, report and predictions from what model and baselines said.

The straight line is ``evaluate``: find out, write the document, the report and the table. No TensorFlow here.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from apps.medical_imaging import baselines
from apps.medical_imaging.judgement import answer, evidence, outcome, provenance, several
from shared.report import document, metrics

APP = "medical_imaging"
FEW_ROWS = 200


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """An evaluation's results.

    Attributes:
        metrics: Content of ``metrics.json``.
        report: The page; ``shared.report.document.write`` writes both.
        predictions: One row per image: row, image, patient, then with one answer per image label, predicted,
            decision (a class or "abstain"), ``score_<class>``, for several findings ``label_<finding>``
            (NaN unknown), ``score_<finding>``, ``present_<finding>``; for each baseline
            ``<baseline>_score_<class>``.
    """

    metrics: dict[str, Any]
    report: document.Report
    predictions: pd.DataFrame


def evaluate(
    rows: evidence.Rows,
    data: evidence.Data,
    run: evidence.Run,
    *,
    baseline_scores: Mapping[str, evidence.Floats],
    extra_sections: Sequence[document.Section] = (),
    resamples: int = 2000,
    seed: int = 0,
) -> Evaluation:
    """Judge ``run`` on ``rows``.

    Args:
        rows: The images' labels, patients and attributes.
        data: What the images are.
        run: What the model says about them.
        baseline_scores: Probabilities (n, k) by name, at least one, from ``baselines.fit`` on the run's own
            training part.
        extra_sections: Further parts of the report, such as what synthetic training images bring.
        resamples: Bootstrap resamples behind every interval.
        seed: Of the resamples.

    Raises:
        errors.InputError: The rows hold fewer than two patients, or with one answer per image a row without
            a label.
        ValueError: There is no baseline, or arrays do not fit together.
    """
    judge = several.multi_label if data.task == "multi_label" else outcome.single_label
    found = judge(rows, data, run, baseline_scores=baseline_scores, resamples=resamples, seed=seed)
    checklist = provenance.checklist(data, run, found.checked)
    content = _document(rows, data, run, found, checklist)
    return Evaluation(
        metrics=content,
        report=_report(rows, data, run, found, content, extra_sections, checklist),
        predictions=found.predictions,
    )


def _document(
    rows: evidence.Rows,
    data: evidence.Data,
    run: evidence.Run,
    found: outcome.Outcome,
    checklist: Mapping[str, str],
) -> dict[str, Any]:
    content = metrics.metrics_document(
        app=APP,
        run=run.name,
        data={
            "source": data.source,
            "split": data.split,
            "n": len(rows),
            "unit": data.unit,
            "n_units": len(np.unique(rows.patients.astype(str))),
            "sha256": data.sha256,
            "synthetic": data.synthetic,
            "task": data.task,
        },
        metrics=found.metrics,
        baselines=found.baselines,
        differences=found.differences,
        operating_points=found.operating_points,
        slices=found.slices,
        calibration=found.calibration,
        notes=_notes(rows, data, found),
    )
    more = {**found.extra, "checklist": checklist}
    return content | {name: metrics.plain(value, where=name) for name, value in more.items()}


def _notes(rows: evidence.Rows, data: evidence.Data, found: outcome.Outcome) -> list[str]:
    notes = [answer.NOT_A_DEVICE, *data.notes, *found.notes]
    if data.synthetic:
        notes.insert(1, "The images are simulated. Nothing here holds for patients.")
    if len(rows) < FEW_ROWS:
        notes.append(f"Only {len(rows)} images were judged: most differences cannot show on so few.")
    if not any(name in found.baselines for name in (baselines.PIXELS, baselines.FEATURES)):
        notes.append(
            f"Baseline left out: {baselines.LABELS[baselines.PIXELS]}. {baselines.REQUIREMENTS[baselines.PIXELS]}"
        )
    return notes


def _report(
    rows: evidence.Rows,
    data: evidence.Data,
    run: evidence.Run,
    found: outcome.Outcome,
    content: Mapping[str, Any],
    extra_sections: Sequence[document.Section],
    checklist: Mapping[str, str],
) -> document.Report:
    simulated = ", SIMULATED images" if data.synthetic else ""
    return document.Report(
        title="Chest radiographs" if not data.synthetic else "Simulated chest radiographs",
        subtitle=f"Run {run.name} on {data.source}{simulated}, part {data.split}: {', '.join(run.class_names)}",
        answer=found.answer,
        headline=found.tiles,
        metrics=content,
        labels=baselines.LABELS,
        sections=[
            *found.sections,
            *extra_sections,
            provenance.training(run),
            provenance.origin(data, rows),
            provenance.limits(checklist),
        ],
    )
