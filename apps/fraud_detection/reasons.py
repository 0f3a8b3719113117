"""Why a transaction is suspicious: what each reason adds to its log-odds, from the typical genuine transaction to it.

Reasons are exchanged one after the other, from the typical inputs to the transaction's own, in one order and in its
reverse; a contribution is the mean of the two changes. This is Shapley value sampling (Castro et al. 2009,
"Polynomial calculation of the Shapley value based on sampling") with one antithetic pair of permutations (Mitchell et
al. 2022, https://jmlr.org/papers/v23/21-0439.html): contributions add up to the whole change, and are the exact Shapley
values of what has no interaction of more than two reasons. Numbers, categories and sequences are treated alike.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from apps.fraud_detection import inputs, model, preprocessing, wording
from apps.fraud_detection.transactions import Transactions

# A reason that adds less than this to the log-odds is none.
SMALLEST = 0.05
# Variants of a transaction that a graph scores at once, and rows of variants outside of it.
VARIANTS_AT_ONCE, ROWS_AT_ONCE = 128, 16_384
# An amount passes where the score is this share below the threshold: what was rounded on the way has no say.
MARGIN = 1e-3


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

    def in_words(self, found: inputs.Inputs, rows: list[wording.Row]) -> list[list[str]]:
        """Return the reasons of each row in words."""
        return [
            [wording.say(self.names[index], found, row) for index in indices if index >= 0]
            for indices, row in zip(self.indices, rows, strict=True)
        ]


def find(scorer: model.Scorer, arrays: Mapping[str, npt.NDArray[Any]]) -> Reasons:
    """Return the reasons of every row of ``arrays``."""
    called = names(scorer.inputs)
    step = max(1, ROWS_AT_ONCE // min(2 * len(called), VARIANTS_AT_ONCE))
    parts = []
    for start in range(0, len(arrays["numbers"]), step):
        batch = {name: tf.constant(values[start : start + step]) for name, values in arrays.items()}
        parts.append(contributions(scorer.model, scorer.inputs, batch).numpy())
    found = np.concatenate([np.zeros((0, len(called)), np.float32), *parts]).astype(np.float64)
    return Reasons(names=called, contributions=found, indices=strongest(tf.constant(found)).numpy())


def names(found: inputs.Inputs) -> tuple[str, ...]:
    """Return what the indices of reasons mean."""
    return tuple(wording.families(found))


def rows(
    found: inputs.Inputs, arrays: Mapping[str, npt.NDArray[Any]], transactions: Transactions, places: npt.NDArray[Any]
) -> list[wording.Row]:
    """Return what the rows ``places`` (n,) of transactions are described by, given their ``arrays``."""
    sequences = arrays.get("sequence", np.zeros((len(places), 0, len(inputs.CHANNELS)), np.float32))
    return [
        wording.Row(
            numbers=arrays["numbers"][index],
            names={name: str(transactions.categorical[name][place]) for name in found.vocabularies},
            sequence=sequences[index],
        )
        for index, place in enumerate(places)
    ]


def contributions(whole: keras.Model, found: inputs.Inputs, arrays: Mapping[str, Any]) -> Any:
    """Return (batch, reasons) what each reason adds to the log-odds of fraud, as a part of a graph.

    Args:
        whole: {array name: (batch, ...)} to logits (batch, 2).
        found: Which columns there are.
        arrays: Tensors of what the model reads.
    """
    own, shares = _orders(len(wording.families(found)))
    read = {tensor.name: arrays[tensor.name] for tensor in whole.inputs}

    def log_odds(masks: Any) -> Any:
        logits = whole(model.wanted(exchanged(found, read, masks)), training=False)
        return tf.reshape(logits[:, 1] - logits[:, 0], (-1, masks.shape[0]))

    if len(own) <= VARIANTS_AT_ONCE:
        return log_odds(tf.constant(own)) @ tf.constant(shares)
    # Wide tables: some variants after the other, or memory would grow with the square of the columns.
    padded = np.pad(own, [(0, -len(own) % VARIANTS_AT_ONCE), (0, 0)]).reshape(-1, VARIANTS_AT_ONCE, own.shape[1])
    signature = tf.TensorSpec([None, VARIANTS_AT_ONCE], tf.float32)
    odds = tf.map_fn(log_odds, tf.constant(padded), fn_output_signature=signature, parallel_iterations=1)
    joined = tf.reshape(tf.transpose(odds, [1, 0, 2]), (-1, padded.shape[0] * VARIANTS_AT_ONCE))
    return joined[:, : len(own)] @ tf.constant(shares)


def _orders(count: int) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32]]:
    """Return (variants, reasons) which reasons are a transaction's own, and what each variant counts in them.

    First the reasons come in one by one from the front, then from the back.
    """
    first = np.arange(count) < np.arange(count + 1)[:, np.newaxis]
    last = np.arange(count) >= np.arange(1, count)[:, np.newaxis]
    shares = np.zeros((2 * count, count), np.float32)
    # The variant whose own reasons are those from a place on.
    from_place = [count, *range(count + 1, 2 * count), 0]
    for reason in range(count):
        for variant, share in (
            (reason + 1, 0.5),
            (reason, -0.5),
            (from_place[reason], 0.5),
            (from_place[reason + 1], -0.5),
        ):
            shares[variant, reason] += share
    return np.concatenate([first, last]), shares


def exchanged(found: inputs.Inputs, arrays: Mapping[str, Any], own: Any) -> dict[str, Any]:
    """Return variants of transactions: where a reason is not their own, its inputs are the typical ones.

    Args:
        found: Which columns there are.
        arrays: Array name -> (batch, ...).
        own: (variants, reasons) bool.

    Returns:
        Array name -> (batch * variants, ...), the variants of a transaction one after the other.
    """
    usual, reasons = inputs.typical_arrays(found), list(wording.families(found).values())
    result = {}
    for name, values in arrays.items():
        place = {column: i for i, reason in enumerate(reasons) if reason.array == name for column in reason.columns}
        mask = tf.gather(own, [place[column] for column in range(len(place))], axis=1)
        mask = tf.reshape(mask, (1, *mask.shape, *[1] * (len(values.shape) - 2)))
        mixed = tf.where(mask, tf.expand_dims(values, 1), usual[name][np.newaxis, np.newaxis])
        result[name] = tf.reshape(mixed, (-1, *values.shape[1:]))
    return result


def strongest(found: Any) -> Any:
    """Return (batch, wording.REASONS) int64 indices of the strongest reasons; -1 where none is left."""
    count = min(wording.REASONS, found.shape[1])
    values, indices = tf.math.top_k(found, k=count)
    chosen = tf.where(values >= SMALLEST, tf.cast(indices, tf.int64), -1)
    return tf.pad(chosen, [[0, 0], [0, wording.REASONS - count]], constant_values=-1)


def scores_without(scorer: model.Scorer, one: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float64]:
    """Return (reasons,) the probability of one transaction with each reason's inputs set to the typical ones."""
    count = len(names(scorer.inputs))
    variants = exchanged(scorer.inputs, one, tf.constant(~np.eye(count, dtype=bool)))
    return scorer.scores({name: values.numpy() for name, values in variants.items()})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Passing:
    """Amounts, smaller than its own, with which a transaction would not have been alerted.

    Attributes:
        low: The smallest, in the currency.
        high: The largest; every amount tried between the two passes.
        every: Whether all smaller amounts that were tried pass too.
    """

    low: float
    high: float
    every: bool


