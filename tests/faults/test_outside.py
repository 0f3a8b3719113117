"""Labels that name images outside of their source are refused, unless the user says otherwise."""

import json
import pathlib
import re
from typing import Any

import pandas as pd
import pytest

from apps.medical_imaging import readers
from apps.medical_imaging.readers import sources as radiographs
from shared import errors
from shared.sources import folders
from tests import helpers
from tests.driving_perception import loading, roads
from tests.faults import seeds

REFUSED = re.escape("expected images that lie inside the folder (--allow-outside reads the others, too). Received: ")


def a_stranger(folder: pathlib.Path) -> pathlib.Path:
    """Write an image that is none of the source's."""
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "secret.png").write_bytes(seeds.picture(99, mode="RGB"))
    return folder / "elsewhere" / "secret.png"


def radiographs_naming(folder: pathlib.Path, name: str) -> pathlib.Path:
    source = seeds.radiographs_of_a_table(folder / "deep" / "set")
    table = pd.read_csv(source)
    table.loc[3, "image"] = name
    table.to_csv(source, index=False)
    return source


@pytest.mark.parametrize("name", ["../../../elsewhere/secret.png", "{stranger}", "x/../../../../elsewhere/secret"])
def test_a_table_of_radiographs_names_only_its_own(tmp_path: pathlib.Path, name: str) -> None:
    stranger = a_stranger(tmp_path)
    (tmp_path / "deep" / "set").mkdir(parents=True)
    table = radiographs_naming(tmp_path, name.format(stranger=stranger))
    (table.parent / "x").mkdir()

    def read(**options: Any) -> Any:
        settings = readers.Options(**options)
        return radiographs.read(str(table), options=settings, data_format="auto")

    with pytest.raises(errors.InputError, match=REFUSED + r".*secret\.png"):
        read()
    found = read(allow_outside=True)
    assert any("outside the folder" in note and "secret.png" in note for note in found.notes)
    assert sum(not entry.problem for entry in found.entries) == seeds.ROWS


def coco(folder: pathlib.Path, name: str) -> pathlib.Path:
    images = [{"id": 1, "file_name": "a.jpg", "width": 120, "height": 80}]
    images.append({"id": 2, "file_name": name, "width": 48, "height": 40})
    boxes = [{"id": each, "image_id": each, "category_id": 1, "bbox": [5, 5, 20, 20]} for each in (1, 2)]
    content = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "car"}]}
    folder.mkdir(parents=True)
    return roads.coco(folder, content, ["a.jpg"])


def yolo(folder: pathlib.Path, name: str) -> pathlib.Path:
    for part in ("train", "val"):
        roads.picture(folder / "images" / part / "a.jpg", seed=len(part))
        (folder / "labels" / part).mkdir(parents=True)
        (folder / "labels" / part / "a.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (folder / "train.txt").write_text(f"images/train/a.jpg\n{name}\n")
    content = {"path": ".", "train": "train.txt", "val": "images/val", "names": ["car"]}
    (folder / "data.yaml").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("write", [coco, yolo])
@pytest.mark.parametrize("name", ["../../elsewhere/secret.png", "{stranger}"])
def test_labels_of_roads_name_only_their_own(tmp_path: pathlib.Path, write: Any, name: str) -> None:
    stranger = a_stranger(tmp_path)
    source = write(tmp_path / "deep" / "set", name.format(stranger=stranger))
    with pytest.raises(errors.InputError, match=REFUSED + r".*secret\.png"):
        loading.load([str(source)], labelled=True)
    found = loading.load([str(source)], allow_outside=True, skip_bad=True)
    assert any("outside the folder" in note and "secret.png" in note for note in found.notes)


def test_images_beside_the_folder_of_their_labels_are_of_the_source(tmp_path: pathlib.Path) -> None:
    inside = [tmp_path / "val2017" / "a.jpg", tmp_path / "annotations" / "b.jpg"]
    (tmp_path / "annotations").mkdir()
    (tmp_path / "val2017").mkdir()
    (tmp_path / "annotations" / "instances.json").touch()
    for source in (tmp_path / "annotations", tmp_path / "annotations" / "instances.json", tmp_path):
        assert folders.outside(source, inside) == ()
    with pytest.raises(errors.InputError, match=REFUSED):
        folders.outside(tmp_path / "val2017" / "..", [tmp_path.parent / "a.jpg"])


@pytest.mark.parametrize("app", ["medical_imaging", "driving_perception"])
def test_the_flag_is_there_where_labels_name_images(app: str) -> None:
    assert helpers.config_of(app).default().allow_outside is False  # type: ignore[attr-defined]
