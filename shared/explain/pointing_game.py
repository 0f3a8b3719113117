"""The pointing game: does the highest place of a map lie where the finding is?

Zhang et al. 2018, "Top-down neural attention by excitation backprop" (https://arxiv.org/abs/1608.00507), section 4.1.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from shared.evaluation import intervals, proportions


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PointingGame:
    """How often maps point into a box, beside two ways of pointing without looking.

    Attributes:
        rows: (m,) int64 images that have boxes.
        hits: (m,) bool whether the highest place lies in a box.
        rate: Share of hits.
        chance: Mean share of the image that the boxes cover: the rate of points thrown anywhere.
        best_fixed_point: Rate of the one place that lies in most images' boxes. It is chosen with the boxes of these
            same images, so it is the most that pointing at one place could reach.
    """

    rows: npt.NDArray[np.int64]
    hits: npt.NDArray[np.bool_]
    rate: intervals.Interval
    chance: float
    best_fixed_point: float

    @property
    def passed(self) -> bool:
        """Whether the maps point better than any fixed place: the interval lies above it, and so above chance."""
        return self.rate.low > max(self.best_fixed_point, self.chance)


def play(
    maps: npt.NDArray[np.floating],
    boxes: Sequence[npt.NDArray[np.floating] | None],
    *,
    units: npt.ArrayLike | None = None,
    confidence: float = 0.95,
) -> PointingGame:
    """Point with each map whose image has boxes.

    Args:
        maps: (n, height, width); a map that is the same everywhere points nowhere and misses.
        boxes: n arrays (k, 4) of left, top, right, bottom in fractions of width and height, None where unknown. Images
            without a box take no part.
        units: (n,) what images share, such as the patient.
        confidence: Of the interval, Wilson's at the effective number of images.

    Raises:
        ValueError: Another number of boxes than of maps, a box that is none, or no image with a box.
    """
    if len(boxes) != len(maps):
        raise ValueError(f"Expected boxes for {len(maps)} maps. Received: {len(boxes)}")
    rows = np.array([row for row, found in enumerate(boxes) if found is not None and len(found)], np.int64)
    if not len(rows):
        raise ValueError("Expected at least one image with a box. Received: none")
    inside = np.array([mask(np.asarray(boxes[row]), shape=maps.shape[1:]) for row in rows])
    hits = np.array([_hit(maps[row], area) for row, area in zip(rows, inside, strict=True)])
    return PointingGame(
        rows=rows,
        hits=hits,
        rate=proportions.proportion(
            hits, units=None if units is None else np.asarray(units)[rows], confidence=confidence
        ),
        chance=float(inside.mean()),
        best_fixed_point=float(inside.mean(axis=0).max()),
    )


def mask(boxes: npt.NDArray[np.floating], *, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Mark the pixels whose centre lies in one of the boxes (k, 4), (height, width).

    >>> mask(np.array([[0.0, 0.5, 0.5, 1.0]]), shape=(2, 4)).astype(int)
    array([[0, 0, 0, 0],
           [1, 1, 0, 0]])

    Raises:
        ValueError: A box that ends before it starts or leaves the image.
    """
    height, width = shape
    y, x = (np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width
    left, top, right, bottom = np.moveaxis(boxes, -1, 0)[..., None]
    if (boxes < 0).any() or (boxes > 1).any() or (left > right).any() or (top > bottom).any():
        raise ValueError(f"Expected boxes (left, top, right, bottom) in fractions. Received: {boxes.tolist()}")
    rows, columns = (top <= y) & (y <= bottom), (left <= x) & (x <= right)
    marked: npt.NDArray[np.bool_] = (rows[:, :, None] & columns[:, None, :]).any(axis=0)
    return marked


def _hit(heat: npt.NDArray[np.floating], area: npt.NDArray[np.bool_]) -> bool:
    return bool(heat.max() > heat.min() and area.reshape(-1)[heat.argmax()])
