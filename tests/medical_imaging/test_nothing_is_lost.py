"""Whatever lies in a source is read, or counted; parts, columns and labels mean what they say, or are refused."""

import decimal
import os
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from apps.medical_imaging import data
from apps.medical_imaging.readers import cells, sources, table_files
from apps.medical_imaging.readers import folders as folder_names
from apps.medical_imaging.readers import images as image_files
from shared import errors
from tests.medical_imaging import loading, pictures
from tests.medical_imaging.test_readers import write_dicom, write_table


def noted(found: data.Radiographs, text: str) -> bool:
    return any(text in note for note in found.notes)


def parts_of(found: data.Radiographs) -> dict[str, int]:
    return dict(zip(*np.unique(found.fixed_parts, return_counts=True), strict=True))


def table_of(folder: pathlib.Path, columns: Mapping[str, list[Any]], *, rows: int = 10, name: str = "t.csv") -> str:
    names = [f"{row}.png" for row in range(rows)]
    pictures.place(folder, names)
    return write_table(folder / name, pd.DataFrame({"image": names, **columns}).to_numpy(), ["image", *columns])


# Files.


def test_dicom_is_read_whatever_its_name_and_a_dicomdir_is_counted(tmp_path):
    names = ["ill/1.2.826.0.1.3680043.8.498.1", "ill/a.IMA", "ill/b", "well/1.2.826.0.1.3680043.8.498.2", "well/c.DCM"]
    for seed, name in enumerate(names):
        write_dicom(tmp_path / name, seed, PatientID=f"P{seed}")
    write_dicom(tmp_path / "DICOMDIR", 9)
    content = (tmp_path / "DICOMDIR").read_bytes()
    content = content.replace(b"1.2.840.10008.5.1.4.1.1.1\0", b"1.2.840.10008.1.3.10\0\0\0\0\0\0")
    (tmp_path / "DICOMDIR").write_bytes(content)
    found = loading.load([str(tmp_path)])
    assert sorted(found.images.names) == sorted(names)
    assert found.class_names == ("ill", "well")
    assert noted(found, "1 files not read: no suffix x1")
    assert noted(found, "DICOMDIR")
    listed = sources.listed(tmp_path)
    assert len(listed.entries) == 5
    assert any("not read" in note for note in listed.notes)


def test_jpeg_and_png_are_read_by_unusual_suffixes_or_none(tmp_path):
    for seed, name in enumerate(["a/1.jfif", "a/2.jpe", "b/3.JPG", "b/4", "b/5.PNG"]):
        pictures.put(tmp_path / name, pictures.encoded(seed, kind="PNG" if seed > 2 else "JPEG"))
    assert len(loading.load([str(tmp_path)]).labels) == 5


def test_links_inside_are_followed_and_those_that_lead_out_are_refused_or_asked_for(tmp_path):
    pictures.place(tmp_path / "set", ["train/a/1.png", "train/b/2.png", "more/a/3.png", "more/b/4.png"])
    (tmp_path / "set" / "test").symlink_to("more")
    shutil.move(tmp_path / "set" / "more", tmp_path / "outside")
    (tmp_path / "set" / "test").unlink()
    (tmp_path / "set" / "test").symlink_to(tmp_path / "outside")
    with pytest.raises(errors.InputError, match=r"--follow-links.*test -> "):
        loading.load([str(tmp_path / "set")])
    found = loading.load([str(tmp_path / "set")], follow_links=True)
    assert parts_of(found) == {"train": 2, "test": 2}
    (tmp_path / "set" / "test").unlink()
    (tmp_path / "set" / "test").write_text("../outside")
    with pytest.raises(errors.InputError, match=r"test: expected the folder of a part.*'\.\./outside'"):
        loading.load([str(tmp_path / "set")])


def test_masks_and_pictures_beside_the_folders_of_classes_are_counted_and_left_out(tmp_path):
    pictures.place(tmp_path, [f"COVID/images/{n}.png" for n in range(6)], first_seed=0)
    pictures.place(tmp_path, [f"Normal/images/{n}.png" for n in range(6)], first_seed=20)
    pictures.place(tmp_path, ["COVID/masks/0.png", "Normal/masks/0.png", "Normal/images/0_mask.png"], first_seed=40)
    pictures.place(tmp_path, ["results.jpg"], first_seed=50)
    found = loading.load([str(tmp_path)])
    assert found.class_names == ("Normal", "COVID")
    assert found.labels.sum(axis=0).tolist() == [6, 6]
    assert noted(found, "3 images are left out as masks")
    assert noted(found, "1 images lie in no folder of a class")


