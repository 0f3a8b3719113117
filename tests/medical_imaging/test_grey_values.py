"""Grey values of DICOM against pydicom's own ``pixels`` functions, over what headers may say, and planted faults."""

import io
from typing import Any

import hypothesis
import hypothesis.strategies as st
import numpy as np
import numpy.typing as npt
import pydicom
import pydicom.uid
import pytest
from pydicom.pixels import processing

from apps.medical_imaging.readers import dicom
from shared import errors


def header(**elements: Any) -> pydicom.Dataset:
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = pydicom.uid.DigitalXRayImageStorageForPresentation, "1.2.3"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    for name, value in elements.items():
        setattr(dataset, name, value)
    return dataset


def written(values: npt.NDArray[Any], **elements: Any) -> bytes:
    """Write values of BitsStored bits into samples of BitsAllocated bits, their highest bit being HighBit."""
    dataset = header(**elements)
    dataset.Rows, dataset.Columns = values.shape
    mask, shift = (1 << dataset.BitsStored) - 1, dataset.HighBit + 1 - dataset.BitsStored
    samples = (values.astype(np.int64) & mask) << shift
    if dataset.PixelRepresentation and not shift:
        samples = values.astype(np.int64)  # As is usual: the sign fills the bits above.
    dataset.PixelData = samples.astype(f"<i{dataset.BitsAllocated // 8}").tobytes()
    dataset["PixelData"].VR = "OW" if dataset.BitsAllocated > 8 else "OB"
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


def grey(source: bytes) -> npt.NDArray[np.float32]:
    return dicom.decode(source)[:, :, 0]


def values_of(bits: int, *, signed: bool) -> npt.NDArray[np.int64]:
    low = -(1 << (bits - 1)) if signed else 0
    return np.linspace(low, low + (1 << bits) - 1, 24).round().astype(np.int64).reshape(4, 6)


def windowed(values: npt.NDArray[Any], dataset: pydicom.Dataset) -> npt.NDArray[np.float64]:
    """What pydicom shows, from 0 to 1: its output runs over the range of the values that may be stored."""
    dataset = pydicom.Dataset(dataset)
    rescaled = processing.apply_modality_lut(values, dataset)
    shown = processing.apply_windowing(rescaled, dataset)
    low, high = (-(1 << (dataset.BitsStored - 1)), (1 << (dataset.BitsStored - 1)) - 1)
    if not dataset.PixelRepresentation:
        low, high = 0, (1 << dataset.BitsStored) - 1
    ends = processing.apply_modality_lut(np.array([low, high]), dataset)
    shown = (shown - ends[0]) / (ends[1] - ends[0])
    return np.asarray(1 - shown if dataset.PhotometricInterpretation == "MONOCHROME1" else shown)


@pytest.mark.parametrize("interpretation", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("signed", [0, 1])
@hypothesis.given(
    depth=st.tuples(st.sampled_from([8, 16, 32]), st.integers(2, 16), st.integers(0, 15)),
    slope=st.sampled_from([1.0, 0.5, 2.25]),
    intercept=st.sampled_from([0.0, -1024.0, 7.5]),
    window=st.tuples(
        st.floats(-0.2, 1.2), st.floats(0.05, 1.5), st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"])
    ),
)
def test_every_depth_and_place_of_bits_is_shown_as_pydicom_shows_its_values(
    interpretation: str,
    signed: int,
    depth: tuple[int, int, int],
    slope: float,
    intercept: float,
    window: tuple[float, float, str],
) -> None:
    allocated, stored, more = depth
    stored = min(stored, allocated)
    values = values_of(stored, signed=bool(signed))
    ends = np.array([values.min(), values.max()]) * slope + intercept
    span = float(np.ptp(ends))
    elements: dict[str, Any] = {
        "BitsAllocated": allocated, "BitsStored": stored, "HighBit": min(stored - 1 + more, allocated - 1),
        "PixelRepresentation": signed, "PhotometricInterpretation": interpretation,
        "RescaleSlope": slope, "RescaleIntercept": intercept, "VOILUTFunction": window[2],
        "WindowCenter": round(float(ends[0] + window[0] * span), 3), "WindowWidth": round(window[1] * span + 2, 3),
    }  # fmt: skip
    expected = windowed(values, header(**elements))
    np.testing.assert_allclose(grey(written(values, **elements)), expected, atol=1e-5)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    ("given", "slope", "intercept"),
    [
        ({}, 1, 0),
        ({"RescaleSlope": None, "RescaleIntercept": None}, 1, 0),
        ({"RescaleIntercept": "-1024"}, 1, -1024),
        ({"RescaleSlope": "2"}, 2, 0),
        ({"RescaleSlope": "", "RescaleIntercept": "-1024"}, 1, -1024),
        ({"RescaleSlope": "2", "RescaleIntercept": ""}, 2, 0),
    ],
)
def test_what_a_rescale_lacks_is_a_slope_of_one_or_an_intercept_of_zero(
    given: dict[str, Any], slope: float, intercept: float, signed: bool
) -> None:
    values = values_of(12, signed=signed)
    window = {"WindowCenter": "300", "WindowWidth": "1200", "PixelRepresentation": int(signed)}
    complete = header(RescaleSlope=slope, RescaleIntercept=intercept, **window)
    np.testing.assert_allclose(grey(written(values, **given, **window)), windowed(values, complete), atol=1e-6)