def passing_amounts(
    scorer: model.Scorer, arrays: Mapping[str, npt.NDArray[Any]], row: int, *, points: int = 240
) -> Passing | None:
    """Return the widest range of smaller amounts of which each one tried would not have been alerted.

    Scores need not rise with the amount, hence a range. Amounts are whole hundredths of the currency.

    Args:
        scorer: The model and its threshold.
        arrays: What it reads.
        row: The transaction.
        points: How many amounts are tried.

    Returns:
        None where the transaction is not alerted as it is, no two neighbouring amounts pass, or there are no amounts.
    """
    found = scorer.inputs
    if inputs.AMOUNT not in found.numbers:
        return None
    one = {name: values[row : row + 1] for name, values in arrays.items()}
    own = float(one["numbers"][0, found.numbers.index(inputs.AMOUNT)])
    threshold = scorer.decision_rule.threshold
    if not own > 0 or scorer.scores(one)[0] < threshold:
        return None
    tried = np.unique(np.linspace(1, np.ceil(100 * own) - 1, points).round()) / 100
    tried = tried[(tried > 0) & (tried < own)]
    if len(tried) < 2:
        return None
    passes = scorer.scores(preprocessing.with_amounts(found, one, tried)) < threshold * (1 - MARGIN)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], passes.astype(np.int8), [0]])))
    runs = [(int(start), int(end) - 1) for start, end in edges.reshape(-1, 2) if end - start > 1]
    if not runs:
        return None
    low, high = max(runs, key=lambda run: tried[run[1]] - tried[run[0]])
    return Passing(low=float(tried[low]), high=float(tried[high]), every=low == 0)
