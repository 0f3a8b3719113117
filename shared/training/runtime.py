"""Seeds, devices, precision and distribution: what must be settled before the first tensor.

TensorFlow is imported inside the functions: importing this module costs nothing, and `quiet_logs` can act
before the import, which is the only time when it can.
"""

import contextlib
import importlib.metadata
import importlib.util
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import psutil

from shared import errors
from shared.training import cluster

PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")
STRATEGIES = ("none", "mirrored", "auto")
# What TensorFlow reads once, when it is imported.
DEFAULTS = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1"}
PACKAGES = ("tensorflow", "keras", "numpy", "pandas", "scikit-learn", "scipy")


def quiet_logs() -> None:
    """Import TensorFlow (some 5 seconds) without its start-up messages, and with its fast kernels for a CPU.

    The log level hides most of them. Two come before the level is read ("Could not find cuda drivers"), so
    standard error is held back during the import, and shown when that fails. ``TF_CPP_MIN_LOG_LEVEL=0`` in
    the environment shows everything.

    oneDNN is switched on where TensorFlow would leave it off (x86 without AVX-512 VNNI): a training step of
    EfficientNet takes 0.6 of the processor time there. ``TF_ENABLE_ONEDNN_OPTS=0`` keeps it off. A TensorFlow that was
    imported before is not changed.
    """
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    if "tensorflow" in sys.modules or importlib.util.find_spec("tensorflow") is None:
        return
    wanted = os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"
    with contextlib.nullcontext() if wanted else _hold_back_standard_error():
        import tensorflow
    if not wanted:
        # Retracing warnings speak of how Keras is used inside; nobody who runs an app can act on them.
        tensorflow.get_logger().setLevel("ERROR")


@contextlib.contextmanager
def _hold_back_standard_error() -> Iterator[None]:
    """Catch what native code writes to file descriptor 2, and show it only when the block fails."""
    try:
        original = os.dup(2)
    except OSError:
        # A process without standard error: there is nothing to hold back.
        yield
        return
    if sys.stderr is not None:
        sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            with contextlib.suppress(OSError):
                os.write(original, held.read())
            raise
        finally:
            os.dup2(original, 2)
            os.close(original)


def configure(
    *,
    seed: int,
    deterministic: bool = True,
    precision: str = "float32",
    memory_growth: bool = True,
    threads: int | None = None,
) -> None:
    """Set the process up; call it once, before the model is built.

    On another Keras backend than TensorFlow only the seed and the precision are set.

    Determinism is nearly free on a CPU: with it, training took 0.9 to 1.2 times the processor time for
    Embedding + LSTM and Embedding + CNN, no more than the noise of a busy machine
    (benchmarks/input_pipeline.py).

    Args:
        seed: At least 0. Seeds Python, NumPy, TensorFlow and every Keras layer built from here on.
        deterministic: Whether one seed must give the same weights bit for bit. A process cannot take it back.
        precision: One of `PRECISIONS`; ``mixed_*`` computes in 16 bits and keeps the weights in 32.
        memory_growth: Whether a GPU's memory is taken as needed instead of all at once.
        threads: Cores that one operation may use; None leaves the choice to TensorFlow. Another number may
            add in another order, so the "same machine" of our promise includes it.

    Raises:
        errors.InputError: The precision is not one of `PRECISIONS`.
        errors.FieldnetsError: TensorFlow has run already, too early for ``threads`` or ``memory_growth``.
    """
    if precision not in PRECISIONS:
        raise errors.InputError(f"precision: expected one of {PRECISIONS}. Received: {precision!r}")
    quiet_logs()
    import keras

    if on_tensorflow():
        _configure_tensorflow(deterministic=deterministic, memory_growth=memory_growth, threads=threads)
    processes = cluster.from_environment()
    if processes is not None:
        # A backend takes its peers only before it has run anything.
        cluster.join(processes)
    keras.config.set_dtype_policy(precision)
    keras.utils.set_random_seed(seed)


def _configure_tensorflow(*, deterministic: bool, memory_growth: bool, threads: int | None) -> None:
    import tensorflow as tf

    with _before_any_operation("configure"):
        if threads is not None:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, memory_growth)
    if deterministic:
        tf.config.experimental.enable_op_determinism()


def limit_threads(threads: int) -> None:
    """Let one TensorFlow operation use so many cores, and so many operations run at a time; for inference.

    A thread that finds nothing to do looks for work before it sleeps: more of them than cores take processor time from
    whoever has some.

    Raises:
        errors.FieldnetsError: TensorFlow has run already with another number.
    """
    quiet_logs()
    import tensorflow as tf

    with _before_any_operation("limit_threads"):
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)


