"""Files with planted faults: every one is said by file and object, and nothing is lost silently."""

import json
import math
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest
from PIL import Image

from apps.driving_perception import boxes as box
from apps.driving_perception.readers import entries, yolo_files
from shared import errors
from tests.driving_perception import loading, roads

HEADER = "image,xmin,ymin,xmax,ymax"
GOOD = [("car", (1, 1, 20, 20))]


def coco(folder: pathlib.Path, *, image: dict[str, Any] | None = None, **annotation: object) -> pathlib.Path:
    content = {
        "images": [{"id": 1, "file_name": "a.png", **(image or {})}, {"id": 2, "file_name": "b.png"}],
        "annotations": [
            {"image_id": 2, "category_id": 1, "bbox": [1, 1, 19, 19]},
            {"image_id": 1, "category_id": 1, "bbox": [1, 1, 19, 19], **annotation},
        ],
        "categories": [{"id": 1, "name": "car"}],
    }
    return roads.coco(folder, content, ["a.png", "b.png"])


def bdd100k(folder: pathlib.Path, **image: object) -> pathlib.Path:
    label = {"category": "car", "box2d": {"x1": 1, "y1": 1, "x2": 20, "y2": 20}}
    for number, name in enumerate(("a.jpg", "b.jpg")):
        roads.picture(folder / name, seed=number)
    content = [{"name": "b.jpg", "labels": [label]}, {"name": "a.jpg", "labels": [label], **image}]
    (folder / "labels.json").write_text(json.dumps(content))
    return folder


