"""The ground that things stand on: oriented rectangles, how far apart they are, and on which side one looks."""

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def rectangles(extents: Floats, x: Floats, z: Floats, angle: Floats) -> Floats:
    """Return the corners of rectangles, turned and moved.

    Args:
        extents: (..., 4) left, right, rear, front in metres from the point that a thing turns about.
        x: (...) metres to the right of the camera of that point.
        z: (...) metres ahead of it.
        angle: (...) radians that the front is turned to the right.

    Returns:
        (..., 4, 2) x and z in metres, counter-clockwise from above with z up the page.

    >>> rectangles(np.array([-1.0, 1.0, -2.0, 2.0]), np.array(10.0), np.array(20.0), np.array(0.0)).tolist()
    [[9.0, 18.0], [11.0, 18.0], [11.0, 22.0], [9.0, 22.0]]
    """
    across, along = extents[..., (0, 1, 1, 0)], extents[..., (2, 2, 3, 3)]
    cosine, sine = np.cos(angle)[..., None], np.sin(angle)[..., None]
    return np.stack(
        [cosine * across + sine * along + x[..., None], cosine * along - sine * across + z[..., None]], axis=-1
    )


def sides(polygons: Floats) -> tuple[Floats, Floats]:
    """Return (..., 4, 2) unit normals of the edges, outward, and (..., 4) how far along them the edges lie."""
    along = np.roll(polygons, -1, axis=-2) - polygons
    normals = np.stack([along[..., 1], -along[..., 0]], axis=-1) / np.linalg.norm(along, axis=-1, keepdims=True)
    return normals, (normals * polygons).sum(axis=-1)


def beyond(first: Floats, second: Floats) -> Floats:
    """Return how far the whole of ``second`` lies outside of each edge of ``first``; negative: some of it does not.

    Args:
        first: (..., 4, 2) metres, counter-clockwise.
        second: (..., 4, 2) metres, broadcast against it.

    Returns:
        (..., 4) metres.
    """
    normals, offsets = sides(first)
    reach = normals @ np.swapaxes(second, -1, -2)
    return np.asarray(reach.min(axis=-1) - offsets)


def gap(first: Floats, second: Floats) -> Floats:
    """Return (...) metres between rectangles along the edge that parts them best; negative: they overlap.

    Two convex polygons are disjoint where an edge of one of them parts them: S. Gottschalk, M. C. Lin, D. Manocha,
    OBBTree, SIGGRAPH 1996 (the separating axis theorem). Between corners the true distance is larger.
    """
    return np.asarray(np.maximum(beyond(first, second).max(axis=-1), beyond(second, first).max(axis=-1)))


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


Flags = npt.NDArray[np.bool_]
# Less than what is set on a face lies before it (``shapes.parts``), more than rounding.
_FLAT_METRES = 0.002


def things(grounds: Floats) -> npt.NDArray[np.int64]:
    """Return the numbers of things, the ones that others may hide first.

    Of two things whose ground is disjoint, an edge of one parts them: the vertical plane through it has the camera on
    one side, and nothing on that side is hidden by what is on the other.

    Args:
        grounds: (n, 4, 2) x and z of geometry in metres, the camera at (0, 0), all before it.
    """
    _, offsets = sides(grounds)
    outside = beyond(grounds[:, None], grounds[None])
    edge = outside.argmax(axis=2)
    room = outside.max(axis=2)
    # Outside of that edge of the first: there are the second, by ``room`` metres, and perhaps the camera.
    before_other = np.take_along_axis(-offsets, edge, axis=1) > 0
    drawn_after = np.where(room >= room.T, ~before_other, before_other.T)
    bearings = np.arctan2(grounds[..., 0], grounds[..., 1])
    meet = _overlap(bearings.min(axis=1), bearings.max(axis=1))
    return _far_first(drawn_after & meet, np.linalg.norm(grounds.mean(axis=1), axis=1))


def faces(corners: Floats, sizes: npt.NDArray[np.int64], normals: Floats, pixels: Floats) -> npt.NDArray[np.int64]:
    """Return the numbers of faces, the ones that others may hide first.

    What lies wholly on the camera's side of a face's plane is not hidden by that face, and what lies wholly behind it
    does not hide it: M. E. Newell, R. G. Newell, T. L. Sancha, A solution to the hidden surface problem, ACM 1972.
    Faces that cross are drawn by the distance of their middles.

    Args:
        corners: (n, 3) metres, the faces' corners one after another, from the camera.
        sizes: (f,) how many corners each has.
        normals: (f, 3) unit normals, towards the camera.
        pixels: (n, 2) the corners as they are seen.
    """
    starts = np.cumsum(sizes) - sizes
    above = corners @ normals.T - (normals * corners[starts]).sum(axis=1)
    in_front = np.minimum.reduceat(above, starts, axis=0) > -_FLAT_METRES
    behind = np.maximum.reduceat(above, starts, axis=0) < _FLAT_METRES
    drawn_after = in_front | behind.T
    low, high = np.minimum.reduceat(pixels, starts, axis=0), np.maximum.reduceat(pixels, starts, axis=0)
    meet = _overlap(low[:, 0], high[:, 0]) & _overlap(low[:, 1], high[:, 1])
    middles = np.add.reduceat(corners, starts, axis=0) / sizes[:, None]
    # Where each would have to be drawn after the other, neither hides anything of the other.
    return _far_first(drawn_after & ~drawn_after.T & meet, np.sqrt((middles**2).sum(axis=1)))


def _overlap(low: Floats, high: Floats) -> Flags:
    """Return (n, n) whether intervals have something in common."""
    return np.asarray((low[:, None] < high[None]) & (low[None] < high[:, None]))


def _far_first(drawn_after: Flags, distances: Floats) -> npt.NDArray[np.int64]:
    """Sort: whatever must be drawn after something is, and the rest, like cycles, by distance.

    Args:
        drawn_after: (n, n) whether the row's must be drawn after the column's.
        distances: (n,) metres.
    """
    ranked = np.argsort(-distances, kind="stable")
    rows = np.packbits(drawn_after[ranked[:, None], ranked], axis=1, bitorder="little")
    # As bits of whole numbers: a comparison of two of them costs a hundredth of one of arrays.
    waits = [int.from_bytes(row.tobytes(), "little") for row in rows]
    left, found = (1 << len(waits)) - 1, []

    def draw(number: int) -> None:
        nonlocal left
        left &= ~(1 << number)
        while before := waits[number] & left:
            draw((before & -before).bit_length() - 1)
        found.append(number)

    for number in range(len(waits)):
        if left >> number & 1:
            draw(number)
    return ranked[found]
