"""People on foot, on bicycles and on motorcycles as coloured polygons in metres."""

import dataclasses
import itertools

import numpy as np

from apps.driving_perception.scenes import shapes


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
