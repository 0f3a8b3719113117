"""What drift of transactions is judged on: what the networks read, and what they say."""

import pathlib
from typing import Any

import numpy as np
import numpy.typing as npt

from apps.fraud_detection import features, graph, inputs, scoring
from apps.fraud_detection.transactions import Transactions
from shared import cli, monitoring
from shared.serving import bundle


def monitor(loaded: bundle.Bundle, transactions: Transactions, *, output: pathlib.Path | None) -> cli.Result:
    """Compare new transactions with the bundle's reference; see ``shared.monitoring``.

    The first days, whose history the file does not hold, are left out where enough others are there.
    """
    found = inputs.Inputs.from_json(loaded.extra("inputs.json"))
    history = inputs.compute_history(transactions, found.schema)
    rows = settled(transactions, found)
    answers = loaded.run(graph.columns(found, transactions, history, rows), signature="score")
    numbers = inputs.numbers(found, transactions, history, rows)
    columns = _columns(found, numbers, answers["score"])
    names = {name: name.replace("_", " ") for name in columns}
    return monitoring.monitor(loaded, columns, names=names, things="transactions", output=output)


def settled(transactions: Transactions, found: inputs.Inputs) -> npt.NDArray[np.int64]:
    """Return the rows before which the file holds as much history as features look at, or else all."""
    if not found.history:
        return np.arange(len(transactions))
    needed = inputs.needed_days(found) * features.DAY
    rows = np.flatnonzero(transactions.time - transactions.time[0] >= needed)
    return rows if len(rows) else np.arange(len(transactions))


def columns(
    scorer: scoring.Scorer, _raw: dict[str, npt.NDArray[Any]], arrays: dict[str, npt.NDArray[Any]]
) -> dict[str, npt.NDArray[Any]]:
    """Return the drift columns of transactions that the model was not trained on."""
    return _columns(scorer.inputs, arrays["numbers"], scorer.scores(arrays))


def _columns(
    found: inputs.Inputs, numbers: npt.NDArray[np.float32], scores: npt.NDArray[np.floating[Any]]
) -> dict[str, npt.NDArray[Any]]:
    own = {name: numbers[:, index].astype(np.float64) for index, name in enumerate(found.numbers)}
    return {**own, "score": np.asarray(scores, np.float64)}
