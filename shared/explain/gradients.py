"""The derivative of a function of one array on whichever backend runs: ``keras.ops`` has no gradient.

The backends are imported by name, because of the three only TensorFlow is a dependency of ours.
"""

import importlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

Function = Callable[[Any], Any]


def value_and_gradient(
    function: Function, point: np.ndarray, *, compiled: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Evaluate ``function`` and the derivative of each of its values by its own row.

    Args:
        function: Maps a float tensor (n, ...) to (n,), each value from its own row alone.
        point: (n, ...) float32.
        compiled: Trace a graph first, which takes longer for one call. Some gradients of small convolutions need it:
            called one by one they corrupt the memory of TensorFlow 2.21 with oneDNN.

    Returns:
        The values (n,) and the gradient, shaped like ``point``.

    Raises:
        RuntimeError: Keras runs on a backend other than tensorflow, jax and torch.
    """
    backends = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
    backend = keras.backend.backend()
    if backend not in backends:
        raise RuntimeError(f"Expected one of the Keras backends {', '.join(backends)}. Received: {backend}")
    values, gradient = backends[backend](function, np.asarray(point, dtype=np.float32), compiled)
    return keras.ops.convert_to_numpy(values), keras.ops.convert_to_numpy(gradient)


def _tensorflow(function: Function, point: np.ndarray, compiled: bool) -> tuple[Any, Any]:
    tensorflow = importlib.import_module("tensorflow")

    def both(tensor: Any) -> tuple[Any, Any]:
        with tensorflow.GradientTape() as tape:
            tape.watch(tensor)
            values = function(tensor)
        return values, tape.gradient(values, tensor)

    tensor = tensorflow.convert_to_tensor(point)
    found: tuple[Any, Any] = tensorflow.function(both)(tensor) if compiled else both(tensor)
    return found


def _jax(function: Function, point: np.ndarray, _compiled: bool) -> tuple[Any, Any]:
    jax = importlib.import_module("jax")

    def total(tensor: Any) -> tuple[Any, Any]:
        values = function(tensor)
        return values.sum(), values

    # Without jit every operation would be compiled alone.
    gradient, values = jax.jit(jax.grad(total, has_aux=True))(point)
    return values, gradient


def _torch(function: Function, point: np.ndarray, _compiled: bool) -> tuple[Any, Any]:
    torch = importlib.import_module("torch")
    tensor = keras.ops.convert_to_tensor(point).detach().requires_grad_(True)
    values = function(tensor)
    (gradient,) = torch.autograd.grad(values.sum(), tensor)
    return values.detach(), gradient
