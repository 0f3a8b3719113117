"""What drift of radiographs is judged on: exposure, contrast, sharpness, and what the model says of them."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from apps.medical_imaging import data, decision, predict, preprocessing
from shared import cli, monitoring
from shared.bundle import reading as bundle

COLUMNS = {
    "brightness": "mean grey value",
    "contrast": "standard deviation of grey values",
    "sharpness": "mean absolute Laplacian",
    "score": "score of the last class, or mean score of the findings",
    "label": "label answered, or number of findings",
    "abstained": "whether the model abstained",
}


def monitor(loaded: bundle.Bundle, radiographs: data.Radiographs, *, output: pathlib.Path | None) -> cli.Result:
    """Compare new images with the bundle's reference; see ``shared.monitoring``."""
    items = [radiographs.images.read(row) for row in range(len(radiographs.images.names))]
    found = measure(monitoring.asking(loaded), items, grey_bits=predict.grey_bits(loaded))
    return monitoring.monitor(loaded, found, names=COLUMNS, things="images", output=output)


def measure(
    ask: monitoring.Ask, items: Sequence[predict.Item], *, grey_bits: int = preprocessing.DEEPEST
) -> dict[str, npt.NDArray[Any]]:
    """Return what drift is judged on, (n,) for each of ``COLUMNS``.

    Args:
        ask: The signature ``drift``.
        items: Files, or (height, width, channels) float32 in [0, 1], which become files.
        grey_bits: How many bits of files of 16 bits the signature reads.
    """
    files = np.empty(len(items), object)
    files[:] = [item if isinstance(item, bytes) else preprocessing.encode(item, bits=grey_bits) for item in items]
    return monitoring.in_batches(ask, {"image_bytes": files}, rows=predict.CHUNK_ROWS)


def columns(said: Mapping[str, Any], squares: Any, *, several: bool) -> dict[str, Any]:
    """Return the drift columns, in a graph.

    Args:
        said: As from ``answers.graph``.
        squares: (n, size, size, channels) uint8 that it was said of.
        several: Whether an image may have several findings. Fourteen have 16,384 combinations, whose shares no
            reference knows: their number is compared.

    Returns:
        (n,) float32, or string, for each of ``COLUMNS``.
    """
    scores, labels = said["scores"], said["labels"]
    return {
        **measured(squares, said["valid"]),
        "score": tf.reduce_mean(scores, axis=1) if several else scores[:, -1],
        "label": number_of_findings(labels) if several else labels,
        "abstained": tf.where(said["decision"] == labels, "no", "yes"),
    }


def measured(squares: Any, valid: Any) -> dict[str, Any]:
    """Return what is measured of decoded images, in a graph.

    Args:
        squares: (n, size, size, channels) uint8.
        valid: (n,) bool.

    Returns:
        ``brightness``, ``contrast`` and ``sharpness`` (n,) float32 of the grey range 0 to 1; 0 for what is no image.
    """
    grey = tf.reduce_mean(tf.cast(squares, tf.float32) / 255.0, axis=3)
    inner = grey[:, 1:-1, 1:-1]
    around = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
    found = {
        "brightness": tf.reduce_mean(grey, axis=[1, 2]),
        "contrast": tf.math.reduce_std(grey, axis=[1, 2]),
        "sharpness": tf.reduce_mean(tf.abs(4.0 * inner - around), axis=[1, 2]),
    }
    return {name: tf.where(valid, values, 0.0) for name, values in found.items()}


def number_of_findings(labels: Any) -> Any:
    """Return how many findings each answer (n,) names, as a category; what was no image stays what it is.

    >>> number_of_findings(tf.constant(["Edema|Effusion", "No Finding", "invalid"])).numpy().tolist()
    [b'2', b'0', b'invalid']
    """
    named = tf.strings.as_string(tf.strings.split(labels, decision.SEPARATOR).row_lengths())
    return tf.where(labels == decision.INVALID, labels, tf.where(labels == decision.NO_FINDING, "0", named))
