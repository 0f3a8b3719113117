"""What stands in a scene, as coloured polygons in metres: vehicles, people, cyclists, buildings, trees, signs, cones.

A shape's own axes: x to its right, y up, z to its front; (0, 0, 0) is on the ground under its middle.
"""

import dataclasses
import itertools
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
    left, right, low, high = amount
    a, b, c, d = face.corners

    def at(across: float, up: float) -> Floats:
        return np.asarray((1 - up) * ((1 - across) * a + across * b) + up * ((1 - across) * d + across * c))

    normal = np.cross(d - a, b - a)
    out = normal / max(float(np.linalg.norm(normal)), 1e-9) * 0.01
    return Face(np.stack([at(left, low), at(right, low), at(right, high), at(left, high)]) + out, colour, glow)


def disc(centre: tuple[float, float, float], radius: float, colour: Colour, *, axis: int = 0) -> Face:
    """Return a flat wheel of ten corners across the axis 0 (seen from the side) or 2 (seen from the front)."""
    angles = np.linspace(0, 2 * np.pi, 10, endpoint=False)
    corners = np.tile(np.array(centre, float), (10, 1))
    corners[:, 1] += radius * np.sin(angles)
    corners[:, 2 if axis == 0 else 0] += radius * np.cos(angles)
    return Face(corners, colour, two_sided=True)


def car(generator: np.random.Generator) -> tuple[list[Face], float, float]:
    """Return a passenger car's faces, its width and its length in metres."""
    style = generator.choice(["sedan", "hatch", "suv", "estate"])
    paint = _paint(generator)
    length = generator.uniform(
        *{"sedan": (4.4, 5.0), "hatch": (3.7, 4.3), "suv": (4.3, 4.9), "estate": (4.5, 4.9)}[style]
    )
    width, height = generator.uniform(1.7, 1.95), generator.uniform(*((1.6, 1.85) if style == "suv" else (1.4, 1.55)))
    half, belt = width / 2, height * 0.58
    body = block((-half, half), (0.22, belt), (-length / 2, length / 2), paint, taper=0.06)
    back = {"sedan": -0.30, "hatch": -0.47, "suv": -0.48, "estate": -0.48}[style] * length
    cabin = block(
        (-half * 0.92, half * 0.92),
        (belt, height),
        (back, 0.16 * length),
        paint,
        taper=0.22 if style == "estate" else 0.3,
    )
    faces = [*body, *cabin]
    faces += [inset(face, (0.08, 0.92, 0.12, 0.88), GLASS) for face in cabin[:4]]
    rear, front = body[0], body[2]
    lamp = (0.66, 0.86)
    for left, right in ((0.04, 0.2), (0.8, 0.96)):
        faces.append(inset(rear, (left, right, *lamp), (186, 22, 24), glow=0.55))
        faces.append(inset(front, (left, right, *lamp), (240, 240, 226), glow=1.0))
    faces.append(inset(rear, (0.36, 0.64, 0.3, 0.46), (226, 226, 214)))
    faces.append(inset(front, (0.28, 0.72, 0.3, 0.56), (30, 32, 34)))
    faces += _bumpers(rear, front, paint)
    faces += _wheels(half, length, radius=0.33)
    return faces, width, length


def truck(generator: np.random.Generator) -> tuple[list[Face], float, float]:
    """Return a lorry or a van-like box truck: a cab and a load."""
    paint, load = _paint(generator), (_paint(generator) if generator.random() < 0.4 else (212, 212, 208))
    length, width, height = generator.uniform(6, 11), generator.uniform(2.2, 2.5), generator.uniform(2.8, 3.8)
    half, cab = width / 2, 1.9
    front_z = length / 2
    box_faces = block((-half, half), (0.9, height), (-length / 2, front_z - cab - 0.25), load)
    cab_faces = block(
        (-half * 0.96, half * 0.96),
        (0.45, height * generator.uniform(0.72, 0.92)),
        (front_z - cab, front_z),
        paint,
        taper=0.12,
    )
    frame = block((-half * 0.8, half * 0.8), (0.45, 0.95), (-length / 2 + 0.1, front_z - 0.3), (40, 40, 42))
    faces = [*frame, *box_faces, *cab_faces]
    front, rear = cab_faces[2], box_faces[0]
    faces.append(inset(front, (0.08, 0.92, 0.5, 0.86), GLASS))
    faces += [inset(cab_faces[i], (0.2, 0.8, 0.52, 0.84), GLASS) for i in (1, 3)]
    for left, right in ((0.05, 0.2), (0.8, 0.95)):
        faces.append(inset(front, (left, right, 0.08, 0.18), (240, 240, 226), glow=1.0))
        faces.append(inset(rear, (left, right, 0.0, 0.06), (186, 22, 24), glow=0.55))
    faces.append(inset(rear, (0.49, 0.51, 0.02, 0.98), (120, 120, 120)))
    faces += _wheels(half, length, radius=0.48)
    return faces, width, length


