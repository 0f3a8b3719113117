"""The own way: the part of the picture that the vehicle will drive through, and what stands in it.

A demonstration of what boxes are good for, NOT a safety function: the way is a fixed trapezoid, which knows no bends,
no lanes and no speed, and what the detector misses is not in it.

Time to collision: from how fast a box grows (Lee 1976, "A theory of visual control of braking"): tau = s / (ds/dt),
per pair of consecutive frames of a sequence, with no calibration of the camera and no knowledge of speeds.
"""

import dataclasses
import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.driving_perception import boxes as box
from apps.driving_perception import config, frames
from shared import errors

AHEAD, CLEAR, INVALID = "obstacle_ahead", "clear", "invalid"
# Why something is ahead.
NEAR, CLOSING = "near", "closing"
# Under this time to collision an obstacle in the way is called ahead however small it is. NHTSA's confirmation test of
# forward collision warnings (2013) wants one 2.1 s before a standing vehicle is reached; the rest is for delays.
SECONDS_TO_COLLISION = 2.5
# From this overlap on a detected box is taken for the labelled object.
SAME_OBJECT_OVERLAP = 0.3
# Boxes lower than this are too coarse for a growth of some percent to mean anything.
LEAST_HEIGHT_PIXELS = 20.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Region:
    """A trapezoid in the middle of the picture, in fractions of its width and height.

    The usual values are for a camera behind the windscreen, 1.3 m above the road, that looks along it. In any row of
    its picture the horizon is then 1.3 m above the road, by that row's scale. So on the lower edge, half a picture's
    height below the horizon, a lane of 3.5 m is 0.76 of the width of a picture of 16 to 9, and a car of 1.8 m is 0.39:
    0.6 is a car with half a metre on either side. Far ahead the way narrows to a point; 0.12 leaves room for a bend. It
    ends just under the horizon. A car 1.5 m tall fills a tenth of the height of such a picture, taken with a lens of 58
    degrees, from 24 m on: 1.7 s at 50 km/h. Another camera needs other numbers.

    Attributes:
        bottom_width: Its width at the picture's lower edge.
        top_width: Its width at ``top``.
        top: Where it begins, from above: about the horizon.
        height_fraction: A box from this share of the picture's height on is near enough to be in the way.
    """

    bottom_width: float = 0.6
    top_width: float = 0.12
    top: float = 0.52
    height_fraction: float = 0.1

    def __post_init__(self) -> None:
        """Refuse what is no trapezoid.

        Raises:
            errors.InputError: A number is no fraction, or the region has no height.
        """
        wrong = {name: value for name, value in vars(self).items() if not 0 <= value <= 1}
        if wrong or self.top == 1:
            raise errors.InputError(
                f"region: expected fractions from 0 to 1, and top below 1. Received: {wrong or {'top': self.top}}"
            )

    @classmethod
    def of(cls, settings: config.Config) -> "Region":
        """Return the region that the settings describe."""
        return cls(
            bottom_width=settings.way_bottom,
            top_width=settings.way_top,
            top=settings.way_horizon,
            height_fraction=settings.way_height,
        )

    def holds(self, xyxy: NDArray[np.floating], *, width: float, height: float) -> NDArray[np.bool_]:
        """Return (m,) bool: whether the middle of the lower edge of boxes (m, 4), in pixels, lies in the trapezoid."""
        across = (xyxy[:, 0] + xyxy[:, 2]) / (2.0 * width)
        foot = xyxy[:, 3] / height
        way = np.clip((foot - self.top) / (1.0 - self.top), 0.0, 1.0)
        half = (self.top_width + (self.bottom_width - self.top_width) * way) / 2.0
        return np.asarray((foot >= self.top) & (np.abs(across - 0.5) <= half), bool)

    def decide(self, xyxy: NDArray[np.floating], *, width: float, height: float) -> NDArray[np.bool_]:
        """Return (m,) bool: in the trapezoid, and tall enough to be near."""
        tall = (xyxy[:, 3] - xyxy[:, 1]) / height
        return self.holds(xyxy, width=width, height=height) & (tall >= self.height_fraction)

    def reasons(
        self, xyxy: NDArray[np.floating], seconds: NDArray[np.floating], *, width: float, height: float
    ) -> NDArray[np.object_]:
        """Return (m,) str: why each box is ahead, ``NEAR`` (as ``decide``) or ``CLOSING``; "" where it is not.

        Args:
            xyxy: (m, 4) pixels.
            seconds: (m,) time to collision; infinite or NaN where nothing closes in.
            width: Of the picture in pixels.
            height: Of the picture in pixels.
        """
        closing = self.holds(xyxy, width=width, height=height) & (seconds < SECONDS_TO_COLLISION)
        near = self.decide(xyxy, width=width, height=height)
        return np.where(near, NEAR, np.where(closing, CLOSING, "")).astype(object)

    def outline(self, *, width: int, height: int) -> NDArray[np.int64]:
        """Return (4, 2) its corners in pixels, from the upper left one on, clockwise."""
        top, bottom = self.top_width / 2, self.bottom_width / 2
        corners = [(0.5 - top, self.top), (0.5 + top, self.top), (0.5 + bottom, 1.0), (0.5 - bottom, 1.0)]
        return np.round(np.array(corners) * (width, height)).astype(np.int64)


