"""What drift of road images is judged on: light, contrast, sharpness, and what the model sees in them."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from apps.driving_perception import frames, lane, preprocessing, scoring
from shared import cli, monitoring
from shared.serving import bundle

COLUMNS = {
    "brightness": "mean grey value",
    "contrast": "standard deviation of grey values",
    "sharpness": "mean absolute Laplacian",
    "colour": "mean distance of colours from grey",
    "score": "score of the surest box",
    "boxes": "boxes answered",
    "height": "height of the tallest box, of the image's",
    "decision": "whether an obstacle is ahead",
}


def monitor(loaded: bundle.Bundle, collection: frames.Frames, *, output: pathlib.Path | None) -> cli.Result:
    """Compare new images with the bundle's reference; see ``shared.monitoring``."""
    found: list[dict[str, npt.NDArray[Any]]] = []
    for start in range(0, len(collection), scoring.ROWS_AT_ONCE):
        rows = range(start, min(start + scoring.ROWS_AT_ONCE, len(collection)))
        column = np.empty(len(rows), object)
        column[:] = [scoring.as_file(collection.images.read(row)) for row in rows]
        given = {"image_bytes": column}
        found.append(columns(loaded.run(given), loaded.run(given, signature="statistics")))
    joined = {name: np.concatenate([part[name] for part in found]) for name in COLUMNS}
    return monitoring.monitor(loaded, joined, names=COLUMNS, things="images", output=output)


def measure(run: scoring.Run, items: Sequence[bytes]) -> dict[str, npt.NDArray[Any]]:
    """Return the drift columns of images that the model was not trained on."""
    found = []
    for start in range(0, len(items), scoring.ROWS_AT_ONCE):
        part = items[start : start + scoring.ROWS_AT_ONCE]
        decoded = preprocessing.decode(tf.constant(part, tf.string), image_size=run.settings.image_size)
        measured = {name: values.numpy() for name, values in statistics(*decoded).items()}
        found.append(columns(run.say(part), measured))
    return {name: np.concatenate([part[name] for part in found]) for name in COLUMNS}


def statistics(canvases: Any, geometry: Any, valid: Any) -> dict[str, Any]:
    """Measure decoded images, in a graph.

    Args:
        canvases: (n, height, width, 3) uint8, as from ``preprocessing``.
        geometry: (n, 6) int32.
        valid: (n,) bool.

    Returns:
        ``brightness``, ``contrast``, ``sharpness`` and ``colour`` (n,) float32 of the range 0 to 1, and
        ``image_height`` (n,) float32 pixels of the original; 0 for what is no image.
    """

    def one(row: Any) -> dict[str, Any]:
        sides = tf.maximum(geometry[row, preprocessing.FILLED], 1)
        image = tf.cast(canvases[row, : sides[0], : sides[1]], tf.float32) / 255.0
        grey = tf.reduce_mean(image, axis=2)
        around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
        edges = tf.abs(4.0 * grey[1:-1, 1:-1] - around)
        return {
            "brightness": tf.reduce_mean(grey),
            "contrast": tf.math.reduce_std(grey),
            "sharpness": tf.math.divide_no_nan(tf.reduce_sum(edges), tf.cast(tf.size(edges), tf.float32)),
            "colour": tf.reduce_mean(tf.abs(image - grey[..., tf.newaxis])),
            "image_height": tf.cast(geometry[row, preprocessing.ORIGINAL][0], tf.float32),
        }

    names = ("brightness", "contrast", "sharpness", "colour", "image_height")
    signature = {name: tf.TensorSpec((), tf.float32) for name in names}
    measured = tf.map_fn(one, tf.range(tf.shape(geometry)[0]), fn_output_signature=signature)
    return {name: tf.where(valid, values, 0.0) for name, values in measured.items()}


def columns(
    said: Mapping[str, npt.NDArray[Any]], measured: Mapping[str, npt.NDArray[Any]]
) -> dict[str, npt.NDArray[Any]]:
    """Turn the outputs of ``serving_default`` and ``statistics`` into the drift columns."""
    tallest = (said["boxes"][..., 3] - said["boxes"][..., 1]).max(axis=1)
    return {
        **{name: np.asarray(measured[name]) for name in ("brightness", "contrast", "sharpness", "colour")},
        "score": said["scores"].max(axis=1),
        "boxes": said["count"].astype(np.float64),
        "height": tallest / np.maximum(measured["image_height"], 1.0),
        "decision": np.where(said["decision"] == lane.AHEAD, "yes", "no").astype(object),
    }
