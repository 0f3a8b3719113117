import collections
import json
import os
import pathlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.medical_imaging import data, splitting
from apps.medical_imaging.simulator import phantoms as simulator
from shared import errors, splits
from tests.medical_imaging import loading, pictures


@pytest.fixture(scope="module")
def phantoms():
    return loading.load(["chest-phantoms"], phantom_patients=40, phantom_confounder=0.5, seed=3)


@pytest.fixture
def many(tmp_path):
    """60 images of 30 patients, half of them ill."""
    names = [
        f"{kind}/{start}{patient}_bacteria_{image}.jpeg"
        for kind, start in (("NORMAL", "person1"), ("SICK", "person2"))
        for patient in range(10, 25)
        for image in range(2)
    ]
    return pictures.place(tmp_path / "many", names)


def parts_of(split, column):
    together = collections.defaultdict(set)
    for name, part in zip(column, split.part, strict=True):
        together[name].add(part)
    return together


def test_phantoms_are_read_with_all_that_is_known_of_them(phantoms):
    assert phantoms.class_names == ("normal", "opacity")
    assert phantoms.synthetic
    assert "SIMULATED" in data.describe(phantoms)
    assert any("SIMULATED" in note for note in phantoms.notes)
    assert set(phantoms.attributes) == {"sex", "age", "view", "site", "device_mark", "subtlety"}
    assert [len(boxes) > 0 for boxes in phantoms.boxes] == (phantoms.labels[:, 1] == 1).tolist()
    pixels = phantoms.images.read(0)
    assert (pixels.dtype, pixels.shape, phantoms.images.kind) == (np.float32, (128, 128, 1), "arrays")
    assert 0 <= pixels.min() < pixels.max() <= 1


def test_phantoms_are_split_alike_though_a_processor_rounds_some_pixels_differently(monkeypatch):
    wanted = {"phantom_patients": 20}
    first = loading.load(["chest-phantoms"], **wanted)
    generate = simulator.generate

    def rounded_differently(settings):
        made = generate(settings)
        made.images[:, ::7] ^= 1
        return made

    monkeypatch.setattr(simulator, "generate", rounded_differently)
    second = loading.load(["chest-phantoms"], **wanted)
    assert not np.array_equal(first.images.read(0), second.images.read(0))
    assert first.sha256 == second.sha256
    assert np.array_equal(loading.split(first, seed=0)[0].part, loading.split(second, seed=0)[0].part)
    other = loading.load(["chest-phantoms"], phantom_patients=20, seed=1)
    assert not set(data.content_hashes(first)) & set(data.content_hashes(other))


def test_no_patient_is_in_two_parts_and_the_certificate_says_so(many):
    found = loading.load([many])
    split, certificate = loading.split(found, fractions=(0.6, 0.2, 0.2), seed=1)
    assert {len(parts) for parts in parts_of(split, found.patients).values()} == {1}
    assert (certificate["rows"], certificate["units"], certificate["checks"]["patients"]) == (60, 30, 30)
    assert certificate["counts"]["test"]["classes"] == {"NORMAL": 6, "SICK": 6}
    assert certificate["checks"]["data_sha256"] == found.sha256


def test_the_split_depends_on_the_seed_and_not_on_names_or_order(many, tmp_path):
    first = loading.load([many])
    renamed = pictures.renamed(many, tmp_path / "renamed")
    again = loading.load([renamed])
    by_content = []
    for found in (first, again):
        split, _ = loading.split(found, seed=5)
        by_content.append(dict(zip(data.content_hashes(found).tolist(), split.part.tolist(), strict=True)))
    assert by_content[0] == by_content[1]
    assert first.sha256 == again.sha256
    assert (loading.split(first, seed=6)[0].part != loading.split(first, seed=5)[0].part).any()


def test_copies_of_a_picture_stay_together_though_patients_differ(many, tmp_path):
    content = next(iter(sorted((tmp_path / "many" / "NORMAL").iterdir()))).read_bytes()
    for number in range(5):
        pictures.put(tmp_path / "many" / "NORMAL" / f"person99{number}_virus_1.jpeg", content + b"\0" * number)
    found = loading.load([many])
    split, certificate = loading.split(found, seed=0)
    copies = [
        name.startswith("NORMAL/person99") or name == "NORMAL/person110_bacteria_0.jpeg" for name in found.images.names
    ]
    assert len(set(split.part[copies])) == 1
    assert len(set(split.unit[copies])) == 1
    assert certificate["checks"]["duplicate_groups"] == 1
    assert certificate["checks"]["rows_in_duplicate_groups"] == 6
    assert certificate["checks"]["exact_duplicate_rows"] == 1


