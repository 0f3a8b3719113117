"""What an evaluation is made from: the images' labels, what they are, and what the model says about them.

No TensorFlow here.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from shared import decision as decisions
from shared.evaluation import intervals, thresholds

Bools: TypeAlias = npt.NDArray[np.bool_]
Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Objects: TypeAlias = npt.NDArray[np.object_]
Logits: TypeAlias = npt.NDArray[np.floating[Any]]
Thumbnail: TypeAlias = Callable[[int], str | None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rows:
    """Labelled images to judge.

    Attributes:
        labels: (n, k) float in {0, 1}, NaN where unknown. With one answer per image: one-hot, never NaN.
        patients: (n,) str, the unit that is resampled.
        names: (n,) str, how messages and ``predictions.parquet`` name an image.
        lines: (n,) int64, its row in its table or the number of its file, from 1.
        attributes: n rows; any of sex ("F", "M"), age (years), view, site, subtype, device_mark (bool) and
            others, missing as NaN or None. Text and bool columns of few values and numbers become subgroups.
        thumbnail: From a row to its picture as ``data:image/png;base64,...`` for the failure gallery, None
            where it has none.
    """

    labels: npt.NDArray[np.floating[Any]]
    patients: Objects
    names: Objects
    lines: Ints
    attributes: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)
    thumbnail: Thumbnail | None = None

    def __len__(self) -> int:
        return len(self.labels)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Data:
    """What the rows are.

    Attributes:
        source: Name of the data set.
        split: Part judged, "all" where the data are not the run's own.
        unit: What is kept together and resampled, in words.
        sha256: Of the content.
        task: "single_label" or "multi_label".
        synthetic: Whether the images are simulated, which the report then says everywhere.
        quarantined: Images set aside before the split.
        certificate: The split certificate (``split.json``); empty for data that are not the run's own.
        details: What else is known, for the checklist: "Population", "Label source", "Label policy",
            "Preprocessing", "Inclusion and exclusion", "Dates", ...
        notes: What the loader found.
    """

    source: str
    split: str
    unit: str
    sha256: str
    task: Literal["single_label", "multi_label"] = "single_label"
    synthetic: bool = False
    quarantined: int = 0
    certificate: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    details: Mapping[str, str] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Validation:
    """The validation rows on which calibration and thresholds were fitted, to show how stable they are.

    Attributes:
        labels: (m, k) float as in ``Rows``.
        logits: (m, k), uncalibrated.
        patients: (m,) str.
    """

    labels: npt.NDArray[np.floating[Any]]
    logits: Logits
    patients: Objects


@dataclasses.dataclass(frozen=True, kw_only=True)
class Corrupted:
    """What the model says of the same images made worse on purpose.

    Attributes:
        rows: (m,) int64, which of the judged rows were corrupted.
        logits: For each kind ("noise", "blur", ...) one (m, k) array per level, the mildest first.
    """

    rows: Ints
    logits: Mapping[str, Sequence[Logits]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Explained:
    """What the checks of one kind of explanation found.

    Attributes:
        method: Such as "Grad-CAM".
        images: How many were explained.
        randomised: For each stage of the weight randomisation (Adebayo et al. 2018) the mean rank correlation
            with the true map, in [-1, 1]; near 0 is what a map that reads the weights gives.
        pointing: Share of maps whose maximum lies inside a marked finding; None without marks.
        chance: The share that a random point would reach, the mean area of the marks.
    """

    method: str
    images: int
    randomised: Mapping[str, float]
    pointing: intervals.Interval | None = None
    chance: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """What the model says about the rows.

    Attributes:
        name: Name of the run.
        class_names: k names; of two classes the last is the positive one.
        logits: (n, k), uncalibrated.
        decision: Calibration, threshold and abstention frozen on validation; None for multi-label.
        operating_points: Of two classes: further thresholds on the calibrated score of the last class, frozen
            on validation, such as "sensitivity>=0.95" (rule-out) and "specificity>=0.95" (rule-in).
        temperatures: (k,) multi-label: divide each finding's logit before the sigmoid.
        thresholds: (k,) multi-label: from which score a finding is called present.
        threshold_rule: Multi-label: the rule that chose them.
        validation: What the decision was fitted on; None leaves the threshold's stability out.
        corrupted: Robustness; None leaves it out.
        explained: The checks of the explanations; empty leaves them out.
        details: Architecture, parameters, seed, versions, ...: names and values for report and checklist.
        history: One row per epoch, as in ``history.csv``; may be empty.
    """

    name: str
    class_names: tuple[str, ...]
    logits: Logits
    decision: decisions.Decision | None = None
    operating_points: tuple[thresholds.Threshold, ...] = ()
    temperatures: tuple[float, ...] = ()
    thresholds: tuple[float, ...] = ()
    threshold_rule: str = ""
    validation: Validation | None = None
    corrupted: Corrupted | None = None
    explained: Sequence[Explained] = ()
    details: Mapping[str, str | int | float] = dataclasses.field(default_factory=dict)
    history: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)
