"""How many of the 16 bits of deep images are in use: detectors give 10, 12 or 14, and files of 16 bits hold them.

Divided by 65,535, values of 12 bits become 17 grey levels of 256. So 16-bit values of PNG files and arrays are divided
by the largest value of the bits in use. These are a property of the source: scaled one by one, a dark and a bright
image would look alike. A model takes raw files, and cannot know their source: the number of bits is part of a run, and
in the graph that training, ``predict`` and the bundle share.
"""

import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from apps.medical_imaging.readers import kinds

DEEPEST = 16
# Depths of real detectors and files; the smallest that holds every value of a source is taken.
_DEPTHS = (8, 10, 12, 14, DEEPEST)
_BIT_DEPTH_BYTE = 24


class Used(NamedTuple):
    """What the deep images of a source hold: their number, their largest value, and the bits that it needs."""

    images: int
    largest: int

    @property
    def bits(self) -> int:
        """The depth of a detector that gives these values."""
        return next(bits for bits in _DEPTHS if self.largest < 1 << bits)


def used(items: Sequence[Any]) -> Used:
    """Measure the deep images among files and arrays; those that cannot be decoded count nowhere.

    A value that needs all 16 bits settles it: no other image is looked at then.
    """
    images = largest = 0
    for item in items:
        found = _largest(item)
        if found is not None:
            images, largest = images + 1, max(largest, found)
        if largest >= 1 << (DEEPEST - 2):
            break
    return Used(images, largest)


def is_deep(content: bytes) -> bool:
    """Tell a PNG file of 16 bits."""
    return content.startswith(kinds.PNG) and content[_BIT_DEPTH_BYTE : _BIT_DEPTH_BYTE + 1] == bytes([DEEPEST])


def encode(array: npt.NDArray[np.uint16]) -> bytes:
    """Return (h, w) or (h, w, 1 or 3) uint16 as a PNG file of 16 bits."""
    colours = array[:, :, ::-1] if array.ndim == 3 and array.shape[2] == 3 else array
    return bytes(cv2.imencode(".png", np.ascontiguousarray(colours))[1])


def decode(content: bytes) -> npt.NDArray[np.uint16] | None:
    """Return the values of a PNG file of 16 bits, without its transparency; None where it cannot be decoded."""
    array = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None or array.dtype != np.uint16:
        return None
    return np.asarray(array if array.ndim == 2 else array[:, :, 2::-1], np.uint16)


def scaled(array: npt.NDArray[np.uint16], *, bits: int) -> npt.NDArray[np.float32]:
    """Return (h, w, c) float32 in [0, 1], what is above the bits cut off, as the graph does."""
    values = array if array.ndim == 3 else array[:, :, np.newaxis]
    return np.minimum(values / np.float32((1 << bits) - 1), 1).astype(np.float32)


def note(name: str, found: Used, *, bits: int) -> str:
    """Say by what the 16-bit images of a source are scaled; nothing where all 16 bits are used."""
    if not found.images or (found.bits == bits == DEEPEST):
        return ""
    largest, most = found.largest, (1 << bits) - 1
    if found.largest > most:
        return f"{name}: 16-bit images hold values up to {largest:,}: what is above {most:,} is cut off"
    said = f"{name}: values only up to {largest:,} of 65,535 in {found.images:,} images of 16 bits"
    return f"{said}: read as {bits} bits, {most:,} is white" if bits < DEEPEST else f"{said}: they are dark here"


def _largest(item: Any) -> int | None:
    """Return the largest value of a deep image; None for others."""
    if not isinstance(item, pathlib.Path):
        return int(item.max()) if item.dtype == np.uint16 else None
    try:
        with item.open("rb") as stream:
            content = stream.read(_BIT_DEPTH_BYTE + 1)
            if not is_deep(content):
                return None
            content += stream.read()
    except OSError:
        return None
    array = decode(content)
    return None if array is None else int(array.max())
