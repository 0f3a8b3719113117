"""What drift of radiographs is judged on: exposure, contrast, sharpness, and what the model says of them."""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from apps.medical_imaging import data, predict, preprocessing
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