@pytest.mark.parametrize("names", [["set/a/1.png", "set/b/2.png"], ["set/a/1.png", "set/b/2.png", "set/b/c/3.png"]])
def test_a_loose_file_does_not_settle_at_which_level_classes_are(names):
    places = [folder_names.read_place(pathlib.PurePath(name)) for name in [*names * 20, "broken.png"]]
    assert set(folder_names.classes(places)) == {"a", "b", None}


def test_classes_may_stand_above_the_parts_and_patients_and_studies_are_none(tmp_path):
    names = [
        f"{kind}/{part}/patient{place}{at}/study1/1.png"
        for at, kind in enumerate(("ill", "well"))
        for place, part in enumerate(("train", "test"))
    ]
    found = loading.load([pictures.place(tmp_path, names)])
    assert found.class_names == ("ill", "well")
    assert parts_of(found) == {"train": 2, "test": 2}
    assert set(found.patients) == {"patient00", "patient10", "patient01", "patient11"}


def test_an_archive_is_told_from_another_file(tmp_path):
    for name in ("set.zip", "set.tar"):
        pictures.put(tmp_path / name, b"PK\3\4")
        with pytest.raises(errors.InputError, match="an archive; unpack it"):
            loading.load([str(tmp_path / name)])
        with pytest.raises(errors.InputError, match="an archive; unpack it"):
            sources.listed(tmp_path / name)


# Tables of public sets.

CHEXPERT = ("No Finding", "Cardiomegaly", "Edema", "Pneumonia", "Pleural Effusion")


def chexpert(folder, name, rows, *, quoting=0, encoding="utf-8", header=None):
    """Write images of patients in two parts of a release, and a table of them."""
    listed = []
    for number, (part, patient) in enumerate(rows):
        path = f"{part}/patient{patient:05d}/study{number}/view1_frontal.jpg"
        pictures.put(folder / path, pictures.encoded(1000 * patient + number + (part == "valid") * 500, kind="JPEG"))
        listed.append([f"CheXpert-v1.0-small/{path}", "Male", 40, "Frontal", "AP", number % 2, "", 1, "", -1])
    columns = header or ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *CHEXPERT]
    pd.DataFrame(listed, columns=columns).to_csv(folder / name, index=False, quoting=quoting, encoding=encoding)


@pytest.mark.parametrize(
    ("quoting", "encoding", "header"),
    [
        (1, "utf-8", None),
        (0, "utf-16", None),
        (0, "utf-8-sig", None),
        (0, "utf-8", ["path", "SEX", "age", "frontal_lateral", "ap_pa", *(name.lower() for name in CHEXPERT)]),
    ],
)
def test_chexpert_is_known_by_its_columns_whatever_the_name_of_the_table(tmp_path, quoting, encoding, header):
    rows = [("train", 1), ("train", 1), ("train", 2), ("train", 3)]
    chexpert(tmp_path, "labels_by_chexbert.csv", rows, quoting=quoting, encoding=encoding, header=header)
    chexpert(tmp_path, "valid.csv", [("valid", 9), ("valid", 8)])
    pictures.place(tmp_path, ["train/patient00077/study1/view1_frontal.jpg"], first_seed=77)
    found = loading.load([str(tmp_path)])
    assert parts_of(found) == {"train": 4, "validation": 2}
    assert len(set(found.patients)) == 5
    assert found.class_names == CHEXPERT
    assert noted(found, "1 images are in no row of a table")
    assert found.columns["Path"].startswith("image")
    assert found.columns["Edema"] == "label: finding"
    alone = loading.load([str(tmp_path / "labels_by_chexbert.csv")])
    assert (len(alone.labels), len(set(alone.patients))) == (4, 3)


def test_a_table_of_another_set_with_a_column_path_is_not_taken_for_chexpert(tmp_path):
    pictures.place(tmp_path, ["1.png", "2.png"])
    path = write_table(tmp_path / "t.csv", [["1.png", 1, 0], ["2.png", 0, 1]], ["path", "Edema", "Mass"])
    assert sources.recognise(pathlib.Path(path)) == "table"
    assert loading.load([path]).class_names == ("Edema", "Mass")


