"""Vessels of the lungs: a tree on each side that branches from the hilum, drawn line by line. No TensorFlow."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from apps.medical_imaging.phantoms import anatomy, canvas

_STEMS = 9
_GENERATIONS = 4
_HILUM_LEVEL = 0.42


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tree:
    """Pieces of vessel, each a bent line, in body coordinates.

    Attributes:
        pieces: (n, 3, 2) points of each piece.
        widths: (n,) width of each piece.
    """

    pieces: NDArray[np.float64]
    widths: NDArray[np.float64]


def grow(random: np.random.Generator, body: anatomy.Anatomy) -> Tree:
    """Grow the vessels of both lungs of one patient."""
    sides = [_grow_side(random, body, right_side=right_side) for right_side in (True, False)]
    return Tree(
        pieces=np.concatenate([side.pieces for side in sides]), widths=np.concatenate([side.widths for side in sides])
    )


def draw(tree: Tree, frame: canvas.Frame) -> NDArray[np.float32]:
    """Return (size, size) float32 thickness of vessels in cm, drawn over lung or not."""
    sheet = canvas.Sheet(frame.size)
    tones = np.clip(tree.widths / 0.05, 0.2, 1.0)
    # Wide vessels last: they are not interrupted by the narrow ones that they cross.
    order = np.argsort(tree.widths, kind="stable")
    sheet.paths(frame.film(tree.pieces)[order], tree.widths[order] * frame.scale, tones[order])
    return sheet.read(softness=0.005) * np.float32(1.9)


def _grow_side(random: np.random.Generator, body: anatomy.Anatomy, *, right_side: bool) -> Tree:
    """Grow one side: stems that fan out from the hilum and fork at the end of every piece."""
    hilum = anatomy.place(body, right_side=right_side, level=_HILUM_LEVEL - 0.02 * (not right_side), lateral=0.2)
    angles = np.linspace(-1.35, 1.3, _STEMS) + random.normal(0, 0.12, _STEMS)
    points = np.tile(np.asarray(hilum), (_STEMS, 1)) + random.normal(0, 0.02, (_STEMS, 2))
    # Blood sinks: vessels of the lower lobes are wider.
    widths = 0.042 * body.hilum * (1 + 0.22 * np.sin(angles)) * random.uniform(0.75, 1.2, _STEMS)
    lengths = np.full(_STEMS, 0.125)
    pieces, all_widths = [], []
    for _ in range(_GENERATIONS):
        for _ in range(2):
            bent = angles + random.normal(0, 0.3, angles.size)
            middle = points + 0.5 * lengths[:, None] * _direction(angles, right_side)
            targets = middle + 0.5 * lengths[:, None] * _direction(bent, right_side)
            pieces.append(np.stack([points, middle, targets], axis=1))
            all_widths.append(widths)
            points, angles, widths = targets, bent, widths * 0.86
        points, lengths, widths = np.repeat(points, 2, 0), np.repeat(lengths, 2) * 0.72, np.repeat(widths, 2) * 0.76
        angles = np.repeat(angles, 2) + np.tile([-1.0, 1.0], angles.size) * random.uniform(0.2, 0.6, 2 * angles.size)
    return Tree(pieces=np.concatenate(pieces), widths=np.concatenate(all_widths))


def _direction(angles: NDArray[np.float64], right_side: bool) -> NDArray[np.float64]:
    """Return (n, 2) unit vectors; angle 0 points to the chest wall, a positive one downwards."""
    outwards = -1.0 if right_side else 1.0
    return np.stack([outwards * np.cos(angles), 1.15 * np.sin(angles)], axis=1)
