"""A pinhole camera over a flat ground: metres in, pixels out.

World: x to the right of the camera, y up from the ground, z forward, all in metres. A small pitch moves the horizon.
"""

import dataclasses
import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
# Nothing nearer than this is drawn: it would be larger than the picture.
NEAREST_METRES = 0.8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Camera:
    """Where the camera is and how it sees.

    Attributes:
        width: Of the picture in pixels.
        height: Of the picture in pixels.
        focal: Focal length in pixels.
        horizon: Row of the horizon in pixels.
        above: Height over the ground in metres.
    """

    width: int
    height: int
    focal: float
    horizon: float
    above: float

    @classmethod
    def of_view(cls, *, width: int, height: int, degrees: float, above: float, pitch_degrees: float) -> "Camera":
        """Return a camera by its horizontal field of view and its pitch (down is positive).

        >>> round(Camera.of_view(width=200, height=100, degrees=90, above=1.5, pitch_degrees=0).focal, 6)
        100.0
        """
        focal = width / 2 / math.tan(math.radians(degrees) / 2)
        horizon = height / 2 - focal * math.tan(math.radians(pitch_degrees))
        return cls(width=width, height=height, focal=focal, horizon=horizon, above=above)

    def project(self, points: Floats) -> Floats:
        """Return (..., 2) pixels of (..., 3) points in metres; z is at least ``NEAREST_METRES``."""
        depth = np.maximum(points[..., 2], NEAREST_METRES)
        across = self.width / 2 + self.focal * points[..., 0] / depth
        down = self.horizon + self.focal * (self.above - points[..., 1]) / depth
        return np.stack([across, down], axis=-1)

    def ground_distance(self, rows: Floats) -> Floats:
        """Return the distance in metres of the ground at rows of pixels; infinite at the horizon and above."""
        below = np.asarray(rows, np.float64) - self.horizon
        return np.where(below > 0, self.focal * self.above / np.maximum(below, 1e-9), np.inf)
