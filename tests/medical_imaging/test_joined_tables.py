"""Tables of known formats with columns that users joined to them: patients and official parts are kept."""

import dataclasses
import os
import pathlib
import shutil

import cv2
import numpy as np
import pandas as pd
import pytest

from apps.medical_imaging import config, predict
from apps.medical_imaging.readers import sources
from shared import errors
from tests import helpers
from tests.medical_imaging import loading, pictures

FINDINGS = ("No Finding", "Cardiomegaly", "Edema", "Pneumonia", "Pneumothorax", "Lung Lesion")
SPLITS = ["train", "train", "validate", "test", "TEST", "Train"]


def mimic(folder, *, patients=True, splits=None):
    """Write what joining the tables of MIMIC-CXR gives: two images of each patient."""
    paths = [f"files/p10/p1000{row // 2:04d}/s5000{row:04d}/{row}.jpg" for row in range(6)]
    for row, path in enumerate(paths):
        pictures.put(folder / path, pictures.encoded(row, kind="JPEG"))
    table = pd.DataFrame({"path": paths, "ViewPosition": "PA"})
    if patients:
        table["subject_id"] = [f"{10_000_000 + row // 3}" for row in range(6)]
    if splits:
        table["split"] = splits
    every = [*FINDINGS, "Lung Opacity", "Consolidation", "Atelectasis", "Pleural Effusion"]
    for number, name in enumerate(every):
        table[name] = [1.0 if (row + number) % 2 else 0.0 for row in range(6)]
    table.to_csv(folder / "joined.csv", index=False)
    return str(folder / "joined.csv")


def test_parts_and_patients_joined_to_chexpert_labels_are_kept(tmp_path):
    found = loading.load([mimic(tmp_path, splits=SPLITS)])
    assert found.fixed_parts.tolist() == ["train", "train", "validation", "test", "test", "train"]
    assert found.patients.tolist() == ["10000000"] * 3 + ["10000001"] * 3
    assert (found.columns["split"], found.columns["subject_id"]) == ("official part", "patient")
    assert found.columns["Path"] == "image"


def test_a_joined_cell_that_is_no_part_is_refused_with_its_row(tmp_path):
    path = mimic(tmp_path, splits=[*SPLITS[:-1], "fold 3"])
    with pytest.raises(errors.InputError, match="row 7, column 'split': expected train, validation or test"):
        loading.load([path])


def test_folders_of_mimic_say_the_patient_where_no_column_does(tmp_path):
    found = loading.load([mimic(tmp_path, patients=False)])
    assert found.patients.tolist() == [f"p1000{row // 2:04d}" for row in range(6)]
    assert found.columns["Path"] == "image, patient and part"


@pytest.mark.parametrize(
    "header", [("image_index", "FINDING LABELS", "PatientID"), ("ImageIndex", "Findinglabels", "patient id")]
)
def test_nih_is_known_whatever_case_and_separators_and_keeps_a_joined_part(tmp_path, header):
    names = [f"{row:08d}_000.png" for row in range(4)]
    pictures.place(tmp_path, [f"images/{name}" for name in names])
    said = [["Mass", "No Finding", "Mass|Edema", "Edema"], ["7", "7", "8", "9"], ["train", "train", "val", "test"]]
    table = pd.DataFrame(dict(zip([*header, "Split"], [names, *said], strict=True)))
    table.to_csv(tmp_path / "sample.csv", index=False)
    found = loading.load([str(tmp_path)])
    assert found.fixed_parts.tolist() == ["train", "train", "validation", "test"]
    assert found.patients.tolist() == ["7", "7", "8", "9"]
    assert found.labels[:, found.class_names.index("Mass")].tolist() == [1, 0, 1, 0]


def test_ages_with_decimal_commas_that_are_read_are_not_called_missing(tmp_path):
    pictures.place(tmp_path, ["a.png", "b.png"])
    (tmp_path / "t.csv").write_text("image;label;age\na.png;ill;12,5\nb.png;well;63,0\n")
    found = loading.load([str(tmp_path / "t.csv")])
    assert found.attributes["age"].tolist() == [12.5, 63.0]
    assert not [note for note in found.notes if "missing" in note]


