"""What sources say of boxes and ids is read as they say it: COCO, YOLO, VOC and BDD100K, with planted faults."""

import json
import pathlib
from typing import Any

import numpy as np
import pytest

from apps.driving_perception import boxes as box
from apps.driving_perception import frames
from shared import errors
from tests.driving_perception import loading, roads

CAR = "0 0.5 0.5 0.5 0.5"
PIXELS = [30.0, 20.0, 90.0, 60.0]


def coco(folder: pathlib.Path, *, annotations: list[dict[str, Any]] | None = None, **content: Any) -> pathlib.Path:
    size = {"width": roads.WIDTH, "height": roads.HEIGHT}
    found = {
        "images": [{"id": number, "file_name": f"{name}.png", **size} for number, name in enumerate("abc", start=1)],
        "annotations": annotations or [annotation(number) for number in (1, 2, 3)],
        "categories": [{"id": 1, "name": "car"}, {"id": 2, "name": "person"}],
    }
    return roads.coco(folder, {**found, **content}, ["a.png", "b.png", "c.png"])


def annotation(image: int, bbox: tuple[float, ...] = (30, 20, 60, 40), **more: Any) -> dict[str, Any]:
    return {"id": image, "image_id": image, "category_id": 1, "bbox": list(bbox), **more}


def yolo(folder: pathlib.Path, *texts: str, yaml: str = "names: [car, person]\n") -> pathlib.Path:
    (folder / "labels").mkdir(parents=True)
    for number, text in enumerate(texts):
        roads.picture(folder / "images" / f"{number}.png", seed=number)
        (folder / "labels" / f"{number}.txt").write_text(text)
    (folder / "data.yaml").write_text(yaml)
    return folder


def load(folder: pathlib.Path, **more: Any) -> frames.Frames:
    return loading.load([str(folder)], **more)


@pytest.mark.parametrize(("flag", "kind"), [(0, 0), ("0", 0), (False, 0), ("false", 0), (1, 2), ("1", 2), (True, 2)])
@pytest.mark.parametrize("name", ["iscrowd", "ignore"])
def test_coco_flags_are_read_as_numbers_texts_and_truth(
    name: str, flag: Any, kind: int, tmp_path: pathlib.Path
) -> None:
    marked = [annotation(1, **{name: flag}), annotation(2)]
    assert load(coco(tmp_path / "c", annotations=marked)).boxes.kind.tolist() == [kind, box.OBJECT]


def test_a_coco_flag_that_says_nothing_known_is_an_error(tmp_path: pathlib.Path) -> None:
    folder = coco(tmp_path / "c", annotations=[annotation(1), annotation(2, iscrowd="many")])
    with pytest.raises(errors.InputError, match=r"object 2: iscrowd 'many' is neither yes nor no \(image b\.png\)"):
        load(folder)


def test_one_id_for_two_categories_is_refused_and_names_both(tmp_path: pathlib.Path) -> None:
    folder = coco(
        tmp_path / "c", categories=[{"id": 1, "name": "car"}, {"id": 2, "name": "bus"}, {"id": "1", "name": "person"}]
    )
    with pytest.raises(errors.InputError, match="the id '1' for 'car' and for 'person'"):
        load(folder)


def test_two_images_of_one_id_are_refused_and_named(tmp_path: pathlib.Path) -> None:
    images = [{"id": 1, "file_name": "a.png"}, {"id": 1.0, "file_name": "b.png"}]
    with pytest.raises(errors.InputError, match=r"2 images have the id 1: a\.png, b\.png"):
        load(coco(tmp_path / "c", images=images, annotations=[annotation(1)]))


def test_annotations_of_one_id_all_count_and_are_noted(tmp_path: pathlib.Path) -> None:
    folder = coco(tmp_path / "c", annotations=[annotation(1, id=7), annotation(2, id=7), annotation(3, id=8)])
    found = load(folder)
    assert len(found.boxes) == 3
    assert "1 annotations of annotations.json have an id that another one has: each counts" in found.notes


