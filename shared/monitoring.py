"""Has the input changed, or what the model says of it? New columns beside the reference inside a bundle."""

import functools
import pathlib
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from shared import errors, files
from shared.bundle import reading as bundle
from shared.evaluation import drift
from shared.report import blocks, document

# Chance of any false alarm in one comparison.
ALPHA = 0.01
SIGNATURE = "drift"
Ask: TypeAlias = Callable[[Mapping[str, Any]], dict[str, npt.NDArray[Any]]]


def monitor(
    loaded: bundle.Bundle,
    columns: Mapping[str, npt.NDArray[Any]],
    *,
    names: Mapping[str, str],
    things: str,
    output: pathlib.Path | None,
    left_out: Collection[str] = (),
) -> dict[str, Any]:
    """Compare new columns with the bundle's reference, and write ``drift.json`` and ``report.html`` if asked.

    Args:
        loaded: A bundle with ``drift_reference.json``.
        columns: The reference's columns of the new data, each (n,).
        names: What each column is, in words.
        things: What the rows are, in the plural.
        output: Folder of the two files.
        left_out: Columns of the reference that cannot be compared with these data.

    Returns:
        One row per column, whether any drifted, and exit code 3 if so.
    """
    reference = loaded.extra("drift_reference.json")
    known = {name: content for name, content in reference.items() if name not in left_out}
    rows = drift.compare(known, columns, alpha=ALPHA)
    drifted = [row["name"] for row in rows if row["drift"]]
    n = len(next(iter(columns.values())))
    result = {"n": n, "drift": bool(drifted), "drifted": drifted, "columns": rows}
    if output is not None:
        page = report(rows, name=loaded.name, names=names, things=f"{n:,} new {things}")
        files.write_json(output / "drift.json", result)
        files.write_text(output / "report.html", document.render(page))
    return result | {"exit_code": errors.GateError.exit_code if drifted else 0}


def asking(loaded: bundle.Bundle) -> Ask:
    """Return the bundle's signature ``drift`` as a function of a batch.

    Raises:
        errors.InputError: The bundle has no such signature.
    """
    if SIGNATURE not in loaded.signatures:
        raise errors.InputError(
            f"{loaded.path}: expected a bundle with the signature {SIGNATURE}; export the run again. "
            f"Received: {', '.join(loaded.signatures)}"
        )
    return functools.partial(loaded.run, signature=SIGNATURE)


def in_batches(ask: Ask, inputs: Mapping[str, npt.NDArray[Any]], *, rows: int) -> dict[str, npt.NDArray[Any]]:
    """Return the drift columns of many rows, asked about a part at a time.

    Args:
        ask: What ``asking`` returns, or the same function before it was exported.
        inputs: Its inputs, each (n, ...).
        rows: Most rows at once.
    """
    count = len(next(iter(inputs.values())))
    parts = [
        ask({name: values[start : start + rows] for name, values in inputs.items()}) for start in range(0, count, rows)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def report(rows: list[dict[str, Any]], *, name: str, names: Mapping[str, str], things: str) -> document.Report:
    """Return the page that says what drifted, by how much, and what that means."""
    drifted = [names[row["name"]] for row in rows if row["drift"]]
    answer = f"Drift in {', '.join(drifted)}." if drifted else "No drift: these look like the reference."
    table = blocks.Table(
        columns=("What", "Drift", "PSI", "alarm from", "Distance", "p (Holm)", "Reference n", "New n"),
        rows=[
            (
                names[row["name"]],
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
        f"{things} against the validation part of the training run. A row is drift when its population "
        f"stability index passes the alarm line and chance alone explains it with p below {ALPHA:g}."
    )
    return document.Report(
        title=f"Drift of {name}", answer=answer, sections=[document.Section("Comparison", lead, [table])]
    )
