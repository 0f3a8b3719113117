"""COCO's instances: JSON files with images, annotations and categories; with the keys that our own writer adds.

A folder holds one such file, or one for each official part: ``instances_train2017.json`` beside
``instances_val2017.json``, or ``_annotations.coco.json`` in the folder of each part.
"""

import functools
import json
import math
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from apps.driving_perception import boxes as box
from apps.driving_perception.readers import entries, source_files
from shared import errors

NAMES = ("annotations.json", "instances.json", "labels.json", "_annotations.coco.json")
_PICTURES = (".", "images", "..", "../images", "data")
_LISTS = ("images", "annotations", "categories")
_EXPECTED = "images (id, file_name), annotations (image_id, category_id, bbox) and categories (id, name)"
# So many boxes that could be corners all the same are no chance.
_FEWEST_CORNERS = 3


def recognise(files: source_files.SourceFiles) -> bool:
    """Tell by the three lists of the JSON file."""
    return bool(_files(files))


def read(files: source_files.SourceFiles) -> entries.Source:
    """Read a JSON file, or the folder that holds it, or one file for each official part.

    Raises:
        errors.InputError: It is not of this format, or an id stands for two categories.
    """
    found = _files(files)
    if not found:
        raise errors.InputError(
            f"{files.path}: expected one JSON file of COCO annotations, or one for each official part. Received: none "
            "or several"
        )
    read = [_read(file, files, several=len(found) > 1) for file in found]
    return entries.Source(
        name=files.folder.resolve().name,
        entries=[entry for source in read for entry in source.entries],
        vocabulary=tuple(dict.fromkeys(name for source in read for name in source.vocabulary)),
        notes=[note for source in read for note in source.notes],
        told=frozenset(found),
    )


def _files(files: source_files.SourceFiles) -> list[pathlib.Path]:
    """Return the JSON files of annotations that a path means."""
    if files.is_file:
        return [files.path] if files.path.suffix.lower() == ".json" and _is_ours(files.path) else []
    folder = files.folder
    usual = [folder / name for name in NAMES if folder / name in set(files.files)]
    candidates = usual[:1] or files.direct(folder, ".json") or files.direct(folder / "annotations", ".json")
    if not candidates:
        inner = [files.direct(folder / name, ".json") for name in files.children() if name.lower() in entries.PARTS]
        candidates = [path for paths in inner for path in paths]
    ours = [path for path in candidates if _is_ours(path)]
    # COCO's own folder holds the boxes twice: with keypoints of people, too.
    named = [path for path in ours if path.stem.startswith("instances")]
    chosen = named or ours
    parts = [_part(path, folder) for path in chosen]
    return chosen if len(chosen) == 1 or (all(parts) and len(set(parts)) == len(parts)) else []


def _part(file: pathlib.Path, folder: pathlib.Path) -> str:
    """Return the official part that a file of annotations is of, by its own name or its folder's."""
    return source_files.part_of_name(file.stem) or source_files.part_of_folders(file, inside=folder)


def _is_ours(file: pathlib.Path) -> bool:
    try:
        content = _content(str(file), file.stat().st_mtime_ns)
    except (OSError, errors.InputError):
        return False
    return isinstance(content, dict) and set(_LISTS) <= content.keys()


