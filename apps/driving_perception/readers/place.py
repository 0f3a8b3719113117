"""Where a source lies: its files, each listed once, and what its paths say of official parts."""

import functools
import pathlib
import re

from apps.driving_perception.readers import entries
from shared.sources import delimited, folders


class Place:
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

    def children(self) -> dict[str, "Place"]:
        """Return the folders in the folder that hold files at any depth, by name."""
        found: dict[str, list[pathlib.Path]] = {}
        for path in self.files:
            parts = path.relative_to(self.folder).parts
            if len(parts) > 1:
                found.setdefault(parts[0], []).append(path)
        return {
            name: Place(self.folder / name, listing=folders.Listing(tuple(files), ())) for name, files in found.items()
        }

    def around(self, folder: pathlib.Path) -> "Place":
        """Return the place of a folder above, for labels that lie beside their images' folder."""
        return self if folder == self.folder else Place(folder, follow_links=self._follow_links)


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
