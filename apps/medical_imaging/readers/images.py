"""Pixels that are read when they are needed: files of JPEG, PNG and DICOM, and arrays in memory.

Detectors give 10, 12 or 14 bits, and files of 16 bits hold them. Divided by 65,535, values of 12 bits become 17 grey
levels of 256. So 16-bit values of PNG files and arrays are divided by the largest value of the bits in use. These are a
property of the source: scaled one by one, a dark and a bright image would look alike. A model takes raw files, and
cannot know their source: the number of bits is part of a run, and in the graph that training, ``predict`` and the
bundle share. Until then values of 16 bits stay in an encoded file, also those of arrays.
"""

import dataclasses
import hashlib
import io
import pathlib
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image
from numpy.typing import NDArray

from apps.medical_imaging.readers import file_types
from shared import errors

DEEPEST = 16
# Depths of real detectors and files; the smallest that holds every value of a source is taken.
_DEPTHS = (8, 10, 12, 14, DEEPEST)
_BIT_DEPTH_BYTE = 24


class BitsUsed(NamedTuple):
    """What the deep images of a source hold: their number, their largest value, and the bits that it needs."""

    images: int
    largest: int

    @property
    def bits(self) -> int:
        """The depth of a detector that gives these values."""
        return next(bits for bits in _DEPTHS if self.largest < 1 << bits)


def bits_used(items: Sequence[Any]) -> BitsUsed:
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
    return BitsUsed(images, largest)


def is_deep(content: bytes) -> bool:
    """Tell a PNG file of 16 bits."""
    return content.startswith(file_types.PNG) and content[_BIT_DEPTH_BYTE : _BIT_DEPTH_BYTE + 1] == bytes([DEEPEST])


def encode_deep(array: npt.NDArray[np.uint16]) -> bytes:
    """Return (h, w) or (h, w, 1 or 3) uint16 as a PNG file of 16 bits."""
    colours = array[:, :, ::-1] if array.ndim == 3 and array.shape[2] == 3 else array
    return bytes(cv2.imencode(".png", np.ascontiguousarray(colours))[1])


def decode_deep(content: bytes) -> npt.NDArray[np.uint16] | None:
    """Return the values of a PNG file of 16 bits, without its transparency; None where it cannot be decoded."""
    array = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None or array.dtype != np.uint16:
        return None
    return np.asarray(array if array.ndim == 2 else array[:, :, 2::-1], np.uint16)


def scale_deep(array: npt.NDArray[np.uint16], *, bits: int) -> npt.NDArray[np.float32]:
    """Return (h, w, c) float32 in [0, 1], what is above the bits cut off, as the graph does."""
    values = array if array.ndim == 3 else array[:, :, np.newaxis]
    return np.minimum(values / np.float32((1 << bits) - 1), 1).astype(np.float32)


