"""What is monitored of road images: light, colour, sharpness, the camera, and the model's predictions."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from apps.driving_perception import frames, lane, predictions, preprocessing
from shared import cli, monitoring
from shared.bundle import reading as bundle

COLUMNS = {
    "brightness": "mean grey value",
    "contrast": "standard deviation of grey values",
    "sharpness": "mean absolute Laplacian",
    "colour": "mean distance of colours from grey",
    "warmth": "red less blue",
    "slope": "grey value of the upper half less that of the lower",
    "aspect": "width by height of the image",
    "pixels": "square root of the image's pixels",
    "score": "score of the surest box",
    "boxes": "boxes predicted",
    "height": "height of the tallest box, of the image's",
    "label": "class of the surest box",
    "decision": "whether an obstacle is ahead, or the image invalid",
}


def monitor(loaded: bundle.Bundle, collection: frames.Frames, *, output: pathlib.Path | None) -> cli.Result:
    """Compare new images with the bundle's reference; see ``shared.monitoring``."""
    ask = monitoring.asking(loaded)
    parts = []
    for start in range(0, len(collection), predictions.ROWS_AT_ONCE):
        rows = range(start, min(start + predictions.ROWS_AT_ONCE, len(collection)))
        parts.append(columns_of(ask, [frames.as_file(collection.images.read(row)) for row in rows]))
    # A bundle that was exported before has fewer columns.
    found = {name: np.concatenate([part[name] for part in parts]) for name in COLUMNS if name in parts[0]}
    return monitoring.monitor(loaded, found, names=COLUMNS, things="images", output=output)


def columns_of(ask: monitoring.Ask, items: Sequence[bytes]) -> dict[str, npt.NDArray[Any]]:
    """Return what is monitored, (n,) for each of ``COLUMNS``.

    Args:
        ask: The signature ``drift``.
        items: Image files.
    """
    files = np.empty(len(items), object)
    files[:] = items
    return monitoring.in_batches(ask, {"image_bytes": files}, rows=predictions.ROWS_AT_ONCE)


def columns(outputs: Mapping[str, Any], canvases: Any, geometry: Any, valid: Any) -> dict[str, Any]:
    """Return the drift columns, (n,) float32 or string for each of ``COLUMNS``, in a graph.

    Args:
        outputs: As from ``predictions.decide``.
        canvases: As in ``image_statistics``.
        geometry: As in ``image_statistics``.
        valid: As in ``image_statistics``.
    """
    found = image_statistics(canvases, geometry, valid)
    image_height = tf.maximum(found.pop("image_height"), 1.0)
    tall = outputs["boxes"][..., 3] - outputs["boxes"][..., 1]
    return {
        **found,
        "score": tf.reduce_max(outputs["scores"], axis=1),
        "boxes": tf.cast(outputs["count"], tf.float32),
        "height": tf.reduce_max(tall, axis=1) / image_height,
        "label": tf.where(outputs["count"] > 0, outputs["labels"][:, 0], "none"),
        "decision": tf.where(
            outputs["decision"] == lane.AHEAD, "yes", tf.where(outputs["decision"] == lane.INVALID, lane.INVALID, "no")
        ),
    }


def image_statistics(canvases: Any, geometry: Any, valid: Any) -> dict[str, Any]:
    """Return statistics of decoded images, in a graph.

    Args:
        canvases: (n, height, width, 3) uint8, as from ``preprocessing``.
        geometry: (n, 6) int32.
        valid: (n,) bool.

    Returns:
        ``brightness``, ``contrast``, ``sharpness`` and ``colour`` (n,) float32 of the range 0 to 1, ``warmth`` and
        ``slope`` from -1 to 1, ``aspect``, and ``pixels`` and ``image_height`` of the original; 0 for what is no image.
    """

    def one(row: Any) -> dict[str, Any]:
        sides = tf.maximum(geometry[row, preprocessing.FILLED], 1)
        original = tf.cast(geometry[row, preprocessing.ORIGINAL], tf.float32)
        image = tf.cast(canvases[row, : sides[0], : sides[1]], tf.float32) / 255.0
        grey = tf.reduce_mean(image, axis=2)
        around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
        edges = tf.abs(4.0 * grey[1:-1, 1:-1] - around)
        return {
            "brightness": tf.reduce_mean(grey),
            "contrast": tf.math.reduce_std(grey),
            "sharpness": tf.math.divide_no_nan(tf.reduce_sum(edges), tf.cast(tf.size(edges), tf.float32)),
            "colour": tf.reduce_mean(tf.abs(image - grey[..., tf.newaxis])),
            "warmth": tf.reduce_mean(image[..., 0] - image[..., 2]),
            "slope": tf.reduce_mean(grey[: (sides[0] + 1) // 2]) - tf.reduce_mean(grey[sides[0] // 2 :]),
            "aspect": tf.math.divide_no_nan(original[1], original[0]),
            "pixels": tf.sqrt(original[0] * original[1]),
            "image_height": original[0],
        }

    names = ("brightness", "contrast", "sharpness", "colour", "warmth", "slope", "aspect", "pixels", "image_height")
    signature = {name: tf.TensorSpec((), tf.float32) for name in names}
    found = tf.map_fn(one, tf.range(tf.shape(geometry)[0]), fn_output_signature=signature)
    return {name: tf.where(valid, values, 0.0) for name, values in found.items()}
