"""What everything in a scene is made of: coloured polygons in metres, and the colours there are.

A shape's own axes: x to its right, y up, z to its front; (0, 0, 0) is on the ground under its middle.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Colour = tuple[float, float, float]
Floats = npt.NDArray[np.float64]

GLASS: Colour = (46, 54, 62)
RUBBER: Colour = (24, 24, 26)
SKINS: Sequence[Colour] = ((224, 182, 150), (190, 140, 105), (120, 82, 60))
PAINTS: Sequence[Colour] = (
    (198, 200, 202), (32, 33, 36), (120, 124, 128), (232, 232, 228), (140, 28, 30),
    (34, 60, 120), (52, 92, 62), (168, 140, 96), (196, 150, 40), (70, 76, 84),
)  # fmt: skip
CLOTHES: Sequence[Colour] = (
    (40, 44, 60), (70, 40, 38), (150, 150, 150), (180, 60, 50), (50, 90, 140),
    (60, 80, 54), (210, 200, 180), (30, 30, 32), (220, 180, 60), (110, 70, 120),
)  # fmt: skip

_ANGLES = np.linspace(0, 2 * np.pi, 10, endpoint=False)
_DECAGON = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)


@dataclasses.dataclass(frozen=True, eq=False)
class Face:
    """A flat polygon.

    Attributes:
        corners: (k, 3) metres in the shape's own axes.
        colour: Red, green, blue, 0 to 255, in full light.
        glow: 0 for paint; up to 1 for lamps, which shine at night.
        two_sided: Whether it is seen from behind as well.
    """

    corners: Floats
    colour: Colour
    glow: float = 0.0
    two_sided: bool = False


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Mesh:
    """Faces as arrays.

    Attributes:
        corners: (n, 3) metres, the faces' corners one after another.
        starts: (f,) where each face begins.
        sizes: (f,) how many corners each has.
        colours: (f, 3) in full light.
        glow: (f,) float32.
        two_sided: (f,).
    """

    corners: Floats
    starts: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    colours: Floats
    glow: npt.NDArray[np.float32]
    two_sided: npt.NDArray[np.bool_]


def mesh(faces: Sequence[Face]) -> Mesh:
    """Return faces as arrays."""
    sizes = np.array([len(face.corners) for face in faces])
    return Mesh(
        corners=np.concatenate([face.corners for face in faces]),
        starts=np.cumsum(sizes) - sizes,
        sizes=sizes,
        colours=np.array([face.colour for face in faces], np.float64),
        glow=np.array([face.glow for face in faces], np.float32),
        two_sided=np.array([face.two_sided for face in faces]),
    )


def block(
    x: tuple[float, float], y: tuple[float, float], z: tuple[float, float], colour: Colour, *, taper: float = 0.0
) -> list[Face]:
    """Return the five visible sides of a cuboid whose top is smaller by ``taper`` metres on every side."""
    low = [(x[0], z[0]), (x[1], z[0]), (x[1], z[1]), (x[0], z[1])]
    inner = taper * 0.6
    high = [
        (x[0] + inner, z[0] + taper),
        (x[1] - inner, z[0] + taper),
        (x[1] - inner, z[1] - taper),
        (x[0] + inner, z[1] - taper),
    ]
    bottom, top = ([(a, level, b) for a, b in ring] for ring, level in ((low, y[0]), (high, y[1])))
    sides = [[bottom[i], bottom[(i + 1) % 4], top[(i + 1) % 4], top[i]] for i in range(4)]
    return [Face(np.array(side, float), colour) for side in (*sides, top)]


def inset(face: Face, amount: tuple[float, float, float, float], colour: Colour, *, glow: float = 0.0) -> Face:
    """Return a part of a four-sided face: from, to along its first side, from, to upwards, as fractions."""
    return Face(parts(face, np.array([amount]))[0], colour, glow)


def parts(face: Face, amounts: Floats) -> Floats:
    """Return the corners of many parts of a four-sided face, a little in front of it.

    Args:
        face: What they are part of.
        amounts: (n, 4) from, to along its first side, from, to upwards, as fractions.

    Returns:
        (n, 4, 3) metres.
    """
    a, b, c, d = face.corners
    across, up = amounts[:, (0, 1, 1, 0), None], amounts[:, (2, 2, 3, 3), None]
    corners = (1 - up) * ((1 - across) * a + across * b) + up * ((1 - across) * d + across * c)
    normal = _cross(d - a, b - a)
    return np.asarray(corners + normal / max(float(np.linalg.norm(normal)), 1e-9) * 0.01)


def _cross(first: Floats, second: Floats) -> Floats:
    """Return the vector product of two (3,) vectors: as np.cross does, in a fifth of its time for single ones."""
    a, b, c = first.tolist()
    d, e, f = second.tolist()
    return np.array([b * f - c * e, c * d - a * f, a * e - b * d])


def disc(centre: tuple[float, float, float], radius: float, colour: Colour, *, axis: int = 0) -> Face:
    """Return a flat wheel of ten corners across the axis 0 (seen from the side) or 2 (seen from the front)."""
    corners = np.empty((10, 3))
    corners[:] = centre
    corners[:, (2 if axis == 0 else 0, 1)] += radius * _DECAGON
    return Face(corners, colour, two_sided=True)


def bar(
    start: tuple[float, float, float], end: tuple[float, float, float], half: float, colour: Colour, *, axis: int = 2
) -> Face:
    """Return a flat strip between two points, wide along one axis and seen from both sides."""
    a, b = np.array(start, float), np.array(end, float)
    out = np.zeros(3)
    out[axis] = half
    return Face(np.stack([a - out, a + out, b + out, b - out]), colour, two_sided=True)


def limb(start: tuple[float, float, float], end: tuple[float, float, float], half: float, colour: Colour) -> list[Face]:
    """Return an arm, a leg or a trunk: two flat strips that cross, so that one is seen from anywhere."""
    return [bar(start, end, half, colour, axis=axis) for axis in (0, 2)]


def paint(generator: np.random.Generator) -> Colour:
    """Return one of ``PAINTS``, a little darker or brighter."""
    red, green, blue = choice(generator, PAINTS)
    shade = float(generator.uniform(0.8, 1.15))
    return min(red * shade, 250.0), min(green * shade, 250.0), min(blue * shade, 250.0)


def choice(generator: np.random.Generator, colours: Sequence[Colour]) -> Colour:
    """Return one of some colours."""
    return colours[int(generator.integers(len(colours)))]
