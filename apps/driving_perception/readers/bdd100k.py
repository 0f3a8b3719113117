"""BDD100K's detection labels: JSON, one list for all images, or one file for each."""

import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

from apps.driving_perception import boxes as box
from apps.driving_perception.readers import entries
from shared import errors

VOCABULARY = (
    "pedestrian", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle", "traffic light", "traffic sign",
)  # fmt: skip
_TIMES = {"daytime": "day", "night": "night", "dawn/dusk": "dusk"}
_PARTS = {"train": "train", "val": "validation", "test": "test"}


def recognise(path: pathlib.Path) -> bool:
    """Tell by a list of mappings with ``name`` and ``labels``, or one such with ``frames``."""
    return any(_is_ours(_content(file)) for file in _files(path)[:1])


def read(path: pathlib.Path) -> entries.Source:
    """Read a JSON file, or a folder of them with the images anywhere below it.

    Raises:
        errors.InputError: There is no such file.
    """
    found = [(file, each) for file in _files(path) for each in _frames(_content(file))]
    if not found:
        raise errors.InputError(f"{path}: expected JSON labels of BDD100K. Received: none")
    folder = path if path.is_dir() else path.parent
    images = {image.name: image for image in entries.pictures(folder)}
    listed = [_entry(each, file, images, folder) for file, each in found]
    names = {thing.name for entry in listed for thing in entry.things}
    return entries.Source(
        name=folder.resolve().name, entries=listed, vocabulary=(*VOCABULARY, *sorted(names - set(VOCABULARY)))
    )


def _files(path: pathlib.Path) -> list[pathlib.Path]:
    if path.is_file():
        return [path] if path.suffix.lower() == ".json" else []
    return sorted(path.glob("*.json")) or sorted(path.glob("labels/**/*.json"))


def _content(file: pathlib.Path) -> Any:
    try:
        return json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise errors.InputError(f"{file}: expected JSON. Received: {error}") from None


def _is_ours(content: Any) -> bool:
    first = content[0] if isinstance(content, list) and content else content
    return isinstance(first, dict) and "name" in first and ("labels" in first or "frames" in first)


def _frames(content: Any) -> list[Mapping[str, Any]]:
    each = content if isinstance(content, list) else [content]
    found: list[Mapping[str, Any]] = []
    for image in each:
        if isinstance(image, dict) and "name" in image:
            inner = image.get("frames", [{}])[0] if "frames" in image else {}
            found.append({**image, "labels": image.get("labels", inner.get("objects")) or []})
    return found


def _entry(
    image: Mapping[str, Any], file: pathlib.Path, images: Mapping[str, pathlib.Path], folder: pathlib.Path
) -> entries.Entry:
    name = str(image["name"])
    name = name if pathlib.PurePath(name).suffix else f"{name}.jpg"
    path, said = images.get(pathlib.PurePath(name).name), image.get("attributes") or {}
    boxed = [each for each in image["labels"] if isinstance(each, dict) and "box2d" in each]
    weather = str(said.get("weather", ""))
    return entries.Entry(
        path.relative_to(folder).as_posix() if path else name,
        path or folder / name,
        str(file),
        tuple(_thing(each, number) for number, each in enumerate(boxed, start=1)),
        sequence=str(image.get("videoName", image.get("video_name", ""))),
        number=int(image.get("frameIndex", image.get("frame_index", box.UNKNOWN))),
        seconds=float(image["timestamp"]) / 1000 if "timestamp" in image else math.nan,
        time_of_day=_TIMES.get(str(said.get("timeofday")), ""),
        weather={"undefined": "", "rainy": "rain", "foggy": "fog"}.get(weather, weather),
        part=next((_PARTS[part] for part in path.relative_to(folder).parts if part in _PARTS), "") if path else "",
        problem="" if path else f"no image file {name}",
    )


def _thing(each: Mapping[str, Any], number: int) -> entries.Thing:
    corners, said = each["box2d"], each.get("attributes") or {}
    values = [entries.number(corners.get(side, "")) for side in ("x1", "y1", "x2", "y2")]
    problem = "" if not any(map(math.isnan, values)) else f"box2d {corners!r} is not x1, y1, x2, y2"
    track = str(each.get("id", ""))
    return entries.Thing(
        str(each.get("category", "")),
        (values[0], values[1], values[2], values[3]),
        number,
        kind=box.REGION if said.get("crowd") else box.OBJECT,
        occlusion=int(bool(said["occluded"])) if "occluded" in said else box.UNKNOWN,
        # A flag: what is cut is cut by an unknown share.
        truncation=0.0 if said.get("truncated") is False else math.nan,
        track=int(track) if track.isdecimal() else box.UNKNOWN,
        problem=problem,
    )