def bus(generator: np.random.Generator) -> tuple[list[Face], float, float]:
    """Return a city bus: one tall block with a strip of windows."""
    paint = _paint(generator)
    length, width, height = generator.uniform(9, 12.5), 2.5, generator.uniform(2.9, 3.3)
    half = width / 2
    body = block((-half, half), (0.35, height), (-length / 2, length / 2), paint, taper=0.05)
    faces = list(body)
    for side in (body[1], body[3]):
        faces += [inset(side, (start, start + 0.105, 0.42, 0.82), GLASS) for start in np.linspace(0.03, 0.86, 8)]
    rear, front = body[0], body[2]
    faces += [inset(front, (0.05, 0.95, 0.34, 0.86), GLASS), inset(rear, (0.12, 0.88, 0.5, 0.84), GLASS)]
    faces.append(inset(front, (0.2, 0.8, 0.88, 0.97), (230, 180, 60), glow=0.4))
    for left, right in ((0.05, 0.18), (0.82, 0.95)):
        faces.append(inset(front, (left, right, 0.08, 0.17), (240, 240, 226), glow=1.0))
        faces.append(inset(rear, (left, right, 0.12, 0.26), (186, 22, 24), glow=0.55))
    faces += _wheels(half, length, radius=0.46)
    return faces, width, length


def person(generator: np.random.Generator, *, phase: float) -> tuple[list[Face], float, float]:
    """Return a walking person; ``phase`` in radians swings the limbs."""
    size = generator.uniform(0.9, 1.08)
    faces = _figure(_choice(generator, SKINS), _choice(generator, CLOTHES), _choice(generator, CLOTHES), phase)
    scaled = [dataclasses.replace(face, corners=face.corners * size) for face in faces]
    return scaled, 0.6 * size, 0.5 * size


def cyclist(generator: np.random.Generator, *, phase: float) -> tuple[list[Face], float, float]:
    """Return a bicycle with its rider."""
    frame = _paint(generator)
    faces = _ring((0, 0.34, -0.52), 0.34) + _ring((0, 0.34, 0.52), 0.34)
    for (y0, z0), (y1, z1) in (
        ((0.34, -0.5), (0.8, -0.1)),
        ((0.34, -0.5), (0.85, 0.38)),
        ((0.8, -0.1), (0.85, 0.38)),
        ((0.34, 0.5), (1.0, 0.36)),
    ):
        faces.append(_bar((0, y0, z0), (0, y1, z1), 0.045, frame))
    faces += block((-0.28, 0.28), (0.98, 1.02), (0.33, 0.38), RUBBER)
    skin, coat, legs = _choice(generator, SKINS), _choice(generator, CLOTHES), _choice(generator, CLOTHES)
    knee = 0.12 * np.sin(phase)
    for side in (-1, 1):
        faces += _limb((0.1 * side, 0.92, -0.12), (0.12 * side, 0.42 + side * knee, 0.08), 0.08, legs)
        faces += _limb((0.2 * side, 1.36, 0.08), (0.25 * side, 1.03, 0.36), 0.055, coat)
    faces += _limb((0, 0.9, -0.15), (0, 1.45, 0.06), 0.2, coat)
    faces += block((-0.1, 0.1), (1.5, 1.74), (0.0, 0.22), skin, taper=0.03)
    if generator.random() < 0.6:
        faces += block((-0.12, 0.12), (1.68, 1.8), (-0.03, 0.24), _paint(generator), taper=0.05)
    return faces, 0.6, 1.75


