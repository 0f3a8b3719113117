"""Train one model in several processes: what each takes of a batch, and what they must agree on.

Every process reads the same data and makes the same split; ``tf.distribute.MultiWorkerMirroredStrategy`` adds their
gradients up, so that their weights stay equal. The first one alone keeps the run folder: the others work in a folder
that goes with them, and take its checkpoint over the wire.
"""

import contextlib
import hashlib
import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from shared import errors, files
from shared.training import checkpoints, datasets, runtime


def share(model: keras.Model) -> datasets.Share | None:
    """Return what this process takes of every batch; None = all, in a training of one process."""
    if not several(model):
        return None
    extended = model.distribute_strategy.extended
    replicas = model.distribute_strategy.num_replicas_in_sync
    here = len(extended.worker_devices)
    return datasets.Share(first=extended._task_id * here, replicas=here, of=replicas)


def several(model: keras.Model) -> bool:
    """Tell whether the model was built under a strategy of several processes."""
    return runtime.on_tensorflow() and bool(getattr(model.distribute_strategy.extended, "_in_multi_worker_mode", _no)())


def _no() -> bool:
    return False


@contextlib.contextmanager
def together(model: keras.Model) -> Iterator[None]:
    """Let ``model.fit`` run in several processes, inside the block.

    Keras 3 concatenates the metrics of the processes, which are scalars (beside keras-team/keras issue 20585, which
    `shared.training.fit.run_epochs` sees to for every strategy). Batch normalization uses the whole batch.
    """
    if not several(model):
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
    if not several(model):
        return batches
    return model.distribute_strategy.distribute_datasets_from_function(lambda _context: batches)


@contextlib.contextmanager
def alone(model: keras.Model) -> Iterator[None]:
    """Let ``model.predict`` run in this process only, inside the block: every process predicts all rows."""
    if not several(model):
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
    if several(model):
        _agree(model, identity)
        _take_checkpoint(model, path)
    return checkpoints.load(path, model=model, identity=identity)


def _agree(model: keras.Model, identity: Mapping[str, Any]) -> None:
    """Wait for the other processes, and refuse to train where they have other data or settings."""
    own = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).digest()
    firsts = _from_first(model, own)
    if firsts != own:
        raise errors.InputError(
            f"worker {model.distribute_strategy.extended._task_id}: expected the data and the settings of worker 0. "
            f"Received: others ({own.hex()[:12]} against {firsts.hex()[:12]})"
        )


def _take_checkpoint(model: keras.Model, path: pathlib.Path) -> None:
    """Write the first process's checkpoint, or none, in the place of this one's."""
    content = _from_first(model, path.read_bytes() if path.exists() else b"")
    if model.distribute_strategy.extended._task_id == 0:
        return
    path.unlink(missing_ok=True)
    if content:
        with files.atomic(path) as temporary:
            temporary.write_bytes(content)


def _from_first(model: keras.Model, content: bytes) -> bytes:
    """Return what the first process calls this with: the others add zeros to it."""
    length = int(_sum_of_first(model, np.array([len(content)], np.int32))[0])
    padded = np.zeros(-(-length // 4) * 4, np.uint8)
    if model.distribute_strategy.extended._task_id == 0:
        padded[:length] = np.frombuffer(content, np.uint8)
    return bytes(_sum_of_first(model, padded.view(np.int32)).view(np.uint8)[:length]) if length else b""


def _sum_of_first(model: keras.Model, values: np.ndarray) -> np.ndarray:
    import tensorflow as tf

    together = model.distribute_strategy

    def contribution() -> tf.Tensor:
        first = tf.distribute.get_replica_context().replica_id_in_sync_group == 0
        return tf.where(first, values, tf.zeros_like(values))

    return np.asarray(together.reduce("SUM", together.run(contribution), axis=None))
