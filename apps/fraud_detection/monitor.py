"""The columns in which drift of transactions is looked for: what the networks read, and the score."""

import logging
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from apps.fraud_detection import config, data, features, graph, inputs, tensor_names
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
    left_out = () if is_settled(transactions, found) else (*made_of_history(found), tensor_names.SCORE)
    if left_out:
        log.warning(
            "%s is too short for the histories of cards: they and the score are not compared", transactions.name
        )
    return monitoring.monitor(loaded, measured, names=names, things="transactions", output=output, left_out=left_out)


def measure(ask: monitoring.Ask, raw: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """Return the columns of the signature ``drift``, each (n,).

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


def made_of_history(found: inputs.Inputs) -> list[str]:
    """Return the drift columns that are made of earlier transactions."""
    called = tensor_names.of_drift(found)
    pairs = zip(found.numbers, called["numbers"], strict=True)
    made = {f"{inputs.COMPUTED}{name}" for name in found.history}
    return [*(name for column, name in pairs if column in made), *called.get("sequence", ())]


def columns(
    found: inputs.Inputs, arrays: Mapping[str, Any], categories: Mapping[str, Any], score: Any
) -> dict[str, Any]:
    """Return the drift columns, each (n,), in a graph: everything that the networks read, and what they give.

    Of a sequence, the mean of each channel over the transactions in it, and how many there are.

    Args:
        found: Which columns the networks read.
        arrays: What they read, array name -> (n, ...).
        categories: Categorical column -> (n,) string, as ``graph.Reader.known_names`` returns it.
        score: (n,) float64 that they give.
    """
    called = tensor_names.of_drift(found)
    numbers = tf.cast(arrays["numbers"], tf.float64)
    result = {name: numbers[:, index] for index, name in enumerate(called["numbers"])}
    result |= dict(zip(called["categories"], categories.values(), strict=True))
    if "sequence" in called:
        steps = tf.cast(arrays["sequence"], tf.float64)
        count = tf.reduce_sum(steps[:, :, -1:], axis=1)
        means = tf.math.divide_no_nan(tf.reduce_sum(steps, axis=1), count)
        means = tf.concat([means[:, :-1], count], axis=1)
        result |= {name: means[:, index] for index, name in enumerate(called["sequence"])}
    return {**result, tensor_names.SCORE: score}
