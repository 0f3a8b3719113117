"""Score files of any length: stream texts in, write scores, label and decision out."""

import logging
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from apps.sentiment import data
from apps.sentiment.readers import quarantine
from shared import cli, errors, files, parser, resuming, verbs

log = logging.getLogger("fieldnets")

Answer = Callable[[npt.NDArray[np.object_]], dict[str, npt.NDArray[Any]]]


def predict(options: parser.PredictOptions) -> cli.Result:
    """Score every text of the input files, with a run or with a bundle.

    Raises:
        errors.InputError: An input cannot be read, or the output exists or lies in a folder that is read.
    """
    _refuse_output_in_input(options)
    answer, class_names, identity = _open(options)
    settings = options.settings
    how = {name: getattr(settings, name) for name in ("text_column", "follow_links", "data_format")}
    how["chunk_rows"] = options.chunk_rows
    inputs = resuming.inputs(each for path in options.input for each in resuming.files_below(path))
    notes: list[str] = []
    with quarantine.opened() as aside:
        set_aside = aside.add if settings.skip_bad else None
        result = verbs.score_in_chunks(
            options,
            data.iterate_texts(list(map(str, options.input)), **how, set_aside=set_aside, tell=notes.append),
            lambda chunk: score(chunk, answer, class_names),
            what="texts scored",
            plan={"inputs": inputs, "skip_bad": settings.skip_bad, **how, **identity},
        )
        return result | ({"notes": notes} if notes else {}) | _set_aside(aside, options.output)


def _refuse_output_in_input(options: parser.PredictOptions) -> None:
    for path in options.input:
        if path.is_dir() and path.resolve() in options.output.resolve().parents:
            raise errors.InputError(
                f"--output: expected a file outside of the folders that are read. Received: {options.output}, in {path}"
            )


def _set_aside(aside: quarantine.Quarantine, output: pathlib.Path) -> dict[str, Any]:
    """Write the rows that could not be read beside the output, and say so."""
    path = files.beside(output, ".quarantine.csv", stem=output.stem)
    if aside.rows:
        aside.write(path)
        log.warning("%d rows could not be read: they are in %s", aside.rows, path)
    return verbs.set_aside(aside.rows, path)


def score(chunk: pd.DataFrame, answer: Answer, class_names: tuple[str, ...]) -> pd.DataFrame:
    """Return one output row per text: file, row, label, decision and ``score_<class>``."""
    answers = answer(chunk["text"].to_numpy(object))
    columns: dict[str, Any] = {"file": chunk["file"], "row": chunk["row"]}
    columns |= {"label": answers["labels"].astype(str), "decision": answers["decision"].astype(str)}
    columns |= {f"score_{name}": answers["scores"][:, index] for index, name in enumerate(class_names)}
    return pd.DataFrame(columns)


def _open(options: parser.PredictOptions) -> tuple[Answer, tuple[str, ...], dict[str, str]]:
    """Return how to answer texts, the classes, and what identifies the model to a resumed call."""
    if options.model_dir is not None:
        from shared.bundle import engines

        loaded = engines.load(options.model_dir, options.engine)
        names = tuple(loaded.extra("decision.json")["class_names"])
        identity = {"model": loaded.digest, "engine": loaded.engine.name}
        return in_batches(lambda texts: loaded.run({"text": texts})), names, identity
    from apps.sentiment import export
    from apps.sentiment import run as loaded_run

    run = loaded_run.open_run(options.run_dir)

    def answer(texts: npt.NDArray[np.object_]) -> dict[str, npt.NDArray[Any]]:
        return export.answers(run.decision, run.logits(texts))

    return answer, run.decision.class_names, {"model": resuming.run_digest(run.folder.path)}


def in_batches(answer: Answer, rows: int = 256) -> Answer:
    """Bound what a bundle gets at once, the short texts together: padding is what costs."""

    def batched(texts: npt.NDArray[np.object_]) -> dict[str, npt.NDArray[Any]]:
        order = np.argsort([len(text) for text in texts], kind="stable")
        inverse = np.argsort(order)
        parts = [answer(texts[order[start : start + rows]]) for start in range(0, len(texts), rows)]
        return {name: np.concatenate([part[name] for part in parts])[inverse] for name in parts[0]}

    return batched
