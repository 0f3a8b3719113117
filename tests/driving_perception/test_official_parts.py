"""Parts that a source names, in every way in which it can: they are kept, and test images never train."""

import json
import os
import pathlib
import shutil
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from apps.driving_perception import frames
from shared import errors, splits
from tests.driving_perception import loading, roads

# Of each part so many images, with names in one numbered series: blocks of neighbours would join the parts.
COUNTS = {"train": 6, "validation": 3, "test": 3}
NAMES = [f"f{number:03d}" for number in range(12)]
PARTS = dict(zip(NAMES, [part for part, count in COUNTS.items() for _ in range(count)], strict=True))
SHORT = {"train": "train", "validation": "val", "test": "test"}
LINE = "0 0.5 0.5 0.5 0.5\n"


def of(part: str) -> list[str]:
    return [name for name in NAMES if PARTS[name] == part]


def pictures(folder: pathlib.Path, names: Sequence[str] = NAMES) -> None:
    for name in names:
        roads.picture(folder / f"{name}.png", seed=int(name[1:]))


def yolo_labels(folder: pathlib.Path, names: Sequence[str] = NAMES) -> None:
    folder.mkdir(parents=True)
    for name in names:
        (folder / f"{name}.txt").write_text(LINE)


def yolo_lists(folder: pathlib.Path, line: str = "./images/{}.png", yaml: str = "") -> pathlib.Path:
    pictures(folder / "images")
    yolo_labels(folder / "labels")
    said = yaml or "path: .\ntrain: train.txt\nval: val.txt\ntest: test.txt\n"
    (folder / "data.yaml").write_text(f"{said}names: [car]\n")
    for part, short in SHORT.items():
        (folder / f"{short}.txt").write_text("".join(line.format(name) + "\n" for name in of(part)))
    return folder


def yolo_folders(
    folder: pathlib.Path, paths: str = "train: {0}/images\nval: {1}/images\ntest: {2}/images"
) -> pathlib.Path:
    for part, short in zip(SHORT, ("train", "valid", "test"), strict=True):
        pictures(folder / short / "images", of(part))
        yolo_labels(folder / short / "labels", of(part))
    (folder / "data.yaml").write_text(paths.format("train", "valid", "test") + "\nnc: 1\nnames: ['car']\n")
    return folder


def yolo_without_yaml(folder: pathlib.Path) -> pathlib.Path:
    (yolo_lists(folder) / "data.yaml").unlink()
    (folder / "classes.txt").write_text("car\n")
    return folder


def yolo_of_lists(folder: pathlib.Path) -> pathlib.Path:
    yolo_lists(folder, yaml="train: [part.txt, images/more]\nval: val.txt\ntest: test.txt\n")
    (folder / "train.txt").rename(folder / "part.txt")
    lines = (folder / "part.txt").read_text().splitlines()
    (folder / "part.txt").write_text("\n".join(lines[:4]))
    for name in of("train")[4:]:
        (folder / "images" / "more").mkdir(exist_ok=True)
        (folder / "images" / f"{name}.png").rename(folder / "images" / "more" / f"{name}.png")
        (folder / "labels" / "more").mkdir(exist_ok=True)
        (folder / "labels" / f"{name}.txt").rename(folder / "labels" / "more" / f"{name}.txt")
    return folder


def voc_sets(folder: pathlib.Path) -> pathlib.Path:
    roads.voc(folder, {name: [("car", (1, 1, 20, 20))] for name in NAMES})
    (folder / "annotations").rename(folder / "Annotations")
    (folder / "JPEGImages").mkdir()
    for path in folder.glob("*.jpg"):
        path.rename(folder / "JPEGImages" / path.name)
    sets = folder / "ImageSets" / "Main"
    sets.mkdir(parents=True)
    for part, short in SHORT.items():
        (sets / f"{short}.txt").write_text("\n".join(of(part)))
    (sets / "trainval.txt").write_text("\n".join([*of("train"), *of("validation")]))
    # Lists of one class say who has it, not which part an image is in.
    (sets / "car_train.txt").write_text("\n".join(f"{name}  1" for name in NAMES))
    return folder


def lists_in_the_root(make: Callable[[pathlib.Path], pathlib.Path], folder: pathlib.Path) -> pathlib.Path:
    """Move the lists of a set to the folder itself, as MMDetection's and PaddleDetection's users have them."""
    for path in sorted(make(folder).rglob("ImageSets/**/*.txt")):
        if "_" not in path.stem:
            path.rename(folder / path.name)
    shutil.rmtree(folder / "ImageSets")
    return folder


