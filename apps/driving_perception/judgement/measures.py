"""All numbers with their intervals: matched once, summed anew for each resample of the units."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from apps.driving_perception import detections, operating
from apps.driving_perception.judgement import evidence
from apps.driving_perception.scores import coco, fppi, kitti
from shared.evaluation import intervals, resampling

Floats: TypeAlias = NDArray[np.float64]
Numbers: TypeAlias = Mapping[str, float]
CONFIDENCE = 0.95
_LARGEST_UNDEFINED = 0.1


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Measured:
    """One detector's numbers on the images.

    Attributes:
        numbers: On all images.
        resampled: Name -> (resamples,) values.
        matched: The matches, for curves.
    """

    numbers: dict[str, float]
    resampled: dict[str, Floats]
    matched: coco.Matched


def measure(
    rows: evidence.Rows, found: detections.Detections, threshold: float, *, resamples: int, seed: int
) -> Measured:
    """Measure one detector, on all images and on resamples of their units."""
    part = rows.frames
    matched = coco.match_frames(part, found)
    count = _counter(rows, found, matched, threshold)
    numbers = count(np.ones(len(part)))
    units = resampling.units_of(rows.units, rows=len(part))
    values: dict[str, list[float]] = {name: [] for name in numbers}
    for drawn in resampling.draws(units.count, resamples=resamples, block=64, seed=seed):
        for copies in drawn:
            for name, value in count(copies[units.code]).items():
                if name in values:
                    values[name].append(value)
    # A class that a resample holds no object of has no number there.
    resampled = {name: np.array(each + [np.nan] * (resamples - len(each))) for name, each in values.items()}
    return Measured(numbers=numbers, resampled=resampled, matched=matched)


def _counter(
    rows: evidence.Rows, found: detections.Detections, matched: coco.Matched, threshold: float
) -> Callable[[Floats], dict[str, float]]:
    """Return the function from weights (n,) on the images to all numbers."""
    part = rows.frames
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
        swept = operating.sweep(matched, weights)
        row = swept.at(threshold)
        at = {
            "recall": float(swept.recall[row]) if row >= 0 else 0.0,
            "precision": float(swept.precision[row]) if row >= 0 else 0.0,
            "f1": float(swept.f1[row]) if row >= 0 else 0.0,
            "false_positives_per_image": float(swept.false_alarms[row]) if row >= 0 else 0.0,
        }
        return {
            **coco.summary(matched, weights),
            "log_average_miss_rate": fppi.log_average_miss_rate(swept),
            **at,
            **{f"recall_at_fppi_{point:g}": 1 - fppi.miss_rate_at(swept, point) for point in (0.1, 1.0)},
            **{name: kitti.average_precision(each, weights) for name, each in levels.items()},
        }

    return count


def interval(value: float, resampled: Floats, *, what: str = "bootstrap by unit") -> intervals.Interval | None:
    """Return the percentile interval of a number, None where it, or a tenth of its resamples, is no number."""
    known = resampled[np.isfinite(resampled)]
    if not np.isfinite(value) or len(known) < (1 - _LARGEST_UNDEFINED) * len(resampled):
        return None
    low, high = intervals.ends(value, known, confidence=CONFIDENCE)
    undefined = len(resampled) - len(known)
    method = what + (f" ({undefined} of {len(resampled)} resamples undefined, left out)" if undefined else "")
    return intervals.Interval(value, min(low, value), max(high, value), CONFIDENCE, method)


def with_intervals(measured: Measured) -> dict[str, intervals.Interval]:
    """Return the numbers that have an interval."""
    found = {name: interval(value, measured.resampled[name]) for name, value in measured.numbers.items()}
    return {name: each for name, each in found.items() if each is not None}


def differences(model: Measured, baseline: Measured) -> dict[str, intervals.Interval]:
    """Return model minus baseline for the numbers that both have, on the same resamples."""
    found = {
        name: interval(
            model.numbers[name] - baseline.numbers[name],
            model.resampled[name] - baseline.resampled[name],
            what="paired bootstrap by unit",
        )
        for name in ("map_50", "map", "log_average_miss_rate")
    }
    return {name: each for name, each in found.items() if each is not None}


def without_interval(measured: Measured) -> list[str]:
    """Return the names of numbers that too few units carry for an interval."""
    kept = with_intervals(measured)
    return [name for name, value in measured.numbers.items() if name not in kept and np.isfinite(value)]
