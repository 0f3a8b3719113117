"""The files of a folder: every one is listed, whatever leads to it, or counted in a note."""

import collections
import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from shared import errors

_SHOWN = 3


class Listing(NamedTuple):
    """The files below a folder in order of their paths, and what a reader should know of links."""

    files: tuple[pathlib.Path, ...]
    notes: tuple[str, ...]


class _Links(NamedTuple):
    """Links that are not plainly followed, by reason."""

    outside: list[pathlib.Path]
    circular: list[pathlib.Path]
    broken: list[pathlib.Path]


def listing(folder: pathlib.Path, *, follow_links: bool = False) -> Listing:
    """List the files below a folder, but for those whose name, or whose folder's, begins with a dot or is __MACOSX.

    What an unfinished ``predict`` keeps beside its output (``<output>.partial``) is passed over, too.

    Symbolic links are followed where they lead to something inside the folder.

    Args:
        folder: A folder that exists.
        follow_links: Whether to follow links to what lies outside of it, too.

    Raises:
        errors.InputError: A link leads out of the folder, and ``follow_links`` is not set: leaving out what it
            leads to could be a whole part of a data set.
    """
    links = _Links([], [], [])
    root = pathlib.Path(os.path.realpath(folder))
    found: list[pathlib.Path] = []
    _walk(folder, root=root, above=(root,), found=found, links=links)
    if links.outside and not follow_links:
        raise errors.InputError(
            f"{folder}: expected links that stay inside the folder (--follow-links follows the others, too). "
            f"Received: {_shown(links.outside, folder)}"
        )
    said = {
        "followed out of the folder": links.outside,
        "not followed, since they lead back to a folder above them": links.circular,
        "not followed, since what they lead to does not exist": links.broken,
    }
    notes = tuple(f"links {what}: {_shown(paths, folder)}" for what, paths in said.items() if paths)
    return Listing(tuple(sorted(found)), notes)


def unread(paths: Iterable[pathlib.PurePath]) -> str:
    """Return a note on files that are not read, by kind; "" for none.

    >>> unread([pathlib.PurePath("a/b.TXT"), pathlib.PurePath("c.txt"), pathlib.PurePath("README")])
    '3 files not read: .txt x2, no suffix x1'
    """
    counts = collections.Counter(path.suffix.lower() or "no suffix" for path in paths)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    kinds = ", ".join(f"{kind} x{count:,}" for kind, count in ranked)
    return f"{counts.total():,} files not read: {kinds}" if counts else ""


def _walk(
    folder: pathlib.Path,
    *,
    root: pathlib.Path,
    above: Sequence[pathlib.Path],
    found: list[pathlib.Path],
    links: _Links,
) -> None:
    with os.scandir(folder) as entries:
        named = sorted(entries, key=lambda entry: entry.name)
    for entry in named:
        path = folder / entry.name
        if entry.name.startswith(".") or entry.name == "__MACOSX" or not _followed(path, entry, root, above, links):
            continue
        if entry.is_dir() and not _is_unfinished(path):
            inner = (*above, pathlib.Path(os.path.realpath(path)))
            _walk(path, root=root, above=inner, found=found, links=links)
        elif entry.is_file():
            found.append(path)


def _is_unfinished(folder: pathlib.Path) -> bool:
    return folder.suffix == ".partial" and (folder / "plan.json").is_file()


def _followed(
    path: pathlib.Path, entry: os.DirEntry[str], root: pathlib.Path, above: Sequence[pathlib.Path], links: _Links
) -> bool:
    """Tell whether to go on with an entry; of a link that is special, keep why."""
    if not entry.is_symlink():
        return True
    target = pathlib.Path(os.path.realpath(path))
    if not target.exists():
        links.broken.append(path)
    elif target in above or target in root.parents:
        links.circular.append(path)
    else:
        if target != root and root not in target.parents and not _inside_linked(path, root, above):
            links.outside.append(path)
        return True
    return False


def _inside_linked(path: pathlib.Path, root: pathlib.Path, above: Sequence[pathlib.Path]) -> bool:
    """Tell whether a link lies in a folder outside the root, and leads to something inside that folder."""
    outside = next((folder for folder in above if folder != root and root not in folder.parents), None)
    return outside is not None and outside in pathlib.Path(os.path.realpath(path)).parents


def _shown(paths: Sequence[pathlib.Path], folder: pathlib.Path) -> str:
    named = ", ".join(f"{path.relative_to(folder)} -> {os.readlink(path)}" for path in paths[:_SHOWN])
    return f"{named} and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else named
