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
    images: dict[str, list[pathlib.Path]] = {}
    for path in entries.pictures(folder):
        images.setdefault(path.name, []).append(path)
    listed = [_entry(each, file, images, folder) for file, each in found]
    names = {thing.name for entry in listed for thing in entry.things}
    return entries.Source(
        name=folder.resolve().name,
        entries=listed,
        vocabulary=(*VOCABULARY, *sorted(names - set(VOCABULARY))),
        notes=_notes([each for _, each in found], unlisted=len(set(images) - {_file_name(each) for _, each in found})),
    )


def _notes(found: list[Mapping[str, Any]], *, unlisted: int) -> list[str]:
    labels = [label for each in found for label in _labels(each) if isinstance(label, dict)]
    boxless = sum(not label.get("box2d") for label in labels)
    said = {f"{boxless:,} labels have no box2d, as lanes and areas: they do not count": boxless}
    said[f"{unlisted:,} images are in no JSON file of labels: they are not used"] = unlisted
    return [note for note, count in said.items() if count]


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
            frames = image.get("frames") or [{}]
            inner = frames[0] if isinstance(frames, list) and isinstance(frames[0], dict) else {}
            found.append({**image, "labels": image.get("labels", inner.get("objects")) or []})
    return found


def _labels(image: Mapping[str, Any]) -> list[Any]:
    return image["labels"] if isinstance(image["labels"], list) else [image["labels"]]


def _file_name(image: Mapping[str, Any]) -> str:
    name = pathlib.PurePath(str(image["name"]))
    return name.name if name.suffix else f"{name.name}.jpg"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _entry(
    image: Mapping[str, Any], file: pathlib.Path, images: Mapping[str, list[pathlib.Path]], folder: pathlib.Path
) -> entries.Entry:
    name, said = _file_name(image), _mapping(image.get("attributes"))
    paths = images.get(name, [])
    path = paths[0] if paths else None
    numbered = enumerate(_labels(image), start=1)
    boxed = [_thing(each, number) for number, each in numbered if not isinstance(each, dict) or each.get("box2d")]
    weather = str(said.get("weather", ""))
    place, problem = entries.extras(
        {"number": image.get("frameIndex", image.get("frame_index")), "seconds": image.get("timestamp")}
    )
    return entries.Entry(
        path.relative_to(folder).as_posix() if path else name,
        path or folder / name,
        str(file),
        tuple(boxed),
        sequence=str(image.get("videoName", image.get("video_name", ""))),
        number=place["number"],
        seconds=place["seconds"] / 1000,  # milliseconds
        time_of_day=_TIMES.get(str(said.get("timeofday")), ""),
        weather={"undefined": "", "rainy": "rain", "foggy": "fog"}.get(weather, weather),
        part=next((entries.PARTS[part] for part in path.relative_to(folder).parts if part in entries.PARTS), "")
        if path
        else "",
        problem=(entries.twice(paths, "images of one name") or problem) if path else f"no image file {name}",
    )


def _thing(each: Any, number: int) -> entries.Thing:
    if not isinstance(each, dict):
        return entries.Thing("", (math.nan,) * 4, number, problem=f"{str(each)[:60]!r} is no label")
    corners, said = _mapping(each["box2d"]), _mapping(each.get("attributes"))
    values = [entries.number(corners.get(side, "")) for side in ("x1", "y1", "x2", "y2")]
    problem = "" if not any(map(math.isnan, values)) else f"box2d {each['box2d']!r} is not x1, y1, x2, y2"
    track = str(each.get("id", ""))
    return entries.Thing(
        str(each.get("category", "")),
        (values[0], values[1], values[2], values[3]),
        number,
        kind=box.REGION if said.get("crowd") else box.OBJECT,
        occlusion=int(bool(said["occluded"])) if "occluded" in said else box.UNKNOWN,
        # A flag: what is cut is cut by an unknown share.
        truncation=0.0 if said.get("truncated") is False else math.nan,
        # Some versions have ids of letters; a number needs fit 64 bits.
        track=int(track) if track.isdecimal() and len(track) < 19 else box.UNKNOWN,
        problem=problem,
    )