def motorcycle(generator: np.random.Generator, *, phase: float) -> tuple[list[Face], float, float]:
    """Return a motorcycle with its rider."""
    del phase
    paint = _paint(generator)
    faces = [disc((0, 0.32, -0.7), 0.32, RUBBER), disc((0, 0.32, 0.7), 0.32, RUBBER)]
    faces += block((-0.1, 0.1), (0.25, 0.32 + 0.0), (-0.9, -0.5), RUBBER) + block(
        (-0.07, 0.07), (0.0, 0.64), (0.5, 0.9), RUBBER
    )
    faces += block((-0.07, 0.07), (0.0, 0.64), (-0.98, -0.44), RUBBER)
    faces += block((-0.2, 0.2), (0.35, 0.85), (-0.75, 0.5), paint, taper=0.08)
    faces += block((-0.36, 0.36), (1.0, 1.06), (0.4, 0.47), RUBBER)
    faces.append(
        Face(
            np.array([[-0.1, 0.72, 0.95], [0.1, 0.72, 0.95], [0.1, 0.92, 0.95], [-0.1, 0.92, 0.95]])[::-1],
            (240, 240, 226),
            1.0,
        )
    )
    faces.append(
        Face(
            np.array([[-0.1, 0.62, -1.0], [0.1, 0.62, -1.0], [0.1, 0.74, -1.0], [-0.1, 0.74, -1.0]]),
            (186, 22, 24),
            0.55,
        )
    )
    coat, legs = _choice(generator, CLOTHES), _choice(generator, CLOTHES)
    for side in (-1, 1):
        faces += _limb((0.16 * side, 0.88, -0.25), (0.24 * side, 0.4, 0.05), 0.09, legs)
        faces += _limb((0.22 * side, 1.36, -0.1), (0.3 * side, 1.05, 0.38), 0.06, coat)
    faces += _limb((0, 0.86, -0.3), (0, 1.46, -0.08), 0.22, coat)
    faces += block((-0.14, 0.14), (1.46, 1.76), (-0.16, 0.16), _paint(generator), taper=0.05)
    return faces, 0.75, 2.0


def building(generator: np.random.Generator) -> tuple[list[Face], float, float]:
    """Return a house with rows of windows."""
    base = float(generator.uniform(90, 200))
    wall: Colour = (base, base * float(generator.uniform(0.82, 1.0)), base * float(generator.uniform(0.7, 0.98)))
    width, length, height = generator.uniform(8, 18), generator.uniform(10, 26), generator.uniform(5, 20)
    body = block((-width / 2, width / 2), (0, height), (-length / 2, length / 2), wall)
    floors, across = max(int(height / 3.2), 1), max(int(length / 3.5), 2)
    faces = list(body)
    lit = generator.random((floors, across)) < 0.3
    for side in (body[0], body[1], body[3]):
        for floor in range(floors):
            for place in range(across):
                low, left = (floor + 0.3) / floors, (place + 0.25) / across
                glow = 0.35 if lit[floor, place] else 0.0
                window = (left, left + 0.5 / across, low, low + 0.45 / floors)
                faces.append(inset(side, window, (206, 180, 120) if glow else (70, 78, 88), glow=glow))
    return faces, float(width), float(length)


def tree(generator: np.random.Generator) -> tuple[list[Face], float, float]:
    """Return a tree: a trunk and a crown of flat leaves."""
    height, crown = generator.uniform(4, 9), generator.uniform(1.3, 2.6)
    faces = block((-0.15, 0.15), (0, height * 0.5), (-0.15, 0.15), (74, 58, 44))
    green = generator.uniform(0.6, 1.2)
    for _ in range(9):
        centre = (
            float(generator.normal(0, crown * 0.4)),
            height * generator.uniform(0.45, 0.95),
            float(generator.normal(0, 0.3)),
        )
        shade = green * generator.uniform(0.7, 1.15)
        faces.append(disc(centre, crown * generator.uniform(0.4, 0.75), (58 * shade, 84 * shade, 44 * shade), axis=2))
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
        return block((-0.3, 0.3), (0, 1.05), (-0.35, 0.35), _choice(generator, CLOTHES), taper=0.03), 0.6, 0.7
    if kind == "hoarding":
        board = block((-1.8, 1.8), (1.0, 3.4), (-0.1, 0.1), (220, 220, 214))
        return (
            [
                *block((-0.1, 0.1), (0, 1.0), (-0.1, 0.1), (90, 90, 92)),
                *board,
                inset(board[0], (0.2, 0.8, 0.2, 0.6), _paint(generator)),
            ],
            3.6,
            0.2,
        )
    faces = block((-0.05, 0.05), (0, generator.uniform(2.4, 6.0)), (-0.05, 0.05), (110, 112, 116))
    if kind == "sign":
        faces.append(disc((0, 2.4, -0.07), 0.35, (190, 30, 30), axis=2))
        faces.append(disc((0, 2.4, -0.09), 0.26, (236, 236, 232), axis=2))
    return faces, 0.5, 0.2


