"""Cars, lorries and buses as coloured polygons in metres."""

import dataclasses
import itertools

import numpy as np

from apps.driving_perception.simulator import shapes


def car(generator: np.random.Generator) -> tuple[list[shapes.Face], float, float]:
    """Return a passenger car's faces, its width and its length in metres."""
    style = generator.choice(["sedan", "hatch", "suv", "estate"])
    paint = shapes.paint(generator)
    length = generator.uniform(
        *{"sedan": (4.4, 5.0), "hatch": (3.7, 4.3), "suv": (4.3, 4.9), "estate": (4.5, 4.9)}[style]
    )
    width, height = generator.uniform(1.7, 1.95), generator.uniform(*((1.6, 1.85) if style == "suv" else (1.4, 1.55)))
    half, belt = width / 2, height * 0.58
    body = shapes.block((-half, half), (0.22, belt), (-length / 2, length / 2), paint, taper=0.06)
    back = {"sedan": -0.30, "hatch": -0.47, "suv": -0.48, "estate": -0.48}[style] * length
    cabin = shapes.block(
        (-half * 0.92, half * 0.92),
        (belt, height),
        (back, 0.16 * length),
        paint,
        taper=0.22 if style == "estate" else 0.3,
    )
    faces = [*body, *cabin]
    faces += [shapes.inset(face, (0.08, 0.92, 0.12, 0.88), shapes.GLASS) for face in cabin[:4]]
    rear, front = body[0], body[2]
    lamp = (0.66, 0.86)
    for left, right in ((0.04, 0.2), (0.8, 0.96)):
        faces.append(shapes.inset(rear, (left, right, *lamp), (186, 22, 24), glow=0.55))
        faces.append(shapes.inset(front, (left, right, *lamp), (240, 240, 226), glow=1.0))
    faces.append(shapes.inset(rear, (0.36, 0.64, 0.3, 0.46), (226, 226, 214)))
    faces.append(shapes.inset(front, (0.28, 0.72, 0.3, 0.56), (30, 32, 34)))
    faces += _bumpers(rear, front, paint)
    faces += _wheels(half, length, radius=0.33)
    return faces, width, length


def truck(generator: np.random.Generator) -> tuple[list[shapes.Face], float, float]:
    """Return a lorry or a van-like box truck: a cab and a load."""
    paint, load = shapes.paint(generator), (shapes.paint(generator) if generator.random() < 0.4 else (212, 212, 208))
    length, width, height = generator.uniform(6, 11), generator.uniform(2.2, 2.5), generator.uniform(2.8, 3.8)
    half, cab = width / 2, 1.9
    front_z = length / 2
    box_faces = shapes.block((-half, half), (0.9, height), (-length / 2, front_z - cab - 0.25), load)
    cab_faces = shapes.block(
        (-half * 0.96, half * 0.96),
        (0.45, height * generator.uniform(0.72, 0.92)),
        (front_z - cab, front_z),
        paint,
        taper=0.12,
    )
    frame = shapes.block((-half * 0.8, half * 0.8), (0.45, 0.95), (-length / 2 + 0.1, front_z - 0.3), (40, 40, 42))
    faces = [*frame, *box_faces, *cab_faces]
    front, rear = cab_faces[2], box_faces[0]
    faces.append(shapes.inset(front, (0.08, 0.92, 0.5, 0.86), shapes.GLASS))
    faces += [shapes.inset(cab_faces[i], (0.2, 0.8, 0.52, 0.84), shapes.GLASS) for i in (1, 3)]
    for left, right in ((0.05, 0.2), (0.8, 0.95)):
        faces.append(shapes.inset(front, (left, right, 0.08, 0.18), (240, 240, 226), glow=1.0))
        faces.append(shapes.inset(rear, (left, right, 0.0, 0.06), (186, 22, 24), glow=0.55))
    faces.append(shapes.inset(rear, (0.49, 0.51, 0.02, 0.98), (120, 120, 120)))
    faces += _wheels(half, length, radius=0.48)
    return faces, width, length


