"""DICOM radiographs as training, ``predict`` and the server see them.

Grey values go through the modality transformation (rescale, or its table), then the VOI transformation (the first
table or window of the file), as DICOM PS3.3 C.11 orders; MONOCHROME1 is inverted, so that bone is bright in every
image. Where a file has no window, values of 8 bits are taken as they are, and deeper ones from the smallest to the
largest that occur, because many files use a small part of the range that they declare.
"""

import contextlib
import datetime
import io
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pydicom.config
from pydicom.pixels import processing, utils
from pydicom.pixels.decoders import base

from apps.medical_imaging.readers import cells, dicom_values, file_types
from shared import errors

Floats = npt.NDArray[np.floating[Any]]

_PREAMBLE_BYTES = 132
_DAYS_PER_YEAR = 365.25
# A transfer syntax that unpacks all of a file before its header can be read.
_DEFLATED = pydicom.uid.DeflatedExplicitVRLittleEndian.encode()
_AGE = re.compile(r"(\d{1,3})([DWMY])")
_DESCRIPTIVE = (
    "PatientID",
    "PatientSex",
    "PatientAge",
    "PatientBirthDate",
    "StudyDate",
    "ViewPosition",
    "InstitutionName",
)

# Malformed dates, names and identifiers are common and harmless; what is read here is checked here.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE


def decode(source: pathlib.Path | bytes) -> npt.NDArray[np.float32]:
    """Decode one DICOM image.

    Args:
        source: A file, or its content.

    Returns:
        (height, width, 1 or 3) float32 in [0, 1]; 1 is bright.

    Raises:
        errors.InputError: It is no DICOM file, holds no image or several, is broken, or is compressed in a way
            that needs the extra ``dicom``.
    """
    with _clear_errors(source):
        dataset = _open(source)
        _check_image(dataset)
        pixels = _pixels(dataset)
        if pixels.ndim == 2:
            return np.asarray(_grey(pixels, dataset)[:, :, np.newaxis], np.float32)
        return np.asarray(pixels / _largest(dataset), np.float32).clip(0, 1)


def refuse_large(content: bytes, most_pixels: int) -> None:
    """Refuse, by its header alone, a file of strangers that could become larger than it says.

    Raises:
        errors.InputError: It is no DICOM file, has more pixels, or is deflated as a whole.
    """
    if _DEFLATED in content:
        raise errors.InputError("expected DICOM that is not deflated as a whole. Received: a deflated file")
    with _clear_errors(content):
        header = _open(content, only=("Rows", "Columns"))
        pixels = int(header.get("Rows") or 0) * int(header.get("Columns") or 0)
        if pixels > most_pixels:
            raise errors.InputError(f"expected an image of at most {most_pixels:,} pixels. Received: {pixels:,}")


def describe(source: pathlib.Path | bytes) -> dict[str, str | float | None]:
    """Return what the header says of the image.

    Returns:
        ``patient`` (id, ``""`` where empty), ``sex`` (``F`` or ``M``), ``age`` (years), ``view`` (``PA``, ``AP``
        or ``LATERAL``) and ``site`` (institution); None for what it does not say.

    Raises:
        errors.InputError: It is no DICOM file, or its header is broken.
    """
    with _clear_errors(source):
        dataset = _open(source, only=_DESCRIPTIVE)
        sex, view = _text(dataset, "PatientSex").upper(), _text(dataset, "ViewPosition").lower()
        return {
            "patient": _text(dataset, "PatientID"),
            "sex": sex if sex in ("F", "M") else None,
            "age": _age_years(dataset),
            "view": next((cells.VIEWS[word] for word in re.findall("[a-z]+", view) if word in cells.VIEWS), None),
            "site": _text(dataset, "InstitutionName") or None,
        }


@contextlib.contextmanager
def _clear_errors(source: pathlib.Path | bytes) -> Iterator[None]:
    """Turn whatever broken bytes lead pydicom and its decoders into (they promise nothing) into an InputError."""
    try:
        yield
    except errors.InputError as error:
        raise errors.InputError(_place(source, str(error))) from None
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        message = f"expected a DICOM file that can be read to its end. Received: {reason}"
        raise errors.InputError(_place(source, message)) from error


def _place(source: pathlib.Path | bytes, message: str) -> str:
    return message if isinstance(source, bytes) else f"{source}: {message}"


def _open(source: pathlib.Path | bytes, *, only: tuple[str, ...] | None = None) -> pydicom.Dataset:
    """Parse the file, or only the named elements of its header."""
    head = source[:_PREAMBLE_BYTES] if isinstance(source, bytes) else _head(source)
    if not head.endswith(b"DICM"):
        raise errors.InputError("expected a DICOM file. Received: a file without the letters DICM at byte 128")
    stream = io.BytesIO(source) if isinstance(source, bytes) else source
    tags = None if only is None else [*only, "SpecificCharacterSet"]
    return pydicom.dcmread(stream, stop_before_pixels=only is not None, specific_tags=tags)


