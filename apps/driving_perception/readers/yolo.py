"""YOLO: ``labels/*.txt`` with class number and box in fractions, beside or mirrored to ``images``; names in a file."""

import json
import math
import pathlib
import re

from apps.driving_perception.readers import entries
from shared import errors

_NAME_FILES = ("data.yaml", "dataset.yaml", "data.yml", "classes.txt", "obj.names", "names.txt")


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
    held = {label for path in images for label in _labels_of(path, folder)}
    found += [
        entries.Entry(label.relative_to(folder).as_posix(), label, str(label), problem="no image of this name")
        for label in _labels(folder)
        if label not in held
    ]
    return entries.Source(name=folder.resolve().name, entries=found, vocabulary=tuple(names.values()))


def _names_file(folder: pathlib.Path) -> pathlib.Path | None:
    return next((folder / name for name in _NAME_FILES if (folder / name).is_file()), None)


def _labels(folder: pathlib.Path) -> list[pathlib.Path]:
    found = []
    for path in sorted(folder.rglob("*.txt")):
        if path.name not in _NAME_FILES and (
            {"labels", *entries.PARTS} & set(path.relative_to(folder).parts[:-1])
            or entries.image_beside(path.parent, path.stem)
        ):
            found.append(path)
    return found


def _names(file: pathlib.Path) -> dict[int, str]:
    try:
        text = file.read_text("utf-8-sig")
        # A line's place is its class number, so that an empty one counts.
        found = _yaml_names(text) if file.suffix in (".yaml", ".yml") else dict(enumerate(text.splitlines()))
    except (OSError, ValueError) as error:
        raise errors.InputError(f"{file}: expected class names in UTF-8. Received: {error}") from None
    if not any(map(str.strip, found.values())):
        raise errors.InputError(
            f"{file}: expected the class names, as a list or numbered, under 'names:'. Received: none that can be read"
        )
    return {number: name.strip() for number, name in found.items() if name.strip()}


def _yaml_names(text: str) -> dict[int, str]:
    """Read the entry ``names`` of a simple YAML file: in brackets or braces, with dashes, or numbers with colons."""
    lines = [re.sub(r"(^|\s)#[^'\"]*$", "", line).rstrip() for line in text.splitlines()]
    start = next((i for i, line in enumerate(lines) if line.startswith("names:")), None)
    if start is None:
        return {}
    rest = lines[start].removeprefix("names:").strip()
    if rest:
        return _in_brackets(" ".join([rest, *lines[start + 1 :]]))
    found: dict[int, str] = {}
    for line in lines[start + 1 :]:
        match = re.match(r"^\s*(?:-\s+(?P<item>.+)|(?P<number>\d+)\s*:\s*(?P<name>.+))$", line)
        if line.strip() and match is None:
            break
        if match:
            number = int(match["number"]) if match["number"] else len(found)
            found[number] = _unquoted(match["item"] or match["name"])
    return found


def _in_brackets(text: str) -> dict[int, str]:
    """Read ``[a, b]`` or ``{0: a, 1: b}``.

    >>> _in_brackets("[car, 'red truck'] nc: 2"), _in_brackets("{0: car, 7: bus}")
    ({0: 'car', 1: 'red truck'}, {0: 'car', 7: 'bus'})
    """
    inner = re.split(r"[\]}]", text)[0].strip("[{ ")
    parts = [part.strip() for part in inner.split(",") if part.strip()]
    if not text.startswith("{"):
        return dict(enumerate(map(_unquoted, parts)))
    pairs = [part.partition(":") for part in parts]
    return {int(_unquoted(number)): _unquoted(name) for number, _, name in pairs}


def _unquoted(text: str) -> str:
    text = text.strip()
    return str(json.loads(text)) if text.startswith('"') and text.endswith('"') else text.strip("'")


def _labels_of(path: pathlib.Path, folder: pathlib.Path) -> list[pathlib.Path]:
    """Return the label files of an image: the mirrored one and the one beside it."""
    parts = ("labels" if part == "images" else part for part in path.relative_to(folder).parts)
    both = (folder.joinpath(*parts).with_suffix(".txt"), path.with_suffix(".txt"))
    return [file for file in dict.fromkeys(both) if file.is_file()]


def _entry(path: pathlib.Path, folder: pathlib.Path, names: dict[int, str]) -> entries.Entry:
    below, labels = path.relative_to(folder), _labels_of(path, folder)
    part = next((entries.PARTS[part] for part in below.parts[:-1] if part in entries.PARTS), "")
    problem = entries.twice(labels, "label files for one image")
    if problem or not labels:
        return entries.Entry(below.as_posix(), path, str(path), part=part, problem=problem)
    label = labels[0]
    lines = label.read_text("utf-8", errors="replace").splitlines()
    things = tuple(_thing(line, number, names) for number, line in enumerate(lines, start=1) if line.strip())
    return entries.Entry(below.as_posix(), path, str(label), things, part=part)


def _thing(line: str, number: int, names: dict[int, str]) -> entries.Thing:
    fields = line.split()
    values = [entries.number(field) for field in fields[1:]]
    # A fifth number is a detector's confidence.
    if not (re.fullmatch(r"[0-9]{1,9}", fields[0]) and len(values) in (4, 5) and all(map(math.isfinite, values))):
        return entries.Thing(
            "", (math.nan,) * 4, number, problem=f"{line[:60]!r} is not a class number and four fractions"
        )
    name = names.get(int(fields[0]), "")
    x, y, width, height = values[:4]
    return entries.Thing(
        name,
        (x - width / 2, y - height / 2, x + width / 2, y + height / 2),
        number,
        relative=True,
        problem="" if name else f"class number {fields[0]} has no name",
    )
