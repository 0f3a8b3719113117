import contextlib
import io
import pathlib
import shutil
from typing import Any

import numpy as np
import pandas as pd
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from apps.medical_imaging import data, readers
from apps.medical_imaging.readers import cells, file_types, folders, images, medmnist, table_files
from shared import errors, splits
from tests.medical_imaging import loading, pictures

KERMANY = {
    "NORMAL/IM-0115-0001.jpeg": "IM-0115",
    "NORMAL/IM-0640-0001-0001.jpeg": "IM-0640",
    "NORMAL/IM-0640-0001-0002.jpeg": "IM-0640",
    "NORMAL/NORMAL2-IM-0115-0001.jpeg": "NORMAL2-IM-0115",
    "PNEUMONIA/person12_bacteria_34.jpeg": "person12",
    "PNEUMONIA/person12_virus_35.jpeg": "person12",
    "PNEUMONIA/person447_virus_921_1.jpeg": "person447",
    "PNEUMONIA/scan.jpeg": "PNEUMONIA/scan.jpeg",
}


def kermany(folder):
    return pictures.place(folder, KERMANY)


def write_table(path, rows, header) -> str:
    pd.DataFrame(rows, columns=header).to_csv(path, index=False)
    return str(path)


def test_the_kermany_layout_gives_classes_patients_and_subtypes(tmp_path):
    found = loading.load([kermany(tmp_path)])
    assert found.class_names == ("NORMAL", "PNEUMONIA")
    assert found.task == "single_label"
    assert dict(zip(found.images.names, found.patients, strict=True)) == KERMANY
    subtypes = dict(zip(found.images.names, found.attributes["subtype"], strict=True))
    assert subtypes["PNEUMONIA/person12_virus_35.jpeg"] == "virus"
    assert subtypes["NORMAL/IM-0115-0001.jpeg"] is None or pd.isna(subtypes["NORMAL/IM-0115-0001.jpeg"])
    assert found.labels.tolist() == [[1, 0]] * 4 + [[0, 1]] * 4
    assert any("patient of 1 images is not known" in note for note in found.notes)


@pytest.mark.parametrize("top", ["", "chest_xray/"])
def test_folders_of_parts_above_the_classes_are_official_parts(tmp_path, top):
    names = [f"{top}{part}/{kind}/{part}.png" for part in ("train", "val", "test") for kind in ("NORMAL", "PNEUMONIA")]
    found = loading.load([pictures.place(tmp_path, names)])
    parts = dict(zip(found.images.names, found.fixed_parts, strict=True))
    assert {name.split("/")[-3]: part for name, part in parts.items()} == {
        "train": "train",
        "val": "validation",
        "test": "test",
    }
    assert found.class_names == ("NORMAL", "PNEUMONIA")


def test_a_folder_above_all_classes_is_no_class(tmp_path):
    found = loading.load(
        [pictures.place(tmp_path, ["set/a/ill/1.png", "set/a/healthy/2.png", "set/a/ill/deeper/3.png"])]
    )
    assert found.class_names == ("healthy", "ill")
    assert found.labels[:, 1].sum() == 2


def test_hidden_files_and_other_kinds_of_files_are_passed_over(tmp_path):
    pictures.place(tmp_path, ["a/1.png", "b/2.png", "__MACOSX/a/3.png", "a/._1.png", ".cache/4.png"])
    pictures.put(tmp_path / "a" / "readme.txt", b"text")
    assert loading.load([str(tmp_path)]).images.names.tolist() == ["a/1.png", "b/2.png"]


def test_pictures_of_other_kinds_are_counted_in_a_note(tmp_path):
    pictures.place(tmp_path, ["a/1.png", "b/2.png"])
    for name in ("a/3.bmp", "a/4.BMP", "b/5.tif", "b/6.gif", "b/notes.txt"):
        pictures.put(tmp_path / name, b"x")
    found = loading.load([str(tmp_path)])
    assert len(found.labels) == 2
    counted = "5 files not read: .bmp x2, .gif x1, .tif x1, .txt x1 (only JPEG, PNG and DICOM are read)"
    assert counted in found.notes
    shutil.rmtree(tmp_path / "a")
    (tmp_path / "b" / "2.png").unlink()
    with pytest.raises(errors.InputError, match=r"Received: 3 files not read: \.gif x1, \.tif x1, \.txt x1"):
        loading.load([str(tmp_path)])


