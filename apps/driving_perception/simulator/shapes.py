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


def building(generator: np.random.Generator) -> tuple[list[Face], float, float]:
    """Return a house with rows of windows."""
    base = float(generator.uniform(90, 200))
    wall: Colour = (base, base * float(generator.uniform(0.82, 1.0)), base * float(generator.uniform(0.7, 0.98)))
    width, length, height = generator.uniform(8, 18), generator.uniform(10, 26), generator.uniform(5, 20)
    body = block((-width / 2, width / 2), (0, height), (-length / 2, length / 2), wall)
    floors, across = max(int(height / 3.2), 1), max(int(length / 3.5), 2)
    faces = list(body)
    lit = generator.random((floors, across)) < 0.3
    floor, place = (each.ravel() for each in np.mgrid[0:floors, 0:across])
    low, left = (floor + 0.3) / floors, (place + 0.25) / across
    windows = np.stack([left, left + 0.5 / across, low, low + 0.45 / floors], axis=1)
    for side in (body[0], body[1], body[3]):
        for corners, shines in zip(parts(side, windows), lit.ravel(), strict=True):
            faces.append(Face(corners, (206, 180, 120) if shines else (70, 78, 88), 0.35 if shines else 0.0))
    return faces, float(width), float(length)


def tree(generator: np.random.Generator) -> tuple[list[Face], float, float]:
    """Return a tree: a trunk and a crown of flat leaves."""
    height, crown = generator.uniform(4, 9), generator.uniform(1.3, 2.6)
    faces = block((-0.15, 0.15), (0, height * 0.5), (-0.15, 0.15), (74, 58, 44))
    green = generator.uniform(0.6, 1.2)
    for _ in range(9):
        radius = crown * float(generator.uniform(0.4, 0.75))
        # No leaves outside of the crown.
        across = float(np.clip(generator.normal(0, crown * 0.4), radius - crown, crown - radius))
        centre = (across, height * generator.uniform(0.45, 0.95), float(generator.normal(0, 0.3)))
        shade = green * generator.uniform(0.7, 1.15)
        faces.append(disc(centre, radius, (58 * shade, 84 * shade, 44 * shade), axis=2))
    return faces, float(2 * crown), float(2 * crown)


def distractor(generator: np.random.Generator) -> tuple[list[Face], float, float]:
    """Return what is no obstacle of ours: a sign, a pole, a cone, a bin, a hoarding with a picture of something."""
    kind = generator.choice(["sign", "pole", "cone", "bin", "hoarding"])
    if kind == "cone":
        return (
            [
                *block((-0.2, 0.2), (0, 0.04), (-0.2, 0.2), (200, 80, 20)),
                *block((-0.15, 0.15), (0.04, 0.7), (-0.15, 0.15), (226, 96, 28), taper=0.12),
            ],
            0.4,
            0.4,
        )
    if kind == "bin":
        return (
            block((-0.3, 0.3), (0, 1.05), (-0.35, 0.35), choice(generator, CLOTHES), taper=0.03),
            0.6,
            0.7,
        )
    if kind == "hoarding":
        board = block((-1.8, 1.8), (1.0, 3.4), (-0.1, 0.1), (220, 220, 214))
        return (
            [
                *block((-0.1, 0.1), (0, 1.0), (-0.1, 0.1), (90, 90, 92)),
                *board,
                inset(board[0], (0.2, 0.8, 0.2, 0.6), paint(generator)),
            ],
            3.6,
            0.2,
        )
    faces = block((-0.05, 0.05), (0, generator.uniform(2.4, 6.0)), (-0.05, 0.05), (110, 112, 116))
    if kind == "sign":
        faces.append(disc((0, 2.4, -0.07), 0.35, (190, 30, 30), axis=2))
        faces.append(disc((0, 2.4, -0.09), 0.26, (236, 236, 232), axis=2))
    return faces, 0.5, 0.2