def bus(generator: np.random.Generator) -> tuple[list[shapes.Face], float, float]:
    """Return a city bus: one tall block with a strip of windows."""
    paint = shapes.paint(generator)
    length, width, height = generator.uniform(9, 12.5), 2.5, generator.uniform(2.9, 3.3)
    half = width / 2
    body = shapes.block((-half, half), (0.35, height), (-length / 2, length / 2), paint, taper=0.05)
    faces = list(body)
    for side in (body[1], body[3]):
        faces += [
            shapes.inset(side, (start, start + 0.105, 0.42, 0.82), shapes.GLASS) for start in np.linspace(0.03, 0.86, 8)
        ]
    rear, front = body[0], body[2]
    faces += [
        shapes.inset(front, (0.05, 0.95, 0.34, 0.86), shapes.GLASS),
        shapes.inset(rear, (0.12, 0.88, 0.5, 0.84), shapes.GLASS),
    ]
    faces.append(shapes.inset(front, (0.2, 0.8, 0.88, 0.97), (230, 180, 60), glow=0.4))
    for left, right in ((0.05, 0.18), (0.82, 0.95)):
        faces.append(shapes.inset(front, (left, right, 0.08, 0.17), (240, 240, 226), glow=1.0))
        faces.append(shapes.inset(rear, (left, right, 0.12, 0.26), (186, 22, 24), glow=0.55))
    faces += _wheels(half, length, radius=0.46)
    return faces, width, length


def _bumpers(rear: shapes.Face, front: shapes.Face, paint: shapes.Colour) -> list[shapes.Face]:
    dark = (paint[0] * 0.5, paint[1] * 0.5, paint[2] * 0.5)
    return [shapes.inset(face, (0.02, 0.98, 0.02, 0.2), dark) for face in (rear, front)]


def _wheels(half: float, length: float, *, radius: float) -> list[shapes.Face]:
    faces = []
    for side in (-1, 1):
        for place in (-0.31, 0.31):
            x, z = side * (half + 0.005), place * length
            faces.append(shapes.disc((x, radius, z), radius, shapes.RUBBER))
            faces.append(shapes.disc((x * 1.01, radius, z), radius * 0.55, (140, 142, 146)))
            faces += shapes.block(
                (min(x, x - side * 0.2), max(x, x - side * 0.2)),
                (0, radius),
                (z - radius * 0.7, z + radius * 0.7),
                shapes.RUBBER,
            )
    return faces


def person(generator: np.random.Generator, *, phase: float) -> tuple[list[shapes.Face], float, float]:
    """Return a walking person; ``phase`` in radians swings the limbs."""
    size = generator.uniform(0.9, 1.08)
    skin, coat, legs = (shapes.choice(generator, each) for each in (shapes.SKINS, shapes.CLOTHES, shapes.CLOTHES))
    faces = _figure(skin, coat, legs, phase)
    scaled = [dataclasses.replace(face, corners=face.corners * size) for face in faces]
    return scaled, 0.6 * size, 0.5 * size


def cyclist(generator: np.random.Generator, *, phase: float) -> tuple[list[shapes.Face], float, float]:
    """Return a bicycle with its rider."""
    frame = shapes.paint(generator)
    faces = _ring((0, 0.34, -0.52), 0.34) + _ring((0, 0.34, 0.52), 0.34)
    for (y0, z0), (y1, z1) in (
        ((0.34, -0.5), (0.8, -0.1)),
        ((0.34, -0.5), (0.85, 0.38)),
        ((0.8, -0.1), (0.85, 0.38)),
        ((0.34, 0.5), (1.0, 0.36)),
    ):
        faces.append(shapes.bar((0, y0, z0), (0, y1, z1), 0.045, frame))
    faces += shapes.block((-0.28, 0.28), (0.98, 1.02), (0.33, 0.38), shapes.RUBBER)
    skin, coat, legs = (shapes.choice(generator, each) for each in (shapes.SKINS, shapes.CLOTHES, shapes.CLOTHES))
    knee = 0.12 * np.sin(phase)
    for side in (-1, 1):
        faces += shapes.limb((0.1 * side, 0.92, -0.12), (0.12 * side, 0.42 + side * knee, 0.08), 0.08, legs)
        faces += shapes.limb((0.2 * side, 1.36, 0.08), (0.25 * side, 1.03, 0.36), 0.055, coat)
    faces += shapes.limb((0, 0.9, -0.15), (0, 1.45, 0.06), 0.2, coat)
    faces += shapes.block((-0.1, 0.1), (1.5, 1.74), (0.0, 0.22), skin, taper=0.03)
    if generator.random() < 0.6:
        faces += shapes.block((-0.12, 0.12), (1.68, 1.8), (-0.03, 0.24), shapes.paint(generator), taper=0.05)
    return faces, 0.6, 1.75


