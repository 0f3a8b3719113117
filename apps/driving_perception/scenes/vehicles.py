"""Cars, lorries and buses as coloured polygons in metres."""

import numpy as np

from apps.driving_perception.scenes import shapes


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