def test_ids_as_texts_and_numbers_are_the_same_ids(tmp_path: pathlib.Path) -> None:
    folder = coco(tmp_path / "c", annotations=[{**annotation(1), "image_id": "1", "category_id": "1"}, annotation(2)])
    assert len(load(folder).boxes) == 2


def test_coco_corners_by_mistake_are_told(tmp_path: pathlib.Path) -> None:
    corners = [annotation(1, (30, 20, 90, 60)), annotation(2, (80, 10, 110, 70)), annotation(3, (70, 50, 115, 75))]
    with pytest.raises(errors.InputError, match=r"left, top, width, height.*left, top, right, bottom: 2 of 3 boxes"):
        load(coco(tmp_path / "c", annotations=corners), skip_bad=True)


@pytest.mark.parametrize("folder", ["y", "c"])
def test_an_object_that_was_labelled_several_times_counts_once(folder: str, tmp_path: pathlib.Path) -> None:
    # Of two classes, and of a second place, the same corners are other objects.
    if folder == "c":
        other = annotation(1, category_id=2)
        source = coco(tmp_path / "c", annotations=[annotation(1), annotation(1), annotation(1), other, annotation(2)])
    else:
        source = yolo(tmp_path / "y", f"{CAR}\n{CAR}\n{CAR}\n1{CAR[1:]}\n", f"{CAR}\n")
    found = load(source)
    assert sorted(found.boxes.label.tolist()) == [0, 0, 1]
    assert "2 boxes repeat another one of their class in their image: they count once" in found.notes


def test_repeated_objects_count_once_in_voc_kitti_and_bdd100k(tmp_path: pathlib.Path) -> None:
    roads.voc(tmp_path / "voc", {"a": [("car", (1, 1, 20, 20))] * 3})
    roads.kitti(tmp_path / "kitti", {"a": [roads.kitti_line("Car", "1 1 20 20")] * 3})
    roads.picture(tmp_path / "bdd" / "a.jpg")
    label = {"category": "car", "box2d": {"x1": 1, "y1": 1, "x2": 20, "y2": 20}}
    (tmp_path / "bdd" / "labels.json").write_text(json.dumps([{"name": "a.jpg", "labels": [label] * 3}]))
    for name in ("voc", "kitti", "bdd"):
        assert len(load(tmp_path / name).boxes) == 1, name


def test_a_sixth_column_from_0_to_1_is_a_confidence_and_noted(tmp_path: pathlib.Path) -> None:
    found = load(yolo(tmp_path / "y", f"{CAR} 0.9\n", f"{CAR} 0.4\n", f"{CAR}\n"))
    assert found.boxes.xyxy.tolist() == [PIXELS] * 3
    assert any(note.startswith("2 boxes have a sixth column from 0 to 1") for note in found.notes)


@pytest.mark.parametrize("angle", ["45", "-0.7", "1.5708"])
def test_an_angle_in_any_file_makes_the_sixth_column_angles(angle: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.InputError, match=r"2 boxes or images.*what seems to be an angle") as raised:
        load(yolo(tmp_path / "y", f"{CAR} 0.5\n", f"{CAR} {angle}\n", f"{CAR}\n"))
    assert angle in str(raised.value)


def test_corners_and_polygons_give_the_upright_box_around_them(tmp_path: pathlib.Path) -> None:
    oriented = "0 0.25 0.5 0.5 0.25 0.75 0.5 0.5 0.75\n"
    polygon = "1 0.25 0.3 0.4 0.25 0.75 0.5 0.6 0.75 0.3 0.7\n"
    found = load(yolo(tmp_path / "y", oriented, polygon))
    assert found.boxes.xyxy.tolist() == [PIXELS] * 2
    assert any(note.startswith("2 labels are polygons or oriented boxes") for note in found.notes)


