"""The report's sections on where data and model come from. No TensorFlow here."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from apps.fraud_detection.judgement import evidence, names, results
from shared.report import blocks, document, figures, formatting

MOST_CURVES = 6


def origin(data: evidence.Data, rows: evidence.Rows) -> document.Section:
    """Show what was judged and what keeps it apart from training."""
    facts: dict[str, Any] = {
        "Source": data.source,
        "Part": data.split,
        "Transactions": f"{len(rows):,}",
        "Frauds": f"{int(rows.labels.sum()):,}",
        "Cards": f"{len(np.unique(rows.payers)):,}" if rows.has_payer else "not named",
        "Resampled unit": data.unit,
        "SHA-256": data.sha256,
    }
    parts: list[blocks.Block] = [blocks.facts("Data", facts)]
    if data.certificate:
        parts.append(_certificate(data.certificate))
    parts += [blocks.Text(note) for note in data.notes]
    return document.Section("Where the data come from", data.protocol, parts)


def _certificate(certificate: Mapping[str, Any]) -> blocks.Table:
    rows = [
        (str(number), part, found["rows"], found["frauds"], found["first_day"] or "", found["last_day"] or "")
        for number, fold in enumerate(certificate["checks"]["folds"], start=1)
        for part, found in fold.items()
    ]
    return blocks.Table(
        columns=("Fold", "Part", "Transactions", "Frauds", "From", "To"),
        rows=rows,
        caption=f"The split certificate; unit: {certificate['unit']}. Nothing is in two parts of a fold.",
        align="llrrll",
    )


def training(findings: results.Findings, history: pd.DataFrame) -> document.Section:
    """Show the networks of an ensemble and how the newest were trained."""
    parts: list[blocks.Block] = []
    if findings.members:
        shown = [name for name in names.HEADLINE if name in findings.metrics]
        groups = {"All together": findings.metrics, **findings.members}
        parts.append(
            blocks.Table(
                columns=("Network", *map(formatting.metric_name, shown)),
                rows=[(label, *(found.get(name) for name in shown)) for label, found in groups.items()],
                caption="Each network alone, on the same transactions.",
                align="l" + "r" * len(shown),
                emphasis=(0,),
            )
        )
    trained = list(history["network"].unique()) if "network" in history else []
    parts += [_history(str(name), history[history["network"] == name]) for name in trained[-MOST_CURVES:]]
    lead = "What the model is made of and how it learned; the curves are of the newest fold."
    return document.Section("Networks and training", lead, parts)


def _whole(table: pd.DataFrame, column: str) -> bool:
    """Return whether each row has a value; a GAN's training has no validation loss."""
    return column in table and bool(table[column].notna().all())


def _history(name: str, table: pd.DataFrame) -> blocks.Figure:
    """Draw one network's rows of ``history.csv``; the epoch kept is the one of the best validation metric."""
    kept = table["validation_metric"].to_numpy().argmax()
    losses = {"training": "loss", "validation": "validation_loss"}
    panels = {
        "Loss": {label: table[column].to_numpy() for label, column in losses.items() if _whole(table, column)},
        "Validation metric": {"validation": table["validation_metric"].to_numpy()},
    }
    return blocks.Figure(
        svg=figures.training_history(table["epoch"].tolist(), panels, best_epoch=int(table["epoch"].iloc[kept])),
        caption=f"Training of {name}.",
        alt=f"Loss and validation metric of {name} by epoch",
    )