def test_a_table_gives_patients_attributes_and_parts(tmp_path):
    pictures.place(tmp_path, ["x/1.png", "x/2.png"])
    rows = [
        ["x/1.png", "Pneumonia", "p1", "Female", "63", "AP", "train"],
        ["x/2", "No Finding", "p2", "m", "006M", "lateral", "val"],
    ]
    header = ["Image Path", "Diagnosis", "Patient ID", "Sex", "Age", "View", "Split"]
    found = loading.load([write_table(tmp_path / "t.csv", rows, header)])
    assert found.class_names == ("No Finding", "Pneumonia")
    assert found.patients.tolist() == ["p1", "p2"]
    assert found.attributes["age"].tolist() == [63, 0.5]
    assert found.attributes[["sex", "view"]].to_numpy().tolist() == [["F", "AP"], ["M", "LATERAL"]]
    assert found.fixed_parts.tolist() == ["train", "validation"]
    assert found.rows.tolist() == [2, 3]


def test_tsv_and_parquet_say_the_same_as_csv(tmp_path):
    pictures.place(tmp_path, ["1.png", "2.png"])
    table = pd.DataFrame({"image": ["1.png", "2.png"], "label": [1, 0], "patient": ["p", "q"]})
    table.to_csv(tmp_path / "t.tsv", index=False, sep="\t")
    table.to_parquet(tmp_path / "t.parquet")
    table.to_csv(tmp_path / "t.csv", index=False)
    hashes = {loading.load([str(tmp_path / f"t.{kind}")]).sha256 for kind in ("tsv", "csv", "parquet")}
    assert len(hashes) == 1
    assert loading.load([str(tmp_path / "t.tsv")]).class_names == ("0", "1")


def test_columns_named_by_the_user_win_and_missing_ones_are_refused(tmp_path):
    pictures.place(tmp_path, ["1.png", "2.png"])
    path = write_table(tmp_path / "t.csv", [["1.png", "a", "u"], ["2.png", "b", "v"]], ["where", "what", "who"])
    found = loading.load([path], image_column="where", label_columns=("what",), patient_column="who")
    assert found.patients.tolist() == ["u", "v"]
    with pytest.raises(errors.InputError, match=r"--image-column.*Received: where, what, who"):
        loading.load([path], image_column="nowhere")
    with pytest.raises(errors.InputError, match="--image-column"):
        loading.load([path])


@pytest.mark.parametrize(("uncertain", "expected"), [("zeros", 0.0), ("ones", 1.0), ("ignore", np.nan)])
def test_columns_of_ones_and_zeros_are_findings_and_uncertain_is_what_was_asked_for(tmp_path, uncertain, expected):
    pictures.place(tmp_path, ["1.png", "2.png"])
    rows = [["1.png", "p", 40, 1, -1], ["2.png", "q", 50, 0, ""]]
    path = write_table(tmp_path / "t.csv", rows, ["image", "patient", "age", "edema", "mass"])
    found = loading.load([path], uncertain=uncertain)
    assert (found.task, found.class_names) == ("multi_label", ("edema", "mass"))
    np.testing.assert_array_equal(found.labels, np.array([[1, expected], [0, np.nan]], np.float32))


def nih(folder, *, labels=("Effusion|Mass", "No Finding", "Hernia")):
    pictures.place(folder, ["images_001/images/a.png", "images_002/images/b.png", "images_002/images/c.png"])
    rows = [[f"{name}.png", said, "7", "058Y", "F", "PA"] for name, said in zip("abc", labels, strict=True)]
    header = ["Image Index", "Finding Labels", "Patient ID", "Patient Age", "Patient Gender", "View Position"]
    write_table(folder / "Data_Entry_2017_v2020.csv", rows, header)
    (folder / "test_list.txt").write_text("c.png\n")
    (folder / "train_val_list.txt").write_text("a.png\nb.png\n")
    boxes = [["a.png", "Mass", 256, 512, 128, 256, "", "", ""]]
    # As published: the commas at the end of each line make columns without a name.
    header = ["Image Index", "Finding Label", "Bbox [x", "y", "w", "h]", "", "", ""]
    write_table(folder / "BBox_List_2017.csv", boxes, header)
    return str(folder)


