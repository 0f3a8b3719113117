"""Bones as thickness in centimetres along the beam, and the vessels of the lungs, drawn line by line. No TensorFlow.

A rib is half an ellipse seen from the front: from the spine outwards and down its back half, and from the wall inwards
and further down its front half. All ribs are parallel, so a pixel's rib is found from one field and no loop is needed.
Vessels are a tree on each side that branches from the hilum.
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from apps.medical_imaging import simulator
from apps.medical_imaging.simulator import anatomy

Array = NDArray[np.float32]

_RIBS = 12


_STEMS = 9
_GENERATIONS = 4
_HILUM_LEVEL = 0.42


def bones(body: anatomy.Anatomy, posture: anatomy.Posture, chest: anatomy.Chest, frame: simulator.Frame) -> Array:
    """Return (size, size) float32 thickness of bone in cm."""
    whole = _ribs(body, chest) + _spine(body, chest) + _clavicles(body, posture, chest)
    return np.asarray((whole + _shoulders(body, posture, frame)) * np.float32(body.bone))


def _ribs(body: anatomy.Anatomy, chest: anatomy.Chest) -> Array:
    """Return the thickness of both halves of all ribs."""
    outward = np.clip(chest.side / chest.cage, 0, 1)
    depth = np.sqrt(1 - np.minimum(outward, np.float32(0.9995)) ** 2)
    # Lower ribs hang lower.
    drop = np.float32(0.5 * body.rib_drop) * (np.float32(0.55) + np.float32(0.5) * np.clip(chest.level, 0, 1.3))
    start = chest.y - np.float32(body.rib_first)
    slope = 0.5 * drop * outward / (depth * chest.cage)
    # Near the wall a rib runs along the beam, and the beam passes through more of it.
    path = np.minimum(np.sqrt(1 + (np.float32(1.6) * outward / depth) ** 2), 2.4)
    inside = anatomy.edge(chest.cage - chest.side, 0.01) * anatomy.edge(chest.level - np.float32(0.02), 0.02)
    # Below the lungs ribs are shorter and lie deeper in the body.
    inside = inside * (1 - np.float32(0.6) * np.clip((chest.level - np.float32(0.75)) * 4, 0, 1))
    back = _band(start - 0.5 * drop * (1 - depth), slope, body, chest.pixel)
    front = _band(start - 0.5 * drop * (1 + depth), slope, body, chest.pixel)
    bony = np.clip((outward - np.float32(0.42)) * 5, 0, 1)
    spinal = np.clip((outward - np.float32(0.06)) * 12, 0, 1)
    return np.asarray(inside * path * (np.float32(0.62) * back * spinal + np.float32(0.36) * front * bony))


def _band(fall: Array, slope: Array, body: anatomy.Anatomy, pixel: float) -> Array:
    """Return the relative thickness of parallel ribs, given how far each pixel lies below the first, in [0, 1.3]."""
    phase = fall / np.float32(body.rib_spacing)
    number = np.floor(phase + np.float32(0.5))
    rib = np.clip(number, 0, body.rib_widths.size - 1).astype(np.int64)
    half = np.float32(0.25 * body.rib_spacing) * body.rib_widths[rib]
    off = np.abs(phase - number) * np.float32(body.rib_spacing) / np.sqrt(1 + slope**2)
    soft = max(0.008, 0.6 * pixel)
    filled = anatomy.edge(half - off, soft)
    # The dense shell makes the edges brighter than the marrow.
    shell = np.clip(1 - np.abs(off - half * np.float32(0.8)) / np.float32(max(0.012, pixel)), 0, 1)
    return np.asarray(filled * (np.float32(0.7) + np.float32(0.6) * shell) * ((number >= 0) & (number < _RIBS)))


def _spine(body: anatomy.Anatomy, chest: anatomy.Chest) -> Array:
    """Return the thickness of the vertebrae with discs, pedicles and spinous processes."""
    off = chest.x - np.float32(body.bend) * np.sin(np.float32(2.4) * chest.y + np.float32(body.bend * 40))
    half = np.float32(0.085) + np.float32(0.02) * chest.y
    column = anatomy.edge(half - np.abs(off), 0.014)
    phase = (chest.y - np.float32(body.rib_first)) / np.float32(body.rib_spacing)
    middle = np.abs(phase - np.floor(phase) - np.float32(0.5))
    disc = np.clip((middle - np.float32(0.36)) * 9, 0, 1)
    edges = np.clip(1 - np.abs(np.abs(off) - half * np.float32(0.85)) * np.float32(60), 0, 1)
    process = np.clip(1 - (off / np.float32(0.018)) ** 2 - ((middle - 0.1) * np.float32(3.5)) ** 2, 0, 1)
    return np.asarray(column * (np.float32(1.25) - np.float32(0.6) * disc + np.float32(0.3) * edges) + 0.6 * process)


def _clavicles(body: anatomy.Anatomy, posture: anatomy.Posture, chest: anatomy.Chest) -> Array:
    """Return the thickness of both clavicles: S-shaped bars over the lungs' tops, higher in an AP image."""
    side = np.abs(chest.x - np.float32(posture.turn))
    raised = 0.07 if posture.view == "AP" else 0.0
    reach = side / np.float32(body.half_width)
    line = np.float32(body.apex + 0.23 - raised) - np.float32(0.25) * reach
    line = line - np.float32(0.024) * np.sin(np.float32(5.2) * reach - np.float32(0.4))
    half = np.float32(0.03) + np.float32(0.012) * (2 * reach - 1) ** 2
    off = np.abs(chest.y - line)
    length = anatomy.edge(side - np.float32(0.075), 0.015) * anatomy.edge(np.float32(1.15) - reach, 0.03)
    shell = np.clip(1 - np.abs(off - half * np.float32(0.75)) / np.float32(max(0.014, chest.pixel)), 0, 1)
    return np.asarray(length * anatomy.edge(half - off, max(0.01, chest.pixel)) * (np.float32(1.0) + 0.5 * shell))


