"""A road over flat ground: how wide it is, and where it goes."""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclasses.dataclass(frozen=True, kw_only=True)
class Road:
    """A road that bends: its middle at distance z lies ``bend * z ** 2 / 2 + turn * z`` metres to the right."""

    lanes: int
    lane_metres: float
    bend: float
    turn: float
    offset: float
    sidewalk_metres: float
    green: bool

    @property
    def half_metres(self) -> float:
        """Half of the road's width."""
        return self.lanes * self.lane_metres / 2

    def middle(self, distance: npt.NDArray[Any] | float) -> npt.NDArray[Any] | float:
        """Return x of the road's middle in metres."""
        return self.bend * distance**2 / 2 + self.turn * distance + self.offset

    def direction(self, distance: npt.NDArray[Any] | float) -> npt.NDArray[np.float64]:
        """Return where the road leads to, in radians to the right of straight ahead."""
        return np.asarray(np.arctan(self.bend * np.asarray(distance, np.float64) + self.turn))
