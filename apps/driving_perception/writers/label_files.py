"""The labels of a collection, as each format writes them; COCO and tables have keys for all that we know."""

import json
import math
import pathlib
import xml.etree.ElementTree
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from apps.driving_perception import boxes as box
from apps.driving_perception import frames
from apps.driving_perception.readers import table as reader
from shared import files

pass

# The category of regions that may hold any class; our reader takes its name for what it says.
ANY_CLASS_NAME = "ignore"
# The names that our reader takes for our classes again.
_KITTI_NAMES = {"car": "Car", "truck": "Truck", "train": "Tram", "person": "Pedestrian", "bicycle": "Cyclist"}
_KITTI_NEIGHBOURS = {"car": "Van", "person": "Person_sitting"}


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
            _add_voc_object(root, found, int(place), collection.class_names)
        xml.etree.ElementTree.indent(root)
        text = xml.etree.ElementTree.tostring(root, encoding="unicode")
        files.write_text(folder / "Annotations" / f"{pathlib.PurePosixPath(name).stem}.xml", text + "\n")


def _add_voc_object(root: Any, boxes: box.Boxes, place: int, class_names: tuple[str, ...]) -> None:
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
    images = [_bdd100k_image(collection, row, name) for row, name in enumerate(names)]
    files.write_text(folder / "labels.json", json.dumps(images, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def _bdd100k_image(collection: frames.Frames, row: int, name: str) -> dict[str, Any]:
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
        _bdd100k_label(boxes, int(place), collection.class_names)
        for place in np.flatnonzero(boxes.label >= 0)
        if boxes.kind[place] != box.NEIGHBOUR
    ]
    return found


def _bdd100k_label(boxes: box.Boxes, place: int, class_names: tuple[str, ...]) -> dict[str, Any]:
    said: dict[str, Any] = {"crowd": bool(boxes.kind[place] == box.REGION)}
    if boxes.occlusion[place] >= 0:
        said["occluded"] = bool(boxes.occlusion[place] > 0)
    corners = dict(zip(("x1", "y1", "x2", "y2"), boxes.xyxy[place].astype(np.float64).tolist(), strict=True))
    found = {"category": class_names[boxes.label[place]], "attributes": said, "box2d": corners}
    return found | ({"id": str(boxes.track[place])} if boxes.track[place] >= 0 else {})


def write_kitti(collection: frames.Frames, names: list[str], folder: pathlib.Path, parts: list[str]) -> None:
    """Write one text file for each image."""
    del parts
    for row, name in enumerate(names):
        found = collection.boxes.of_images(np.array([row]))
        lines = [_kitti_line(found, place, collection.class_names) for place in range(len(found))]
        files.write_text(folder / "label_2" / f"{pathlib.PurePosixPath(name).stem}.txt", "".join(filter(None, lines)))


def kitti_holds(boxes: box.Boxes, class_names: tuple[str, ...]) -> NDArray[np.bool_]:
    """Return (m,) whether KITTI has a name for what each box says."""
    near = np.isin(boxes.label, [label for label, name in enumerate(class_names) if name in _KITTI_NEIGHBOURS])
    return np.where(boxes.kind == box.NEIGHBOUR, near, (boxes.kind == box.OBJECT) | (boxes.label < 0))


def _kitti_line(boxes: box.Boxes, place: int, class_names: tuple[str, ...]) -> str:
    """Return one line, "" for what has no name in KITTI: regions of one class, and neighbours of most."""
    kind, label = int(boxes.kind[place]), int(boxes.label[place])
    if not kitti_holds(boxes, class_names)[place]:
        return ""
    own = class_names[label] if label >= 0 else ""
    # Columns stand between blanks, and a name is read alike with or without.
    same = "_".join(own.split())
    name = (
        "DontCare"
        if kind == box.REGION
        else _KITTI_NEIGHBOURS[own]
        if kind == box.NEIGHBOUR
        else _KITTI_NAMES.get(own, same)
    )
    truncation, distance = float(boxes.truncation[place]), float(boxes.distance[place])
    occlusion = int(boxes.occlusion[place])
    corners = " ".join(f"{value:.4f}" for value in boxes.xyxy[place].tolist())
    cut = f"{truncation:.6g}" if math.isfinite(truncation) else "-1"
    hidden = occlusion if occlusion >= 0 else 3
    place_z = f"{distance:.6g}" if math.isfinite(distance) else "-1000"
    return f"{name} {cut} {hidden} -10 {corners} -1 -1 -1 -1000 -1000 {place_z} -10\n"


def write_table(collection: frames.Frames, names: list[str], folder: pathlib.Path, parts: list[str]) -> None:
    """Write ``boxes.csv``."""
    boxes = collection.boxes
    bare = np.setdiff1d(np.arange(len(collection)), boxes.image)
    rows = np.concatenate([boxes.image, bare])
    label = np.array([*collection.class_names, ANY_CLASS_NAME], object)[boxes.label]
    own = {
        **{side: boxes.xyxy[:, i].astype(np.float64) for i, side in enumerate(("xmin", "ymin", "xmax", "ymax"))},
        "class": label,
        "kind": np.array(box.KINDS, object)[boxes.kind],
        "occlusion": boxes.occlusion,
        "truncation": boxes.truncation,
        "distance": boxes.distance,
        "track": boxes.track,
    }
    table = pd.DataFrame(own).reindex(range(len(rows)))
    images = {
        "image": np.array(names, object)[rows],
        "sequence": collection.sequences[rows],
        "number": collection.numbers[rows],
        "seconds": collection.seconds[rows],
        "time_of_day": collection.time_of_day[rows],
        "weather": collection.weather[rows],
        "part": np.array(parts, object)[rows],
        "known_classes": _known_classes(collection)[rows],
    }
    joined = pd.concat([pd.DataFrame(images), table], axis=1)
    first = ["image", *own]
    joined = joined[[*first, *joined.columns.drop(first)]].sort_values("image", kind="stable")
    files.write_text(folder / "boxes.csv", joined.to_csv(index=False, lineterminator="\n"))


def _known_classes(collection: frames.Frames) -> NDArray[np.object_]:
    """Return (n,) the names of the classes that each image is labelled for, joined."""
    found = np.empty(len(collection), object)
    found[:] = [
        reader.KNOWN_SEPARATOR.join(np.array(collection.class_names, object)[known])
        for known in collection.known_classes
    ]
    return found


def write_coco(collection: frames.Frames, names: list[str], folder: pathlib.Path, parts: list[str]) -> None:
    """Write ``annotations.json``."""
    categories = [*collection.class_names]
    if (collection.boxes.label < 0).any():
        categories.append(ANY_CLASS_NAME)
    images = [
        _coco_image(collection, row, name, part) for row, (name, part) in enumerate(zip(names, parts, strict=True))
    ]
    annotations = [
        _coco_annotation(collection.boxes, place, len(collection.class_names)) for place in range(len(collection.boxes))
    ]
    files.write_json(
        folder / "annotations.json",
        {
            "info": {"description": collection.name},
            "images": images,
            "annotations": annotations,
            "categories": [{"id": number, "name": name} for number, name in enumerate(categories, start=1)],
        },
    )


def _coco_image(collection: frames.Frames, row: int, name: str, part: str) -> dict[str, Any]:
    width, height = collection.images.sizes[row].tolist()
    found = {
        "id": row + 1,
        "file_name": name,
        "width": width,
        "height": height,
        "sequence": str(collection.sequences[row]),
        "number": int(collection.numbers[row]),
        "seconds": _finite(collection.seconds[row]),
        "time_of_day": str(collection.time_of_day[row]),
        "weather": str(collection.weather[row]),
        "part": part,
        "known_classes": [collection.class_names[i] for i in np.flatnonzero(collection.known_classes[row])],
    }
    return {key: value for key, value in found.items() if value not in ("", None)}


def _coco_annotation(boxes: box.Boxes, place: int, classes: int) -> dict[str, Any]:
    left, top, right, bottom = boxes.xyxy[place].astype(np.float64).tolist()
    label = int(boxes.label[place])
    found = {
        "id": place + 1,
        "image_id": int(boxes.image[place]) + 1,
        "category_id": (label if label >= 0 else classes) + 1,
        "bbox": [left, top, right - left, bottom - top],
        "area": (right - left) * (bottom - top),
        "iscrowd": int(boxes.kind[place] == box.REGION),
        "kind": box.KINDS[int(boxes.kind[place])],
        "occlusion": int(boxes.occlusion[place]),
        "truncation": _finite(boxes.truncation[place]),
        "distance": _finite(boxes.distance[place]),
        "track": int(boxes.track[place]),
    }
    return {key: value for key, value in found.items() if value is not None}


def _finite(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None
