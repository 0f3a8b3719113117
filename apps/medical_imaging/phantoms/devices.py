"""What lies on or in the patient and the film: letters, electrodes, lines, the bedside mark. No TensorFlow."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from apps.medical_imaging.phantoms import anatomy, canvas

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


def draw(devices: Devices, body: anatomy.Anatomy, frame: canvas.Frame) -> NDArray[np.float32]:
    """Return (size, size) float32 metal: 0 none, 1 as much as the densest device."""
    sheet = canvas.Sheet(frame.size)
    _draw_electrodes(sheet, devices, frame)
    for points, width, tone in _tubes(devices, body):
        sheet.path(frame.film(_curve(np.asarray(points))), width=width, tone=tone)
    if devices.pacemaker:
        sheet.disc(frame.film(np.array([0.42, body.apex + 0.18])).tolist(), radius=0.075, tone=0.4)
    _draw_letter(sheet, devices)
    if devices.mark:
        _draw_mark(sheet, devices)
    return sheet.read()


def _draw_electrodes(sheet: canvas.Sheet, devices: Devices, frame: canvas.Frame) -> None:
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


def _draw_letter(sheet: canvas.Sheet, devices: Devices) -> None:
    """Draw the lead letter upright, on the side that it names: the patient's left is on the right of the film."""
    across, down = devices.letter_at
    centre = np.array([across if devices.letter == "L" else -across, down])
    for stroke in _LETTERS[devices.letter]:
        points = centre + stroke * [0.8 * devices.letter_height, devices.letter_height]
        sheet.path(points, width=0.35 * devices.letter_height)


def _draw_mark(sheet: canvas.Sheet, devices: Devices) -> None:
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