def nih(folder, names, *, table="Data_Entry_2017.csv"):
    rows = [[name, "Mass" if at % 2 else "No Finding", f"{at}"] for at, name in enumerate(names)]
    write_table(folder / table, rows, ["Image Index", "Finding Labels", "Patient ID"])


def test_one_name_of_nih_in_two_folders_is_refused_unless_the_files_are_equal(tmp_path):
    pictures.place(tmp_path, ["images_001/a.png", "images_002/b.png"])
    shutil.copy(tmp_path / "images_001" / "a.png", tmp_path / "images_002" / "a.png")
    nih(tmp_path, ["a.png", "b.png"], table="sample_labels.csv")
    assert noted(loading.load([str(tmp_path)]), "1 images lie in several folders")
    pictures.put(tmp_path / "images_002" / "a.png", pictures.encoded(99))
    with pytest.raises(errors.InputError, match=r"a\.png\. Received: images_001/a\.png and images_002/a\.png"):
        loading.load([str(tmp_path)])


def test_lists_of_nih_give_parts_are_counted_and_may_not_contradict(tmp_path):
    pictures.place(tmp_path, [f"images/{name}.png" for name in "abcd"])
    nih(tmp_path, [f"{name}.png" for name in "abc"])
    (tmp_path / "train_val_list.txt").write_text("a.png\r\nb.png\r\n")
    (tmp_path / "val_list.txt").write_text("b.png\n")
    (tmp_path / "test_list.txt").write_text("c.png\ngone.png\n")
    found = loading.load([str(tmp_path)])
    assert found.fixed_parts.tolist() == ["train", "validation", "test"]
    assert noted(found, "1 images of the lists of parts are not in the table")
    assert noted(found, "1 images are in no row of a table")
    (tmp_path / "test_list.txt").write_text("c.png\na.png\n")
    with pytest.raises(errors.InputError, match=r"a\.png in one part only"):
        loading.load([str(tmp_path)])


# Columns.


@pytest.mark.parametrize(
    ("name", "slip"), [("Effusion", "?"), ("Effusion", "2"), ("seen", "pending"), ("seen", "1;0"), ("Edema", "0.5")]
)
def test_one_cell_that_fails_in_a_column_of_findings_is_refused_with_its_place(tmp_path, name, slip):
    said = [0, 1] * 5
    path = table_of(tmp_path, {"other": said, name: [*said[:6], slip, *said[7:]]})
    with pytest.raises(errors.InputError, match=rf"t\.csv, row 8: column '{name}': .*--label-columns.*Received: "):
        loading.load([path])
    found = loading.load([path], skip_bad=True)
    assert (found.class_names, len(found.labels)) == (("other", name), 9)


@pytest.mark.parametrize(
    ("yes", "no"),
    [("True", "False"), ("yes", "no"), ("Y", "n"), ("t", "f"), ("1,0", "0,0"), ("1.0", "0"), ("TRUE", "0")],
)
def test_findings_are_read_in_every_usual_way(tmp_path, yes, no):
    path = table_of(tmp_path, {"seen": [yes, no] * 5, "portable": [0, 0, 1, 1, 0] * 2})
    found = loading.load([path])
    assert found.class_names == ("seen", "portable")
    np.testing.assert_array_equal(found.labels[:, 0], [1, 0] * 5)
    assert found.columns == {"image": "image", "seen": "label: finding", "portable": "label: finding"}
    assert noted(found, "no column is named label, so the columns of 1 and 0 are the labels: seen, portable")


def test_a_decimal_comma_of_one_cell_is_settled_by_the_option_only(tmp_path):
    path = table_of(tmp_path, {"seen": ["1,0", *[0, 1] * 4, 1], "other": [0, 1] * 5})
    with pytest.raises(errors.InputError, match="row 2: column 'seen'"):
        loading.load([path])
    assert loading.load([path], decimal="comma").labels[0, 0] == 1


