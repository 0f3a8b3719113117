"""A table with one row for each box, and one without corners for an image that has none."""

import pathlib

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from apps.driving_perception import boxes as box
from apps.driving_perception import frames
from apps.driving_perception.readers import table as reader
from apps.driving_perception.writers import as_coco
from shared import files


def write(collection: frames.Frames, names: list[str], folder: pathlib.Path, parts: list[str]) -> None:
    """Write ``boxes.csv``."""
    boxes = collection.boxes
    bare = np.setdiff1d(np.arange(len(collection)), boxes.image)
    rows = np.concatenate([boxes.image, bare])
    label = np.array([*collection.class_names, as_coco.ANY], object)[boxes.label]
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
        "known_classes": _known(collection)[rows],
    }
    joined = pd.concat([pd.DataFrame(images), table], axis=1)
    first = ["image", *own]
    joined = joined[[*first, *joined.columns.drop(first)]].sort_values("image", kind="stable")
    files.write_text(folder / "boxes.csv", joined.to_csv(index=False, lineterminator="\n"))


def _known(collection: frames.Frames) -> NDArray[np.object_]:
    """Return (n,) the names of the classes that each image is labelled for, joined."""
    found = np.empty(len(collection), object)
    found[:] = [
        reader.KNOWN_SEPARATOR.join(np.array(collection.class_names, object)[known])
        for known in collection.known_classes
    ]
    return found
