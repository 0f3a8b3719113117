"""The report's parts on model, training, cross-validation, origin of the data, and checklist. No TensorFlow here."""

import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from apps.medical_imaging import evaluate, evaluate_multi_label, evaluation_inputs
from shared import files
from shared.report import blocks, document, formatting
from shared.report import sections as shared_sections

CONFIDENCE = 0.95
UNKNOWN = "not stated by the source"
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


def summarize(folds: Sequence[Mapping[str, float]]) -> list[dict[str, Any]]:
    """Return one row per metric that every fold has: metric, folds (values), mean, deviation, lowest, highest.

    ``half_width`` is Nadeau and Bengio's (2003, Mach. Learn. 52) 95 % half width of the mean: folds share training
    rows, so the variance is widened by 1 / (k - 1), the ratio of test to training rows, over what independent
    folds would have.

    Args:
        folds: For each of k >= 2 folds its metrics on the patients that it was not trained on.

    Raises:
        ValueError: Fewer than two folds, or no common metric.

    >>> row = summarize([{"auroc": 0.9}, {"auroc": 0.94}])[0]
    >>> round(row["mean"], 3), round(row["deviation"], 4)
    (0.92, 0.0283)
    """
    if len(folds) < 2:
        raise ValueError(f"folds: expected at least two. Received: {len(folds)}")
    names = [name for name in folds[0] if all(name in fold for fold in folds)]
    if not names:
        raise ValueError("folds: expected a metric that every fold has. Received: none")
    return [_row(name, [float(fold[name]) for fold in folds]) for name in names]


def _row(name: str, values: list[float]) -> dict[str, Any]:
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


def sections(path: pathlib.Path) -> list[document.Section]:
    """Return the report's part on a run's cross-validation; nothing where it had none.

    Args:
        path: ``cross_validation.json`` of the run folder, which holds the AUROC of each fold.
    """
    if not path.exists():
        return []
    return [section(summarize([{"auroc": auroc} for auroc in files.read_json(path)["auroc"]]))]


def section(rows: Sequence[Mapping[str, Any]]) -> document.Section:
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


def checklist(
    data: shared_sections.Data, predictions: evaluation_inputs.Predictions, checked: Mapping[str, str]
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


def training(predictions: evaluation_inputs.Predictions) -> document.Section:
    """Show what the model is and how it learned."""
    facts = [blocks.facts("The model", dict(predictions.details))] if predictions.details else []
    body = [*facts, *shared_sections.histories(predictions.history)]
    return document.Section("Model and training", "What the model is and how it learned.", body)


def origin(results: evaluate.Results | evaluate_multi_label.Results) -> document.Section:
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
            shared_sections.data(data, counts),
            *shared_sections.certificate(
                data.certificate,
                ("Images", "Patients"),
                before=[(label, number) for label, number in left_out.items() if number],
                claim=f"no {data.unit} and no image is in two parts",
            ),
        ],
    )
