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
import hashlib
import typing
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from shared import errors

BatchSize = int | str  # a number, or "all"
# Receives inputs, labels and seeds (batch, 2) int64, one for each row, and returns inputs and labels.
Augment = Callable[[dict[str, typing.Any], typing.Any, typing.Any], tuple[dict[str, typing.Any], typing.Any]]

# Rows are sorted by length inside windows of this many shuffled batches: enough for batches with little
# padding (an LSTM on lengths of 5 to 100 trains in 1 / 2.2 of the time), few enough that a row meets ever new
# neighbours.
BUCKET_WINDOW_BATCHES = 50


@dataclasses.dataclass(frozen=True, eq=False)
class Ragged:
    """Rows of different lengths, end to end.

    Attributes:
        values: (total,) the rows' elements.
        row_splits: (rows + 1,) int64; row ``i`` is ``values[row_splits[i]:row_splits[i + 1]]``.
    """

    values: np.ndarray
    row_splits: np.ndarray

    @classmethod
    def from_rows(cls, rows: Sequence[np.ndarray]) -> "Ragged":
        """Join one-dimensional rows.

        >>> Ragged.from_rows([np.array([1, 2]), np.array([3])]).row_splits.tolist()
        [0, 2, 3]
        """
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        return cls(values=np.concatenate(rows), row_splits=_splits(lengths))

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.row_splits) - 1

    @property
    def lengths(self) -> np.ndarray:
        """(rows,) int64 elements in each row."""
        return np.diff(self.row_splits)

    def take(self, rows: np.ndarray) -> "Ragged":
        """Return the given rows, in the given order.

        >>> Ragged.from_rows([np.array([1, 2]), np.array([3])]).take(np.array([1, 0])).values.tolist()
        [3, 1, 2]
        """
        lengths = self.lengths[rows]
        splits = _splits(lengths)
        positions = np.arange(splits[-1]) + np.repeat(self.row_splits[rows] - splits[:-1], lengths)
        return Ragged(values=self.values[positions], row_splits=splits)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Arrays:
    """Examples in memory.

    Attributes:
        inputs: Input name -> (rows, ...) array or ragged rows, which a batch pads with zeros to its longest.
            A batch is a mapping too, but a single input comes as it is: see `_as_keras_wants`.
        labels: (rows, ...) what the loss compares with.
        weights: (rows,) what each row counts in the training loss; None = 1.
        augment: How rows are varied while training. Evaluation never does.

    Raises:
        errors.InputError: The arrays have no rows, or not the same number.
    """

    inputs: Mapping[str, np.ndarray | Ragged]
    labels: np.ndarray
    weights: np.ndarray | None = None
    augment: Augment | None = None

    def __post_init__(self) -> None:
        counts = {name: len(array) for name, array in self._named().items()}
        if len(set(counts.values())) != 1 or len(self.labels) == 0:
            raise errors.InputError(f"Arrays: expected one number of rows, at least 1. Received: {counts}")

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.labels)

    @property
    def lengths(self) -> np.ndarray | None:
        """(rows,) int64 elements of each row's ragged inputs; None when there are none."""
        ragged = [array.lengths for array in self.inputs.values() if isinstance(array, Ragged)]
        return np.sum(ragged, axis=0) if ragged else None

    def take(self, rows: np.ndarray) -> "Arrays":
        """Return the given rows, in the given order."""
        return dataclasses.replace(
            self,
            inputs={
                name: array.take(rows) if isinstance(array, Ragged) else array[rows]
                for name, array in self.inputs.items()
            },
            labels=self.labels[rows],
            weights=None if self.weights is None else self.weights[rows],
        )

    def fingerprint(self) -> str:
        """Return the SHA-256 of all that training sees of these rows, as 64 hexadecimal digits."""
        digest = hashlib.sha256()
        for name, array in sorted(self._named().items()):
            parts = (array.values, array.row_splits) if isinstance(array, Ragged) else (array,)
            for part in parts:
                digest.update(f"{name} {part.dtype} {part.shape}".encode())
                digest.update(_content(part))
        return digest.hexdigest()

    def _named(self) -> dict[str, np.ndarray | Ragged]:
        arrays = {f"inputs[{name!r}]": array for name, array in self.inputs.items()} | {"labels": self.labels}
        return arrays if self.weights is None else arrays | {"weights": self.weights}


def balanced_weights(labels: np.ndarray) -> np.ndarray:
    """Return (rows,) float32 weights under which every class counts the same; their mean is 1.

    King and Zeng (2001), "Logistic regression in rare events data"; ``class_weight="balanced"`` in
    scikit-learn.

    >>> balanced_weights(np.array([0, 0, 1])).tolist()
    [0.75, 0.75, 1.5]
    """
    _, classes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return (len(labels) / (len(counts) * counts))[classes].astype(np.float32)


