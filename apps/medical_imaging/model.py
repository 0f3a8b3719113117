"""The network, its loss and its weights of rows: grey squares of 0 to 255 in, logits out.

A CNN is trained from scratch; EfficientNet-Lite0, networks of keras.applications and of KerasHub are fine-tuned.
EfficientNet-Lite0's weights are in a package; its features as they are, not fine-tuned, are the input of a baseline.
The others' weights are fetched where they are not on the machine yet, and only when one of them is asked for; without a
connection the error names what to place where.
"""

import contextlib
import dataclasses
import functools
import os
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt

from apps.medical_imaging import config
from shared import errors
from shared.models import building, cnn, efficientnet, losses, packages, pretrained

Shape: TypeAlias = tuple[int, int, int]

EVALUATION_ROWS = 64
BACKBONE_LAYER = "backbone"
# The features of smaller pictures are those of a blur: the network halves the side five times.
SMALLEST_SIDE = 96
# Scales of the views that are averaged at test time, the image itself first.
VIEW_SCALES = (1.0, 0.94, 1.06, 0.9, 1.1, 0.97, 1.03, 0.88, 1.12)
# What ImageNet's colours, from 0 to 1, are centred on and divided by (He et al. 2015).
_MEAN, _DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


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


def build(settings: config.Config, *, classes: int) -> keras.Model:
    """Build the network that ``settings`` name, not yet trained.

    Returns:
        ``image`` (batch, size, size, channels) float32 in [0, 255] to ``logits`` (batch, classes) float32.

    Raises:
        errors.InputError: ImageNet weights are wanted and not installed.
    """
    shape = (settings.image_size, settings.image_size, settings.channels)
    if settings.model == "transfer":
        return build_transfer(settings, shape=shape, classes=classes)
    image = keras.Input(shape, name="image")
    scaled = keras.layers.Rescaling(1 / 64.0, offset=-2.0, name="scaled")(image)
    core = cnn.build_cnn(
        input_shape=shape,
        classes=classes,
        stages=cnn.Stages(filters=settings.cnn_filters, residual=True),
        dropout_rate=settings.dropout_rate,
    )
    return keras.Model(image, core(scaled), name="residual_cnn")


def build_transfer(settings: config.Config, *, shape: Shape, classes: int) -> keras.Model:
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


def require_backbone(settings: config.Config) -> None:
    """Make KerasHub's layers known to Keras, which a run that was fine-tuned from a preset needs to be opened.

    Raises:
        errors.InputError: It is needed and not installed.
    """
    if settings.model == "transfer" and settings.is_preset:
        packages.require_kerashub()


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
    nested.name = BACKBONE_LAYER
    scaled = keras.layers.Rescaling(list(found.scale), offset=list(found.offset), name="scaled")
    return nested(scaled(colours))


def _from_preset(settings: config.Config, colours: Any) -> Any:
    """Return the features of a backbone of KerasHub."""
    nested, scaled = pretrained.load_preset(settings.backbone, weights=settings.pretrained)
    nested.name = BACKBONE_LAYER
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
    starts = range(0, len(squares), EVALUATION_ROWS)
    found = [network.predict_on_batch(_enlarged(squares[start : start + EVALUATION_ROWS])) for start in starts]
    return np.concatenate([np.empty((0, efficientnet.FEATURES_CHANNELS), np.float32), *found])


@functools.cache
def _features_network(size: int, channels: int) -> keras.Model:
    whole = efficientnet.build_efficientnet_lite(input_shape=(size, size, channels), classes=2)
    pretrained.load_efficientnet_lite0(whole)
    return keras.Model(whole.input, whole.get_layer("average").output, name="frozen_features")


