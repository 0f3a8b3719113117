"""What is fine-tuned: EfficientNet-Lite0, a larger network of keras.applications, or a preset of KerasHub, by name.

EfficientNet-Lite0's weights are in a package; its features as they are, not fine-tuned, are the input of a baseline.
The others' weights are fetched where they are not on the machine yet, and only when one of them is asked for; without a
network the error names what to place where.
"""

import contextlib
import dataclasses
import functools
import os
import pathlib
import sys
from collections.abc import Callable
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt

from apps.medical_imaging import config
from shared import errors
from shared.models import building, efficientnet, pretrained

Shape: TypeAlias = tuple[int, int, int]

NESTED = "backbone"
# What ImageNet's colours, from 0 to 1, are centred on and divided by (He et al. 2015).
_MEAN, _DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


# The features of smaller pictures are those of a blur: the network halves the side five times.
SMALLEST_SIDE = 96
_ROWS_AT_ONCE = 64


@dataclasses.dataclass(frozen=True)
class _Application:
    """A network of keras.applications, and what its weights expect of images from 0 to 255: x * scale + offset."""

    constructor: Callable[..., keras.Model]
    scale: tuple[float, ...] = (1.0,)
    offset: tuple[float, ...] = (0.0,)


# The last two scale their inputs themselves.
_APPLICATIONS = {
    "densenet121": _Application(
        keras.applications.DenseNet121, tuple(1 / 255 / _DEVIATION), tuple(-_MEAN / _DEVIATION)
    ),
    "resnet50v2": _Application(keras.applications.ResNet50V2, (1 / 127.5,), (-1.0,)),
    "efficientnetv2-b0": _Application(keras.applications.EfficientNetV2B0),
    "efficientnetv2-s": _Application(keras.applications.EfficientNetV2S),
    "convnext-tiny": _Application(keras.applications.ConvNeXtTiny),
}


def build(settings: config.Config, *, shape: Shape, classes: int) -> keras.Model:
    """Build the network that ``settings.backbone`` names, with a new head.

    Args:
        settings: Name, dropout, and whether to start from published weights.
        shape: (size, size, channels); a grey image is shown in all three colours.
        classes: Number of classes.

    Returns:
        ``image`` (batch, size, size, channels) float32 in [0, 255] to ``logits`` (batch, classes) float32; the layer
        ``efficientnet.FEATURES_LAYER`` is the last with places.

    Raises:
        errors.InputError: The weights, or KerasHub, are not to be had.
    """
    if settings.backbone == config.LITE:
        network = efficientnet.build_efficientnet_lite(
            input_shape=shape, classes=classes, dropout_rate=settings.dropout_rate
        )
        if settings.pretrained:
            pretrained.load_efficientnet_lite0(network)
        return network
    image = keras.Input(shape, name="image")
    colours = image if shape[2] == 3 else keras.layers.Concatenate(name="colours")([image] * 3)
    x = _from_preset(settings, colours) if settings.is_preset else _application(settings, colours)
    features = keras.layers.Identity(name=efficientnet.FEATURES_LAYER)(x)
    pooled = keras.layers.GlobalAveragePooling2D(name="average")(features)
    dropped = building.dropout(pooled, rate=settings.dropout_rate, name="dropout")
    return keras.Model(image, building.logits(dropped, classes=classes), name="fine_tuned")


def require(settings: config.Config) -> None:
    """Make KerasHub's layers known to Keras, which a run that was fine-tuned from a preset needs to be opened.

    Raises:
        errors.InputError: It is needed and not installed.
    """
    if settings.model == "transfer" and settings.is_preset:
        pretrained.require_kerashub()


def _application(settings: config.Config, colours: Any) -> Any:
    """Return the features (batch, height, width, channels) of a network of keras.applications."""
    found = _APPLICATIONS[settings.backbone]
    weights = "imagenet" if settings.pretrained else None
    try:
        with contextlib.redirect_stdout(sys.stderr):  # Keras tells there what it fetches.
            nested = found.constructor(include_top=False, weights=weights, input_shape=tuple(colours.shape[1:]))
    except Exception as error:
        # Keras raises a bare Exception where it cannot fetch, naming the address, or a ValueError on a wrong checksum.
        if not str(error).startswith(("URL fetch failure", "Incomplete or corrupted file")):
            raise
        folder = pathlib.Path(os.environ.get("KERAS_HOME", "~/.keras"), "models")
        raise errors.InputError(
            f"--backbone {settings.backbone}: expected its ImageNet weights in {folder}, under the name that ends the "
            "address below, or a connection to fetch them (or train without them: --no-pretrained). "
            f"Received: {error}"
        ) from None
    nested.name = NESTED
    scaled = keras.layers.Rescaling(list(found.scale), offset=list(found.offset), name="scaled")
    return nested(scaled(colours))


def _from_preset(settings: config.Config, colours: Any) -> Any:
    """Return the features of a backbone of KerasHub."""
    nested, scaled = pretrained.load_preset(settings.backbone, weights=settings.pretrained)
    nested.name = NESTED
    features = nested(scaled(colours))
    if not hasattr(features, "shape") or len(features.shape) != 4:
        raise errors.InputError(
            f"--backbone {settings.backbone}: expected a backbone of images to (batch, height, width, channels). "
            f"Received: {type(nested).__name__}"
        )
    return features


def frozen_features(squares: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return (n, 1280) float32 features of (n, size, size, 1 or 3) images in [0, 255].

    Raises:
        errors.InputError: The package with the weights is not installed.
    """
    network = _features_network(max(squares.shape[1], SMALLEST_SIDE), squares.shape[3])
    starts = range(0, len(squares), _ROWS_AT_ONCE)
    found = [network.predict_on_batch(_images(squares[start : start + _ROWS_AT_ONCE])) for start in starts]
    return np.concatenate([np.empty((0, efficientnet.FEATURES_CHANNELS), np.float32), *found])


@functools.cache
def _features_network(size: int, channels: int) -> keras.Model:
    whole = efficientnet.build_efficientnet_lite(input_shape=(size, size, channels), classes=2)
    pretrained.load_efficientnet_lite0(whole)
    return keras.Model(whole.input, whole.get_layer("average").output, name="frozen_features")


def _images(squares: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    images = squares.astype(np.float32)
    if images.shape[1] >= SMALLEST_SIDE:
        return images
    size = (SMALLEST_SIDE, SMALLEST_SIDE)
    resized = keras.ops.image.resize(images, size, interpolation="bilinear", data_format="channels_last")
    return np.asarray(keras.ops.convert_to_numpy(resized), np.float32)
