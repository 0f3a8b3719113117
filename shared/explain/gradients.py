"""The derivative of a function of one array on whichever backend runs: ``keras.ops`` has no gradient.

The backends are imported by name, because of the three only TensorFlow is a dependency of ours.
"""

import importlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

Function = Callable[[Any], Any]


def value_and_gradient(function: Function, point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Evaluate ``function`` and the derivative of each of its values by its own row.

    Args:
        function: Maps a float tensor (n, ...) to (n,), each value from its own row alone.
        point: (n, ...) float32.

    Returns:
        The values (n,) and the gradient, shaped like ``point``.

    Raises:
        RuntimeError: Keras runs on a backend other than tensorflow, jax and torch.
    """
    backends = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
    backend = keras.backend.backend()
    if backend not in backends:
        raise RuntimeError(f"Expected one of the Keras backends {', '.join(backends)}. Received: {backend}")
    values, gradient = backends[backend](function, np.asarray(point, dtype=np.float32))
    return keras.ops.convert_to_numpy(values), keras.ops.convert_to_numpy(gradient)


def _tensorflow(function: Function, point: np.ndarray) -> tuple[Any, Any]:
    tensorflow = importlib.import_module("tensorflow")
    tensor = tensorflow.convert_to_tensor(point)
    with tensorflow.GradientTape() as tape:
        tape.watch(tensor)
        values = function(tensor)
    return values, tape.gradient(values, tensor)


def _jax(function: Function, point: np.ndarray) -> tuple[Any, Any]:
    jax = importlib.import_module("jax")

    def total(tensor: Any) -> tuple[Any, Any]:
        values = function(tensor)
        return values.sum(), values

    # Without jit every operation would be compiled alone.
    gradient, values = jax.jit(jax.grad(total, has_aux=True))(point)
    return values, gradient


def _torch(function: Function, point: np.ndarray) -> tuple[Any, Any]:
    torch = importlib.import_module("torch")
    tensor = keras.ops.convert_to_tensor(point).detach().requires_grad_(True)
    values = function(tensor)
    (gradient,) = torch.autograd.grad(values.sum(), tensor)
    return values.detach(), gradient
