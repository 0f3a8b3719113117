"""Pascal VOC, YOLO and BDD100K."""

import json
import math
import pathlib
import xml.etree.ElementTree
from typing import Any

import numpy as np

from apps.driving_perception import boxes as box
from apps.driving_perception import frames
from shared import files


def write_voc(collection: frames.Frames, names: list[str], folder: pathlib.Path, parts: list[str]) -> None:
    """Write one XML file for each image; corners as they are, with their fractions."""
    del parts
    for row, name in enumerate(names):
        width, height = collection.images.sizes[row].tolist()
        root = xml.etree.ElementTree.Element("annotation")
        _add(root, "filename", name)
        size = xml.etree.ElementTree.SubElement(root, "size")
        for key, value in (("width", width), ("height", height), ("depth", 3)):
            _add(size, key, value)
        found = collection.boxes.of_images(np.array([row]))
        for place in np.flatnonzero(found.kind != box.REGION):
            _add_object(root, found, int(place), collection.class_names)
        xml.etree.ElementTree.indent(root)
        text = xml.etree.ElementTree.tostring(root, encoding="unicode")
        files.write_text(folder / "Annotations" / f"{pathlib.PurePosixPath(name).stem}.xml", text + "\n")


def _add_object(root: Any, boxes: box.Boxes, place: int, class_names: tuple[str, ...]) -> None:
    element = xml.etree.ElementTree.SubElement(root, "object")
    _add(element, "name", class_names[boxes.label[place]])
    _add(element, "difficult", int(boxes.kind[place] == box.NEIGHBOUR))
    if boxes.occlusion[place] >= 0:
        _add(element, "occluded", int(boxes.occlusion[place]))
    corners = xml.etree.ElementTree.SubElement(element, "bndbox")
    for key, value in zip(("xmin", "ymin", "xmax", "ymax"), boxes.xyxy[place].tolist(), strict=True):
        _add(corners, key, f"{value:.4f}")


def _add(parent: Any, name: str, value: object) -> None:
    xml.etree.ElementTree.SubElement(parent, name).text = str(value)


def write_yolo(collection: frames.Frames, names: list[str], folder: pathlib.Path, parts: list[str]) -> None:
    """Write one text file for each image, and ``data.yaml``."""
    for row, name in enumerate(names):
        width, height = collection.images.sizes[row].tolist()
        found = collection.boxes.of_images(np.array([row]))
        lines = []
        for place in np.flatnonzero(found.kind == box.OBJECT):
            left, top, right, bottom = found.xyxy[place].astype(np.float64).tolist()
            middle = ((left + right) / 2 / width, (top + bottom) / 2 / height)
            sides = ((right - left) / width, (bottom - top) / height)
            lines.append(" ".join([str(found.label[place]), *(f"{value:.7f}" for value in (*middle, *sides))]))
        path = (folder / "labels" / name).with_suffix(".txt")
        files.write_text(path, "".join(f"{line}\n" for line in lines))
    present = {"train": "train", "validation": "val", "test": "test"}
    used = [f"{short}: images/{short}" for part, short in present.items() if part in parts]
    listed = [f"  {number}: {json.dumps(name)}" for number, name in enumerate(collection.class_names)]
    files.write_text(folder / "data.yaml", "\n".join(["path: .", *used, "names:", *listed, ""]))


def write_bdd100k(collection: frames.Frames, names: list[str], folder: pathlib.Path, parts: list[str]) -> None:
    """Write ``labels.json``: one list for all images."""
    del parts
    images = [_image(collection, row, name) for row, name in enumerate(names)]
    files.write_text(folder / "labels.json", json.dumps(images, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def _image(collection: frames.Frames, row: int, name: str) -> dict[str, Any]:
    times = {"day": "daytime", "night": "night", "dusk": "dawn/dusk"}
    found: dict[str, Any] = {
        "name": name,
        "attributes": {
            "weather": str(collection.weather[row]) or "undefined",
            "timeofday": times.get(str(collection.time_of_day[row]), "undefined"),
        },
        "labels": [],
    }
    if collection.sequences[row]:
        found |= {"videoName": str(collection.sequences[row]), "frameIndex": int(collection.numbers[row])}
    if math.isfinite(collection.seconds[row]):
        found["timestamp"] = float(collection.seconds[row]) * 1000
    boxes = collection.boxes.of_images(np.array([row]))
    found["labels"] = [
        _label(boxes, int(place), collection.class_names)
        for place in np.flatnonzero(boxes.label >= 0)
        if boxes.kind[place] != box.NEIGHBOUR
    ]
    return found


def _label(boxes: box.Boxes, place: int, class_names: tuple[str, ...]) -> dict[str, Any]:
    said: dict[str, Any] = {"crowd": bool(boxes.kind[place] == box.REGION)}
    if boxes.occlusion[place] >= 0:
        said["occluded"] = bool(boxes.occlusion[place] > 0)
    corners = dict(zip(("x1", "y1", "x2", "y2"), boxes.xyxy[place].astype(np.float64).tolist(), strict=True))
    found = {"category": class_names[boxes.label[place]], "attributes": said, "box2d": corners}
    return found | ({"id": str(boxes.track[place])} if boxes.track[place] >= 0 else {})