def test_nih_gives_fourteen_findings_lists_and_boxes(tmp_path):
    found = loading.load([nih(tmp_path)])
    assert (found.task, len(found.class_names)) == ("multi_label", 14)
    said = [{name for name, value in zip(found.class_names, row, strict=True) if value} for row in found.labels]
    assert said == [{"Effusion", "Mass"}, set(), {"Hernia"}]
    assert found.fixed_parts.tolist() == ["train", "train", "test"]
    assert found.boxes[0].tolist() == [[0.25, 0.5, 0.375, 0.75]]
    assert found.boxes[1] is None
    assert found.attributes.iloc[0].to_dict() == {"sex": "F", "age": 58.0, "view": "PA"}


def test_nih_tells_the_patient_by_the_file_where_the_table_does_not(tmp_path):
    pictures.place(tmp_path, ["00000013_005.png", "scan.png"])
    rows = [["00000013_005.png", "Mass", ""], ["scan.png", "No Finding", ""]]
    write_table(tmp_path / "Data_Entry_2017.csv", rows, ["Image Index", "Finding Labels", "Patient ID"])
    assert loading.load([str(tmp_path)], label_columns=("Mass",)).patients.tolist() == ["13", "scan.png"]


def test_a_damaged_table_of_boxes_is_refused(tmp_path):
    nih(tmp_path)
    for content, message in (
        ("Image Index,x\na.png,1\n", "Finding Label"),
        ("Image Index,x\na,1\nb\n", "row 3: .*1 fields"),
    ):
        (tmp_path / "BBox_List_2017.csv").write_text(content)
        with pytest.raises(errors.InputError, match=rf"BBox_List_2017\.csv.*{message}"):
            loading.load([str(tmp_path)])


def test_one_finding_of_nih_makes_two_classes(tmp_path):
    found = loading.load([nih(tmp_path)], label_columns=("Mass",))
    assert found.class_names == ("no Mass", "Mass")
    assert found.labels[:, 1].tolist() == [1, 0, 0]
    with pytest.raises(errors.InputError, match="Received: 'Gout'"):
        loading.load([str(tmp_path)], label_columns=("Gout",))


def chexpert(folder):
    root = folder / "CheXpert-v1.0-small"
    names = ["train/patient00001/study1/view1_frontal.jpg", "train/patient00002/study1/view1_frontal.jpg"]
    pictures.place(root, [*names, "valid/patient64541/study1/view2_lateral.jpg"])
    header = ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", "Pneumonia", "Edema"]
    rows = [[f"{root.name}/{names[0]}", "Male", 40, "Frontal", "AP", 1, -1]]
    rows += [[f"{root.name}/{names[1]}", "Female", 41, "Frontal", "PA", -1, ""]]
    write_table(root / "train.csv", rows, header)
    valid = [[f"{root.name}/valid/patient64541/study1/view2_lateral.jpg", "Male", 4, "Lateral", "", 0, 1]]
    write_table(root / "valid.csv", valid, header)
    return str(root)


@pytest.mark.parametrize(("uncertain", "expected"), [("zeros", 0.0), ("ones", 1.0), ("ignore", np.nan)])
def test_chexpert_reads_uncertain_labels_as_asked_and_blank_ones_as_absent(tmp_path, uncertain, expected):
    found = loading.load([chexpert(tmp_path)], uncertain=uncertain, label_columns=("Pneumonia", "Edema"))
    np.testing.assert_array_equal(found.labels, np.array([[1, expected], [expected, 0], [0, 1]], np.float32))
    assert found.patients.tolist() == ["patient00001", "patient00002", "patient64541"]
    assert found.attributes["view"].tolist() == ["AP", "PA", "LATERAL"]
    assert found.fixed_parts.tolist() == ["train", "train", "validation"]


def test_one_finding_of_chexpert_leaves_out_images_that_are_uncertain(tmp_path):
    found = loading.load([chexpert(tmp_path)], label_columns=("Pneumonia",))
    assert found.labels[:, 1].tolist() == [1, 0]
    assert any("1 images are not used" in note for note in found.notes)


