"""What is no obstacle of ours: buildings, trees, signs, poles, cones, bins, hoardings, as coloured polygons."""

import numpy as np

from apps.driving_perception.scenes import shapes


def building(generator: np.random.Generator) -> tuple[list[shapes.Face], float, float]:
    """Return a house with rows of windows."""
    base = float(generator.uniform(90, 200))
    wall: shapes.Colour = (base, base * float(generator.uniform(0.82, 1.0)), base * float(generator.uniform(0.7, 0.98)))
    width, length, height = generator.uniform(8, 18), generator.uniform(10, 26), generator.uniform(5, 20)
    body = shapes.block((-width / 2, width / 2), (0, height), (-length / 2, length / 2), wall)
    floors, across = max(int(height / 3.2), 1), max(int(length / 3.5), 2)
    faces = list(body)
    lit = generator.random((floors, across)) < 0.3
    floor, place = (each.ravel() for each in np.mgrid[0:floors, 0:across])
    low, left = (floor + 0.3) / floors, (place + 0.25) / across
    windows = np.stack([left, left + 0.5 / across, low, low + 0.45 / floors], axis=1)
    for side in (body[0], body[1], body[3]):
        for corners, shines in zip(shapes.parts(side, windows), lit.ravel(), strict=True):
            faces.append(shapes.Face(corners, (206, 180, 120) if shines else (70, 78, 88), 0.35 if shines else 0.0))
    return faces, float(width), float(length)


def tree(generator: np.random.Generator) -> tuple[list[shapes.Face], float, float]:
    """Return a tree: a trunk and a crown of flat leaves."""
    height, crown = generator.uniform(4, 9), generator.uniform(1.3, 2.6)
    faces = shapes.block((-0.15, 0.15), (0, height * 0.5), (-0.15, 0.15), (74, 58, 44))
    green = generator.uniform(0.6, 1.2)
    for _ in range(9):
        radius = crown * float(generator.uniform(0.4, 0.75))
        # No leaves outside of the crown.
        across = float(np.clip(generator.normal(0, crown * 0.4), radius - crown, crown - radius))
        centre = (across, height * generator.uniform(0.45, 0.95), float(generator.normal(0, 0.3)))
        shade = green * generator.uniform(0.7, 1.15)
        faces.append(shapes.disc(centre, radius, (58 * shade, 84 * shade, 44 * shade), axis=2))
    return faces, float(2 * crown), float(2 * crown)


def distractor(generator: np.random.Generator) -> tuple[list[shapes.Face], float, float]:
    """Return what is no obstacle of ours: a sign, a pole, a cone, a bin, a hoarding with a picture of something."""
    kind = generator.choice(["sign", "pole", "cone", "bin", "hoarding"])
    if kind == "cone":
        return (
            [
                *shapes.block((-0.2, 0.2), (0, 0.04), (-0.2, 0.2), (200, 80, 20)),
                *shapes.block((-0.15, 0.15), (0.04, 0.7), (-0.15, 0.15), (226, 96, 28), taper=0.12),
            ],
            0.4,
            0.4,
        )
    if kind == "bin":
        return (
            shapes.block((-0.3, 0.3), (0, 1.05), (-0.35, 0.35), shapes.choice(generator, shapes.CLOTHES), taper=0.03),
            0.6,
            0.7,
        )
    if kind == "hoarding":
        board = shapes.block((-1.8, 1.8), (1.0, 3.4), (-0.1, 0.1), (220, 220, 214))
        return (
            [
                *shapes.block((-0.1, 0.1), (0, 1.0), (-0.1, 0.1), (90, 90, 92)),
                *board,
                shapes.inset(board[0], (0.2, 0.8, 0.2, 0.6), shapes.paint(generator)),
            ],
            3.6,
            0.2,
        )
    faces = shapes.block((-0.05, 0.05), (0, generator.uniform(2.4, 6.0)), (-0.05, 0.05), (110, 112, 116))
    if kind == "sign":
        faces.append(shapes.disc((0, 2.4, -0.07), 0.35, (190, 30, 30), axis=2))
        faces.append(shapes.disc((0, 2.4, -0.09), 0.26, (236, 236, 232), axis=2))
    return faces, 0.5, 0.2
