"""EfficientNet-Lite: a network for images that is light enough to be fine-tuned without a GPU.

The blocks of EfficientNet (Tan and Le 2019, https://arxiv.org/abs/1905.11946) without squeeze-and-excitation and
with ReLU6; sizes from ``efficientnet_lite_builder.py`` of the TensorFlow TPU models. Weights: ``pretrained``.
"""

import dataclasses
from typing import Any

import keras

from shared.models import building

FEATURES_LAYER = "features"
"""The last convolution after its activation, (batch, height / 32, width / 32, 1280): what Grad-CAM looks at."""
STEM_CHANNELS = 32
FEATURES_CHANNELS = 1280

# What the published weights were trained with: 0 to 255 becomes -0.992 to 1.
_INPUT_MEAN, _INPUT_SCALE = 127.0, 128.0


@dataclasses.dataclass(frozen=True)
class _Stage:
    """Blocks of one width; the first of them may halve the size."""

    blocks: int
    kernel_size: int
    strides: int
    expansion: int
    channels: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)
BLOCKS = tuple(f"stage_{s}_block_{b}" for s, stage in enumerate(_STAGES, start=1) for b in range(1, stage.blocks + 1))
"""Names of the 16 blocks, which their layers' names start with, from the input on."""
STAGES = ("stem", *(f"stage_{number}" for number in range(1, len(_STAGES) + 1)), "features")
"""What ``freeze`` counts: the names of these stages' layers start so."""


def build_efficientnet_lite(
    *,
    input_shape: tuple[int | None, int | None, int] = (224, 224, 3),
    classes: int,
    dropout_rate: float = 0.2,
    drop_connect_rate: float = 0.2,
) -> keras.Model:
    """Build EfficientNet-Lite0, with random weights.

    Args:
        input_shape: (height, width, channels) of input ``image``, float32 from 0 to 255 (normalised inside to (x -
            127) / 128, which the published weights expect); channels 3 (red, green, blue) or 1 (grey). A size may
            be None.
        classes: Number of classes, at least 2.
        dropout_rate: Part of the features dropped before the logits while training, in [0, 1).
        drop_connect_rate: Part of the images for which a whole block is left out while training (stochastic
            depth, Huang et al. 2016, https://arxiv.org/abs/1603.09382), in [0, 1): this much at the last
            block, in proportion less before it.

    Returns:
        An uncompiled model of 3.4 million weights before the logits: (batch, *input_shape) to ``logits`` (batch,
        classes) float32. Layer ``features`` is the last convolution.

    Raises:
        ValueError: An argument is outside its range.
    """
    building.check_rank("input_shape", input_shape, (3,))
    building.check_choice("channels", str(input_shape[-1]), ("1", "3"))
    building.check_rate("dropout_rate", dropout_rate)
    building.check_rate("drop_connect_rate", drop_connect_rate)
    inputs = keras.Input(input_shape, name="image")
    # In float32 under every policy: half precision has too few digits for 0 to 255.
    x = keras.layers.Rescaling(1 / _INPUT_SCALE, -_INPUT_MEAN / _INPUT_SCALE, dtype="float32", name="normalize")(inputs)
    x = _convolve(x, filters=STEM_CHANNELS, kernel_size=3, strides=2, name="stem")
    x = _relu6(x, name="stem_relu6")
    x = _blocks(x, drop_connect_rate=drop_connect_rate)
    x = _relu6(_convolve(x, filters=FEATURES_CHANNELS, name="features"), name=FEATURES_LAYER)
    x = keras.layers.GlobalAveragePooling2D(name="average")(x)
    x = building.dropout(x, rate=dropout_rate, name="dropout")
    return keras.Model(inputs, building.logits(x, classes=classes), name="efficientnet_lite0")


def freeze(model: keras.Model, *, stages: int, normalization: bool = False) -> None:
    """Let only the later stages learn; compile the model afterwards, or nothing changes.

    A frozen batch normalization keeps its moving averages and uses them in training too, so that the frozen
    part computes while training what it computes in use.

    Args:
        model: From ``build_efficientnet_lite``, or one that holds its layers.
        stages: How many of ``STAGES`` are frozen, counted from the input; all 9 leave the logits, 0 nothing.
        normalization: Freeze also the batch normalization of the stages that learn: small batches and few
            images make worse averages than those of the pretrained weights.

    Raises:
        ValueError: The number is not in 0 to 9.
    """
    if not 0 <= stages <= len(STAGES):
        raise ValueError(f"Expected stages in 0 to {len(STAGES)}. Received: {stages}")
    frozen, learning = STAGES[:stages], STAGES[stages:]
    for layer in model.layers:
        if layer.name.startswith(frozen + learning):
            fixed = normalization and isinstance(layer, keras.layers.BatchNormalization)
            layer.trainable = layer.name.startswith(learning) and not fixed


def _blocks(x: Any, *, drop_connect_rate: float) -> Any:
    """Stack the 16 blocks; only the first of a stage halves the size and changes the channels."""
    stages = [stage for stage in _STAGES for _ in range(stage.blocks)]
    for number, (name, stage) in enumerate(zip(BLOCKS, stages, strict=True)):
        block = stage if name.endswith("_block_1") else dataclasses.replace(stage, strides=1)
        x = _block(x, block, drop_connect_rate=drop_connect_rate * number / len(BLOCKS), name=name)
    return x


def _block(x: Any, stage: _Stage, *, drop_connect_rate: float, name: str) -> Any:
    """Widen the channels, filter each of them, narrow them again; with a shortcut where the shape stays."""
    inputs = x
    if stage.expansion > 1:
        x = _convolve(x, filters=x.shape[-1] * stage.expansion, name=f"{name}_expand")
        x = _relu6(x, name=f"{name}_expand_relu6")
    x = _filter(x, stage, name=f"{name}_depthwise")
    x = _convolve(_relu6(x, name=f"{name}_depthwise_relu6"), filters=stage.channels, name=f"{name}_project")
    if stage.strides > 1 or inputs.shape[-1] != stage.channels:
        return x
    if drop_connect_rate:
        per_image = (None, 1, 1, 1)
        x = keras.layers.Dropout(drop_connect_rate, noise_shape=per_image, name=f"{name}_drop_connect")(x)
    return keras.layers.Add(name=f"{name}_sum")([x, inputs])


def _filter(x: Any, stage: _Stage, *, name: str) -> Any:
    x = keras.layers.DepthwiseConv2D(
        stage.kernel_size,
        strides=stage.strides,
        padding="same",
        use_bias=False,
        depthwise_initializer=_initializer(),
        name=f"{name}_convolution",
    )(x)
    return _normalize(x, name=name)


def _convolve(x: Any, *, filters: int, kernel_size: int = 1, strides: int = 1, name: str) -> Any:
    # Padding "same" is TensorFlow's on every backend: more at the bottom and right, as the weights were trained.
    x = keras.layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer=_initializer(),
        name=f"{name}_convolution",
    )(x)
    return _normalize(x, name=name)


def _normalize(x: Any, *, name: str) -> Any:
    return keras.layers.BatchNormalization(momentum=0.99, epsilon=1e-3, name=f"{name}_normalization")(x)


def _relu6(x: Any, *, name: str) -> Any:
    return keras.layers.Activation("relu6", name=name)(x)


def _initializer() -> Any:
    """Return the original's initial weights: variance 2 / fan-out."""
    return keras.initializers.VarianceScaling(2.0, mode="fan_out", distribution="untruncated_normal")
