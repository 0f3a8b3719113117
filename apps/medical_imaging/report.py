"""The report of an evaluation: its contents, model and training, cross-validation, origin of the data, checklist.

``report_contents`` says how well the model ranks, what its thresholds do, for whom it works and what could be wrong. No
TensorFlow here.
"""

import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats
from typing_extensions import TypedDict

from apps.medical_imaging import (
    baselines,
    evaluate,
    evaluate_multi_label,
    evaluation_inputs,
    report_contents,
    report_failures,
)
from shared import stored
from shared.report import blocks, document, formatting, sections

CONFIDENCE = 0.95
UNKNOWN = "not stated by the source"


@stored.open_fields
class _CrossValidation(TypedDict):
    """What ``cross_validation.json`` holds."""

    auroc: stored.Several[stored.Share]


# What TRIPOD+AI (Collins et al. 2024, BMJ 385) and CLAIM (Tejani et al. 2024, Radiol. AI 6) require in a report.
FROM_DETAILS = (
    "Intended use",
    "Population",
    "Dates",
    "Inclusion and exclusion",
    "Label source",
    "Label policy",
    "Preprocessing",
)
LIMITS = (
    "It is not a medical device: no regulator has seen it, no clinical study was done, and nobody may be "
    "treated, or left untreated, because of it.",
    "The numbers hold for images of the same hospitals, scanners and ages, and with the same share of positives, as "
    "these. Elsewhere the model must be evaluated again.",
    "Labels of public sets often come from reports read by software, or from one reader: some of the errors may be the "
    "labels'.",
)


def evaluation(
    results: evaluate.Results | evaluate_multi_label.Results, *, extra_sections: Sequence[document.Section] = ()
) -> document.Evaluation:
    """Return the metrics, the page and the predictions of an evaluation.

    Args:
        results: Of one label or of several findings per image.
        extra_sections: Further parts of the report, such as what synthetic training images bring.
    """
    if isinstance(results, evaluate_multi_label.Results):
        content, table = evaluate_multi_label.metrics_document(results), evaluate_multi_label.predictions_table(results)
        checked = _checked_of_findings(results)
        answer, tiles = report_contents.opening_of_findings(results), report_contents.tiles_of_findings(results)
        line = report_failures.status_of(results.differences, results.baselines, results.metrics)
        chapters = report_contents.sections_of_findings(results)
    else:
        content, table = evaluate.metrics_document(results), evaluate.predictions_table(results)
        checked = _checked_of_classes(results)
        answer, tiles = report_contents.opening_of_classes(results), report_contents.tiles_of_classes(results)
        common = results.common
        line = report_failures.status_of(common.differences, common.baselines, common.metrics, reason=common.degenerate)
        chapters = report_contents.sections_of_classes(results)
    items = _checklist(results.data, results.predictions, checked)
    content = {**content, "checklist": items}
    data, predictions = results.data, results.predictions
    simulated = ", SIMULATED images" if data.synthetic else ""
    return document.Evaluation(
        metrics=content,
        predictions=table,
        report=document.Report(
            title="Chest radiographs" if not data.synthetic else "Simulated chest radiographs",
            subtitle=f"Run {predictions.run} on {data.source}{simulated}, part {data.split}: "
            f"{', '.join(predictions.class_names)}",
            answer=answer,
            status=line,
            headline=tiles,
            metrics=content,
            labels=baselines.LABELS,
            sections=[
                *chapters,
                *extra_sections,
                _training(predictions),
                _origin(results),
                sections.limits(
                    LIMITS,
                    blocks.facts("What TRIPOD+AI and CLAIM require, as far as it is known", items),
                    title="Limits and checklist",
                ),
            ],
        ),
    )


def summarize_folds(folds: Sequence[Mapping[str, float]]) -> list[dict[str, Any]]:
    """Return one row per metric that every fold has: metric, folds (values), mean, deviation, lowest, highest.

    ``half_width`` is Nadeau and Bengio's (2003, Mach. Learn. 52) 95 % half width of the mean: folds share training
    rows, so the variance is widened by 1 / (k - 1), the ratio of test to training rows, over what independent
    folds would have.

    Args:
        folds: For each of k >= 2 folds its metrics on the patients that it was not trained on.

    Raises:
        ValueError: Fewer than two folds, or no common metric.

    >>> row = summarize_folds([{"auroc": 0.9}, {"auroc": 0.94}])[0]
    >>> round(row["mean"], 3), round(row["deviation"], 4)
    (0.92, 0.0283)
    """
    if len(folds) < 2:
        raise ValueError(f"folds: expected at least two. Received: {len(folds)}")
    names = [name for name in folds[0] if all(name in fold for fold in folds)]
    if not names:
        raise ValueError("folds: expected a metric that every fold has. Received: none")
    return [_summary_of_folds(name, [float(fold[name]) for fold in folds]) for name in names]


