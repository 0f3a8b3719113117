"""Predictions of a model that is no run of ours, to be evaluated as a run's own are. No TensorFlow here."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

# The run's own model, as a baseline of the other one.
OWN_MODEL = "run_model"
LABELS = {OWN_MODEL: "The run's own model"}
_SMALLEST = 1e-12

Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Predictions:
    """Scores of another model.

    Attributes:
        name: What reports call it: the file's name without its suffix.
        scores: For each part its (n, classes) probabilities in the order of the part's rows, or a detector's boxes.
        notes: What a reader must know of the file.
    """

    name: str
    scores: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    def beside(self, run: str) -> str:
        """Return what titles and ``metrics.json`` call them.

        >>> Predictions(name="bert", scores={}).beside("reviews")
        'bert beside run reviews'
        """
        return f"{self.name} beside run {run}"

    def logits(self, part: str, *, exclusive: bool = True) -> Floats:
        """Return (n, classes) logits that give these probabilities, by softmax or, if not ``exclusive``, the sigmoid.

        Probabilities of 0 and 1 are moved by 1e-12.
        """
        found: Floats = np.clip(self.scores[part], _SMALLEST, 1 - _SMALLEST)
        logits: Floats = np.log(found) if exclusive else np.log(found / (1 - found))
        return logits
