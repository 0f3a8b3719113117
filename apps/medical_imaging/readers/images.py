"""Pixels that are read when they are needed: files of JPEG, PNG and DICOM, and arrays in memory.

Values of 16 bits stay in an encoded file, also those of arrays: how many of the 16 are in use is a property of a
source, not of an image, and the graph that training and serving share scales by it (``depth``).
"""

import dataclasses
import hashlib
import io
import pathlib
import struct
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from apps.medical_imaging.readers import depth, kinds
from shared import errors


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
    grey_bits: int = depth.DEEPEST

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
        if bits == depth.DEEPEST or not isinstance(found, bytes) or not depth.is_deep(found):
            return found
        values = depth.decode(found)
        return found if values is None else depth.scaled(values, bits=bits)


def read(item: Any, *, name: str) -> bytes | NDArray[np.float32]:
    """Return the pixels or the encoded bytes of one item, as ``Images.read`` does."""
    if not isinstance(item, pathlib.Path):
        return depth.encode(item) if item.dtype == np.uint16 else scaled(item)
    content = read_bytes(item, name=name)
    return decode_dicom(content, name=name) if kinds.is_dicom(content) else content


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
        if kinds.is_dicom(content):
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