def kitti_sets(folder: pathlib.Path) -> pathlib.Path:
    roads.kitti(folder / "training", {name: [roads.kitti_line("Car", "1 1 20 20")] for name in NAMES})
    (folder / "ImageSets").mkdir()
    for part, short in SHORT.items():
        (folder / "ImageSets" / f"{short}.txt").write_text("\n".join(of(part)))
    return folder


def coco_content(names: Sequence[str]) -> dict[str, object]:
    return {
        "images": [{"id": number, "file_name": f"{name}.png"} for number, name in enumerate(names)],
        "annotations": [
            {"id": number, "image_id": number, "category_id": 1, "bbox": [1, 1, 19, 19]} for number in range(len(names))
        ],
        "categories": [{"id": 1, "name": "car"}],
    }


def coco_own(folder: pathlib.Path) -> pathlib.Path:
    (folder / "annotations").mkdir(parents=True)
    for part, short in SHORT.items():
        pictures(folder / f"{short}2017", of(part))
        text = json.dumps(coco_content(of(part)))
        (folder / "annotations" / f"instances_{short}2017.json").write_text(text)
        (folder / "annotations" / f"person_keypoints_{short}2017.json").write_text(text)
    return folder


def coco_roboflow(folder: pathlib.Path) -> pathlib.Path:
    for part, short in zip(SHORT, ("train", "valid", "test"), strict=True):
        pictures(folder / short, of(part))
        (folder / short / "_annotations.coco.json").write_text(json.dumps(coco_content(of(part))))
    return folder


def voc_roboflow(folder: pathlib.Path) -> pathlib.Path:
    for part, short in zip(SHORT, ("train", "valid", "test"), strict=True):
        roads.voc(folder / short, {name: [("car", (1, 1, 20, 20))] for name in of(part)})
        for path in (folder / short / "annotations").iterdir():
            path.rename(folder / short / path.name)
        for name in of(part):
            roads.picture(folder / short / f"{name}.jpg", seed=int(name[1:]))
    return folder


def tables(folder: pathlib.Path) -> pathlib.Path:
    for part, short in SHORT.items():
        pictures(folder / "images", of(part))
        rows = "".join(f"{name}.png,1,1,20,20\n" for name in of(part))
        (folder / f"{short}.csv").write_text("image,xmin,ymin,xmax,ymax\n" + rows)
    return folder


def bdd(folder: pathlib.Path) -> pathlib.Path:
    label = {"category": "car", "box2d": {"x1": 1, "y1": 1, "x2": 20, "y2": 20}}
    (folder / "labels" / "det_20").mkdir(parents=True)
    for part, short in SHORT.items():
        pictures(folder / "images" / "100k" / short, of(part))
        content = [{"name": f"{name}.png", "labels": [label]} for name in of(part)]
        (folder / "labels" / "det_20" / f"det_{short}.json").write_text(json.dumps(content))
    return folder


ROOTS: dict[str, Callable[[pathlib.Path], pathlib.Path]] = {
    "YOLO, lists": yolo_lists,
    "YOLO, lists without a dot": lambda folder: yolo_lists(folder, "images/{}.png"),
    "YOLO, lists of another machine": lambda folder: yolo_lists(folder, "/content/drive/road/images/{}.png"),
    "YOLO, lists beside classes.txt": yolo_without_yaml,
    "YOLO, a list and a folder": yolo_of_lists,
    "YOLO, folders": yolo_folders,
    "YOLO, Roboflow's ../": lambda folder: yolo_folders(
        folder, "train: ../{0}/images\nval: ../{1}/images\ntest: ../{2}/images"
    ),
    "YOLO, a root": lambda folder: yolo_folders(
        folder, "path: /nowhere/road\ntrain: {0}/images\nval: {1}/images\ntest: {2}/images"
    ),
    "VOC, ImageSets": voc_sets,
    "VOC, Roboflow": voc_roboflow,
    "KITTI, ImageSets": kitti_sets,
    "VOC, lists in the root": lambda folder: lists_in_the_root(voc_sets, folder),
    "KITTI, lists in the root": lambda folder: lists_in_the_root(kitti_sets, folder),
    "COCO, its own layout": coco_own,
    "COCO, Roboflow": coco_roboflow,
    "tables": tables,
    "BDD100K": bdd,
}


def parts(found: frames.Frames) -> dict[str, str]:
    split, certificate = loading.split(found, seed=0)
    assert set(certificate["overlap"].values()) == {0}
    names = [pathlib.PurePosixPath(name).stem for name in found.images.names]
    return dict(zip(names, split.part.tolist(), strict=True))


@pytest.mark.parametrize("what", ROOTS)
def test_official_parts_of_one_root_are_kept_image_by_image(what: str, tmp_path: pathlib.Path) -> None:
    assert parts(loading.load([str(ROOTS[what](tmp_path / "road"))])) == PARTS