def test_official_parts_are_kept_and_a_shared_patient_leaves_train(tmp_path):
    names = [
        f"{part}/{kind}/person{base + number}_virus_1.jpeg"
        for part, base in (("train", 100), ("test", 200))
        for kind, base in (("NORMAL", base), ("ILL", base + 50))
        for number in range(20)
    ]
    source = pictures.place(tmp_path, [*names, "train/ILL/person255_virus_9.jpeg"])
    found = loading.load([source])
    split, certificate = loading.split(found, fractions=(0.6, 0.2, 0.2), seed=0)
    left_out = split.part == splits.LEFT_OUT
    assert found.images.names[left_out].tolist() == ["train/ILL/person255_virus_9.jpeg"]
    assert (split.part == "test").tolist() == [name.startswith("test") for name in found.images.names]
    # 40 free images of train: a quarter of 0.6 + 0.2 goes to validation.
    assert (split.part == "validation").sum() == 10
    assert certificate["checks"]["left_out_across_official_parts"] == 1
    assert any("1 images are left out" in note for note in certificate["checks"]["notes"])


@pytest.mark.parametrize(
    ("shared", "message"),
    [
        (("NORMAL", "ILL"), r"expected images in train\. Received: none; 40 images"),
        (("ILL",), "none of ILL; 20 images"),
    ],
)
def test_a_split_that_leaves_nothing_to_train_on_is_refused(tmp_path, shared, message):
    """Every patient, or every ill one, of the official train part is also in the test part."""
    names = []
    for first, kind in ((100, "NORMAL"), (200, "ILL")):
        others = first if kind in shared else first + 500
        names += [f"train/{kind}/person{first + number}_virus_1.jpeg" for number in range(20)]
        names += [f"test/{kind}/person{others + number}_virus_2.jpeg" for number in range(20)]
    found = loading.load([pictures.place(tmp_path, names)])
    with pytest.raises(errors.InputError, match=message):
        loading.split(found, fractions=(0.6, 0.2, 0.2), seed=0)


def test_a_list_of_parts_without_train_is_refused(many, tmp_path):
    found = loading.load([many])
    pd.DataFrame({"id": found.images.names, "part": "test"}).to_csv(tmp_path / "parts.csv", index=False)
    with pytest.raises(errors.InputError, match=r"parts\.csv: expected images in train\. Received: none$"):
        loading.split(found, seed=0, split_file=tmp_path / "parts.csv")


def test_a_validation_part_of_a_handful_joins_train():
    parts = np.array(["train"] * 200 + ["validation"] * 2 + ["test"] * 50)
    settled, notes = splitting.settle_official(parts)
    assert collections.Counter(settled.tolist()) == {"train": 202, "test": 50}
    assert "2 images only" in notes[0]


def test_a_split_file_by_image_or_by_patient_is_kept(many, tmp_path):
    found = loading.load([many])
    split, _ = loading.split(found, seed=2)
    data.frame(found, split).to_csv(tmp_path / "images.csv", index=False)
    by_patient = pd.DataFrame({"id": found.patients, "part": split.part}).drop_duplicates()
    by_patient.to_csv(tmp_path / "patients.csv", index=False)
    for name in ("images.csv", "patients.csv"):
        kept, certificate = loading.split(found, seed=9, split_file=tmp_path / name)
        assert kept.part.tolist() == split.part.tolist()
        assert "user" in certificate["method"]


def test_a_split_file_that_lets_patients_cross_stops_and_names_them(many, tmp_path):
    found = loading.load([many])
    split, _ = loading.split(found, seed=2)
    table = data.frame(found, split)
    other = np.where(table["part"] == "train", "test", "train")
    rows = [0, 30]
    table.loc[rows, "part"] = other[rows]
    table.to_csv(tmp_path / "bad.csv", index=False)
    with pytest.raises(
        errors.GateError, match=r"bad\.csv: every patient.*2 in several.*person110 in .*person210 in "
    ) as caught:
        loading.split(found, seed=0, split_file=tmp_path / "bad.csv")
    assert caught.value.exit_code == 3