def _head(path: pathlib.Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(_PREAMBLE_BYTES)


def _check_image(dataset: pydicom.Dataset) -> None:
    if not any(name in dataset for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        what = _text(dataset, "Modality") or "unknown modality"
        raise errors.InputError(f"expected DICOM with pixel data. Received: {what} without any")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1:
        raise errors.InputError(f"expected one image per DICOM file. Received: {frames} frames; write each to a file")
    if int(dataset.Rows) * int(dataset.Columns) > file_types.MAXIMUM_PIXELS:
        raise errors.InputError(
            f"expected at most {file_types.MAXIMUM_PIXELS:,} pixels. Received: {dataset.Columns} x {dataset.Rows}"
        )


def _pixels(dataset: pydicom.Dataset) -> npt.NDArray[Any]:
    """Return stored grey values (h, w), or RGB (h, w, 3)."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax.is_compressed and not base.get_decoder(syntax).is_available:
        raise errors.InputError(
            f"expected DICOM that this installation can decode. Received: {syntax.name}, which needs "
            "`pip install fieldnets[dicom]`"
        )
    if dicom_values.shifted(dataset) and (not syntax.is_compressed or syntax == pydicom.uid.RLELossless):
        pixels = dicom_values.stored(utils.pixel_array(dataset, correct_unused_bits=False), dataset)
    else:
        pixels = utils.pixel_array(dataset)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        palette = processing.apply_color_lut(pixels, dataset)[..., :3]
        return np.asarray(palette / np.iinfo(palette.dtype).max * _largest(dataset))
    return np.asarray(pixels)


def _largest(dataset: pydicom.Dataset) -> int:
    return (1 << int(dataset.BitsStored)) - 1


def _grey(stored: npt.NDArray[Any], dataset: pydicom.Dataset) -> Floats:
    """Return (h, w) brightness in [0, 1]; padding around the image is dark."""
    padding = dicom_values.padding(stored, dataset)
    shown = _shown(dicom_values.rescaled(stored, dataset), dataset, padding)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        shown = 1 - shown
    return np.where(padding, 0.0, shown)


def _shown(values: npt.NDArray[Any], dataset: pydicom.Dataset, padding: npt.NDArray[np.bool_]) -> Floats:
    """Apply the first VOI table or window of the file, or show the whole range."""
    if dataset.get("VOILUTSequence"):
        table = dicom_values.table(dataset.VOILUTSequence[0], dataset, name="VOILUTSequence")
        return np.clip(table.look_up(values) / ((1 << table.bits) - 1), 0, 1)
    center, width = dicom_values.number(dataset, "WindowCenter"), dicom_values.number(dataset, "WindowWidth")
    if center is not None and width is not None and width > 0:
        return window(values, center=center, width=width, function=_text(dataset, "VOILUTFunction") or "LINEAR")
    inside = values[~padding] if padding.any() and not padding.all() else values
    low, high = (0, _largest(dataset)) if _is_8_bit(dataset) else (inside.min(), inside.max())
    # In their own type, signed values from -128 to 127 would overflow.
    shown: Floats = np.clip((values.astype(np.float64) - float(low)) / max(float(high) - float(low), 1e-12), 0, 1)
    return shown


def window(values: npt.NDArray[Any], *, center: float, width: float, function: str = "LINEAR") -> Floats:
    """Map grey values to [0, 1] by a window (PS3.3 C.11.2.1.2 and C.11.2.1.3).

    Args:
        values: Output of the modality transformation.
        center: Window centre, in the unit of ``values``.
        width: Window width, above 0.
        function: ``LINEAR``, ``LINEAR_EXACT`` or ``SIGMOID``.

    Raises:
        errors.InputError: The function is not known.

    >>> window(np.array([-1.0, 0.0, 2047.5, 4095.0]), center=2048, width=4096).tolist()
    [0.0, 0.0, 0.5, 1.0]
    """
    if function == "SIGMOID":
        # Outside +-50 the exponential has no digit left.
        return 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -50, 50)))
    if function == "LINEAR":
        # "LINEAR" counts both end values as inside the window; a width of 1 is a step.
        center, width = center - 0.5, max(width - 1, 1e-6)
    elif function != "LINEAR_EXACT":
        raise errors.InputError(f"VOILUTFunction: expected LINEAR, LINEAR_EXACT or SIGMOID. Received: {function}")
    return np.clip((values - center) / width + 0.5, 0, 1)


def _is_8_bit(dataset: pydicom.Dataset) -> bool:
    """Tell plain values of 8 bits, also in 16: unsigned, and not rescaled to another unit."""
    plain = not dataset.get("PixelRepresentation") and not dataset.get("ModalityLUTSequence")
    bits = int(dataset.get("BitsStored") or dataset.BitsAllocated)
    return bits <= 8 and plain and dicom_values.rescale(dataset) == (1.0, 0.0)


def _text(dataset: pydicom.Dataset, name: str) -> str:
    value = dataset.get(name)
    return "" if value is None else str(value).strip(" \0")


def _age_years(dataset: pydicom.Dataset) -> float | None:
    """Return the stated age, or else the time from birth to study."""
    match = _AGE.fullmatch(_text(dataset, "PatientAge").upper())
    if match and int(match[1]):  # "000Y" stands for an age that was removed
        return int(match[1]) * cells.YEARS[match[2]]
    birth, study = _date(dataset, "PatientBirthDate"), _date(dataset, "StudyDate")
    if birth is None or study is None or study < birth:
        return None
    return (study - birth).days / _DAYS_PER_YEAR


def _date(dataset: pydicom.Dataset, name: str) -> datetime.date | None:
    with contextlib.suppress(ValueError):
        return datetime.datetime.strptime(_text(dataset, name), "%Y%m%d").date()
    return None
