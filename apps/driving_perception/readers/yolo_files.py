"""What YOLO's files of names say: ``data.yaml`` (names, parts, keypoints), Darknet's ``.data`` and lists of names."""

import dataclasses
import math
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import yaml

from apps.driving_perception.readers import entries, source_files
from shared import errors
from shared.sources import delimited

YAML = (".yaml", ".yml")
NAMES = ("data.yaml", "dataset.yaml", "data.yml", "dataset.yml", "classes.txt", "obj.names", "names.txt")
_PARTS = ("train", "val", "valid", "validation", "test")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Description:
    """What a file of names says.

    Attributes:
        file: The file.
        names: Class names by number.
        root: What it calls the data set's folder, "" where nothing.
        parts: By part of ours, the folders and lists that it names, as it says them.
        keypoint_numbers: Numbers that follow each box for keypoints; 0 for none.
        notes: What a reader should know.
    """

    file: pathlib.Path
    names: Mapping[int, str]
    root: str = ""
    parts: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    keypoint_numbers: int = 0
    notes: Sequence[str] = ()


class _Loader(yaml.BaseLoader):
    """Lists, mappings and text only: a class called ``no`` or ``null`` keeps its name. A key twice is an error."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """Refuse a key that stands twice: YAML would take the last one without a word."""
        seen: dict[str, Any] = {}
        for key, value in node.value:
            name = str(self.construct_object(key, deep=True))
            if name in seen:
                first, second = (getattr(each, "value", "...") for each in (seen[name], value))
                raise errors.InputError(
                    f"line {key.start_mark.line + 1}: expected each key once. Received: {name!r} for {first!r} and "
                    f"{second!r}"
                )
            seen[name] = value
        return super().construct_mapping(node, deep=deep)


def find(folder: pathlib.Path, files: source_files.SourceFiles) -> pathlib.Path | None:
    """Return the file of names of a folder: one of the usual names there or among its labels, or its only YAML file."""
    if files.is_file:
        return files.path if files.path.suffix.lower() in YAML else None
    usual = (below / name for below in (folder, folder / "labels") for name in NAMES)
    known = set(files.files)
    found = next((path for path in usual if path in known), None)
    if found is not None:
        return found
    others = [path for path in files.direct(folder, *YAML) if _is_description(path)]
    return others[0] if len(others) == 1 else None


def read_description(file: pathlib.Path) -> Description:
    """Read a file of names.

    Raises:
        errors.InputError: It cannot be read, or holds no names.
    """
    try:
        text = source_files.text(file)
        if file.suffix.lower() in YAML:
            found = _described(file, text)
        else:
            # A line's place is its class number, so that an empty one counts.
            found = Description(file=file, names=dict(enumerate(text.splitlines())))
    except errors.InputError as error:
        said = str(error)
        raise errors.InputError(
            said if said.startswith(str(file)) else f"{file}: expected class names. {said[:1].upper()}{said[1:]}"
        ) from None
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise errors.InputError(f"{file}: expected class names. Received: {error}") from None
    names = {number: name.strip() for number, name in found.names.items() if name.strip()}
    if not names:
        raise errors.InputError(
            f"{file}: expected class names, as a list or numbered, under 'names:'. Received: none that can be read"
        )
    return dataclasses.replace(found, names=names)


def _is_description(path: pathlib.Path) -> bool:
    try:
        return "names" in yaml.load(source_files.text(path), _Loader)
    except (OSError, ValueError, TypeError, yaml.YAMLError, RecursionError):
        return False


def _described(file: pathlib.Path, text: str) -> Description:
    said = yaml.load(text, _Loader)
    if not isinstance(said, dict):
        raise ValueError("no mapping with the key names")
    names = yaml_names(said.get("names"))
    parts: dict[str, list[str]] = {}
    for key in _PARTS:
        value = said.get(key)
        given = value if isinstance(value, list) else [value]
        paths = [str(each) for each in given if isinstance(each, str) and each not in ("", "null", "~")]
        if paths:
            parts.setdefault(entries.PARTS[key], []).extend(paths)
    counted = str(said.get("nc", len(names)))
    notes = [f"{file.name} says nc: {counted} and names {len(names)} classes"] if counted != str(len(names)) else []
    root = said.get("path")
    return Description(
        file=file,
        names=names,
        root=root if isinstance(root, str) and root not in ("null", "~") else "",
        parts=parts,
        keypoint_numbers=_keypoint_numbers(said.get("kpt_shape")),
        notes=notes,
    )


def yaml_names(said: object) -> dict[int, str]:
    """Return class names by number, from a list or from a mapping of numbers.

    >>> yaml_names(["car", "null"]), yaml_names({"0": "car", "7": "bus"})
    ({0: 'car', 1: 'null'}, {0: 'car', 7: 'bus'})

    Raises:
        ValueError: They are neither.
    """
    pairs = list(said.items()) if isinstance(said, dict) else list(enumerate(said)) if isinstance(said, list) else []
    if any(not isinstance(name, str) for _, name in pairs):
        raise ValueError("names that are no texts")
    return {int(number): name for number, name in pairs}


def _keypoint_numbers(shape: object) -> int:
    """Return how many numbers of keypoints follow a box, by ``kpt_shape: [points, 2 or 3]``."""
    if shape is None:
        return 0
    if not (isinstance(shape, list) and len(shape) == 2):
        raise ValueError(f"kpt_shape {shape!r}, which is not two numbers")
    return int(shape[0]) * int(shape[1])


_BOX, _WITH_ONE_MORE = 4, 5
_LEAST_POLYGON = 6
# Beyond this a number is no fraction that was rounded or reaches out of the picture, but one of pixels.
_LARGEST_FRACTION = 2.0


class Lines(NamedTuple):
    """The boxes of each image, and what a reader should know of how they were read."""

    things: dict[pathlib.Path, tuple[entries.LabelledBox, ...]]
    notes: list[str]


def read_labels(
    labels: Mapping[pathlib.Path, pathlib.Path], names: Mapping[int, str], *, keypoint_numbers: int
) -> Lines:
    """Read label files.

    Args:
        labels: The label file of each image.
        names: Class names by number.
        keypoint_numbers: Numbers of keypoints that follow each box; 0 for none.
    """
    numbered = {image: list(_fields(file)) for image, file in labels.items()}
    ones = [fields[5] for lines in numbered.values() for _, fields in lines if len(fields) == _WITH_ONE_MORE + 1]
    angle = next((text for text in ones if not 0 <= entries.number(text) <= 1), "")
    things = {
        image: tuple(_thing(fields, number, names, keypoint_numbers, angle) for number, fields in lines)
        for image, lines in numbered.items()
    }
    polygons = sum(_is_polygon(len(fields) - 1, keypoint_numbers) for lines in numbered.values() for _, fields in lines)
    said = {
        "boxes have a sixth column from 0 to 1: it is taken for a detector's confidence and not used": (
            0 if angle or keypoint_numbers == 1 else len(ones)
        ),
        "labels are polygons or oriented boxes of corners: the upright box around them is used": polygons,
    }
    return Lines(things, [f"{count:,} {note}" for note, count in said.items() if count])


def _fields(file: pathlib.Path) -> list[tuple[int, list[str]]]:
    content = file.read_bytes()
    text = content.decode(delimited.encoding_of(content[:512]), errors="replace")
    return [(number, line.split()) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]


def _is_polygon(count: int, keypoint_numbers: int) -> bool:
    return not keypoint_numbers and count >= _LEAST_POLYGON and count % 2 == 0


def _thing(
    fields: Sequence[str], number: int, names: Mapping[int, str], keypoint_numbers: int, angle: str
) -> entries.LabelledBox:
    values = [entries.number(field) for field in fields[1:]]
    problem = _problem(fields, values, keypoint_numbers, angle)
    if problem:
        return entries.LabelledBox("", (math.nan,) * 4, number, problem=problem)
    name = names.get(int(float(fields[0])), "")
    if _is_polygon(len(values), keypoint_numbers):
        across, down = values[::2], values[1::2]
        corners = (min(across), min(down), max(across), max(down))
    else:
        x, y, width, height = values[:4]
        corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return entries.LabelledBox(
        name, corners, number, relative=True, problem="" if name else f"class number {fields[0]} has no name"
    )


def _problem(fields: Sequence[str], values: Sequence[float], keypoint_numbers: int, angle: str) -> str:
    """Say why a line is no label that we read; "" where it is one."""
    line = f"{' '.join(fields)[:60]!r}"
    # Tools that count in floats write 0.0 for the class number 0.
    if not re.fullmatch(r"[0-9]{1,9}(\.0+)?", fields[0]) or not all(map(math.isfinite, values)) or len(values) < _BOX:
        return f"{line} is not a class number and four fractions"
    if keypoint_numbers:
        fits = len(values) in (_BOX, _BOX + keypoint_numbers)
        return "" if fits else f"{line} is not a box and {keypoint_numbers} numbers of keypoints (kpt_shape)"
    if len(values) == _WITH_ONE_MORE and angle:
        return (
            f"{line} is a class number, a box and what seems to be an angle ({angle} is beyond 0 to 1): expected "
            "upright boxes, or oriented ones by their four corners"
        )
    if len(values) > _WITH_ONE_MORE and not _is_polygon(len(values), keypoint_numbers):
        return f"{line}... has {len(values)} numbers after the class: keypoints need kpt_shape in data.yaml"
    coordinates = values if _is_polygon(len(values), keypoint_numbers) else values[:_BOX]
    if max(map(abs, coordinates)) > _LARGEST_FRACTION:
        return f"{line} is not in fractions of width and height"
    return ""
