"""Write a collection in one of the formats that ``readers`` read: images as they are, and their labels.

| format | kind | occlusion | truncation | distance | track | sequence, number, seconds | conditions | parts | labels |
|---|---|---|---|---|---|---|---|---|---|
| coco | yes | yes | yes | yes | yes | yes | yes | yes | yes |
| table | yes | yes | yes | yes | yes | yes | yes | yes | yes |
| kitti | regions of any class, neighbours of car and person | yes | yes | yes | no | no | no | no | no |
| voc | neighbours ("difficult") | yes | no | no | no | no | no | no | no |
| yolo | no: objects only | no | no | no | no | no | no | yes | no |
| bdd100k | regions of a class ("crowd") | a flag | no | no | yes | sequence, number, seconds | yes | no | no |

Boxes and classes survive everywhere, to a thousandth of a pixel or better. What a format cannot hold is said in the
result. ``labels`` is which classes an image is labelled for: what lets a union of sources teach no false background.
That images were rendered is marked by a file beside them, in every format.
"""

import pathlib
import re
from collections.abc import Callable

import numpy as np
import pandas as pd

from apps.driving_perception import boxes as box
from apps.driving_perception import frames
from apps.driving_perception.readers import entries
from apps.driving_perception.writers import label_files
from shared import errors, files, splits

FORMATS: dict[str, Callable[[frames.Frames, list[str], pathlib.Path, list[str]], None]] = {
    "coco": label_files.write_coco,
    "table": label_files.write_table,
    "kitti": label_files.write_kitti,
    "voc": label_files.write_voc,
    "yolo": label_files.write_yolo,
    "bdd100k": label_files.write_bdd100k,
}
# Where each format keeps its images.
_FOLDERS = {"kitti": "image_2", "voc": "JPEGImages", "yolo": "images", "table": "images", "coco": "images"}
# Left-out images stand above the folders of the parts.
_PARTS = {"train": "train/", "validation": "val/", "test": "test/", splits.LEFT_OUT: ""}
_MARK = "These images were rendered, not taken: what is measured on them says nothing about real roads.\n"


def write(
    collection: frames.Frames, table: pd.DataFrame, folder: pathlib.Path, *, write_format: str = "coco"
) -> list[str]:
    """Write the normalised data set.

    Args:
        collection: The images and boxes.
        table: Their rows as ``data.frame`` gives them, for the parts.
        folder: Where to write; it can be read again as a source.
        write_format: One of ``FORMATS``.

    Returns:
        What the format could not hold, in words.

    Raises:
        errors.InputError: The format is not one of these.
    """
    if write_format not in FORMATS:
        raise errors.InputError(f"write_format: expected one of {', '.join(FORMATS)}. Received: {write_format!r}")
    parts = [str(part) for part in table["part"]]
    names = _file_names(collection, parts, write_format)
    below = folder / _FOLDERS.get(write_format, "images")
    for row, name in enumerate(names):
        path = below / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.atomic(path) as temporary:
            temporary.write_bytes(collection.images.read(row))
    FORMATS[write_format](collection, names, folder, parts)
    if collection.synthetic:
        files.write_text(folder / entries.RENDERED, _MARK)
    return _lost(collection, parts, write_format)


def _file_names(collection: frames.Frames, parts: list[str], write_format: str) -> list[str]:
    """Return safe, distinct names; the formats that pair files by their name get flat ones, and KITTI its numbers."""
    suffixes = [pathlib.PurePosixPath(name).suffix.lower() or ".jpg" for name in collection.images.names.tolist()]
    if write_format == "kitti":
        return [f"{row:06d}{suffix}" for row, suffix in enumerate(suffixes)]
    flat = [re.sub(r"[^\w.-]+", "_", name.replace("/", "__")).lstrip(".") for name in collection.images.names.tolist()]
    stems = [pathlib.PurePosixPath(name).stem for name in flat]
    distinct = len(set(stems)) == len(stems)
    names = [stem if distinct else f"{row:06d}_{stem}" for row, stem in enumerate(stems)]
    before = [_PARTS[part] if write_format == "yolo" else "" for part in parts]
    return [f"{start}{name}{suffix}" for start, name, suffix in zip(before, names, suffixes, strict=True)]


def _lost(collection: frames.Frames, parts: list[str], write_format: str) -> list[str]:
    """Say which boxes and columns the format has no place for."""
    kinds, boxes = collection.boxes.kind, collection.boxes
    near = kinds == box.NEIGHBOUR
    unnamed = near & ~label_files.kitti_holds(boxes, collection.class_names) if write_format == "kitti" else near
    counts = {
        "regions of a class": int(((kinds == box.REGION) & (boxes.label >= 0)).sum()),
        "regions of any class": int(((kinds == box.REGION) & (boxes.label < 0)).sum()),
        "neighbours": int(unnamed.sum()),
        "levels of occlusion": int((boxes.occlusion >= (2 if write_format == "bdd100k" else 0)).sum()),
        "truncations": int(np.isfinite(boxes.truncation).sum()),
        "distances": int(np.isfinite(boxes.distance).sum()),
        "tracks": int((boxes.track >= 0).sum()),
        "sequences": int((collection.sequences.astype(str) != "").sum()),
        "conditions": int(((collection.time_of_day != "") | (collection.weather != "")).sum()),
        "parts": sum(part != splits.LEFT_OUT for part in parts),
        "lists of the classes that an image is labelled for": int((~collection.known_classes).any(axis=1).sum()),
    }
    held = {
        "coco": set(counts),
        "table": set(counts),
        "kitti": {"regions of any class", "levels of occlusion", "truncations", "distances"},
        "voc": {"neighbours", "levels of occlusion"},
        "yolo": {"parts"},
        "bdd100k": {"regions of a class", "tracks", "sequences", "conditions"},
    }[write_format]
    return [
        f"{write_format} holds no {what}: {count:,} left out"
        for what, count in counts.items()
        if count and what not in held
    ]
