"""What is monitored of texts: missing ones, length, unknown words, and what the model predicts."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from apps.sentiment import corpus
from shared import cli, monitoring
from shared.bundle import reading as bundle

COLUMNS = {
    "missing": "whether a text has no word",
    "length": "tokens per text",
    "out_of_vocabulary": "share of unknown tokens",
    "score": "score of the last class",
    "label": "label predicted",
    "abstained": "whether the model abstained",
}


def monitor(loaded: bundle.Bundle, texts: npt.NDArray[np.object_], *, output: pathlib.Path | None) -> cli.Result:
    """Compare new texts (n,) with the bundle's reference; see ``shared.monitoring``."""
    found = drift_columns(monitoring.asking(loaded), texts)
    return monitoring.monitor(loaded, found, names=COLUMNS, things="texts", output=output)


def drift_columns(ask: monitoring.Ask, texts: npt.NDArray[np.object_]) -> dict[str, npt.NDArray[Any]]:
    """Return the drift columns of many texts, (n,) for each of ``COLUMNS``.

    Args:
        ask: The signature ``drift``.
        texts: (n,) str.
    """
    return corpus.in_batches(lambda batch: ask({"text": batch}))(texts)


def columns(predicted: Mapping[str, Any], statistics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the drift columns, (n,) float32 or string for each of ``COLUMNS``, in a graph.

    Args:
        predicted: What ``serving_default`` returns.
        statistics: As from ``preprocessing.TextFeatures.statistics``.
    """
    return {
        "missing": tf.where(statistics["length"] == 0, "yes", "no"),
        "length": tf.cast(statistics["length"], tf.float32),
        "out_of_vocabulary": statistics["out_of_vocabulary"],
        "score": predicted["scores"][:, -1],
        "label": predicted["labels"],
        "abstained": tf.where(predicted["decision"] == predicted["labels"], "no", "yes"),
    }