@pytest.mark.parametrize("array", [np.full((2, 8, 8), 200, np.int32), np.full((2, 8, 8), 200.0)])
def test_an_array_that_training_refuses_is_invalid_in_predict_and_no_black_image(tmp_path, array, caplog):
    np.savez(tmp_path / "set.npz", train_images=array)
    ((table, items),) = sources.chunks([sources.listed(tmp_path / "set.npz")], chunk_rows=8)
    assert items == [b"", b""]
    assert table["row"].tolist() == [1, 2]
    assert "train_images, row 2: an array of" in caplog.text


def test_a_set_that_was_unpacked_twice_is_noted(tmp_path):
    pictures.place(tmp_path / "set", ["train/ill/a.png", "train/well/b.png", "test/ill/c.png"])
    assert not [note for note in loading.load([str(tmp_path / "set")]).notes if "same content" in note]
    shutil.copytree(tmp_path / "set", tmp_path / "set" / "set")
    found = loading.load([str(tmp_path / "set")])
    assert len(found.labels) == 6
    assert "3 images hold the same content as another one, under a name of their own" in found.notes


@pytest.mark.parametrize(("bits", "words"), [(16, "they are dark here"), (12, "read as 12 bits"), (8, "is cut off")])
def test_predict_says_when_deep_images_use_other_bits_than_the_model(tmp_path, monkeypatch, bits, words):
    cv2.imwrite(str(tmp_path / "a.png"), np.arange(4000, 4064, dtype=np.uint16).reshape(8, 8))

    def answer(items):
        return {"labels": np.array(["x"]), "decision": np.array(["x"]), "scores": np.ones((len(items), 1))}

    monkeypatch.setattr(predict, "_open", lambda _arguments: (answer, ("x",), {}, bits))
    options = helpers.predict_options([tmp_path], tmp_path.parent / f"{bits}.csv", config.Config(), overwrite=True)
    (note,) = predict.predict(options)["notes"]
    assert words in note


def test_images_of_other_shards_are_not_read(tmp_path, monkeypatch):
    """Three images in chunks of two: the second shard has the third alone."""
    pictures.place(tmp_path / "set", ["a.png", "b.png", "c.png"])
    read = []

    def note(entry):
        read.append(pathlib.Path(entry.file).name)
        return b""

    def answer(items):
        return {
            "labels": np.full(len(items), "x"),
            "decision": np.full(len(items), "x"),
            "scores": np.ones((len(items), 1)),
        }

    monkeypatch.setattr(predict, "_open", lambda _arguments: (answer, ("x",), {}, 8))
    monkeypatch.setattr(sources, "pixels", note)
    options = helpers.predict_options([tmp_path / "set"], tmp_path / "part.csv", config.Config(), shard=(2, 2))
    assert predict.predict(options)["rows"] == 1
    assert read == ["c.png"]
    assert pd.read_csv(tmp_path / "part.csv")["file"].map(os.path.basename).tolist() == ["c.png"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_columns_that_are_kept_stand_beside_the_image_of_their_row(tmp_path, monkeypatch, suffix):
    pictures.place(tmp_path, ["a.png", "b.png", "c.png"])
    path = tmp_path / f"list{suffix}"
    table = pd.DataFrame({"image": ["c.png", "a.png", "b.png"], "study": ["007", "", "9"], "score_x": [1, 2, 3]})
    table.to_csv(path, index=False) if suffix == ".csv" else table.to_parquet(path)

    def answer(items):
        named = np.full(len(items), "x")
        return {"labels": named, "decision": named, "scores": np.ones((len(items), 1))}

    monkeypatch.setattr(predict, "_open", lambda _arguments: (answer, ("x",), {}, 8))
    kept = {"keep_columns": ("study", "image")}
    options = helpers.predict_options([path], tmp_path / "out.csv", config.Config(), **kept)
    assert predict.predict(options)["rows"] == 3
    found = pd.read_csv(options.output, dtype=str, keep_default_na=False)
    assert found["image"].tolist() == ["c.png", "a.png", "b.png"]
    assert found["study"].tolist() == ["007", "", "9"]
    clash = dataclasses.replace(options, overwrite=True, keep_columns=("all",))
    with pytest.raises(errors.InputError, match="Received: 'score_x'; leave it out"):
        predict.predict(clash)
    with pytest.raises(errors.InputError, match=r"a.png: expected a table"):
        predict.predict(dataclasses.replace(clash, input=[tmp_path / "a.png"]))
