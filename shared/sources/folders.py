"""The files of a folder, or of a zip or tar archive without unpacking it, plain or gzipped.

Every file is listed, whatever leads to it, or counted in a note.
"""

import collections
import contextlib
import functools
import gzip
import io
import lzma
import os
import pathlib
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, BinaryIO, NamedTuple, cast

from shared import errors
from shared.sources import delimited, unpacking

_SHOWN = 3
# Folders of labels that lie beside the folders of their images.
_OF_LABELS = ("annotations", "labels")


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


def outside(source: pathlib.Path, named: Iterable[pathlib.Path], *, allow_outside: bool = False) -> tuple[str, ...]:
    """Refuse files that the labels of a source name outside of it; what is read could be anybody's.

    A source is its folder; where one file of labels is named, or a folder ``annotations`` or ``labels``, also the
    folder above, in which images lie beside their labels.

    Args:
        source: The folder or file that ``--data`` names.
        named: The files to read; links are the matter of ``listing``.
        allow_outside: Whether to read what lies outside, too.

    Returns:
        A note on what lies outside, or nothing.

    Raises:
        errors.InputError: Something lies outside, and ``allow_outside`` is not set.
    """
    root = _root(source)
    absolute = (pathlib.Path(os.path.abspath(path)) for path in named)
    found = sorted({path for path in absolute if root not in path.parents})
    if not found:
        return ()
    shown = ", ".join(map(str, found[:_SHOWN]))
    shown += f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    if not allow_outside:
        raise errors.InputError(
            f"{source}: expected images that lie inside the folder (--allow-outside reads the others, too). "
            f"Received: {shown}"
        )
    return (f"images read from outside the folder: {shown}",)


def _root(source: pathlib.Path) -> pathlib.Path:
    path = pathlib.Path(os.path.abspath(source))
    # BDD100K keeps labels/det_20/det_train.json beside images/.
    above = (path, *path.parents)[: 1 if source.is_dir() else 3]
    beside = next((each.parent for each in above if each.name in _OF_LABELS), None)
    return beside or (path if source.is_dir() else path.parent.parent)


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


class Entry(NamedTuple):
    """A file: its path within the folder or archive, how to open it, decompressed, and where in truth it lies.

    Attributes:
        real: The path of a file, links resolved; "" in an archive.
    """

    name: str
    opener: delimited.Opener
    real: str = ""

    @property
    def path(self) -> pathlib.PurePosixPath:
        """The path, to take apart."""
        return pathlib.PurePosixPath(self.name)

    @property
    def suffix(self) -> str:
        """The suffix in lower case, without ``.gz``."""
        return pathlib.PurePosixPath(self.name.lower().removesuffix(".gz")).suffix


class Opened(NamedTuple):
    """The files at a path, and what a reader should know of links; those of an archive can be opened while it is."""

    entries: list[Entry]
    notes: tuple[str, ...] = ()


@contextlib.contextmanager
def entries(path: pathlib.Path, *, follow_links: bool = False, name: str) -> Iterator[Opened]:
    """List the files at a path, but for hidden ones.

    Args:
        path: A file, folder or archive.
        follow_links: Whether to follow links that lead out of a folder.
        name: What to call a single file.

    Raises:
        errors.InputError: A link leads out of the folder and is not to be followed, or an archive holds links: a whole
            part of a data set may lie behind one.
    """
    with contextlib.ExitStack() as stack:
        if path.is_dir():
            found = listing(path, follow_links=follow_links)
            ordered = sorted(found.files, key=lambda file: natural(file.relative_to(path).as_posix()))
            yield Opened(
                [
                    Entry(file.relative_to(path).as_posix(), _plain_opener(file), os.path.realpath(file))
                    for file in ordered
                ],
                tuple(f"{path.name}: {note}" for note in found.notes),
            )
        elif _is_zip(path):
            archive = stack.enter_context(zipfile.ZipFile(path))
            unpacking.check_zip(archive, where=str(path))
            infos = [each for each in archive.infolist() if not each.filename.endswith("/")]
            if not all(info.filename for info in infos):
                raise errors.InputError(f"{path}: expected an archive whose files have names. Received: one without")
            infos = [info for info in infos if not _is_hidden(info.filename)]
            names = [info.filename for info in infos]
            _refuse_links(path, [info.filename for info in infos if stat.S_ISLNK(info.external_attr >> 16)])
            _refuse_doubles(path, names)
            yield Opened([Entry(each, _unpacking(functools.partial(archive.open, each), each)) for each in names])
        elif _is_tar(path):
            tar = stack.enter_context(tarfile.open(path))
            # One after another: of a packed tar, the next is not looked for behind one that is too large.
            unpacking.check((member.size for member in tar), packed=path.stat().st_size, where=str(path))
            members = [member for member in tar.getmembers() if not member.isdir() and not _is_hidden(member.name)]
            _refuse_links(path, [member.name for member in members if member.issym()])
            # A hard link is read as what it leads to.
            kept = [member for member in members if member.isfile() or member.islnk()]
            _refuse_doubles(path, [member.name for member in kept])
            yield Opened(
                [Entry(each.name, _unpacking(functools.partial(tar.extractfile, each), each.name)) for each in kept]
            )
        else:
            yield Opened([Entry(name, _plain_opener(path))])