SEVERAL: dict[str, tuple[Callable[[pathlib.Path], pathlib.Path], Sequence[str]]] = {
    "YOLO, one data.yaml above": (yolo_folders, ("train", "valid", "test")),
    "COCO, files": (coco_own, [f"annotations/instances_{short}2017.json" for short in SHORT.values()]),
    "COCO, folders": (coco_roboflow, ("train", "valid", "test")),
    "VOC, folders": (voc_roboflow, ("train", "valid", "test")),
    "tables": (tables, ("train.csv", "val.csv", "test.csv")),
    "BDD100K": (bdd, [f"labels/det_20/det_{short}.json" for short in SHORT.values()]),
}


@pytest.mark.parametrize("what", SEVERAL)
def test_official_parts_given_one_by_one_are_kept_and_counted_apart(what: str, tmp_path: pathlib.Path) -> None:
    make, below = SEVERAL[what]
    folder = make(tmp_path / "road")
    found = loading.load([str(folder / name) for name in below])
    assert parts(found) == PARTS
    _, certificate = loading.split(found, seed=0)
    for counts in certificate["counts"].values():
        assert sum(counts["classes"].values()) == counts["rows"]
    assert len(set(found.source_names)) == 3


def test_a_yaml_file_may_be_named_itself_and_lie_apart(tmp_path: pathlib.Path) -> None:
    yolo_folders(tmp_path / "road")
    (tmp_path / "settings").mkdir()
    text = "path: ../road\ntrain: train/images\nval: valid/images\ntest: test/images\nnames: {0: car}\n"
    (tmp_path / "settings" / "road.yaml").write_text(text)
    assert parts(loading.load([str(tmp_path / "settings" / "road.yaml")])) == PARTS


def test_a_linked_part_is_a_part(tmp_path: pathlib.Path) -> None:
    folder = yolo_folders(tmp_path / "road")
    (folder / "store").mkdir()
    (folder / "test").rename(folder / "store" / "held_out")
    (folder / "test").symlink_to("store/held_out")
    found = loading.load([str(folder)])
    assert {name: part for name, part in parts(found).items() if part == "test"}.keys() == set(of("test"))


def test_a_part_that_is_linked_to_elsewhere_is_refused_until_links_are_to_be_followed(tmp_path: pathlib.Path) -> None:
    folder = yolo_folders(tmp_path / "road")
    shutil.move(folder / "test", tmp_path / "elsewhere")
    (folder / "test").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(errors.InputError, match="--follow-links"):
        loading.load([str(folder)])
    found = loading.load([str(folder)], follow_links=True)
    assert parts(found) == PARTS
    assert any("followed out of the folder" in note for note in found.notes)


def test_a_list_that_names_what_is_not_there_says_so(tmp_path: pathlib.Path) -> None:
    folder = yolo_lists(tmp_path / "y")
    with (folder / "val.txt").open("a") as stream:
        stream.write("./images/gone.png\n")
    with pytest.raises(errors.InputError, match=r"val\.txt, line 4 names \./images/gone\.png, of which there is no"):
        loading.load([str(folder)])
    assert parts(loading.load([str(folder)], skip_bad=True)) == PARTS
    folder = voc_sets(tmp_path / "v")
    (folder / "ImageSets" / "Main" / "test.txt").write_text("f009\nghost\n")
    with pytest.raises(errors.InputError, match=r"test\.txt, line 2 names ghost"):
        loading.load([str(folder)])


def test_a_part_whose_folder_is_not_there_is_refused_and_a_test_part_noted(tmp_path: pathlib.Path) -> None:
    folder = yolo_lists(tmp_path / "a", yaml="train: gone/images\nval: val.txt\n")
    with pytest.raises(errors.InputError, match=r"data\.yaml: .*exists for train\. Received: 'gone/images'"):
        loading.load([str(folder)])
    folder = yolo_lists(tmp_path / "b", yaml="train: train.txt\nval: val.txt\ntest: ../test/images\n")
    found = loading.load([str(folder)])
    assert any("'../test/images' for test, which is not there" in note for note in found.notes)
    assert set(parts(found).values()) == {"train", "validation"}


@pytest.mark.parametrize("make", [yolo_lists, voc_sets, kitti_sets])
def test_an_image_in_two_lists_is_refused(make: Callable[[pathlib.Path], pathlib.Path], tmp_path: pathlib.Path) -> None:
    folder = make(tmp_path / "road")
    file = next(path for path in folder.rglob("val.txt"))
    file.write_text(next(path for path in folder.rglob("train.txt")).read_text())
    with pytest.raises(errors.InputError, match=r"each image in one of the parts.*6 images in several: f000.*train"):
        loading.load([str(folder)])


