"""How large the network sees an image: the same number of pixels whatever its shape, so wide pictures stay sharp."""

import io
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image

STRIDE = 32
GREY = 114
# Training keeps pictures this much larger than the network sees them, for zooming in.
SPARE = 1.5
# No picture gets longer than so many times the side of the square with as many pixels.
LONGEST = 2.5


def scale(width: Any, height: Any, *, image_size: int, least: Any = min, longer: Any = max) -> Any:
    """Return by how much an image is scaled so that it has ``image_size`` squared pixels, fewer if it is very long.

    Args:
        width: Of the image in pixels; a number or a tensor.
        height: The same.
        image_size: Side of the square that has as many pixels.
        least: The minimum of two such values.
        longer: Their maximum.

    >>> round(scale(1280, 720, image_size=416), 4), round(scale(1242, 375, image_size=416), 4)
    (0.4333, 0.6096)
    """
    return least(image_size / (width * height) ** 0.5, LONGEST * image_size / longer(width, height))


def shape(width: int, height: int, *, image_size: int) -> tuple[int, int]:
    """Return height and width of an image's canvas: multiples of 32.

    >>> shape(1280, 720, image_size=416)
    (320, 576)
    """
    factor = scale(width, height, image_size=image_size)
    down, across = (math.ceil(max(round(side * factor), 1) / STRIDE) * STRIDE for side in (height, width))
    return down, across


def training_shape(image_size: int) -> tuple[int, int]:
    """Return (height, width) of training pictures: 3 to 4, about as many pixels as the network sees in use.

    >>> training_shape(416)
    (352, 480)
    """
    height, width = (max(round(image_size * part / STRIDE), 1) * STRIDE for part in (0.75**0.5, 0.75**-0.5))
    return height, width


def stored(image: npt.NDArray[np.uint8], *, image_size: int) -> tuple[bytes, float]:
    """Return an image as training keeps it, JPEG of at most ``SPARE`` times the scale in use, and its scale."""
    height, width = image.shape[:2]
    factor = min(SPARE * scale(width, height, image_size=image_size), 1.0)
    picture = PIL.Image.fromarray(image)
    if factor < 1.0:
        size = (max(round(width * factor), 1), max(round(height * factor), 1))
        picture = picture.resize(size, PIL.Image.Resampling.BOX, reducing_gap=2.0)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue(), factor
