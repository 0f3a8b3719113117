"""What obstacles are called: the names of the usual road data sets, and a user's own file.

A mapping file is JSON (``{"pickup": "car", "tram": "train:neighbour", "sky": null, "crowd": "ignore"}``) or CSV with
the columns ``name`` and ``class``. An empty class drops the boxes of that name, ``ignore`` makes them regions of any
class, ``<class>:neighbour`` has them learned as the class and not evaluated. Names that the file does not hold keep
their usual meaning.
"""

import csv
import json
import pathlib
from collections.abc import Iterable
from typing import NamedTuple

from apps.driving_perception import boxes as box
from shared import errors

CLASS_NAMES = ("car", "truck", "bus", "train", "motorcycle", "bicycle", "person")
IGNORE, NEIGHBOUR = "ignore", ":neighbour"


class Meaning(NamedTuple):
    """What a source's class name means: one of our classes or None, and the kind of its boxes."""

    label: str | None
    kind: int


DROPPED = Meaning(None, box.OBJECT)
ANYTHING = Meaning(None, box.REGION)

_SAME = {
    "car": "car suv sedan taxi vehicle minivan hatchback",
    "truck": "truck lorry pickuptruck",
    "bus": "bus coach",
    "train": "train tram",
    "motorcycle": "motorcycle motorbike motor moped scooter",
    "bicycle": "bicycle bike cyclist",
    "person": "person pedestrian rider people man woman child",
}
_NEIGHBOURS = {"van": "car", "personsitting": "person"}
_REGIONS = ("dontcare", "misc", "othervehicle", "otherperson", "trailer", "caravan", "ignore", "ignored")
_DROPPED = [
    "trafficlight",
    "trafficsign",
    "stopsign",
    "parkingmeter",
    "firehydrant",
    "lane",
    "drivablearea",
    "bench",
    "bird",
    "cat",
    "dog",
    "horse",
    "sheep",
    "cow",
    "elephant",
    "bear",
    "zebra",
    "giraffe",
    "backpack",
    "umbrella",
    "handbag",
    "tie",
    "suitcase",
    "frisbee",
    "skis",
    "snowboard",
    "sportsball",
    "kite",
    "baseballbat",
    "baseballglove",
    "skateboard",
    "surfboard",
    "tennisracket",
    "bottle",
    "wineglass",
    "cup",
    "fork",
    "knife",
    "spoon",
    "bowl",
    "banana",
    "apple",
    "sandwich",
    "orange",
    "broccoli",
    "carrot",
    "hotdog",
    "pizza",
    "donut",
    "cake",
    "chair",
    "couch",
    "sofa",
    "pottedplant",
    "bed",
    "diningtable",
    "toilet",
    "tv",
    "tvmonitor",
    "laptop",
    "mouse",
    "remote",
    "keyboard",
    "cellphone",
    "microwave",
    "oven",
    "toaster",
    "sink",
    "refrigerator",
    "book",
    "clock",
    "vase",
    "scissors",
    "teddybear",
    "hairdrier",
    "toothbrush",
    "boat",
    "aeroplane",
    "airplane",
]


def plain(name: str) -> str:
    """Return a name without case, spaces, hyphens and underscores.

    >>> plain("Person_sitting"), plain("traffic light")
    ('personsitting', 'trafficlight')
    """
    return "".join(letter for letter in name.lower() if letter.isalnum())


def usual() -> dict[str, Meaning]:
    """Return what the names of KITTI, VOC, COCO, BDD100K and DAWN mean, by plain name."""
    meanings = {name: DROPPED for name in _DROPPED} | {name: ANYTHING for name in _REGIONS}
    for label, names in _SAME.items():
        meanings |= {plain(name): Meaning(label, box.OBJECT) for name in names.split()}
    return meanings | {name: Meaning(label, box.NEIGHBOUR) for name, label in _NEIGHBOURS.items()}


def read(path: pathlib.Path | None) -> dict[str, Meaning]:
    """Return the usual meanings, changed by a mapping file.

    Raises:
        errors.InputError: The file is none.
    """
    meanings = usual()
    if path is not None:
        meanings |= _distinct(path)
    return meanings


def _distinct(path: pathlib.Path) -> dict[str, Meaning]:
    """Return a file's meanings by plain name.

    Raises:
        errors.InputError: Two spellings of one name mean different things.
    """
    found: dict[str, tuple[str, Meaning]] = {}
    for name, value in _pairs(path):
        meaning = _meaning(value, where=f"{path}, {name!r}")
        first, known = found.setdefault(plain(name), (name, meaning))
        if known != meaning:
            raise errors.InputError(
                f"{path}: expected one meaning for each name. Received: {first!r} and {name!r}, which are one name, "
                "with several"
            )
    return {name: meaning for name, (_, meaning) in found.items()}


def ordered(names: Iterable[str]) -> tuple[str, ...]:
    """Return class names in the order of ``CLASS_NAMES``, then new ones as they come.

    >>> ordered(["animal", "person", "car"])
    ('car', 'person', 'animal')
    """
    given = list(dict.fromkeys(names))
    return (*(name for name in CLASS_NAMES if name in given), *(name for name in given if name not in CLASS_NAMES))


def _pairs(path: pathlib.Path) -> list[tuple[str, object]]:
    """Return names and what they mean, each as often as the file has it."""
    try:
        text = path.read_text("utf-8-sig")
        is_json = path.suffix.lower() == ".json"
        content = json.loads(text, object_pairs_hook=_Pairs) if is_json else _table(text, path)
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        raise errors.InputError(
            f"{path}: expected a mapping of class names as JSON or CSV. Received: {error}"
        ) from None
    if not isinstance(content, _Pairs):
        raise errors.InputError(f"{path}: expected a JSON object of names. Received: {type(content).__name__}")
    return content


class _Pairs(list[tuple[str, object]]):
    """A JSON object as its pairs: a name that stands twice is not lost."""


def _table(text: str, path: pathlib.Path) -> _Pairs:
    rows = csv.DictReader(text.splitlines())
    if not {"name", "class"} <= set(rows.fieldnames or ()):
        raise errors.InputError(f"{path}: expected the columns name and class. Received: {rows.fieldnames}")
    return _Pairs((row["name"], row["class"] or "") for row in rows)


def _meaning(value: object, *, where: str) -> Meaning:
    if value is None or value == "":
        return DROPPED
    if not isinstance(value, str):
        raise errors.InputError(f"{where}: expected the name of a class, {IGNORE!r} or nothing. Received: {value!r}")
    if value == IGNORE:
        return ANYTHING
    label = value.removesuffix(NEIGHBOUR)
    if not plain(label) or ":" in label or "/" in label or label.startswith("."):
        raise errors.InputError(f"{where}: expected the name of a class. Received: {value!r}")
    return Meaning(label, box.NEIGHBOUR if value.endswith(NEIGHBOUR) else box.OBJECT)