def yolo_folder(folder: pathlib.Path, *, label: str = "0 0.5 0.5 0.5 0.5\n", names: str = "car\n") -> pathlib.Path:
    for number, name in enumerate("ab"):
        roads.picture(folder / "images" / f"{name}.png", seed=number)
    (folder / "labels").mkdir()
    (folder / "labels" / "a.txt").write_text(label)
    (folder / "labels" / "b.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (folder / "classes.txt").write_text(names)
    return folder


def table(folder: pathlib.Path, row: str, *, column: str = "", images: tuple[str, ...] = ("a.png", "b.png")) -> Any:
    more = f",{column}" if column else ""
    return roads.table(folder, f"{HEADER}{more}\nb.png,1,1,20,20{',' * bool(column)}\n{row}\n", images)


def kitti(folder: pathlib.Path, line: str) -> pathlib.Path:
    return roads.kitti(folder, {"a": [line], "b": [roads.kitti_line("Car", "1 1 20 20")]})


def kitti_with_two_images(folder: pathlib.Path) -> pathlib.Path:
    roads.picture(kitti(folder, roads.kitti_line("Car", "1 1 20 20")) / "image_2" / "a.jpg")
    return folder


def kitti_cut_off(folder: pathlib.Path) -> pathlib.Path:
    path = kitti(folder, roads.kitti_line("Car", "1 1 20 20")) / "image_2" / "a.png"
    path.write_bytes(path.read_bytes()[:-30])
    return folder


def voc_written_twice(folder: pathlib.Path) -> pathlib.Path:
    roads.voc(folder, {"a": GOOD, "b": GOOD})
    shutil.copy(folder / "annotations" / "a.xml", folder / "a.xml")
    return folder


def voc_with_two_images(folder: pathlib.Path) -> pathlib.Path:
    roads.picture(roads.voc(folder, {"a": GOOD, "b": GOOD}) / "a.png")
    return folder


def voc_text(folder: pathlib.Path, text: str) -> pathlib.Path:
    (roads.voc(folder, {"a": GOOD, "b": GOOD}) / "annotations" / "a.xml").write_text(text)
    return folder


def yolo_with_two_labels(folder: pathlib.Path) -> pathlib.Path:
    (yolo_folder(folder) / "images" / "a.txt").write_text("0 0.2 0.2 0.1 0.1\n")
    return folder


def yolo_without_image(folder: pathlib.Path) -> pathlib.Path:
    (yolo_folder(folder) / "labels" / "clip").mkdir()
    (folder / "labels" / "clip" / "z.txt").write_text("0 0.2 0.2 0.1 0.1\n")
    return folder


def bdd_with_two_images(folder: pathlib.Path) -> pathlib.Path:
    roads.picture(bdd100k(folder) / "train" / "a.jpg", seed=9)
    return folder


FAULTS: dict[str, tuple[Callable[[pathlib.Path], pathlib.Path], str]] = {
    "KITTI, an infinite level": (
        lambda folder: kitti(folder, roads.kitti_line("Car", "1 1 20 20").replace(" 0 -1.5", " inf -1.5", 1)),
        r"a\.txt, object 1: occlusion 'inf' is no whole number from -1 to 3",
    ),
    "KITTI, two images of one name": (kitti_with_two_images, "2 images of one name: image_2/a.jpg, image_2/a.png"),
    "KITTI, a PNG that is cut off": (kitti_cut_off, r"a\.txt: the image file is cut off"),
    "VOC, two files of labels": (voc_written_twice, r"2 XML files for one image: annotations/a\.xml"),
    "VOC, two images of one name": (voc_with_two_images, r"2 images of one name"),
    "VOC, an unknown encoding": (lambda f: voc_text(f, '<?xml version="1.0" encoding="none"?><annotation/>'), "none"),
    "COCO, text as level": (lambda f: coco(f, occlusion="much"), "json, object 2: occlusion 'much'"),
    "COCO, a level that is none": (lambda f: coco(f, occlusion=900), "json, object 2: occlusion '900'"),
    "COCO, no corners": (lambda f: coco(f, bbox=None), "json, object 2: bbox None is not four numbers"),
    "COCO, text as track": (lambda f: coco(f, track_id="left"), "json, object 2: track 'left'"),
    "COCO, an unknown kind": (lambda f: coco(f, kind="herd"), "json, object 2: kind 'herd' is none of object,"),
    "COCO, an unknown part": (lambda f: coco(f, image={"part": "holdout"}), "json: part 'holdout' is none of train,"),
    "COCO, text as size": (lambda f: coco(f, image={"width": "x", "height": 80}), r"width and height \['x', 80\]"),
    "BDD100K, a label that is none": (lambda f: bdd100k(f, labels=["x"]), "json, object 1: 'x' is no label"),
    "BDD100K, text as time": (lambda f: bdd100k(f, timestamp="soon"), "seconds 'soon' is no number"),
    "BDD100K, two images of one name": (bdd_with_two_images, "2 images of one name"),
    "YOLO, dots": (lambda f: yolo_folder(f, label="0 . . . .\n"), r"a\.txt, object 1: '0 . . . .' is not a class"),
    "YOLO, infinity": (lambda f: yolo_folder(f, label="0 inf 0 0 0\n"), r"a\.txt, object 1: '0 inf 0 0 0' is not"),
    "YOLO, a number without name": (lambda f: yolo_folder(f, label="7 0.5 0.5 0.5 0.5\n"), "class number 7 has no"),
    "YOLO, two files of labels": (yolo_with_two_labels, r"2 label files for one image: labels/a\.txt, images/a\.txt"),
    "YOLO, labels without an image": (yolo_without_image, r"clip/z\.txt: no image of this name"),
    "table, no image": (lambda f: table(f, ",1,1,20,20"), r"boxes\.csv: row 2, line 3 names no image"),
    "table, text as level": (
        lambda f: table(f, "a.png,1,1,20,20,much", column="occlusion"),
        r"boxes\.csv: row 2, line 3: column 'occlusion': expected a number .*Received: 'much' \(image images/a\.png\)",
    ),
    "table, a share as level": (
        lambda f: table(f, "a.png,1,1,20,20,0.4", column="occlusion"),
        "row 2, line 3: occlusion '0.4' is no whole number",
    ),
    "table, text as distance": (
        lambda f: table(f, "a.png,1,1,20,20,far", column="distance"),
        "column 'distance': expected a number .*Received: 'far'",
    ),
    "table, an unknown kind": (lambda f: table(f, "a.png,1,1,20,20,herd", column="kind"), "kind 'herd' is none of"),
    "table, a number beyond all": (
        lambda f: table(f, "a.png,1,1,20,20,1e30", column="number"),
        "number '1e[+]30' is no",
    ),
    "table, an unknown part": (lambda f: table(f, "a.png,1,1,20,20,holdout", column="part"), "part 'holdout'"),
}


@pytest.mark.parametrize("what", FAULTS)
def test_a_planted_fault_is_said_by_file_and_object_or_set_aside(what: str, tmp_path: pathlib.Path) -> None:
    make, message = FAULTS[what]
    folder = make(tmp_path / "made")
    with pytest.raises(errors.InputError, match=message):
        loading.load([str(folder)])
    quarantine = tmp_path / "quarantine.csv"
    found = loading.load([str(folder)], skip_bad=True, quarantine=quarantine)
    assert found.quarantined == len(quarantine.read_text().splitlines()) - 1 > 0
    assert len(found.boxes) >= 1


def test_two_images_of_one_id_are_refused_because_no_box_has_one_owner(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.InputError, match="2 images have the id 2"):
        loading.load([str(coco(tmp_path / "c", image={"id": 2}))])


def test_null_is_not_known_and_no_fault(tmp_path: pathlib.Path) -> None:
    folder = coco(tmp_path / "c", image={"frame_id": None, "video_id": None, "weather": None}, occlusion=None)
    found = loading.load([str(folder)])
    assert found.numbers.tolist() == [box.UNKNOWN, box.UNKNOWN]
    assert found.sequences.tolist() == found.weather.tolist() == ["", ""]
    assert found.boxes.occlusion.tolist() == [box.UNKNOWN, box.UNKNOWN]
    found = loading.load([str(bdd100k(tmp_path / "b", frameIndex=None, attributes=None, videoName="x"))])
    assert found.numbers.tolist() == [box.UNKNOWN, box.UNKNOWN]


def test_labels_without_a_box_and_images_without_labels_are_counted(tmp_path: pathlib.Path) -> None:
    good = {"category": "car", "box2d": {"x1": 1, "y1": 1, "x2": 20, "y2": 20}}
    folder = bdd100k(tmp_path / "b", labels=[{"category": "lane", "box2d": None}, {"category": "lane"}, good])
    roads.picture(folder / "c.jpg", seed=5)
    found = loading.load([str(folder)])
    assert len(found) == len(found.boxes) == 2
    assert found.notes[0].startswith("2 labels have no box2d")
    assert found.notes[1].startswith("1 images are in no JSON file")


def test_the_folders_of_coco_itself_are_found(tmp_path: pathlib.Path) -> None:
    file = coco(tmp_path / "val2017") / "annotations.json"
    (tmp_path / "annotations").mkdir()
    moved = file.rename(tmp_path / "annotations" / "instances_val2017.json")
    for spec in (moved, tmp_path):
        assert len(loading.load([str(spec)])) == 2


def test_images_that_nobody_looked_at_are_no_background(tmp_path: pathlib.Path) -> None:
    folder = table(tmp_path / "t", "a.png,1,1,20,20", images=("a.png", "b.png", "empty.png"))
    roads.picture(folder / "testing" / "z.png", seed=9)
    (folder / "images" / "._a.png").write_bytes(b"left by another program")
    found = loading.load([str(folder)])
    assert found.images.names.tolist() == ["images/b.png", "images/a.png", "images/empty.png"]
    assert "1 images are in folders of which boxes.csv lists no image: they are not used" in found.notes


@pytest.mark.parametrize("rows", ["a.png,1,1,20,20,7", "a.png,1,1,20,20\nb.png,1,1,20,20,7,8"])
def test_a_table_with_more_values_than_columns_is_refused(rows: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.InputError, match=r"boxes\.csv: expected"):
        loading.load([str(roads.table(tmp_path / "t", f"{HEADER}\n{rows}\n", ["a.png", "b.png"]))], data_format="table")


def test_a_line_of_class_names_counts_even_if_it_is_empty(tmp_path: pathlib.Path) -> None:
    found = loading.load([str(yolo_folder(tmp_path / "y", label="2 0.5 0.5 0.5 0.5\n", names="car\n\nbus\n"))])
    assert [found.class_names[label] for label in found.boxes.label] == ["bus", "car"]


def names_of(text: str, folder: pathlib.Path) -> dict[int, str]:
    (folder / "data.yaml").write_text(text)
    return dict(yolo_files.read_description(folder / "data.yaml").names)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("names: {0: car, 7: 'red truck'}", {0: "car", 7: "red truck"}),
        ("names:\n  0: car\n# heavy ones\n  1: bus  # and coaches\nnc: 2", {0: "car", 1: "bus"}),
        ('names:\n  - "car #1"\n  - bus', {0: "car #1", 1: "bus"}),
        ("names: [car,\n  bus]\nnc: 2", {0: "car", 1: "bus"}),
        ("names: ['car, sedan', person, bus]", {0: "car, sedan", 1: "person", 2: "bus"}),
        ("heavy: &heavy [bus, truck]\nnames: *heavy", {0: "bus", 1: "truck"}),
        ("names:\n- NA\n- null\n- no\n- 'it''s'", {0: "NA", 1: "null", 2: "no", 3: "it's"}),
    ],
)
def test_other_spellings_of_yaml_names_are_read(text: str, expected: dict[int, str], tmp_path: pathlib.Path) -> None:
    assert names_of(text, tmp_path) == expected


