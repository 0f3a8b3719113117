"""One patient's soft parts as thickness in centimetres along the beam: body, lungs, heart, diaphragm. No TensorFlow.

The shapes are closed formulas of body coordinates (see ``imaging``), fitted by eye to radiographs, not to measured
anatomy.
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from apps.medical_imaging import simulator

Array = NDArray[np.float32]

# Share of a lung's volume that is air after a breath; the rest is blood and tissue.
AIR = 0.75

_LUNG_HEIGHT = 1.42
_WIDEST = 0.85
_CAGE_MARGIN = 0.025


@dataclasses.dataclass(frozen=True, kw_only=True)
class Anatomy:
    """What stays the same in all images of a patient. Lengths in body coordinates unless said otherwise.

    Attributes:
        half_width: Of the rib cage's inside where it is widest.
        apex: y of the top of the lungs.
        floor: y of the right diaphragm after a full breath.
        mediastinum: Half width of the mediastinum above the heart.
        heart: Half length of the heart.
        heart_tilt: Direction of the heart's long axis below the horizontal, in radians.
        knob: Radius of the aortic knob.
        hilum: Strength of hilar and lung vessels; 1 is average.
        thickness_cm: Of the body, front to back.
        wall: From the rib cage to the skin.
        breast_cm: Thickness of each breast, 0 in men.
        bone: Density of bone; 1 is average.
        bend: Sideways bend of the spine.
        rib_first: y where the first rib leaves the spine.
        rib_spacing: Between neighbouring ribs at the spine.
        rib_drop: From a rib's spinal to its sternal end, as a share of average.
        rib_widths: (14,) width of each rib; 1 is average.
    """

    half_width: float
    apex: float
    floor: float
    mediastinum: float
    heart: float
    heart_tilt: float
    knob: float
    hilum: float
    thickness_cm: float
    wall: float
    breast_cm: float
    bone: float
    bend: float
    rib_first: float
    rib_spacing: float
    rib_drop: float
    rib_widths: Array


@dataclasses.dataclass(frozen=True, kw_only=True)
class Posture:
    """How the patient stood, or lay, for one image.

    Attributes:
        view: "PA" or "AP". An AP image enlarges the heart and shows the shoulder blades over the lungs.
        inspiration: 1 is a full breath, 0 a shallow one.
        turn: Shift of what lies in front against what lies behind, in body coordinates.
    """

    view: str
    inspiration: float
    turn: float

    @property
    def enlargement(self) -> float:
        """Of what lies in front of the chest."""
        return 1.16 if self.view == "AP" else 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chest:
    """One chest on the film: (size, size) float32 arrays.

    Attributes:
        x: Body coordinate of each pixel, from the patient's right to the left.
        y: Body coordinate of each pixel, downwards.
        level: Height in the lungs: 0 at the apex, 1 at the deepest recess.
        side: x without sign.
        cage: Half width of the rib cage at each pixel's height.
        lung: Share of each pixel that shows lung free of heart, mediastinum and diaphragm, in [0, 1].
        air_cm: Thickness of lung.
        tissue_cm: Thickness of soft tissue, as if lungs were tissue too.
        pixel: Width of a pixel in body coordinates.
    """

    x: Array
    y: Array
    level: Array
    side: Array
    cage: Array
    lung: Array
    air_cm: Array
    tissue_cm: Array
    pixel: float


def edge(distance: Array, softness: float) -> Array:
    """Return 0 well outside (negative distance), 1 well inside, and a straight ramp 2 * softness wide between."""
    return np.asarray(np.clip(distance * np.float32(0.5 / softness) + np.float32(0.5), 0, 1))


def dome(radius_squared: Array) -> Array:
    """Return the relative thickness of an ellipsoid at a squared relative distance from its centre, in [0, 1]."""
    return np.asarray(np.sqrt(np.clip(1 - radius_squared, 0, 1)))


def place(anatomy: Anatomy, *, right_side: bool, level: float, lateral: float) -> tuple[float, float]:
    """Return x, y of a point in a lung: ``level`` 0 (apex) to 1, ``lateral`` 0 (spine) to 1 (chest wall)."""
    outer = float(_outer(anatomy, np.array(level, dtype=np.float32)))
    x = lateral * outer
    return (-x if right_side else x), anatomy.apex + level * _LUNG_HEIGHT


def chest(anatomy: Anatomy, posture: Posture, frame: simulator.Frame) -> Chest:
    """Return the thickness of everything soft on every pixel."""
    x, y = frame.body()
    side = np.abs(x)
    level = (y - np.float32(anatomy.apex)) / np.float32(_LUNG_HEIGHT)
    outer = _outer(anatomy, level)
    soft = max(0.012, 0.7 * frame.pixel)
    above = _diaphragm(anatomy, posture, x, side) - y
    field = edge(np.minimum(outer - side, level * 2), soft)
    middle = _mediastinum(anatomy, posture, x, y, level)
    heart_cm, heart = _heart(anatomy, posture, x, y)
    lung = field * edge(above, soft) * (1 - middle) * (1 - heart)
    air = _air(anatomy, field, above, soft, outer=outer, side=side, level=level)
    air = np.maximum(air * (1 - 0.92 * middle) - heart_cm, 0.12 * air * (1 - 0.75 * heart))
    tissue = _body(anatomy, posture, x, y, side)
    return Chest(
        x=x,
        y=y,
        level=level,
        side=side,
        cage=outer + np.float32(_CAGE_MARGIN),
        lung=lung,
        air_cm=air + _windpipe(posture, x, y, anatomy) + _stomach(anatomy, x, y, above),
        tissue_cm=tissue,
        pixel=frame.pixel,
    )


def _outer(anatomy: Anatomy, level: Array) -> Array:
    """Return the half width of the rib cage's inside: a dome on nearly straight walls."""
    apex_half_width = np.float32(0.33 * anatomy.half_width)
    rise = 1 - np.clip(level / np.float32(_WIDEST), 0, 1)
    curve = np.sqrt(1 - rise ** np.float32(2.3))
    narrowing = np.float32(0.06) * np.clip(level - np.float32(_WIDEST), 0, 1)
    return np.asarray(apex_half_width + (np.float32(anatomy.half_width) - apex_half_width) * curve - narrowing)


