"""What an evaluation is made from: the images and their boxes, what they are, and what the model says of them.

No TensorFlow here.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from apps.driving_perception import detections, frames
from apps.driving_perception.operating import Operating


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Rows:
    """The images to judge.

    Attributes:
        frames: Them alone, with their boxes.
        units: (n,) int64 the split unit of each, which is resampled.
    """

    frames: frames.Frames
    units: NDArray[np.int64]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Data:
    """What the images are.

    Attributes:
        source: Name of the data set.
        split: Part judged, "all" where the data are not the run's own.
        unit: What is kept together and resampled, in words.
        certificate: The split certificate; empty for data that are not the run's own.
        notes: What the loader found.
    """

    source: str
    split: str
    unit: str
    certificate: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    notes: Sequence[str] = ()


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Run:
    """What the model says.

    Attributes:
        name: Of the run.
        operating: Threshold and classes, frozen on validation.
        found: All boxes down to a low score, image numbers as in ``Rows.frames``.
        details: Network, parameters, size, seed, ...
        history: One row per epoch.
        speed: What was timed, and how fast it was.
    """

    name: str
    operating: Operating
    found: detections.Detections
    details: Mapping[str, Any]
    history: pd.DataFrame
    speed: Mapping[str, Any] = dataclasses.field(default_factory=dict)