@functools.lru_cache(maxsize=2)
def _content(file: str, _changed: int) -> Any:
    try:
        return json.loads(pathlib.Path(file).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise errors.InputError(f"{file}: expected valid JSON. Received: {error}") from None


def _read(file: pathlib.Path, files: source_files.SourceFiles, *, several: bool) -> entries.Source:
    content = _content(str(file), file.stat().st_mtime_ns)
    try:
        names = categories_of(content["categories"], file)
        things: dict[Any, list[entries.LabelledBox]] = {}
        for number, each in enumerate(content["annotations"], start=1):
            things.setdefault(id_of(each["image_id"]), []).append(_thing(each, names, number))
        owners: dict[Any, list[str]] = {}
        for each in content["images"]:
            owners.setdefault(id_of(each["id"]), []).append(str(each["file_name"]))
        where = _Places(file, files)
        part = _part(file, files.folder)
        found = [_entry(each, things.get(id_of(each["id"]), []), where, owners, part) for each in content["images"]]
        notes = _repeated_ids(content["annotations"], file)
    except (KeyError, TypeError, AttributeError) as error:
        raise errors.InputError(f"{file}: expected {_EXPECTED}. Received: {type(error).__name__} {error}") from None
    _refuse_corners(found, file)
    strays = [
        entries.Entry(str(image), file, str(file), tuple(each), problem=f"no image has the id {image!r}")
        for image, each in things.items()
        if image not in owners
    ]
    if several:
        found = [entry._replace(name=_name(entry, files)) for entry in found]
    return entries.Source(name="", entries=[*found, *strays], vocabulary=tuple(names.values()), notes=notes)


def _name(entry: entries.Entry, files: source_files.SourceFiles) -> str:
    return files.below(entry.item) if isinstance(entry.item, pathlib.Path) else entry.name


def id_of(value: Any) -> Any:
    """Return an id so that 1, 1.0 and "1" are one: tools write all of them."""
    text = str(value).strip()
    return int(float(text)) if entries.number(text) % 1 == 0 and abs(float(text)) < 2**53 else text


def categories_of(listed: Iterable[Mapping[str, Any]], file: pathlib.Path) -> dict[Any, str]:
    """Return the names of the categories by id.

    Raises:
        errors.InputError: An id stands for two names.
    """
    names: dict[Any, str] = {}
    for each in listed:
        key, name = id_of(each["id"]), str(each["name"])
        if names.setdefault(key, name) != name:
            raise errors.InputError(
                f"{file}: expected an id for each category. Received: the id {each['id']!r} for {names[key]!r} and "
                f"for {name!r}"
            )
    return names


def _repeated_ids(annotations: Sequence[Mapping[str, Any]], file: pathlib.Path) -> list[str]:
    """Note ids that several annotations have: boxes are taken one by one, so that none is lost for it."""
    ids = [id_of(each["id"]) for each in annotations if each.get("id") is not None]
    count = len(ids) - len(set(ids))
    return [f"{count:,} annotations of {file.name} have an id that another one has: each counts"] if count else []


def _refuse_corners(found: Sequence[entries.Entry], file: pathlib.Path) -> None:
    """Refuse boxes that are left, top, right and bottom where COCO has left, top, width and height.

    Raises:
        errors.InputError: Some reach out of their image, and all would lie inside as corners.
    """
    boxes = [(entry.size, thing) for entry in found if entry.size for thing in entry.things if not thing.problem]
    outside, fits = [], len(boxes) >= _FEWEST_CORNERS
    for (width, height), thing in boxes:
        left, top, right, bottom = thing.xyxy
        given = (left, top, right - left, bottom - top)
        fits = fits and left < given[2] <= width + 2 and top < given[3] <= height + 2
        if right > width + 2 or bottom > height + 2:
            outside.append(f"object {thing.number}, bbox {', '.join(f'{value:g}' for value in given)}")
    if fits and outside:
        raise errors.InputError(
            f"{file}: expected each bbox as left, top, width, height. Received: what seems to be left, top, right, "
            f"bottom: {len(outside):,} of {len(boxes):,} boxes reach out of their image, the first {outside[0]}"
        )


class _Places:
    """Where the images of a JSON file are: in the usual folders, or anywhere below under a name that occurs once."""

    def __init__(self, file: pathlib.Path, files: source_files.SourceFiles) -> None:
        self.file, self._files = file, files

    @functools.cached_property
    def _below(self) -> dict[str, list[pathlib.Path]]:
        # COCO's own layout keeps annotations/instances_val2017.json beside val2017/.
        folder = self.file.parent.parent if self.file.parent.name == "annotations" else self.file.parent
        around = self._files if self._files.folder == folder else self._files.around(folder)
        found: dict[str, list[pathlib.Path]] = {}
        for path in around.pictures():
            found.setdefault(path.name, []).append(path)
        return found

    def find(self, name: str, part: str) -> tuple[pathlib.Path | None, str]:
        """Return the image of this name, and what is wrong where it is not one."""
        for below in _PICTURES:
            path = source_files.plain(self.file.parent / below / name)
            if path.is_file():
                return path, ""
        # Names of other systems, and of folders that are not here.
        others = self._below.get(pathlib.PurePosixPath(name.replace("\\", "/")).name, [])
        of_part = [path for path in others if part and source_files.part_of_folders(path) == part]
        others = of_part if len(of_part) == 1 else others
        if len(others) == 1:
            return others[0], ""
        return None, entries.twice(others, "images of one name") or f"no image file {name}"


def _entry(
    image: Mapping[str, Any],
    things: list[entries.LabelledBox],
    places: _Places,
    owners: Mapping[Any, list[str]],
    part: str,
) -> entries.Entry:
    name = str(image["file_name"])
    path, problem = places.find(name, part)
    sides = [entries.number(str(image.get(side, ""))) for side in ("width", "height")]
    known, sequence = image.get("known_classes"), image.get("sequence", image.get("video_id"))
    said, wrong = entries.extras(
        {"number": image.get("number", image.get("frame_id")), "seconds": image.get("seconds")}
    )
    given = [image.get(side) for side in ("width", "height")]
    if any(value is not None and not math.isfinite(side) for value, side in zip(given, sides, strict=True)):
        wrong = f"width and height {given!r} are no numbers"
    sharing = owners[id_of(image["id"])]
    if len(sharing) > 1:
        wrong = f"{len(sharing)} images have the id {image['id']!r}: {', '.join(sharing[:3])}"
    return entries.Entry(
        name,
        path or places.file.parent / name,
        str(places.file),
        tuple(things),
        size=(int(sides[0]), int(sides[1])) if all(map(math.isfinite, sides)) else None,
        sequence="" if sequence is None else str(sequence),
        time_of_day=str(image.get("time_of_day") or ""),
        weather=str(image.get("weather") or ""),
        part=entries.part(image.get("part", image.get("split"))) or part,
        known=None if known is None else tuple(map(str, known)),
        problem=problem or wrong,
        **said,
    )


def _thing(each: Mapping[str, Any], names: Mapping[Any, str], number: int) -> entries.LabelledBox:
    corners = each.get("bbox")
    numbers = [entries.number(value) for value in corners] if isinstance(corners, list) else []
    name = names.get(id_of(each["category_id"]), "")
    if len(numbers) != 4 or any(map(math.isnan, numbers)):
        return entries.LabelledBox(name, (math.nan,) * 4, number, problem=f"bbox {corners!r} is not four numbers")
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
    crowd, unclear = entries.flag(each.get("iscrowd"), "iscrowd")
    ignored, unknown = entries.flag(each.get("ignore"), "ignore")
    wrong = wrong or unclear or unknown
    return entries.LabelledBox(
        name,
        (left, top, left + width, top + height),
        number,
        kind=box.KINDS.index(kind) if kind in box.KINDS else box.REGION if crowd or ignored else box.OBJECT,
        problem=wrong if name else f"no category has the id {each['category_id']!r}",
        **said,
    )
