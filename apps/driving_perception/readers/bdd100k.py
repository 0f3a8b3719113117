"""BDD100K's detection labels: JSON, one list for all images, or one file for each."""

import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

from apps.driving_perception import boxes as box
from apps.driving_perception.readers import entries, source_files
from shared import errors

VOCABULARY = (
    "pedestrian", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle", "traffic light", "traffic sign",
)  # fmt: skip
_TIMES = {"daytime": "day", "night": "night", "dawn/dusk": "dusk"}


def recognise(files: source_files.SourceFiles) -> bool:
    """Tell by mappings with ``name`` and ``labels`` or ``frames``, in a list or in Scalabel's ``frames``."""
    return any(_is_ours(_content(file)) for file in _files(files)[:1])


def read(files: source_files.SourceFiles) -> entries.Source:
    """Read a JSON file, or a folder of them with the images anywhere below it.

    Raises:
        errors.InputError: There is no such file, or it holds no image.
    """
    labels = [(file, content) for file in _files(files) if _is_ours(content := _content(file))]
    found = [(file, each) for file, content in labels for each in _frames(content)]
    if not found:
        raise errors.InputError(f"{files.path}: expected JSON labels of BDD100K with images. Received: none")
    around = files.around(_folder_of_images(files))
    images: dict[str, list[pathlib.Path]] = {}
    for path in around.pictures():
        images.setdefault(path.name, []).append(path)
    listed = [_entry(each, file, images, around) for file, each in found]
    names = {thing.name for entry in listed for thing in entry.things}
    return entries.Source(
        name=files.folder.resolve().name,
        entries=listed,
        vocabulary=(*VOCABULARY, *sorted(names - set(VOCABULARY))),
        notes=_notes([each for _, each in found], unlisted=len(set(images) - {_file_name(each) for _, each in found})),
        told=frozenset((*(file for file, _ in labels), *around.pictures())),
    )


def _folder_of_images(files: source_files.SourceFiles) -> pathlib.Path:
    """Return where the images of a JSON file lie: BDD100K keeps ``labels`` beside ``images``."""
    above = (files.folder, *files.folder.parents)[:3] if files.is_file else ()
    return next((folder.parent for folder in above if folder.name == "labels"), files.folder)


def _notes(found: list[Mapping[str, Any]], *, unlisted: int) -> list[str]:
    labels = [label for each in found for label in _labels(each) if isinstance(label, dict)]
    boxless = sum(not label.get("box2d") for label in labels)
    said = {f"{boxless:,} labels have no box2d, as lanes and areas: they do not count": boxless}
    said[f"{unlisted:,} images are in no JSON file of labels: they are not used"] = unlisted
    return [note for note, count in said.items() if count]


def _files(files: source_files.SourceFiles) -> list[pathlib.Path]:
    if files.is_file:
        return [files.path] if files.path.suffix.lower() == ".json" else []
    below = files.folder / "labels"
    inside = [path for path in files.files if path.suffix.lower() == ".json" and below in path.parents]
    return files.direct(files.folder, ".json") or inside


