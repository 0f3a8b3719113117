import json
import math
import os
import pathlib

import numpy as np
import pytest

from apps.driving_perception import boxes as box
from apps.driving_perception import classes
from apps.driving_perception.readers import sources
from shared import errors
from tests.driving_perception import loading, roads


def categories(*names: str) -> list[dict[str, object]]:
    return [{"id": number, "name": name} for number, name in enumerate(names, start=1)]


def test_kitti_keeps_what_it_says_of_every_object(tmp_path: pathlib.Path) -> None:
    lines = [
        roads.kitti_line("Car", "10.00 20.00 50.00 60.00", truncated="0.25", occluded=2, depth="12.5"),
        roads.kitti_line("Van", "60.00 20.00 90.00 50.00", occluded=3),
        roads.kitti_line("Pedestrian", "1.00 5.00 9.00 40.00"),
        "DontCare -1 -1 -10 100.00 10.00 110.00 20.00 -1 -1 -1 -1000 -1000 -1000 -10",
    ]
    found = loading.load([str(roads.kitti(tmp_path / "k", {"000000": lines}))])
    boxes = found.boxes
    assert found.class_names == ("car", "person")
    assert boxes.label.tolist() == [0, 0, 1, box.ANY_CLASS]
    assert boxes.kind.tolist() == [box.OBJECT, box.NEIGHBOUR, box.OBJECT, box.REGION]
    assert boxes.occlusion.tolist() == [2, box.UNKNOWN, 0, box.UNKNOWN]
    assert boxes.truncation[0] == pytest.approx(0.25)
    assert boxes.distance[0] == pytest.approx(12.5)
    assert math.isnan(boxes.distance[3])
    assert boxes.xyxy[0].tolist() == [10, 20, 50, 60]
    assert found.known_classes.all()


def test_every_format_is_recognised_by_its_content(tmp_path: pathlib.Path) -> None:
    roads.kitti(tmp_path / "kitti", {"0": [roads.kitti_line("Car", "1 1 20 20")]})
    roads.voc(tmp_path / "voc", {"a": [("car", (1, 1, 20, 20))]})
    content = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": [1, 1, 19, 19]}],
        "categories": categories("car"),
    }
    roads.coco(tmp_path / "coco", content, ["a.png"])
    roads.table(tmp_path / "table", "image,xmin,ymin,xmax,ymax\na.png,1,1,20,20\n", ["a.png"])
    roads.picture(tmp_path / "yolo" / "images" / "train" / "a.png")
    (tmp_path / "yolo" / "labels" / "train").mkdir(parents=True)
    (tmp_path / "yolo" / "labels" / "train" / "a.txt").write_text("0 0.0875 0.13125 0.158333333 0.2375\n")
    (tmp_path / "yolo" / "data.yaml").write_text("names:\n  0: car\n")
    roads.picture(tmp_path / "bdd100k" / "a.jpg")
    label = {"category": "car", "box2d": {"x1": 1, "y1": 1, "x2": 20, "y2": 20}}
    (tmp_path / "bdd100k" / "labels.json").write_text(json.dumps([{"name": "a.jpg", "labels": [label]}]))
    for name in ("kitti", "voc", "coco", "table", "yolo", "bdd100k"):
        assert sources.recognise(tmp_path / name) == name
        found = loading.load([str(tmp_path / name)])
        assert found.class_names == ("car",), name
        np.testing.assert_allclose(found.boxes.xyxy, [[1, 1, 20, 20]], atol=1e-3, err_msg=name)


def test_a_source_without_boxes_of_a_class_does_not_teach_that_there_are_none(tmp_path: pathlib.Path) -> None:
    cars = roads.table(tmp_path / "cars", "image,xmin,ymin,xmax,ymax\na.png,1,1,20,20\n", ["a.png", "b.png"])
    both = roads.voc(tmp_path / "both", {"c": [("car", (1, 1, 20, 20)), ("person", (30, 1, 40, 40))]})
    found = loading.load([str(cars), str(both)])
    assert found.class_names == ("car", "person")
    assert found.known_classes.tolist() == [[True, False], [True, False], [True, True]]
    assert found.images.names.tolist() == ["cars/images/a.png", "cars/images/b.png", "both/c.jpg"]


