"""Convolutional networks: images, fixed-length signals, and text as token ids."""

import dataclasses
import typing
from collections.abc import Sequence
from typing import Any

import keras

from shared.models import building, sequences


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stages:
    """The convolutional part of a network: a stage per entry of ``filters``, each halving the size.

    Attributes:
        filters: Channels of each stage.
        kernel_size: Width (and height) of the kernels.
        activation: After each convolution.
        normalization: Between a convolution and its activation.
        residual: Two convolutions per stage with a shortcut around them (He et al. 2016,
            https://arxiv.org/abs/1512.03385) instead of one.
    """

    filters: tuple[int, ...] = (32, 64, 128)
    kernel_size: int = 3
    activation: building.Activation = "relu"
    normalization: building.Normalization = "batch"
    residual: bool = False


def build_cnn(
    *,
    input_shape: tuple[int | None, ...],
    classes: int,
    stages: Stages | None = None,
    hidden_units: Sequence[int] = (),
    dropout_rate: float = 0.0,
) -> keras.Model:
    """Build a convolutional classifier: stages, global average, hidden layers if any, logits.

    Args:
        input_shape: (height, width, channels) for input ``image``, or (length, channels) for input
            ``sequence``; float32, already scaled. A size may be None.
        classes: Number of classes, at least 2.
        stages: The convolutional part; None = three plain stages with batch normalization.
        hidden_units: Units of each fully connected layer after the average.
        dropout_rate: Part dropped before the logits (and after each hidden layer) while training, in [0,
            1).

    Returns:
        An uncompiled model: (batch, *input_shape) to ``logits`` (batch, classes) float32.

    Raises:
        ValueError: An argument is outside its range, or the input too small to be halved in every stage.
    """
    stages = stages or Stages()
    building.check_rank("input_shape", input_shape, (2, 3))
    building.check_rate("dropout_rate", dropout_rate)
    _check_stages(stages, input_shape)
    inputs = keras.Input(input_shape, name="image" if len(input_shape) == 3 else "sequence")
    x = inputs
    for number, filters in enumerate(stages.filters, start=1):
        x = _stage(x, filters=filters, stages=stages, name=f"stage_{number}")
    x = _layers_for(x).average(name="average")(x)
    x = building.dropout(x, rate=dropout_rate, name="dropout")
    x = building.hidden(x, units=hidden_units, activation=stages.activation, dropout_rate=dropout_rate)
    return keras.Model(inputs, building.logits(x, classes=classes), name="cnn")


def build_text_cnn(
    *,
    tokens: sequences.TokenEmbedding,
    classes: int,
    windows: Sequence[int] = (3, 4, 5),
    filters: int = 100,
    pooling: typing.Literal["max", "max_mean"] = "max",
    hidden_units: Sequence[int] = (),
    dropout_rate: float = 0.5,
) -> keras.Model:
    """Build Kim's text classifier: convolutions of several widths, each pooled over the whole text.

    Kim 2014, "Convolutional Neural Networks for Sentence Classification" (https://arxiv.org/abs/1408.5882).
    Three separate Conv1D are the fastest form on a CPU: one matrix product over unfolded windows took 1.3
    times as long, one convolution with the kernels padded to one width the same time.

    Args:
        tokens: The embedding.
        classes: Number of classes, at least 2.
        windows: Widths in tokens. A window may reach over an end of the text, where there are zeros.
        filters: Features per width.
        pooling: Highest value over the text, or that and the mean.
        hidden_units: Units of each fully connected layer after the pooling.
        dropout_rate: Part dropped after the pooling (and after each hidden layer) while training, in [0,
            1).

    Returns:
        An uncompiled model: ``tokens`` (batch, length) int32, 0 = padding at the end, to ``logits`` (batch,
        classes) float32. More padding changes nothing.

    Raises:
        ValueError: An argument is outside its range.
    """
    building.check_some("windows", windows)
    building.check_counts("filters", (filters,))
    building.check_choice("pooling", pooling, ("max", "max_mean"))
    building.check_rate("dropout_rate", dropout_rate)
    ids, x, mask = sequences.embed(tokens)
    pooled = []
    for width in windows:
        name = f"window_{width}"
        found = keras.layers.Conv1D(
            filters, width, padding="same", activation="relu", kernel_initializer="he_normal", name=name
        )(x)
        pooled.append(sequences.MaxOverTime(name=f"{name}_max")(found, mask))
        if pooling == "max_mean":
            pooled.append(sequences.MeanOverTime(name=f"{name}_mean")(found, mask))
    x = keras.layers.Concatenate(name="windows")(pooled) if len(pooled) > 1 else pooled[0]
    x = building.dropout(x, rate=dropout_rate, name="dropout")
    x = building.hidden(x, units=hidden_units, activation="relu", dropout_rate=dropout_rate)
    return keras.Model(ids, building.logits(x, classes=classes), name="text_cnn")


@dataclasses.dataclass(frozen=True)
class _Layers:
    """The layer classes for one number of dimensions."""

    convolution: Any
    halve: Any
    average: Any


_SEQUENCE_LAYERS = _Layers(keras.layers.Conv1D, keras.layers.MaxPooling1D, keras.layers.GlobalAveragePooling1D)
_IMAGE_LAYERS = _Layers(keras.layers.Conv2D, keras.layers.MaxPooling2D, keras.layers.GlobalAveragePooling2D)


def _layers_for(x: Any) -> _Layers:
    return _IMAGE_LAYERS if len(x.shape) == 4 else _SEQUENCE_LAYERS


def _stage(x: Any, *, filters: int, stages: Stages, name: str) -> Any:
    """Convolve, with a shortcut around it if wanted, and halve the size."""
    shortcut = x
    x = _convolve(x, filters=filters, stages=stages, name=f"{name}_convolution")
    if stages.residual:
        x = keras.layers.Activation(stages.activation, name=f"{name}_inner_{stages.activation}")(x)
        x = _convolve(x, filters=filters, stages=stages, name=f"{name}_second_convolution")
        if shortcut.shape[-1] != filters:
            shortcut = _layers_for(x).convolution(filters, 1, name=f"{name}_shortcut")(shortcut)
        x = keras.layers.Add(name=f"{name}_sum")([x, shortcut])
    x = keras.layers.Activation(stages.activation, name=f"{name}_{stages.activation}")(x)
    return _layers_for(x).halve(2, name=f"{name}_halve")(x)


def _convolve(x: Any, *, filters: int, stages: Stages, name: str) -> Any:
    # A normalization has its own offset: a bias before it is subtracted again.
    x = _layers_for(x).convolution(
        filters,
        stages.kernel_size,
        padding="same",
        use_bias=stages.normalization is None,
        kernel_initializer=building.initializer(stages.activation),
        name=name,
    )(x)
    return building.normalize(x, kind=stages.normalization, name=f"{name}_normalization")


def _check_stages(stages: Stages, input_shape: Sequence[int | None]) -> None:
    building.check_some("filters", stages.filters)
    building.check_counts("kernel_size", (stages.kernel_size,))
    building.check_choice("activation", stages.activation, typing.get_args(building.Activation))
    building.check_choice("normalization", stages.normalization, (None, "batch", "layer"))
    smallest = 2 ** len(stages.filters)
    if any(size is not None and size < smallest for size in input_shape[:-1]):
        raise ValueError(
            f"Expected input_shape of at least {smallest} in every direction, because "
            f"{len(stages.filters)} stages halve it. Received: {tuple(input_shape)}"
        )
