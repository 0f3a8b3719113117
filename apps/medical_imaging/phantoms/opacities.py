"""Consolidations: patches of lung whose air gave way to fluid, graded from plain to hardly visible. No TensorFlow."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from apps.medical_imaging.phantoms import anatomy, canvas

Array = NDArray[np.float32]

# Thickness of fluid at the centre of the plainest and of the subtlest opacity. A rib adds as much as 1 to 2 cm.
_PLAIN_CM = 7.0
_SUBTLE_CM = 1.7

# A pixel belongs to the mask where the patch has this share of its thickness at the centre.
_MASK_SHARE = 0.15


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


def render(
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
    coarse, fine = canvas.smooth_noise(random, size, 9), canvas.smooth_noise(random, size, 28)
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
