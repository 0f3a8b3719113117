"""All metrics of one detector: matched once, summed anew for each resample of the units."""

import dataclasses
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from apps.driving_perception import boxes as box
from apps.driving_perception import frames
from apps.driving_perception.metrics import coco, kitti, thresholds
from shared.evaluation import arrays, intervals, resampling

Floats: TypeAlias = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Detector:
    """One detector's metrics on the images.

    Attributes:
        resampled: On all images and on resamples of their units.
        matched: The matches, for curves.
    """

    resampled: resampling.Resampled
    matched: coco.Matched

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
    part: frames.Frames,
    units: npt.NDArray[np.int64],
    found: box.Detections,
    threshold: float,
    *,
    resamples: int,
    seed: int,
) -> Detector:
    """Evaluate one detector, on all images and on resamples of their ``units`` (n,)."""
    matched = coco.match_frames(part, found)
    count = _counter(part, found, matched, threshold)
    values = count(np.ones(len(part)))
    grouping = arrays.units_of(units, rows=len(part))
    drawn = [
        count(copies[grouping.code])
        for block in resampling.draws(grouping.count, resamples=resamples, block=64, seed=seed)
        for copies in block
    ]
    # A class that a resample holds no object of has no number there.
    samples = {name: np.array([each.get(name, np.nan) for each in drawn]) for name in values}
    return Detector(
        resampled=resampling.Resampled(values=values, samples=samples, widened=True),
        matched=matched,
    )


def _counter(
    part: frames.Frames, found: box.Detections, matched: coco.Matched, threshold: float
) -> Callable[[Floats], dict[str, float]]:
    """Return the function from weights (n,) on the images to all metrics."""
    levels = {
        f"kitti_{name}_{level.name}": kitti.match(
            part.boxes,
            found,
            label=part.class_names.index(name),
            overlap=overlap,
            level=level,
            images=len(part),
        )
        for name, overlap in kitti.OVERLAPS.items()
        for level in kitti.LEVELS
        if name in part.class_names and kitti.applies(part.boxes)
    }

    def count(weights: Floats) -> dict[str, float]:
        swept = thresholds.sweep(matched, weights)
        return {
            **coco.summary(matched, weights),
            "log_average_miss_rate": thresholds.log_average_miss_rate(swept),
            **swept.rates(threshold),
            **{f"recall_at_fppi_{point:g}": 1 - thresholds.miss_rate_at(swept, point) for point in (0.1, 1.0)},
            **{name: kitti.average_precision(each, weights) for name, each in levels.items()},
        }

    return count