def test_a_split_file_that_puts_copies_in_two_parts_stops(many, tmp_path):
    source = tmp_path / "many" / "SICK" / "person210_bacteria_0.jpeg"
    pictures.put(tmp_path / "many" / "SICK" / "person777_bacteria_0.jpeg", source.read_bytes())
    found = loading.load([many])
    split, _ = loading.split(found, seed=2)
    table = data.frame(found, split)
    alone = table["patient"] == "person777"
    table.loc[alone, "part"] = "test" if table.loc[alone, "part"].item() == "train" else "train"
    table.to_csv(tmp_path / "bad.csv", index=False)
    with pytest.raises(errors.GateError, match=r"every picture and its copies.*person777"):
        loading.split(found, seed=0, split_file=tmp_path / "bad.csv")


def test_a_split_that_tears_patients_apart_is_stopped_by_the_check(many, monkeypatch):
    def torn(groups, *_args, **_options):
        return np.resize(["train", "validation", "test"], groups.unit.size)

    monkeypatch.setattr(splitting, "assign", torn)
    with pytest.raises(errors.GateError, match="30 in several"):
        loading.split(loading.load([many]), seed=0)


def test_several_findings_are_counted_and_spread_over_the_parts(tmp_path):
    random = np.random.default_rng(0)
    names = [f"{number}.png" for number in range(90)]
    pictures.place(tmp_path, names)
    said = (random.random((90, 2)) < (0.5, 0.2)).astype(int)
    table = pd.DataFrame(
        {"image": names, "patient": [f"p{number // 2}" for number in range(90)], "a": said[:, 0], "b": said[:, 1]}
    )
    table.to_csv(tmp_path / "t.csv", index=False)
    found = loading.load([str(tmp_path / "t.csv")])
    split, certificate = loading.split(found, fractions=(0.6, 0.2, 0.2), seed=0)
    for part in splits.PARTS:
        rows = split.rows(part)
        expected = {"a": int(said[rows, 0].sum()), "b": int(said[rows, 1].sum())}
        assert certificate["counts"][part]["classes"] == expected
        assert expected["b"] >= 2
    data.write(found, data.frame(found, split), tmp_path / "set")
    again = loading.load([str(tmp_path / "set")])
    assert (again.task, again.class_names) == ("multi_label", ("a", "b"))
    np.testing.assert_array_equal(again.labels, said)
    assert again.patients.tolist() == table["patient"].tolist()


def test_what_is_written_reads_back_the_same(phantoms, tmp_path):
    split, _ = loading.split(phantoms, seed=0)
    table = data.frame(phantoms, split)
    data.write(phantoms, table, tmp_path / "set")
    again = loading.load([str(tmp_path / "set")])
    assert again.synthetic
    assert again.patients.tolist() == phantoms.patients.tolist()
    np.testing.assert_array_equal(again.labels, phantoms.labels)
    assert again.fixed_parts.tolist() == split.part.tolist()
    pd.testing.assert_frame_equal(again.attributes, phantoms.attributes, check_dtype=False)
    for row in (0, len(again.labels) - 1):
        np.testing.assert_array_equal(pictures.decoded(again.images.read(row)), phantoms.images.items[row])


def test_files_are_written_as_they_are(many, tmp_path):
    found = loading.load([many])
    split, _ = loading.split(found, seed=0)
    data.write(found, data.frame(found, split), tmp_path / "copy")
    again = loading.load([str(tmp_path / "copy")])
    np.testing.assert_array_equal(data.content_hashes(found), data.content_hashes(again))
    assert again.images.names[0].startswith("NORMAL/")
    assert not again.synthetic


def test_without_labels_all_labels_are_unknown_and_nothing_is_split(tmp_path):
    found = loading.load([pictures.place(tmp_path, ["1.png", "2.png"])], labelled=False, class_names=("a", "b"))
    assert np.isnan(found.labels).all()
    assert found.labels.shape == (2, 2)
    with pytest.raises(errors.InputError, match="without labels"):
        loading.split(found, seed=0)


def test_labels_must_be_classes_of_the_model_whatever_their_case(tmp_path):
    source = pictures.place(tmp_path, ["Normal/1.png", "Pneumonia/2.png"])
    found = loading.load([source], class_names=("PNEUMONIA", "NORMAL"))
    assert found.labels.tolist() == [[0, 1], [1, 0]]
    with pytest.raises(errors.InputError, match=r"unknown label 'Normal' \(expected covid, PNEUMONIA\)"):
        loading.load([source], class_names=("covid", "PNEUMONIA"))


