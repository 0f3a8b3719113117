"""The verb ``predict``: files of any length, block after block with the history each needs, in bounded memory."""

import collections
import dataclasses
import functools
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from apps.fraud_detection import data, features, fused, inputs, preprocessing, stored_histories, tensor_names
from apps.fraud_detection import decision as decision_rule
from apps.fraud_detection.readers import sources
from apps.fraud_detection.transactions import Transactions, concatenate
from shared import cli, files, parser, predicting, resuming
from shared.sources import kept

READ_ROWS = 100_000
# A block is as long as the history before it, which is sorted again with each: memory against time.
SMALLEST_BLOCK, BLOCK_SHARE = 100_000, 1.0


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """Some transactions after the history that they are compared with.

    Attributes:
        transactions: History and new transactions.
        history: Feature -> (n,) float32 of all of them.
        first: The first new transaction; those before it have been yielded already.
    """

    transactions: Transactions
    history: Mapping[str, npt.NDArray[np.float32]]
    first: int

    def latest(self, time: int) -> "Block":
        """Return the transactions from ``time`` on, none of them new."""
        rows = np.arange(np.searchsorted(self.transactions.time, time, side="left"), len(self.transactions))
        history = {name: values[rows] for name, values in self.history.items()}
        return Block(transactions=self.transactions.take(rows), history=history, first=len(rows))