def test_medmnist_reads_gray_and_colour_with_their_parts(tmp_path):
    random = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for part, rows in (("train", 4), ("val", 2), ("test", 2)):
        arrays[f"{part}_images"] = random.integers(0, 256, (rows, 28, 28, 3), dtype=np.uint8)
        arrays[f"{part}_labels"] = np.arange(rows)[:, np.newaxis] % 2
    np.savez(tmp_path / "pneumoniamnist.npz", **arrays)
    found = loading.load([str(tmp_path / "pneumoniamnist.npz")])
    assert found.class_names == ("normal", "pneumonia")
    assert found.fixed_parts.tolist() == ["train"] * 4 + ["validation"] * 2 + ["test"] * 2
    assert found.images.names[5] == "val_images[1]"
    pixels = found.images.read(5)
    assert isinstance(pixels, np.ndarray)
    np.testing.assert_allclose(pixels, arrays["val_images"][1] / 255, atol=1e-7)
    assert len(set(found.patients)) == 8


def test_the_classes_of_breastmnist_are_put_in_order(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (2, 28, 28), dtype=np.uint8)
    np.savez(tmp_path / "breastmnist.npz", train_images=images, train_labels=[[0], [1]])
    found = loading.load([str(tmp_path / "breastmnist.npz")])
    assert found.class_names == ("normal or benign", "malignant")
    assert found.labels.tolist() == [[0, 1], [1, 0]]


def test_chestmnist_is_read_as_fourteen_findings(tmp_path):
    random = np.random.default_rng(0)
    said = random.integers(0, 2, (3, 14))
    np.savez(
        tmp_path / "chestmnist.npz", train_images=random.integers(0, 256, (3, 28, 28), np.uint8), train_labels=said
    )
    found = loading.load([str(tmp_path / "chestmnist.npz")])
    assert found.task == "multi_label"
    assert (found.class_names[0], found.class_names[13]) == ("Atelectasis", "Hernia")
    np.testing.assert_array_equal(found.labels, said)


@pytest.mark.parametrize(
    ("name", "said", "message"),
    [
        ("pneumoniamnist", [0, 1, np.nan], "row 3: missing label"),
        ("pneumoniamnist", [0, 1, 2], "row 3: the label 2 is no class, which are numbered from 0 up to 1"),
        ("pneumoniamnist", [0, 1, -1], "row 3: the label -1 is no class"),
        ("other", [0, 1, -1], "row 3: the label -1 is no class, which are numbered from 0;?"),
        ("other", [0, 1, 0.5], r"row 3: the label 0\.5 is no class"),
        ("other", [0, 1, np.inf], "row 3: the label inf is no class"),
        ("retinamnist", [0, 1, 5], "row 3: the label 5 is no class"),
        ("chestmnist", [[0, 1], [1, 0], [2, 0]], "row 3: a finding is 2, not 1, 0 or NaN"),
        ("other", ["a", "b", "c"], "train_labels: expected a number for each of 3 images. Received: an array of <U1"),
        ("other", [0, 1], r"expected a number for each of 3 images. Received: an array of int64, shape \(2,\)"),
        ("other", 0, "expected a number for each of 3 images"),
    ],
)
def test_labels_of_medmnist_that_are_no_class_are_refused(tmp_path, name, said, message):
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28), dtype=np.uint8)
    np.savez(tmp_path / f"{name}.npz", train_images=images, train_labels=said)
    with pytest.raises(errors.InputError, match=message):
        loading.load([str(tmp_path / f"{name}.npz")])


def test_medmnist_may_have_an_empty_part_and_unknown_findings(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (2, 28, 28), dtype=np.uint8)
    empty: dict[str, Any] = {"val_images": images[:0], "val_labels": np.zeros((0, 1))}
    np.savez(tmp_path / "some.npz", train_images=images, train_labels=[[0, np.nan], [1.0, 1]], **empty)
    found = loading.load([str(tmp_path / "some.npz")])
    np.testing.assert_array_equal(found.labels, np.array([[0, np.nan], [1, 1]], np.float32))
    np.savez(tmp_path / "flat.npz", train_images=images[0, 0], train_labels=[0])
    with pytest.raises(errors.InputError, match=r"train_images: expected \(images, height, width\).*Received: \(28,\)"):
        loading.load([str(tmp_path / "flat.npz")])


def test_several_classes_keep_the_order_of_their_numbers(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 3), dtype=np.uint8)
    np.savez(tmp_path / "dermamnist_64.npz", train_images=images, train_labels=[[6], [2], [0]])
    found = loading.load([str(tmp_path / "dermamnist_64.npz")])
    assert found.class_names == ("actinic keratosis", "benign keratosis", "vascular lesion")


