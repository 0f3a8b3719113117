"""The verb ``monitor``: new transactions beside the bundle's reference, in all that the networks read and give."""

import logging
import pathlib

import numpy as np
import numpy.typing as npt

from apps.fraud_detection import config, data, features, inputs, model, tensor_names
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
    raw = tensor_names.columns(found, transactions, history, rows)
    columns = monitoring.in_batches(monitoring.asking(loaded), raw, rows=model.BATCH_ROWS)
    names = {name: name.replace("_", " ") for name in columns}
    left_out = () if is_settled(transactions, found) else (*made_of_history(found), tensor_names.SCORE)
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


def made_of_history(found: inputs.Inputs) -> list[str]:
    """Return the drift columns that are made of earlier transactions."""
    called = tensor_names.of_drift(found)
    pairs = zip(found.numbers, called["numbers"], strict=True)
    made = {f"{inputs.COMPUTED}{name}" for name in found.history}
    return [*(name for column, name in pairs if column in made), *called.get("sequence", ())]
