"""What a training sets in its process, put back for a program that goes on: a notebook, a search, a server.

Seeds, precision and determinism belong to a process, since Keras and TensorFlow keep them there. The command line ends
with its process; a caller of the Python API has seeds and a precision of its own.
"""

import contextlib
import logging
import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

# What `runtime.quiet_logs` and a video reader set for the libraries that they import.
VARIABLES = ("TF_CPP_MIN_LOG_LEVEL", "TF_ENABLE_ONEDNN_OPTS", "OPENCV_FFMPEG_LOGLEVEL")
# Of Keras: the seed, the generator that layers without one share, and the counts that layers are numbered by.
_OF_KERAS = ("global_random_seed", "global_seed_generator", "object_name_uids", "dtype_policy")


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Put back at the end of the block what it changed: seeds, Keras' precision and names, determinism, environment.

    In the block layers are numbered from the first on, as in a process of its own: what is saved is the same.
    """
    variables = {name: os.environ.get(name) for name in VARIABLES}
    python, legacy = random.getstate(), np.random.get_state()
    level = logging.getLogger("tensorflow").level
    back = _of_libraries()
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL") != "0":
        # As `runtime.quiet_logs` does where nobody has imported TensorFlow before.
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
    try:
        yield
    finally:
        back()
        logging.getLogger("tensorflow").setLevel(level)
        random.setstate(python)
        np.random.set_state(legacy)
        for name, value in variables.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _of_libraries() -> Callable[[], None]:
    """Remember what Keras and TensorFlow keep, begin anew, and return what puts it back."""
    from shared.training import runtime

    runtime.quiet_logs()
    # Nothing public reads these; Keras and TensorFlow are held to one minor version in pyproject.toml.
    import tensorflow as tf
    from keras.src.backend.common import global_state
    from tensorflow.python.eager import context
    from tensorflow.python.framework import config

    of_keras = {name: global_state.get_global_attribute(name) for name in _OF_KERAS}
    deterministic = config.is_op_determinism_enabled()
    executing = context.context()
    seed, generator = executing._seed, getattr(executing, "_rng", None)
    global_state.set_global_attribute("object_name_uids", None)

    def back() -> None:
        for name, value in of_keras.items():
            global_state.set_global_attribute(name, value)
        if not deterministic and config.is_op_determinism_enabled():
            config.disable_op_determinism()
        _restore_seed(tf, executing, seed, generator)

    return back


def _restore_seed(tf: Any, executing: Any, seed: int | None, generator: Any) -> None:
    """Let TensorFlow draw on as before: its seed, and the generator of the seeds of single operations."""
    tf.random.set_seed(seed)
    executing._rng = generator
