"""What every reader gives: entries, one per image, with the objects that its source names there."""

import dataclasses
import math
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from apps.driving_perception import boxes as box

Item: TypeAlias = pathlib.Path | bytes
Corners: TypeAlias = tuple[float, float, float, float]

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
# A file of this name marks a folder of images that were rendered, not taken.
RENDERED = "SYNTHETIC"
# What sources call the official parts.
PARTS = {
    **{name: "train" for name in ("train", "training")},
    **{name: "validation" for name in ("validation", "valid", "val", "dev")},
    **{name: "test" for name in ("test", "testing")},
}

# Smallest and largest value of what may be said besides the corners, and what stands for "not known". Beyond 2**53 a
# float no longer holds every whole number.
_LIMITS: dict[str, tuple[float, float, float]] = {
    "occlusion": (box.UNKNOWN, 3, box.UNKNOWN),
    "truncation": (0, 1, math.nan),
    "distance": (-1e6, 1e6, math.nan),
    "track": (box.UNKNOWN, 2**53, box.UNKNOWN),
    "number": (box.UNKNOWN, 2**53, box.UNKNOWN),
    "seconds": (-1e15, 1e15, math.nan),
}
_FLAGS = {"true": "1", "false": "0"}
# KITTI's fourth level of occlusion is "unknown".
_KITTI_UNKNOWN = 3


class Thing(NamedTuple):
    """One labelled box of a source, not checked yet.

    Attributes:
        name: Its class as the source says it.
        xyxy: Left, top, right, bottom in pixels; in fractions where ``relative``.
        number: Its place in its file, from 1, for messages.
        kind: ``REGION`` or ``NEIGHBOUR`` where the source says so; else ``OBJECT``, and the name may say more.
        occlusion: Level, or ``UNKNOWN``.
        truncation: Share outside the image; NaN unknown.
        distance: Metres; NaN unknown.
        track: Id in its sequence, or ``UNKNOWN``.
        relative: Whether the corners are fractions of width and height.
        problem: Why it cannot be used; "" where nothing is known against it.
    """

    name: str
    xyxy: Corners
    number: int
    kind: int = box.OBJECT
    occlusion: int = box.UNKNOWN
    truncation: float = math.nan
    distance: float = math.nan
    track: int = box.UNKNOWN
    relative: bool = False
    problem: str = ""


class Entry(NamedTuple):
    """One image of a source, not checked yet.

    Attributes:
        name: Its path below the source's folder.
        item: Where its pixels are.
        file: The file that labels it, for messages; the image itself where none does.
        things: Its labelled boxes.
        size: Width and height that the labels were made for; None where they do not say.
        sequence: Drive or clip, "" where unknown.
        number: Place in the sequence, ``UNKNOWN`` where there is none.
        seconds: Since the sequence began; NaN unknown.
        time_of_day: day, dusk, night or "".
        weather: As the source says, or "".
        part: Official part, "" where there is none.
        known: Class names of ours that are labelled in this image, where not those of the source.
        problem: Why the image cannot be used.
    """

    name: str
    item: Item
    file: str
    things: Sequence[Thing] = ()
    size: tuple[int, int] | None = None
    sequence: str = ""
    number: int = box.UNKNOWN
    seconds: float = math.nan
    time_of_day: str = ""
    weather: str = ""
    part: str = ""
    known: Sequence[str] | None = None
    problem: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """What one reader gave.

    Attributes:
        name: How reports name the source.
        entries: Its images.
        vocabulary: Class names that it labels, as it says them, whether or not they occur.
        notes: What a reader of the report should know.
        synthetic: Whether the images were rendered, not taken.
    """

    name: str
    entries: Sequence[Entry]
    vocabulary: Sequence[str]
    notes: Sequence[str] = ()
    synthetic: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class SceneSettings:
    """Which road scenes ``road-scenes`` means."""

    sequences: int = 1000
    frames: int = 2
    seed: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """How to read a source.

    Attributes:
        single_class: Class of boxes in a table that has no class column.
        labelled: Whether labels are wanted; without, folders of images will do.
        scenes: Which scenes ``road-scenes`` means.
    """

    single_class: str = "car"
    labelled: bool = True
    scenes: SceneSettings = dataclasses.field(default_factory=SceneSettings)


def pictures(folder: pathlib.Path) -> list[pathlib.Path]:
    """Return the image files below a folder, in order of their paths; hidden ones are other programs' and no data."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def by_stem(paths: Iterable[pathlib.Path]) -> dict[str, list[pathlib.Path]]:
    """Group files by their name without suffix: formats that pair files so can use only groups of one."""
    found: dict[str, list[pathlib.Path]] = {}
    for path in paths:
        found.setdefault(path.stem, []).append(path)
    return found


def twice(paths: Sequence[pathlib.Path], what: str) -> str:
    """Say that there are several files where one is expected; "" where there are not.

    >>> twice([pathlib.Path("v/x/a.jpg"), pathlib.Path("v/x/a.png")], "images of one name")
    '2 images of one name: x/a.jpg, x/a.png'
    """
    return (
        f"{len(paths)} {what}: {', '.join(f'{path.parent.name}/{path.name}' for path in paths)}"
        if len(paths) > 1
        else ""
    )


def number(text: str) -> float:
    """Return a number; NaN for what is none.

    >>> number(" 2.5 "), number("wide")
    (2.5, nan)
    """
    try:
        return float(text)
    except (TypeError, ValueError):
        return math.nan


def part(text: object) -> str:
    """Return an official part by its name here; "" for none, and a name that is not known as it stands.

    >>> part("val"), part(None), part("holdout")
    ('validation', '', 'holdout')
    """
    name = "" if text is None or text != text else str(text).strip().lower()
    return PARTS.get(name, name)


def extras(said: Mapping[str, object]) -> tuple[dict[str, Any], str]:
    """Turn what a source says besides corners and class into numbers.

    Args:
        said: By name out of occlusion, truncation, distance, track, number and seconds, as text or number; None, NaN
            and "" are not known.

    Returns:
        The usable values by name, and what is wrong with the first of the others; "" for nothing.

    >>> extras({"occlusion": "2", "distance": None, "track": "x"})
    ({'occlusion': 2, 'distance': nan, 'track': -1}, "track 'x' is no whole number from -1 to 9007199254740992")
    """
    found: dict[str, Any] = {}
    problem = ""
    for name, value in said.items():
        low, high, unknown = _LIMITS[name]
        whole = not math.isnan(unknown)
        text = "" if value is None or value != value else str(value).strip()
        given = number(_FLAGS.get(text.lower(), text)) if text else unknown
        fits = low <= given <= high and not (whole and given % 1)
        if text and not fits:
            problem = problem or f"{name} {text!r} is no {'whole ' * whole}number from {low:.16g} to {high:.16g}"
        usable = given if fits and not (name == "occlusion" and given == _KITTI_UNKNOWN) else unknown
        found[name] = int(usable) if whole else usable
    return found, problem


def image_beside(folder: pathlib.Path, stem: str) -> pathlib.Path | None:
    """Return the image of a folder with this name, whatever its suffix."""
    for suffix in SUFFIXES:
        for spelled in (suffix, suffix.upper()):
            path = folder / f"{stem}{spelled}"
            if path.is_file():
                return path
    return None
