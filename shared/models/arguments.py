"""Checks on what a builder is given. An argument at fault raises ValueError before any layer exists."""

import typing
from collections.abc import Sequence

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
