"""What an evaluation is made from: labelled images, the same made worse, what the model predicts. No TensorFlow here.

Images are made worse as other tubes, detectors and archives make them, to see how the predictions hold. The kinds are
those of MedMNIST-C that a radiograph meets (Di Salvo et al. 2024, https://arxiv.org/abs/2406.17536); each has five
levels, the mildest first.
"""

import dataclasses
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image
from scipy import ndimage

from apps.medical_imaging import decision as rules
from shared import decision as decisions
from shared import errors
from shared.evaluation import intervals, thresholds

Objects: TypeAlias = npt.NDArray[np.object_]
Ints: TypeAlias = npt.NDArray[np.int64]
Logits: TypeAlias = npt.NDArray[np.floating[Any]]
Squares: TypeAlias = npt.NDArray[np.uint8]

CORRUPTION_LEVELS = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rows:
    """Labelled images.

    Attributes:
        labels: (n, k) float in {0, 1}, NaN where unknown. With one label per image: one-hot, never NaN.
        patients: (n,) str, the unit that is resampled.
        names: (n,) str, how messages and ``predictions.parquet`` name an image.
        lines: (n,) int64, its row in its table or the number of its file, from 1.
        attributes: n rows; any of sex ("F", "M"), age (years), view, site, subtype, device_mark (bool) and
            others, missing as NaN or None. Text and bool columns of few values and numbers become subgroups.
        thumbnail: From a row to its picture as ``data:image/png;base64,...``, None where it has none.
        with_heat: From rows to their pictures beside the map of what raises the score of the predicted class; None:
            no map is shown, since none is made or it fails its check.
        task: Whether an image has one label, or any number of findings.
    """

    labels: npt.NDArray[np.floating[Any]]
    patients: Objects
    names: Objects
    lines: Ints
    attributes: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)
    thumbnail: Callable[[int], str | None] | None = None
    with_heat: Callable[[Sequence[int]], list[str]] | None = None
    task: Literal["single_label", "multi_label"] = "single_label"

    def __len__(self) -> int:
        return len(self.labels)

    def units(self) -> Ints:
        """Return (n,) numbers of the patients, which resample faster than their names.

        Raises:
            errors.InputError: There are no two patients.
        """
        names, number = np.unique(self.patients.astype(str), return_inverse=True)
        if len(names) < 2:
            raise errors.InputError(
                f"evaluate: expected images of at least two patients, to resample them. Received: {len(self)} images "
                f"of {len(names)}"
            )
        return number.astype(np.int64)

    def identity(self) -> dict[str, Any]:
        """Return the columns of ``predictions.parquet`` that name an image."""
        return {"row": self.lines, "image": self.names.astype(str), "patient": self.patients.astype(str)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Validation:
    """The validation rows on which calibration and thresholds were fitted, to show how stable they are.

    Attributes:
        labels: (m, k) float in {0, 1}, one-hot, or NaN where unknown with several findings.
        logits: (m, k), uncalibrated.
        patients: (m,) str.
    """

    labels: npt.NDArray[np.floating[Any]]
    logits: Logits
    patients: Objects


@dataclasses.dataclass(frozen=True, kw_only=True)
class Corrupted:
    """The model's logits for the same images made worse on purpose.

    Attributes:
        rows: (m,) int64, which of the evaluated rows were corrupted.
        logits: For each kind ("noise", "blur", ...) one (m, k) array per level, the mildest first.
    """

    rows: Ints
    logits: Mapping[str, Sequence[Logits]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExplanationCheck:
    """What the checks of one kind of explanation found.

    Attributes:
        method: Such as "Grad-CAM".
        images: How many were explained.
        randomised: For each stage of the weight randomisation (Adebayo et al. 2018) the mean rank correlation
            with the true map, in [-1, 1]; near 0 is what a map that reads the weights gives.
        pointing: Share of maps whose maximum lies inside a marked finding; None without marks.
        chance: The share that a random point would reach, the mean area of the marks.
        passed: Whether the map depends on what the network learned.
    """

    method: str
    images: int
    randomised: Mapping[str, float]
    pointing: intervals.Interval | None = None
    chance: float | None = None
    passed: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Predictions:
    """What the model predicts for the rows.

    Attributes:
        run: Name of the run.
        class_names: k names; of two classes the last is the positive one.
        logits: (n, k), uncalibrated.
        decision: Calibration, thresholds and abstention frozen on validation.
        operating_points: Of two classes: further thresholds on the calibrated score of the last class, frozen
            on validation, such as "sensitivity>=0.95" (rule-out) and "specificity>=0.95" (rule-in).
        validation: What the decision was fitted on; None leaves the threshold's stability out.
        corrupted: Robustness; None leaves it out.
        explained: The checks of the explanations; empty leaves them out.
        details: Architecture, parameters, seed, versions, ...: names and values for report and checklist.
        history: One row per epoch, as in ``history.csv``; may be empty.
    """

    run: str
    class_names: tuple[str, ...]
    logits: Logits
    decision: rules.Rule | None = None
    operating_points: tuple[thresholds.Threshold, ...] = ()
    validation: Validation | None = None
    corrupted: Corrupted | None = None
    explained: Sequence[ExplanationCheck] = ()
    details: Mapping[str, str | int | float] = dataclasses.field(default_factory=dict)
    history: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)

    @property
    def rule(self) -> decisions.Decision:
        """The decision rule of one label per image.

        Raises:
            ValueError: There is none.
        """
        if not isinstance(self.decision, decisions.Decision):
            received = type(self.decision).__name__
            raise ValueError(f"predictions.decision: expected a decision for one label per image. Received: {received}")
        return self.decision

    @property
    def multi_label_rule(self) -> rules.MultiLabelDecision:
        """The decision rule of several findings per image.

        Raises:
            ValueError: There is none.
        """
        if not isinstance(self.decision, rules.MultiLabelDecision):
            received = type(self.decision).__name__
            raise ValueError(f"predictions.decision: expected a decision for several findings. Received: {received}")
        return self.decision

    def robustness(self, metrics_of: Callable[[Logits], intervals.Intervals]) -> list[dict[str, Any]]:
        """Return rows with corruption, level (0: the same images untouched), n and metrics of the logits (m, k)."""
        if self.corrupted is None:
            return []
        rows, untouched = self.corrupted.rows, self.logits[self.corrupted.rows]
        return [
            {"corruption": kind, "level": level, "n": len(rows), "metrics": metrics_of(logits)}
            for kind, levels in self.corrupted.logits.items()
            for level, logits in enumerate([untouched, *levels])
        ]


def corrupt(kind: str, level: int, squares: Squares, *, seed: int) -> Squares:
    """Return the images (n, size, size, channels), made worse.

    Args:
        kind: One of ``CORRUPTIONS``.
        level: 0 to 4.
        squares: What the network reads.
        seed: Of the noise.
    """
    grey = squares.astype(np.float32) / 255.0
    worse = CORRUPTIONS[kind](grey, level, np.random.default_rng((seed, level)))
    rounded: Squares = np.round(np.clip(worse, 0, 1) * 255).astype(np.uint8)
    return rounded


def _noise(grey: Any, level: int, generator: np.random.Generator) -> Any:
    return grey + generator.normal(0, (0.02, 0.04, 0.07, 0.12, 0.2)[level], grey.shape).astype(np.float32)


def _blur(grey: Any, level: int, _generator: np.random.Generator) -> Any:
    width = (0.005, 0.008, 0.012, 0.018, 0.027)[level] * grey.shape[1]
    return ndimage.gaussian_filter(grey, (0, width, width, 0))


def _low_contrast(grey: Any, level: int, _generator: np.random.Generator) -> Any:
    mean = grey.mean(axis=(1, 2, 3), keepdims=True)
    return (grey - mean) * (0.8, 0.65, 0.5, 0.35, 0.2)[level] + mean


def _overexposed(grey: Any, level: int, _generator: np.random.Generator) -> Any:
    return grey ** (1.2, 1.5, 1.9, 2.5, 3.2)[level]


def _underexposed(grey: Any, level: int, _generator: np.random.Generator) -> Any:
    return grey ** (0.85, 0.7, 0.55, 0.4, 0.3)[level]


def _rotated(grey: Any, level: int, _generator: np.random.Generator) -> Any:
    return ndimage.rotate(grey, (3, 6, 10, 16, 25)[level], axes=(1, 2), reshape=False, order=1, mode="reflect")


def _compressed(grey: Any, level: int, _generator: np.random.Generator) -> Any:
    quality = (50, 30, 18, 10, 6)[level]
    return np.stack([_jpeg(np.round(image * 255).astype(np.uint8), quality) for image in grey]) / np.float32(255)


def _jpeg(image: Squares, quality: int) -> Squares:
    buffer = io.BytesIO()
    Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer), np.uint8).reshape(image.shape)


CORRUPTIONS: dict[str, Callable[[Any, int, np.random.Generator], Any]] = {
    "noise": _noise,
    "blur": _blur,
    "low contrast": _low_contrast,
    "overexposure": _overexposed,
    "underexposure": _underexposed,
    "rotation": _rotated,
    "JPEG compression": _compressed,
}