def _shoulders(body: anatomy.Anatomy, posture: anatomy.Posture, frame: simulator.Frame) -> Array:
    """Return the thickness of shoulder blades and upper arms; arms rolled forward (PA) turn the blades outwards."""
    sheet = simulator.Sheet(frame.size)
    outwards = 0.04 if posture.view == "AP" else 0.2
    blade = np.array([(0.62, 0.02), (0.84, 0.1), (0.8, 0.34), (0.6, 0.82), (0.52, 0.78), (0.56, 0.4)])
    rim = np.array([(0.64, 0.04), (0.56, 0.4), (0.53, 0.77), (0.6, 0.82), (0.8, 0.34)])
    arm = np.array([(0.98, 0.02), (1.1, 0.0), (1.22, 0.5), (1.1, 0.52)])
    scale = np.array([body.half_width / 0.7, 1.0])
    for sign in (-1, 1):
        move = np.array([outwards, body.apex])
        mirror = np.array([sign, 1])
        sheet.polygon(frame.film((blade * scale + move) * mirror), tone=0.3)
        sheet.path(frame.film((rim * scale + move) * mirror), width=0.022, tone=0.55)
        sheet.polygon(frame.film((arm * scale + [0.0, body.apex]) * mirror), tone=0.8)
        sheet.disc(frame.film((np.array([0.98, 0.08]) * scale + [0.0, body.apex]) * mirror).tolist(), radius=0.11)
    return sheet.read(softness=0.012) * np.float32(1.1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tree:
    """Pieces of vessel, each a bent line, in body coordinates.

    Attributes:
        pieces: (n, 3, 2) points of each piece.
        widths: (n,) width of each piece.
    """

    pieces: NDArray[np.float64]
    widths: NDArray[np.float64]


def grow_vessels(random: np.random.Generator, body: anatomy.Anatomy) -> Tree:
    """Grow the vessels of both lungs of one patient."""
    sides = [_grow_side(random, body, right_side=right_side) for right_side in (True, False)]
    return Tree(
        pieces=np.concatenate([side.pieces for side in sides]), widths=np.concatenate([side.widths for side in sides])
    )


def draw_vessels(tree: Tree, frame: simulator.Frame) -> NDArray[np.float32]:
    """Return (size, size) float32 thickness of vessels in cm, drawn over lung or not."""
    sheet = simulator.Sheet(frame.size)
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
