"""Why a transaction is suspicious: integrated gradients over its numbers, summed up by reason.

The path leads from the typical genuine transaction of the training rows to this one; names and sequences stay what
they are. Equation 1 of Sundararajan et al. 2017 (https://arxiv.org/abs/1703.01365), midpoint rule.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from apps.fraud_detection import inputs, model, wording
from apps.fraud_detection import run as loaded_run

STEPS = 16
# A reason that adds less than this to the log-odds is none.
SMALLEST = 0.05
ROWS_AT_ONCE = 256


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reasons:
    """Reasons of transactions, the strongest first.

    Attributes:
        names: What the indices mean.
        contributions: (n, reasons) float64, what each adds to the log-odds of fraud.
        indices: (n, wording.REASONS) int64 into ``names``; -1 where there is no further one.
    """

    names: tuple[str, ...]
    contributions: npt.NDArray[np.float64]
    indices: npt.NDArray[np.int64]

    def said(self, found: inputs.Inputs, numbers: npt.NDArray[np.float32]) -> list[list[str]]:
        """Return the reasons of each row in words, given its ``numbers`` (n, columns)."""
        return [
            [wording.say(self.names[index], found, row) for index in indices if index >= 0]
            for indices, row in zip(self.indices, numbers, strict=True)
        ]


def find(scorer: loaded_run.Scorer, arrays: Mapping[str, npt.NDArray[Any]]) -> Reasons:
    """Return the reasons of every row of ``arrays``."""
    rows = len(arrays["numbers"])
    parts = []
    for start in range(0, rows, ROWS_AT_ONCE):
        batch = {name: tf.constant(values[start : start + ROWS_AT_ONCE]) for name, values in arrays.items()}
        parts.append(contributions(scorer.model, scorer.inputs, batch).numpy())
    found = np.concatenate(parts).astype(np.float64)
    return Reasons(names=names(scorer.inputs), contributions=found, indices=strongest(tf.constant(found)).numpy())


def names(found: inputs.Inputs) -> tuple[str, ...]:
    """Return what the indices of reasons mean."""
    return tuple(wording.families(found))


def contributions(whole: keras.Model, found: inputs.Inputs, arrays: Mapping[str, Any]) -> Any:
    """Return (batch, reasons) what each reason adds to the log-odds of fraud, as a part of a graph.

    Args:
        whole: {array name: (batch, ...)} to logits (batch, 2).
        found: Which columns there are.
        arrays: Tensors of what the model reads.
    """
    read = {tensor.name: arrays[tensor.name] for tensor in whole.inputs}
    numbers = read["numbers"]
    typical = tf.constant(np.nan_to_num(np.asarray(found.typical, np.float32)))
    # A missing number stays missing all the way, and adds nothing.
    change = tf.where(tf.math.is_nan(numbers), tf.zeros_like(numbers), numbers - typical)
    shares = (tf.range(STEPS, dtype=tf.float32) + 0.5) / STEPS
    points = tf.where(
        tf.math.is_nan(numbers)[:, tf.newaxis],
        numbers[:, tf.newaxis],
        typical + shares[tf.newaxis, :, tf.newaxis] * change[:, tf.newaxis],
    )
    flat = tf.reshape(points, (-1, numbers.shape[1]))
    repeated = {name: tf.repeat(tensor, STEPS, axis=0) for name, tensor in read.items()} | {"numbers": flat}
    with tf.GradientTape() as tape:
        tape.watch(flat)
        logits = whole(model.wanted(repeated), training=False)
        odds = logits[:, 1] - logits[:, 0]
    slope = tape.gradient(odds, flat)
    slope = tf.where(tf.math.is_finite(slope), slope, tf.zeros_like(slope))
    mean = tf.reduce_mean(tf.reshape(slope, tf.shape(points)), axis=1)
    columns = change * mean
    sums = [
        tf.reduce_sum(tf.gather(columns, list(members), axis=1), axis=1) for members in wording.families(found).values()
    ]
    return tf.stack(sums, axis=1)


def strongest(found: Any) -> Any:
    """Return (batch, wording.REASONS) int64 indices of the strongest reasons; -1 where none is left."""
    count = min(wording.REASONS, found.shape[1])
    values, indices = tf.math.top_k(found, k=count)
    chosen = tf.where(values >= SMALLEST, tf.cast(indices, tf.int64), -1)
    return tf.pad(chosen, [[0, 0], [0, wording.REASONS - count]], constant_values=-1)


def passing_amount(
    scorer: loaded_run.Scorer, arrays: Mapping[str, npt.NDArray[Any]], row: int, *, points: int = 60
) -> float | None:
    """Return the largest amount below its own with which a transaction would not have been alerted.

    None where it is not alerted as it is, no smaller amount helps, or the source has no amounts.
    """
    found = scorer.inputs
    if inputs.AMOUNT not in found.numbers:
        return None
    single = {name: values[row : row + 1] for name, values in arrays.items()}
    own = float(single["numbers"][0, found.numbers.index(inputs.AMOUNT)])
    if own <= 0 or scorer.scores(single)[0] < scorer.decision_rule.threshold:
        return None
    amounts = own * np.linspace(1, 0, points + 1)[1:-1]
    copies = {name: np.repeat(values, len(amounts), axis=0) for name, values in single.items()}
    copies["numbers"] = wording.with_amount(found, single["numbers"][0], amounts)
    passing = amounts[scorer.scores(copies) < scorer.decision_rule.threshold]
    return float(np.floor(100 * passing[0]) / 100) if len(passing) else None
