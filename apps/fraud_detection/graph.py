"""The exported graph around the network: raw columns to what it reads (as in ``preprocessing``), and drift columns."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from apps.fraud_detection import inputs, tensor_names
from shared.evaluation import drift

DAY_SECONDS = 86_400.0


def specs(found: inputs.Inputs) -> dict[str, tf.TensorSpec]:
    """Return the inputs of a signature: raw columns and the history of the entities, by ``tensor_names``.

    The time is float64 seconds, since 1970 for calendar times and else since the beginning of the data.
    """
    kinds = {"time": tf.float64, "text": tf.string}
    sequence = [None, found.sequence_length, len(inputs.CHANNELS)]
    return {
        name: tf.TensorSpec(sequence if source.kind == "sequence" else [None], kinds.get(source.kind, tf.float32), name)
        for source, name in tensor_names.of_inputs(found).items()
    }


class Reader(tf.Module):  # type: ignore[misc]
    """Turns the tensors of ``specs`` into the arrays of ``preprocessing.arrays``; holds the tables of names."""

    def __init__(self, found: inputs.Inputs) -> None:
        super().__init__()
        self._found = found
        self._names = {tuple(source): name for source, name in tensor_names.of_inputs(found).items()}
        self._tables = {name: _table(words) for name, words in found.vocabularies.items() if words}

    def __call__(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """Return ``numbers``, and ``categories`` and ``sequence`` where the inputs have them."""
        result = {"numbers": tf.stack([self._number(name, raw) for name in self._found.numbers], axis=1)}
        if self._found.vocabularies:
            result["categories"] = tf.stack(
                [self._ids(name, self._raw(raw, "text", name)) for name in self._found.vocabularies], axis=1
            )
        if self._found.sequence_length:
            result["sequence"] = self._raw(raw, "sequence", tensor_names.SEQUENCE)
        return result

    def known_names(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """Return each categorical column (n,) as the networks tell names apart: ``drift.OTHER`` for any other."""
        return {
            name: self._known(name, self._raw(raw, "text", name), words)
            for name, words in self._found.vocabularies.items()
        }

    def _raw(self, raw: Mapping[str, Any], kind: str, name: str) -> Any:
        return raw[self._names[kind, name]]

    def _known(self, name: str, values: Any, words: tuple[str, ...]) -> Any:
        found = tf.gather(tf.constant([drift.OTHER, *words]), self._ids(name, values))
        return tf.where(tf.equal(values, ""), values, found)

    def _number(self, name: str, raw: Mapping[str, Any]) -> Any:
        names = self._found.schema
        if name == inputs.AMOUNT:
            return self._raw(raw, "number", names.amount or "")
        if name not in (inputs.HOUR, inputs.WEEKEND):
            computed = name.startswith(inputs.COMPUTED)
            return self._raw(raw, "history" if computed else "number", name.removeprefix(inputs.COMPUTED))
        seconds = self._raw(raw, "time", names.time)
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


def drift_columns(
    found: inputs.Inputs, arrays: Mapping[str, Any], categories: Mapping[str, Any], score: Any
) -> dict[str, Any]:
    """Return the drift columns, each (n,), in a graph: everything that the networks read, and what they give.

    Of a sequence, the mean of each channel over the transactions in it, and how many there are.

    Args:
        found: Which columns the networks read.
        arrays: What they read, array name -> (n, ...).
        categories: Categorical column -> (n,) string, as ``Reader.known_names`` returns it.
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
