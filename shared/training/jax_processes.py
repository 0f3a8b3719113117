"""Several processes that train one model on JAX: `shared.training.workers` on its second backend.

``jax.distributed`` joins the processes; `keras.distribution.DataParallel` keeps the weights on every device and spreads
each batch over them. XLA computes as if one process had the whole batch: it adds the gradients up, and batch
normalization sees all rows.
"""

import contextlib
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from shared import errors
from shared.training import datasets


class Rows(keras.distribution.DataParallel):  # type: ignore[misc]
    """Data parallelism in which each process gives its own rows of a batch, or, while ``whole``, all give all rows."""

    whole = False

    def get_data_layout(self, data_shape: Sequence[int]) -> Any:
        """Return how an array of a batch lies on the devices."""
        if self.whole:
            return keras.distribution.TensorLayout([None] * len(data_shape), self.device_mesh)
        return super().get_data_layout(data_shape)


@functools.cache
def join(addresses: tuple[str, ...], rank: int) -> None:
    """Wait for the other processes, and let every model built from here on be trained by all; before JAX runs anything.

    Args:
        addresses: ``host:port`` of each process; the first one's is where all meet.
        rank: Which of them this is.
    """
    import jax

    jax.distributed.initialize(addresses[0], num_processes=len(addresses), process_id=rank)
    keras.distribution.set_distribution(Rows(auto_shard_dataset=False))


def joined() -> Rows | None:
    """Return how the processes share batches; None where this process trains by itself."""
    found = keras.distribution.distribution()
    return found if isinstance(found, Rows) else None


def share(model: keras.Model, sizes: npt.NDArray[np.int64]) -> datasets.Share:
    """Return what this process takes of every batch.

    Args:
        model: The model to train.
        sizes: (steps,) rows of each batch.

    Raises:
        errors.InputError: A batch cannot be cut into equal shares, and the rows that fill them up would change what the
            model normalizes by.
    """
    import jax

    devices, here = jax.device_count(), jax.local_device_count()
    normalizes = any(isinstance(layer, keras.layers.BatchNormalization) for layer in model._flatten_layers())
    if normalizes and (sizes % devices).any():
        raise errors.InputError(
            f"batch_size: expected batches that {devices} devices share equally, for a network with batch "
            f"normalization on JAX. Received: batches of {sorted({int(size) for size in sizes})} rows"
        )
    return datasets.Share(first=jax.process_index() * here, replicas=here, of=devices)


@contextlib.contextmanager
def whole_batches() -> Iterator[None]:
    """Let every process compute all rows, inside the block."""
    rows = joined()
    if rows is None:
        yield
        return
    rows.whole = True
    try:
        yield
    finally:
        rows.whole = False


def of_first(values: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Return what the first process calls this with."""
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.broadcast_one_to_all(values))
