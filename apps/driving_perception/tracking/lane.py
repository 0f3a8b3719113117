"""The own way: the part of the picture that the vehicle will drive through, and what stands in it.

A demonstration of what boxes are good for, NOT a safety function: the way is a fixed trapezoid, which knows no bends,
no lanes and no speed, and what the detector misses is not in it.
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from apps.driving_perception import config
from shared import errors

AHEAD, CLEAR, INVALID = "obstacle_ahead", "clear", "invalid"
# Why something is ahead.
NEAR, CLOSING = "near", "closing"
# Under this time to collision an obstacle in the way is called ahead however small it is. NHTSA's confirmation test of
# forward collision warnings (2013) wants one 2.1 s before a standing vehicle is reached; the rest is for delays.
SECONDS_TO_COLLISION = 2.5


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
