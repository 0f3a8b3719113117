"""What each format holds comes back from it; what it does not hold is said."""

import dataclasses
import hashlib
import io
import os
import pathlib

import numpy as np
import pytest
from PIL import Image

from apps.driving_perception import boxes as box
from apps.driving_perception import data, frames, writers
from shared import splits
from tests.driving_perception import loading, roads

WIDTH, HEIGHT = 1242, 375
NAMES = ("car", "bus", "person")
COLUMNS = ("kind", "occlusion", "truncation", "distance", "track")
PER_IMAGE = ("numbers", "seconds", "time_of_day", "weather")
PARTS = ("train", "validation", "test", splits.LEFT_OUT)

# What comes back from each format: kinds of boxes as (kind, class), columns of boxes, and columns of images.
OBJECTS = {(box.OBJECT, name) for name in NAMES}
NEIGHBOURS = {(box.NEIGHBOUR, name) for name in NAMES}
CROWDS = {(box.REGION, name) for name in NAMES}
ANYTHING = {(box.REGION, "any")}
HELD = {
    "coco": (OBJECTS | NEIGHBOURS | CROWDS | ANYTHING, COLUMNS, PER_IMAGE, True),
    "table": (OBJECTS | NEIGHBOURS | CROWDS | ANYTHING, COLUMNS, PER_IMAGE, True),
    "kitti": (OBJECTS | {(box.NEIGHBOUR, "car"), (box.NEIGHBOUR, "person")} | ANYTHING, COLUMNS[:4], (), False),
    "voc": (OBJECTS | NEIGHBOURS, ("kind", "occlusion"), (), False),
    "yolo": (OBJECTS, ("kind",), (), True),
    "bdd100k": (OBJECTS | CROWDS, ("kind", "track"), PER_IMAGE, False),
}


def png(seed: int) -> bytes:
    stream = io.BytesIO()
    small = np.random.default_rng(seed).integers(0, 256, (5, 16, 3), np.uint8)
    Image.fromarray(small).resize((WIDTH, HEIGHT), Image.Resampling.NEAREST).save(stream, "png")
    return stream.getvalue()


@pytest.fixture(scope="module")
def made() -> frames.Frames:
    """Four images with boxes of every kind and class and every column, at corners that no format rounds to."""
    generator = np.random.default_rng(0)
    kinds = [*[box.OBJECT] * 3, *[box.NEIGHBOUR] * 3, *[box.REGION] * 4]
    labels = [0, 1, 2, 0, 1, 2, 0, 1, 2, box.ANY_CLASS]
    count = len(kinds) * 3
    corners = np.sort(generator.uniform(0, 1, (count, 2, 2)), axis=1) * (WIDTH - 60, HEIGHT - 60)
    corners[:, 1] += generator.uniform(5, 60, (count, 2))
    boxes = box.Boxes.build(
        image=np.repeat([0, 1, 2], len(kinds)),
        xyxy=corners.reshape(count, 4),
        label=labels * 3,
        kind=kinds * 3,
        occlusion=generator.integers(-1, 3, count),
        truncation=np.where(generator.random(count) < 0.3, np.nan, generator.random(count)),
        distance=np.where(generator.random(count) < 0.3, np.nan, generator.uniform(1, 90, count)),
        track=generator.integers(-1, 50, count),
    )
    content = [png(seed) for seed in range(4)]
    items = np.empty(4, object)
    items[:] = content
    hashes = [int.from_bytes(hashlib.sha256(each).digest()[:8], "big") for each in content]
    found = roads.collection(
        boxes,
        images=4,
        class_names=NAMES,
        sequences=("night/1", "night/1", "", ""),
        numbers=np.array([3, 4, box.UNKNOWN, box.UNKNOWN]),
        seconds=np.array([0.3, 0.4, np.nan, np.nan]),
        time_of_day=np.array(["night", "night", "dusk", ""], object),
        weather=np.array(["rain", "rain", "fog", ""], object),
        known_classes=np.array([[True] * 3, [True, True, False], [True, False, True], [True, False, False]]),
    )
    images = frames.Images(
        names=np.array(["a b/..x.png", "a b/y.png", "c/y.png", "../z.png"], object),
        items=items,
        sizes=np.tile(np.array([[WIDTH, HEIGHT]]), (4, 1)),
        content_hashes=np.array(hashes, np.uint64),
    )
    return dataclasses.replace(found, images=images)


def write(collection: frames.Frames, folder: pathlib.Path, name: str, parts: tuple[str, ...]) -> list[str]:
    split = splits.Split(
        part=np.array(parts, dtype="<U10"), unit=np.arange(len(collection)), unit_name="", method="", seed=0
    )
    return writers.write(collection, data.frame(collection, split), folder, write_format=name)


def rows(collection: frames.Frames, columns: tuple[str, ...], kept: set[tuple[int, str]]) -> np.ndarray:
    """One row for each box that the format holds, in an order that files do not change."""
    boxes, hashes = collection.boxes, collection.images.content_hashes
    names = np.array([*collection.class_names, "any"], object)[boxes.label]
    held = [(kind, name) in kept for kind, name in zip(boxes.kind.tolist(), names, strict=True)]
    numbers = [list(NAMES).index(name) if name != "any" else -1 for name in names]
    columns_of = [getattr(boxes, name).astype(float) for name in columns]
    table = np.column_stack([hashes[boxes.image] >> np.uint64(32), numbers, boxes.xyxy, *columns_of])[held]
    return table[np.lexsort((table[:, 2].round(2), table[:, 0]))]


