"""Consolidations, graded from plain to hardly visible; and letters, electrodes, lines and marks. No TensorFlow.

A consolidation is a patch of lung whose air gave way to fluid.
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from apps.medical_imaging import simulator
from apps.medical_imaging.simulator import anatomy

Array = NDArray[np.float32]

# Thickness of fluid at the centre of the plainest and of the subtlest opacity. A rib adds as much as 1 to 2 cm.
_PLAIN_CM = 7.0
_SUBTLE_CM = 1.7

# A pixel belongs to the mask where the patch has this share of its thickness at the centre.
_MASK_SHARE = 0.15


_ARC = np.linspace(-np.pi / 2, np.pi / 2, 9)
_LETTERS = {
    "L": [np.array([(-0.5, -1.0), (-0.5, 1.0), (0.6, 1.0)])],
    "R": [
        np.array([(-0.5, 1.0), (-0.5, -1.0), (0.0, -1.0)]),
        np.stack([0.1 + 0.5 * np.cos(_ARC), -0.5 + 0.5 * np.sin(_ARC)], axis=1),
        np.array([(0.1, -1.0), (-0.1, -1.0)]),
        np.array([(0.1, 0.0), (-0.5, 0.0)]),
        np.array([(0.0, 0.0), (0.6, 1.0)]),
    ],
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Patch:
    """One opacity, in terms of the lung it lies in, so that it stays in its place from image to image.

    Attributes:
        right_side: In the patient's right lung, which is on the left of the film.
        level: Height: 0 at the apex, 1 at the base.
        lateral: 0 at the spine, 1 at the chest wall.
        radius: In body coordinates.
        elongation: Ratio of its long to its short axis.
        radians: Direction of the long axis.
    """

    right_side: bool
    level: float
    lateral: float
    radius: float
    elongation: float
    radians: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Opacity:
    """What one image shows.

    Attributes:
        fluid_cm: (size, size) float32 thickness of fluid instead of air.
        mask: (size, size) bool, where it is.
        boxes: (patches, 4) float32 left, top, right, bottom of each patch, in fractions of the side.
    """

    fluid_cm: Array
    mask: NDArray[np.bool_]
    boxes: Array


def random_patch(random: np.random.Generator) -> Patch:
    """Draw a patch; lower parts of the lungs are hit more often, as in pneumonia."""
    return Patch(
        right_side=bool(random.random() < 0.55),
        level=float(random.triangular(0.12, 0.7, 0.85)),
        lateral=float(random.uniform(0.3, 0.85)),
        radius=float(random.uniform(0.17, 0.33)),
        elongation=float(random.uniform(1.0, 1.8)),
        radians=float(random.uniform(0, np.pi)),
    )


def none(size: int) -> Opacity:
    """Return a healthy image's empty opacity."""
    return Opacity(
        fluid_cm=np.zeros((size, size), dtype=np.float32),
        mask=np.zeros((size, size), dtype=bool),
        boxes=np.zeros((0, 4), dtype=np.float32),
    )


def draw_opacity(
    patches: list[Patch],
    body: anatomy.Anatomy,
    chest: anatomy.Chest,
    *,
    subtlety: float,
    random: np.random.Generator,
) -> Opacity:
    """Return the opacity that patches make in a chest.

    Args:
        patches: At least one.
        body: The patient.
        chest: What ``anatomy.chest`` made of the patient.
        subtlety: 0 plain to 1 hardly visible: less fluid, and smaller patches.
        random: Draws the texture.
    """
    size = chest.x.shape[0]
    empty, boxes = none(size), []
    total, mask = empty.fluid_cm, empty.mask
    fluid = _PLAIN_CM * (_SUBTLE_CM / _PLAIN_CM) ** subtlety
    for patch in patches:
        share = _share(patch, body, chest, shrink=1.1 - 0.3 * subtlety, random=random)
        part = (share > _MASK_SHARE) & (chest.lung > 0.5)
        total, mask = np.maximum(total, share), mask | part
        boxes.append(_box(part))
    # No more fluid than there was room for: a full opacity is as white as the heart, not whiter.
    room = np.float32(anatomy.AIR) * chest.air_cm
    return Opacity(fluid_cm=np.minimum(total * np.float32(fluid), room), mask=mask, boxes=np.stack(boxes))


def _share(
    patch: Patch, body: anatomy.Anatomy, chest: anatomy.Chest, *, shrink: float, random: np.random.Generator
) -> Array:
    """Return (size, size) thickness of a patch relative to its centre: ragged at its border, and only in the lung."""
    x, y = anatomy.place(body, right_side=patch.right_side, level=patch.level, lateral=patch.lateral)
    row, column = _nearest_lung(chest, x, y, right_side=patch.right_side)
    across, down = chest.x - chest.x[row, column], chest.y - chest.y[row, column]
    cosine, sine = np.float32(np.cos(patch.radians)), np.float32(np.sin(patch.radians))
    stretch = np.float32(np.sqrt(patch.elongation))
    along, beside = (cosine * across + sine * down) / stretch, (cosine * down - sine * across) * stretch
    distance = np.sqrt(along**2 + beside**2) / np.float32(patch.radius * shrink)
    size = chest.x.shape[0]
    coarse, fine = simulator.smooth_noise(random, size, 9), simulator.smooth_noise(random, size, 28)
    ragged = distance * (1 + np.float32(0.22) * np.clip(coarse, -1.2, 2))
    profile = np.clip(np.float32(1.8) * (1 - ragged**2), 0, 1)
    return np.asarray(profile * (1 + np.float32(0.32) * np.clip(fine, -2, 2)) * np.minimum(2 * chest.lung, 1))