def test_yolo_parts_and_images_without_labels(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "y"
    for number, name in enumerate(("train/a", "val/b", "test/c")):
        roads.picture(folder / "images" / f"{name}.png", seed=number)
    (folder / "labels" / "train").mkdir(parents=True)
    (folder / "labels" / "train" / "a.txt").write_text("1 0.5 0.5 0.5 0.5\n")
    (folder / "classes.txt").write_text("bus\nperson\n")
    found = loading.load([str(folder)])
    assert found.fixed_parts.tolist() == ["test", "train", "validation"]
    assert found.boxes.image.tolist() == [1]
    assert found.boxes.xyxy.tolist() == [[30, 20, 90, 60]]
    assert found.class_names == ("person",)


def test_coco_crowds_and_unknown_ids(tmp_path: pathlib.Path) -> None:
    content = {
        "images": [{"id": 7, "file_name": "a.png", "width": roads.WIDTH, "height": roads.HEIGHT, "video_id": 3}],
        "annotations": [
            {"image_id": 7, "category_id": 1, "bbox": [1, 1, 19, 19], "iscrowd": 1},
            {"image_id": 7, "category_id": 2, "bbox": [2, 2, 10, 10], "iscrowd": 0},
            {"image_id": 9, "category_id": 2, "bbox": [2, 2, 10, 10]},
        ],
        "categories": categories("person", "motorcycle"),
    }
    folder = roads.coco(tmp_path / "c", content, ["a.png"])
    with pytest.raises(errors.InputError, match="no image has the id 9"):
        loading.load([str(folder)])
    found = loading.load([str(folder)], skip_bad=True)
    assert found.boxes.kind.tolist() == [box.OBJECT]
    assert any("1 boxes are of classes" in note for note in found.notes)
    assert found.sequences.tolist() == ["c/3"]
    assert found.class_names == ("motorcycle",)


def test_bdd100k_says_light_weather_and_clip(tmp_path: pathlib.Path) -> None:
    roads.picture(tmp_path / "b" / "val" / "x.jpg")
    image = {
        "name": "x.jpg",
        "videoName": "drive",
        "frameIndex": 4,
        "attributes": {"weather": "rainy", "timeofday": "dawn/dusk"},
        "labels": [
            {
                "id": "12",
                "category": "rider",
                "attributes": {"occluded": True},
                "box2d": {"x1": 1, "y1": 2, "x2": 30, "y2": 40},
            },
            {"id": "13", "category": "traffic light", "box2d": {"x1": 1, "y1": 2, "x2": 3, "y2": 4}},
            {"id": "14", "category": "lane", "poly2d": []},
        ],
    }
    (tmp_path / "b" / "labels.json").write_text(json.dumps([image]))
    found = loading.load([str(tmp_path / "b")])
    assert (found.time_of_day[0], found.weather[0], found.sequences[0], found.numbers[0]) == (
        "dusk",
        "rain",
        "b/drive",
        4,
    )
    assert found.fixed_parts.tolist() == ["validation"]
    assert found.boxes.track.tolist() == [12]
    assert found.boxes.occlusion.tolist() == [1]


BAD = {
    "a box outside the image": ("car", (10, 10, 200, 40), "outside the image of 120 x 80"),
    "an empty box": ("car", (50, 10, 50, 40), "an empty box"),
    "a corner that is no number": ("car", (1, "wide", 20, 20), "a corner is no number: 1, wide"),
    "an unknown class": ("spaceship", (1, 1, 20, 20), "class 'spaceship' has no meaning here"),
    "a name that is missing": ("", (1, 1, 20, 20), "no name"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_object_is_named_with_its_file_or_set_aside(what: str, tmp_path: pathlib.Path) -> None:
    name, corners, message = BAD[what]
    good = ("car", (1, 1, 20, 20))
    folder = roads.voc(tmp_path / "v", {"a": [good, (name, corners)], "b": [good]})
    with pytest.raises(errors.InputError, match=message) as raised:
        loading.load([str(folder)])
    assert "a.xml, object 2" in str(raised.value)
    quarantine = tmp_path / "quarantine.csv"
    found = loading.load([str(folder)], skip_bad=True, quarantine=quarantine)
    assert len(found.boxes) == 2
    assert found.quarantined == 1
    assert message.split(":")[0] in quarantine.read_text()


def test_bad_images_are_named(tmp_path: pathlib.Path) -> None:
    good = [("car", (1, 1, 20, 20))]
    folder = roads.voc(tmp_path / "v", {"a": good, "b": good, "c": good, "d": good, "e": good})
    (folder / "a.jpg").unlink()
    (folder / "b.jpg").write_bytes((folder / "b.jpg").read_bytes()[:-20])
    (folder / "annotations" / "c.xml").write_text("<annotation><object>")
    roads.picture(folder / "e.jpg", size=(60, 40))
    with pytest.raises(errors.InputError) as raised:
        loading.load([str(folder)])
    for part in ("a.xml: no image of this name", "cut off", "broken XML", "labelled for 120 x 80"):
        assert part in str(raised.value)


def test_a_corner_that_is_rounded_out_of_the_image_is_cut_to_it(tmp_path: pathlib.Path) -> None:
    found = loading.load([str(roads.voc(tmp_path / "v", {"a": [("car", (-1, 10, 121, 40))]}))])
    assert found.boxes.xyxy.tolist() == [[0, 10, 120, 40]]


def test_a_class_file_maps_drops_and_ignores(tmp_path: pathlib.Path) -> None:
    folder = roads.voc(
        tmp_path / "v",
        {
            "a": [
                ("Pick-up", (1, 1, 20, 20)),
                ("deer", (30, 1, 50, 20)),
                ("sky", (1, 1, 90, 9)),
                ("fog", (60, 30, 80, 50)),
            ]
        },
    )
    file = tmp_path / "classes.json"
    file.write_text(
        json.dumps({"pick up": "car:neighbour", "deer": "animal", "sky": None, "fog": "ignore", "car": "car"})
    )
    found = loading.load([str(folder)], class_file=file)
    assert found.class_names == ("animal",)
    assert found.boxes.kind.tolist() == [box.OBJECT, box.REGION]
    table = tmp_path / "classes.csv"
    table.write_text("name,class\npick up,car\ndeer,animal\nsky,\nfog,ignore\n")
    assert loading.load([str(folder)], class_file=table).class_names == ("car", "animal")
    table.write_text("from,to\na,b\n")
    with pytest.raises(errors.InputError, match="expected the columns name and class"):
        loading.load([str(folder)], class_file=table)
    file.write_text(json.dumps({"deer": "../x"}))
    with pytest.raises(errors.InputError, match="expected the name of a class"):
        classes.read(file)


@pytest.mark.parametrize("format_name", ["coco", "bdd100k"])
def test_broken_json_is_said_to_be_that(format_name: str, tmp_path: pathlib.Path) -> None:
    roads.picture(tmp_path / "b" / "a.jpg")
    (tmp_path / "b" / "labels.json").write_text('[{"name": ')
    with pytest.raises(errors.InputError, match=r"labels\.json"):
        loading.load([str(tmp_path / "b")], data_format=format_name)


def test_what_is_no_labelled_source_says_what_would_be(tmp_path: pathlib.Path) -> None:
    roads.picture(tmp_path / "plain" / "a.png")
    with pytest.raises(errors.InputError, match="expected labelled images"):
        loading.load([str(tmp_path / "plain")])
    assert len(loading.load([str(tmp_path / "plain")], labelled=False, class_names=("car",))) == 1
    with pytest.raises(errors.InputError, match="expected a folder or file that exists"):
        loading.load([str(tmp_path / "missing")])
    with pytest.raises(errors.InputError, match="alone, or paths only"):
        loading.load(["road-scenes", str(tmp_path / "plain")])
    with pytest.raises(errors.InputError, match="each once"):
        loading.load([str(tmp_path), str(tmp_path)])


def test_a_table_with_text_among_its_numbers_names_the_row(tmp_path: pathlib.Path) -> None:
    folder = roads.table(tmp_path / "t", "image,xmin,ymin,xmax,ymax\na.png,1,1,20,20\na.png,x,1,20,20\n", ["a.png"])
    with pytest.raises(
        errors.InputError, match=r"boxes\.csv: row 2, line 3: column 'xmin': expected a number .*Received: 'x'"
    ):
        loading.load([str(folder)])
    (folder / "boxes.csv").write_text("image,xmin,ymin,xmax\na.png,1,1,20\n")
    with pytest.raises(errors.InputError, match="Received: none for ymax"):
        loading.load([str(folder)], data_format="table")


@pytest.mark.realdata
@pytest.mark.skipif(not os.environ.get("FIELDNETS_REAL_DATA"), reason="FIELDNETS_REAL_DATA is not set")
def test_real_samples_are_read_whole_and_joined() -> None:
    root = pathlib.Path(os.environ["FIELDNETS_REAL_DATA"]) / "driving"
    found = loading.load([str(root / name) for name in ("kitti_30", "dawn_fog_150", "roadside_cars_280")])
    assert len(found) == 460
    assert np.bincount(found.sources).tolist() == [30, 150, 280]
    # Counted by hand: 64 cars of KITTI, 817 of DAWN and 386 at the roadside.
    assert int(((found.boxes.label == 0) & (found.boxes.kind == box.OBJECT)).sum()) == 64 + 817 + 386
    split, certificate = loading.split(found, seed=0)
    assert set(certificate["overlap"].values()) == {0}
    for source in range(3):
        assert set(split.part[found.sources == source].tolist()) == {"train", "validation", "test"}