def test_a_public_set_is_read_by_its_name(tmp_path, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (2, 28, 28), dtype=np.uint8)
    np.savez(tmp_path / "pneumoniamnist.npz", train_images=images, train_labels=[[0], [1]])
    monkeypatch.setattr(medmnist, "fetch", lambda name: tmp_path / f"{name}.npz")
    assert loading.load(["pneumoniamnist"]).class_names == ("normal", "pneumonia")


@pytest.mark.parametrize("name", ["kermany", "nih", "chexpert"])
def test_sets_that_a_person_must_ask_for_come_with_directions(name):
    with pytest.raises(errors.InputError, match=rf"{name}: .*Get it from https://"):
        loading.load([name])


def test_an_npz_of_something_else_is_refused(tmp_path):
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    with pytest.raises(errors.InputError, match=r"train_images.*Received: weights"):
        loading.load([str(tmp_path / "other.npz")])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"patient,label\n", "not a JPEG, PNG or DICOM image"),
        (pictures.encoded(0)[:-20], "truncated"),
        (pictures.encoded(0)[:15], "truncated or damaged"),
        (pictures.encoded(0, kind="JPEG")[:400], "truncated"),
        (
            pictures.encoded(0)[:16] + (20_000).to_bytes(4, "big") * 2 + pictures.encoded(0)[24:],
            "20,000 x 20,000 pixels",
        ),
    ],
)
def test_a_bad_file_is_refused_by_name_or_set_aside(tmp_path, content, reason):
    kermany(tmp_path)
    pictures.put(tmp_path / "NORMAL" / "bad.png", content)
    with pytest.raises(errors.InputError, match=rf"1 of 9 images cannot be used.*NORMAL/bad.png, row \d: {reason}"):
        loading.load([str(tmp_path)])
    found = loading.load([str(tmp_path)], skip_bad=True, quarantine=tmp_path / "quarantine.csv")
    assert (len(found.labels), found.quarantined) == (8, 1)
    aside = pd.read_csv(tmp_path / "quarantine.csv")
    assert list(aside.columns) == ["file", "row", "reason", "image"]
    assert aside["image"].tolist() == ["NORMAL/bad.png"]
    assert aside["reason"][0].startswith(reason)


def test_damage_inside_a_file_is_found_when_bad_files_are_to_be_set_aside(tmp_path):
    kermany(tmp_path)
    whole = pictures.encoded(0)
    middle = whole.index(b"IDAT") + 10
    pictures.put(tmp_path / "NORMAL" / "bad.png", whole[:middle] + bytes(40) + whole[middle + 40 :])
    found = loading.load([str(tmp_path)], skip_bad=True, quarantine=tmp_path / "quarantine.csv")
    assert found.quarantined == 1
    assert "cannot be decoded" in pd.read_csv(tmp_path / "quarantine.csv")["reason"][0]


