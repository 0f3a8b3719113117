"""The report's sections on where data and model come from. No TensorFlow here."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from apps.sentiment.judgement import evidence, results
from shared.report import blocks, document, figures, formatting


def origin(data: evidence.Data, rows: evidence.Rows) -> document.Section:
    """Show what was judged and what keeps it apart from training."""
    table = blocks.facts(
        "Data",
        {
            "Source": data.source,
            "Part": data.split,
            "Texts": len(rows),
            "Split unit": data.unit,
            "Units": len(np.unique(rows.units)),
            "SHA-256": data.sha256,
        },
    )
    lead = "What was judged, and what keeps it apart from what the model was trained on."
    certificate = [_certificate_table(data.certificate)] if data.certificate else []
    return document.Section("Data and split", lead, [table, *certificate])


def _certificate_table(certificate: Mapping[str, Any]) -> blocks.Table:
    return blocks.Table(
        columns=("Part", "Texts", "Units"),
        rows=[(name, part["rows"], part["units"]) for name, part in certificate["counts"].items()],
        caption=f"The split certificate ({certificate['method']}): no unit and no text is in two parts.",
    )


def training(findings: results.Findings, history: pd.DataFrame) -> document.Section:
    """Show the networks of an ensemble and how each was trained."""
    networks = [_network_table(findings)] if len(findings.members) > 1 else []
    names = history["network"].unique() if "network" in history else ()
    curves = [_history(str(name), history[history["network"] == name]) for name in names]
    lead = "What the model is made of and how it learned."
    return document.Section("Networks and training", lead, [*networks, *curves])


def _network_table(findings: results.Findings) -> blocks.Table:
    names = list(results.MEMBER_METRICS)
    groups = {"All together": findings.metrics, **findings.members}
    return blocks.Table(
        columns=("Network", *map(formatting.metric_name, names)),
        rows=[(label, *(found.get(name) for name in names)) for label, found in groups.items()],
        caption="Each network alone, on the same texts.",
        align="l" + "r" * len(names),
        emphasis=(0,),
    )


def _history(name: str, table: pd.DataFrame) -> blocks.Figure:
    """Draw one network's rows of ``history.csv``; the epoch kept is the one of the best validation metric."""
    kept = table["validation_metric"].to_numpy().argmax()
    panels = {
        "Loss": {"training": table["loss"].to_numpy(), "validation": table["validation_loss"].to_numpy()},
        "Calibrated log-likelihood": {"validation": table["validation_metric"].to_numpy()},
    }
    return blocks.Figure(
        svg=figures.training_history(table["epoch"].tolist(), panels, best_epoch=int(table["epoch"].iloc[kept])),
        caption=f"Training of {name}.",
        alt=f"Loss and calibrated log-likelihood of {name} by epoch",
    )
