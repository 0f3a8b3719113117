"""Where a source lies: its files, each listed once, and what its paths say of official parts."""

import collections
import functools
import pathlib
import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from apps.driving_perception.readers import entries
from shared import errors
from shared.sources import delimited, folders


class SourceFiles:
    """A source's path and the files around it.

    Attributes:
        path: The file or folder that was named.
        folder: The folder itself, or the one that holds the file.
    """

    def __init__(
        self, path: pathlib.Path, *, follow_links: bool = False, listing: folders.Listing | None = None
    ) -> None:
        """Remember the path; files are listed when they are needed.

        Args:
            path: A file or folder that exists.
            follow_links: Whether to follow links that lead out of the folder.
            listing: The folder's files where they are known already.
        """
        self.path = path
        self.folder = path if path.is_dir() else path.parent
        self._follow_links = follow_links
        self._given = listing

    @functools.cached_property
    def _listing(self) -> folders.Listing:
        return self._given or folders.listing(self.folder, follow_links=self._follow_links)

    @property
    def is_file(self) -> bool:
        """Whether a file was named."""
        return self.path != self.folder

    @property
    def files(self) -> tuple[pathlib.Path, ...]:
        """All files below the folder, in order of their paths."""
        return self._listing.files

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know of links."""
        return self._listing.notes

    def pictures(self, *under: pathlib.Path) -> list[pathlib.Path]:
        """Return the image files of the folder, or of some folders in it."""
        return [path for path in self._pictures if not under or any(each in path.parents for each in under)]

    @functools.cached_property
    def _pictures(self) -> list[pathlib.Path]:
        return [path for path in self.files if entries.is_picture(path)]

    def direct(self, folder: pathlib.Path, *suffixes: str) -> list[pathlib.Path]:
        """Return the files that lie in a folder itself and end so, whatever the case of the suffix."""
        return [path for path in self._by_folder.get(folder, []) if path.suffix.lower() in suffixes]

    @functools.cached_property
    def _by_folder(self) -> dict[pathlib.Path, list[pathlib.Path]]:
        found: dict[pathlib.Path, list[pathlib.Path]] = {}
        for path in self.files:
            found.setdefault(path.parent, []).append(path)
        return found

    def below(self, path: pathlib.Path) -> str:
        """Return a file's path below the folder, as names show it; of one elsewhere the whole."""
        return path.relative_to(self.folder).as_posix() if self.folder in path.parents else path.as_posix()

    def children(self) -> dict[str, "SourceFiles"]:
        """Return the folders in the folder that hold files at any depth, by name."""
        found: dict[str, list[pathlib.Path]] = {}
        for path in self.files:
            parts = path.relative_to(self.folder).parts
            if len(parts) > 1:
                found.setdefault(parts[0], []).append(path)
        return {
            name: SourceFiles(self.folder / name, listing=folders.Listing(tuple(files), ()))
            for name, files in found.items()
        }

    def around(self, folder: pathlib.Path) -> "SourceFiles":
        """Return the place of a folder above, for labels that lie beside their images' folder."""
        return self if folder == self.folder else SourceFiles(folder, follow_links=self._follow_links)


def part_of_folders(path: pathlib.PurePath | str, *, inside: pathlib.Path | None = None) -> str:
    """Return the official part that one of a file's folders is named after, the outermost; "" for none.

    >>> part_of_folders("images/val/a.jpg"), part_of_folders("a.jpg")
    ('validation', '')
    """
    below = pathlib.PurePath(path)
    if inside is not None:
        below = below.relative_to(inside) if inside in below.parents else pathlib.PurePath(below.name)
    named = (entries.PARTS.get(_letters(part)) for part in below.parts[:-1])
    return next(filter(None, named), "")


def _letters(name: str) -> str:
    """Return a folder's name without the year that COCO writes after it: train2017."""
    return re.sub(r"(19|20)\d\d$", "", name.lower())


def part_of_name(name: str) -> str:
    """Return the official part that the name of a file or folder says; "" for none, or where it says several.

    >>> part_of_name("instances_val2017"), part_of_name("test-dev"), part_of_name("train_and_test"), part_of_name("x")
    ('validation', 'test', '', '')
    """
    words = re.findall("[a-z]+", name.lower())
    found = {entries.PARTS[word] for word in words if word in entries.PARTS}
    if "test" in words and found == {"test", "validation"} and "dev" in words:
        return "test"
    return found.pop() if len(found) == 1 else "train" if found == {"train", "validation"} else ""


def text(path: pathlib.Path) -> str:
    """Return a small text file's content: UTF-8, or UTF-16 where its first bytes say so.

    Raises:
        errors.InputError: It is in another encoding; the message names the line.
        OSError: It cannot be read.
    """
    content = path.read_bytes()
    encoding = delimited.encoding_of(content[:4096])
    delimited.check_encoding(lambda: path.open("rb"), encoding=encoding, where=str(path))
    return content.decode(encoding)


def plain(path: pathlib.Path) -> pathlib.Path:
    """Return a path without ``.`` and ``..``, links kept: as the folder lists it."""
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts and parts[-1] not in ("..", "/"):
            parts.pop()
        elif part != ".":
            parts.append(part)
    return pathlib.Path(*parts)


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


def lists(folder: pathlib.Path, below: SourceFiles) -> list[pathlib.Path]:
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
        for number, line in enumerate(text(file).splitlines(), start=1):
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
