"""COCO's instances, with further keys for what COCO has no place for."""

import math
import pathlib
from typing import Any

import numpy as np

from apps.driving_perception import boxes as box
from apps.driving_perception import frames
from shared import files

# The category of regions that may hold any class; our reader takes its name for what it says.
ANY = "ignore"


def write(collection: frames.Frames, names: list[str], folder: pathlib.Path, parts: list[str]) -> None:
    """Write ``annotations.json``."""
    categories = [*collection.class_names]
    if (collection.boxes.label < 0).any():
        categories.append(ANY)
    images = [_image(collection, row, name, part) for row, (name, part) in enumerate(zip(names, parts, strict=True))]
    annotations = [
        _annotation(collection.boxes, place, len(collection.class_names)) for place in range(len(collection.boxes))
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


def _image(collection: frames.Frames, row: int, name: str, part: str) -> dict[str, Any]:
    width, height = collection.images.sizes[row].tolist()
    found = {
        "id": row + 1,
        "file_name": name,
        "width": width,
        "height": height,
        "sequence": str(collection.sequences[row]),
        "number": int(collection.numbers[row]),
        "seconds": _number(collection.seconds[row]),
        "time_of_day": str(collection.time_of_day[row]),
        "weather": str(collection.weather[row]),
        "part": part,
        "known_classes": [collection.class_names[i] for i in np.flatnonzero(collection.known_classes[row])],
    }
    return {key: value for key, value in found.items() if value not in ("", None)}


def _annotation(boxes: box.Boxes, place: int, classes: int) -> dict[str, Any]:
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
        "truncation": _number(boxes.truncation[place]),
        "distance": _number(boxes.distance[place]),
        "track": int(boxes.track[place]),
    }
    return {key: value for key, value in found.items() if value is not None}


def _number(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None
