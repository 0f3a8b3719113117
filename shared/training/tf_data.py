"""The one tf.data order, written once: shuffle -> batch -> gather -> augment -> prefetch.

Why this order, and why on row numbers:

- What is shuffled is row numbers, not rows. The whole order of an epoch is a pure function of (seed, epoch),
  so training goes on from any epoch exactly, and the shuffle is over all rows, for eight bytes a row.
- Rows are decoded before: the arrays in memory are the cache. One gather fetches a whole batch.
  For 30 columns in batches of 64 this takes the processor time of ``from_tensor_slices().shuffle().batch()``.
- No row is dropped. An epoch is cut into batches whose sizes differ by at most one, so there is no tiny last
  batch either, whose BatchNorm statistics and gradient would be noise.
- Augmentation comes last, after whatever could be cached, and draws from (seed, epoch, row) only.
"""

import dataclasses
import functools
import typing
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from shared.training import datasets


def training(
    source: datasets.Arrays,
    *,
    plan: datasets.Plan,
    steps: int,
    seed: int,
    first_epoch: int,
    epochs: int,
    share: datasets.Share | None = None,
) -> tf.data.Dataset:
    """Return the batches of epochs ``first_epoch`` to ``epochs - 1``, one after another, as one stream.

    With a ``share`` each batch becomes one of its rows for each replica of this process, with weights that make the
    mean of the replicas' mean losses the mean loss of the batch.

    Args:
        source: Rows to learn from.
        plan: Epoch -> its batches as row numbers.
        steps: Batches in an epoch.
        seed: Of the augmentation.
        first_epoch: Counted from 0.
        epochs: In the whole training.
        share: What this process takes of every batch; None = all.
    """

    def planned(epoch: int) -> tuple[np.ndarray, np.ndarray]:
        batches = plan(int(epoch))
        return batches.values, batches.row_splits

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        rows, splits = tf.numpy_function(planned, [epoch], (tf.int64, tf.int64))
        return tf.data.Dataset.range(steps).map(lambda step: (epoch, rows[splits[step] : splits[step + 1]]))

    stream = tf.data.Dataset.range(first_epoch, epochs).flat_map(one_epoch)
    if share is not None:
        stream = stream.flat_map(functools.partial(_shares, share=share))
        source = dataclasses.replace(source, weights=_weights(source))
    return _load(stream, source, augment=source.augment and _seeded(source.augment, seed))


def evaluation(source: datasets.Arrays, *, batches: datasets.Ragged) -> tf.data.Dataset:
    """Return the rows of ``batches``, without augmentation."""
    rows, splits = tf.constant(batches.values), tf.constant(batches.row_splits)
    stream = tf.data.Dataset.range(len(batches)).map(
        lambda step: (tf.zeros_like(step), rows[splits[step] : splits[step + 1]])
    )
    return _load(stream, source, augment=None)


def _weights(source: datasets.Arrays) -> np.ndarray:
    """Return (rows,) float32: what each row counts."""
    return np.ones(len(source), np.float32) if source.weights is None else source.weights


def _shares(epoch: tf.Tensor, rows: tf.Tensor, *, share: datasets.Share) -> tf.data.Dataset:
    """Return what each replica of this process takes of a batch: (epoch, rows, weight of each of them)."""
    rows.set_shape([None])

    def part(replica: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        mine = rows[replica :: share.of]
        return epoch, mine, tf.cast(share.of * tf.size(mine), tf.float32) / tf.cast(tf.size(rows), tf.float32)

    return tf.data.Dataset.range(share.first, share.first + share.replicas).map(part)


def _load(stream: tf.data.Dataset, source: datasets.Arrays, *, augment: typing.Any) -> tf.data.Dataset:
    """Turn a stream of (epoch, row numbers) into batches."""
    # On the CPU even when there is a GPU, whose memory is for the model.
    with tf.device("CPU"):
        inputs = {name: _tensor(array) for name, array in source.inputs.items()}
        labels = tf.constant(source.labels)
        weights = None if source.weights is None else tf.constant(source.weights)

    def gather(epoch: tf.Tensor, rows: tf.Tensor, weight: tf.Tensor | float = 1.0) -> tuple[typing.Any, ...]:
        rows.set_shape([None])
        batch = {name: _gather(tensor, rows) for name, tensor in inputs.items()}, tf.gather(labels, rows)
        if augment:
            batch = augment(*batch, epoch, rows)
        batch = datasets.as_keras_wants(batch[0]), batch[1]
        return batch if weights is None else (*batch, weight * tf.gather(weights, rows))

    batches = stream.map(gather, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return batches.prefetch(tf.data.AUTOTUNE)


def _seeded(augment: datasets.Augment, seed: int) -> Callable[..., tuple[typing.Any, typing.Any]]:
    """Give ``augment`` a seed for each row, different in every epoch."""

    def augmented(inputs: typing.Any, labels: tf.Tensor, epoch: tf.Tensor, rows: tf.Tensor) -> typing.Any:
        first = tf.fill(tf.shape(rows), (seed << 32) + epoch)
        return augment(inputs, labels, tf.stack([first, rows], axis=1))

    return augmented


def _tensor(array: np.ndarray | datasets.Ragged) -> tf.Tensor | tf.RaggedTensor | datasets.Ragged:
    """Put rows into a tensor, but for those that are kept on disk."""
    if isinstance(array, datasets.Ragged) and isinstance(array.values, np.memmap):
        return array
    if isinstance(array, datasets.Ragged):
        return tf.RaggedTensor.from_row_splits(array.values, array.row_splits)
    return tf.constant(array)


def _gather(tensor: tf.Tensor | tf.RaggedTensor | datasets.Ragged, rows: tf.Tensor) -> tf.Tensor:
    if isinstance(tensor, datasets.Ragged):
        return _read(tensor, rows)
    batch = tf.gather(tensor, rows)
    return batch.to_tensor() if isinstance(batch, tf.RaggedTensor) else batch


def _read(stored: datasets.Ragged, rows: tf.Tensor) -> tf.Tensor:
    """Read rows from disk and pad them."""
    kind = tf.as_dtype(stored.values.dtype)
    batch = tf.numpy_function(lambda chosen: stored.take(chosen).padded(), [rows], kind, stateful=False)
    batch.set_shape([None, None, *stored.values.shape[1:]])
    return batch