def test_keypoints_are_told_by_their_shape_and_refused_without_it(tmp_path: pathlib.Path) -> None:
    line = f"{CAR} 0.4 0.4 2 0.6 0.6 1 0.5 0.5 0\n"
    found = load(yolo(tmp_path / "a", line, yaml="kpt_shape: [3, 3]\nnames: [car]\n"))
    assert found.boxes.xyxy.tolist() == [PIXELS]
    with pytest.raises(errors.InputError, match="13 numbers after the class: keypoints need kpt_shape"):
        load(yolo(tmp_path / "b", line))
    with pytest.raises(errors.InputError, match="is not a box and 4 numbers of keypoints"):
        load(yolo(tmp_path / "c", line, yaml="kpt_shape: [2, 2]\nnames: [car]\n"))


def test_yolo_in_pixels_is_said_to_be_that(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.InputError, match="is not in fractions of width and height"):
        load(yolo(tmp_path / "y", "0 60 40 60 40\n"))


def test_a_class_number_stands_for_two_names_only_by_mistake(tmp_path: pathlib.Path) -> None:
    with pytest.raises(
        errors.InputError, match=r"data\.yaml: .*Line 3: expected each key once.*'0' for 'car' and 'bus'"
    ):
        load(yolo(tmp_path / "y", CAR, yaml="names:\n  0: car\n  0: bus\n"))


def test_class_numbers_of_two_sources_go_by_name(tmp_path: pathlib.Path) -> None:
    first = yolo(tmp_path / "first", CAR, f"1{CAR[1:]}", yaml="names: [car, person]\n")
    second = yolo(tmp_path / "second", CAR, f"1{CAR[1:]}", yaml="names: {0: person, 1: car}\n")
    found = loading.load([str(first), str(second)])
    assert [found.class_names[label] for label in found.boxes.label] == ["car", "person", "person", "car"]


def test_images_that_nothing_speaks_of_are_left_out_and_backgrounds_counted(tmp_path: pathlib.Path) -> None:
    folder = yolo(tmp_path / "y", CAR, CAR)
    roads.picture(folder / "images" / "empty.png", seed=5)
    for number in range(3):
        roads.picture(folder / "masks" / f"{number}.png", seed=number + 10)
    roads.picture(folder / "results.jpg", seed=20)
    (folder / "notes.docx").write_bytes(b"x")
    (folder / "README").write_text("x")
    found = load(folder)
    assert len(found) == 3
    assert set(found.notes) == {
        "1 images have no label file: they count as images without boxes",
        "4 images are in no file of labels: they are not used",
        "2 files not read: .docx x1, no suffix x1",
    }


@pytest.mark.parametrize(("difficult", "kind"), [("1", 1), ("true", 1), ("0", 0), ("False", 0), ("", 0)])
def test_voc_sizes_of_0_floats_and_flags_in_words(difficult: str, kind: int, tmp_path: pathlib.Path) -> None:
    folder = roads.voc(tmp_path / "v", {"a": [("car", (1.25, 1, 20.5, 20))]})
    file = folder / "annotations" / "a.xml"
    text = file.read_text().replace(f"<width>{roads.WIDTH}", "<width>0").replace(f"<height>{roads.HEIGHT}", "<height>0")
    file.write_text(text.replace("</name>", f"</name><difficult>{difficult}</difficult>"), encoding="utf-16")
    found = load(folder, class_names=("car",))
    assert found.boxes.xyxy.tolist() == [[1.25, 1, 20.5, 20]]
    assert found.boxes.kind.tolist() == [kind]


def test_a_voc_file_of_another_name_says_which_image_it_labels(tmp_path: pathlib.Path) -> None:
    folder = roads.voc(tmp_path / "v", {"a": [("car", (1, 1, 20, 20))]})
    text = (folder / "annotations" / "a.xml").read_text()
    (folder / "annotations" / "a.xml").rename(folder / "annotations" / "00001.xml")
    (folder / "annotations" / "00001.xml").write_text(text.replace("<size>", "<filename>a.jpg</filename><size>"))
    assert load(folder).images.names.tolist() == ["a.jpg"]


def bdd(folder: pathlib.Path, content: object) -> pathlib.Path:
    roads.picture(folder / "a.jpg")
    (folder / "labels.json").write_text(json.dumps(content))
    return folder


BOX = {"x1": 1, "y1": 1, "x2": 20, "y2": 20}


