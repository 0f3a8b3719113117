"""Has what the model reads, or what it predicts, changed? Image statistics, scores, labels and abstention."""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from apps.medical_imaging import config, data, predict, preprocessing
from shared import cli, monitoring
from shared.bundle import reading as bundle

IMAGE_COLUMNS = {
    "brightness": "mean grey value",
    "contrast": "standard deviation of grey values",
    "sharpness": "mean absolute Laplacian",
    "upper_minus_lower": "upper half brighter than the lower",
    "left_minus_right": "left half brighter than the right",
}
PREDICTED_COLUMNS = {
    "score": "score of the last class (bundles of before: or mean score of the findings)",
    "label": "predicted label, or number of findings",
    "abstained": "whether the model abstained",
}


def load(settings: config.Config, loaded: bundle.Bundle, *, quarantine: pathlib.Path) -> data.Radiographs:
    """Read new images, without labels, as the bundle's model reads them."""
    return data.load(
        settings,
        labelled=False,
        quarantine=quarantine,
        grey_bits=predict.grey_bits(loaded),
        decodes=preprocessing.decodes,
    )


def column_names(class_names: Sequence[str]) -> dict[str, str]:
    """Return what each column of a drift reference is, in words; see ``graph.drift_columns``."""
    scores = {f"score_{name}": f"score of {name}" for name in class_names}
    called = {f"called_{name}": f"whether {name} is called present" for name in class_names}
    return {**IMAGE_COLUMNS, **scores, **called, **PREDICTED_COLUMNS}


def monitor(loaded: bundle.Bundle, radiographs: data.Radiographs, *, output: pathlib.Path | None) -> cli.Result:
    """Compare new images with the bundle's reference; see ``shared.monitoring``."""
    items = [radiographs.images.read(row) for row in range(len(radiographs.images.names))]
    found = drift_columns(monitoring.asking(loaded), items, grey_bits=predict.grey_bits(loaded))
    names = column_names(loaded.extra("decision.json")["class_names"])
    return monitoring.monitor(loaded, found, names=names, things="images", output=output)


def drift_columns(
    ask: monitoring.Ask, items: Sequence[predict.Item], *, grey_bits: int = preprocessing.DEEPEST
) -> dict[str, npt.NDArray[Any]]:
    """Return the columns that are compared, each (n,).

    Args:
        ask: The signature ``drift``.
        items: Files, or (height, width, channels) float32 in [0, 1], which become files.
        grey_bits: How many bits of files of 16 bits the signature reads.
    """
    files = np.empty(len(items), object)
    files[:] = [item if isinstance(item, bytes) else preprocessing.encode(item, bits=grey_bits) for item in items]
    return monitoring.in_batches(ask, {"image_bytes": files}, rows=predict.CHUNK_ROWS)
