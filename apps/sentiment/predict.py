"""Score files of any length: stream texts in, write scores, label and decision out."""

import argparse
import logging
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from apps.sentiment.readers import checking
from shared import batch, cli, files, progress
from shared.sources import quarantine

log = logging.getLogger("fieldnets")

# Texts (n,) str to scores (n, classes), labels (n,) and decision (n,).
Score = Callable[[npt.NDArray[np.object_]], dict[str, npt.NDArray[Any]]]


def predict(arguments: argparse.Namespace) -> cli.Result:
    """Score every text of the input files, with a run or with a bundle.

    Raises:
        errors.InputError: An input cannot be read, or the output exists.
    """
    model, class_names, identity = _open(arguments)
    how = {
        "text_column": getattr(arguments, "text_column", None),
        "follow_links": getattr(arguments, "follow_links", False),
        "data_format": getattr(arguments, "data_format", "auto"),
        "chunk_rows": arguments.chunk_rows,
    }
    skip_bad = getattr(arguments, "skip_bad", False)
    inputs = {str(path): path.stat().st_size if path.is_file() else None for path in arguments.input}
    notes: list[str] = []
    with quarantine.opened() as aside, progress.rows("texts scored", arguments.input) as advance:
        result = batch.predict(
            checking.iterate_texts(
                list(map(str, arguments.input)),
                **how,
                set_aside=aside.add if skip_bad else None,
                note=notes.append,
            ),
            lambda chunk: score(chunk, model, class_names),
            output=arguments.output,
            plan={"inputs": inputs, "skip_bad": skip_bad, **how, **identity},
            resume=arguments.resume,
            overwrite=arguments.overwrite,
            on_rows=advance,
        )
        printed = {"output": str(arguments.output), "rows": result.rows, "resumed_rows": result.resumed_rows}
        printed |= {"notes": notes} if notes else {}
        return printed | _set_aside(aside, arguments.output)


def _set_aside(aside: quarantine.Quarantine, output: pathlib.Path) -> dict[str, Any]:
    """Write the rows that could not be read beside the output, and return their number and place."""
    if not aside.rows:
        return {}
    path = output.with_name(f"{output.stem}.quarantine.csv")
    aside.write(path)
    log.warning("%d rows could not be read: they are in %s", aside.rows, path)
    return {"quarantined_rows": aside.rows, "quarantine": str(path)}


def score(chunk: pd.DataFrame, model: Score, class_names: tuple[str, ...]) -> pd.DataFrame:
    """Return one output row per text: file, row, label, decision and ``score_<class>``."""
    predicted = model(chunk["text"].to_numpy(object))
    columns: dict[str, Any] = {"file": chunk["file"], "row": chunk["row"]}
    columns |= {"label": predicted["labels"].astype(str), "decision": predicted["decision"].astype(str)}
    columns |= {f"score_{name}": predicted["scores"][:, index] for index, name in enumerate(class_names)}
    return pd.DataFrame(columns)


def _open(arguments: argparse.Namespace) -> tuple[Score, tuple[str, ...], dict[str, str]]:
    """Return what predicts texts, the classes, and what identifies the model to a resumed call."""
    if arguments.model_dir is not None:
        from apps.sentiment import batches
        from shared.bundle import engines

        loaded = engines.load(arguments.model_dir, arguments.engine)
        names = tuple(loaded.extra("decision.json")["class_names"])
        identity = {"model": str(loaded.path), "engine": loaded.engine.name}
        return batches.in_batches(lambda texts: loaded.run({"text": texts})), names, identity
    from apps.sentiment import run as loaded_run

    run = loaded_run.open_run(arguments.run_dir)
    return run.predictions, run.decision.class_names, {"model": files.sha256(run.folder.model)}
