"""What every reader gives: entries, one per image, with the objects that its source names there."""

import dataclasses
import math
import pathlib
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from apps.driving_perception import boxes as box

Item: TypeAlias = pathlib.Path | bytes
Corners: TypeAlias = tuple[float, float, float, float]

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


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

    sequences: int = 600
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
    """Return the image files below a folder, in order of their paths."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())


def number(text: str) -> float:
    """Return a number; NaN for what is none.

    >>> number(" 2.5 "), number("wide")
    (2.5, nan)
    """
    try:
        return float(text)
    except (TypeError, ValueError):
        return math.nan


def image_beside(folder: pathlib.Path, stem: str) -> pathlib.Path | None:
    """Return the image of a folder with this name, whatever its suffix."""
    for suffix in SUFFIXES:
        for spelled in (suffix, suffix.upper()):
            path = folder / f"{stem}{spelled}"
            if path.is_file():
                return path
    return None
