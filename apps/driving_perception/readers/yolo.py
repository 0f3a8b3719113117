"""YOLO: ``labels/*.txt`` with class number and box in fractions, beside or mirrored to ``images``; names in a file."""

import json
import math
import pathlib
import re

from apps.driving_perception.readers import entries
from shared import errors

_NAME_FILES = ("data.yaml", "dataset.yaml", "data.yml", "classes.txt", "obj.names", "names.txt")
_PARTS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
_LINE = re.compile(r"^\d+(\s+-?[0-9.eE+-]+){4,5}\s*$")


def recognise(folder: pathlib.Path) -> bool:
    """Tell by a file of names and a label file."""
    return _names_file(folder) is not None and any(_labels(folder))


def read(folder: pathlib.Path) -> entries.Source:
    """Read a folder of images and label files.

    Raises:
        errors.InputError: There is no file of class names, or it cannot be read.
    """
    file = _names_file(folder)
    if file is None:
        raise errors.InputError(f"{folder}: expected class names in one of {', '.join(_NAME_FILES)}. Received: none")
    names = _names(file)
    images = entries.pictures(folder)
    found = [_entry(path, folder, names) for path in images]
    held = {entry.file for entry in found}
    found += [
        entries.Entry(label.relative_to(folder).as_posix(), label, str(label), problem="no image of this name")
        for label in _labels(folder)
        if str(label) not in held
    ]
    return entries.Source(name=folder.resolve().name, entries=found, vocabulary=tuple(names.values()))


def _names_file(folder: pathlib.Path) -> pathlib.Path | None:
    return next((folder / name for name in _NAME_FILES if (folder / name).is_file()), None)


def _labels(folder: pathlib.Path) -> list[pathlib.Path]:
    found = []
    for path in sorted(folder.rglob("*.txt")):
        if path.name not in _NAME_FILES and (
            path.parent.name in ("labels", *_PARTS) or entries.image_beside(path.parent, path.stem)
        ):
            found.append(path)
    return found


def _names(file: pathlib.Path) -> dict[int, str]:
    text = file.read_text("utf-8-sig")
    found = _yaml_names(text) if file.suffix in (".yaml", ".yml") else dict(enumerate(filter(None, text.splitlines())))
    if not found:
        raise errors.InputError(
            f"{file}: expected the class names, as a list or numbered, under 'names:'. Received: none that can be read"
        )
    return {number: name.strip() for number, name in found.items()}


def _yaml_names(text: str) -> dict[int, str]:
    """Read the entry ``names`` of a simple YAML file: a list in brackets, dashes, or numbers with colons."""
    lines = [line.split(" #")[0].rstrip() for line in text.splitlines()]
    start = next((i for i, line in enumerate(lines) if line.startswith("names:")), None)
    if start is None:
        return {}
    rest = lines[start].removeprefix("names:").strip()
    if rest:
        inner = " ".join([rest, *lines[start + 1 :]]).partition("]")[0].strip("[ ")
        return dict(enumerate(_unquoted(part) for part in inner.split(",") if part.strip()))
    found: dict[int, str] = {}
    for line in lines[start + 1 :]:
        match = re.match(r"^\s*(?:-\s+(?P<item>.+)|(?P<number>\d+)\s*:\s*(?P<name>.+))$", line)
        if line.strip() and match is None:
            break
        if match:
            number = int(match["number"]) if match["number"] else len(found)
            found[number] = _unquoted(match["item"] or match["name"])
    return found


def _unquoted(text: str) -> str:
    text = text.strip()
    return str(json.loads(text)) if text.startswith('"') and text.endswith('"') else text.strip("'")


def _entry(path: pathlib.Path, folder: pathlib.Path, names: dict[int, str]) -> entries.Entry:
    below = path.relative_to(folder)
    mirrored = pathlib.Path(*("labels" if part == "images" else part for part in below.parts)).with_suffix(".txt")
    label = next((file for file in (folder / mirrored, path.with_suffix(".txt")) if file.is_file()), None)
    part = next((_PARTS[part] for part in below.parts[:-1] if part in _PARTS), "")
    if label is None:
        return entries.Entry(below.as_posix(), path, str(path), part=part)
    lines = label.read_text("utf-8", errors="replace").splitlines()
    things = tuple(_thing(line, number, names) for number, line in enumerate(lines, start=1) if line.strip())
    return entries.Entry(below.as_posix(), path, str(label), things, part=part)


def _thing(line: str, number: int, names: dict[int, str]) -> entries.Thing:
    if not _LINE.match(line):
        return entries.Thing(
            "", (math.nan,) * 4, number, problem=f"{line[:60]!r} is not a class number and four fractions"
        )
    fields = line.split()
    name = names.get(int(fields[0]), "")
    x, y, width, height = map(float, fields[1:5])
    return entries.Thing(
        name,
        (x - width / 2, y - height / 2, x + width / 2, y + height / 2),
        number,
        relative=True,
        problem="" if name else f"class number {fields[0]} has no name",
    )