def _summary_of_folds(name: str, values: list[float]) -> dict[str, Any]:
    k = len(values)
    deviation = float(np.std(values, ddof=1))
    quantile = float(stats.t.ppf(0.5 + CONFIDENCE / 2, k - 1))
    return {
        "metric": name,
        "folds": values,
        "mean": float(np.mean(values)),
        "deviation": deviation,
        "half_width": quantile * deviation * math.sqrt(1 / k + 1 / (k - 1)),
        "lowest": min(values),
        "highest": max(values),
    }


def cross_validation(path: pathlib.Path) -> list[document.Section]:
    """Return the report's part on a run's cross-validation; nothing where it had none.

    Args:
        path: ``cross_validation.json`` of the run folder, which holds the AUROC of each fold.
    """
    if not path.exists():
        return []
    return [
        cross_validation_section(
            summarize_folds([{"auroc": auroc} for auroc in stored.read(_CrossValidation, path)["auroc"]])
        )
    ]


def cross_validation_section(rows: Sequence[Mapping[str, Any]]) -> document.Section:
    """Show the rows of ``summarize``."""
    k = len(rows[0]["folds"])
    table = blocks.Table(
        columns=("Metric", "Mean", "± 95 %", "Deviation", *(f"Fold {number + 1}" for number in range(k))),
        rows=[
            (formatting.metric_name(row["metric"]), row["mean"], row["half_width"], row["deviation"], *row["folds"])
            for row in rows
        ],
        caption="Mean over the folds, its half width (Nadeau & Bengio 2003) and the standard deviation between folds.",
        align="l" + "r" * (3 + k),
    )
    lead = f"The same training on {k} parts of the patients in turn: what another choice of patients would change."
    return document.Section("Cross-validation by patient", lead, [table])


def _checklist(
    data: sections.Data, predictions: evaluation_inputs.Predictions, checked: Mapping[str, str]
) -> dict[str, str]:
    """Return TRIPOD+AI and CLAIM items with what is known; ``checked`` says where in this report the others are."""
    model = "; ".join(f"{name} {formatting.number(value)}" for name, value in predictions.details.items())
    return {
        **{name: data.details.get(name, UNKNOWN) for name in FROM_DETAILS},
        **data.details,
        "Data source": f"{data.source} (SHA-256 {data.sha256[:12]})" + (", simulated" if data.synthetic else ""),
        "Unit of the split": data.unit,
        "Proof that parts are disjoint": "split certificate" if data.certificate else "not the run's own data: none",
        "Model and settings": model or UNKNOWN,
        **checked,
        "External test": "these data" if not data.certificate else "none in this report: the run's own source",
        "Use": evaluate.NOT_A_DEVICE,
    }


def _checked_of_classes(results: evaluate.Results) -> dict[str, str]:
    """Return where in this report the checklist's items are."""
    points = results.binary.points if results.binary else []
    frozen = ", ".join(f"{point['name']} {point['threshold']:.3f}" for point in points)
    return {
        "Thresholds fixed before the test": frozen or "the most probable class",
        "Uncertainty of every number": "intervals by patient throughout",
        "Comparison with a baseline": "model and baselines, paired on the same resamples",
        "Calibration": "slope, intercept, Brier score, ECE, reliability with counts",
        "Clinical usefulness": "decision curve" if results.binary else "not evaluated",
        "Subgroups": f"{len(results.common.slices)}" if results.common.slices else "the data name no attributes",
        "Robustness": "corruptions" if results.robustness else "not evaluated",
        "Failures": "gallery of confident errors",
    }


def _checked_of_findings(results: evaluate_multi_label.Results) -> dict[str, str]:
    """Return where in this report the checklist's items are."""
    return {
        "Thresholds fixed before the test": "one per finding, on validation patients",
        "Uncertainty of every number": "intervals by patient throughout",
        "Missing labels": "left out of their finding's numbers, counted per finding",
        "Comparison with a baseline": "model and baselines, paired on the same resamples",
        "Calibration": "Brier score, ECE and reliability with counts per finding",
        "Subgroups": f"{len(results.slices)}" if results.slices else "the data name no attributes",
    }


def _training(predictions: evaluation_inputs.Predictions) -> document.Section:
    """Show what the model is and how it learned."""
    facts = [blocks.facts("The model", dict(predictions.details))] if predictions.details else []
    body = [*facts, *sections.histories(predictions.history)]
    return document.Section("Model and training", "What the model is and how it learned.", body)


def _origin(results: evaluate.Results | evaluate_multi_label.Results) -> document.Section:
    """Show the flow of images and patients, and what keeps parts apart."""
    data, rows = results.data, results.rows
    left_out = {
        "Set aside as unreadable or contradictory": data.quarantined,
        "Left out by the split": data.certificate.get("left_out_rows", 0),
    }
    counts: dict[str, blocks.Cell] = {"Images": len(rows), "Patients": len(set(rows.patients.astype(str)))}
    return document.Section(
        "Flow of images and patients",
        "What was evaluated, and what keeps it apart from what the model was trained on.",
        [
            sections.data(data, counts),
            *sections.certificate(
                data.certificate,
                ("Images", "Patients"),
                before=[(label, number) for label, number in left_out.items() if number],
                claim=f"no {data.unit} and no image is in two parts",
            ),
        ],
    )