def _paint(generator: np.random.Generator) -> Colour:
    red, green, blue = _choice(generator, PAINTS)
    shade = float(generator.uniform(0.8, 1.15))
    return min(red * shade, 250.0), min(green * shade, 250.0), min(blue * shade, 250.0)


def _choice(generator: np.random.Generator, colours: Sequence[Colour]) -> Colour:
    return colours[int(generator.integers(len(colours)))]


def _bumpers(rear: Face, front: Face, paint: Colour) -> list[Face]:
    dark = (paint[0] * 0.5, paint[1] * 0.5, paint[2] * 0.5)
    return [inset(face, (0.02, 0.98, 0.02, 0.2), dark) for face in (rear, front)]


def _wheels(half: float, length: float, *, radius: float) -> list[Face]:
    faces = []
    for side in (-1, 1):
        for place in (-0.31, 0.31):
            x, z = side * (half + 0.005), place * length
            faces.append(disc((x, radius, z), radius, RUBBER))
            faces.append(disc((x * 1.01, radius, z), radius * 0.55, (140, 142, 146)))
            faces += block(
                (min(x, x - side * 0.2), max(x, x - side * 0.2)),
                (0, radius),
                (z - radius * 0.7, z + radius * 0.7),
                RUBBER,
            )
    return faces


def _figure(skin: Colour, coat: Colour, legs: Colour, phase: float) -> list[Face]:
    swing = 0.24 * np.sin(phase)
    faces: list[Face] = []
    for side in (-1, 1):
        step = side * swing
        faces += _limb((0.09 * side, 0.86, 0), (0.1 * side, 0.06, step), 0.085, legs)
        faces += block((0.1 * side - 0.05, 0.1 * side + 0.05), (0, 0.09), (step - 0.08, step + 0.16), RUBBER)
        faces += _limb((0.22 * side, 1.4, 0), (0.25 * side, 0.84, -step * 0.9), 0.06, coat)
    faces += block((-0.2, 0.2), (0.82, 1.45), (-0.12, 0.12), coat, taper=0.02)
    return [
        *faces,
        *block((-0.1, 0.1), (1.48, 1.74), (-0.1, 0.12), skin, taper=0.03),
        *block((-0.11, 0.11), (1.66, 1.77), (-0.13, 0.09), (50, 38, 30), taper=0.03),
    ]


def _limb(
    start: tuple[float, float, float], end: tuple[float, float, float], half: float, colour: Colour
) -> list[Face]:
    """Return an arm, a leg or a trunk: two flat strips that cross, so that one is seen from anywhere."""
    return [_bar(start, end, half, colour, axis=axis) for axis in (0, 2)]


def _bar(
    start: tuple[float, float, float], end: tuple[float, float, float], half: float, colour: Colour, *, axis: int = 2
) -> Face:
    a, b = np.array(start, float), np.array(end, float)
    out = np.zeros(3)
    out[axis] = half
    return Face(np.stack([a - out, a + out, b + out, b - out]), colour, two_sided=True)


def _ring(centre: tuple[float, float, float], radius: float) -> list[Face]:
    tyre, angles = 0.045, np.linspace(0, 2 * np.pi, 13)
    faces = []
    for first, second in itertools.pairwise(angles):
        corners = [
            (0.0, centre[1] + r * np.sin(t), centre[2] + r * np.cos(t))
            for t, r in ((first, radius), (second, radius), (second, radius - tyre), (first, radius - tyre))
        ]
        faces.append(Face(np.array(corners), RUBBER, two_sided=True))
    return [
        *faces,
        *block((-0.02, 0.02), (centre[1] - radius, centre[1] + radius), (centre[2] - 0.02, centre[2] + 0.02), RUBBER),
    ]
