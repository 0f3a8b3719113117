"""What drift of transactions is judged on: what the networks read, and what they say."""

import logging
import pathlib
from typing import Any

import numpy as np
import numpy.typing as npt

from apps.fraud_detection import features, graph, inputs, scoring
from apps.fraud_detection.transactions import Transactions
from shared import cli, monitoring
from shared.serving import bundle

log = logging.getLogger("fieldnets")


def monitor(loaded: bundle.Bundle, transactions: Transactions, *, output: pathlib.Path | None) -> cli.Result:
    """Compare new transactions with the bundle's reference; see ``shared.monitoring``.

    The first days, whose history the file does not hold, are left out. Where no others are there, histories and the
    score, which is made of them, are not compared.
    """
    found = inputs.Inputs.from_json(loaded.extra("inputs.json"))
    history = inputs.compute_history(transactions, found.schema)
    rows = settled(transactions, found)
    answers = loaded.run(graph.columns(found, transactions, history, rows), signature="score")
    numbers = inputs.numbers(found, transactions, history, rows)
    columns = _columns(found, numbers, answers["score"])
    names = {name: name.replace("_", " ") for name in columns}
    left_out = () if is_settled(transactions, found) else (*found.history, "score")
    if left_out:
        log.warning(
            "%s is too short for the histories of cards: they and the score are not compared", transactions.name
        )
    return monitoring.monitor(loaded, columns, names=names, things="transactions", output=output, left_out=left_out)


def settled(transactions: Transactions, found: inputs.Inputs) -> npt.NDArray[np.int64]:
    """Return the rows before which the file holds as much history as features look at, or else all."""
    if not is_settled(transactions, found):
        return np.arange(len(transactions))
    return np.flatnonzero(transactions.time - transactions.time[0] >= inputs.needed_days(found) * features.DAY)


def is_settled(transactions: Transactions, found: inputs.Inputs) -> bool:
    """Return whether some rows have as much history in the file as features look at."""
    return bool(transactions.time[-1] - transactions.time[0] >= inputs.needed_days(found) * features.DAY)


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
