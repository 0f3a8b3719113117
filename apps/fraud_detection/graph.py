"""Raw columns -> what the networks read, as a part of the exported graph: the counterpart of ``inputs.arrays``."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from apps.fraud_detection import features, inputs
from apps.fraud_detection.transactions import Transactions

DAY_SECONDS = 86_400.0


def plain(column: str) -> str:
    """Return a column's name as a name of a tensor.

    >>> plain("Transaction Amount (EUR)")
    'Transaction_Amount__EUR_'
    """
    return re.sub(r"\W", "_", column)


def specs(found: inputs.Inputs) -> dict[str, tf.TensorSpec]:
    """Return the inputs of a signature: raw columns by their names, and the history of the entities.

    The time is float64 seconds, since 1970 for calendar times and else since the beginning of the data.
    """
    names = found.schema
    result: dict[str, tuple[list[int | None], Any]] = {}
    if {inputs.HOUR, inputs.WEEKEND} & set(found.numbers):
        result[plain(names.time)] = ([None], tf.float64)
    if names.amount is not None:
        result[plain(names.amount)] = ([None], tf.float32)
    result |= {plain(name): ([None], tf.float32) for name in (*names.numeric, *found.history)}
    result |= {plain(name): ([None], tf.string) for name in found.vocabularies}
    if found.sequence_length:
        result["sequence"] = ([None, found.sequence_length, len(inputs.CHANNELS)], tf.float32)
    return {name: tf.TensorSpec(shape, kind, name) for name, (shape, kind) in result.items()}


def columns(
    found: inputs.Inputs,
    transactions: Transactions,
    history: Mapping[str, npt.NDArray[np.float32]],
    rows: npt.NDArray[np.int64] | slice,
) -> dict[str, npt.NDArray[Any]]:
    """Return what a signature takes, from transactions: input name -> (n, ...)."""
    names = found.schema
    result: dict[str, npt.NDArray[Any]] = {}
    if {inputs.HOUR, inputs.WEEKEND} & set(found.numbers):
        result[plain(names.time)] = transactions.time[rows] / features.MICROSECONDS
    if names.amount is not None:
        result[plain(names.amount)] = transactions.amount[rows].astype(np.float32)
    result |= {plain(name): transactions.numeric[name][rows] for name in names.numeric}
    result |= {plain(name): history[name][rows] for name in found.history}
    result |= {plain(name): transactions.categorical[name][rows] for name in found.vocabularies}
    if found.sequence_length:
        result["sequence"] = inputs.sequences(found, transactions, history, rows)
    return result


class Reader(tf.Module):  # type: ignore[misc]
    """Turns the tensors of ``specs`` into the arrays of ``inputs.arrays``; holds the tables of names."""

    def __init__(self, found: inputs.Inputs) -> None:
        super().__init__()
        self._found = found
        self._tables = {name: _table(words) for name, words in found.vocabularies.items() if words}

    def __call__(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """Return ``numbers``, and ``categories`` and ``sequence`` where the inputs have them."""
        result = {"numbers": tf.stack([self._number(name, raw) for name in self._found.numbers], axis=1)}
        if self._found.vocabularies:
            result["categories"] = tf.stack(
                [self._ids(name, raw[plain(name)]) for name in self._found.vocabularies], axis=1
            )
        if self._found.sequence_length:
            result["sequence"] = raw["sequence"]
        return result

    def _number(self, name: str, raw: Mapping[str, Any]) -> Any:
        names = self._found.schema
        if name in names.numeric or name in self._found.history:
            return raw[plain(name)]
        if name == inputs.AMOUNT:
            return raw[plain(names.amount or "")]
        seconds = raw[plain(names.time)]
        if name == inputs.HOUR:
            return tf.cast(tf.math.floormod(seconds, tf.constant(DAY_SECONDS, tf.float64)) / 3_600.0, tf.float32)
        day = tf.math.floor(seconds / DAY_SECONDS)
        weekday = tf.math.floormod(day + inputs.FIRST_WEEKDAY, tf.constant(7.0, tf.float64))
        return tf.cast(weekday >= inputs.SATURDAY, tf.float32)

    def _ids(self, name: str, values: Any) -> Any:
        if name not in self._tables:
            return tf.zeros(tf.shape(values), tf.int32)
        return tf.cast(self._tables[name].lookup(values), tf.int32)


def _table(words: tuple[str, ...]) -> Any:
    """Return the ids of names, from 1; 0 for any other."""
    entries = tf.lookup.KeyValueTensorInitializer(tf.constant(words), tf.range(1, len(words) + 1, dtype=tf.int64))
    return tf.lookup.StaticHashTable(entries, default_value=0)
