"""Every row checked: what a source gave is either usable, with a class name, or bad, with a reason."""

import dataclasses
import hashlib
import itertools
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from apps.sentiment import readers
from apps.sentiment.readers import sources
from shared import errors, files
from shared.sources import cells, kept, quarantine

_SHOWN = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Batch:
    """What one source gave.

    Attributes:
        name: The source.
        sha256: Of its file, or of its sorted rows where it is a folder.
        notes: On how it was read.
        items: Usable rows in file order; ``row.label`` is a label until ``name_classes`` puts the class name there.
        bad: The other rows.
        columns: Of each file that is a table, what its columns are, in words.
        label_columns: Of each file that is a table, the column of labels.
    """

    name: str
    sha256: str
    notes: tuple[str, ...]
    items: list[readers.Item]
    bad: list[quarantine.BadRow]
    columns: Mapping[str, Mapping[str, str]]
    label_columns: Mapping[str, str]


def read_all(specs: Sequence[str], *, options: readers.Options, data_format: str) -> list[Batch]:
    """Read sources whole and check each row, but for what its label means; no two files get one name.

    Raises:
        errors.InputError: A source cannot be read, or two are the same.
    """
    names = sources.distinct_names(specs)
    folders = sum(sources.holds_files(spec) for spec in specs)
    return [
        _read(spec, options=options, data_format=data_format, name=name, prefixed=folders > 1)
        for spec, name in zip(specs, names, strict=True)
    ]


def _read(spec: str, *, options: readers.Options, data_format: str, name: str, prefixed: bool) -> Batch:
    items: list[readers.Item] = []
    bad: list[quarantine.BadRow] = []
    with sources.opened(spec, options=options, data_format=data_format, name=name, prefixed=prefixed) as source:
        for item in source.items:
            fault = problem(item.row, labelled=options.labelled)
            if fault:
                bad.append(bad_row(item, fault))
            else:
                items.append(item if item.row.text else item._replace(row=item.row._replace(text="")))
    columns = {file: dict(found.roles) for file, found in source.columns.items()}
    parts = {file: found.part for file, found in source.columns.items() if found.part is not None}
    items, without = _parted(items, parts, columns)
    return Batch(
        name=source.name,
        sha256=source.sha256 or _fingerprint(items),
        notes=source.notes,
        items=items,
        bad=[*bad, *without],
        columns=columns,
        label_columns={file: found.label or "" for file, found in source.columns.items()},
    )


def problem(row: readers.Row, *, labelled: bool) -> str:
    """Say why a row cannot be used; nothing for a row that can. Without labels a missing text is one to count.

    >>> problem(readers.Row(7, "  ", "1"), labelled=True), problem(readers.Row(7, "NA", "1"), labelled=True)
    ('empty text', '')
    """
    if row.problem:
        return row.problem
    if labelled and (not row.text or row.text.isspace()):
        return "empty text"
    if labelled and cells.is_nothing(row.label):
        return "missing label"
    return encoding_problem(row.text or "")