def write_dicom(path, seed, **elements):
    """A radiograph of 16 bits, of which 12 are used."""
    pixels = np.random.default_rng(seed).integers(0, 4096, (12, 10), dtype=np.uint16)
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = pydicom.uid.UID("1.2.840.10008.5.1.4.1.1.1")
    meta.MediaStorageSOPInstanceUID = pydicom.uid.UID(f"1.2.{seed + 1}")
    dataset = pydicom.Dataset()
    dataset.file_meta = meta
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = 12, 10, 1
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelData = pixels.tobytes()
    for name, value in elements.items():
        setattr(dataset, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return pixels


def test_dicom_gives_patient_attributes_and_pixels_from_folders_and_tables(tmp_path):
    known = {"PatientID": "A7", "PatientSex": "F", "PatientAge": "061Y", "ViewPosition": "AP"}
    pixels = write_dicom(tmp_path / "ill" / "one.dcm", 1, **known)
    write_dicom(tmp_path / "normal" / "two", 2, PatientID="B8")
    found = loading.load([str(tmp_path)])
    assert found.class_names == ("normal", "ill")
    assert found.patients.tolist() == ["A7", "B8"]
    assert found.attributes.iloc[0].to_dict() == {"sex": "F", "age": 61.0, "view": "AP"}
    low, high = int(pixels.min()), int(pixels.max())
    shown = found.images.read(0)
    assert isinstance(shown, np.ndarray)
    np.testing.assert_allclose(shown[:, :, 0], (pixels - low) / (high - low), atol=1e-6)
    path = write_table(tmp_path / "t.csv", [["ill/one.dcm", "ill"], ["normal/two", "normal"]], ["image", "label"])
    assert loading.load([path]).patients.tolist() == ["A7", "B8"]
    split = splits.Split(part=np.array(["train"] * 2), unit=np.arange(2), unit_name="patient", method="", seed=0)
    data.write(found, data.frame(found, split), tmp_path / "copy")
    assert pictures.decoded(loading.load([str(tmp_path / "copy")]).images.read(0)).max() == 65535


def test_dicom_of_several_frames_is_set_aside_or_refused_when_read(tmp_path):
    write_dicom(tmp_path / "ill" / "one.dcm", 1)
    write_dicom(tmp_path / "normal" / "two.dcm", 2)
    write_dicom(tmp_path / "normal" / "film.dcm", 3, NumberOfFrames=3)
    found = loading.load([str(tmp_path)], skip_bad=True, quarantine=tmp_path / "quarantine.csv")
    assert "3 frames" in pd.read_csv(tmp_path / "quarantine.csv")["reason"][0]
    assert len(found.labels) == 2
    whole = loading.load([str(tmp_path)])
    with pytest.raises(errors.InputError, match=r"normal/film\.dcm.*3 frames"):
        whole.images.read(whole.images.names.tolist().index("normal/film.dcm"))
    streamed = [item for _, items in data.iterate_images([tmp_path], chunk_rows=2) for item in items]
    assert [isinstance(item, bytes) for item in streamed] == [False, True, False]


def test_images_that_a_generator_drew_are_known_as_synthetic(tmp_path):
    source = pictures.place(tmp_path, ["a/1.png", "b/2.png"])
    assert not loading.load([source]).synthetic
    pictures.put(tmp_path / "synthetic.json", b"{}")
    assert loading.load([source]).synthetic


@pytest.mark.parametrize("progressive", [False, True])
def test_the_end_of_a_thumbnail_is_not_the_end_of_the_image(progressive):
    small = io.BytesIO()
    Image.new("L", (16, 16), 9).save(small, "JPEG")
    buffer = io.BytesIO()
    whole = Image.open(io.BytesIO(pictures.encoded(1, size=(200, 200))))
    whole.save(buffer, "JPEG", exif=b"Exif\0\0" + small.getvalue(), progressive=progressive)
    content = buffer.getvalue()
    assert content.count(b"\xff\xd9") == 2
    assert file_types.damage(content) == file_types.damage(content + bytes(100_000)) == ""
    scan = content.rindex(b"\xff\xda")
    for cut in (len(content) - 2, scan + 20, scan, scan - 10):
        assert file_types.damage(content[:cut]) == "truncated: the end of the image is missing"


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_the_sides_read_from_a_header_are_those_that_pillow_reads(kind, mode):
    content = pictures.encoded(1, size=(37, 53), kind=kind, mode=mode)
    sides = file_types.png_sides(content) if kind == "PNG" else file_types.jpeg_sides(content)
    assert sides == Image.open(io.BytesIO(content)).size == (37, 53)
    assert file_types.damage(content) == ""


def test_a_progressive_jpeg_with_a_comment_is_whole():
    buffer = io.BytesIO()
    Image.new("L", (64, 32), 3).save(buffer, "JPEG", progressive=True, comment=b"\xff" * 40)
    assert file_types.jpeg_sides(buffer.getvalue()) == (64, 32)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["1.png", "a"], ["gone.png", "b"]], "row 3: no such image: 'gone.png'"),
        ([["1.png", "a"], ["2.png", ""]], "row 3: missing label"),
        ([["1.png", "a"], ["", "b"]], "row 3: missing image"),
        ([["1.png", "a"], ["2.png", "b"], ["1.png", "b"]], "row 2: the same image also occurs with another label"),
        ([["1.png", "a"], ["2.png", "a"]], "one class, 'a'"),
    ],
)
def test_a_table_with_a_fault_is_refused_with_its_row(tmp_path, rows, message):
    pictures.place(tmp_path, ["1.png", "2.png"])
    with pytest.raises(errors.InputError, match=message):
        loading.load([write_table(tmp_path / "t.csv", rows, ["image", "label"])])


@pytest.mark.parametrize("said", ["NA", "nan", "N/A", "<NA>", "NULL", "  "])
def test_what_programs_write_for_nothing_is_a_missing_label_and_no_class(tmp_path, said):
    pictures.place(tmp_path, ["1.png", "2.png", "3.png"])
    rows = [["1.png", "ill"], ["2.png", "well"], ["3.png", said]]
    with pytest.raises(errors.InputError, match=r"1 of 3 images.*row 4: missing label"):
        loading.load([write_table(tmp_path / "t.csv", rows, ["image", "label"])])


