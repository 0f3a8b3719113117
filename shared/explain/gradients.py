"""Explaining by gradients: cut a model at a layer, differentiate on any backend, and integrate along a path.

``keras.ops`` has no gradient. The backends are imported by name, because of the three only TensorFlow is a dependency
of ours.
"""

import dataclasses
import importlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

Function = Callable[[Any], Any]

# At once: more points need more memory and are no faster; an image of 224 x 224 needs some 80 MB per point.
CHUNK_POINTS = 64
CHUNK_NUMBERS = 2**19


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


def cut(model: keras.Model, layer_path: str) -> tuple[keras.Model, keras.Model]:
    """Split a functional model into what computes a layer's output, and what maps (input, that output) to the logits.

    Both share the model's layers and weights.

    Args:
        model: One input, one output.
        layer_path: Name of a layer; of one inside a model that is a layer itself: ``backbone/features``.

    Raises:
        ValueError: No such layer, or the model that holds it is called other than once.
    """
    name, _, rest = layer_path.partition("/")
    if rest:
        return _cut_inside(model, name, rest)
    found = model.get_layer(name).output
    return keras.Model(model.inputs[0], found), keras.Model([model.inputs[0], found], model.outputs[0])


def _cut_inside(model: keras.Model, name: str, rest: str) -> tuple[keras.Model, keras.Model]:
    """Put both halves of the inner model in its place, which shows what is between them to the outer graph."""
    inner = model.get_layer(name)
    head, tail = cut(inner, rest)
    found = []

    def call(layer: Any, *args: Any, **options: Any) -> Any:
        if layer is not inner:
            return layer(*args, **options)
        (inputs,) = keras.tree.flatten(args)
        found.append(head(inputs))
        return tail([inputs, found[-1]])

    opened = keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)
    if len(found) != 1:
        raise ValueError(f"Expected {model.name} to call {name} once. Received: {len(found)} calls")
    return keras.Model(opened.inputs[0], found[0]), keras.Model([opened.inputs[0], found[0]], opened.outputs[0])


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Attribution:
    """What each part of each input contributed to the score of one class.

    The score is the class's log-odds, ``logit_t - log sum_{c != t} exp(logit_c)``: with two classes the
    difference of the logits. Unlike a probability it does not saturate, and the contributions add up to its
    change.

    Attributes:
        values: (n, length) of tokens, or shaped like the inputs; positive speaks for the class.
        targets: (n,) int64 class explained in each row.
        score: (n,) log-odds of that class for the input.
        baseline_score: (n,) the same where every explained number is 0: a text of the same length that says
            nothing.
        steps: (n,) int64 points that the path was cut into.
    """

    values: np.ndarray
    targets: np.ndarray
    score: np.ndarray
    baseline_score: np.ndarray
    steps: np.ndarray

    @property
    def completeness_error(self) -> np.ndarray:
        """Part of the score's change that the contributions miss, (n,): 0 if completeness holds."""
        change = self.score - self.baseline_score
        total = self.values.reshape(len(self.values), -1).sum(axis=1)
        missed: np.ndarray = np.abs(total - change) / np.maximum(np.abs(change), 1.0)
        return missed


def integrated_gradients(
    model: keras.Model,
    inputs: np.ndarray,
    *,
    layer_name: str | None = "embedding",
    targets: np.ndarray | None = None,
    tolerance: float = 0.02,
    steps: int = 32,
    maximum_steps: int = 512,
) -> Attribution:
    """Explain predictions by the gradient, averaged on the straight way from zeros to the input.

    Equation 1 of Sundararajan et al. 2017 (https://arxiv.org/abs/1703.01365) by the midpoint rule. A row
    whose contributions miss more than ``tolerance`` of the change is done again with twice the steps.

    Args:
        model: One input, one output of logits (batch, classes).
        inputs: (n, length) int token ids, or (n, ...) float.
        layer_name: The layer whose output is varied, so that ids can be explained; its last axis is summed
            up. None = the inputs themselves.
        targets: (n,) classes to explain; None = the predicted ones.
        tolerance: Highest completeness error that ends the doubling.
        steps: Points at first.
        maximum_steps: Points at most; look at ``completeness_error`` when it may have been reached.

    Raises:
        ValueError: No row, or no such layer.
    """
    if len(inputs) == 0:
        raise ValueError("Expected at least one row to explain. Received: 0")
    if targets is None:
        targets = ops.convert_to_numpy(model(inputs, training=False)).argmax(axis=-1)
    head, tail = _cut(model, layer_name)
    rows = []
    for row, target in zip(inputs, targets, strict=True):
        for count in _doubling(steps, maximum_steps):
            attempt = _attribute_row(head, tail, row[None], target=int(target), steps=count)
            if attempt.completeness_error[0] <= tolerance:
                break
        rows.append(attempt)
    names = [field.name for field in dataclasses.fields(Attribution)]
    return Attribution(**{name: np.concatenate([getattr(row, name) for row in rows]) for name in names})


def log_odds(logits: Any, *, target: Any) -> Any:
    """Return log p / (1 - p), (n,), of logits (n, classes), for one class or for each row's own, (n,) int32."""
    of_target = ops.arange(logits.shape[-1], dtype="int32") == ops.convert_to_tensor(target, "int32")[..., None]
    others = ops.where(of_target, ops.full_like(logits, -1e9), logits)
    own = ops.sum(ops.where(of_target, logits, ops.zeros_like(logits)), axis=-1)
    return own - ops.logsumexp(others, axis=-1)


def _doubling(first: int, last: int) -> list[int]:
    """Count in doublings.

    >>> _doubling(32, 200)
    [32, 64, 128]
    """
    counts = [first]
    while 2 * counts[-1] <= last:
        counts.append(2 * counts[-1])
    return counts


def _cut(model: keras.Model, layer_name: str | None) -> tuple[Any, Any]:
    """Split a model in what computes the varied array, and what maps (inputs, varied array) to logits."""
    if layer_name is None:
        return lambda inputs: inputs, lambda _inputs, varied: model(varied, training=False)
    head, tail = cut(model, layer_name)
    return (
        lambda inputs: head(inputs, training=False),
        lambda inputs, points: tail([inputs, points], training=False),
    )


def _attribute_row(head: Any, tail: Any, row: np.ndarray, *, target: int, steps: int) -> Attribution:
    end = np.asarray(ops.convert_to_numpy(head(row)), dtype=np.float32)

    def score(points: Any) -> Any:
        repeated = ops.convert_to_tensor(np.repeat(row, points.shape[0], axis=0))
        return log_odds(tail(repeated, points), target=target)

    ends = ops.convert_to_numpy(score(ops.convert_to_tensor(np.concatenate([end, np.zeros_like(end)]))))
    midpoints = (np.arange(steps, dtype=np.float32) + 0.5) / steps
    total = np.zeros_like(end[0], dtype=np.float64)
    chunk = max(1, min(CHUNK_POINTS, CHUNK_NUMBERS // end[0].size))
    for start in range(0, steps, chunk):
        weights = midpoints[start : start + chunk].reshape(-1, *[1] * (end.ndim - 1))
        total += value_and_gradient(score, weights * end)[1].sum(axis=0, dtype=np.float64)
    values = end * (total / steps)
    return Attribution(
        values=(values.sum(axis=-1) if values.ndim > row.ndim else values).astype(np.float32),
        targets=np.array([target]),
        score=ends[:1],
        baseline_score=ends[1:],
        steps=np.array([steps]),
    )
