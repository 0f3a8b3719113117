"""Grey values of DICOM: which bits of a stored sample are its value, padding, and the modality transformation.

What pydicom's ``pixels`` functions do, for files that they refuse or misread as well: a rescale of which one element is
missing or empty, tables of 9 to 15 bits, values that do not begin at the lowest bit, padding written with another sign.
"""

import contextlib
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pydicom

from shared import errors

_WORD = 1 << 16


class Lookup(NamedTuple):
    """A lookup table: the value of its first entry's input, its entries, and their number of bits."""

    first: int
    values: npt.NDArray[np.int64]
    bits: int

    def look_up(self, values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Return the entry of each value; what lies outside has the first or the last (PS3.3 C.11.1.1)."""
        places = np.rint(values).astype(np.int64) - self.first
        found: npt.NDArray[np.int64] = self.values[np.clip(places, 0, self.values.size - 1)]
        return found


def stored(raw: npt.NDArray[Any], dataset: pydicom.Dataset) -> npt.NDArray[Any]:
    """Return the values of samples whose highest bit is ``HighBit``, not the lowest ones' (PS3.5 8.1.1).

    Args:
        raw: Integers of ``BitsAllocated`` bits, as they are stored.
        dataset: Its header.
    """
    bits, shift = int(dataset.BitsStored), shifted(dataset)
    values = (raw.astype(np.int64) >> shift) & ((1 << bits) - 1)
    if int(dataset.get("PixelRepresentation") or 0):
        values = np.where(values >= 1 << (bits - 1), values - (1 << bits), values)
    return values


def shifted(dataset: pydicom.Dataset) -> int:
    """Return how many bits lie below the value of a sample; 0 where the header does not say so consistently."""
    high, bits = dataset.get("HighBit"), dataset.get("BitsStored")
    if high is None or bits is None or not int(bits) <= int(high) + 1 <= int(dataset.BitsAllocated):
        return 0
    return int(high) + 1 - int(bits)


def padding(values: npt.NDArray[Any], dataset: pydicom.Dataset) -> npt.NDArray[np.bool_]:
    """Mark what lies outside the image (PS3.3 C.7.5.1.1.2), (h, w).

    Raises:
        errors.InputError: An element of padding is no number.
    """
    first = _padding_value(dataset, "PixelPaddingValue")
    if first is None or values.dtype.kind == "f":
        return np.zeros(values.shape, bool)
    last = _padding_value(dataset, "PixelPaddingRangeLimit")
    last = first if last is None else last
    return np.asarray((values >= min(first, last)) & (values <= max(first, last)))


def rescaled(values: npt.NDArray[Any], dataset: pydicom.Dataset) -> npt.NDArray[Any]:
    """Apply the modality transformation (PS3.3 C.11.1): its table, or slope and intercept, of which one may be missing.

    Raises:
        errors.InputError: An element of it is no number, or cannot be right.
    """
    if dataset.get("ModalityLUTSequence"):
        return table(dataset.ModalityLUTSequence[0], dataset, name="ModalityLUTSequence").look_up(values)
    slope, intercept = rescale(dataset)
    return values if (slope, intercept) == (1.0, 0.0) else values.astype(np.float64) * slope + intercept


def rescale(dataset: pydicom.Dataset) -> tuple[float, float]:
    """Return slope and intercept; 1 and 0 where the file has none.

    Raises:
        errors.InputError: One is no number, or the slope is 0.
    """
    slope, intercept = number(dataset, "RescaleSlope"), number(dataset, "RescaleIntercept")
    if slope == 0:
        raise errors.InputError("RescaleSlope: expected a number other than 0. Received: 0")
    return 1.0 if slope is None else slope, 0.0 if intercept is None else intercept


def number(dataset: pydicom.Dataset, name: str) -> float | None:
    """Return the first number of an element; None where it is missing or empty.

    Raises:
        errors.InputError: It is no finite number.
    """
    value = dataset.get(name)
    first = value[0] if isinstance(value, pydicom.multival.MultiValue | list | tuple) and len(value) else value
    if first is None or (isinstance(first, str) and not first.strip(" \0")):
        return None
    with contextlib.suppress(TypeError, ValueError):
        found = float(first)
        if np.isfinite(found):
            return found
    raise errors.InputError(f"{name}: expected a number. Received: {str(value)[:40]!r}")


def table(item: pydicom.Dataset, dataset: pydicom.Dataset, *, name: str) -> Lookup:
    """Read a lookup table of 8 to 16 bits.

    Args:
        item: The item of the sequence.
        dataset: The header: its byte order, and whether the values looked up are signed.
        name: Of the sequence, for messages.

    Raises:
        errors.InputError: Descriptor or data are missing or do not fit each other.
    """
    descriptor = [int(value) for value in item.get("LUTDescriptor") or ()]
    if len(descriptor) != 3 or not 8 <= descriptor[2] <= 16:
        raise errors.InputError(
            f"{name}, LUTDescriptor: expected the number of entries, the first value and 8 to 16 bits. "
            f"Received: {descriptor}"
        )
    # 65,536 entries are written as 0; a signed element holds more than 32,767 as a negative number.
    count = (descriptor[0] % _WORD) or _WORD
    values = _entries(item, dataset, count)
    if values.size < count:
        raise errors.InputError(f"{name}, LUTData: expected {count:,} entries. Received: {values.size:,}")
    return Lookup(_first(descriptor[1], dataset), values[:count], descriptor[2])


def _entries(item: pydicom.Dataset, dataset: pydicom.Dataset, count: int) -> npt.NDArray[np.int64]:
    data = item.get("LUTData")
    if not isinstance(data, bytes):
        listed = [data] if isinstance(data, int) else data if data is not None else []
        return np.asarray([int(value) % _WORD for value in listed], np.int64)
    # Of 8 bits, two entries may share a word; then there are half as many words.
    little = dataset.file_meta.TransferSyntaxUID.is_little_endian if hasattr(dataset, "file_meta") else True
    kind = "u1" if len(data) < 2 * count else "<u2" if little else ">u2"
    return np.frombuffer(data[: len(data) // np.dtype(kind).itemsize * np.dtype(kind).itemsize], kind).astype(np.int64)


def _first(value: int, dataset: pydicom.Dataset) -> int:
    """Return the first value looked up: signed where the values are, however it is written."""
    slope, intercept = number(dataset, "RescaleSlope"), number(dataset, "RescaleIntercept")
    signed = int(dataset.get("PixelRepresentation") or 0) or slope is not None or intercept is not None
    if signed and value >= _WORD // 2:
        return value - _WORD
    return value if signed else value % _WORD


def _padding_value(dataset: pydicom.Dataset, name: str) -> int | None:
    """Return a value of padding as samples hold it: written as the other of US and SS it is that number modulo 2^n."""
    given = number(dataset, name)
    if given is None:
        return None
    value = int(given)
    signed = int(dataset.get("PixelRepresentation") or 0)
    # By all bits first: files write the 16 bits of the sample; else by those of the value.
    for bits in (int(dataset.BitsAllocated), int(dataset.BitsStored)):
        low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
        if not low <= value <= high:
            value = (value - low) % (1 << bits) + low
    return value