@pytest.mark.parametrize("name", writers.FORMATS)
def test_what_a_format_holds_comes_back_from_it(name: str, made: frames.Frames, tmp_path: pathlib.Path) -> None:
    kept, columns, per_image, parts_held = HELD[name]
    write(made, tmp_path / "out", name, PARTS)
    found = loading.load([str(tmp_path / "out")], class_names=NAMES)
    if name == "yolo":
        # What was left out stays out: its folders of parts do not name it.
        made = made.take(np.flatnonzero(np.array(PARTS) != splits.LEFT_OUT))
    assert len(found) == len(made)
    np.testing.assert_allclose(rows(found, columns, kept), rows(made, columns, kept), rtol=0, atol=1e-3)
    order, expected = (np.argsort(each.images.content_hashes) for each in (found, made))
    assert found.images.content_hashes[order].tolist() == made.images.content_hashes[expected].tolist()
    for column in per_image:
        np.testing.assert_array_equal(getattr(found, column)[order], getattr(made, column)[expected], err_msg=column)
    if parts_held:
        assert found.fixed_parts[order].tolist() == np.array(PARTS)[expected].tolist()
    if "numbers" in per_image:
        assert [each.removeprefix("out/") for each in found.sequences[order]] == made.sequences[expected].tolist()
    if name in ("coco", "table"):
        assert found.known_classes[order].tolist() == made.known_classes[expected].tolist()


@pytest.mark.parametrize("name", writers.FORMATS)
def test_boxes_that_a_format_has_no_place_for_are_counted(
    name: str, made: frames.Frames, tmp_path: pathlib.Path
) -> None:
    lost = write(made, tmp_path / "out", name, PARTS)
    found = loading.load([str(tmp_path / "out")], class_names=NAMES)
    said = sum(
        int(line.split(": ")[1].split()[0]) for line in lost if line.split("no ")[1].startswith(("regions", "neighb"))
    )
    assert len(found.boxes) + said == len(made.boxes)
    partial = any("classes that an image is labelled for: 3 left out" in line for line in lost)
    assert partial == (name not in ("coco", "table"))


@pytest.mark.parametrize("name", writers.FORMATS)
def test_rendered_images_stay_marked_in_every_format(name: str, made: frames.Frames, tmp_path: pathlib.Path) -> None:
    for synthetic in (False, True):
        folder = tmp_path / str(synthetic)
        write(dataclasses.replace(made, synthetic=synthetic), folder, name, PARTS)
        assert loading.load([str(folder)], class_names=NAMES).synthetic == synthetic


@pytest.mark.parametrize("name", writers.FORMATS)
def test_names_of_images_cannot_leave_the_folder(name: str, made: frames.Frames, tmp_path: pathlib.Path) -> None:
    write(made, tmp_path / "deep" / "out", name, PARTS)
    assert {path.name for path in tmp_path.iterdir()} == {"deep"}
    assert {path.name for path in (tmp_path / "deep").iterdir()} == {"out"}


def test_a_class_of_two_words_keeps_its_columns_in_kitti(tmp_path: pathlib.Path, made: frames.Frames) -> None:
    mapping = tmp_path / "classes.json"
    mapping.write_text('{"fire engine": "fire engine"}')
    objects = made.boxes.take(made.boxes.kind == box.OBJECT)
    write(
        dataclasses.replace(made, class_names=("car", "fire engine", "person"), boxes=objects),
        tmp_path / "out",
        "kitti",
        PARTS,
    )
    found = loading.load([str(tmp_path / "out")], class_file=mapping)
    assert found.class_names == ("car", "person", "fire engine")
    assert np.bincount(found.boxes.label).tolist() == [3, 3, 3]


@pytest.mark.realdata
@pytest.mark.skipif(not os.environ.get("FIELDNETS_REAL_DATA"), reason="FIELDNETS_REAL_DATA is not set")
@pytest.mark.parametrize("name", writers.FORMATS)
def test_real_objects_survive_every_format(name: str, tmp_path: pathlib.Path) -> None:
    real = loading.load([str(pathlib.Path(os.environ["FIELDNETS_REAL_DATA"]) / "driving" / "kitti_30")])
    write(real, tmp_path / "out", name, ("train",) * len(real))
    found = loading.load([str(tmp_path / "out")])

    def objects(collection: frames.Frames) -> np.ndarray:
        chosen = collection.boxes.take(collection.boxes.kind == box.OBJECT)
        key = collection.images.content_hashes[chosen.image] >> np.uint64(32)
        number = [data.CLASS_NAMES.index(collection.class_names[label]) for label in chosen.label]
        table = np.column_stack([key, number, chosen.xyxy])
        return table[np.lexsort((table[:, 3].round(1), table[:, 2].round(1), table[:, 0]))]

    np.testing.assert_allclose(objects(found), objects(real), rtol=0, atol=1e-3)