def test_a_folder_called_nan_is_no_class(tmp_path):
    with pytest.raises(errors.InputError, match=r"1 of 3 images.*NaN/3\.png, row 1: missing label"):
        loading.load([pictures.place(tmp_path, ["ill/1.png", "well/2.png", "NaN/3.png"])])


def test_rows_of_another_width_are_bad_rows_with_their_line(tmp_path):
    pictures.place(tmp_path, ["1.png", "2.png", "3.png", "4.png"])
    lines = ["image,label,patient", "1.png,a,p", "2.png,b", "3.png,x,b,q", "", "4.png,b,s,,", "2.png,b,q"]
    path = pictures.put(tmp_path / "t.csv", "\n".join(lines).encode())
    with pytest.raises(
        errors.InputError, match=r"2 of 5 .*row 3: 2 fields instead of 3.*; .*row 4: 4 fields instead of 3"
    ):
        loading.load([str(path)])
    found = loading.load([str(path)], skip_bad=True, quarantine=tmp_path / "quarantine.csv")
    assert found.rows.tolist() == [2, 6, 7]
    assert pd.read_csv(tmp_path / "quarantine.csv")["image"].tolist() == ["2.png,b", "3.png,x,b,q"]


@pytest.mark.parametrize("line", ['"1.png,a,p', '1.png,"a,p', '1.png,a,"p'])
def test_a_quotation_mark_that_is_not_closed_costs_its_row_and_is_said_briefly(tmp_path, line):
    pictures.place(tmp_path, ["1.png", "2.png", "3.png"])
    # More than a field of Python's csv may hold.
    others = f"2.png,b,q,{'x' * 5000}\n3.png,c,r,\n" * 30
    path = pictures.put(tmp_path / "t.csv", f"image,label,patient,remark\n{line},\n{others}".encode())
    with pytest.raises(errors.InputError, match="row 2: ") as caught:
        loading.load([str(path)])
    assert len(str(caught.value)) < 1000
    found = loading.load([str(path)], skip_bad=True)
    assert found.images.names.tolist() == ["2.png", "3.png"]


def test_a_label_that_swallowed_rows_is_no_class(tmp_path):
    pictures.place(tmp_path, ["1.png", "2.png", "3.png"])
    swallowed = b'image,label\n1.png,"a\n2.png,b\n"\n2.png,b\n3.png,a\n'
    path = pictures.put(tmp_path / "t.csv", swallowed)
    with pytest.raises(errors.InputError, match=r"row 2: the label 'a\.\.\.' has several lines"):
        loading.load([str(path)])


def test_a_name_too_long_for_the_file_system_is_a_missing_image(tmp_path):
    pictures.place(tmp_path, ["1.png"])
    with pytest.raises(errors.InputError, match=r"row 3: no such image: 'xxx.*xx\.\.\.'"):
        loading.load([write_table(tmp_path / "t.csv", [["1.png", "a"], ["x" * 5000, "b"]], ["image", "label"])])


def test_a_patient_that_the_table_does_not_name_is_sought_in_the_file_and_counted(tmp_path):
    names = ["person12_virus_7.jpeg", "a.jpeg", "b.jpeg", "c.jpeg"]
    pictures.place(tmp_path, names)
    write_dicom(tmp_path / "d.dcm", 1, PatientID="A7")
    rows = list(zip([*names, "d.dcm"], "abaab", ["", "p1", " ", "NaN", "unknown"], strict=True))
    found = loading.load([write_table(tmp_path / "t.csv", rows, ["image", "label", "patient"])])
    assert found.patients.tolist() == ["person12", "p1", "b.jpeg", "c.jpeg", "A7"]
    assert [note for note in found.notes if "patient of 2 images is not known" in note]


def test_an_image_listed_twice_counts_once_and_keeps_its_patient(tmp_path):
    pictures.place(tmp_path, ["1.png", "2.png", "3.png"])
    rows = [["1.png", "a", ""], ["2.png", "b", "q"], ["./1.png", "A", "p"], ["2.png", "b", "q"], ["3.png", "b", ""]]
    found = loading.load([write_table(tmp_path / "t.csv", rows, ["image", "label", "patient"])])
    assert found.rows.tolist() == [3, 4, 6]
    assert found.patients.tolist() == ["q", "p", "3.png"]
    assert any("2 rows list an image again" in note for note in found.notes)


