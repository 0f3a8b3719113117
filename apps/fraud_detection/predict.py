"""Score files of any length: stream transactions in, write scores and decisions out."""

import collections
import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from apps.fraud_detection import data, graph, inputs, stream
from apps.fraud_detection import decision as decision_rule
from apps.fraud_detection.readers import sources
from apps.fraud_detection.transactions import Transactions
from shared import cli, files, parser, resuming, verbs

READ_ROWS = 100_000
Answer = Callable[[stream.Block, npt.NDArray[np.int64]], dict[str, npt.NDArray[Any]]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(parser.PredictOptions):
    """What ``predict`` is asked for.

    Attributes:
        history: Files of earlier transactions, labelled if possible, which are not scored.
    """

    history: Sequence[pathlib.Path] | None = None


def predict(options: Options) -> cli.Result:
    """Score every transaction of the input files, with a run or with a bundle.

    The files are one stream in order of time, each transaction compared with those before it. Files of ``--history``
    come before them and are not scored.

    Raises:
        errors.InputError: An input cannot be read, or the output exists.
    """
    reading = data.reading(options.settings)
    given, earlier = [str(path) for path in options.input], [str(path) for path in options.history or ()]
    listed = [sources.files_of(each, reading) for each in (given, earlier)]
    files.refuse_output_over_input(options.output, [path for each in listed for path in each])
    answer, found, identity = _open(options)
    notes: list[str] = []

    def read(paths: list[str]) -> Iterator[Transactions]:
        return sources.iterate(paths, found.schema, chunk_rows=READ_ROWS, reading=reading, tell=notes.append)

    how = {"chunk_rows": options.chunk_rows, "reading": dataclasses.asdict(reading)}
    written = verbs.score_in_chunks(
        options,
        _scored(earlier, given, answer, found, chunk_rows=options.chunk_rows, read=read),
        lambda chunk: chunk,
        what="transactions scored",
        plan={"inputs": resuming.inputs(listed[0]), "history": resuming.inputs(listed[1]), **how, **identity},
    )
    return written | ({"notes": list(dict.fromkeys(notes))} if notes else {})


def _scored(
    earlier: list[str],
    given: list[str],
    answer: Answer,
    found: inputs.Inputs,
    *,
    chunk_rows: int,
    read: Callable[[list[str]], Iterator[Transactions]],
) -> Iterator[pd.DataFrame]:
    """Yield the output rows, in chunks of at most ``chunk_rows`` or of the size in which files are read."""
    unscored = sum(len(part) for part in read(earlier)) if earlier else 0
    places: list[pd.DataFrame] = []
    for block in stream.blocks(_placed(read([*earlier, *given]), places), found):
        # The new rows of a block are those of the parts that were read since the one before.
        where = pd.concat(places, ignore_index=True)
        places.clear()
        skipped = min(unscored, len(where))
        unscored -= skipped
        size = max(chunk_rows, READ_ROWS)
        for start in range(block.first + skipped, len(block.transactions), size):
            rows = np.arange(start, min(start + size, len(block.transactions)))
            yield _table(block, rows, where.iloc[rows - block.first], answer(block, rows))
        del block


def _placed(parts: Iterable[Transactions], places: list[pd.DataFrame]) -> Iterator[Transactions]:
    """Yield the parts without what is not needed, and add file and row (from 1) of their transactions to ``places``."""
    before: collections.Counter[str] = collections.Counter()
    for part in parts:
        rows = np.arange(1, len(part) + 1) + before[part.name]
        places.append(pd.DataFrame({"file": files.printable(part.name), "row": rows}))
        before[part.name] += len(part)
        yield dataclasses.replace(part, groups=None, scenarios=None)


def _table(
    block: stream.Block, rows: npt.NDArray[np.int64], where: pd.DataFrame, answers: Mapping[str, npt.NDArray[Any]]
) -> pd.DataFrame:
    """Return file, row, the id where the data has one (as ``id`` where it is called as ours are), and the answers."""
    transactions = block.transactions
    table = where.reset_index(drop=True)
    if (name := transactions.schema.id) is not None:
        table["id" if name in (*table, *answers) else name] = transactions.ids[rows]
    return table.assign(**answers)


def _open(options: Options) -> tuple[Answer, inputs.Inputs, dict[str, str]]:
    """Return how to answer, which arrays are read, and what identifies the model to a resumed call."""
    if options.model_dir is not None:
        from shared.bundle import engines

        loaded = engines.load(options.model_dir, options.engine)
        found = inputs.Inputs.from_json(loaded.extra("inputs.json"))

        def ask(block: stream.Block, rows: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:
            outputs = loaded.run(graph.columns(found, block.transactions, block.history, rows), signature="score")
            return {name: outputs[name] for name in ("score", "decision")}

        return ask, found, {"model": loaded.digest, "engine": loaded.engine.name}
    from apps.fraud_detection import run as loaded_run

    run = loaded_run.open_run(options.run_dir)
    return with_scorer(run.newest), run.inputs, {"model": resuming.run_digest(run.folder.path)}


def with_scorer(scorer: Any) -> Answer:
    """Return how a run's own model answers."""
    decide: decision_rule.DecisionRule = scorer.decision_rule

    def answer(block: stream.Block, rows: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:
        scores = scorer.scores(inputs.arrays(scorer.inputs, block.transactions, block.history, rows))
        return {"score": scores, "decision": decide.decisions(scores)}

    return answer