def refuse_twice(folder: pathlib.Path, read: Iterable[Entry]) -> None:
    """Refuse files to which two names of a folder lead: their texts would count twice, and be of two parts.

    Raises:
        errors.InputError: It names both.
    """
    seen: dict[str, str] = {}
    for entry in read:
        if entry.real and seen.setdefault(entry.real, entry.name) != entry.name:
            raise errors.InputError(
                f"{folder}: expected each file once. Received: {entry.name}, which is {seen[entry.real]}: a link"
            )


def is_archive(path: pathlib.Path) -> bool:
    """Tell whether a file is a zip or tar archive that is read as a folder."""
    return _is_zip(path) or _is_tar(path)


def _is_zip(path: pathlib.Path) -> bool:
    return zipfile.is_zipfile(path) and not path.suffix.lower().startswith(".xls")


def _is_tar(path: pathlib.Path) -> bool:
    """Tell whether a tar begins there; one that is packed, and damaged at its beginning, is read as a packed file."""
    try:
        return tarfile.is_tarfile(path)
    except (EOFError, zlib.error, lzma.LZMAError, OSError):
        return False


def _is_hidden(name: str) -> bool:
    return any(
        (part.startswith(".") and part not in (".", "..")) or part == "__MACOSX"
        for part in pathlib.PurePosixPath(name).parts
    )


def _refuse_links(path: pathlib.Path, names: list[str]) -> None:
    if names:
        raise errors.InputError(
            f"{path}: expected an archive of files. Received: {len(names)} symbolic links, the first {names[0]}; "
            "unpack the archive and give its folder"
        )


def _refuse_doubles(path: pathlib.Path, names: list[str]) -> None:
    double = [name for name, count in collections.Counter(names).items() if count > 1]
    if double:
        raise errors.InputError(
            f"{path}: expected an archive that holds each name once. Received: {double[0]} and more of the same name"
        )


def _plain_opener(path: pathlib.Path) -> delimited.Opener:
    def opener() -> BinaryIO:
        with path.open("rb") as stream:
            packed = stream.read(2) == b"\x1f\x8b"
        if not packed:
            return path.open("rb")
        return unpacking.bounded(gzip.open(path, "rb"), packed=path.stat().st_size, where=str(path))

    return opener


def _unpacking(opener: Callable[[], IO[bytes] | None], name: str) -> delimited.Opener:
    """Read a member of an archive into memory: archives cannot be read at two places at once."""

    def unpacked() -> BinaryIO:
        with cast(BinaryIO, opener()) as stream:
            content = stream.read()
        if not content.startswith(b"\x1f\x8b"):
            return io.BytesIO(content)
        with unpacking.bounded(gzip.open(io.BytesIO(content)), packed=len(content), where=name) as stream:
            return io.BytesIO(stream.read())

    return unpacked


def natural(name: str) -> list[tuple[int, str]]:
    """Sort key that puts ``9_1.txt`` before ``10_1.txt``: of two numbers the one with more digits is larger.

    >>> sorted(["10", "x²", "9", "007"], key=natural)
    ['007', '9', '10', 'x²']
    """
    pieces = re.split(r"(\d+)", name)
    return [(len(piece.lstrip("0")), piece.lstrip("0")) if piece.isdecimal() else (-1, piece) for piece in pieces]