def steps(rows: int, *, batch_size: BatchSize) -> int:
    """Return the number of batches in one epoch.

    >>> steps(10, batch_size=4), steps(10, batch_size="all")
    (3, 1)
    """
    return 1 if batch_size == "all" else -(-rows // int(batch_size))


def epoch_batches(
    rows: int, *, batch_size: BatchSize, seed: int, epoch: int, lengths: np.ndarray | None = None
) -> Ragged:
    """Return one epoch's batches as row numbers, a pure function of the arguments: row ``i`` is batch ``i``.

    With ``lengths`` (rows,) each batch holds rows of similar length, and the batches come in random order.

    >>> epoch_batches(5, batch_size=2, seed=0, epoch=0).lengths.tolist()
    [1, 2, 2]
    """
    generator = np.random.default_rng((seed, epoch))
    shuffled = Ragged(values=generator.permutation(rows), row_splits=_even_splits(rows, batch_size))
    if lengths is None:
        return shuffled
    window = np.repeat(np.arange(len(shuffled)) // BUCKET_WINDOW_BATCHES, shuffled.lengths)
    by_length = np.lexsort((lengths[shuffled.values], window))
    batches = dataclasses.replace(shuffled, values=shuffled.values[by_length])
    return batches.take(generator.permutation(len(batches)))


def training(
    source: Arrays,
    *,
    batch_size: BatchSize,
    seed: int,
    first_epoch: int,
    epochs: int,
    bucket_by_length: bool = True,
) -> tf.data.Dataset:
    """Return the batches of epochs ``first_epoch`` to ``epochs - 1``, one after another.

    Give `steps` as ``steps_per_epoch``. One stream for all epochs lets the first batches of an epoch be made
    while the epoch before is validated.

    Returns:
        (inputs, labels) or (inputs, labels, weights), as Keras' ``fit`` takes them.
    """
    count = steps(len(source), batch_size=batch_size)
    lengths = source.lengths if bucket_by_length else None

    def plan(epoch: int) -> tuple[np.ndarray, np.ndarray]:
        batches = epoch_batches(len(source), batch_size=batch_size, seed=seed, epoch=int(epoch), lengths=lengths)
        return batches.values, batches.row_splits

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        rows, splits = tf.numpy_function(plan, [epoch], (tf.int64, tf.int64))
        return tf.data.Dataset.range(count).map(lambda step: (epoch, rows[splits[step] : splits[step + 1]]))

    stream = tf.data.Dataset.range(first_epoch, epochs).flat_map(one_epoch)
    return _load(stream, source, augment=source.augment and _seeded(source.augment, seed))


def evaluation(source: Arrays, *, batch_size: int, order: np.ndarray | None = None) -> tf.data.Dataset:
    """Return every row once, without augmentation, in ``order`` (rows,) or as they stand."""
    rows = tf.constant(np.arange(len(source)) if order is None else order)
    splits = tf.constant(_even_splits(len(source), batch_size))
    stream = tf.data.Dataset.range(steps(len(source), batch_size=batch_size)).map(
        lambda step: (tf.zeros_like(step), rows[splits[step] : splits[step + 1]])
    )
    return _load(stream, source, augment=None)


def _load(stream: tf.data.Dataset, source: Arrays, *, augment: typing.Any) -> tf.data.Dataset:
    """Turn a stream of (epoch, row numbers) into batches."""
    # On the CPU even when there is a GPU, whose memory is for the model.
    with tf.device("CPU"):
        inputs = {name: _tensor(array) for name, array in source.inputs.items()}
        labels = tf.constant(source.labels)
        weights = None if source.weights is None else tf.constant(source.weights)

    def gather(epoch: tf.Tensor, rows: tf.Tensor) -> tuple[typing.Any, ...]:
        rows.set_shape([None])
        batch = {name: _gather(tensor, rows) for name, tensor in inputs.items()}, tf.gather(labels, rows)
        if augment:
            batch = augment(*batch, epoch, rows)
        batch = _as_keras_wants(batch[0]), batch[1]
        return batch if weights is None else (*batch, tf.gather(weights, rows))

    batches = stream.map(gather, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return batches.prefetch(tf.data.AUTOTUNE)


def _as_keras_wants(inputs: dict[str, typing.Any]) -> typing.Any:
    """Unwrap the only input: Keras warns of a mapping given to a model with one."""
    return next(iter(inputs.values())) if len(inputs) == 1 else inputs


def _seeded(augment: Augment, seed: int) -> Callable[..., tuple[typing.Any, typing.Any]]:
    """Give ``augment`` a seed for each row, different in every epoch."""

    def augmented(inputs: typing.Any, labels: tf.Tensor, epoch: tf.Tensor, rows: tf.Tensor) -> typing.Any:
        first = tf.fill(tf.shape(rows), (seed << 32) + epoch)
        return augment(inputs, labels, tf.stack([first, rows], axis=1))

    return augmented


def _tensor(array: np.ndarray | Ragged) -> tf.Tensor | tf.RaggedTensor:
    if isinstance(array, Ragged):
        return tf.RaggedTensor.from_row_splits(array.values, array.row_splits)
    return tf.constant(array)


def _gather(tensor: tf.Tensor | tf.RaggedTensor, rows: tf.Tensor) -> tf.Tensor:
    batch = tf.gather(tensor, rows)
    return batch.to_tensor() if isinstance(batch, tf.RaggedTensor) else batch


def _content(array: np.ndarray) -> bytes:
    """Return what the array says; strings are held by reference, so not where they lie."""
    return "\0".join(map(repr, array.flat)).encode() if array.dtype.hasobject else array.tobytes()


def _splits(lengths: np.ndarray) -> np.ndarray:
    """Return the boundaries of rows that lie end to end."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def _even_splits(rows: int, batch_size: BatchSize) -> np.ndarray:
    """Cut ``rows`` into `steps` batches whose sizes differ by at most one."""
    count = steps(rows, batch_size=batch_size)
    return np.arange(count + 1, dtype=np.int64) * rows // count
