import pathlib
from typing import Any

import numpy as np
import pytest

from apps.driving_perception import boxes as box
from apps.driving_perception import data, frames, partition, simulator, writers
from shared import errors, splits
from tests.driving_perception import loading, roads


@pytest.fixture(scope="module")
def rendered() -> frames.Frames:
    return simulator.render(sequences=6, frames=2, seed=3, width=320, height=192)


def written(collection: frames.Frames, folder: pathlib.Path, name: str) -> tuple[frames.Frames, list[str]]:
    split, _ = loading.split(collection, seed=0)
    lost = data.write(collection, data.frame(collection, split), folder, write_format=name)
    return loading.load([str(folder)]), lost


def columns(collection: frames.Frames, names: tuple[str, ...], *, only_objects: bool = False) -> list[tuple[Any, ...]]:
    """Rows of boxes that can be compared whatever the order of the images."""
    boxes = collection.boxes
    rows = []
    for place in range(len(boxes)):
        if only_objects and boxes.kind[place] != box.OBJECT:
            continue
        label = collection.class_names[boxes.label[place]] if boxes.label[place] >= 0 else "any"
        extra = tuple(np.nan_to_num(float(getattr(boxes, name)[place]), nan=-7.0).__round__(3) for name in names)
        rows.append((label, *np.round(boxes.xyxy[place].astype(float), 1).tolist(), *extra))
    return sorted(rows)


@pytest.mark.parametrize("name", writers.FORMATS)
def test_objects_survive_every_format(name: str, rendered: frames.Frames, tmp_path: pathlib.Path) -> None:
    found, _ = written(rendered, tmp_path / name, name)
    assert len(found) == len(rendered)
    expected, received = (columns(each, (), only_objects=True) for each in (rendered, found))
    for one, other in zip(expected, received, strict=True):
        assert one[0] == other[0]
        np.testing.assert_allclose(one[1:], other[1:], atol=0.11)
    contents = {rendered.images.read(row) for row in range(len(rendered))}
    assert {found.images.read(row) for row in range(len(found))} == contents


@pytest.mark.parametrize("name", ["coco", "table"])
def test_two_formats_hold_everything(name: str, rendered: frames.Frames, tmp_path: pathlib.Path) -> None:
    found, lost = written(rendered, tmp_path / name, name)
    assert lost == []
    kept = ("kind", "occlusion", "truncation", "distance", "track")
    assert columns(found, kept) == columns(rendered, kept)
    order = np.argsort(found.images.names.astype(str))
    for column in ("time_of_day", "weather", "numbers", "seconds"):
        assert getattr(found, column)[order].tolist() == getattr(rendered, column).tolist(), column
    assert [str(each).split("/")[-1] for each in found.sequences[order]] == rendered.sequences.tolist()
    assert found.known_classes.all()


def test_what_a_format_cannot_hold_is_said(rendered: frames.Frames, tmp_path: pathlib.Path) -> None:
    _, lost = written(rendered, tmp_path / "yolo", "yolo")
    assert any(line.startswith("yolo holds no distances") for line in lost)
    with pytest.raises(errors.InputError, match="write_format: expected one of"):
        data.write(rendered, data.frame(rendered, loading.split(rendered, seed=0)[0]), tmp_path, write_format="xml")


def test_sequences_never_cross_parts_and_the_same_seed_gives_the_same_parts() -> None:
    many = simulator.render(sequences=12, frames=2, seed=0, width=96, height=64)
    split, certificate = loading.split(many, seed=1)
    for name in np.unique(many.sequences.astype(str)):
        assert len(set(split.part[many.sequences == name].tolist())) == 1
    order = np.random.default_rng(0).permutation(len(many))
    again, _ = loading.split(many.take(order), seed=1)
    assert again.part.tolist() == split.part[order].tolist()
    assert certificate["checks"]["sequences"] == 12
    assert set(split.part.tolist()) == set(splits.PARTS)