def test_scalabel_keeps_its_images_below_frames(tmp_path: pathlib.Path) -> None:
    labels = [
        {"id": "1", "category": "car", "box2d": BOX, "attributes": {"crowd": "false", "occluded": "true"}},
        {"id": "2", "category": "car", "box2d": {**BOX, "x2": 30}, "attributes": {"ignored": True}},
    ]
    content = {"frames": [{"name": "a.jpg", "labels": labels}], "config": {"categories": [{"name": "car"}]}}
    found = load(bdd(tmp_path / "s", content))
    assert found.boxes.kind.tolist() == [box.OBJECT, box.REGION]
    assert found.boxes.occlusion.tolist() == [1, box.UNKNOWN]
    with pytest.raises(errors.InputError, match=r"JSON labels of BDD100K with images\. Received: none"):
        load(bdd(tmp_path / "empty", {"frames": []}))


def test_several_frames_under_one_name_are_no_image(tmp_path: pathlib.Path) -> None:
    content = {"name": "a", "frames": [{"objects": [{"category": "car", "box2d": BOX}]}, {"objects": []}]}
    with pytest.raises(errors.InputError, match="2 frames under one name"):
        load(bdd(tmp_path / "b", content))
    one = {"name": "a", "frames": content["frames"][:1]}
    assert len(load(bdd(tmp_path / "one", one)).boxes) == 1


def test_bdd100k_in_fractions_of_the_image_is_read_and_noted(tmp_path: pathlib.Path) -> None:
    label = {"category": "car", "box2d": {"x1": 0.25, "y1": 0.25, "x2": 0.75, "y2": 0.75}}
    found = load(bdd(tmp_path / "b", [{"name": "a.jpg", "labels": [label]}]))
    np.testing.assert_allclose(found.boxes.xyxy, [PIXELS])
    assert any("corners in fractions" in note for note in found.notes)


def test_two_meanings_for_one_name_in_a_class_file_are_refused(tmp_path: pathlib.Path) -> None:
    folder = yolo(tmp_path / "y", CAR)
    for name, text in {
        "a.json": '{"van": "car", "Van": "truck"}',
        "b.json": '{"van": "car", "van": "bus"}',
        "c.csv": "name,class\nvan,car\nVAN,bus\n",
    }.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(errors.InputError, match=r"(?i)one meaning for each name.*'van' and 'van'"):
            load(folder, class_file=tmp_path / name)


def test_boxes_of_no_class_that_the_run_knows_are_an_error(tmp_path: pathlib.Path) -> None:
    folder = yolo(tmp_path / "y", CAR)
    with pytest.raises(errors.InputError, match=r"a class that the model knows: bus, train\. Received: car"):
        load(folder, class_names=("bus", "train"))
    both = yolo(tmp_path / "both", CAR, f"1{CAR[1:]}")
    assert any("1 boxes are of classes" in note for note in load(both, class_names=("person",)).notes)


def test_two_sources_of_one_name_are_counted_apart(tmp_path: pathlib.Path) -> None:
    sources = [yolo(tmp_path / side / "road", *[CAR] * count) for side, count in (("one", 6), ("two", 12))]
    for number, path in enumerate((tmp_path / "two").rglob("*.png")):
        roads.picture(path, seed=100 + number)
    found = loading.load(list(map(str, sources)))
    _, certificate = loading.split(found, seed=0, block_frames=1)
    counts = certificate["counts"].values()
    assert sum(part["classes"]["road-1"] for part in counts) == 6
    assert sum(part["classes"]["road-2"] for part in counts) == 12
    assert all(sum(part["classes"].values()) == part["rows"] for part in counts)


def test_coco_images_keep_the_part_that_they_say(tmp_path: pathlib.Path) -> None:
    said = [("a", "train"), ("b", "val"), ("c", "test")]
    images = [{"id": number, "file_name": f"{name}.png", "split": part} for number, (name, part) in enumerate(said, 1)]
    assert load(coco(tmp_path, images=images)).fixed_parts.tolist() == ["train", "validation", "test"]
