"""The painter's order: what must be drawn before what, so that the nearer hides the further."""

import numpy as np
import numpy.typing as npt

from apps.driving_perception.scenes import footprints

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
# Less than what is set on a face lies before it (``shapes.parts``), more than rounding.
_FLAT_METRES = 0.002


def things(grounds: Floats) -> npt.NDArray[np.int64]:
    """Return the numbers of things, the ones that others may hide first.

    Of two things whose ground is disjoint, an edge of one parts them: the vertical plane through it has the camera on
    one side, and nothing on that side is hidden by what is on the other.

    Args:
        grounds: (n, 4, 2) x and z of footprints in metres, the camera at (0, 0), all before it.
    """
    _, offsets = footprints.sides(grounds)
    outside = footprints.beyond(grounds[:, None], grounds[None])
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