def test_two_sources_are_joined_and_their_images_told_apart(tmp_path):
    one = pictures.place(tmp_path / "one", ["NORMAL/1.png", "ILL/2.png"])
    two = pictures.place(tmp_path / "two", ["normal/1.png", "ill/2.png"], first_seed=7)
    found = loading.load([one, two])
    assert found.name == "one+two"
    assert found.class_names == ("NORMAL", "ILL")
    assert len(set(found.images.names)) == len(set(found.patients)) == 4
    with pytest.raises(errors.InputError, match="each once"):
        loading.load([one, one])


def test_images_are_streamed_in_chunks_from_files_folders_and_tables(tmp_path):
    folder = pictures.place(tmp_path / "set", [f"{number}.png" for number in range(5)])
    pictures.put(tmp_path / "set" / "broken.png", b"no image")
    pd.DataFrame({"image": ["set/0.png", "set/4.png"]}).to_csv(tmp_path / "t.csv", index=False)
    chunks = list(data.iterate_images([folder, tmp_path / "t.csv", tmp_path / "set" / "3.png"], chunk_rows=4))
    assert [len(items) for _, items in chunks] == [4, 2, 2, 1]
    assert [len(table) for table, _ in chunks] == [4, 2, 2, 1]
    assert chunks[1][1][1] == b"no image"
    assert chunks[2][0]["row"].tolist() == [2, 3]
    assert chunks[2][1] == [(tmp_path / "set" / name).read_bytes() for name in ("0.png", "4.png")]
    assert chunks[3][0]["file"].tolist() == [str(tmp_path / "set" / "3.png")]


def test_streaming_names_a_file_that_a_table_promises_and_that_is_missing(tmp_path):
    pd.DataFrame({"image": ["gone.png"]}).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(errors.InputError, match=r"t\.csv, row 2.*gone\.png"):
        list(data.iterate_images([tmp_path / "t.csv"], chunk_rows=4))


@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.integers(0, 8), st.sampled_from(["train", "validation", "test", ""])),
        min_size=1,
    )
)
def test_left_out_rows_are_all_that_keeps_official_parts_apart(rows):
    patients = np.array([f"p{patient}" for patient, _, _ in rows], dtype=object)
    near = np.array([copy for _, copy, _ in rows])
    official = np.array([part for _, _, part in rows], dtype="<U10")
    hashes = near.astype(np.uint64)
    groups = splitting.group(patients, near, official, hashes)
    kept = ~groups.left_out
    shown = np.where(kept, groups.official, "")
    splitting.refuse_crossing(shown, patients, patients, what="patient")
    splitting.refuse_crossing(shown, near, patients, what="picture")
    assert kept[groups.official == "test"].all()
    # Whoever shares a patient or a picture shares the unit.
    for values in (patients, near):
        for value in np.unique(values[kept]):
            assert len(set(groups.unit[kept & (values == value)])) == 1


@pytest.mark.parametrize("name", [b"b\xff\xfe.png", b"100 %?[1] 'a'.png", "\u05d0\u05d1.png".encode(), b"007.png"])
def test_a_file_of_any_name_is_one_row_whose_name_any_format_holds(tmp_path, name):
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "a.png").write_bytes(pictures.encoded(0))
    pathlib.Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(pictures.encoded(1))
    rows = [(table, items) for table, items in data.iterate_images([folder], chunk_rows=10)]
    ((table, items),) = rows
    shown = name.decode("utf-8", "backslashreplace")
    assert sorted(table.file) == sorted([str(folder / "a.png"), f"{folder}/{shown}"])
    assert json.loads(json.dumps(table.file.tolist())) == table.file.tolist()
    assert all(text.encode("utf-8") for text in table.file)
    assert items[table.file.tolist().index(f"{folder}/{shown}")] == pictures.encoded(1)


def test_each_bad_image_is_one_row_beside_the_good_ones(tmp_path):
    """Planted: a file cut off, one that claims 20,000 x 10,000 pixels, an empty one, and DICOM that is none."""
    header = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + (20_000).to_bytes(4, "big") + (10_000).to_bytes(4, "big")
    huge = header + b"\x08\x00\x00\x00\x00"
    contents = {
        "cut.png": pictures.encoded(0)[:40],
        "dicom.dcm": bytes(128) + b"DICM" + b"no elements",
        "empty.png": b"",
        "good.png": pictures.encoded(1),
        "huge.png": huge,
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    ((table, items),) = data.iterate_images([tmp_path], chunk_rows=10)
    assert [pathlib.Path(file).name for file in table.file] == list(contents)
    assert dict(zip(contents, items, strict=True)) == {**contents, "dicom.dcm": b""}