@pytest.mark.parametrize(("name", "value"), [("RescaleSlope", "0"), ("WindowCenter", "abc")])
def test_an_element_that_cannot_be_meant_is_named(name: str, value: str) -> None:
    dataset = header(WindowWidth="100")
    dataset.Rows = dataset.Columns = 2
    dataset.PixelData = bytes(8)
    dataset["PixelData"].VR = "OW"
    dataset.add_new(name, "LO", value)
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
    with pytest.raises(errors.InputError, match=rf"{name}: expected a number"):
        dicom.decode(stream.getvalue())


def lookup(entries: list[int], *, first: int, bits: int, packed: bool = False) -> pydicom.Sequence:
    item = pydicom.Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries), first, bits])
    item.ModalityLUTType = "US"
    if packed:
        item.add_new("LUTData", "OW", np.array(entries, "<u1" if bits == 8 else "<u2").tobytes())
    else:
        item.add_new("LUTData", "US", entries)
    return pydicom.Sequence([item])


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("first", "signed"), [(0, 0), (3, 0), (-5, 1)])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_modality_and_voi_tables_of_any_depth_give_pydicoms_entries(
    bits: int, first: int, signed: int, packed: bool
) -> None:
    entries = np.linspace(0, (1 << bits) - 1, 16).round().astype(int).tolist()
    values = np.arange(-8 if signed else 0, 24 - 8 * signed).reshape(4, -1)
    asked = {"PixelRepresentation": signed}
    table = lookup(entries, first=first, bits=bits, packed=packed)
    clipped = np.clip(values - first, 0, 15)
    expected = np.array(entries)[clipped] / ((1 << bits) - 1)
    if bits in (8, 16) and not packed:
        # What pydicom itself can read.
        modality = processing.apply_modality_lut(values, header(ModalityLUTSequence=table, **asked))
        np.testing.assert_array_equal(modality / ((1 << bits) - 1), expected)
    found = grey(written(values, VOILUTSequence=table, **asked))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    # A window over the whole range of the modality table's output shows its entries.
    most = (1 << bits) - 1
    window = {"WindowCenter": str(most / 2), "WindowWidth": str(most), "VOILUTFunction": "LINEAR_EXACT"}
    found = grey(written(values, ModalityLUTSequence=table, **asked, **window))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_table_with_too_few_entries_is_named() -> None:
    table = lookup([1, 2, 3], first=0, bits=12)
    table[0].LUTDescriptor = [9, 0, 12]
    with pytest.raises(errors.InputError, match=r"ModalityLUTSequence, LUTData: expected 9 entries\. Received: 3"):
        dicom.decode(written(values_of(12, signed=False), ModalityLUTSequence=table))


@pytest.mark.parametrize(
    ("signed", "bits", "vr", "padding", "limit", "outside"),
    [
        (1, 16, "US", 63536, None, [-2000]),  # -2000 as an unsigned number of 16 bits
        (1, 12, "US", 4096 - 2000, None, [-2000]),  # the same in 12 bits
        (1, 12, "SS", -2000, -1990, [-2000, -1995]),
        (1, 16, "US", 63536, 63546, [-2000, -1995]),
        (0, 16, "SS", -1, None, [65535]),
        (0, 12, "US", 4095, 4090, [4095, 4092]),
        (0, 12, "US", 0, None, [0]),
    ],
)
def test_padding_is_known_by_its_bits_whatever_its_sign(
    signed: int, bits: int, vr: str, padding: int, limit: int | None, outside: list[int]
) -> None:
    inside = np.array([100, 300, 200])
    values = np.array([[*outside, *inside]])
    dataset = {"PixelRepresentation": signed, "BitsStored": bits, "HighBit": bits - 1}
    source = pydicom.dcmread(io.BytesIO(written(values, **dataset)))
    source.add_new("PixelPaddingValue", vr, padding)
    if limit is not None:
        source.add_new("PixelPaddingRangeLimit", vr, limit)
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, source, enforce_file_format=True)
    np.testing.assert_allclose(grey(stream.getvalue()), [[*[0] * len(outside), 0, 1, 0.5]], atol=1e-7)


def test_values_of_8_bits_in_16_are_taken_as_they_are() -> None:
    values = np.array([[10, 20], [128, 200]])
    np.testing.assert_allclose(grey(written(values, BitsStored=8, HighBit=7)), values / 255, atol=1e-7)


@pytest.mark.parametrize("bits", [8, 16])
def test_signed_values_without_a_window_do_not_overflow_their_own_type(bits):
    values = values_of(bits, signed=True)
    source = written(values, BitsAllocated=bits, BitsStored=bits, HighBit=bits - 1, PixelRepresentation=1)
    np.testing.assert_allclose(grey(source), (values - values.min()) / np.ptp(values), atol=1e-6)