def test_an_image_in_two_parts_of_coco_is_refused(tmp_path: pathlib.Path) -> None:
    folder = coco_own(tmp_path / "road")
    content = coco_content(["f009", "f010", "f000"])
    (folder / "annotations" / "instances_test2017.json").write_text(json.dumps(content))
    with pytest.raises(errors.InputError, match=r"listed several times.*train2017/f000\.png .*and train2017/f000"):
        loading.load([str(folder)])


def test_images_in_no_list_are_left_out_and_counted(tmp_path: pathlib.Path) -> None:
    folder = voc_sets(tmp_path / "v")
    (folder / "ImageSets" / "Main" / "trainval.txt").unlink()
    (folder / "ImageSets" / "Main" / "train.txt").write_text("\n".join(of("train")[:4]))
    found = loading.load([str(folder)])
    assert len(found) == 10
    assert "2 images are in none of the parts that ImageSets names: they are not used" in found.notes


def test_without_an_official_validation_part_it_is_drawn_out_of_train_and_never_out_of_test(
    tmp_path: pathlib.Path,
) -> None:
    folder = voc_sets(tmp_path / "v")
    for name in ("train", "val"):
        (folder / "ImageSets" / "Main" / f"{name}.txt").unlink()
    found = loading.load([str(folder)])
    split, certificate = loading.split(found, seed=0, block_frames=1)
    names = [pathlib.PurePosixPath(name).stem for name in found.images.names]
    assert {name for name, part in zip(names, split.part, strict=True) if part == "test"} == set(of("test"))
    assert set(split.part.tolist()) == set(splits.PARTS)
    assert any(note.startswith("no official validation part") for note in certificate["checks"]["notes"])


def test_images_of_another_table_beside_are_no_background(tmp_path: pathlib.Path) -> None:
    folder = tables(tmp_path / "road")
    roads.picture(folder / "images" / "empty.png", seed=99)
    found = loading.load([str(folder / "train.csv")])
    names = [pathlib.PurePosixPath(name).stem for name in found.images.names]
    assert names == [*of("train"), "empty"]
    assert "6 images are in other tables (test.csv, val.csv): they are not used" in found.notes


def test_a_copy_of_a_test_image_does_not_train(tmp_path: pathlib.Path) -> None:
    folder = yolo_lists(tmp_path / "y")
    shutil.copy(folder / "images" / "f011.png", folder / "images" / "f001.png")
    found = loading.load([str(folder)])
    split, certificate = loading.split(found, seed=0)
    assert split.part.tolist() == [splits.LEFT_OUT if name == "f001" else part for name, part in PARTS.items()]
    assert any("1 images of official parts are equal" in note for note in certificate["checks"]["notes"])
    assert "1 images hold the same content as another one, under a name of their own" in found.notes


def test_one_part_alone_names_no_split(tmp_path: pathlib.Path) -> None:
    folder = yolo_folders(tmp_path / "road")
    found = loading.load([str(folder / "train")])
    assert set(found.fixed_parts.tolist()) == {"train"}
    split, certificate = loading.split(found, seed=0, block_frames=1)
    assert set(split.part.tolist()) == set(splits.PARTS)
    assert any("shared out anew" in note for note in certificate["checks"]["notes"])


def test_kitti_keeps_testing_apart_where_it_has_labels(tmp_path: pathlib.Path) -> None:
    line = roads.kitti_line("Car", "1 1 20 20")
    roads.kitti(tmp_path / "k" / "training", {name: [line] for name in of("train")})
    roads.kitti(tmp_path / "k" / "testing", {name: [line] for name in of("test")})
    for name in of("test"):
        roads.picture(tmp_path / "k" / "testing" / "image_2" / f"{name}.png", seed=int(name[1:]))
    found = loading.load([str(tmp_path / "k")])
    assert np.unique(found.fixed_parts, return_counts=True)[1].tolist() == [3, 6]
    shutil.rmtree(tmp_path / "k" / "testing" / "label_2")
    found = loading.load([str(tmp_path / "k")])
    assert len(found) == 6
    assert "3 images are in no file of labels: they are not used" in found.notes


def test_links_between_folders_count_an_image_once(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "plain"
    pictures(folder / "a", NAMES[:2])
    (folder / "b").symlink_to("a")
    os.link(folder / "a" / "f000.png", folder / "copy.png")
    found = loading.load([str(folder)], labelled=False, class_names=("car",))
    assert len(found) == 3
    assert "2 images are files that are listed before under another name: they count once" in found.notes
