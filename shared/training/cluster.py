"""Which processes train one model together, as ``TF_CONFIG`` says.

https://www.tensorflow.org/guide/distributed_training#setting_up_the_tf_config_environment_variable describes it;
`shared.launch`, Ray, Kubernetes, Slurm or a shell sets it.
"""

import dataclasses
import functools
import json
import os
from typing import Any

from shared import errors

VARIABLE = "TF_CONFIG"
# `shared.training.workers` replaces private methods of Keras' trainer, which each minor version may change.
KERAS = "3.15"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cluster:
    """The processes of one training.

    Attributes:
        addresses: ``host:port`` of each.
        rank: Which of them this is.
    """

    addresses: tuple[str, ...]
    rank: int

    @property
    def is_first(self) -> bool:
        """Whether this process keeps the run folder."""
        return self.rank == 0

    def to_json(self) -> str:
        """Return the value of ``TF_CONFIG``."""
        return json.dumps({"cluster": {"worker": list(self.addresses)}, "task": {"type": "worker", "index": self.rank}})


def from_environment() -> Cluster | None:
    """Return what ``TF_CONFIG`` says; None where it names no other process.

    Raises:
        errors.InputError: It is no such description, or has roles that this training does not know.
    """
    told = os.environ.get(VARIABLE, "")
    if not told.strip():
        return None
    try:
        described = json.loads(told)
        roles, task = described.get("cluster", {}), described.get("task", {})
        known = set(roles) <= {"worker", "chief"} and task.get("type", "worker") in ("worker", "chief")
        first = list(roles.get("chief", []))
        addresses = (*first, *roles.get("worker", []))
        rank = int(task.get("index", 0)) + (len(first) if task.get("type") == "worker" else 0)
    except (ValueError, AttributeError, TypeError) as error:
        raise errors.InputError(f"{VARIABLE}: expected JSON with cluster and task. Received: {told!r}") from error
    if not known or not 0 <= rank < max(len(addresses), 1):
        raise errors.InputError(
            f"{VARIABLE}: expected roles worker and chief, and a task among them. Received: {told!r}"
        )
    return Cluster(addresses=addresses, rank=rank) if len(addresses) > 1 else None


def join(of: Cluster) -> None:
    """Wait for the other processes; before the backend has run anything.

    Raises:
        errors.InputError: Keras runs on a backend, or is of a version, that was not tried with several processes.
    """
    import keras

    if keras.backend.backend() == "jax":
        from shared.training import jax_processes

        jax_processes.join(of.addresses, of.rank)
    else:
        strategy(of)


def strategy(of: Cluster) -> Any:
    """Return the strategy under which these processes train on TensorFlow; it waits until all have come.

    Raises:
        errors.InputError: Keras is of a version whose trainer was not tried with it, or not on TensorFlow.
    """
    import keras

    if not (keras.__version__.startswith(f"{KERAS}.") and keras.backend.backend() == "tensorflow"):
        raise errors.InputError(
            f"--workers: expected Keras {KERAS} on TensorFlow, whose `fit` was tried with several processes "
            f"(keras-team/keras issue 20585), or any on JAX. "
            f"Received: Keras {keras.__version__} on {keras.backend.backend()}"
        )
    import tensorflow as tf

    return _strategy(tf, of)


@functools.cache
def _strategy(tf: Any, of: Cluster) -> Any:  # noqa: ARG001
    return tf.distribute.MultiWorkerMirroredStrategy()
