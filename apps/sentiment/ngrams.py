"""Hashed runs of neighbours: n-grams of words or of characters, as buckets, inside the graph."""

from collections.abc import Iterable, Sequence

import numpy as np
import tensorflow as tf

# Odd 62-bit constants of a multiply-xorshift mixer (Steele, Lea and Flood 2014, "SplittableRandom").
_MULTIPLIER = np.int64(0x1E3779B97F4A7C15)
_SECOND_MULTIPLIER = np.int64(0x14D049BB133111EB)


def runs(units: tf.RaggedTensor, orders: Iterable[int]) -> list[tf.RaggedTensor]:
    """Hash every run of neighbours in a row: ragged (n, units) int64 to one ragged (n, runs) int64 per order.

    Args:
        units: Hashes of words or of characters.
        orders: Lengths of the runs, each at least 1.
    """
    wanted = set(orders)
    rows, found, current = units.value_rowids(), [], units.flat_values
    for order in range(1, max(wanted, default=0) + 1):
        if order > 1:
            current = mix(current[:-1] * 31 + units.flat_values[order - 1 :])
        if order in wanted:
            # The run that starts at position i ends in the same row, or is none.
            whole = rows[: tf.size(current)] == rows[order - 1 :]
            run, row_of = tf.boolean_mask(current, whole), tf.boolean_mask(rows[: tf.size(current)], whole)
            found.append(tf.RaggedTensor.from_value_rowids(run, row_of, nrows=units.nrows()))
    return found


def places(runs: Sequence[tf.RaggedTensor], positions: tf.Tensor) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """Return the buckets of one text's runs, of length 1, 2 and so on, and the positions of their units."""
    found = []
    for order, run in enumerate(runs, start=1):
        starts = tf.range(tf.size(run.flat_values))
        found.append((run.flat_values, tf.gather(positions, starts[:, tf.newaxis] + tf.range(order))))
    return found


def distinct(buckets: tf.Tensor) -> tf.Tensor:
    """Replace repeats within a row by 0: that an n-gram occurs tells more than how often (Wang and Manning 2012)."""
    ordered = tf.sort(buckets, axis=1, direction="DESCENDING")
    repeats = tf.concat([tf.zeros_like(ordered[:, :1], tf.bool), ordered[:, 1:] == ordered[:, :-1]], axis=1)
    return tf.where(repeats, 0, ordered)


def mix(values: tf.Tensor) -> tf.Tensor:
    """Scramble int64 values so that every bit depends on every bit; the result is not negative."""
    for multiplier in (_MULTIPLIER, _SECOND_MULTIPLIER):
        values = tf.bitwise.bitwise_xor(values, tf.bitwise.right_shift(values, tf.constant(31, tf.int64))) * multiplier
    return tf.bitwise.bitwise_and(
        tf.bitwise.bitwise_xor(values, tf.bitwise.right_shift(values, tf.constant(29, tf.int64))),
        tf.constant(2**62 - 1, tf.int64),
    )