def _diaphragm(anatomy: Anatomy, posture: Posture, x: Array, side: Array) -> Array:
    """Return y of the diaphragm above each pixel: a dome on each side, the right one higher."""
    top = anatomy.floor - 0.2 * (1 - posture.inspiration)
    across = (side - np.float32(0.45 * anatomy.half_width)) / np.float32(0.55 * anatomy.half_width)
    fall = np.float32(0.11) * across**2 + np.float32(0.16) * np.clip(across, 0, 2) ** 4
    return np.asarray(np.float32(top) + fall + np.float32(0.05) * (x > 0))


def _mediastinum(anatomy: Anatomy, posture: Posture, x: Array, y: Array, level: Array) -> Array:
    """Return the share of each pixel behind the mediastinum with the aortic knob, in [0, 1]."""
    centre = x - np.float32(0.5 * posture.turn)
    # The lungs' tops lean away from the neck.
    lean = np.float32(0.13) * np.clip(1 - level / np.float32(0.2), 0, 1) ** 2
    half = np.float32(anatomy.mediastinum * posture.enlargement) + lean
    band = half - np.abs(centre) + np.float32(0.012) * np.sin(9 * y)
    knob_y = anatomy.apex + 0.36
    knob = anatomy.knob - np.hypot(centre - np.float32(0.8 * anatomy.mediastinum), (y - knob_y) * np.float32(0.8))
    trunk = 0.07 - np.hypot(centre - np.float32(anatomy.mediastinum), (y - knob_y - 0.17) * np.float32(0.6))
    return edge(np.maximum(np.maximum(band, knob), trunk), 0.022)


