"""What YOLO's files of names say: ``data.yaml`` (names, parts, keypoints), Darknet's ``.data`` and lists of names."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from apps.driving_perception.readers import entries, place
from shared import errors

YAML = (".yaml", ".yml")
NAMES = ("data.yaml", "dataset.yaml", "data.yml", "dataset.yml", "classes.txt", "obj.names", "names.txt")
_LIST_SUFFIX = ".txt"
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


def find(folder: pathlib.Path, files: place.Place) -> pathlib.Path | None:
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


def read(file: pathlib.Path) -> Description:
    """Read a file of names.

    Raises:
        errors.InputError: It cannot be read, or holds no names.
    """
    try:
        text = place.text(file)
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
        return "names" in yaml.load(place.text(path), _Loader)
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
