"""Rows in memory -> the batches that ``fit`` and ``predict`` take, on the backend that Keras runs.

On the TensorFlow backend `shared.training.tf_data` makes them; on JAX and torch, where TensorFlow may be absent,
a ``PyDataset`` of NumPy arrays does. Both follow the same row numbers, so the order is the same.
"""

from typing import Any

import keras
import numpy as np

from shared import errors
from shared.training import datasets


def training(
    source: datasets.Arrays,
    *,
    batch_size: datasets.BatchSize,
    seed: int,
    first_epoch: int,
    epochs: int,
    bucket_by_length: bool = True,
    share: datasets.Share | None = None,
) -> Any:
    """Return the batches of epochs ``first_epoch`` to ``epochs - 1``, one after another.

    Give `datasets.steps` as ``steps_per_epoch``. One stream for all epochs lets the first batches of an epoch be made
    while the epoch before is validated.

    Returns:
        (inputs, labels) or (inputs, labels, weights), as Keras' ``fit`` takes them.

    Raises:
        errors.InputError: The rows are augmented, which runs in tf.data, and the backend is another one.
    """
    rows, lengths = len(source), source.lengths if bucket_by_length else None

    def plan(epoch: int) -> datasets.Ragged:
        return datasets.epoch_batches(rows, batch_size=batch_size, seed=seed, epoch=epoch, lengths=lengths)

    if keras.backend.backend() == "tensorflow":
        from shared.training import tf_data

        return tf_data.training(
            source,
            plan=plan,
            steps=datasets.steps(len(source), batch_size=batch_size),
            seed=seed,
            first_epoch=first_epoch,
            epochs=epochs,
            share=share,
        )
    if source.augment:
        raise errors.InputError(
            "augment: expected None where Keras runs on another backend than TensorFlow, because augmentation "
            f"runs in tf.data. Received: {source.augment} on {keras.backend.backend()}"
        )
    return _Batches(source, plan=plan, epoch=first_epoch, share=share)


def evaluation(source: datasets.Arrays, *, batch_size: int, order: np.ndarray | None = None) -> Any:
    """Return every row once, without augmentation, in ``order`` (rows,) or as they stand."""
    rows = datasets.Ragged(
        values=np.arange(len(source)) if order is None else order,
        row_splits=datasets.even_splits(len(source), batch_size),
    )
    if keras.backend.backend() == "tensorflow":
        from shared.training import tf_data

        return tf_data.evaluation(source, batches=rows)
    return _Batches(source, plan=lambda epoch: rows)  # noqa: ARG005


class _Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of NumPy arrays; at the end of an epoch those of the next one take their place."""

    def __init__(
        self, source: datasets.Arrays, *, plan: datasets.Plan, epoch: int = 0, share: datasets.Share | None = None
    ) -> None:
        super().__init__()
        self._source = source
        self._plan = plan
        self._epoch = epoch
        self._share = share
        self._rows = plan(epoch)

    def __len__(self) -> int:
        """Count the batches of an epoch."""
        return len(self._rows)

    def __getitem__(self, step: int) -> tuple[Any, ...]:
        """Gather one batch, or this process's share of it."""
        first, last = self._rows.row_splits[step : step + 2]
        batch, counts = self._rows.values[first:last], None
        rows = self._source.take(batch)
        if self._share is not None:
            taken, counts = self._share.equal_parts(len(batch))
            rows = rows.take(taken)
        inputs = {
            # As wide as the whole batch: all processes must give arrays of one shape.
            name: array.padded(self._longest(name, batch)) if isinstance(array, datasets.Ragged) else array
            for name, array in rows.inputs.items()
        }
        given = datasets.as_keras_wants(inputs), rows.labels
        weights = counts if rows.weights is None else rows.weights if counts is None else counts * rows.weights
        return given if weights is None else (*given, weights)

    def _longest(self, name: str, batch: np.ndarray) -> int:
        rows = self._source.inputs[name]
        return int(rows.lengths[batch].max(initial=0)) if isinstance(rows, datasets.Ragged) else 0

    def on_epoch_end(self) -> None:
        """Plan the next epoch."""
        self._epoch += 1
        self._rows = self._plan(self._epoch)