def encoding_problem(text: str) -> str:
    """Say where a text holds no Unicode character: an undecodable byte, or half of a surrogate pair."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        code = ord(text[error.start])
        what = f"byte 0x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"lone surrogate U+{code:04X}"
        return f"not valid UTF-8: {what} at character {error.start + 1}"
    return ""


def settle(bad: Sequence[quarantine.BadRow], *, kept: int, skip_bad: bool, path: pathlib.Path | None) -> None:
    """Refuse bad rows with one message, or write them to the quarantine file.

    Raises:
        errors.InputError: There are bad rows and ``skip_bad`` is false, or nothing else is left.
    """
    if bad and not (skip_bad and kept):
        shown = "; ".join(f"{fault.file}, row {fault.row}: {fault.reason}" for fault in bad[:_SHOWN])
        more = f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
        way_out = " --skip-bad sets such rows aside." if kept else " No row is left to use."
        mends = advice(*(fault.reason for fault in bad))
        raise errors.InputError(
            f"{len(bad)} of {len(bad) + kept} rows cannot be used.{way_out} Expected in each row a text "
            f"in UTF-8 and a known label{mends}. Received: {shown}{more}"
        )
    if not kept:
        raise errors.InputError("Expected at least one row with a text. Received: none")
    if bad and path is not None:
        with quarantine.opened() as aside:
            for fault in bad:
                aside.add(fault)
            aside.write(path)


def bad_row(item: readers.Item, reason: str) -> quarantine.BadRow:
    """Return a row with the reason why it cannot be used."""
    return quarantine.BadRow(item.file, item.row.number, reason, item.row.text or "")


# What mends rows of a kind.
_MENDS = {
    "not valid UTF-8": "iconv -f cp1252 -t utf-8 OLD > NEW makes UTF-8 of what Windows wrote",
    "a quotation mark": "a quotation mark inside a quoted cell is written twice",
    "unknown label": "--label-column names another column, --label-code says what labels mean",
}


def advice(*reasons: str) -> str:
    """Return what mends rows that cannot be used for these reasons, in parentheses."""
    said = [mend for kind, mend in _MENDS.items() if any(reason.startswith(kind) for reason in reasons)]
    return f" ({'; '.join(said)})" if said else ""


def _parted(
    items: list[readers.Item], parts: Mapping[str, str], columns: dict[str, dict[str, str]]
) -> tuple[list[readers.Item], list[quarantine.BadRow]]:
    """Take the official part from a column of parts, where its cells name some; say so in ``columns``.

    Returns:
        The items, and the rows whose cell names no part though those of others do.
    """
    named = {item.file for item in items if item.file in parts and item.row.part.strip().casefold() in readers.PARTS}
    for file, column in parts.items():
        if file not in named:
            columns[file][column] = "not read: it names no train, dev or test part"
    kept, bad = [], []
    for item in items:
        cell = "" if cells.is_nothing(item.row.part) else item.row.part.strip().casefold()
        if item.file not in named:
            kept.append(item)
        elif not cell or cell in readers.PARTS:
            kept.append(item._replace(part=readers.PARTS.get(cell, "")))
        else:
            bad.append(
                bad_row(item, f"column {parts[item.file]!r} names no train, dev or test part: {item.row.part!r}")
            )
    return kept, bad


def _fingerprint(items: Sequence[readers.Item]) -> str:
    """Return the SHA-256 of all that training reads of rows, whatever their order."""
    rows = sorted(
        json.dumps([item.row.label, item.row.text, item.row.source, item.part, item.film]).encode() for item in items
    )
    return hashlib.sha256(b"\n".join(rows)).hexdigest()


def iterate_texts(  # noqa: PLR0913
    paths: Sequence[str],
    *,
    text_column: str | None = None,
    follow_links: bool = False,
    chunk_rows: int = 10_000,
    data_format: str = "auto",
    set_aside: Callable[[quarantine.BadRow], None] | None = None,
    note: Callable[[str], None] = lambda _note: None,
    keep: Sequence[str] = (),
) -> Iterator[pd.DataFrame]:
    """Stream texts of any length of file in bounded memory, for ``predict``.

    Args:
        paths: Files, folders or archives.
        text_column: Column of the texts, where it is not recognised.
        follow_links: Whether links may lead out of a folder.
        chunk_rows: Most rows of a frame.
        data_format: One of ``formats.FORMATS``.
        set_aside: Takes the rows that cannot be read; without it the first one is an error.
        note: Takes notes on how files are read, and which are not.
        keep: Columns of tables that are handed on; see ``shared.sources.kept``.

    Yields:
        Frames of at most ``chunk_rows`` rows with columns file (str, its path as given, or below the folder or archive
        that was given), row (int64, from 1), text (str) and the columns that are kept.
        Empty texts are kept, so that every readable row gets a prediction.

    Raises:
        errors.InputError: A row cannot be read; its file and number are named. Or two paths are the same, or a column
            that is kept is not in each table.
    """
    options = readers.Options(text_column=text_column, labelled=False, follow_links=follow_links, keep=keep)
    sources.distinct_names(paths)  # refuses a file that would be read twice
    tables = _kept_of_tables(paths, options, data_format) if keep else {}
    names = next(iter(tables.values()), ())
    for path in paths:
        with sources.opened(path, options=options, data_format=data_format, name=path, prefixed=True) as source:
            for each in source.notes:
                note(each)
            texts = _streamed(source.items, set_aside)
            while rows := list(itertools.islice(texts, chunk_rows)):
                chunk = pd.DataFrame([row[:3] for row in rows], columns=["file", "row", "text"])
                held = [dict(zip(tables[row[0]], row[3], strict=True)) for row in rows] if names else []
                yield kept.beside(chunk, names, [[each[name] for each in held] for name in names])


def _kept_of_tables(paths: Sequence[str], options: readers.Options, data_format: str) -> dict[str, tuple[str, ...]]:
    """Return the columns that are kept of each table, before any of them is read."""
    found: dict[str, tuple[str, ...]] = {}
    for path in paths:
        with sources.opened(path, options=options, data_format=data_format, name=path, prefixed=True) as source:
            own = {files.printable(file): each.kept for file, each in source.columns.items()}
        kept.in_all(found | own if own else {}, where=path)
        found |= own
    return found


def _streamed(
    items: Iterator[readers.Item], set_aside: Callable[[quarantine.BadRow], None] | None
) -> Iterator[tuple[str, int, str, tuple[Any, ...]]]:
    for item in items:
        text = item.row.text or ""
        fault = item.row.problem or encoding_problem(text)
        if not fault:
            yield files.printable(item.file), item.row.number, text, item.row.kept
        elif set_aside is not None:
            set_aside(bad_row(item, fault))
        else:
            raise errors.InputError(
                f"{item.file}, row {item.row.number}: expected a row that holds a text in UTF-8"
                f"{advice(fault)}. Received: {fault}: {text[:80]!r}. --skip-bad sets such rows aside."
            )
