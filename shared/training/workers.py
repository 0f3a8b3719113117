"""Train one model in several processes: what each takes of a batch, and what they must agree on.

Every process reads the same data and makes the same split; ``tf.distribute.MultiWorkerMirroredStrategy`` adds their
gradients up, so that their weights stay equal (on JAX: `shared.training.jax_processes`). The first one alone keeps the
run folder: the others work in a folder that goes with them, and take its checkpoint over the wire.
"""

import contextlib
import hashlib
import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from shared import errors, files
from shared.training import checkpoints, cluster, datasets, jax_processes, runtime


def share(model: keras.Model, sizes: npt.NDArray[np.int64]) -> datasets.Share | None:
    """Return what this process takes of every batch; None = all, in a training of one process.

    Args:
        model: The model to train.
        sizes: (steps,) rows of each batch.

    Raises:
        errors.InputError: The processes cannot share batches of these sizes.
    """
    if not several(model):
        return None
    if not runtime.on_tensorflow():
        return jax_processes.share(model, sizes)
    extended = model.distribute_strategy.extended
    here = len(extended.worker_devices)
    return datasets.Share(
        first=extended._task_id * here, replicas=here, of=model.distribute_strategy.num_replicas_in_sync
    )


def several(model: keras.Model) -> bool:
    """Tell whether the model was built to be trained by several processes."""
    if not runtime.on_tensorflow():
        return jax_processes.joined() is not None
    return bool(getattr(model.distribute_strategy.extended, "_in_multi_worker_mode", _no)())


def _no() -> bool:
    return False


@contextlib.contextmanager
def apart() -> Iterator[None]:
    """Build and train in this process alone, inside the block, what is not trained in shares: a GAN.

    All processes do the same. A strategy's scope belongs to a graph, and a new one has none.
    """
    if not runtime.in_scope():
        yield
        return
    import tensorflow as tf

    with tf.Graph().as_default(), tf.__internal__.eager_context.eager_mode():
        yield


@contextlib.contextmanager
def together(model: keras.Model) -> Iterator[None]:
    """Let ``model.fit`` run in several processes, inside the block.

    Keras 3 concatenates the metrics of the processes, which are scalars (beside keras-team/keras issue 20585, which
    `shared.training.fit.run_epochs` sees to for every strategy). Batch normalization uses the whole batch.
    """
    if not (several(model) and runtime.on_tensorflow()):
        yield
        return
    import tensorflow as tf

    step = model.train_step
    alone = [layer for layer in model._flatten_layers() if _normalizes_alone(layer)]
    for layer in alone:
        layer.synchronized = True
    model.train_step = lambda data: {name: tf.reshape(value, [1]) for name, value in step(data).items()}
    try:
        yield
    finally:
        model.train_step = step
        model.train_function = None
        for layer in alone:
            layer.synchronized = False


def _normalizes_alone(layer: keras.Layer) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization) and not layer.synchronized


def distributed(model: keras.Model, batches: Any) -> Any:
    """Return this process's batches as the strategy of several processes takes them."""
    if not (several(model) and runtime.on_tensorflow()):
        return batches
    return model.distribute_strategy.distribute_datasets_from_function(lambda _context: batches)


@contextlib.contextmanager
def alone(model: keras.Model) -> Iterator[None]:
    """Let ``model.predict`` run in this process only, inside the block: every process predicts all rows."""
    if not (several(model) and runtime.on_tensorflow()):
        with jax_processes.whole_batches():
            yield
        return
    import tensorflow as tf

    kept = model._distribute_strategy
    model._distribute_strategy = tf.distribute.get_strategy()
    model.predict_function = None
    try:
        yield
    finally:
        model._distribute_strategy = kept
        model.predict_function = None


def load_state(path: pathlib.Path, *, model: keras.Model, identity: Mapping[str, Any]) -> checkpoints.State:
    """Return the state to go on from, the same in all processes: what the first one has in its checkpoint.

    Raises:
        errors.InputError: The checkpoint is broken or belongs to another training, or this process does not have the
            data and the settings of the first one.
    """
    checkpoints.remove_leftovers(path)
    checkpoints.mend(path)
    here = cluster.from_environment()
    if here is not None:
        _agree(here, identity)
        _take_checkpoint(here, path)
    return checkpoints.load(path, model=model, identity=identity)


def _agree(here: cluster.Cluster, identity: Mapping[str, Any]) -> None:
    """Wait for the other processes, and refuse to train where they have other data or settings."""
    own = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).digest()
    firsts = _from_first(here, own)
    if firsts != own:
        raise errors.InputError(
            f"worker {here.rank}: expected the data and the settings of worker 0. "
            f"Received: others ({own.hex()[:12]} against {firsts.hex()[:12]})"
        )


def _take_checkpoint(here: cluster.Cluster, path: pathlib.Path) -> None:
    """Write the first process's checkpoint, or none, in the place of this one's."""
    content = _from_first(here, path.read_bytes() if path.exists() else b"")
    if here.is_first:
        return
    path.unlink(missing_ok=True)
    if content:
        with files.atomic(path) as temporary:
            temporary.write_bytes(content)


def _from_first(here: cluster.Cluster, content: bytes) -> bytes:
    """Return what the first process calls this with: its length, then the bytes, as whole numbers of 32 bits."""
    length = int(_of_first(here, np.array([len(content)], np.int32))[0])
    padded = np.zeros(-(-length // 4) * 4, np.uint8)
    if here.is_first:
        padded[:length] = np.frombuffer(content, np.uint8)
    return bytes(_of_first(here, padded.view(np.int32)).view(np.uint8)[:length]) if length else b""


def _of_first(here: cluster.Cluster, values: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Return what the first process calls this with: the others add zeros to it."""
    if not runtime.on_tensorflow():
        return jax_processes.of_first(values)
    import tensorflow as tf

    together = cluster.strategy(here)

    def contribution() -> tf.Tensor:
        first = tf.distribute.get_replica_context().replica_id_in_sync_group == 0
        return tf.where(first, values, tf.zeros_like(values))

    return np.asarray(together.reduce("SUM", together.run(contribution), axis=None))
