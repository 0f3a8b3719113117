"""The network, its loss and its weights of rows: grey squares of 0 to 255 in, logits out."""

import typing
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from apps.medical_imaging import backbones, config
from shared.models import cnn, losses

EVALUATION_ROWS = 64
# Scales of the views that are averaged at test time, the image itself first.
VIEW_SCALES = (1.0, 0.94, 1.06, 0.9, 1.1, 0.97, 1.03, 0.88, 1.12)


def build(settings: config.Config, *, classes: int) -> keras.Model:
    """Build the network that ``settings`` name, not yet trained.

    Returns:
        ``image`` (batch, size, size, channels) float32 in [0, 255] to ``logits`` (batch, classes) float32.

    Raises:
        errors.InputError: ImageNet weights are wanted and not installed.
    """
    shape = (settings.image_size, settings.image_size, settings.channels)
    if settings.model == "transfer":
        return backbones.build(settings, shape=shape, classes=classes)
    image = keras.Input(shape, name="image")
    scaled = keras.layers.Rescaling(1 / 64.0, offset=-2.0, name="scaled")(image)
    core = cnn.build_cnn(
        input_shape=shape,
        classes=classes,
        stages=cnn.Stages(filters=settings.cnn_filters, residual=True),
        dropout_rate=settings.dropout_rate,
    )
    return keras.Model(image, core(scaled), name="residual_cnn")


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


@keras.saving.register_keras_serializable(package="fieldnets")
class LogitAdjustedCrossEntropy(keras.losses.Loss):  # type: ignore[misc]
    """Cross-entropy of logits plus the logarithm of the classes' shares, so that the logits themselves are balanced.

    Menon et al. 2021, "Long-tail learning via logit adjustment" (https://arxiv.org/abs/2007.07314), equation 10.

    Args:
        shares: Of each class in the training part; they sum to 1.
        label_smoothing: Share of the target spread over all classes.
    """

    def __init__(
        self, shares: typing.Sequence[float], *, label_smoothing: float = 0.0, name: str = "logit_adjusted"
    ) -> None:
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
