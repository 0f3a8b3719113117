"""From thickness to grey values: attenuation, scatter, quantum noise, and what the reading room's software does.

No TensorFlow.
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from apps.medical_imaging.phantoms import canvas

Array = NDArray[np.float32]

# Linear attenuation per cm at about 70 keV (NIST XCOM: water 0.19, cortical bone 0.5; here bone instead of tissue).
TISSUE = 0.19
BONE = 0.32
METAL = 6.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Exposure:
    """How one image was taken and processed.

    Attributes:
        quanta: Photons that reach a pixel of the open beam: more make less noise.
        scatter: Scattered share of the light behind the patient, in [0, 0.9].
        equalisation: Share of the coarse contrast that processing removes.
        window: Percentiles of the image that become black and white.
        gamma: Exponent of the display curve; above 1 darkens.
        shutters: Share of the film covered at left, top, right and bottom.
    """

    quanta: float
    scatter: float
    equalisation: float
    window: tuple[float, float]
    gamma: float
    shutters: tuple[float, float, float, float]


def expose(attenuation: Array, exposure: Exposure, random: np.random.Generator) -> NDArray[np.uint8]:
    """Return the (size, size) uint8 radiograph of a (size, size) float32 attenuation along each beam.

    Transmitted light is exp(-attenuation) (Beer-Lambert); scatter adds a blurred copy; the count of photons varies as
    its square root, the normal limit of the Poisson law.
    """
    primary = np.exp(-attenuation)
    spread = canvas.blurred(np.minimum(primary, np.float32(0.3)), 6)
    light = primary + spread * np.float32(exposure.scatter / (1 - exposure.scatter))
    # Noise is set per area of film, so that a finer grid of pixels is a noisier one, as in a detector.
    quanta = exposure.quanta * (128 / attenuation.shape[0]) ** 2
    light = light + np.sqrt(light / np.float32(quanta)) * random.standard_normal(light.shape, dtype=np.float32)
    return _display(-np.log(np.maximum(light, np.float32(2e-4))), exposure)


def _display(density: Array, exposure: Exposure) -> NDArray[np.uint8]:
    """Return grey values: dense parts white, coarse differences reduced, shutters black."""
    flat = density - np.float32(exposure.equalisation) * canvas.blurred(density, 5)
    part = _open_part(exposure, flat.shape[0])
    opened = flat[part]
    middle = opened[opened.shape[0] // 8 :, opened.shape[1] // 10 : -opened.shape[1] // 10]
    low, high = np.percentile(middle[::2, ::2], exposure.window)
    grey = np.clip((flat - np.float32(low)) / np.float32(high - low), 0, 1) ** np.float32(exposure.gamma)
    shown = np.zeros(grey.shape, dtype=np.uint8)
    shown[part] = np.rint(grey[part] * np.float32(255)).astype(np.uint8)
    return shown


def _open_part(exposure: Exposure, size: int) -> tuple[slice, slice]:
    """Return the rows and columns that the shutters leave open."""
    left, top, right, bottom = (round(share * size) for share in exposure.shutters)
    return slice(top, size - bottom), slice(left, size - right)