def test_every_column_has_a_role_and_what_is_not_read_has_a_reason(tmp_path):
    columns: dict[str, list[Any]] = {
        "patient": [f"p{row}" for row in range(10)],
        "age": [50] * 9 + ["old"],
        "score": [row / 7 for row in range(10)],
        "visits": [0, 1, 2, 3, 0, 1, 1, 0, 1, 4],
        "split": ["Train"] * 6 + ["val", " TEST ", "test_set", ""],
        "Edema": [0, 1] * 5,
    }
    found = loading.load([table_of(tmp_path, columns)])
    assert found.class_names == ("0", "1")
    assert found.columns["Edema"] == "label"
    assert found.columns["split"] == "official part"
    assert found.columns["patient"] == "patient"
    assert found.columns["age"] == "attribute: age"
    assert found.columns["visits"].startswith("not read: 3 of 10 cells are neither 1 nor 0")
    assert noted(found, "columns that are not read: score")
    assert noted(found, "column 'age': 1 cells count as missing, the first in row 11: 'old'")
    assert parts_of(found) == {"": 1, "train": 6, "validation": 1, "test": 2}


def test_a_cell_that_is_no_part_is_refused_unless_the_user_gives_the_parts(tmp_path):
    path = table_of(tmp_path, {"label": ["a", "b"] * 5, "split": ["train"] * 9 + ["holdout"]})
    with pytest.raises(errors.InputError, match=r"row 11, column 'split': .*--split-file.*Received: 'holdout'"):
        loading.load([path])
    assert loading.load([path], split_file="parts.csv").columns["split"] == "not read: 'holdout' is no part"


@pytest.mark.parametrize(
    ("labels", "slip"), [(["ill", "well"], "?"), ([0, 1], "pending"), (["yes", "no"], "maybe"), ([0, 1], "x")]
)
def test_a_slip_in_the_column_of_labels_is_no_class(tmp_path, labels, slip):
    path = table_of(tmp_path, {"label": [*labels * 4, labels[0], slip], "portable": [0, 1] * 5})
    with pytest.raises(errors.InputError, match=r"row 11: column 'label': expected .*Received: "):
        loading.load([path])
    found = loading.load([path], skip_bad=True)
    assert len(found.class_names) == 2
    assert found.columns["portable"] == "not read: the label is 'label'"


def test_a_label_written_as_a_fraction_is_the_whole_number(tmp_path):
    path = table_of(tmp_path, {"label": ["0", "1", "0.0", "1.0", "1,0"] * 2})
    assert loading.load([path]).labels.sum(axis=0).tolist() == [4, 6]
    assert loading.load([path], class_names=("0.0", "1.0")).labels.sum(axis=0).tolist() == [4, 6]


def test_names_that_are_words_for_nothing_are_the_same_in_csv_and_parquet(tmp_path):
    columns = {"label": ["None", "null", "None", "mass"] * 3, "patient": ["NA", "AB", "CD", "NA"] * 3}
    columns["site"] = ["NA", "null", "x", "None"] * 3
    text = table_of(tmp_path, columns, rows=12)
    table = pd.read_csv(text, dtype=str, keep_default_na=False)
    table.to_parquet(tmp_path / "t.parquet")
    both = [loading.load([path], skip_bad=True) for path in (text, str(tmp_path / "t.parquet"))]
    assert both[0].sha256 == both[1].sha256
    assert set(both[0].patients) == {"NA", "CD"}
    assert both[0].class_names == ("None", "mass")
    assert both[0].attributes["site"].tolist() == both[1].attributes["site"].tolist()


def test_columns_of_any_type_of_parquet_are_read_or_refused(tmp_path):
    pictures.place(tmp_path, ["1.png", "2.png", "3.png"])
    odd = {
        "bytes": pa.array([b"\xff\x00", b"a", None]),
        "list": pa.array([[1], [2, 3], None]),
        "struct": pa.array([{"a": 1}] * 3),
        "time": pa.array([1, 2, None], pa.timestamp("ns")),
        "decimal": pa.array([decimal.Decimal("1.0"), decimal.Decimal("0.0"), None], pa.decimal128(5, 1)),
        "null": pa.nulls(3),
        "category": pa.array(["a", "b", None]).dictionary_encode(),
    }
    good = {
        "image": pa.array([b"1.png", b"2.png", b"3.png"]),
        "label": pa.array([True, False, True]),
        "patient": pa.array([1.0, None, 7.0]),
    }
    path = tmp_path / "t.parquet"
    pyarrow.parquet.write_table(pa.table({**good, **odd}), path)
    found = loading.load([str(path)])
    assert found.class_names == ("False", "True")
    assert found.patients.tolist() == ["1", "2.png", "7"]
    for name in odd:
        pyarrow.parquet.write_table(pa.table({**good, "label": odd[name]}), path)
        with pytest.raises(errors.InputError):
            loading.load([str(path)])


