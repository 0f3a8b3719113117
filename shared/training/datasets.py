"""Examples in memory, and the order in which training sees them: row numbers, a pure function of (seed, epoch)."""

import dataclasses
import hashlib
import typing
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from shared import errors

BatchSize = int | str  # a number, or "all"
# Receives inputs, labels and seeds (batch, 2) int64, one for each row, and returns inputs and labels.
Augment = Callable[[dict[str, typing.Any], typing.Any, typing.Any], tuple[dict[str, typing.Any], typing.Any]]

# Epoch -> its batches as row numbers.
Plan = Callable[[int], "Ragged"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Share:
    """Which rows of every batch this process takes where several train together.

    Attributes:
        first: Number of its first replica among all.
        replicas: Its replicas.
        of: Replicas of all processes; replica ``i`` takes rows ``i``, ``i + of``, ``i + 2 of`` ... of each batch.
    """

    first: int
    replicas: int
    of: int

    def equal_parts(self, rows: int) -> tuple[np.ndarray, np.ndarray]:
        """Return which of a batch's rows this process takes, as many as every other, and what they count.

        Where the replicas cannot share equally the first row is repeated with the weight 0. The others' weights are
        such that the mean over all replicas is that of the batch.

        Returns:
            (n,) int64 numbers in [0, rows), and (n,) float32.

        >>> Share(first=1, replicas=1, of=2).equal_parts(3)
        (array([1, 0]), array([1.3333334, 0.       ], dtype=float32))
        """
        each = -(-rows // self.of)
        places = np.arange(each * self.of).reshape(each, self.of)[:, self.first : self.first + self.replicas].T.ravel()
        return np.where(places < rows, places, 0), np.where(places < rows, each * self.of / rows, 0).astype(np.float32)


# Rows are sorted by length inside windows of this many shuffled batches: enough for batches with little
# padding (an LSTM on lengths of 5 to 100 trains in 1 / 2.2 of the time), few enough that a row meets ever new
# neighbours.
BUCKET_WINDOW_BATCHES = 50


@dataclasses.dataclass(frozen=True, eq=False)
class Ragged:
    """Rows of different lengths, end to end.

    Attributes:
        values: (total, ...) the rows' elements; a ``numpy.memmap`` stays on disk, and each batch is read from there.
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

    def padded(self, width: int | None = None) -> np.ndarray:
        """Return (rows, longest, ...) with zeros behind the shorter rows, or (rows, ``width``, ...).

        >>> Ragged.from_rows([np.array([1, 2]), np.array([3])]).padded().tolist()
        [[1, 2], [3, 0]]
        """
        longest = self.lengths.max(initial=0) if width is None else width
        within = np.arange(longest) < self.lengths[:, np.newaxis]
        filled = np.zeros(within.shape + self.values.shape[1:], self.values.dtype)
        filled[within] = self.values
        return filled

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
            A batch is a mapping too, but a single input comes as it is: see `as_keras_wants`.
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
    shuffled = Ragged(values=generator.permutation(rows), row_splits=even_splits(rows, batch_size))
    if lengths is None:
        return shuffled
    window = np.repeat(np.arange(len(shuffled)) // BUCKET_WINDOW_BATCHES, shuffled.lengths)
    by_length = np.lexsort((lengths[shuffled.values], window))
    batches = dataclasses.replace(shuffled, values=shuffled.values[by_length])
    return batches.take(generator.permutation(len(batches)))


def as_keras_wants(inputs: dict[str, typing.Any]) -> typing.Any:
    """Unwrap the only input: Keras warns of a mapping given to a model with one."""
    return next(iter(inputs.values())) if len(inputs) == 1 else inputs


def even_splits(rows: int, batch_size: BatchSize) -> np.ndarray:
    """Cut ``rows`` into `steps` batches whose sizes differ by at most one; return the (steps + 1,) borders.

    >>> even_splits(5, 2).tolist()
    [0, 1, 3, 5]
    """
    count = steps(rows, batch_size=batch_size)
    return np.arange(count + 1, dtype=np.int64) * rows // count


def _content(array: np.ndarray) -> bytes | memoryview:
    """Return what the array says; strings are held by reference, so not where they lie."""
    if isinstance(array, np.memmap):
        return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
    return "\0".join(map(repr, array.flat)).encode() if array.dtype.hasobject else array.tobytes()


def _splits(lengths: np.ndarray) -> np.ndarray:
    """Return the boundaries of rows that lie end to end."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