def seconds_left(before: Any, after: Any, seconds: Any) -> NDArray[np.float64]:
    """Return the time to collision after the second of two heights; infinite where the box does not grow.

    >>> seconds_left(20.0, 25.0, 0.5).round(3).item()
    2.0
    """
    growth = np.asarray(after, np.float64) / np.asarray(before, np.float64) - 1.0
    return np.where(growth > 0, np.asarray(seconds) / np.maximum(growth, 1e-9), np.inf)


def count_approaches(collection: frames.Frames, found: box.Detections, *, threshold: float) -> dict[str, int]:
    """Count true approaches that the boxes' growth flags, and flags without one.

    An object approaches when its labelled distances say that it will be reached within
    ``SECONDS_TO_COLLISION`` seconds. It is flagged when the boxes detected at it in both frames say so.

    Returns:
        ``pairs`` of one object in two frames, ``approaching`` and ``flagged`` of them, ``flagged_wrongly``; all 0 where
        no distances, tracks or times are known.
    """
    kept = found.take(found.score >= threshold)
    counts = {"pairs": 0, "approaching": 0, "flagged": 0, "flagged_wrongly": 0}
    for first, second in _following_images(collection):
        seconds = float(collection.seconds[second] - collection.seconds[first])
        for one, two in _tracks(collection.boxes, first, second):
            distances = collection.boxes.distance[[one, two]].astype(np.float64)
            heights = [
                _height_at(collection.boxes.xyxy[row], kept, image) for row, image in ((one, first), (two, second))
            ]
            closing = (distances[0] - distances[1]) / seconds
            truly = closing > 0 and distances[1] / closing < SECONDS_TO_COLLISION
            flagged = min(heights) >= LEAST_HEIGHT_PIXELS and bool(
                seconds_left(heights[0], heights[1], seconds) < SECONDS_TO_COLLISION
            )
            counts["pairs"] += 1
            counts["approaching"] += int(truly)
            counts["flagged"] += int(truly and flagged)
            counts["flagged_wrongly"] += int(flagged and not truly)
    return counts


def _following_images(collection: frames.Frames) -> list[tuple[int, int]]:
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


def _height_at(xyxy: NDArray[np.float32], found: box.Detections, image: int) -> float:
    """Return the height of the box detected at an object, 0 where there is none."""
    rows = np.flatnonzero(found.image == image)
    overlap = box.iou(xyxy[np.newaxis], found.xyxy[rows])[0]
    if overlap.max(initial=0.0) < SAME_OBJECT_OVERLAP:
        return 0.0
    corners = found.xyxy[rows[int(np.argmax(overlap))]]
    return float(corners[3] - corners[1])
