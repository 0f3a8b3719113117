"""Has the text changed, or what the model says of it? New texts beside the reference inside the bundle."""

import pathlib
from typing import Any

import numpy as np
import numpy.typing as npt

from apps.sentiment import predict
from shared import cli, errors, files
from shared.evaluation import drift
from shared.report import blocks, document
from shared.serving import bundle

COLUMNS = {
    "length": "tokens per text",
    "out_of_vocabulary": "share of unknown tokens",
    "score": "score of the last class",
    "label": "label answered",
    "abstained": "whether the model abstained",
}
# Chance of any false alarm in one comparison.
ALPHA = 0.01


def measure(loaded: bundle.Bundle, texts: npt.NDArray[np.object_]) -> dict[str, npt.NDArray[Any]]:
    """Return what drift is judged on: one (n,) column for each of ``COLUMNS``.

    Args:
        loaded: A bundle with the signatures ``serving_default`` and ``statistics``.
        texts: (n,) str.
    """

    def ask(batch: npt.NDArray[np.object_]) -> dict[str, npt.NDArray[Any]]:
        return loaded.run({"text": batch}) | loaded.run({"text": batch}, signature="statistics")

    return columns(predict.in_batches(ask)(texts))


def columns(outputs: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """Turn both signatures' outputs into the drift columns."""
    return {
        "length": outputs["length"],
        "out_of_vocabulary": outputs["out_of_vocabulary"],
        "score": outputs["scores"][:, -1],
        "label": outputs["labels"],
        "abstained": np.where(outputs["decision"] == outputs["labels"], "no", "yes").astype(object),
    }


def monitor(loaded: bundle.Bundle, texts: npt.NDArray[np.object_], *, output: pathlib.Path | None) -> cli.Result:
    """Compare new texts with the bundle's reference, and write ``drift.json`` and ``report.html`` if asked.

    Returns:
        One row per column, whether any drifted, and exit code 3 if so.
    """
    rows = drift.compare(loaded.extra("drift_reference.json"), measure(loaded, texts), alpha=ALPHA)
    drifted = [row["name"] for row in rows if row["drift"]]
    result = {"n": len(texts), "drift": bool(drifted), "drifted": drifted, "columns": rows}
    if output is not None:
        files.write_json(output / "drift.json", result)
        files.write_text(output / "report.html", document.render(report(rows, name=loaded.name, texts=len(texts))))
    return result | {"exit_code": errors.GateError.exit_code if drifted else 0}


def report(rows: list[dict[str, Any]], *, name: str, texts: int) -> document.Report:
    """Return the page that says what drifted, by how much, and what that means."""
    drifted = [COLUMNS[row["name"]] for row in rows if row["drift"]]
    answer = f"Drift in {', '.join(drifted)}." if drifted else "No drift: these texts look like the reference."
    table = blocks.Table(
        columns=("What", "Drift", "PSI", "alarm from", "Distance", "p (Holm)", "Reference n", "New n"),
        rows=[
            (
                COLUMNS[row["name"]],
                "yes" if row["drift"] else "no",
                row["psi"],
                row["threshold"],
                row["total_variation"] if row["ks"] is None else row["ks"],
                row["p_adjusted"],
                row["n_reference"],
                row["n"],
            )
            for row in rows
        ],
        caption="Distance: Kolmogorov-Smirnov for numbers, total variation for categories.",
        emphasis=[index for index, row in enumerate(rows) if row["drift"]],
    )
    lead = (
        f"{texts:,} new texts against the validation part of the training run. A row is drift when its population "
        f"stability index passes the alarm line and chance alone explains it with p below {ALPHA:g}."
    )
    return document.Report(
        title=f"Drift of {name}", answer=answer, sections=[document.Section("Comparison", lead, [table])]
    )
