"""The own way: the part of the picture that the vehicle will drive through, and what stands in it.

A demonstration of what boxes are good for, NOT a safety function: the way is a fixed trapezoid, which knows no bends, no
lanes and no speed.
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from apps.driving_perception import config

AHEAD, CLEAR, INVALID = "obstacle_ahead", "clear", "invalid"
# Under this time to collision an obstacle in the way is called ahead however small it is: reacting takes a driver about
# 1.5 s, and braking as long (Green 2000, "How long does it take to stop?").
SECONDS_TO_COLLISION = 2.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Region:
    """A trapezoid in the middle of the picture, in fractions of its width and height.

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

    def outline(self, *, width: int, height: int) -> NDArray[np.int64]:
        """Return (4, 2) its corners in pixels, from the upper left one on, clockwise."""
        top, bottom = self.top_width / 2, self.bottom_width / 2
        corners = [(0.5 - top, self.top), (0.5 + top, self.top), (0.5 + bottom, 1.0), (0.5 - bottom, 1.0)]
        return np.round(np.array(corners) * (width, height)).astype(np.int64)
