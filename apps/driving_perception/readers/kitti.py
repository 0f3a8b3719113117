"""KITTI's object detection: ``image_2/*.png`` and ``label_2/*.txt`` with 15 columns (16 with a score).

Geiger et al. 2012; columns as in the devkit's readme: type, truncated 0..1, occluded 0..3 (3 unknown), alpha, the box
in pixels, height, width, length, and the place x, y, z in metres; -1 and -1000 mark what is not given.
"""

import math
import pathlib

from apps.driving_perception.readers import entries
from shared import errors

# What KITTI's annotators labelled in every image.
VOCABULARY = ("Car", "Van", "Truck", "Pedestrian", "Person_sitting", "Cyclist", "Tram", "Misc", "DontCare")
_COLUMNS = (15, 16)
_UNGIVEN = -999.0


def recognise(folder: pathlib.Path) -> bool:
    """Tell by the two folders."""
    return _root(folder) is not None


def read(folder: pathlib.Path) -> entries.Source:
    """Read a folder that holds ``image_2`` and ``label_2``, or ``training`` with them.

    Raises:
        errors.InputError: It does not.
    """
    root = _root(folder)
    if root is None:
        raise errors.InputError(f"{folder}: expected the folders image_2 and label_2 of KITTI. Received: neither")
    images = entries.by_stem(entries.pictures(root / "image_2"))
    labels = {path.stem: path for path in sorted((root / "label_2").glob("*.txt"))}
    found = []
    for stem, paths in images.items():
        label, path = labels.get(stem), paths[0]
        problem = entries.twice(paths, "images of one name") or ("" if label else f"no label_2/{stem}.txt")
        things = () if problem or label is None else tuple(_things(label))
        found.append(entries.Entry(path.name, path, str(label or path), things, problem=problem))
    missing = [
        entries.Entry(f"{stem}.png", path, str(path), problem=f"no image image_2/{stem}.png or .jpeg")
        for stem, path in labels.items()
        if stem not in images
    ]
    others = {thing.name for entry in found for thing in entry.things} - set(VOCABULARY)
    return entries.Source(
        name=folder.resolve().name, entries=[*found, *missing], vocabulary=(*VOCABULARY, *sorted(others))
    )


def _root(folder: pathlib.Path) -> pathlib.Path | None:
    for root in (folder, folder / "training"):
        if (root / "image_2").is_dir() and (root / "label_2").is_dir():
            return root
    return None


def _things(path: pathlib.Path) -> list[entries.Thing]:
    lines = path.read_text("utf-8", errors="replace").splitlines()
    return [_thing(line.split(), number) for number, line in enumerate(lines, start=1) if line.strip()]


def _thing(fields: list[str], number: int) -> entries.Thing:
    if len(fields) not in _COLUMNS:
        return entries.Thing(
            fields[0], (math.nan,) * 4, number, problem=f"{len(fields)} columns, not {_COLUMNS[0]} or {_COLUMNS[1]}"
        )
    values = [entries.number(field) for field in fields[1:]]
    if any(map(math.isnan, values)):
        wrong = next(field for field, value in zip(fields[1:], values, strict=True) if math.isnan(value))
        return entries.Thing(fields[0], (math.nan,) * 4, number, problem=f"{wrong!r} is no number")
    truncated, depth = values[0], values[12]
    left, top, right, bottom = values[3:7]
    said, problem = entries.extras({"occlusion": fields[2], "distance": fields[13] if depth > _UNGIVEN else None})
    return entries.Thing(
        fields[0],
        (left, top, right, bottom),
        number,
        # Above 1 are the levels of KITTI's tracking labels, which are no shares.
        truncation=truncated if 0 <= truncated <= 1 else math.nan,
        problem=problem,
        **said,
    )
