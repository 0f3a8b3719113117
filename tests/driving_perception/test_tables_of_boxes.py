"""Tables of boxes as other people's programs write them: roles go by name, cells are text until they are numbers."""

import datetime
import decimal
import pathlib
from collections.abc import Iterable

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apps.driving_perception import boxes as box
from apps.driving_perception import frames
from shared import errors
from tests.driving_perception import loading, roads

HEADER = "image,xmin,ymin,xmax,ymax,class"
IMAGES = ("a.png", "b.png", "c.png")
ROWS = [("a.png", 1, 2, 20, 30, "car"), ("b.png", 3, 4, 40, 50, "bus"), ("c.png", 5, 6, 60, 70, "person")]


def load(folder: pathlib.Path, text: str | bytes, *, name: str = "boxes.csv", **more: object) -> frames.Frames:
    for number, image in enumerate(IMAGES):
        roads.picture(folder / image, seed=number)
    content = text.encode() if isinstance(text, str) else text
    (folder / name).write_bytes(content)
    return loading.load([str(folder)], **more)


def lines(*rows: Iterable[object]) -> str:
    return "".join(",".join(map(str, row)) + "\n" for row in rows)


def corners(found: frames.Frames) -> list[list[float]]:
    said: list[list[float]] = found.boxes.xyxy.tolist()
    return said


PLAIN = f"{HEADER}\n{lines(*ROWS)}"
EXPECTED = [[1, 2, 20, 30], [3, 4, 40, 50], [5, 6, 60, 70]]


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.encode(),
        PLAIN.encode("utf-8-sig"),
        PLAIN.encode("utf-16"),
        PLAIN.replace("\n", "\r\n").encode(),
        PLAIN.replace("\n", "\r").encode(),
        PLAIN.replace(",", ";").encode(),
        PLAIN.replace(",", "\t").encode(),
        PLAIN.replace("image,xmin", '"image"," XMin "').encode(),
        PLAIN.replace("class\n", "class\n\n").encode(),
        PLAIN.replace("image", "Filename").replace("xmin", "X1").replace("class", "Label").encode(),
    ],
)
def test_a_table_is_read_whatever_program_wrote_it(content: bytes, tmp_path: pathlib.Path) -> None:
    found = load(tmp_path, content)
    assert corners(found) == EXPECTED
    assert [found.class_names[label] for label in found.boxes.label] == ["car", "bus", "person"]


def test_every_column_has_its_role_in_words(tmp_path: pathlib.Path) -> None:
    rows = [(*row, "x", 7) for row in ROWS]
    found = load(tmp_path, f"{HEADER},label,note\n{lines(*rows)}")
    assert found.columns == {
        "image": "image",
        "xmin": "box: left edge",
        "ymin": "box: upper edge",
        "xmax": "box: right edge",
        "ymax": "box: lower edge",
        "class": "label: the box's class",
        "label": "not read: 'class' has this role",
        "note": "not read: its name says no role",
    }