def _nearest_lung(chest: anatomy.Chest, x: float, y: float, *, right_side: bool) -> tuple[int, int]:
    """Return the pixel deep in the named lung that is nearest to a point, which the heart or diaphragm may hide."""
    away = (chest.x - np.float32(x)) ** 2 + (chest.y - np.float32(y)) ** 2
    hidden = (chest.lung < 0.95) | ((chest.x < 0) != right_side)
    row, column = np.unravel_index(int(np.argmin(away + np.float32(100) * hidden)), away.shape)
    return int(row), int(column)


def _box(mask: NDArray[np.bool_]) -> Array:
    """Return (4,) left, top, right, bottom of the pixels in a mask, in fractions of the side."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    edges = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], dtype=np.float32)
    return np.asarray(edges / np.float32(mask.shape[0]))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Devices:
    """What one image shows besides the patient.

    Attributes:
        letter: "L" or "R": the patient's side on which it stands.
        letter_height: Half its height, in film coordinates.
        letter_at: Its distance from the film's centre across, and its y, in film coordinates.
        electrodes: (n, 2) electrodes on the chest, in body coordinates.
        line: A central venous line from the neck to the heart.
        tube: A tracheal tube.
        pacemaker: A pacemaker under the left clavicle with its lead.
        mark: The bedside mark: a ring with a dot, outside the lungs, that a setting may tie to the label.
        mark_at: Its place in film coordinates.
    """

    letter: str
    letter_height: float
    letter_at: tuple[float, float]
    electrodes: NDArray[np.float64]
    line: bool
    tube: bool
    pacemaker: bool
    mark: bool
    mark_at: tuple[float, float]


def draw_devices(devices: Devices, body: anatomy.Anatomy, frame: simulator.Frame) -> NDArray[np.float32]:
    """Return (size, size) float32 metal: 0 none, 1 as much as the densest device."""
    sheet = simulator.Sheet(frame.size)
    _draw_electrodes(sheet, devices, frame)
    for points, width, tone in _tubes(devices, body):
        sheet.path(frame.film(_curve(np.asarray(points))), width=width, tone=tone)
    if devices.pacemaker:
        sheet.disc(frame.film(np.array([0.42, body.apex + 0.18])).tolist(), radius=0.075, tone=0.4)
    _draw_letter(sheet, devices)
    if devices.mark:
        _draw_mark(sheet, devices)
    return sheet.read()


def _draw_electrodes(sheet: simulator.Sheet, devices: Devices, frame: simulator.Frame) -> None:
    """Draw each electrode with a wire that hangs to the side of the film."""
    for x, y in devices.electrodes.tolist():
        wire = np.array([(x, y), (1.2 * x, y + 0.25), (1.8 * x, y + 0.3), (2.6 * x, y + 0.75)])
        sheet.path(frame.film(_curve(wire)), width=0.011, tone=0.14)
        sheet.disc(frame.film(np.array([x, y])).tolist(), radius=0.032, tone=0.1)
        sheet.disc(frame.film(np.array([x, y])).tolist(), radius=0.014, tone=0.25)


def _tubes(devices: Devices, body: anatomy.Anatomy) -> list[tuple[list[tuple[float, float]], float, float]]:
    """Return corners in body coordinates, width and tone of every tube, line and lead."""
    top = body.apex
    found: list[tuple[list[tuple[float, float]], float, float]] = []
    if devices.line:
        corners = [(-0.3, top - 0.3), (-0.24, top - 0.05), (-0.12, top + 0.15), (-0.1, top + 0.45), (-0.1, top + 0.62)]
        found.append((corners, 0.016, 0.13))
    if devices.tube:
        found.append(([(0.02, top - 0.4), (-0.01, top - 0.1), (-0.01, top + 0.1), (0.0, top + 0.3)], 0.03, 0.08))
    if devices.pacemaker:
        corners = [
            (0.42, top + 0.16),
            (0.2, top + 0.08),
            (-0.06, top + 0.3),
            (-0.08, top + 0.7),
            (0.2, body.floor - 0.05),
        ]
        found.append((corners, 0.016, 0.3))
    return found


def _draw_letter(sheet: simulator.Sheet, devices: Devices) -> None:
    """Draw the lead letter upright, on the side that it names: the patient's left is on the right of the film."""
    across, down = devices.letter_at
    centre = np.array([across if devices.letter == "L" else -across, down])
    for stroke in _LETTERS[devices.letter]:
        points = centre + stroke * [0.8 * devices.letter_height, devices.letter_height]
        sheet.path(points, width=0.35 * devices.letter_height)


def _draw_mark(sheet: simulator.Sheet, devices: Devices) -> None:
    """Draw the bedside mark."""
    around = np.linspace(0, 2 * np.pi, 25)
    ring = np.asarray(devices.mark_at) + 0.055 * np.stack([np.cos(around), np.sin(around)], axis=1)
    sheet.path(ring, width=0.026)
    sheet.disc(devices.mark_at, radius=0.018)


def _curve(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a smooth line near (n, 2) corners: Chaikin's corner cutting (1974), three times."""
    for _ in range(3):
        near, far = 0.75 * corners[:-1] + 0.25 * corners[1:], 0.25 * corners[:-1] + 0.75 * corners[1:]
        inner = np.stack([near, far], axis=1).reshape(-1, 2)
        corners = np.concatenate([corners[:1], inner, corners[-1:]])
    return corners
