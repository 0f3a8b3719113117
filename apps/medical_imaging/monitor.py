"""What drift of radiographs is judged on: exposure, contrast, sharpness, and what the model says of them."""

import pathlib
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from apps.medical_imaging import answers, data, predict
from shared import cli, monitoring
from shared.serving import bundle

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
    outputs = predict.ask(loaded, items) | predict.ask(loaded, items, signature="statistics")
    several = isinstance(answers.from_json(loaded.extra("decision.json")), answers.Findings)
    return monitoring.monitor(loaded, columns(outputs, several=several), names=COLUMNS, things="images", output=output)


def statistics(squares: Any, valid: Any) -> dict[str, Any]:
    """Measure decoded images, in a graph.

    Args:
        squares: (n, size, size, channels) uint8.
        valid: (n,) bool.

    Returns:
        ``brightness``, ``contrast`` and ``sharpness`` (n,) float32 of the grey range 0 to 1; 0 for what is no image.
    """
    grey = tf.reduce_mean(tf.cast(squares, tf.float32) / 255.0, axis=3)
    inner = grey[:, 1:-1, 1:-1]
    around = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
    measured = {
        "brightness": tf.reduce_mean(grey, axis=[1, 2]),
        "contrast": tf.math.reduce_std(grey, axis=[1, 2]),
        "sharpness": tf.reduce_mean(tf.abs(4.0 * inner - around), axis=[1, 2]),
    }
    return {name: tf.where(valid, values, 0.0) for name, values in measured.items()}


def columns(outputs: dict[str, npt.NDArray[Any]], *, several: bool) -> dict[str, npt.NDArray[Any]]:
    """Turn both signatures' outputs into the drift columns.

    Args:
        outputs: Their outputs.
        several: Whether an image may have several findings. Fourteen have 16,384 combinations, whose shares no
            reference knows: their number is compared.
    """
    measured = {name: np.asarray(outputs[name]) for name in ("brightness", "contrast", "sharpness")}
    scores, labels = np.asarray(outputs["scores"]), np.asarray(outputs["labels"])
    return measured | {
        "score": scores.mean(axis=1) if several else scores[:, -1],
        "label": np.array([number_of_findings(label) for label in labels.tolist()], object) if several else labels,
        "abstained": monitoring.abstained(outputs),
    }


def number_of_findings(label: str) -> str:
    """Return how many findings an answer names, as a category; what was no image stays what it is.

    >>> number_of_findings("Edema|Effusion"), number_of_findings("No Finding"), number_of_findings("invalid")
    ('2', '0', 'invalid')
    """
    if label == answers.INVALID:
        return label
    return "0" if label == answers.NO_FINDING else str(1 + label.count(answers.SEPARATOR))
