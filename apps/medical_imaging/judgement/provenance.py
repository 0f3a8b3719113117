"""The report's sections on where data and model come from, what is known, and what is not. No TensorFlow here."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from apps.medical_imaging.judgement import answer, evidence
from shared.report import blocks, document, figures, formatting

UNKNOWN = "not stated by the source"
# What TRIPOD+AI (Collins et al. 2024, BMJ 385) and CLAIM (Tejani et al. 2024, Radiol. AI 6) ask of a report.
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
    "these. Elsewhere they must be measured again.",
    "Labels of public sets often come from reports read by software, or from one reader: some of the errors may be the "
    "labels'.",
)


def origin(data: evidence.Data, rows: evidence.Rows) -> document.Section:
    """Show the flow of images and patients, and what keeps parts apart."""
    table = blocks.facts(
        "Data",
        {
            "Source": data.source,
            "Part judged": data.split,
            "Images judged": len(rows),
            "Patients judged": len(np.unique(rows.patients.astype(str))),
            "Kept together": data.unit,
            "SHA-256": data.sha256,
        },
    )
    lead = "What was judged, and what keeps it apart from what the model was trained on."
    return document.Section("Flow of images and patients", lead, [table, *_flow(data)])


def _flow(data: evidence.Data) -> list[blocks.Block]:
    if not data.certificate:
        return []
    counts: Mapping[str, Any] = data.certificate["counts"]
    classes = list(next(iter(counts.values())).get("classes", {}))
    empty: tuple[blocks.Cell, ...] = (None, *(None for _ in classes))
    before = [("Set aside as unreadable or contradictory", data.quarantined, *empty)] if data.quarantined else []
    left_out = data.certificate.get("left_out_rows", 0)
    before += [("Left out by the split", left_out, *empty)] if left_out else []
    parts = [
        (name.capitalize(), part["rows"], part["units"], *(part.get("classes", {}).get(title) for title in classes))
        for name, part in counts.items()
    ]
    return [
        blocks.Table(
            columns=("Part", "Images", "Patients", *classes),
            rows=[*before, *parts],
            caption=f"The split certificate ({data.certificate['method']}): no {data.unit} and no image is in two "
            "parts.",
            align="l" + "r" * (2 + len(classes)),
        )
    ]


def training(run: evidence.Run) -> document.Section:
    """Show what the model is and how it learned."""
    facts = [blocks.facts("The model", dict(run.details))] if run.details else []
    return document.Section(
        "Model and training", "What the model is and how it learned.", [*facts, *_histories(run.history)]
    )


def _histories(table: pd.DataFrame) -> list[blocks.Block]:
    """Draw ``history.csv``, each network by itself; its phases follow one another."""
    if "network" not in table:
        return _history(table, "Training by epoch.")
    networks = table["network"].unique()
    return [
        figure
        for number in networks
        for figure in _history(
            table[table["network"] == number],
            "Training by epoch." if len(networks) == 1 else f"Training of network {number} by epoch.",
        )
    ]


def _history(table: pd.DataFrame, caption: str) -> list[blocks.Block]:
    """Draw some rows of ``history.csv``; the epoch kept is the one of the best validation metric."""
    if "epoch" not in table or table.empty:
        return []
    epochs = list(range(1, len(table) + 1))
    losses = {
        label: name for label, name in {"training": "loss", "validation": "validation_loss"}.items() if name in table
    }
    panels = {"Loss": {label: table[name].to_numpy() for label, name in losses.items()}} if losses else {}
    best = None
    if "validation_metric" in table:
        panels["Validation metric"] = {"validation": table["validation_metric"].to_numpy()}
        best = epochs[int(table["validation_metric"].to_numpy().argmax())]
    if not panels:
        return []
    svg = figures.training_history(epochs, panels, best_epoch=best)
    return [blocks.Figure(svg=svg, caption=caption, alt="Loss and validation metric by epoch")]


def checklist(data: evidence.Data, run: evidence.Run, found: Mapping[str, str]) -> dict[str, str]:
    """Return TRIPOD+AI and CLAIM items with what is known; ``found`` says where in this report the others are."""
    known = {name: data.details.get(name, UNKNOWN) for name in FROM_DETAILS}
    return {
        **known,
        **data.details,
        "Data source": f"{data.source} (SHA-256 {data.sha256[:12]})" + (", simulated" if data.synthetic else ""),
        "Unit of the split": data.unit,
        "Proof that parts are disjoint": "split certificate" if data.certificate else "not the run's own data: none",
        "Model and settings": "; ".join(f"{name} {formatting.number(value)}" for name, value in run.details.items())
        or UNKNOWN,
        **found,
        "External test": "these data" if not data.certificate else "none in this report: the run's own source",
        "Use": answer.NOT_A_DEVICE,
    }


def limits(content: Mapping[str, str]) -> document.Section:
    """Show what the numbers do not say, and the checklist."""
    table = blocks.facts("What TRIPOD+AI and CLAIM ask for, as far as it is known", dict(content))
    texts: list[blocks.Block] = [blocks.Text(limit, tone="caution") for limit in LIMITS]
    return document.Section("Limits and checklist", "What these numbers do not say.", [*texts, table])
