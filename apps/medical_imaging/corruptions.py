"""Images made worse on purpose, as other tubes, detectors and archives make them, to see how the predictions hold.

The kinds are those of MedMNIST-C that a radiograph meets (Di Salvo et al. 2024, https://arxiv.org/abs/2406.17536);
each has five levels, the mildest first. No TensorFlow here.
"""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

Squares = npt.NDArray[np.uint8]
LEVELS = 5


def apply(kind: str, level: int, squares: Squares, *, seed: int) -> Squares:
    """Return the images (n, size, size, channels), corrupted.

    Args:
        kind: One of ``KINDS``.
        level: 0 to 4.
        squares: What the network reads.
        seed: Of the noise.
    """
    grey = squares.astype(np.float32) / 255.0
    worse = KINDS[kind](grey, level, np.random.default_rng((seed, level)))
    rounded: Squares = np.round(np.clip(worse, 0, 1) * 255).astype(np.uint8)
    return rounded


def _noise(grey: Any, level: int, generator: np.random.Generator) -> Any:
    return grey + generator.normal(0, (0.02, 0.04, 0.07, 0.12, 0.2)[level], grey.shape).astype(np.float32)


def _blur(grey: Any, level: int, _generator: np.random.Generator) -> Any:
    width = (0.005, 0.008, 0.012, 0.018, 0.027)[level] * grey.shape[1]
    return ndimage.gaussian_filter(grey, (0, width, width, 0))


def _low_contrast(grey: Any, level: int, _generator: np.random.Generator) -> Any:
    mean = grey.mean(axis=(1, 2, 3), keepdims=True)
    return (grey - mean) * (0.8, 0.65, 0.5, 0.35, 0.2)[level] + mean


def _overexposed(grey: Any, level: int, _generator: np.random.Generator) -> Any:
    return grey ** (1.2, 1.5, 1.9, 2.5, 3.2)[level]


def _underexposed(grey: Any, level: int, _generator: np.random.Generator) -> Any:
    return grey ** (0.85, 0.7, 0.55, 0.4, 0.3)[level]


def _rotated(grey: Any, level: int, _generator: np.random.Generator) -> Any:
    return ndimage.rotate(grey, (3, 6, 10, 16, 25)[level], axes=(1, 2), reshape=False, order=1, mode="reflect")


def _compressed(grey: Any, level: int, _generator: np.random.Generator) -> Any:
    quality = (50, 30, 18, 10, 6)[level]
    return np.stack([_jpeg(np.round(image * 255).astype(np.uint8), quality) for image in grey]) / np.float32(255)


def _jpeg(image: Squares, quality: int) -> Squares:
    buffer = io.BytesIO()
    Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer), np.uint8).reshape(image.shape)


KINDS: dict[str, Callable[[Any, int, np.random.Generator], Any]] = {
    "noise": _noise,
    "blur": _blur,
    "low contrast": _low_contrast,
    "overexposure": _overexposed,
    "underexposure": _underexposed,
    "rotation": _rotated,
    "JPEG compression": _compressed,
}