BAD = {
    "a question mark": ("b.png,?,4,40,50,bus", r"row 2, line 3: column 'xmin': expected a number .*Received: '\?'"),
    "a word": ("b.png,3,4,40,pending,bus", r"column 'ymax': expected a number .*--decimal.*Received: 'pending'"),
    "one decimal comma": ('b.png,3,4,"40,5",50,bus', r"column 'xmax': expected a number .*Received: '40,5'"),
    "nothing": ("b.png,3,,40,50,bus", r"row 2, line 3: a corner is no number: nothing"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_corner_that_is_no_number_names_row_column_value_and_image(what: str, tmp_path: pathlib.Path) -> None:
    row, message = BAD[what]
    text = f"{HEADER}\n{lines(ROWS[0])}{row}\n{lines(ROWS[2])}"
    with pytest.raises(
        errors.InputError,
        match=rf"boxes\.csv: {message if message.startswith('row') else '.*' + message}.*\(image b\.png\)",
    ):
        load(tmp_path, text)
    found = load(tmp_path, text, skip_bad=True)
    assert corners(found) == [EXPECTED[0], EXPECTED[2]]


def test_decimal_commas_are_read_where_all_cells_of_a_column_agree(tmp_path: pathlib.Path) -> None:
    text = "image;xmin;ymin;xmax;ymax\na.png;1,5;2;20,25;30\nb.png;3,5;4;40,75;50\n"
    found = load(tmp_path, text)
    assert corners(found) == [[1.5, 2, 20.25, 30], [3.5, 4, 40.75, 50]]
    assert any("'xmin' is read with decimal commas" in note for note in found.notes)
    with pytest.raises(errors.InputError, match="column 'xmin'"):
        load(tmp_path, text, decimal="point")


@pytest.mark.parametrize("mark", ["1", "yes", "Y", "True", "t"])
def test_ignored_boxes_are_told_by_any_word_for_yes(mark: str, tmp_path: pathlib.Path) -> None:
    cars = [(*row[:-1], "car") for row in ROWS]
    found = load(tmp_path, f"{HEADER},ignore\n{lines((*cars[0], mark), (*cars[1], 'no'), (*cars[2], ''))}")
    assert found.boxes.kind.tolist() == [box.REGION, box.OBJECT, box.OBJECT]
    with pytest.raises(errors.InputError, match="row 2, line 3: ignore 'maybe' is neither yes nor no"):
        load(tmp_path, f"{HEADER},ignore\n{lines((*ROWS[0], mark), (*ROWS[1], 'maybe'), (*ROWS[2], ''))}")


def test_sizes_that_differ_from_the_file_are_an_error_as_in_coco(tmp_path: pathlib.Path) -> None:
    rows = [(*row, roads.WIDTH // 2, roads.HEIGHT // 2) for row in ROWS]
    with pytest.raises(errors.InputError, match=r"labelled for 60 x 40 pixels, but it has 120 x 80 \(image a\.png\)"):
        load(tmp_path, f"{HEADER},width,height\n{lines(*rows)}")
    rows = [(*row, roads.WIDTH, roads.HEIGHT) for row in ROWS]
    assert corners(load(tmp_path, f"{HEADER},width,height\n{lines(*rows)}")) == EXPECTED
    rows[1] = (*rows[1][:-2], 60, 40)
    torn = f"{HEADER},width,height\n{lines(*rows, ('b.png', 1, 1, 9, 9, 'car', roads.WIDTH, roads.HEIGHT))}"
    with pytest.raises(errors.InputError, match="its rows give several sizes: 60 x 40, 120 x 80"):
        load(tmp_path, torn)


def test_width_and_height_of_the_boxes_are_no_sizes_of_images(tmp_path: pathlib.Path) -> None:
    rows = [(*row, row[3] - row[1], row[4] - row[2]) for row in ROWS]
    found = load(tmp_path, f"{HEADER},width,height\n{lines(*rows)}")
    assert corners(found) == EXPECTED
    assert found.columns["width"] == "not read: it is the box's width"


def test_corners_in_fractions_are_decided_over_the_whole_table(tmp_path: pathlib.Path) -> None:
    rows = [(name, 0.25, 0.5, 0.5, 1, "car") for name in IMAGES]
    found = load(tmp_path, f"{HEADER}\n{lines(*rows, ('a.png', 0, 0, 1, 1, 'bus'))}")
    pixels = [30.0, 40.0, 60.0, 80.0]
    assert corners(found) == [pixels, [0, 0, 120, 80], pixels, pixels]
    assert "4 boxes have their corners in fractions of width and height: read so" in found.notes
    with pytest.raises(errors.InputError, match="row 4, line 5: corners that look like fractions among others in"):
        load(tmp_path, f"{HEADER}\n{lines(*ROWS, ('a.png', 0.25, 0.5, 0.5, 1, 'car'))}")


@pytest.mark.parametrize(
    "row",
    [
        'b.png,3,4,40,50,"bus',
        'b.png,3,4,40,50,"bus" x',
        "b.png,3,4,40,50,bus,7",
        "b.png,3,4,40",
        '"b.png,3,4,40,50,bus',
    ],
)
def test_a_broken_row_never_merges_with_the_next(row: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.InputError, match=r"boxes\.csv: .*row 2|boxes\.csv: row 2"):
        load(tmp_path, f"{HEADER}\n{lines(ROWS[0])}{row}\n{lines(ROWS[2])}")


def test_bytes_of_another_encoding_name_their_line(tmp_path: pathlib.Path) -> None:
    text = f"{HEADER}\n{lines(*ROWS[:2])}c.png,5,6,60,70,Lkw groß\n".encode("cp1252")
    with pytest.raises(errors.InputError, match=r"boxes\.csv: line 4, byte .*UTF-8.*iconv"):
        load(tmp_path, text)


def test_a_column_that_is_there_twice_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.InputError, match=r"each column once\. Received: 'xmin' twice"):
        load(tmp_path, f"{HEADER},xmin\n{lines(*((*row, 1) for row in ROWS))}")


@pytest.mark.parametrize("name", ["NA", "null", "None", "nan"])
def test_a_name_that_means_nothing_elsewhere_is_a_name_in_every_format(name: str, tmp_path: pathlib.Path) -> None:
    roads.picture(tmp_path / "c" / f"{name}.png", seed=9)
    roads.picture(tmp_path / "p" / f"{name}.png", seed=9)
    rows = [(f"{name}.png", 1, 2, 20, 30, name), *ROWS]
    classes = tmp_path / "classes.csv"
    classes.write_text(f"name,class\n{name},truck\n")
    first = load(tmp_path / "c", f"{HEADER}\n{lines(*rows)}", class_file=classes)
    table = pd.DataFrame(rows, columns=HEADER.split(","))
    (tmp_path / "p").mkdir(exist_ok=True)
    table.to_parquet(tmp_path / "table.parquet")
    second = load(tmp_path / "p", (tmp_path / "table.parquet").read_bytes(), name="boxes.parquet", class_file=classes)
    assert f"{name}.png" in first.images.names.tolist()
    assert "truck" in first.class_names
    assert first.sha256 == second.sha256
    assert first.images.names.tolist() == second.images.names.tolist()


def test_parquet_columns_of_any_type_are_read_or_left(tmp_path: pathlib.Path) -> None:
    table = pa.table(
        {
            "image": pa.array([name.encode() for name in IMAGES], pa.binary()),
            "xmin": pa.array([decimal.Decimal("1.5"), decimal.Decimal("3"), decimal.Decimal("5")]),
            "ymin": pa.array([2, 4, 6], pa.int16()),
            "xmax": pa.array(["20", "40", "60"]),
            "ymax": pa.array([30, 50, 70], pa.float32()),
            "class": pa.array(["car"] * 3).dictionary_encode(),
            "ignore": pa.array([False, True, None]),
            "picture": pa.array([b"\xff\x00", b"", None], pa.binary()),
            "when": pa.array([datetime.datetime(2024, 1, 1)] * 3),
            "all": pa.array([[1], [], None], pa.list_(pa.int64())),
            "some": pa.array([{"a": 1}, None, {"a": 2}]),
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    found = load(tmp_path / "x", (tmp_path / "t.parquet").read_bytes(), name="boxes.parquet")
    assert corners(found) == [[1.5, 2, 20, 30], *EXPECTED[1:]]
    assert found.boxes.kind.tolist() == [box.OBJECT, box.REGION, box.OBJECT]
    assert found.columns["picture"] == "not read: its name says no role"


def test_a_parquet_column_of_times_as_corners_is_an_error_with_its_row(tmp_path: pathlib.Path) -> None:
    table = pd.DataFrame(ROWS, columns=HEADER.split(",")).assign(xmin=pd.Timestamp("2024-01-01"))
    table.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(errors.InputError, match="row 1: column 'xmin': expected a number"):
        load(tmp_path / "x", (tmp_path / "t.parquet").read_bytes(), name="boxes.parquet")


def test_rows_of_one_image_under_two_names_are_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "images").mkdir()
    with pytest.raises(errors.InputError, match=r"listed several times.* a\.png .* and a\.png"):
        load(tmp_path, f"{HEADER}\n{lines(*ROWS, ('other/a.png', 1, 1, 9, 9, 'car'))}")


def test_rows_of_one_image_in_two_parts_are_refused(tmp_path: pathlib.Path) -> None:
    rows = [(*ROWS[0], "train"), (*ROWS[1], "test"), ("a.png", 2, 2, 9, 9, "bus", "test")]
    with pytest.raises(errors.InputError, match=r"several parts: .*train \(row 1, line 2\)"):
        load(tmp_path, f"{HEADER},part\n{lines(*rows)}")


CHANGES = {
    "a corner": lambda table: table.assign(xmin=[1, 3, 6]),
    "a class": lambda table: table.assign(**{"class": ["car", "bus", "car"]}),
    "a part": lambda table: table.assign(part=["train", "validation", "train"]),
    "a sequence": lambda table: table.assign(sequence=["one", "two", "two"]),
    "a number": lambda table: table.assign(number=[1, 2, 4]),
    "an ignored box": lambda table: table.assign(ignore=[0, 0, 1]),
    "what is labelled": lambda table: table.assign(known_classes=["car|bus|person", "bus", "car|bus|person"]),
}


@pytest.mark.parametrize("what", CHANGES)
def test_the_fingerprint_changes_with_every_cell_that_training_reads(what: str, tmp_path: pathlib.Path) -> None:
    table = pd.DataFrame(ROWS, columns=HEADER.split(",")).assign(
        part=["train", "validation", "test"],
        sequence=["one", "two", "three"],
        number=[1, 2, 3],
        ignore=0,
        known_classes="car|bus|person",
    )
    before = load(tmp_path, table.to_csv(index=False))
    assert load(tmp_path, table.sample(frac=1, random_state=1).to_csv(index=False)).sha256 == before.sha256
    assert load(tmp_path, CHANGES[what](table).to_csv(index=False)).sha256 != before.sha256


def test_the_fingerprint_changes_with_pixels(tmp_path: pathlib.Path) -> None:
    before = load(tmp_path, PLAIN)
    roads.picture(tmp_path / "c.png", seed=77)
    assert loading.load([str(tmp_path)]).sha256 != before.sha256
    assert np.array_equal(before.boxes.xyxy, loading.load([str(tmp_path)]).boxes.xyxy)


@pytest.mark.parametrize("name", ["class_id", "CategoryID", "label id"])
def test_numbers_of_classes_are_no_reason_to_call_every_box_one_class(name: str, tmp_path: pathlib.Path) -> None:
    text = PLAIN.replace("class", name).replace("car", "1").replace("bus", "2").replace("person", "3")
    with pytest.raises(errors.InputError, match=r"class '1' has no meaning here .*--class-file"):
        load(tmp_path, text)
    meaning = tmp_path / "meaning.json"
    meaning.write_text('{"1": "car", "2": "bus", "3": "person"}')
    found = load(tmp_path, text, class_file=meaning)
    assert [found.class_names[label] for label in found.boxes.label] == ["car", "bus", "person"]


def test_boxes_without_a_column_of_classes_are_counted_as_one_class_with_a_note(tmp_path: pathlib.Path) -> None:
    rows = lines(*(row[:-1] for row in ROWS))
    found = load(tmp_path, f"{HEADER.removesuffix(',class')}\n{rows}")
    assert any("no column is named class: all boxes count as 'car'" in note for note in found.notes)


@pytest.mark.parametrize("name", ["split", "Subset", "set", "Dataset_type", "PART"])
def test_a_column_of_parts_is_kept_by_any_of_its_usual_names(name: str, tmp_path: pathlib.Path) -> None:
    parts = ("TRAIN", "validate", "Test")
    found = load(tmp_path, f"{HEADER},{name}\n{lines(*((*row, part) for row, part in zip(ROWS, parts, strict=True)))}")
    assert found.fixed_parts.tolist() == ["train", "validation", "test"]
    assert found.columns[name] == "official part"


def test_a_column_called_set_that_names_no_part_is_not_read_and_says_so(tmp_path: pathlib.Path) -> None:
    found = load(tmp_path, f"{HEADER},set\n{lines(*((*row, 'winter') for row in ROWS))}")
    assert found.fixed_parts.tolist() == ["", "", ""]
    assert found.columns["set"] == "not read: none of its cells is train, validation or test, such as 'winter'"
    with pytest.raises(errors.InputError, match="part 'winter' is none of"):
        load(tmp_path, f"{HEADER},set\n{lines((*ROWS[0], 'train'), (*ROWS[1], 'winter'), (*ROWS[2], 'test'))}")


def test_open_images_is_read_without_suffixes_in_fractions_and_with_its_groups(tmp_path: pathlib.Path) -> None:
    header = "ImageID,Source,LabelName,XMin,XMax,YMin,YMax,IsGroupOf"
    rows = [("a", "x", "Car", 0.5, 0.75, 0, 0.5, 0), ("b", "x", "Car", 0.25, 0.5, 0.25, 0.75, 1)]
    found = load(tmp_path, f"{header}\n{lines(*rows)}")
    width, height = roads.WIDTH, roads.HEIGHT
    assert corners(found) == [
        [width / 2, 0, width * 3 / 4, height / 2],
        [width / 4, height / 4, width / 2, height * 3 / 4],
    ]
    assert found.boxes.kind.tolist() == [box.OBJECT, box.REGION]


def test_a_table_without_a_needed_column_names_it_and_what_is_there(tmp_path: pathlib.Path) -> None:
    (tmp_path / "train.csv").write_text("image_id,width,bbox\na.png,9,1 2 3 4\n")
    with pytest.raises(errors.InputError, match="none for xmin, ymin, xmax, ymax, but 'image_id', 'width', 'bbox'"):
        loading.load([str(tmp_path / "train.csv")])