Predict = Callable[[Block, npt.NDArray[np.int64]], dict[str, npt.NDArray[Any]]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(parser.PredictOptions):
    """What ``predict`` is asked for.

    Attributes:
        history: Files of earlier transactions, labelled if possible, which are not scored.
        histories: A folder that ``histories`` wrote of the earlier files and the inputs; None: they are computed.
    """

    history: Sequence[pathlib.Path] | None = None
    histories: pathlib.Path | None = None


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
    predict_rows, found, identity = _open(options)
    notes: list[str] = []

    keep = sources.kept_columns(given, options.keep_columns, reading)

    def read(paths: list[str]) -> Iterator[Transactions]:
        return sources.iterate(paths, found.schema, chunk_rows=READ_ROWS, reading=reading, tell=notes.append, keep=keep)

    how = {"chunk_rows": options.chunk_rows, "reading": dataclasses.asdict(reading)}
    hashes = {"inputs": resuming.inputs(listed[0]), "history": resuming.inputs(listed[1])}
    stored = None
    if options.histories is not None:
        stored = stored_histories.open_folder(options.histories, found, [*hashes["history"], *hashes["inputs"]])
        how["histories"] = True
    stream = Stream(found, predict_rows, stored=stored)
    written = predicting.score_in_chunks(
        options,
        stream.chunks(earlier, given, chunk_rows=options.chunk_rows, read=read),
        stream.score,
        what="transactions scored",
        plan={**hashes, **how, **identity},
    )
    return written | ({"notes": list(dict.fromkeys(notes))} if notes else {})


class Stream:
    """New transactions in chunks, each scored with the history of its block, or not at all."""

    def __init__(
        self, found: inputs.Inputs, predict_rows: Predict, *, stored: stored_histories.Stored | None = None
    ) -> None:
        """Begin before the first transaction."""
        self._found = found
        self._predict_rows = predict_rows
        self._stored = stored
        self._latest: tuple[Block, npt.NDArray[np.int64]] | None = None

    def chunks(
        self,
        earlier: list[str],
        given: list[str],
        *,
        chunk_rows: int,
        read: Callable[[list[str]], Iterator[Transactions]],
    ) -> Iterator[pd.DataFrame]:
        """Yield file and row, in chunks of at most ``chunk_rows`` or of the size in which files are read."""
        unscored = sum(len(part) for part in read(earlier)) if earlier else 0
        places: list[pd.DataFrame] = []
        for block in blocks(_placed(read([*earlier, *given]), places), self._found, stored=self._stored):
            # The new rows of a block are those of the parts that were read since the one before.
            where = pd.concat(places, ignore_index=True)
            places.clear()
            skipped = min(unscored, len(where))
            unscored -= skipped
            size = max(chunk_rows, READ_ROWS)
            for start in range(block.first + skipped, len(block.transactions), size):
                rows = np.arange(start, min(start + size, len(block.transactions)))
                self._latest = block, rows
                yield where.iloc[rows - block.first]
            self._latest = None
            del block

    def score(self, where: pd.DataFrame) -> pd.DataFrame:
        """Return the output rows of the chunk that was yielded last."""
        if self._latest is None:
            raise ValueError("expected a chunk that `chunks` has just yielded. Received: one before, or none")
        block, rows = self._latest
        return _table(block, rows, where, self._predict_rows(block, rows))


def _placed(parts: Iterable[Transactions], places: list[pd.DataFrame]) -> Iterator[Transactions]:
    """Yield the parts without what is not needed, and add file and row (from 1) of their transactions to ``places``."""
    before: collections.Counter[str] = collections.Counter()
    for part in parts:
        rows = np.arange(1, len(part) + 1) + before[part.name]
        place = pd.DataFrame({"file": files.printable(part.name), "row": rows})
        # The column of ids stands in every output.
        names = [name for name in part.kept if name != part.schema.id or name in ("file", "row")]
        places.append(kept.beside(place, names, [part.kept[name].tolist() for name in names]))
        before[part.name] += len(part)
        yield dataclasses.replace(part, groups=None, scenarios=None, kept={})


def _table(
    block: Block, rows: npt.NDArray[np.int64], where: pd.DataFrame, predicted: Mapping[str, npt.NDArray[Any]]
) -> pd.DataFrame:
    """Return file, row, the id where there is one (as ``id`` where it is called as ours are), and the predictions."""
    transactions = block.transactions
    table = where.reset_index(drop=True)
    if (name := transactions.schema.id) is not None:
        table["id" if name in (*table, *predicted) else name] = transactions.ids[rows]
    return table.assign(**predicted)


def _open(options: Options) -> tuple[Predict, inputs.Inputs, dict[str, str]]:
    """Return how to predict rows, which arrays are read, and what identifies the model to a resumed call."""
    if options.model_dir is not None:
        from shared.bundle import engines

        if options.engine is None and (opened := _fused(options.model_dir)) is not None:
            return opened
        loaded = options.model(functools.partial(engines.load, options.model_dir, options.engine))
        found = inputs.Inputs.from_json(loaded.extra("inputs.json"))

        def predict_rows(block: Block, rows: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:
            outputs = loaded.run(
                tensor_names.columns(found, block.transactions, block.history, rows), signature="score"
            )
            return {name: outputs[name] for name in ("score", "decision")}

        return predict_rows, found, {"model": loaded.digest, "engine": loaded.engine.name}
    from apps.fraud_detection import run as loaded_run

    run = options.model(lambda: loaded_run.open_run(options.run_dir))
    return with_scorer(run.newest), run.inputs, {"model": resuming.run_digest(run.folder.path)}


def _fused(path: pathlib.Path) -> tuple[Predict, inputs.Inputs, dict[str, str]] | None:
    """Return what ``_open`` does of a bundle that holds its networks as one function, which is faster than engines."""
    from shared.bundle import reading

    folder = reading.find(path)
    extra = folder / reading.EXTRA
    if not (extra / fused.FILE).is_file():
        return None
    reading.check_manifest(folder)
    found = inputs.Inputs.from_json(files.read_json(extra / inputs.FILE), where=str(extra / inputs.FILE))
    ensemble = fused.Fused.from_json(files.read_json(extra / fused.FILE), where=str(extra / fused.FILE))
    decided = files.read_json(extra / "decision.json")
    # A bundle's holds the names of reasons, too.
    decided.pop("reasons", None)
    decide = decision_rule.DecisionRule.from_json(decided, where=str(extra / "decision.json"))

    def predict_rows(block: Block, rows: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:
        if found.sequence_length:
            # Once, before several threads ask for it.
            _ = block.transactions.by_payer

        def read(some: slice) -> dict[str, npt.NDArray[Any]]:
            return preprocessing.arrays(found, block.transactions, block.history, rows[some])

        scores = ensemble.scores(len(rows), read)
        return {"score": scores, "decision": decide.decisions(scores)}

    return predict_rows, found, {"model": files.sha256(folder / reading.MANIFEST), "engine": "fused"}


def with_scorer(scorer: Any) -> Predict:
    """Return how a run's own model predicts rows."""
    decide: decision_rule.DecisionRule = scorer.decision_rule

    def predict_rows(block: Block, rows: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:
        scores = scorer.scores(preprocessing.arrays(scorer.inputs, block.transactions, block.history, rows))
        return {"score": scores, "decision": decide.decisions(scores)}

    return predict_rows


def blocks(
    parts: Iterable[Transactions], found: inputs.Inputs, *, stored: stored_histories.Stored | None = None
) -> Iterator[Block]:
    """Join parts, each later than the one before, to blocks whose history is whole.

    Args:
        parts: Transactions in order of time.
        found: What the model reads, and so how far it looks back.
        stored: The histories of these transactions, where they were computed before.
    """
    names = found.schema

    def history(joined: Transactions, first: int) -> dict[str, npt.NDArray[np.float32]]:
        if stored is not None:
            return stored.take(len(joined) - first)
        return inputs.compute_history(joined, names, first=first)

    needed = round(_days_back(found, computed=stored is None) * features.DAY)
    before: Block | None = None
    waiting: list[Transactions] = []
    for part in parts:
        waiting.append(part)
        if sum(map(len, waiting)) >= max(SMALLEST_BLOCK, 0 if before is None else BLOCK_SHARE * before.first):
            block = _block(before, waiting, history)
            yield block
            before, waiting = block.latest(int(block.transactions.time[-1]) - needed), []
            # Before the next is made: two at once would be twice the memory.
            del block
    if waiting:
        yield _block(before, waiting, history)


def _days_back(found: inputs.Inputs, *, computed: bool) -> float:
    """Return how many days before a block are kept: for what is computed, and for sequences."""
    if not found.schema.entities:
        return 0
    if computed:
        return max(features.needed_days(found.schema.label_delay_days), inputs.SEQUENCE_DAYS)
    return inputs.SEQUENCE_DAYS if found.sequence_length else 0


def _block(
    before: Block | None,
    waiting: list[Transactions],
    compute: Callable[[Transactions, int], dict[str, npt.NDArray[np.float32]]],
) -> Block:
    """Compute the features of the new transactions; those of the ones before are known."""
    if before is None:
        joined = concatenate(waiting)
        return Block(transactions=joined, history=compute(joined, 0), first=0)
    joined = concatenate([before.transactions, *waiting])
    fresh = compute(joined, before.first)
    history = {name: np.concatenate([before.history[name], values]) for name, values in fresh.items()}
    return Block(transactions=joined, history=history, first=before.first)
