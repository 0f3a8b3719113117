"""What an evaluation is made from: the rows, what they are, and what the model says about them.

No TensorFlow here.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from shared import decision as decisions

Bools: TypeAlias = npt.NDArray[np.bool_]
Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Objects: TypeAlias = npt.NDArray[np.object_]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rows:
    """Labelled texts to judge.

    Attributes:
        texts: (n,) str.
        labels: (n,) int64 in [0, classes).
        sources: (n,) str, where each text comes from.
        files: (n,) str, the file that holds it.
        lines: (n,) int64, its row in that file, from 1.
        units: (n,) int64, its split unit.
        out_of_vocabulary: (n,) float64 in [0, 1], the share of its tokens that the model does not know.
    """

    texts: Objects
    labels: Ints
    sources: Objects
    files: Objects
    lines: Ints
    units: Ints
    out_of_vocabulary: Floats

    def __len__(self) -> int:
        return len(self.labels)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Data:
    """What the rows are.

    Attributes:
        source: Name of the data set.
        split: Part judged, "all" where the data are not the run's own.
        unit: What a split unit is, in words.
        sha256: Of the content.
        ordinal: Whether the classes are ratings in rising order.
        certificate: The split certificate (``split.json``); empty for data that are not the run's own.
        notes: What the loader found.
    """

    source: str
    split: str
    unit: str
    sha256: str
    ordinal: bool = False
    certificate: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """What the model says about the rows.

    Attributes:
        name: Name of the run.
        logits: (n, classes), uncalibrated.
        decision: Calibration, label and abstention, frozen on validation data.
        members: Calibrated probabilities (n, classes) of each network of an ensemble; empty otherwise.
        history: One row per network and epoch, as in ``history.csv``; may be empty.
    """

    name: str
    logits: npt.NDArray[np.floating[Any]]
    decision: decisions.Decision
    members: Mapping[str, Floats] = dataclasses.field(default_factory=dict)
    history: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)
