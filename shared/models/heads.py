"""What every builder ends in: hidden layers, and logits that stay float32 under every precision policy."""

import typing
from collections.abc import Sequence
from typing import Any

import keras

from shared.models import arguments


def initializer(activation: str) -> str:
    """Name the initial weights that keep the variance of what passes through ``activation``.

    He et al. 2015 (https://arxiv.org/abs/1502.01852) for the rectifiers; Glorot and Bengio 2010 for the
    others.

    >>> initializer("relu"), initializer("tanh")
    ('he_normal', 'glorot_uniform')
    """
    return "he_normal" if activation in ("relu", "gelu") else "glorot_uniform"


def normalize(x: Any, *, kind: arguments.Normalization, name: str) -> Any:
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
    activation: arguments.Activation,
    dropout_rate: float = 0.0,
    normalization: arguments.Normalization = None,
) -> Any:
    """Stack fully connected layers ``hidden_1``, ``hidden_2``, ... on ``x`` of (batch, features).

    Raises:
        ValueError: An argument is outside its range.
    """
    arguments.check_counts("hidden_units", units)
    arguments.check_choice("activation", activation, typing.get_args(arguments.Activation))
    arguments.check_choice("normalization", normalization, (None, "batch", "layer"))
    arguments.check_rate("dropout_rate", dropout_rate)
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
    arguments.check_counts("classes", (classes,), minimum=2)
    layer = keras.layers.Dense(classes, kernel_initializer=kernel_initializer, dtype="float32", name="logits")
    return layer(x)