def test_frames_without_a_sequence_are_cut_into_blocks_of_neighbours(tmp_path: pathlib.Path) -> None:
    names = [f"clip_{number}.png" for number in range(0, 240, 6)]
    text = "image,xmin,ymin,xmax,ymax\n" + "".join(f"{name},1,1,20,20\n" for name in names)
    found = loading.load([str(roads.table(tmp_path / "t", text, names))])
    unit = partition.units(found, partition.near(found, 6), block_frames=8)
    numbers = np.array([int(name.split("_")[-1].split(".")[0]) for name in found.images.names])
    by_number = unit[np.argsort(numbers)]
    assert [len(np.unique(by_number[start : start + 8])) for start in range(0, 40, 8)] == [1] * 5
    assert len(np.unique(unit)) == 5


def test_equal_pictures_of_two_sources_stay_together(tmp_path: pathlib.Path) -> None:
    one = roads.voc(tmp_path / "one", {"a": [("car", (1, 1, 20, 20))], "b": [("car", (1, 1, 20, 20))]})
    two = roads.voc(tmp_path / "two", {"x": [("car", (1, 1, 20, 20))]})
    found = loading.load([str(one), str(two)])
    unit = partition.units(found, partition.near(found, 6), block_frames=1)
    assert unit[0] == unit[2] != unit[1]


def test_two_copies_in_one_series_stay_together_but_not_a_camera_that_stands_still(tmp_path: pathlib.Path) -> None:
    names = [f"clip_{number}.png" for number in range(8)]
    text = "image,xmin,ymin,xmax,ymax\n" + "".join(f"{name},1,1,20,20\n" for name in names)
    found = loading.load([str(roads.table(tmp_path / "t", text, names))])
    apart = np.arange(8)
    assert len(np.unique(partition.units(found, apart, block_frames=2))) == 4
    copies = np.where(apart == 7, 0, apart)
    unit = partition.units(found, copies, block_frames=2)
    assert unit[0] == unit[7]
    assert len(np.unique(unit)) == 3
    still = np.zeros(8, np.int64)
    assert len(np.unique(partition.units(found, still, block_frames=2))) == 4


def test_a_users_split_that_tears_a_sequence_apart_is_refused(tmp_path: pathlib.Path) -> None:
    many = simulator.render(sequences=4, frames=2, seed=0, width=96, height=64)
    file = tmp_path / "split.csv"
    parts = ["train", "train", "validation", "validation", "test", "test", "train", "test"]
    rows = [f"{name},{part}\n" for name, part in zip(many.images.names, parts, strict=True)]
    file.write_text("id,part\n" + "".join(rows))
    with pytest.raises(errors.GateError, match="in one part only"):
        loading.split(many, seed=0, split_file=file)
    file.write_text("id,part\n" + "".join(rows[:7]) + f"{many.images.names[7]},train\n")
    split, _ = loading.split(many, seed=0, split_file=file)
    assert split.part.tolist() == [*parts[:7], "train"]


def test_official_parts_are_kept(tmp_path: pathlib.Path) -> None:
    text = "image,xmin,ymin,xmax,ymax,part\n" + "".join(
        f"{part}{number}x.png,1,1,20,20,{part}\n" for part in ("train", "val", "test") for number in range(2)
    )
    names = [f"{part}{number}x.png" for part in ("train", "val", "test") for number in range(2)]
    found = loading.load([str(roads.table(tmp_path / "t", text, names))])
    split, _ = loading.split(found, seed=0)
    assert split.part.tolist() == found.fixed_parts.tolist()


def test_one_line_says_what_was_read(rendered: frames.Frames) -> None:
    line = data.describe(rendered)
    assert line.startswith("road-scenes: 12 SYNTHETIC images, 6 named sequences (")
    real = rendered.boxes.kind == box.OBJECT
    assert f"{int(real.sum() - (rendered.boxes.label[real] != 0).sum()):,} car" in line


def test_the_table_of_images_counts_their_boxes(rendered: frames.Frames) -> None:
    split, _ = loading.split(rendered, seed=0)
    table = data.frame(rendered, split)
    counted = sum(table[f"n_{name}"].sum() for name in rendered.class_names)
    assert counted == (rendered.boxes.kind != box.REGION).sum()
    assert table["part"].tolist() == split.part.tolist()
