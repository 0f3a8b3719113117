"""KITTI's ``label_2``: 15 columns; what we do not know has the value that KITTI has for it."""

import math
import pathlib

import numpy as np
from numpy.typing import NDArray

from apps.driving_perception import boxes as box
from apps.driving_perception import frames
from shared import files

# The names that our reader takes for our classes again.
_NAMES = {"car": "Car", "truck": "Truck", "train": "Tram", "person": "Pedestrian", "bicycle": "Cyclist"}
_NEIGHBOURS = {"car": "Van", "person": "Person_sitting"}


def write(collection: frames.Frames, names: list[str], folder: pathlib.Path, parts: list[str]) -> None:
    """Write one text file for each image."""
    del parts
    for row, name in enumerate(names):
        found = collection.boxes.of_images(np.array([row]))
        lines = [_line(found, place, collection.class_names) for place in range(len(found))]
        files.write_text(folder / "label_2" / f"{pathlib.PurePosixPath(name).stem}.txt", "".join(filter(None, lines)))


def holds(boxes: box.Boxes, class_names: tuple[str, ...]) -> NDArray[np.bool_]:
    """Return (m,) whether KITTI has a name for what each box says."""
    near = np.isin(boxes.label, [label for label, name in enumerate(class_names) if name in _NEIGHBOURS])
    return np.where(boxes.kind == box.NEIGHBOUR, near, (boxes.kind == box.OBJECT) | (boxes.label < 0))


def _line(boxes: box.Boxes, place: int, class_names: tuple[str, ...]) -> str:
    """Return one line, "" for what has no name in KITTI: regions of one class, and neighbours of most."""
    kind, label = int(boxes.kind[place]), int(boxes.label[place])
    if not holds(boxes, class_names)[place]:
        return ""
    own = class_names[label] if label >= 0 else ""
    # Columns stand between blanks, and a name is read alike with or without.
    same = "_".join(own.split())
    name = "DontCare" if kind == box.REGION else _NEIGHBOURS[own] if kind == box.NEIGHBOUR else _NAMES.get(own, same)
    truncation, distance = float(boxes.truncation[place]), float(boxes.distance[place])
    occlusion = int(boxes.occlusion[place])
    corners = " ".join(f"{value:.4f}" for value in boxes.xyxy[place].tolist())
    cut = f"{truncation:.6g}" if math.isfinite(truncation) else "-1"
    hidden = occlusion if occlusion >= 0 else 3
    place_z = f"{distance:.6g}" if math.isfinite(distance) else "-1000"
    return f"{name} {cut} {hidden} -10 {corners} -1 -1 -1 -1000 -1000 {place_z} -10\n"
