"""What drift of texts is judged on: length, unknown words, and what the model says of them."""

import pathlib
from typing import Any

import numpy as np
import numpy.typing as npt

from apps.sentiment import predict
from shared import cli, monitoring
from shared.serving import bundle

COLUMNS = {
    "length": "tokens per text",
    "out_of_vocabulary": "share of unknown tokens",
    "score": "score of the last class",
    "label": "label answered",
    "abstained": "whether the model abstained",
}


def monitor(loaded: bundle.Bundle, texts: npt.NDArray[np.object_], *, output: pathlib.Path | None) -> cli.Result:
    """Compare new texts (n,) with the bundle's reference; see ``shared.monitoring``."""
    return monitoring.monitor(loaded, measure(loaded, texts), names=COLUMNS, things="texts", output=output)


def measure(loaded: bundle.Bundle, texts: npt.NDArray[np.object_]) -> dict[str, npt.NDArray[Any]]:
    """Return what drift is judged on: one (n,) column for each of ``COLUMNS``.

    Args:
        loaded: A bundle with the signatures ``serving_default`` and ``statistics``.
        texts: (n,) str.
    """

    def ask(batch: npt.NDArray[np.object_]) -> dict[str, npt.NDArray[Any]]:
        return loaded.run({"text": batch}) | loaded.run({"text": batch}, signature="statistics")

    return columns(predict.in_batches(ask)(texts))


def columns(outputs: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """Turn both signatures' outputs into the drift columns."""
    return {
        "length": outputs["length"],
        "out_of_vocabulary": outputs["out_of_vocabulary"],
        "score": outputs["scores"][:, -1],
        "label": outputs["labels"],
        "abstained": monitoring.abstained(outputs),
    }