def _heart(anatomy: Anatomy, posture: Posture, x: Array, y: Array) -> tuple[Array, Array]:
    """Return thickness in cm and share of each pixel of the heart, whose tip points to the patient's left."""
    length = anatomy.heart * posture.enlargement * (1.07 - 0.07 * posture.inspiration)
    top = anatomy.floor - 0.2 * (1 - posture.inspiration)
    across = x - np.float32(0.36 * length + posture.turn)
    down = y - np.float32(top - 0.4 * length)
    cosine, sine = np.float32(np.cos(anatomy.heart_tilt)), np.float32(np.sin(anatomy.heart_tilt))
    along = (cosine * across + sine * down) / np.float32(length)
    beside = (cosine * down - sine * across) / np.float32(0.78 * length)
    left = along**2 + beside**2
    atrium_across = (across + np.float32(0.42 * length)) / np.float32(0.46 * length)
    squared = np.minimum(left, atrium_across**2 + (down / np.float32(0.75 * length)) ** 2)
    return np.float32(9.5) * dome(squared), edge(1 - squared, 0.09)


def _air(
    anatomy: Anatomy, field: Array, above: Array, soft: float, *, outer: Array, side: Array, level: Array
) -> Array:
    """Return the thickness of lung as if there were no heart: thin at the apex and towards the chest wall."""
    depth = np.float32(0.62 * anatomy.thickness_cm) * np.sqrt(dome((side / outer) ** 2))
    depth = depth * (np.float32(0.62) + np.float32(0.38) * np.clip(level * 2, 0, 1))
    # Lung reaches down behind the dome of the diaphragm, ever thinner.
    behind = np.float32(0.28) * np.exp(np.minimum(above, 0) * np.float32(9))
    return np.asarray(depth * field * np.maximum(edge(above, soft), behind))


def _windpipe(posture: Posture, x: Array, y: Array, anatomy: Anatomy) -> Array:
    """Return the thickness of air in the trachea and the two main bronchi."""
    carina = anatomy.apex + 0.46
    below = np.clip(y - np.float32(carina), 0, 1)
    centre = np.abs(x - np.float32(0.35 * posture.turn) + np.float32(0.012)) - below * np.float32(0.9)
    tube = dome((centre / np.float32(0.036)) ** 2)
    return np.asarray(np.float32(1.7) * tube * np.clip(1 - below * np.float32(7), 0, 1))


def _stomach(anatomy: Anatomy, x: Array, y: Array, above: Array) -> Array:
    """Return the thickness of the air bubble under the left diaphragm."""
    across = (x - np.float32(0.5 * anatomy.half_width)) / np.float32(0.17)
    down = (y - np.float32(anatomy.floor + 0.16)) / np.float32(0.09)
    return np.asarray(np.float32(1.8) * dome(across**2 + down**2) * (above < -0.03))


def _body(anatomy: Anatomy, posture: Posture, x: Array, y: Array, side: Array) -> Array:
    """Return the thickness of the whole body: trunk, neck, shoulders and breasts."""
    shoulder = np.float32(0.75) * np.clip((np.float32(-0.1) - y) * 1.4, 0, 1) ** 2
    waist = np.float32(anatomy.half_width + anatomy.wall)
    trunk = np.sqrt(dome((side / (waist + shoulder)) ** 2))
    line = np.float32(anatomy.apex - 0.3) + np.float32(0.34) * np.clip(side - np.float32(0.24), 0, 2)
    neck = edge(np.maximum(y - line, np.float32(0.24) - side), 0.05)
    depth = np.float32(anatomy.thickness_cm) * (np.float32(0.84) + np.float32(0.2) * np.clip(y + 0.6, 0, 1.4))
    return np.asarray(depth * trunk * neck + _breasts(anatomy, posture, x, y))


def _breasts(anatomy: Anatomy, posture: Posture, x: Array, y: Array) -> Array:
    """Return the thickness of both breasts, whose lower fold is their sharpest edge."""
    if not anatomy.breast_cm:
        return np.zeros_like(x)
    across = (np.abs(x - np.float32(posture.turn)) - np.float32(0.6 * anatomy.half_width)) / np.float32(0.34)
    down = (y - np.float32(0.2)) / np.where(y > 0.2, np.float32(0.2), np.float32(0.42))
    return np.asarray(np.float32(anatomy.breast_cm) * dome(across**2 + down**2))