def note_on_bits(name: str, found: BitsUsed, *, bits: int) -> str:
    """Say by what the 16-bit images of a source are scaled; nothing where all 16 bits are used."""
    if not found.images or (found.bits == bits == DEEPEST):
        return ""
    largest, most = found.largest, (1 << bits) - 1
    if found.largest > most:
        return f"{name}: 16-bit images hold values up to {largest:,}: what is above {most:,} is cut off"
    note = f"{name}: values only up to {largest:,} of 65,535 in {found.images:,} images of 16 bits"
    return f"{note}: read as {bits} bits, {most:,} is white" if bits < DEEPEST else f"{note}: they are dark here"


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
    array = decode_deep(content)
    return None if array is None else int(array.max())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Images:
    """Images in order.

    Attributes:
        names: (n,) object of str: how messages name each.
        items: (n,) object: the path of a file, or an array (h, w) or (h, w, 1 or 3) of uint8, uint16 or floats in
            [0, 1].
        content_hashes: (n,) uint64 hash of each file's bytes, or of an array's type, shape and values.
        grey_bits: How many bits of images of 16 bits are in use.
    """

    names: NDArray[np.object_]
    items: NDArray[np.object_]
    content_hashes: NDArray[np.uint64]
    grey_bits: int = DEEPEST

    @property
    def kind(self) -> str:
        """``files``, ``arrays``, or ``mixed`` for sources of both."""
        kinds = {"files" if isinstance(item, pathlib.Path) else "arrays" for item in self.items}
        return kinds.pop() if len(kinds) == 1 else "mixed"

    def read(self, row: int) -> bytes | NDArray[np.float32]:
        """Return a JPEG or PNG file as it is, an array of 16 bits as PNG; others as (h, w, 1 or 3) float32 in [0, 1].

        Raises:
            errors.InputError: The file cannot be read, or is DICOM that cannot be decoded.
        """
        return read(self.items[row], name=self.names[row])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scaled:
    """Images for what decodes files itself, and knows nothing of the bits in use: deep ones as scaled values."""

    images: Images

    @property
    def content_hashes(self) -> NDArray[np.uint64]:
        """Those of the images."""
        return self.images.content_hashes

    def read(self, row: int) -> bytes | NDArray[np.float32]:
        """Return what ``Images.read`` does; of a file of 16 bits of which fewer are in use, (h, w, c) in [0, 1]."""
        found, bits = self.images.read(row), self.images.grey_bits
        if bits == DEEPEST or not isinstance(found, bytes) or not is_deep(found):
            return found
        values = decode_deep(found)
        return found if values is None else scale_deep(values, bits=bits)


def read(item: Any, *, name: str) -> bytes | NDArray[np.float32]:
    """Return the pixels or the encoded bytes of one item, as ``Images.read`` does."""
    if not isinstance(item, pathlib.Path):
        return encode_deep(item) if item.dtype == np.uint16 else scaled(item)
    content = read_bytes(item, name=name)
    return decode_dicom(content, name=name) if file_types.is_dicom(content) else content


def read_bytes(path: pathlib.Path, *, name: str) -> bytes:
    """Return a file's content."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise errors.InputError(f"{name}: expected a readable image file. Received: {error.strerror}") from None


def decode_dicom(content: bytes, *, name: str) -> NDArray[np.float32]:
    """Decode a DICOM file: (h, w, 1 or 3) float32 in [0, 1]."""
    # Imported only where there is DICOM: every other start is faster without pydicom.
    from apps.medical_imaging.readers import dicom

    try:
        return dicom.decode(content)
    except errors.InputError as error:
        raise errors.InputError(f"{name}: {error}") from None


def decoding_problem(content: bytes) -> str:
    """Say why a file whose structure is right cannot be decoded; nothing where it can."""
    try:
        if file_types.is_dicom(content):
            decode_dicom(content, name="DICOM")
        else:
            with PIL.Image.open(io.BytesIO(content)) as image:
                image.load()
    except (
        errors.InputError,
        OSError,
        SyntaxError,
        ValueError,
        struct.error,
        PIL.Image.DecompressionBombError,
    ) as error:
        return f"cannot be decoded: {error}"
    return ""


def scaled(array: NDArray[Any]) -> NDArray[np.float32]:
    """Return (h, w, c) float32 in [0, 1]: integers are divided by the largest value of their type.

    >>> scaled(np.array([[0, 255]], dtype=np.uint8)).tolist()
    [[[0.0], [1.0]]]
    """
    values = array if array.ndim == 3 else array[:, :, np.newaxis]
    if np.issubdtype(values.dtype, np.integer):
        return np.asarray(values / np.float32(np.iinfo(values.dtype).max), dtype=np.float32)
    return np.asarray(np.clip(values, 0, 1), dtype=np.float32)


def content_hash(item: Any) -> int:
    """Return 64 bits of the SHA-256 of a file's bytes, of an array's type, shape and values, or of a recipe's text."""
    if isinstance(item, pathlib.Path):
        content = item.read_bytes()
    elif isinstance(item, str):
        content = item.encode()
    else:
        content = f"{item.dtype.str}{item.shape}".encode() + np.ascontiguousarray(item).tobytes()
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big")
