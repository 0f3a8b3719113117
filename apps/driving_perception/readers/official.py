"""Official parts as lists of images: what they name is kept as it is, what they contradict is refused."""

import collections
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from apps.driving_perception.readers import entries, place
from shared import errors

# An image of this list that stands in no other one may train; where it stands in another one, that one says more.
_BOTH = "trainval"
_SHOWN = 3


class Listed(NamedTuple):
    """One image that a list names.

    Attributes:
        part: Official part.
        where: List and line, for messages.
        name: As the list says it.
        image: The file; None where there is none.
        weak: Whether another list may say more.
    """

    part: str
    where: str
    name: str
    image: pathlib.Path | None
    weak: bool = False


class Parts(NamedTuple):
    """The images of official parts, and entries that say which named ones are not there."""

    of: dict[pathlib.Path, str]
    strays: list[entries.Entry]


def settle(listed: Iterable[Listed], *, where: str) -> Parts:
    """Return the part of each image.

    Args:
        listed: What the lists name.
        where: What names the parts, for the message.

    Raises:
        errors.InputError: An image is in two parts.
    """
    named: dict[pathlib.Path, dict[str, str]] = {}
    strays, weak = [], []
    for each in listed:
        if each.image is None:
            problem = f"{each.where} names {each.name}, of which there is no image"
            strays.append(entries.Entry(each.name, pathlib.Path(each.name), each.where, problem=problem))
        elif each.weak:
            weak.append(each)
        else:
            named.setdefault(each.image, {}).setdefault(each.part, each.where)
    for each in weak:
        if each.image is not None and each.image not in named:
            named[each.image] = {each.part: each.where}
    crossing = {image: places for image, places in named.items() if len(places) > 1}
    if crossing:
        shown = "; ".join(
            f"{image.name} in {' and '.join(f'{part} ({place})' for part, place in places.items())}"
            for image, places in list(crossing.items())[:_SHOWN]
        )
        raise errors.InputError(
            f"{where}: expected each image in one of the parts. Received: {len(crossing):,} images in several: {shown}"
        )
    return Parts({image: next(iter(places)) for image, places in named.items()}, strays)


def lists(folder: pathlib.Path, below: place.Place) -> list[pathlib.Path]:
    """Return the lists of an ImageSets folder, of Pascal VOC and of KITTI's users, or those of the folder itself."""
    for name in ("ImageSets/Main", "ImageSets", ""):
        found = [path for path in below.direct(folder / name, ".txt") if path.stem.lower() in entries.PARTS]
        if found:
            return found
    return []


def called(found: Sequence[pathlib.Path]) -> str:
    """Return what to call lists in words.

    >>> called([pathlib.Path("v/ImageSets/Main/a.txt")]), called([pathlib.Path("v/a.txt"), pathlib.Path("v/b.txt")])
    ('ImageSets', 'a.txt, b.txt')
    """
    return "ImageSets" if "ImageSets" in found[0].parts else ", ".join(path.name for path in found)


def by_list(
    files: Iterable[pathlib.Path], find: Callable[[str, pathlib.Path], pathlib.Path | None], *, folder: pathlib.Path
) -> list[Listed]:
    """Return what some lists name: the first word of each line, or the whole line where that is an image."""
    found = []
    for file in files:
        label = file.relative_to(folder).as_posix() if folder in file.parents else str(file)
        stem = file.stem.lower()
        for number, line in enumerate(place.text(file).splitlines(), start=1):
            if not line.strip():
                continue
            # Lists of one class have a second column.
            image = find(line.strip(), file) or find(line.split()[0], file)
            found.append(
                Listed(entries.PARTS[stem], f"{label}, line {number}", line.strip(), image, weak=stem == _BOTH)
            )
    return found


def left_out(images: Iterable[pathlib.Path], parts: Parts, *, where: str) -> str:
    """Return a note on images that no list names; "" where there are none."""
    count = sum(image not in parts.of for image in images)
    return f"{count:,} images are in none of the parts that {where} names: they are not used" if count else ""


def counted(parts: Parts, *, where: str) -> str:
    """Return a note on the sizes of official parts.

    >>> counted(Parts({pathlib.Path("a"): "train", pathlib.Path("b"): "test"}, []), where="ImageSets")
    'official parts of ImageSets: 1 train, 1 test'
    """
    counts = collections.Counter(parts.of.values())
    ordered = dict.fromkeys(part for part in entries.PARTS.values() if counts[part])
    return f"official parts of {where}: {', '.join(f'{counts[part]:,} {part}' for part in ordered)}"
