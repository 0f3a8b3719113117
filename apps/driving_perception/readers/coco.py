"""COCO's instances: one JSON file with images, annotations and categories; with the keys that our own writer adds."""

import collections
import functools
import math
import pathlib
from collections.abc import Mapping
from typing import Any

from apps.driving_perception import boxes as box
from apps.driving_perception.readers import entries
from shared import errors, files

NAMES = ("annotations.json", "instances.json", "labels.json", "_annotations.coco.json")
_PICTURES = (".", "images", "..", "../images", "data")
_EXPECTED = "images (id, file_name), annotations (image_id, category_id, bbox) and categories (id, name)"


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
        ids = [each["id"] for each in content["images"]]
        things: dict[Any, list[entries.Thing]] = {}
        for number, each in enumerate(content["annotations"], start=1):
            things.setdefault(each["image_id"], []).append(_thing(each, names, number))
        counts = collections.Counter(ids)
        place = _Places(file)
        found = [_entry(each, things.get(each["id"], []), place, counts) for each in content["images"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise errors.InputError(f"{file}: expected {_EXPECTED}. Received: {type(error).__name__} {error}") from None
    strays = [
        entries.Entry(str(image), file, str(file), tuple(each), problem=f"no image has the id {image!r}")
        for image, each in things.items()
        if image not in counts
    ]
    folder = path if path.is_dir() else file.parent
    return entries.Source(name=folder.resolve().name, entries=[*found, *strays], vocabulary=tuple(names.values()))


class _Places:
    """Where the images of a JSON file are: in the usual folders, or anywhere below under a name that occurs once."""

    def __init__(self, file: pathlib.Path) -> None:
        self.file = file

    @functools.cached_property
    def _below(self) -> dict[str, list[pathlib.Path]]:
        # COCO's own layout keeps annotations/instances_val2017.json beside val2017/.
        folder = self.file.parent.parent if self.file.parent.name == "annotations" else self.file.parent
        found: dict[str, list[pathlib.Path]] = {}
        for path in entries.pictures(folder):
            found.setdefault(path.name, []).append(path)
        return found

    def find(self, name: str) -> tuple[pathlib.Path | None, str]:
        """Return the image of this name, and what is wrong where it is not one."""
        for below in _PICTURES:
            path = self.file.parent / below / name
            if path.is_file():
                return path, ""
        others = self._below.get(pathlib.PurePath(name).name, [])
        if len(others) == 1:
            return others[0], ""
        return None, entries.twice(others, "images of one name") or f"no image file {name}"


def _entry(
    image: Mapping[str, Any], things: list[entries.Thing], place: _Places, counts: Mapping[Any, int]
) -> entries.Entry:
    name = str(image["file_name"])
    path, problem = place.find(name)
    sides = [entries.number(str(image.get(side, ""))) for side in ("width", "height")]
    known, sequence = image.get("known_classes"), image.get("sequence", image.get("video_id"))
    said, wrong = entries.extras(
        {"number": image.get("number", image.get("frame_id")), "seconds": image.get("seconds")}
    )
    given = [image.get(side) for side in ("width", "height")]
    if any(value is not None and not math.isfinite(side) for value, side in zip(given, sides, strict=True)):
        wrong = f"width and height {given!r} are no numbers"
    if counts[image["id"]] > 1:
        wrong = f"{counts[image['id']]} images have the id {image['id']!r}"
    return entries.Entry(
        name,
        path or place.file.parent / name,
        str(place.file),
        tuple(things),
        size=(int(sides[0]), int(sides[1])) if all(map(math.isfinite, sides)) else None,
        sequence="" if sequence is None else str(sequence),
        time_of_day=str(image.get("time_of_day") or ""),
        weather=str(image.get("weather") or ""),
        part=entries.part(image.get("part")),
        known=None if known is None else tuple(map(str, known)),
        problem=problem or wrong,
        **said,
    )


def _thing(each: Mapping[str, Any], names: Mapping[Any, str], number: int) -> entries.Thing:
    corners = each.get("bbox")
    numbers = [entries.number(value) for value in corners] if isinstance(corners, list) else []
    name = names.get(each["category_id"], "")
    if len(numbers) != 4 or any(map(math.isnan, numbers)):
        return entries.Thing(name, (math.nan,) * 4, number, problem=f"bbox {corners!r} is not four numbers")
    left, top, width, height = numbers
    kind = each.get("kind")
    said, wrong = entries.extras(
        {
            "occlusion": each.get("occlusion"),
            "truncation": each.get("truncation"),
            "distance": each.get("distance"),
            "track": each.get("track", each.get("track_id")),
        }
    )
    if kind is not None and kind not in box.KINDS:
        wrong = f"kind {kind!r} is none of {', '.join(box.KINDS)}"
    return entries.Thing(
        name,
        (left, top, left + width, top + height),
        number,
        kind=box.KINDS.index(kind) if kind in box.KINDS else box.REGION if each.get("iscrowd") else box.OBJECT,
        problem=wrong if name else f"no category has the id {each['category_id']!r}",
        **said,
    )
