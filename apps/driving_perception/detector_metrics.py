"""All metrics of one detector: matched once, summed anew for each resample of the units.

KITTI's average precision follows the object benchmark (Geiger et al. 2012) with the 40 recall positions of Simonelli et
al. 2019. Easy: at least 40 pixels tall, fully visible, at most 15 % truncated; moderate: 25 pixels, partly occluded,
30 %; hard: 25 pixels, difficult to see, 50 %. Boxes that are harder, and those of neighbouring classes, are neither
right nor wrong; detections that are too small to be of the level do not count; those mostly inside a region neither.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from apps.driving_perception import boxes as box
from apps.driving_perception import coco_metrics, decision
from shared.evaluation import arrays, ends, intervals, resampling

Floats: TypeAlias = npt.NDArray[np.float64]

KITTI_RECALLS = np.arange(1, 41) / 40
KITTI_OVERLAPS: Mapping[str, float] = {"car": 0.7, "person": 0.5, "bicycle": 0.5}


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Detector:
    """One detector's metrics on the images.

    Attributes:
        resampled: On all images and on resamples of their units.
        matched: The matches, for curves.
    """

    resampled: resampling.Resampled
    matched: coco_metrics.Matched

    @property
    def values(self) -> dict[str, float]:
        """Every metric on all images."""
        return dict(self.resampled.values)

    @property
    def with_intervals(self) -> intervals.Intervals:
        """The metrics that have an interval: others are carried by too few units."""
        return self.resampled.intervals()

    def without_interval(self) -> list[str]:
        """Return the names of metrics that too few units carry for an interval."""
        kept = self.with_intervals
        return [name for name, value in self.values.items() if name not in kept and np.isfinite(value)]


def evaluate(
    part: coco_metrics.Labelled,
    units: npt.NDArray[np.int64],
    found: box.Detections,
    threshold: float,
    *,
    resamples: int,
    seed: int,
) -> Detector:
    """Evaluate one detector, on all images and on resamples of their ``units`` (n,)."""
    matched = coco_metrics.match_frames(part, found)
    count = _counter(part, found, matched, threshold)
    values = count(np.ones(len(part)))
    grouping = arrays.units_of(units, rows=len(part))
    drawn = [
        count(copies[grouping.code])
        for block in resampling.draws(grouping.count, resamples=resamples, block=64, seed=seed)
        for copies in block
    ]
    without = [
        count(copies[grouping.code])
        for block in resampling.omissions(grouping.count, resamples=resamples, block=64)
        for copies in block
    ]
    return Detector(
        resampled=resampling.Resampled(
            values=values,
            samples=_columns(drawn, values),
            left_out=_columns(without, values),
            bounds={**dict.fromkeys(values, ends.UNIT), "false_positives_per_image": ends.POSITIVE},
        ),
        matched=matched,
    )


def _columns(rows: Sequence[Mapping[str, float]], names: Iterable[str]) -> dict[str, Floats]:
    """Return each metric's values; NaN where a resample holds no object of its class."""
    return {name: np.array([each.get(name, np.nan) for each in rows]) for name in names}


def _counter(
    part: coco_metrics.Labelled, found: box.Detections, matched: coco_metrics.Matched, threshold: float
) -> Callable[[Floats], dict[str, float]]:
    """Return the function from weights (n,) on the images to all metrics."""
    levels = {
        f"kitti_{name}_{level.name}": kitti_match(
            part.boxes,
            found,
            label=part.class_names.index(name),
            overlap=overlap,
            level=level,
            images=len(part),
        )
        for name, overlap in KITTI_OVERLAPS.items()
        for level in KITTI_LEVELS
        if name in part.class_names and kitti_applies(part.boxes)
    }

    def count(weights: Floats) -> dict[str, float]:
        swept = decision.sweep(matched, weights)
        return {
            **coco_metrics.summary(matched, weights),
            "log_average_miss_rate": decision.log_average_miss_rate(swept),
            **swept.rates(threshold),
            **{f"recall_at_fppi_{point:g}": 1 - decision.miss_rate_at(swept, point) for point in (0.1, 1.0)},
            **{name: kitti_average_precision(each, weights) for name, each in levels.items()},
        }

    return count


@dataclasses.dataclass(frozen=True, kw_only=True)
class KittiLevel:
    """A difficulty: what is to be found at all."""

    name: str
    least_height: float
    most_occlusion: int
    most_truncation: float


KITTI_LEVELS = (
    KittiLevel(name="easy", least_height=40.0, most_occlusion=0, most_truncation=0.15),
    KittiLevel(name="moderate", least_height=25.0, most_occlusion=1, most_truncation=0.3),
    KittiLevel(name="hard", least_height=25.0, most_occlusion=2, most_truncation=0.5),
)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class KittiMatches:
    """Detections of one class at one level, best first; ``right`` (d,) bool, ``image`` (d,), ``objects`` (n,)."""

    image: npt.NDArray[np.int64]
    right: npt.NDArray[np.bool_]
    objects: npt.NDArray[np.int64]


def kitti_applies(truth: box.Boxes) -> bool:
    """Tell whether every object says how far it is occluded and truncated."""
    real = truth.kind == box.OBJECT
    return bool(real.any() and (truth.occlusion[real] >= 0).all() and np.isfinite(truth.truncation[real]).all())


def kitti_match(
    truth: box.Boxes, found: box.Detections, *, label: int, overlap: float, level: KittiLevel, images: int
) -> KittiMatches:
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
        _kitti_match_image(
            truth, chosen, rows, objects, harder, np.flatnonzero(here & regions), overlap, right, counted
        )
    kept = np.flatnonzero(counted & (right | tall))
    order = kept[np.argsort(-chosen.score[kept], kind="stable")]
    objects_per_image = np.bincount(truth.image[own & counts], minlength=images)
    return KittiMatches(image=chosen.image[order], right=right[order], objects=objects_per_image)


def _kitti_match_image(  # noqa: PLR0913
    truth: box.Boxes,
    found: box.Detections,
    rows: npt.NDArray[np.int64],
    objects: npt.NDArray[np.int64],
    harder: npt.NDArray[np.int64],
    regions: npt.NDArray[np.int64],
    overlap: float,
    right: npt.NDArray[np.bool_],
    counted: npt.NDArray[np.bool_],
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


def kitti_average_precision(matches: KittiMatches, weights: Floats | None = None) -> float:
    """Return the mean of the largest precision at each of the 40 recalls or beyond; NaN where there is no object."""
    copies = np.ones(len(matches.objects)) if weights is None else weights
    objects = float(copies @ matches.objects)
    if objects == 0:
        return float("nan")
    each = copies[matches.image]
    right, wrong = np.cumsum(matches.right * each), np.cumsum(~matches.right * each)
    recall, precision = right / objects, right / np.maximum(right + wrong, 1e-9)
    envelope = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    return float(envelope[np.searchsorted(recall, KITTI_RECALLS - 1e-9, side="left")].mean())