def _content(file: pathlib.Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise errors.InputError(f"{file}: expected JSON. Received: {error}") from None


def _is_ours(content: Any) -> bool:
    first = content[0] if isinstance(content, list) and content else content
    if not isinstance(first, dict):
        return False
    return ("name" in first and ("labels" in first or "frames" in first)) or _is_scalabel(first)


def _is_scalabel(content: Any) -> bool:
    """Tell Scalabel's data set: a mapping whose frames are the images."""
    return isinstance(content, dict) and isinstance(content.get("frames"), list) and "name" not in content


def _frames(content: Any) -> list[Mapping[str, Any]]:
    each = content["frames"] if _is_scalabel(content) else content if isinstance(content, list) else [content]
    found: list[Mapping[str, Any]] = []
    for image in each:
        if not (isinstance(image, dict) and "name" in image):
            found.append({"name": "", "labels": [], "problem": f"{str(image)[:60]!r} has no name of an image"})
            continue
        frames = image.get("frames") or [{}]
        inner = frames[0] if isinstance(frames, list) and isinstance(frames[0], dict) else {}
        many = isinstance(frames, list) and len(frames) > 1
        problem = f"{len(frames)} frames under one name: expected an image each" if many else ""
        found.append({**image, "labels": image.get("labels", inner.get("objects")) or [], "problem": problem})
    return found


def _labels(image: Mapping[str, Any]) -> list[Any]:
    return image["labels"] if isinstance(image["labels"], list) else [image["labels"]]


def _file_name(image: Mapping[str, Any]) -> str:
    name = pathlib.PurePath(str(image["name"]))
    return name.name if name.suffix.lower() in entries.SUFFIXES else f"{name.name}.jpg"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _entry(
    image: Mapping[str, Any],
    file: pathlib.Path,
    images: Mapping[str, list[pathlib.Path]],
    around: source_files.SourceFiles,
) -> entries.Entry:
    name, said = _file_name(image), _mapping(image.get("attributes"))
    paths = _meant(str(image["name"]), images.get(name, []), around)
    path = paths[0] if paths else None
    numbered = enumerate(_labels(image), start=1)
    boxed = [_thing(each, number) for number, each in numbered if not isinstance(each, dict) or each.get("box2d")]
    weather = str(said.get("weather", ""))
    extra, problem = entries.extras(
        {"number": image.get("frameIndex", image.get("frame_index")), "seconds": image.get("timestamp")}
    )
    return entries.Entry(
        around.below(path) if path else name,
        path or around.folder / name,
        str(file),
        tuple(boxed),
        sequence=str(image.get("videoName", image.get("video_name", ""))),
        number=extra["number"],
        seconds=extra["seconds"] / 1000,  # milliseconds
        time_of_day=_TIMES.get(str(said.get("timeofday")), ""),
        weather={"undefined": "", "rainy": "rain", "foggy": "fog"}.get(weather, weather),
        part=(source_files.part_of_folders(path, inside=around.folder) if path else "")
        or source_files.part_of_name(file.stem),
        problem=image["problem"]
        or ((entries.twice(paths, "images of one name") or problem) if path else f"no image file {name}"),
    )


def _meant(name: str, paths: list[pathlib.Path], around: source_files.SourceFiles) -> list[pathlib.Path]:
    """Return the images of a name; those whose folders it names, too, where it names any."""
    exact = [path for path in paths if around.below(path).endswith(f"/{name}") or around.below(path) == name]
    return exact if "/" in name and exact else paths


def _thing(each: Any, number: int) -> entries.LabelledBox:
    if not isinstance(each, dict):
        return entries.LabelledBox("", (math.nan,) * 4, number, problem=f"{str(each)[:60]!r} is no label")
    corners, said = _mapping(each["box2d"]), _mapping(each.get("attributes"))
    flags = {name: entries.flag(said.get(name), name) for name in ("crowd", "ignored", "occluded", "truncated")}
    values = [entries.number(corners.get(side, "")) for side in ("x1", "y1", "x2", "y2")]
    unclear = next((wrong for _, wrong in flags.values() if wrong), "")
    problem = unclear if not any(map(math.isnan, values)) else f"box2d {each['box2d']!r} is not x1, y1, x2, y2"
    track = str(each.get("id", ""))
    return entries.LabelledBox(
        str(each.get("category", "")),
        (values[0], values[1], values[2], values[3]),
        number,
        kind=box.REGION if flags["crowd"][0] or flags["ignored"][0] else box.OBJECT,
        occlusion=int(flags["occluded"][0]) if said.get("occluded") is not None else box.UNKNOWN,
        # A flag: what is cut is cut by an unknown share.
        truncation=0.0 if said.get("truncated") is not None and not flags["truncated"][0] else math.nan,
        # Some versions have ids of letters; a number needs fit 64 bits.
        track=int(track) if track.isdecimal() and len(track) < 19 else box.UNKNOWN,
        problem=problem,
    )
