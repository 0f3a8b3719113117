"""What every reader gives: entries, one per image, with the objects that its source names there."""

import dataclasses
import math
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from apps.driving_perception import boxes as box
from shared.sources import cells

Item: TypeAlias = pathlib.Path | bytes
Corners: TypeAlias = tuple[float, float, float, float]

# What Pillow decodes; the graph gets what is neither JPEG nor PNG as PNG.
SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jif", ".jfif", ".png", ".apng", ".bmp", ".dib", ".webp", ".gif", ".tif", ".tiff",
    ".ppm", ".pgm", ".pnm", ".jp2", ".avif", ".mpo",
)  # fmt: skip
# How files begin that may be images under a name without suffix.
_BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")
# A file of this name marks a folder of images that were rendered, not taken.
RENDERED = "SYNTHETIC"
# What sources call the official parts.
PARTS = {
    **{name: "train" for name in ("train", "training", "trainval")},
    **{name: "validation" for name in ("validation", "validate", "valid", "val", "dev", "minival")},
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


class LabelledBox(NamedTuple):
    """One labelled box of a source, not checked yet.

    Attributes:
        name: Its class as the source says it.
        xyxy: Left, top, right, bottom in pixels; in fractions where ``relative``.
        number: Its place in its file, from 1, for messages: the row of a table, the line of a text.
        where: Its place in words, where the number alone does not say it; "" for ``object N``.
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
    where: str = ""


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
        inferred: Whether no label file speaks of it, and it counts as an image without boxes by the format's rule.
    """

    name: str
    item: Item
    file: str
    things: Sequence[LabelledBox] = ()
    size: tuple[int, int] | None = None
    sequence: str = ""
    number: int = box.UNKNOWN
    seconds: float = math.nan
    time_of_day: str = ""
    weather: str = ""
    part: str = ""
    known: Sequence[str] | None = None
    problem: str = ""
    inferred: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """What one reader gave.

    Attributes:
        name: How reports name the source.
        entries: Its images.
        vocabulary: Class names that it labels, as it says them, whether or not they occur.
        notes: What a reader of the report should know.
        synthetic: Whether the images were rendered, not taken.
        columns: Of a table: what each column is taken for, in words.
        told: Files that were read, or that a note tells of, besides the images of ``entries`` and their label files.
    """

    name: str
    entries: Sequence[Entry]
    vocabulary: Sequence[str]
    notes: Sequence[str] = ()
    synthetic: bool = False
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)
    told: frozenset[pathlib.Path] = frozenset()


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
        follow_links: Whether to follow links that lead out of a source's folder.
        allow_outside: Whether to read images that labels name outside of it.
        decimal: Mark before the fraction in numbers of text.
        scenes: Which scenes ``road-scenes`` means.
    """

    single_class: str = "car"
    labelled: bool = True
    follow_links: bool = False
    allow_outside: bool = False
    decimal: cells.Decimal = "auto"
    scenes: SceneSettings = dataclasses.field(default_factory=SceneSettings)


def is_picture(path: pathlib.Path) -> bool:
    """Tell an image file by its suffix; where it has none, or only a number, by its first bytes."""
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return True
    if suffix and not suffix[1:].isdecimal():
        return False
    try:
        with path.open("rb") as stream:
            head = stream.read(16)
    except OSError:
        return False
    return head.startswith(_BEGINNINGS) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def stem(path: pathlib.PurePath) -> str:
    """Return an image's name without its suffix; a number after a dot is none.

    >>> stem(pathlib.PurePath("x/a.b.JPG")), stem(pathlib.PurePath("camera.0001"))
    ('a.b', 'camera.0001')
    """
    return path.stem if path.suffix.lower() in SUFFIXES else path.name


def by_stem(paths: Iterable[pathlib.Path]) -> dict[str, list[pathlib.Path]]:
    """Group images by their name without suffix: formats that pair files so can use only groups of one."""
    found: dict[str, list[pathlib.Path]] = {}
    for path in paths:
        found.setdefault(stem(path), []).append(path)
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


def number(text: object) -> float:
    """Return a number; NaN for what is none.

    >>> number(" 2.5 "), number("wide")
    (2.5, nan)
    """
    try:
        return float(text)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return math.nan


def part(text: object) -> str:
    """Return an official part by its name here; "" for none, and a name that is not known as it stands.

    >>> part("val"), part(None), part("holdout")
    ('validation', '', 'holdout')
    """
    name = "" if text is None or text != text else str(text).strip().lower()
    return PARTS.get(name, name)


def flag(value: object, name: str) -> tuple[bool, str]:
    """Return what a flag says, and why it cannot be read; nothing means no.

    >>> flag("0", "iscrowd"), flag(None, "iscrowd"), flag("much", "iscrowd")
    ((False, ''), (False, ''), (False, "iscrowd 'much' is neither yes nor no"))
    """
    said = False if cells.is_nothing(value) else cells.truth(value)
    return bool(said), f"{name} {value!r} is neither yes nor no" if said is None else ""


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
