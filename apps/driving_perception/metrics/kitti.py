"""KITTI's average precision at 40 recall positions, easy, moderate and hard.

Rules of the object benchmark (Geiger et al. 2012) with the 40 positions of Simonelli et al. 2019: easy: at least 40
pixels tall, fully visible, at most 15 % truncated; moderate: 25 pixels, partly occluded, 30 %; hard: 25 pixels,
difficult to see, 50 %. Boxes that are harder, and those of neighbouring classes, are neither right nor wrong;
detections that are too small to be of the level do not count; those mostly inside a region neither.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from apps.driving_perception import boxes as box

pass

RECALLS = np.arange(1, 41) / 40
OVERLAPS: Mapping[str, float] = {"car": 0.7, "person": 0.5, "bicycle": 0.5}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Level:
    """A difficulty: what is to be found at all."""

    name: str
    least_height: float
    most_occlusion: int
    most_truncation: float


LEVELS = (
    Level(name="easy", least_height=40.0, most_occlusion=0, most_truncation=0.15),
    Level(name="moderate", least_height=25.0, most_occlusion=1, most_truncation=0.3),
    Level(name="hard", least_height=25.0, most_occlusion=2, most_truncation=0.5),
)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Matches:
    """Detections of one class at one level, best first; ``right`` (d,) bool, ``image`` (d,), ``objects`` (n,)."""

    image: NDArray[np.int64]
    right: NDArray[np.bool_]
    objects: NDArray[np.int64]


def applies(truth: box.Boxes) -> bool:
    """Tell whether every object says how far it is occluded and truncated."""
    real = truth.kind == box.OBJECT
    return bool(real.any() and (truth.occlusion[real] >= 0).all() and np.isfinite(truth.truncation[real]).all())


def match(truth: box.Boxes, found: box.Detections, *, label: int, overlap: float, level: Level, images: int) -> Matches:
    """Match the detections of one class at one level."""
    height = truth.xyxy[:, 3] - truth.xyxy[:, 1]
    counts = (
        (truth.kind == box.OBJECT)
        & (height >= level.least_height)
        & (truth.occlusion <= level.most_occlusion)
        & (truth.truncation <= level.most_truncation)
    )
    own = truth.label == label
    regions = (truth.kind == box.REGION) & (own | (truth.label == box.ANY_CLASS))
    chosen = found.take(found.label == label)
    tall = chosen.xyxy[:, 3] - chosen.xyxy[:, 1] >= level.least_height
    right, counted = np.zeros(len(chosen), bool), np.ones(len(chosen), bool)
    for image in np.unique(chosen.image):
        rows = np.flatnonzero(chosen.image == image)
        here = truth.image == image
        objects, harder = np.flatnonzero(here & own & counts), np.flatnonzero(here & own & ~counts & ~regions)
        _match_image(truth, chosen, rows, objects, harder, np.flatnonzero(here & regions), overlap, right, counted)
    kept = np.flatnonzero(counted & (right | tall))
    order = kept[np.argsort(-chosen.score[kept], kind="stable")]
    objects_per_image = np.bincount(truth.image[own & counts], minlength=images)
    return Matches(image=chosen.image[order], right=right[order], objects=objects_per_image)


def _match_image(  # noqa: PLR0913
    truth: box.Boxes,
    found: box.Detections,
    rows: NDArray[np.int64],
    objects: NDArray[np.int64],
    harder: NDArray[np.int64],
    regions: NDArray[np.int64],
    overlap: float,
    right: NDArray[np.bool_],
    counted: NDArray[np.bool_],
) -> None:
    free = {int(each) for each in (*objects, *harder)}
    for row in rows:
        corners = found.xyxy[row : row + 1]
        for group in (objects, harder):
            near = box.iou(corners, truth.xyxy[group])[0]
            candidates = [i for i in np.argsort(-near, kind="stable") if near[i] >= overlap and int(group[i]) in free]
            if candidates:
                free.discard(int(group[candidates[0]]))
                right[row], counted[row] = group is objects, group is objects
                break
        else:
            inside = box.intersection(corners, truth.xyxy[regions])[0] / max(float(box.area(corners)[0]), 1e-9)
            counted[row] = not (inside > 0.5).any()


def average_precision(matches: Matches, weights: NDArray[np.float64] | None = None) -> float:
    """Return the mean of the largest precision at each of the 40 recalls or beyond; NaN where there is no object."""
    copies = np.ones(len(matches.objects)) if weights is None else weights
    objects = float(copies @ matches.objects)
    if objects == 0:
        return float("nan")
    each = copies[matches.image]
    right, wrong = np.cumsum(matches.right * each), np.cumsum(~matches.right * each)
    recall, precision = right / objects, right / np.maximum(right + wrong, 1e-9)
    envelope = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    return float(envelope[np.searchsorted(recall, RECALLS - 1e-9, side="left")].mean())
