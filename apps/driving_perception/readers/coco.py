"""COCO's instances: one JSON file with images, annotations and categories; with the keys that our own writer adds."""

import math
import pathlib
from collections.abc import Mapping
from typing import Any

from apps.driving_perception import boxes as box
from apps.driving_perception.readers import entries
from shared import errors, files

NAMES = ("annotations.json", "instances.json", "labels.json", "_annotations.coco.json")
_PICTURES = (".", "images", "..", "../images", "data")


def recognise(path: pathlib.Path) -> bool:
    """Tell by the three lists of the JSON file."""
    file = file_of(path)
    if file is None:
        return False
    try:
        content = files.read_json(file)
    except errors.InputError:
        return False
    return {"images", "annotations", "categories"} <= set(content)


def file_of(path: pathlib.Path) -> pathlib.Path | None:
    """Return the JSON file that a path means: itself, or one of the usual names in a folder, or its only one."""
    if path.is_file():
        return path if path.suffix.lower() == ".json" else None
    for name in NAMES:
        if (path / name).is_file():
            return path / name
    found = sorted(path.glob("*.json")) or sorted((path / "annotations").glob("*.json"))
    return found[0] if len(found) == 1 else None


def read(path: pathlib.Path) -> entries.Source:
    """Read a JSON file, or the folder that holds it.

    Raises:
        errors.InputError: It is not of this format.
    """
    file = file_of(path)
    if file is None:
        raise errors.InputError(f"{path}: expected one JSON file of COCO annotations. Received: none or several")
    content = files.read_json(file)
    try:
        names = {each["id"]: str(each["name"]) for each in content["categories"]}
        things: dict[Any, list[entries.Thing]] = {}
        for number, each in enumerate(content["annotations"], start=1):
            things.setdefault(each["image_id"], []).append(_thing(each, names, number))
        found = [_entry(each, things.pop(each["id"], []), file) for each in content["images"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise errors.InputError(
            f"{file}: expected images (id, file_name), annotations (image_id, category_id, bbox) and categories (id, "
            f"name). Received: {type(error).__name__} {error}"
        ) from None
    strays = [
        entries.Entry(str(image), file, str(file), tuple(each), problem=f"no image has the id {image!r}")
        for image, each in things.items()
    ]
    folder = path if path.is_dir() else file.parent
    return entries.Source(name=folder.resolve().name, entries=[*found, *strays], vocabulary=tuple(names.values()))


def _entry(image: Mapping[str, Any], things: list[entries.Thing], file: pathlib.Path) -> entries.Entry:
    name = str(image["file_name"])
    path = next((file.parent / below / name for below in _PICTURES if (file.parent / below / name).is_file()), None)
    size = (int(image["width"]), int(image["height"])) if "width" in image and "height" in image else None
    sequence = image.get("sequence", image.get("video_id", ""))
    known = image.get("known_classes")
    return entries.Entry(
        name,
        path or file.parent / name,
        str(file),
        tuple(things),
        size=size,
        sequence=str(sequence),
        number=int(image.get("number", image.get("frame_id", box.UNKNOWN))),
        seconds=float(image["seconds"]) if image.get("seconds") is not None else math.nan,
        time_of_day=str(image.get("time_of_day", "")),
        weather=str(image.get("weather", "")),
        part=str(image.get("part", "")),
        known=None if known is None else tuple(map(str, known)),
        problem="" if path else f"no image file {name}",
    )


def _thing(each: Mapping[str, Any], names: Mapping[Any, str], number: int) -> entries.Thing:
    numbers = [entries.number(value) for value in each["bbox"]]
    name = names.get(each["category_id"], "")
    problem = "" if name else f"no category has the id {each['category_id']!r}"
    if len(numbers) != 4 or any(map(math.isnan, numbers)):
        return entries.Thing(name, (math.nan,) * 4, number, problem=f"bbox {each['bbox']!r} is not four numbers")
    left, top, width, height = numbers
    kind = each.get("kind")
    return entries.Thing(
        name,
        (left, top, left + width, top + height),
        number,
        kind=box.KINDS.index(kind) if kind in box.KINDS else box.REGION if each.get("iscrowd") else box.OBJECT,
        occlusion=int(each.get("occlusion", box.UNKNOWN)),
        truncation=_optional(each, "truncation"),
        distance=_optional(each, "distance"),
        track=int(each.get("track", each.get("track_id", box.UNKNOWN))),
        problem=problem,
    )


def _optional(each: Mapping[str, Any], key: str) -> float:
    return float(each[key]) if each.get(key) is not None else math.nan
