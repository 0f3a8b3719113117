"""Score files of any length: stream transactions in, write scores and decisions out."""

import argparse
import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from apps.fraud_detection import config, graph, inputs, prepare, stream
from apps.fraud_detection import decision as decision_rule
from apps.fraud_detection.readers import sources
from apps.fraud_detection.transactions import Transactions
from shared import batch, cli, files, progress

READ_ROWS = 100_000
Answer = Callable[[stream.Block, npt.NDArray[np.int64]], dict[str, npt.NDArray[Any]]]


def predict(arguments: argparse.Namespace) -> cli.Result:
    """Score every transaction of the input files, with a run or with a bundle.

    The files are one stream in order of time, each transaction compared with those before it. Files of ``--history``
    come before them and are not scored.

    Raises:
        errors.InputError: An input cannot be read, or the output exists.
    """
    reading = prepare.reading(cli.source_settings(config.Config, config.DATA_FIELDS, arguments))
    given, earlier = [str(path) for path in arguments.input], [str(path) for path in arguments.history or ()]
    sizes = [{str(path): path.stat().st_size for path in sources.files_of(each, reading)} for each in (given, earlier)]
    files.refuse_output_over_input(arguments.output, [pathlib.Path(path) for each in sizes for path in each])
    answer, found, identity = _open(arguments)
    how = {"chunk_rows": arguments.chunk_rows, "reading": dataclasses.asdict(reading)}
    with progress.rows("transactions scored", arguments.input) as advance:
        result = batch.predict(
            _scored(earlier, given, answer, found, chunk_rows=arguments.chunk_rows, reading=reading),
            lambda chunk: chunk,
            output=arguments.output,
            plan={"inputs": sizes[0], "history": sizes[1], **how, **identity},
            resume=arguments.resume,
            overwrite=arguments.overwrite,
            on_rows=advance,
        )
    return {"output": str(arguments.output), "rows": result.rows, "resumed_rows": result.resumed_rows}


def _scored(
    earlier: list[str],
    given: list[str],
    answer: Answer,
    found: inputs.Inputs,
    *,
    chunk_rows: int,
    reading: sources.Reading,
) -> Iterator[pd.DataFrame]:
    """Yield the output rows, in chunks of at most ``chunk_rows`` or of the size in which files are read."""

    def read(paths: list[str]) -> Iterator[Transactions]:
        return sources.iterate(paths, found.schema, chunk_rows=READ_ROWS, reading=reading)

    unscored = sum(len(part) for part in read(earlier)) if earlier else 0
    parts = read([*earlier, *given])
    needed = (dataclasses.replace(part, groups=None, scenarios=None) for part in parts)
    for block in stream.blocks(needed, found):
        new = len(block.transactions) - block.first
        skipped = min(unscored, new)
        unscored -= skipped
        size = max(chunk_rows, READ_ROWS)
        for start in range(block.first + skipped, len(block.transactions), size):
            rows = np.arange(start, min(start + size, len(block.transactions)))
            yield _table(block, rows, answer(block, rows))
        del block


def _table(block: stream.Block, rows: npt.NDArray[np.int64], answers: Mapping[str, npt.NDArray[Any]]) -> pd.DataFrame:
    transactions = block.transactions
    name = transactions.schema.id or "row"
    return pd.DataFrame({name: transactions.ids[rows], **answers})


def _open(arguments: argparse.Namespace) -> tuple[Answer, inputs.Inputs, dict[str, str]]:
    """Return how to answer, which arrays are read, and what identifies the model to a resumed call."""
    if arguments.model_dir is not None:
        from shared.bundle import engines

        loaded = engines.load(arguments.model_dir, arguments.engine)
        found = inputs.Inputs.from_json(loaded.extra("inputs.json"))

        def ask(block: stream.Block, rows: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:
            outputs = loaded.run(graph.columns(found, block.transactions, block.history, rows), signature="score")
            return {name: outputs[name] for name in ("score", "decision")}

        return ask, found, {"model": str(loaded.path), "engine": loaded.engine.name}
    from apps.fraud_detection import run as loaded_run

    run = loaded_run.open_run(arguments.run_dir)
    return with_scorer(run.newest), run.inputs, {"model": files.sha256(run.folder.model)}


def with_scorer(scorer: Any) -> Answer:
    """Return how a run's own model answers."""
    decide: decision_rule.DecisionRule = scorer.decision_rule

    def answer(block: stream.Block, rows: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:
        scores = scorer.scores(inputs.arrays(scorer.inputs, block.transactions, block.history, rows))
        return {"score": scores, "decision": decide.decisions(scores)}

    return answer
