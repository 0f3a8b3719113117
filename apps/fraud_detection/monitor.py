"""What drift of transactions is judged on: what the networks read, and what they say."""

import logging
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from apps.fraud_detection import config, data, features, graph, inputs
from apps.fraud_detection import run as loaded_run
from apps.fraud_detection.transactions import Transactions
from shared import cli, monitoring
from shared.bundle import reading as bundle

log = logging.getLogger("fieldnets")


def load(settings: config.Config, loaded: bundle.Bundle, *, quarantine: pathlib.Path) -> Transactions:
    """Read new transactions, without labels, by the schema of the bundle's model; none is ever set aside."""
    del quarantine
    trained_on = inputs.Inputs.from_json(loaded.extra("inputs.json")).schema
    return data.load(settings, trained_on=trained_on, labelled=False)


def monitor(loaded: bundle.Bundle, transactions: Transactions, *, output: pathlib.Path | None) -> cli.Result:
    """Compare new transactions with the bundle's reference; see ``shared.monitoring``.

    The first days, whose history the file does not hold, are left out. Where no others are there, histories and the
    score, which is made of them, are not compared.
    """
    found = inputs.Inputs.from_json(loaded.extra("inputs.json"))
    history = inputs.compute_history(transactions, found.schema)
    rows = settled(transactions, found)
    measured = measure(monitoring.asking(loaded), graph.columns(found, transactions, history, rows))
    names = {name: name.replace("_", " ") for name in measured}
    left_out = () if is_settled(transactions, found) else (*found.history, "score")
    if left_out:
        log.warning(
            "%s is too short for the histories of cards: they and the score are not compared", transactions.name
        )
    return monitoring.monitor(loaded, measured, names=names, things="transactions", output=output, left_out=left_out)


def measure(ask: monitoring.Ask, raw: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """Return what drift is judged on, each (n,).

    Args:
        ask: The signature ``drift``.
        raw: What it takes, as from ``graph.columns``.
    """
    return monitoring.in_batches(ask, raw, rows=loaded_run.BATCH_ROWS)


def settled(transactions: Transactions, found: inputs.Inputs) -> npt.NDArray[np.int64]:
    """Return the rows before which the file holds as much history as features look at, or else all."""
    if not is_settled(transactions, found):
        return np.arange(len(transactions))
    return np.flatnonzero(transactions.time - transactions.time[0] >= inputs.needed_days(found) * features.DAY)


def is_settled(transactions: Transactions, found: inputs.Inputs) -> bool:
    """Return whether some rows have as much history in the file as features look at."""
    return bool(transactions.time[-1] - transactions.time[0] >= inputs.needed_days(found) * features.DAY)


def columns(found: inputs.Inputs, numbers: Any, score: Any) -> dict[str, Any]:
    """Return the drift columns, each (n,) float64, in a graph.

    Args:
        found: Which columns the networks read.
        numbers: (n, columns) float32 that they read.
        score: (n,) float64 that they give.
    """
    own = {name: tf.cast(numbers[:, index], tf.float64) for index, name in enumerate(found.numbers)}
    return {**own, "score": score}
