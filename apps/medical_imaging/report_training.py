"""The summary of a cross-validation by patient: mean and spread of every metric over the folds. No TensorFlow here."""

import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from shared import files
from shared.report import blocks, document, formatting

CONFIDENCE = 0.95


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
