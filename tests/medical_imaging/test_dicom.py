"""DICOM files written here, element by element, against the values that the standard's formulas give."""

import io
import pathlib
from typing import Any

import hypothesis
import hypothesis.strategies as st
import numpy as np
import numpy.typing as npt
import PIL.Image
import pydicom
import pydicom.config
import pydicom.encaps
import pydicom.uid
import pytest
from pydicom.pixels.decoders import base

from apps.medical_imaging import predict
from apps.medical_imaging.readers import dicom, images
from shared import errors

RAMP = np.arange(12, dtype=np.uint16).reshape(3, 4) * 100


def header(pixels: npt.NDArray[Any]) -> pydicom.Dataset:
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.SOPClassUID = pydicom.uid.DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = "1.2.3"
    dataset.Modality = "DX"
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
    dataset.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "RGB"
    if pixels.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = dataset.BitsStored = pixels.itemsize * 8
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    return dataset


def content(dataset: pydicom.Dataset) -> bytes:
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


def written(pixels: npt.NDArray[Any], **elements: object) -> bytes:
    dataset = header(pixels)
    dataset.PixelData = pixels.tobytes()
    for name, value in elements.items():
        setattr(dataset, name, value)
    return content(dataset)


def table(values: list[int], *, first: int, bits: int) -> pydicom.Sequence:
    item = pydicom.Dataset()
    item.add_new("LUTDescriptor", "US", [len(values), first, bits])
    item.add_new("LUTData", "US", values)
    return pydicom.Sequence([item])


def grey(source: bytes) -> npt.NDArray[np.float32]:
    image = dicom.decode(source)
    assert image.dtype == np.float32
    assert image.shape[2:] == (1,)
    return image[:, :, 0]


def refusal(source: bytes | pathlib.Path) -> str:
    with pytest.raises(errors.InputError) as caught:
        dicom.decode(source)
    return str(caught.value)


def test_eight_bit_values_are_taken_as_they_are() -> None:
    pixels = np.array([[10, 20], [128, 200]], np.uint8)
    np.testing.assert_allclose(grey(written(pixels)), pixels / 255, atol=1e-7)


def test_deeper_values_without_a_window_run_from_smallest_to_largest() -> None:
    np.testing.assert_allclose(grey(written(RAMP + 500)), RAMP / 1100, atol=1e-7)


def test_signed_values_are_understood() -> None:
    pixels = np.array([[-1000, 0], [500, 1000]], np.int16)
    np.testing.assert_allclose(grey(written(pixels)), [[0, 0.5], [0.75, 1]], atol=1e-7)


def test_monochrome1_is_inverted() -> None:
    np.testing.assert_allclose(grey(written(RAMP, PhotometricInterpretation="MONOCHROME1")), 1 - RAMP / 1100, atol=1e-7)


def test_the_window_applies_to_rescaled_values() -> None:
    # Rescaled to -1000, -800, ...: a window from -600 to 600 (exact: -600.5 to 599.5 for its width of 1201).
    image = grey(
        written(RAMP, RescaleSlope="2", RescaleIntercept="-1000", WindowCenter=["0.5", "9"], WindowWidth=["1201", "9"])
    )
    expected = [[0.0, 0, 0, 200 / 1200], [400 / 1200, 600 / 1200, 800 / 1200, 1000 / 1200], [1.0, 1, 1, 1]]
    np.testing.assert_allclose(image, expected, atol=1e-7)


def test_the_three_window_functions_give_the_values_of_the_standard() -> None:
    # PS3.3 C.11.2.1.2: with center 2048 and width 4096 "LINEAR" maps 0 and 4095 to the ends.
    values = np.array([-1.0, 0.0, 2047.5, 4095.0, 5000.0])
    np.testing.assert_allclose(dicom.window(values, center=2048, width=4096), [0, 0, 0.5, 1, 1])
    exact = dicom.window(values, center=2048, width=4096, function="LINEAR_EXACT")
    np.testing.assert_allclose(exact, [0, 0, 2047.5 / 4096, 4095 / 4096, 1])
    sigmoid = dicom.window(np.array([2048.0, 3072.0]), center=2048, width=4096, function="SIGMOID")
    np.testing.assert_allclose(sigmoid, [0.5, 1 / (1 + np.exp(-1))])


def test_a_window_of_width_one_is_a_step() -> None:
    image = grey(written(RAMP, WindowCenter="500", WindowWidth="1"))
    np.testing.assert_array_equal(image, RAMP >= 500)


def test_an_unknown_window_function_is_refused() -> None:
    message = refusal(written(RAMP, WindowCenter="5", WindowWidth="9", VOILUTFunction="CUBIC"))
    assert message == "VOILUTFunction: expected LINEAR, LINEAR_EXACT or SIGMOID. Received: CUBIC"