def _enlarged(squares: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    images = squares.astype(np.float32)
    if images.shape[1] >= SMALLEST_SIDE:
        return images
    size = (SMALLEST_SIDE, SMALLEST_SIDE)
    resized = keras.ops.image.resize(images, size, interpolation="bilinear", data_format="channels_last")
    return np.asarray(keras.ops.convert_to_numpy(resized), np.float32)


def assemble(networks: Sequence[keras.Model], settings: config.Config) -> keras.Model:
    """Return the model that predicts: the mean logits of the networks, over several views of each image."""
    image = keras.Input(networks[0].input_shape[1:], name="image")
    scales = VIEW_SCALES[: settings.test_time_views]
    views = [image if scale == 1.0 else Rescaled(scale)(image) for scale in scales]
    for number, network in enumerate(networks, start=1):
        network.name = f"network_{number}"
    logits = [network(view) for network in networks for view in views]
    mean = keras.layers.Average(name="logits")(logits) if len(logits) > 1 else logits[0]
    return keras.Model(image, mean, name="medical_imaging")


@keras.saving.register_keras_serializable(package="fieldnets")
class Rescaled(keras.layers.Layer):  # type: ignore[misc]
    """Show images larger or smaller about their centre, in the same frame.

    Args:
        scale: Above 1 magnifies; below 1 mirrors what lies beyond the edge.
        name: The layer's name.
    """

    def __init__(self, scale: float, *, name: str | None = None, dtype: Any = "float32") -> None:
        super().__init__(name=name or f"scaled_{round(100 * scale)}", trainable=False, dtype=dtype)
        self.scale = scale

    def call(self, images: Any) -> Any:
        """Map (batch, height, width, channels) to the same shape."""
        height, width = images.shape[1], images.shape[2]
        down, across = (height - 1) / 2 * (1 - 1 / self.scale), (width - 1) / 2 * (1 - 1 / self.scale)
        transform = keras.ops.convert_to_tensor([1 / self.scale, 0, across, 0, 1 / self.scale, down, 0, 0], "float32")
        transforms = keras.ops.tile(transform[None], (keras.ops.shape(images)[0], 1))
        return keras.ops.image.affine_transform(images, transforms, interpolation="bilinear", fill_mode="reflect")

    def compute_output_shape(self, shape: Any) -> Any:
        """Keep the shape."""
        return shape

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"scale": self.scale, "name": self.name}


def build_loss(settings: config.Config, *, task: str, labels: npt.NDArray[np.float32]) -> keras.losses.Loss:
    """Return the loss of (labels (n, classes) float32, logits).

    Args:
        settings: Name of the loss, label smoothing, class weights.
        task: ``single_label``: the labels of a row sum to 1. ``multi_label``: each is 0, 1 or NaN, and NaN
            counts nowhere.
        labels: Those of the training part, whose shares logit adjustment needs.
    """
    if task == "multi_label":
        return losses.MaskedBinaryCrossEntropy()
    if settings.class_weights == "logit_adjustment":
        return LogitAdjustedCrossEntropy(np.nanmean(labels, axis=0).tolist(), label_smoothing=settings.label_smoothing)
    if settings.loss == "focal":
        return keras.losses.CategoricalFocalCrossentropy(from_logits=True, label_smoothing=settings.label_smoothing)
    return keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=settings.label_smoothing)


def row_weights(settings: config.Config, *, labels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32] | None:
    """Return (n,) what each row counts in the loss, with mean 1, where the classes are to count the same.

    A row with several findings, or none, has the mean weight of its label's values (King and Zeng 2001).
    """
    if settings.class_weights != "balanced":
        return None
    known = ~np.isnan(labels)
    share = np.clip(np.nanmean(labels, axis=0), 1e-3, 1 - 1e-3)
    weight = np.where(labels > 0.5, 1 / share, 1 / (1 - share))
    rows = np.sum(weight, axis=1, where=known) / np.maximum(known.sum(axis=1), 1)
    rows[~known.any(axis=1)] = 1.0
    return np.asarray(rows / rows.mean(), np.float32)


@keras.saving.register_keras_serializable(package="fieldnets")
class LogitAdjustedCrossEntropy(keras.losses.Loss):  # type: ignore[misc]
    """Cross-entropy of logits plus the logarithm of the classes' shares, so that the logits themselves are balanced.

    Menon et al. 2021, "Long-tail learning via logit adjustment" (https://arxiv.org/abs/2007.07314), equation 10.

    Args:
        shares: Of each class in the training part; they sum to 1.
        label_smoothing: Share of the target spread over all classes.
    """

    def __init__(self, shares: Sequence[float], *, label_smoothing: float = 0.0, name: str = "logit_adjusted") -> None:
        super().__init__(name=name)
        self.shares = [float(share) for share in shares]
        self.label_smoothing = label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Map (n, classes) one-hot labels and logits to (n,) losses."""
        adjusted = y_pred + keras.ops.log(keras.ops.convert_to_tensor(self.shares, y_pred.dtype))
        return keras.losses.categorical_crossentropy(
            y_true, adjusted, from_logits=True, label_smoothing=self.label_smoothing
        )

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"shares": self.shares, "label_smoothing": self.label_smoothing, "name": self.name}