# Records.


def test_rows_that_a_quotation_mark_would_merge_are_bad_rows(tmp_path):
    pictures.place(tmp_path, [f"{row}.png" for row in range(6)])
    text = 'image,label,remark\n0.png,a,"5 cm"\n1.png,b,"6 cm\n2.png,a,x\n3.png,b,"7 cm\n4.png,a,x\n5.png,b,"" \n'
    path = pictures.put(tmp_path / "t.csv", text.encode())
    with pytest.raises(errors.InputError, match=r"row 3: .*quotation mark"):
        loading.load([str(path)])
    table, broken = table_files.read(path)
    assert len(table) + len(broken) == 6


def test_a_bad_image_of_a_table_is_named_beside_its_row(tmp_path):
    path = table_of(tmp_path, {"label": ["a", "b"] * 5})
    pictures.put(tmp_path / "4.png", b"")
    with pytest.raises(errors.InputError, match=r"t\.csv, row 6: empty file \(image 4\.png\)"):
        loading.load([path])


def test_text_in_another_encoding_is_refused_with_its_line(tmp_path):
    path = pictures.put(tmp_path / "t.csv", "image,label\n1.png,krank\n2.png,gesund für\n".encode("cp1252"))
    with pytest.raises(errors.InputError, match=r"t\.csv: line 3, byte .*UTF-8.*Received: "):
        loading.load([str(path)])


# Keys and parts.


def test_patients_that_differ_by_case_or_zeros_are_one_and_noted(tmp_path):
    ids = ["007", "7", "P1", "p01", "12.0", "x", "y", "z", "u", "v"]
    found = loading.load([table_of(tmp_path, {"label": ["a", "b"] * 5, "patient": ids})])
    assert found.patients.tolist() == ["007", "007", "P1", "P1", "12.0", "x", "y", "z", "u", "v"]
    assert noted(found, "2 patient ids differ from others by case or zeros only")


def test_an_image_with_two_labels_names_both_places(tmp_path):
    names = ["a/1.png", "b/2.png", "b/3.png"]
    pictures.place(tmp_path, names)
    shutil.copy(tmp_path / "a" / "1.png", tmp_path / "b" / "2.png")
    with pytest.raises(errors.InputError, match=r"another label, in .*b/2\.png, row 2.*another label, in .*a/1\.png"):
        loading.load([str(tmp_path)])


def test_two_sources_of_one_name_have_counts_of_their_own(tmp_path):
    one = pictures.place(tmp_path / "one" / "set", ["a/1.png", "b/2.png"])
    two = pictures.place(tmp_path / "two" / "set", ["a/1.png", "b/2.png", "b/3.png"], first_seed=9)
    found = loading.load([one, two])
    assert noted(found, "source 1, set: 2 images (1 a, 1 b)")
    assert noted(found, "source 2, set: 3 images (1 a, 2 b)")


def test_sources_of_which_one_numbers_its_classes_are_refused(tmp_path):
    one = table_of(tmp_path / "one", {"label": [0, 1] * 5})
    two = pictures.place(tmp_path / "two", ["ill/1.png", "well/2.png"], first_seed=50)
    with pytest.raises(errors.InputError, match="numbers in t: 0, 1; names in two: ill, well"):
        loading.load([one, two])


@pytest.mark.parametrize("names", [("train", "test"), ("training_set", "test_set"), ("x_train", "x_test")])
def test_parts_given_as_several_sources_are_official(tmp_path, names):
    folders = []
    for place, name in enumerate(names):
        kinds = [f"{kind}/{row}.png" for kind in ("a", "b") for row in range(12)]
        folders.append(pictures.place(tmp_path / name, kinds, first_seed=100 * place))
    found = loading.load(folders)
    assert parts_of(found) == {"train": 24, "test": 24}
    split, _ = loading.split(found, seed=0)
    assert (split.part[found.fixed_parts == "test"] == "test").all()
    assert noted(found, "by its name its images are the official test part")