@pytest.mark.parametrize("width", ["0", "-4", ""])
def test_a_window_without_width_is_none(width: str) -> None:
    np.testing.assert_allclose(grey(written(RAMP, WindowCenter="5", WindowWidth=width)), RAMP / 1100, atol=1e-7)


def test_a_table_of_grey_values_is_looked_up() -> None:
    pixels = np.array([[0, 1, 2, 3, 9]], np.uint16)
    image = grey(written(pixels, VOILUTSequence=table([0, 1000, 4095], first=1, bits=12)))
    np.testing.assert_allclose(image, [[0, 0, 1000 / 4095, 1, 1]], atol=1e-7)


def test_a_modality_table_comes_before_the_window() -> None:
    pixels = np.array([[0, 1, 2]], np.uint16)
    lut = table([10, 40, 20], first=0, bits=16)
    lut[0].ModalityLUTType = "US"
    image = grey(written(pixels, ModalityLUTSequence=lut, WindowCenter="25.5", WindowWidth="31"))
    np.testing.assert_allclose(image, [[0, 1, 1 / 3]], atol=1e-7)


@pytest.mark.parametrize("interpretation", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_dark_and_does_not_stretch_the_range(interpretation: str) -> None:
    pixels = np.array([[65535, 100, 300, 200]], np.uint16)
    image = grey(written(pixels, PixelPaddingValue=65535, PhotometricInterpretation=interpretation))
    inside = [0, 1, 0.5] if interpretation == "MONOCHROME2" else [1, 0, 0.5]
    np.testing.assert_allclose(image, [[0, *inside]], atol=1e-7)


def test_a_constant_image_is_dark() -> None:
    assert grey(written(np.full((2, 3), 7, np.uint16))).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_twelve_bits_in_sixteen_and_colour_are_scaled_by_what_is_stored() -> None:
    pixels = np.array([[[0, 2048, 4095], [4095, 0, 1]]], np.uint16)
    image = dicom.decode(written(pixels, BitsStored=12, HighBit=11))
    np.testing.assert_allclose(image, pixels / 4095, atol=1e-7)


def test_planes_and_luminance_colours_become_rgb() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    planes = dicom.decode(
        written(np.ascontiguousarray(pixels.transpose(2, 0, 1)).reshape(4, 5, 3), PlanarConfiguration=1)
    )
    np.testing.assert_allclose(planes, pixels / 255, atol=1e-7)
    luminance = np.asarray(PIL.Image.fromarray(pixels).convert("YCbCr"))
    colours = dicom.decode(written(luminance, PhotometricInterpretation="YBR_FULL"))
    np.testing.assert_allclose(colours, pixels / 255, atol=3 / 255)


def test_a_palette_becomes_rgb() -> None:
    dataset = header(np.array([[0, 1]], np.uint8))
    dataset.PhotometricInterpretation = "PALETTE COLOR"
    for colour, values in {"Red": [65535, 0], "Green": [0, 65535], "Blue": [0, 32768]}.items():
        dataset.add_new(f"{colour}PaletteColorLookupTableDescriptor", "US", [2, 0, 16])
        dataset.add_new(f"{colour}PaletteColorLookupTableData", "OW", np.array(values, "<u2").tobytes())
    dataset.PixelData = bytes([0, 1])
    np.testing.assert_allclose(dicom.decode(content(dataset)), [[[1.0, 0, 0], [0, 1, 32768 / 65535]]], atol=1e-7)


@pytest.mark.parametrize("syntax", ["RLELossless", "JPEG2000Lossless", "DeflatedExplicitVRLittleEndian"])
def test_lossless_syntaxes_give_the_same_pixels(syntax: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 4096, (32, 48), dtype=np.uint16)
    dataset = header(pixels)
    dataset.BitsStored, dataset.HighBit = 12, 11
    dataset.WindowCenter, dataset.WindowWidth = "2048", "4096"
    dataset.PixelData = pixels.tobytes()
    uid = getattr(pydicom.uid, syntax)
    if uid == pydicom.uid.JPEG2000Lossless:
        pytest.importorskip("openjpeg", reason="the extra `dicom` is not installed")
    if uid.is_compressed:
        dataset.compress(uid, generate_instance_uid=False)
    dataset.file_meta.TransferSyntaxUID = uid
    np.testing.assert_allclose(grey(content(dataset)), pixels / 4095, atol=1e-6)


def lossless_jpeg(pixels: npt.NDArray[np.uint16]) -> bytes:
    """Encode by ITU-T T.81 annex H: each pixel less its left neighbour (in the first column, the one above)."""
    before = np.concatenate([pixels[:, :1], pixels[:, :-1]], axis=1).astype(int)
    before[1:, 0], before[0, 0] = pixels[:-1, 0], 1 << 15
    bits = ""
    for difference in (pixels.astype(int) - before).ravel():
        size = abs(int(difference)).bit_length()  # its code is written in 5 bits, and then the difference
        bits += f"{size:05b}" + (
            f"{difference if difference > 0 else difference + (1 << size) - 1:0{size}b}" * bool(size)
        )
    bits += "1" * (-len(bits) % 8)
    scan = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    height, width = (int(side).to_bytes(2, "big") for side in pixels.shape)
    frame = b"\xff\xc3\0\x0b\x10" + height + width + b"\1\1\x11\0"
    codes = b"\xff\xc4\0\x24\0" + bytes([0, 0, 0, 0, 17, *[0] * 11]) + bytes(range(17))
    return b"\xff\xd8" + frame + codes + b"\xff\xda\0\x08\1\1\0\1\0\0" + scan + b"\xff\xd9"


def test_lossless_jpeg_the_usual_form_of_radiographs_gives_the_same_pixels() -> None:
    pytest.importorskip("libjpeg", reason="the extra `dicom` is not installed")
    pixels = np.random.default_rng(1).integers(0, 4096, (24, 32), dtype=np.uint16)
    dataset = header(pixels)
    dataset.WindowCenter, dataset.WindowWidth = "2048", "4096"
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.JPEGLosslessSV1
    dataset.PixelData = pydicom.encaps.encapsulate([lossless_jpeg(pixels)])
    dataset["PixelData"].VR = "OB"
    np.testing.assert_allclose(grey(content(dataset)), pixels / 4095, atol=1e-6)


@pytest.mark.parametrize("colour", [False, True])
def test_jpeg_inside_dicom_gives_the_pixels_of_the_jpeg(colour: bool) -> None:
    y, x = np.mgrid[0:40, 0:64]
    pixels = np.stack([x * 4, y * 6, 255 - x * 3], axis=2).astype(np.uint8) if colour else (x * 3 + y).astype(np.uint8)
    stream = io.BytesIO()
    PIL.Image.fromarray(pixels).save(stream, "JPEG", quality=95)
    dataset = header(pixels)
    dataset.PhotometricInterpretation = "YBR_FULL_422" if colour else "MONOCHROME2"
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.JPEGBaseline8Bit
    dataset.PixelData = pydicom.encaps.encapsulate([stream.getvalue()])
    dataset["PixelData"].VR = "OB"
    image = dicom.decode(content(dataset))
    expected = np.asarray(PIL.Image.open(stream)).reshape(image.shape) / 255
    np.testing.assert_allclose(image, expected, atol=3 / 255)


def test_without_a_decoder_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = header(RAMP)
    dataset.PixelData = RAMP.tobytes()
    dataset.compress(pydicom.uid.RLELossless, generate_instance_uid=False)
    source = content(dataset)
    monkeypatch.setattr(base.Decoder, "is_available", False)
    assert refusal(source).endswith("Received: RLE Lossless, which needs `pip install fieldnets[dicom]`")


def test_several_frames_are_refused() -> None:
    assert refusal(written(np.zeros((6, 4), np.uint16), Rows=3, NumberOfFrames=2)) == (
        "expected one image per DICOM file. Received: 2 frames; write each to a file"
    )


def test_a_file_without_an_image_is_refused() -> None:
    dataset = header(RAMP)
    dataset.Modality = "SR"
    assert refusal(content(dataset)) == "expected DICOM with pixel data. Received: SR without any"


def test_an_image_that_would_fill_the_memory_is_refused_before_it_is_decoded() -> None:
    message = refusal(written(RAMP, Rows=65535, Columns=65535))
    assert message == "expected at most 100,000,000 pixels. Received: 65535 x 65535"


def test_what_is_not_dicom_is_refused(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "renamed.dcm"
    path.write_text("no image")
    expected = f"{path}: expected a DICOM file. Received: a file without the letters DICM at byte 128"
    assert refusal(path) == expected
    assert refusal(b"") == expected.removeprefix(f"{path}: ")
    with pytest.raises(errors.InputError, match=r"missing\.dcm: expected"):
        dicom.decode(tmp_path / "missing.dcm")


def test_a_file_and_its_content_give_the_same_pixels(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "image.dcm"
    path.write_bytes(written(RAMP))
    np.testing.assert_array_equal(dicom.decode(path), dicom.decode(path.read_bytes()))
    assert dicom.describe(path) == dicom.describe(path.read_bytes())


@hypothesis.given(st.integers(1, 600))
def test_a_file_cut_anywhere_is_refused(cut: int) -> None:
    whole = written(RAMP, WindowCenter="550", WindowWidth="1100")
    kept = whole[: max(len(whole) - cut, 0)]
    assert "expected" in refusal(kept)


@pytest.mark.filterwarnings("ignore")
@hypothesis.given(st.integers(132, 10_000), st.integers(0, 255))
def test_a_damaged_byte_gives_an_image_in_range_or_one_clear_error(place: int, value: int) -> None:
    damaged = bytearray(written(RAMP, WindowCenter="550", WindowWidth="1100", RescaleSlope="1"))
    damaged[132 + (place - 132) % (len(damaged) - 132)] = value
    try:
        image = dicom.decode(bytes(damaged))
    except errors.InputError as error:
        assert "Received: " in str(error)  # noqa: PT017 - either outcome is right
    else:
        assert np.isfinite(image).all()
        assert image.min() >= 0
        assert image.max() <= 1


def test_the_header_says_who_how_and_where() -> None:
    source = written(
        RAMP, PatientID="P 7", PatientSex="F", PatientAge="045Y", ViewPosition="PA", InstitutionName="Städtisch",
        SpecificCharacterSet="ISO_IR 192",
    )  # fmt: skip
    assert dicom.describe(source) == {"patient": "P 7", "sex": "F", "age": 45.0, "view": "PA", "site": "Städtisch"}


def test_an_empty_header_says_nothing() -> None:
    assert dicom.describe(written(RAMP)) == {"patient": "", "sex": None, "age": None, "view": None, "site": None}
    odd = written(RAMP, PatientID="", PatientSex="O", PatientAge="", ViewPosition="", InstitutionName="")
    assert dicom.describe(odd) == dicom.describe(written(RAMP))


@pytest.mark.parametrize(
    ("stated", "years"),
    [("045Y", 45), ("006M", 0.5), ("003W", 21 / 365.25), ("010D", 10 / 365.25), ("45Y", 45), ("000Y", None)],
)
def test_ages_are_in_years(stated: str, years: float | None) -> None:
    assert dicom.describe(written(RAMP, PatientAge=stated))["age"] == (years and pytest.approx(years))


@pytest.mark.parametrize(
    ("birth", "study", "years"),
    [
        ("19800115", "20200115", 40),
        ("20200115", "19800115", None),
        ("19800115", "", None),
        ("unknown", "20200115", None),
    ],
)
def test_without_an_age_birth_and_study_give_it(
    birth: str, study: str, years: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pydicom.config.settings, "writing_validation_mode", pydicom.config.IGNORE)
    age = dicom.describe(written(RAMP, PatientBirthDate=birth, StudyDate=study))["age"]
    assert age == (years and pytest.approx(years, abs=0.01))


@pytest.mark.parametrize(
    ("stated", "view"),
    [("PA", "PA"), ("AP", "AP"), ("LL", "LATERAL"), ("RL", "LATERAL"), ("Lateral", "LATERAL"), ("AP SUPINE", "AP"),
     ("LLO", None)],
)  # fmt: skip
def test_views_are_pa_ap_or_lateral(stated: str, view: str | None) -> None:
    dataset = header(RAMP)
    dataset.PixelData = RAMP.tobytes()
    dataset.add_new("ViewPosition", "LO", stated)  # "CS" would not allow lower case
    assert dicom.describe(content(dataset))["view"] == view


def test_a_broken_header_is_refused() -> None:
    with pytest.raises(errors.InputError, match="expected a DICOM file"):
        dicom.describe(b"text")


@pytest.mark.tensorflow
def test_a_page_gets_what_predict_reads_and_a_picture_to_look_at(tmp_path: pathlib.Path) -> None:
    """A bundle without a number of bits decodes all 16 of a PNG file: it must get the values of ``decode``."""

    class Loaded:
        path = tmp_path

    source = written(np.tile(RAMP, (300, 250)), WindowCenter=500, WindowWidth=1000)
    values = dicom.decode(source)
    found = predict.dicom_image(Loaded(), source, values.size)  # type: ignore[arg-type]
    stored = images.decode_deep(found.file)
    assert stored is not None
    np.testing.assert_allclose(images.scale_deep(stored, bits=16), values, atol=1 / 65_535)
    with PIL.Image.open(io.BytesIO(found.preview)) as preview:
        assert (preview.mode, max(preview.size)) == ("L", 768)
    with pytest.raises(errors.InputError, match=r"at most 899,999 pixels. Received: 900,000"):
        predict.dicom_image(Loaded(), source, values.size - 1)  # type: ignore[arg-type]


def test_a_file_that_must_be_inflated_before_its_header_is_read_is_refused() -> None:
    dataset = header(RAMP)
    dataset.PixelData = RAMP.tobytes()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    with pytest.raises(errors.InputError, match="not deflated"):
        dicom.refuse_large(content(dataset), 10**6)
