"""Score files of any length: stream texts in, write scores, label and decision out."""

import functools
import logging
import pathlib
import shutil
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from apps.sentiment.readers import checking
from shared import cli, errors, files, parser, predicting, resuming, shards, verbs
from shared.sources import quarantine

log = logging.getLogger("fieldnets")

# Texts (n,) str to scores (n, classes), labels (n,) and decision (n,).
Score = Callable[[npt.NDArray[np.object_]], dict[str, npt.NDArray[Any]]]


def predict(options: parser.PredictOptions) -> cli.Result:
    """Score every text of the input files, with a run or with a bundle.

    Raises:
        errors.InputError: An input cannot be read, or the output exists or lies in a folder that is read.
    """
    _refuse_output_in_input(options)
    model, class_names, identity = _open(options)
    settings = options.settings
    how = {name: getattr(settings, name) for name in ("text_column", "follow_links", "data_format")}
    how["chunk_rows"] = options.chunk_rows
    inputs = resuming.inputs(each for path in options.input for each in resuming.files_below(path))
    notes: list[str] = []
    with quarantine.opened() as aside:
        set_aside = aside.add if settings.skip_bad else None
        result = predicting.score_in_chunks(
            options,
            checking.iterate_texts(
                list(map(str, options.input)),
                **how,
                set_aside=set_aside,
                note=notes.append,
                keep=options.keep_columns,
            ),
            lambda chunk: score(chunk, model, class_names),
            what="texts scored",
            plan={"inputs": inputs, "skip_bad": settings.skip_bad, **how, **identity},
            told=lambda: {"set_aside": aside.rows},
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
    path = _place_of_set_aside(output)
    if aside.rows:
        aside.write(path)
        log.warning("%d rows could not be read: they are in %s", aside.rows, path)
    return verbs.set_aside(aside.rows, path)


def _place_of_set_aside(output: pathlib.Path) -> pathlib.Path:
    return files.beside(output, ".quarantine.csv", stem=output.stem)


def merge(options: parser.PredictOptions, parts: Sequence[shards.Part]) -> tuple[None, Callable[[], dict[str, Any]]]:
    """Return how the rows that were set aside are copied: each shard reads, and so sets aside, all of them.

    Raises:
        errors.InputError: They are not where the first shard wrote them.
    """
    first, target = parts[0], _place_of_set_aside(options.output)
    rows, source = first.manifest["told"]["set_aside"], _place_of_set_aside(first.path)
    if rows and not source.is_file():
        raise errors.InputError(
            f"{first.path}: expected the rows it set aside in {source.name}. Received: no such file"
        )

    def copy() -> dict[str, Any]:
        if rows:
            with files.atomic(target) as temporary:
                shutil.copyfile(source, temporary)
        return verbs.set_aside(rows, target)

    return None, copy


def score(chunk: pd.DataFrame, model: Score, class_names: tuple[str, ...]) -> pd.DataFrame:
    """Return one output row per text: file, row, label, decision and ``score_<class>``."""
    predicted = model(chunk["text"].to_numpy(object))
    columns: dict[str, Any] = {"file": chunk["file"], "row": chunk["row"]}
    columns |= {"label": predicted["labels"].astype(str), "decision": predicted["decision"].astype(str)}
    columns |= {f"score_{name}": predicted["scores"][:, index] for index, name in enumerate(class_names)}
    return pd.DataFrame(columns)


def _open(options: parser.PredictOptions) -> tuple[Score, tuple[str, ...], dict[str, str]]:
    """Return what predicts texts, the classes, and what identifies the model to a resumed call."""
    if options.model_dir is not None:
        from shared.bundle import engines

        loaded = options.model(functools.partial(engines.load, options.model_dir, options.engine))
        names = tuple(loaded.extra("decision.json")["class_names"])
        identity = {"model": loaded.digest, "engine": loaded.engine.name}
        from apps.sentiment import corpus

        return corpus.in_batches(lambda texts: loaded.run({"text": texts})), names, identity
    from apps.sentiment import run as loaded_run

    run = options.model(lambda: loaded_run.open_run(options.run_dir))
    return run.predictions, run.decision.class_names, {"model": resuming.run_digest(run.folder.path)}