def test_an_image_listed_with_two_patients_is_refused(tmp_path):
    pictures.place(tmp_path, ["1.png", "2.png"])
    rows = [["1.png", "a", "p"], ["2.png", "b", "q"], ["1.png", "a", "r"]]
    with pytest.raises(errors.InputError, match=r"2 of 3 .*row 2: the same image also occurs with another patient"):
        loading.load([write_table(tmp_path / "t.csv", rows, ["image", "label", "patient"])])


def test_a_finding_that_no_image_is_known_to_have_is_noted(tmp_path):
    pictures.place(tmp_path, ["1.png", "2.png"])
    rows = [["1.png", 1, 0, "NA"], ["2.png", 0, 0, 1]]
    found = loading.load([write_table(tmp_path / "t.csv", rows, ["image", "edema", "mass", "hernia"])])
    np.testing.assert_array_equal(found.labels, np.array([[1, 0, np.nan], [0, 0, 1]], np.float32))
    assert [note for note in found.notes if "no image is known to show mass:" in note]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b",,\n1,2,3\n",
        b'"image,label\n1,2\n',
        b"image,label\n1\n",
        b"image,label\n",
        b"image,image\n1,2\n",
        b"\xff\xfe\x00\xd8",
    ],
)
def test_a_table_that_cannot_be_read_is_refused(tmp_path, content):
    path = pictures.put(tmp_path / "t.csv", content)
    with pytest.raises(errors.InputError, match=r"t\.csv"):
        loading.load([str(path)])


def test_a_source_that_is_not_there_or_holds_nothing_is_refused(tmp_path):
    with pytest.raises(errors.InputError, match="Received: none of these"):
        loading.load([str(tmp_path / "nowhere")])
    with pytest.raises(errors.InputError, match="Received: none"):
        loading.load([str(tmp_path)])
    with pytest.raises(errors.InputError, match="Received: another file"):
        loading.load([str(pictures.put(tmp_path / "x.bin", b"12345"))])


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["pneumonia", "normal"], ("normal", "pneumonia")),
        (["covid", "No_Finding"], ("No_Finding", "covid")),
        (["1", "0"], ("0", "1")),
        (["10", "9", "2"], ("2", "9", "10")),
        (["b", "a"], ("a", "b")),
        (["Ill", "ill ", "healthy"], ("healthy", "Ill")),
    ],
)
def test_classes_stand_in_canonical_order(names, expected):
    assert readers.order_classes(names) == expected


@pytest.mark.parametrize(("text", "years"), [("058Y", 58), ("018M", 1.5), ("7", 7), ("411Y", None), ("old", None)])
def test_ages_are_read_in_years(text, years):
    assert cells.age_years(text) == years


def test_a_patient_of_another_naming_is_not_guessed():
    assert folders.identify(pathlib.Path("00000013_005.png")).patient == ""


@given(st.binary(max_size=300), st.sampled_from(["PNG", "JPEG", "none"]), st.integers(0, 400))
def test_any_bytes_are_judged_without_an_exception(noise, kind, at):
    content = noise if kind == "none" else pictures.encoded(0, kind=kind)
    if kind != "none":
        content = content[:at] + noise + content[at + len(noise) :]
    assert isinstance(file_types.damage(content), str)
    assert isinstance(images.decoding_problem(content), str)


@given(st.binary(max_size=200), st.sampled_from([".csv", ".tsv", ".parquet"]))
def test_any_bytes_as_a_table_are_read_or_refused(tmp_path, content, suffix):
    path = pictures.put(tmp_path / f"any{suffix}", content)
    with contextlib.suppress(errors.InputError):
        assert len(table_files.read(path)[0])


@given(st.binary(max_size=200), st.integers(0, 900))
def test_any_npz_is_read_or_refused(tmp_path, noise, at):
    np.savez_compressed(tmp_path / "any.npz", train_images=np.zeros((2, 4, 4), np.uint8), train_labels=[[0], [1]])
    content = (tmp_path / "any.npz").read_bytes()
    path = pictures.put(tmp_path / "any.npz", content[:at] + noise + content[at + len(noise) :])
    with contextlib.suppress(errors.InputError):
        loading.load([str(path)])
