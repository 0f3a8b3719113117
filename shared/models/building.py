"""What all builders share: checks of what they are given, hidden layers, and logits that stay float32.

An argument at fault raises ValueError before any layer exists.
"""

import pathlib
import typing
from collections.abc import Sequence
from typing import Any

import keras

from shared import errors

Activation = typing.Literal["relu", "sigmoid", "tanh", "gelu"]
Normalization = typing.Literal["batch", "layer"] | None


def check_choice(name: str, value: str | None, choices: Sequence[str | None]) -> None:
    """Raise ValueError unless ``value`` is one of ``choices``.

    >>> check_choice("cell", "lstm", ("lstm", "gru"))
    >>> check_choice("cell", "gnu", ("lstm", "gru"))
    Traceback (most recent call last):
    ValueError: Expected cell to be one of 'lstm', 'gru'. Received: 'gnu'
    """
    if value not in choices:
        raise ValueError(f"Expected {name} to be one of {', '.join(map(repr, choices))}. Received: {value!r}")


def check_counts(name: str, values: Sequence[int], *, minimum: int = 1) -> None:
    """Raise ValueError when a value is not a whole number of at least ``minimum``.

    >>> check_counts("hidden_units", (128, 0))
    Traceback (most recent call last):
    ValueError: Expected hidden_units to be whole numbers of at least 1. Received: (128, 0)
    """
    if not all(isinstance(value, int) and value >= minimum for value in values):
        wanted = f"whole numbers of at least {minimum}"
        raise ValueError(f"Expected {name} to be {wanted}. Received: {tuple(values)}")


def check_some(name: str, values: Sequence[int]) -> None:
    """Raise ValueError when there is no value, or one below 1.

    >>> check_some("windows", ())
    Traceback (most recent call last):
    ValueError: Expected windows to have at least one value. Received: none
    """
    if len(values) == 0:
        raise ValueError(f"Expected {name} to have at least one value. Received: none")
    check_counts(name, values)


def check_rate(name: str, value: float) -> None:
    """Raise ValueError unless ``value`` is a part of one that leaves something over.

    >>> check_rate("dropout_rate", 1.0)
    Traceback (most recent call last):
    ValueError: Expected dropout_rate to be in [0, 1). Received: 1.0
    """
    if not 0 <= value < 1:
        raise ValueError(f"Expected {name} to be in [0, 1). Received: {value}")


def check_rank(name: str, shape: Sequence[int | None], ranks: Sequence[int]) -> None:
    """Raise ValueError when an input shape (without the batch) has a rank that the builder has no layers for.

    >>> check_rank("input_shape", (28, 28), (3,))
    Traceback (most recent call last):
    ValueError: Expected input_shape to have 3 dimensions without the batch. Received: (28, 28)
    """
    if len(shape) not in ranks:
        wanted = f"{' or '.join(map(str, ranks))} dimensions without the batch"
        raise ValueError(f"Expected {name} to have {wanted}. Received: {tuple(shape)}")


def initializer(activation: str) -> str:
    """Name the initial weights that keep the variance of what passes through ``activation``.

    He et al. 2015 (https://arxiv.org/abs/1502.01852) for the rectifiers; Glorot and Bengio 2010 for the
    others.

    >>> initializer("relu"), initializer("tanh")
    ('he_normal', 'glorot_uniform')
    """
    return "he_normal" if activation in ("relu", "gelu") else "glorot_uniform"


def normalize(x: Any, *, kind: Normalization, name: str) -> Any:
    """Normalize the channels over the batch or over themselves; None returns ``x`` untouched."""
    if kind == "batch":
        return keras.layers.BatchNormalization(name=name)(x)
    return keras.layers.LayerNormalization(name=name)(x) if kind == "layer" else x


def dropout(x: Any, *, rate: float, name: str) -> Any:
    """Drop parts of ``x`` while training; a rate of 0 adds no layer."""
    return keras.layers.Dropout(rate, name=name)(x) if rate else x


def hidden(
    x: Any,
    *,
    units: Sequence[int],
    activation: Activation,
    dropout_rate: float = 0.0,
    normalization: Normalization = None,
) -> Any:
    """Stack fully connected layers ``hidden_1``, ``hidden_2``, ... on ``x`` of (batch, features).

    Raises:
        ValueError: An argument is outside its range.
    """
    check_counts("hidden_units", units)
    check_choice("activation", activation, typing.get_args(Activation))
    check_choice("normalization", normalization, (None, "batch", "layer"))
    check_rate("dropout_rate", dropout_rate)
    for number, size in enumerate(units, start=1):
        # A normalization has its own offset: a bias before it is subtracted again.
        x = keras.layers.Dense(
            size,
            use_bias=normalization is None,
            kernel_initializer=initializer(activation),
            name=f"hidden_{number}",
        )(x)
        x = normalize(x, kind=normalization, name=f"hidden_{number}_normalization")
        x = keras.layers.Activation(activation, name=f"hidden_{number}_{activation}")(x)
        x = dropout(x, rate=dropout_rate, name=f"hidden_{number}_dropout")
    return x


def logits(x: Any, *, classes: int, kernel_initializer: Any = "glorot_uniform") -> Any:
    """Return the unnormalized class scores, (batch, classes) float32.

    float32 also under mixed precision, where a softmax of float16 logits overflows.

    Raises:
        ValueError: Fewer than two classes. A binary task has two logits too, so that nothing downstream
            differs.
    """
    check_counts("classes", (classes,), minimum=2)
    layer = keras.layers.Dense(classes, kernel_initializer=kernel_initializer, dtype="float32", name="logits")
    return layer(x)


def load(path: pathlib.Path, *, logits: int | None = None) -> keras.Model:
    """Load a saved model; whoever calls this has the layers that it is made of registered.

    Args:
        path: A ``.keras`` file.
        logits: How many the model must end in; None where it does not end in logits.

    Raises:
        errors.InputError: The file is damaged, or holds something else.
    """
    try:
        model = keras.models.load_model(path, compile=False)
    except MemoryError:
        raise
    except Exception as error:  # Keras, zipfile, HDF5 and JSON each have errors of their own for a damaged file.
        reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
        raise errors.InputError(
            f"{path}: expected the model that training saved; bring the file back, or train anew. Received: "
            f"{reason:.200}"
        ) from error
    ends = None if not isinstance(model, keras.Model) or isinstance(model.output_shape, dict) else model.output_shape
    if logits is not None and (not isinstance(ends, tuple) or ends[-1] != logits):
        raise errors.InputError(
            f"{path}: expected a model that ends in {logits} logits, one per class of decision.json. Received: {ends}"
        )
    return model
