"""Which predicted box is which object, at an overlap of 0.5; and whether scores are calibrated."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from apps.driving_perception import boxes as box
from shared.evaluation import miscalibration

OVERLAP = 0.5
CALIBRATION_BINS = 10
# What a detection can be.
RIGHT, WRONG, IGNORED = 1, 0, -1
NONE = -1


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Pairing:
    """How detections and objects belong together.

    Attributes:
        outcome: (d,) int8 of each detection: ``RIGHT``, ``WRONG`` or ``IGNORED``.
        object_of: (d,) int64 row of its object, or ``NONE``.
        found_by: (m,) int64 row of the detection that found each labelled box, or ``NONE``.
        wanted: (m,) bool: whether a labelled box is to be found at all.
    """

    outcome: NDArray[np.int8]
    object_of: NDArray[np.int64]
    found_by: NDArray[np.int64]
    wanted: NDArray[np.bool_]


def pair(
    truth: box.Boxes,
    found: box.Detections,
    *,
    known_classes: NDArray[np.bool_],
    by_class: bool = True,
) -> Pairing:
    """Pair detections with labelled boxes, the best score first, each with the box it overlaps most.

    Args:
        truth: Labelled boxes.
        found: Detections, such as those from the threshold on.
        known_classes: (images, classes) bool.
        by_class: Whether a detection must name the object's class.
    """
    outcome = np.zeros(len(found), np.int8)
    object_of, found_by = np.full(len(found), NONE, np.int64), np.full(len(truth), NONE, np.int64)
    for image in np.unique(found.image):
        rows = np.flatnonzero(found.image == image)
        boxes = np.flatnonzero(truth.image == image)
        _pair_image(truth, found, rows, boxes, outcome, object_of, found_by, by_class=by_class)
    unknown = ~known_classes[found.image, found.label]
    outcome[unknown] = IGNORED
    return Pairing(
        outcome=outcome, object_of=object_of, found_by=found_by, wanted=np.asarray(truth.kind == box.OBJECT, bool)
    )


def _pair_image(  # noqa: PLR0913
    truth: box.Boxes,
    found: box.Detections,
    rows: NDArray[np.int64],
    boxes: NDArray[np.int64],
    outcome: NDArray[np.int8],
    object_of: NDArray[np.int64],
    found_by: NDArray[np.int64],
    *,
    by_class: bool,
) -> None:
    overlap = box.iou(found.xyxy[rows], truth.xyxy[boxes])
    covered = (
        box.intersection(found.xyxy[rows], truth.xyxy[boxes]) / np.maximum(box.area(found.xyxy[rows]), 1e-9)[:, None]
    )
    kind, label = truth.kind[boxes], truth.label[boxes]
    for place, row in enumerate(rows):
        fits = (label == found.label[row]) | (label == box.ANY_CLASS) | (not by_class)
        free = (found_by[boxes] == NONE) & (kind != box.REGION)
        for wanted in (box.OBJECT, box.NEIGHBOUR):
            candidates = np.flatnonzero(fits & free & (kind == wanted) & (overlap[place] >= OVERLAP))
            if len(candidates):
                best = candidates[np.argmax(overlap[place, candidates])]
                found_by[boxes[best]], object_of[row] = row, boxes[best]
                outcome[row] = RIGHT if wanted == box.OBJECT else IGNORED
                break
        else:
            if np.any(fits & (kind == box.REGION) & (covered[place] >= OVERLAP)):
                outcome[row] = IGNORED


def calibration_bins(found: box.Detections, pairs: Pairing, *, least: float) -> list[dict[str, float]]:
    """Return ``confidence``, ``accuracy`` and ``n`` of bins of equal width, of what scores at least ``least``."""
    counted = (pairs.outcome != IGNORED) & (found.score >= least)
    score, right = found.score[counted].astype(np.float64), pairs.outcome[counted] == RIGHT
    if not counted.any():
        return []
    rows = miscalibration.reliability(right.astype(np.int64), score, bins=CALIBRATION_BINS)
    return [{"confidence": row["mean_score"], "accuracy": row["observed"], "n": row["n"]} for row in rows]


def calibration_error(rows: Sequence[Mapping[str, float]]) -> float:
    """Return D-ECE, the mean distance of confidence and accuracy weighted by the bins' sizes; 0 for no detection.

    Kueppers et al. 2020, "Multivariate Confidence Calibration for Object Detection", here over the score alone.
    """
    counts = np.array([row["n"] for row in rows], np.float64)
    gaps = np.array([abs(row["confidence"] - row["accuracy"]) for row in rows], np.float64)
    return float(counts @ gaps / counts.sum()) if len(rows) else 0.0