def motorcycle(generator: np.random.Generator, *, phase: float) -> tuple[list[shapes.Face], float, float]:
    """Return a motorcycle with its rider."""
    del phase
    paint = shapes.paint(generator)
    faces = [shapes.disc((0, 0.32, -0.7), 0.32, shapes.RUBBER), shapes.disc((0, 0.32, 0.7), 0.32, shapes.RUBBER)]
    faces += shapes.block((-0.1, 0.1), (0.25, 0.32), (-0.9, -0.5), shapes.RUBBER) + shapes.block(
        (-0.07, 0.07), (0.0, 0.64), (0.5, 0.9), shapes.RUBBER
    )
    faces += shapes.block((-0.07, 0.07), (0.0, 0.64), (-0.98, -0.44), shapes.RUBBER)
    faces += shapes.block((-0.2, 0.2), (0.35, 0.85), (-0.75, 0.5), paint, taper=0.08)
    faces += shapes.block((-0.36, 0.36), (1.0, 1.06), (0.4, 0.47), shapes.RUBBER)
    faces.append(
        shapes.Face(
            np.array([[-0.1, 0.72, 0.95], [0.1, 0.72, 0.95], [0.1, 0.92, 0.95], [-0.1, 0.92, 0.95]])[::-1],
            (240, 240, 226),
            1.0,
        )
    )
    faces.append(
        shapes.Face(
            np.array([[-0.1, 0.62, -1.0], [0.1, 0.62, -1.0], [0.1, 0.74, -1.0], [-0.1, 0.74, -1.0]]),
            (186, 22, 24),
            0.55,
        )
    )
    coat, legs = shapes.choice(generator, shapes.CLOTHES), shapes.choice(generator, shapes.CLOTHES)
    for side in (-1, 1):
        faces += shapes.limb((0.16 * side, 0.88, -0.25), (0.24 * side, 0.4, 0.05), 0.09, legs)
        faces += shapes.limb((0.22 * side, 1.36, -0.1), (0.3 * side, 1.05, 0.38), 0.06, coat)
    faces += shapes.limb((0, 0.86, -0.3), (0, 1.46, -0.08), 0.22, coat)
    faces += shapes.block((-0.14, 0.14), (1.46, 1.76), (-0.16, 0.16), shapes.paint(generator), taper=0.05)
    return faces, 0.75, 2.0


def _figure(skin: shapes.Colour, coat: shapes.Colour, legs: shapes.Colour, phase: float) -> list[shapes.Face]:
    swing = 0.24 * np.sin(phase)
    faces: list[shapes.Face] = []
    for side in (-1, 1):
        step = side * swing
        faces += shapes.limb((0.09 * side, 0.86, 0), (0.1 * side, 0.06, step), 0.085, legs)
        faces += shapes.block(
            (0.1 * side - 0.05, 0.1 * side + 0.05), (0, 0.09), (step - 0.08, step + 0.16), shapes.RUBBER
        )
        faces += shapes.limb((0.22 * side, 1.4, 0), (0.25 * side, 0.84, -step * 0.9), 0.06, coat)
    faces += shapes.block((-0.2, 0.2), (0.82, 1.45), (-0.12, 0.12), coat, taper=0.02)
    return [
        *faces,
        *shapes.block((-0.1, 0.1), (1.48, 1.74), (-0.1, 0.12), skin, taper=0.03),
        *shapes.block((-0.11, 0.11), (1.66, 1.77), (-0.13, 0.09), (50, 38, 30), taper=0.03),
    ]


def _ring(centre: tuple[float, float, float], radius: float) -> list[shapes.Face]:
    tyre, angles = 0.045, np.linspace(0, 2 * np.pi, 13)
    faces = []
    for first, second in itertools.pairwise(angles):
        corners = [
            (0.0, centre[1] + r * np.sin(t), centre[2] + r * np.cos(t))
            for t, r in ((first, radius), (second, radius), (second, radius - tyre), (first, radius - tyre))
        ]
        faces.append(shapes.Face(np.array(corners), shapes.RUBBER, two_sided=True))
    return [
        *faces,
        *shapes.block(
            (-0.02, 0.02), (centre[1] - radius, centre[1] + radius), (centre[2] - 0.02, centre[2] + 0.02), shapes.RUBBER
        ),
    ]
