"""What drift of texts is judged on: length, unknown words, and what the model says of them."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from apps.sentiment import batches
from shared import cli, monitoring
from shared.bundle import reading as bundle

COLUMNS = {
    "length": "tokens per text",
    "out_of_vocabulary": "share of unknown tokens",
    "score": "score of the last class",
    "label": "label answered",
    "abstained": "whether the model abstained",
}


def monitor(loaded: bundle.Bundle, texts: npt.NDArray[np.object_], *, output: pathlib.Path | None) -> cli.Result:
    """Compare new texts (n,) with the bundle's reference; see ``shared.monitoring``."""
    found = measure(monitoring.asking(loaded), texts)
    return monitoring.monitor(loaded, found, names=COLUMNS, things="texts", output=output)


def measure(ask: monitoring.Ask, texts: npt.NDArray[np.object_]) -> dict[str, npt.NDArray[Any]]:
    """Return what drift is judged on, (n,) for each of ``COLUMNS``.

    Args:
        ask: The signature ``drift``.
        texts: (n,) str.
    """
    return batches.in_batches(lambda batch: ask({"text": batch}))(texts)


def columns(said: Mapping[str, Any], statistics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the drift columns, (n,) float32 or string for each of ``COLUMNS``, in a graph.

    Args:
        said: As ``serving_default`` answers.
        statistics: As from ``text.TextFeatures.statistics``.
    """
    return {
        "length": tf.cast(statistics["length"], tf.float32),
        "out_of_vocabulary": statistics["out_of_vocabulary"],
        "score": said["scores"][:, -1],
        "label": said["labels"],
        "abstained": tf.where(said["decision"] == said["labels"], "no", "yes"),
    }