@contextlib.contextmanager
def _before_any_operation(function: str) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise errors.FieldnetsError(
            f"Expected runtime.{function}() before the first TensorFlow operation. Received: {error}"
        ) from error


def on_tensorflow() -> bool:
    """Tell whether Keras runs on TensorFlow."""
    import keras

    return bool(keras.backend.backend() == "tensorflow")


def scope_of(model: Any) -> contextlib.AbstractContextManager[Any]:
    """Return the scope in which the model's variables were made; other backends than TensorFlow have none."""
    scope: contextlib.AbstractContextManager[Any] = (
        model.distribute_strategy.scope() if on_tensorflow() else contextlib.nullcontext()
    )
    return scope


def in_scope() -> bool:
    """Tell whether this is called in the scope of a strategy of several devices or processes."""
    if not on_tensorflow():
        return False
    import tensorflow as tf

    return bool(tf.distribute.has_strategy())


def replicas_of(model: Any) -> int:
    """Return on how many devices the model is trained at once."""
    return model.distribute_strategy.num_replicas_in_sync if on_tensorflow() else 1


def replicas_in_scope() -> int:
    """Return on how many devices the strategy trains whose scope this is called in; 1 without a strategy."""
    if not on_tensorflow():
        return 1
    import tensorflow as tf

    return int(tf.distribute.get_strategy().num_replicas_in_sync)


def strategy(name: str = "auto") -> Any:
    """Return the ``tf.distribute`` strategy to build a model in: ``with runtime.strategy(name).scope():``.

    Where ``TF_CONFIG`` names several processes it is their common one; see `shared.training.workers`.

    Args:
        name: ``none`` = one device; ``mirrored`` = every GPU of this machine, or every logical CPU where
            there is none; ``auto`` = mirrored where there are two GPUs or more.

    Raises:
        errors.InputError: The name is not one of these.
    """
    if name not in STRATEGIES:
        raise errors.InputError(f"strategy: expected one of {STRATEGIES}. Received: {name!r}")
    quiet_logs()
    processes = cluster.from_environment()
    if processes is not None:
        return cluster.strategy(processes)
    import tensorflow as tf

    gpus = tf.config.list_logical_devices("GPU")
    if name == "none" or (name == "auto" and len(gpus) < 2):
        return tf.distribute.get_strategy()
    devices = gpus or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def describe(*, seed: int | None = None) -> dict[str, Any]:
    """Return what a run's numbers depend on, for ``environment.json``; call it in the strategy's scope."""
    quiet_logs()
    import keras
    import tensorflow as tf

    distribution = tf.distribute.get_strategy()
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "devices": [_describe_device(device) for device in tf.config.list_physical_devices()],
        "cpu_cores": _usable_cores(),
        "memory_bytes": psutil.virtual_memory().total,
        "threads": tf.config.threading.get_intra_op_parallelism_threads() or None,
        "precision": keras.config.dtype_policy().name,
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS"),
        "strategy": type(distribution).__name__,
        "replicas": distribution.num_replicas_in_sync,
        "seed": seed,
        **_describe_checkout(pathlib.Path(__file__)),
    }


def _describe_device(device: Any) -> dict[str, Any]:
    import tensorflow as tf

    description = {"name": device.name, "type": device.device_type}
    if device.device_type != "GPU":
        return description
    details = tf.config.experimental.get_device_details(device)
    memory = details.get("memory_limit") or _gpu_memory_bytes(int(device.name.rsplit(":", 1)[1]))
    return description | {"model": details.get("device_name"), "memory_bytes": memory}


def _gpu_memory_bytes(index: int) -> int | None:
    """Ask the driver's own tool; TensorFlow tells a GPU's name but not its memory."""
    query = ["--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    answer = _output(["nvidia-smi", f"--id={index}", *query])
    return int(answer) * 2**20 if answer and answer.isdigit() else None


def _usable_cores() -> int:
    """Count the cores this process may run on: in a container fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _describe_checkout(source: pathlib.Path) -> dict[str, Any]:
    """Name the commit when git tracks ``source``: an installed copy may lie in somebody else's repository."""
    git = ["git", "-C", str(source.parent)]
    if _output([*git, "ls-files", "--error-unmatch", source.name]) is None:
        return {"git_commit": None, "git_modified": None}
    changes = _output([*git, "status", "--porcelain", "--untracked-files=no"])
    return {"git_commit": _output([*git, "rev-parse", "HEAD"]), "git_modified": bool(changes)}


def _output(command: list[str]) -> str | None:
    """Return a command's output, or None when it is not installed, fails or hangs."""
    try:
        finished = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return finished.stdout.strip()