def test_images_of_a_named_test_part_never_train(tmp_path):
    parts = ["test"] * 10 + [""] * 30
    found = loading.load([table_of(tmp_path, {"label": ["a", "b"] * 20, "split": parts}, rows=40)])
    split, certificate = loading.split(found, seed=0)
    assert (split.part[:10] == "test").all()
    assert set(split.part[10:]) == {"train", "validation"}
    assert any("none of train" in note for note in certificate["checks"]["notes"])
    only = loading.load([table_of(tmp_path / "x", {"label": ["a", "b"] * 5, "split": ["test"] * 10})])
    with pytest.raises(errors.InputError, match="expected images in train"):
        loading.split(only, seed=0)


@pytest.mark.parametrize("column", ["label", "patient", "split", "age", "pixels"])
def test_the_hash_of_the_data_changes_with_every_cell_that_is_read(tmp_path, column):
    columns: dict[str, list[Any]] = {
        "label": ["a", "b"] * 5,
        "patient": list("pqrstuvwxy"),
        "split": ["train", "test"] * 5,
        "age": [50] * 10,
    }
    before = loading.load([table_of(tmp_path, columns)]).sha256
    assert loading.load([str(tmp_path / "t.csv")]).sha256 == before
    if column == "pixels":
        pictures.put(tmp_path / "3.png", pictures.encoded(33))
    else:
        columns[column] = [{"label": "b", "patient": "z", "split": "test", "age": 51}[column], *columns[column][1:]]
        write_table(
            tmp_path / "t.csv",
            pd.DataFrame({"image": [f"{row}.png" for row in range(10)], **columns}).to_numpy(),
            ["image", *columns],
        )
    assert loading.load([str(tmp_path / "t.csv")]).sha256 != before


# Bits in use.


def deep(folder, bits, *, first_seed=0, images=4):
    for number in range(images):
        values = np.random.default_rng(first_seed + number).integers(0, 1 << bits, (12, 10), dtype=np.uint16)
        values[0, 0] = (1 << bits) - 1 - number
        path = folder / "ab"[number % 2] / f"{number}.png"
        pictures.put(path, cv2.imencode(".png", values)[1].tobytes())
    return str(folder)


@pytest.mark.parametrize(("bits", "expected"), [(8, 8), (9, 10), (10, 10), (12, 12), (13, 14), (14, 14), (16, 16)])
def test_the_bits_in_use_are_those_of_the_whole_source_and_noted(tmp_path, bits, expected):
    found = loading.load([deep(tmp_path, bits)])
    assert found.images.grey_bits == expected
    assert noted(found, f"values only up to {(1 << bits) - 1:,} of 65,535 in 4 images") == (expected < 16)


def test_sources_that_use_other_bits_are_refused_unless_the_number_is_given(tmp_path):
    both = [deep(tmp_path / "one", 12), deep(tmp_path / "two", 16, first_seed=9)]
    with pytest.raises(errors.InputError, match=r"--grey-bits.*1-one: 12 .*2-two: 16"):
        loading.load(both)
    found = loading.load(both, grey_bits=12)
    assert found.images.grey_bits == 12
    assert noted(found, "two: 16-bit images hold values up to 65,535: what is above 4,095 is cut off")
    assert noted(loading.load(both[:1], grey_bits=16), "they are dark here")


def test_arrays_of_16_bits_are_read_as_files_with_the_same_values(tmp_path):
    values = np.random.default_rng(0).integers(0, 4096, (4, 9, 7, 3), dtype=np.uint16)
    np.savez(tmp_path / "deep.npz", train_images=values, train_labels=[[0], [1], [0], [1]])
    found = loading.load([str(tmp_path / "deep.npz")])
    content = found.images.read(2)
    assert isinstance(content, bytes)
    np.testing.assert_array_equal(image_files.decode_deep(content), values[2])
    np.testing.assert_array_equal(
        image_files.scale_deep(values[2], bits=12), (values[2] / np.float32(4095)).astype(np.float32)
    )


def test_a_table_in_a_folder_that_is_predicted_is_never_the_output(tmp_path):
    from apps.medical_imaging.readers import sources

    chexpert(tmp_path, "train.csv", [("train", 1), ("train", 2)])
    source = sources.listed(tmp_path)
    assert {os.path.basename(entry.file) for entry in source.entries} == {"train.csv"}


def test_ages_with_decimal_commas_are_read_where_they_agree():
    table = pd.DataFrame({"age": ["45,5", "60,25", ""]})
    said = cells.with_points(table, {"age": "age"}, decimal="auto")
    assert [cells.attribute("age", cell) for cell in said["age"]] == [45.5, 60.25, None]