@pytest.mark.parametrize("content", [b'names: ["\\x"]', b"names: {car: 0}", b"names: [[car], bus]", b"- car", b"nc: 2"])
def test_names_that_cannot_be_read_are_said_to_be_that(content: bytes, tmp_path: pathlib.Path) -> None:
    folder = yolo_folder(tmp_path / "y")
    (folder / "data.yaml").write_bytes(content)
    with pytest.raises(errors.InputError, match=r"data\.yaml: expected class names"):
        loading.load([str(folder)])


def test_without_labels_an_image_that_is_none_is_not_dropped_silently(tmp_path: pathlib.Path) -> None:
    roads.picture(tmp_path / "a.png")
    (tmp_path / "b.jpg").write_bytes(b"nothing")
    with pytest.raises(errors.InputError, match=r"b\.jpg: no image that can be read"):
        loading.load([str(tmp_path)], labelled=False, class_names=("car",))
    found = loading.load([str(tmp_path)], labelled=False, class_names=("car",), skip_bad=True)
    assert (len(found), found.quarantined) == (1, 1)


def test_two_sources_of_one_name_share_neither_images_nor_sequences(tmp_path: pathlib.Path) -> None:
    for side in ("one", "two"):
        table(tmp_path / side / "t", "a.png,1,1,20,20,drive", column="sequence")
    found = loading.load([str(tmp_path / side / "t") for side in ("one", "two")])
    assert len(set(found.images.names)) == 4
    assert set(found.sequences) == {"", "t-1/drive", "t-2/drive"}


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp"])
def test_an_image_that_is_cut_off_is_found_in_every_format(suffix: str, tmp_path: pathlib.Path) -> None:
    path = roads.picture(tmp_path / f"a{suffix}")
    assert len(loading.load([str(path)], labelled=False, class_names=("car",))) == 1
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(errors.InputError, match=r"cut off|no image that can be read"):
        loading.load([str(path)], labelled=False, class_names=("car",))


def test_a_16_bit_image_counts_as_whole(tmp_path: pathlib.Path) -> None:
    Image.new("I;16", (40, 30), 900).save(tmp_path / "deep.png")
    assert loading.load([str(tmp_path)], labelled=False, class_names=("car",)).images.sizes.tolist() == [[40, 30]]


@hypothesis.given(st.dictionaries(st.sampled_from(sorted(entries._LIMITS)), st.text() | st.floats() | st.integers()))
def test_whatever_is_said_becomes_a_number_within_its_limits_or_a_problem(said: dict[str, object]) -> None:
    found, problem = entries.extras(said)
    assert found.keys() == said.keys()
    for name, value in found.items():
        low, high, unknown = entries._LIMITS[name]
        assert low <= value <= high or (math.isnan(value) and math.isnan(unknown))
        assert isinstance(value, int) == (not math.isnan(unknown))
    if not problem:
        given = {name: str(value).strip() for name, value in said.items() if value == value}
        kept = {name: text for name, text in given.items() if text and text.lower() not in ("true", "false")}
        for name, value in kept.items():
            assert found[name] == float(value) or (name, float(value)) == ("occlusion", 3)
