"""Time to collision from how fast a box grows (Lee 1976, "A theory of visual control of braking"): tau = s / (ds/dt).

Per pair of consecutive frames of a sequence, with no calibration of the camera and no knowledge of speeds.
"""

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt

from apps.driving_perception import boxes as box
from apps.driving_perception import frames
from apps.driving_perception.tracking import lane

OVERLAP = 0.3
# Boxes lower than this are too coarse for a growth of some percent to mean anything.
LEAST_HEIGHT_PIXELS = 20.0


def seconds_left(before: Any, after: Any, seconds: Any) -> npt.NDArray[np.float64]:
    """Return the time to collision after the second of two heights; infinite where the box does not grow.

    >>> seconds_left(20.0, 25.0, 0.5).round(3).item()
    2.0
    """
    growth = np.asarray(after, np.float64) / np.asarray(before, np.float64) - 1.0
    return np.where(growth > 0, np.asarray(seconds) / np.maximum(growth, 1e-9), np.inf)


def evaluate(collection: frames.Frames, found: box.Detections, *, threshold: float) -> dict[str, int]:
    """Count true approaches that the boxes' growth flags, and flags without one.

    An object approaches when its labelled distances say that it will be reached within
    ``lane.SECONDS_TO_COLLISION`` seconds. It is flagged when the boxes detected at it in both frames say so.

    Returns:
        ``pairs`` of one object in two frames, ``approaching`` and ``flagged`` of them, ``flagged_wrongly``; all 0 where
        no distances, tracks or times are known.
    """
    kept = found.take(found.score >= threshold)
    counts = {"pairs": 0, "approaching": 0, "flagged": 0, "flagged_wrongly": 0}
    for first, second in _neighbours(collection):
        seconds = float(collection.seconds[second] - collection.seconds[first])
        for one, two in _tracks(collection.boxes, first, second):
            distances = collection.boxes.distance[[one, two]].astype(np.float64)
            heights = [
                _height_at(collection.boxes.xyxy[row], kept, image) for row, image in ((one, first), (two, second))
            ]
            closing = (distances[0] - distances[1]) / seconds
            truly = closing > 0 and distances[1] / closing < lane.SECONDS_TO_COLLISION
            flagged = min(heights) >= LEAST_HEIGHT_PIXELS and bool(
                seconds_left(heights[0], heights[1], seconds) < lane.SECONDS_TO_COLLISION
            )
            counts["pairs"] += 1
            counts["approaching"] += int(truly)
            counts["flagged"] += int(truly and flagged)
            counts["flagged_wrongly"] += int(flagged and not truly)
    return counts


def _neighbours(collection: frames.Frames) -> list[tuple[int, int]]:
    """Return pairs of images that follow each other in a sequence, at known times."""
    named = [
        row for row in range(len(collection)) if collection.sequences[row] and np.isfinite(collection.seconds[row])
    ]
    named.sort(key=lambda row: (str(collection.sequences[row]), float(collection.seconds[row])))
    return [
        (a, b)
        for a, b in itertools.pairwise(named)
        if collection.sequences[a] == collection.sequences[b] and collection.seconds[b] > collection.seconds[a]
    ]


def _tracks(boxes: box.Boxes, first: int, second: int) -> list[tuple[int, int]]:
    """Return the rows of objects that are in both images, whole and at known distances."""
    usable = (boxes.kind == box.OBJECT) & (boxes.track >= 0) & np.isfinite(boxes.distance) & ~(boxes.truncation > 0.01)
    rows = [
        {int(boxes.track[row]): int(row) for row in np.flatnonzero(usable & (boxes.image == image))}
        for image in (first, second)
    ]
    return [(rows[0][track], rows[1][track]) for track in rows[0] if track in rows[1]]


def _height_at(xyxy: npt.NDArray[np.float32], found: box.Detections, image: int) -> float:
    """Return the height of the box detected at an object, 0 where there is none."""
    rows = np.flatnonzero(found.image == image)
    overlap = box.iou(xyxy[np.newaxis], found.xyxy[rows])[0]
    if overlap.max(initial=0.0) < OVERLAP:
        return 0.0
    corners = found.xyxy[rows[int(np.argmax(overlap))]]
    return float(corners[3] - corners[1])
