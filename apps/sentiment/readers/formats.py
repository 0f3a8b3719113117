"""One file of a source, read by what its content is: Parquet, JSON lines, a delimited table, or a text a line."""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from apps.sentiment.readers import labels, reading, structured, tables
from shared import errors
from shared.sources import delimited, folders

MOVIE_REVIEWS = "movie-reviews"
FORMATS = ("auto", MOVIE_REVIEWS, "table", "lines", "folders")

_LABEL_FIRST = re.compile(r"\s*(?P<label>\S+)(?:\s+(?P<text>.*))?", re.DOTALL)
_LABEL_LAST = re.compile(r"(?P<text>.*)\t\s*(?P<label>\S+)\s*", re.DOTALL)
_LABELLED_SHARE = 0.9


class Files(NamedTuple):
    """What files give: rows, notes, and the columns of each that is a table."""

    items: Iterator[reading.Item]
    notes: tuple[str, ...]
    columns: Mapping[str, reading.Columns] = {}


def read(entry: folders.Entry, options: reading.Options, data_format: str, *, beside: str) -> Files:
    """Read one file; ``beside`` is the folder that it, or its source, stands in.

    Raises:
        errors.InputError: It holds nothing that can be read as texts.
    """
    table = _table(entry, options, data_format)
    part = reading.part_of(entry.name, beside=beside)
    return Files(
        items=(reading.Item(entry.name, row, part) for row in table.rows),
        notes=tuple(f"{entry.name}: {note}" for note in table.notes),
        columns={} if table.columns is None else {entry.name: table.columns},
    )


def _table(entry: folders.Entry, options: reading.Options, data_format: str) -> reading.Table:
    """Choose a reader by content first, then by name."""
    if data_format == "folders":
        raise errors.InputError(f"{entry.name}: expected a folder with one folder per class. Received: a file")
    with entry.opener() as stream:
        head = stream.read(reading.HEAD_BYTES)
    _refuse_unreadable(entry, head)
    if data_format == "lines":
        return _lines(entry.name, entry.opener, options)
    if head.startswith(b"PAR1"):
        return structured.parquet(entry.name, entry.opener, options)
    if entry.suffix not in (".csv", ".tsv") and _is_json(entry, head):
        return structured.json_lines(entry.name, entry.opener, options)
    if data_format in ("table", MOVIE_REVIEWS) or entry.suffix in (".csv", ".tsv") or tables.has_known_header(head):
        return tables.delimited(entry.name, entry.opener, options, tab=entry.suffix == ".tsv")
    return _lines(entry.name, entry.opener, options)


def _refuse_unreadable(entry: folders.Entry, head: bytes) -> None:
    expected = f"{entry.name}: expected csv, tsv, jsonl, parquet or text"
    if not head.strip():
        raise errors.InputError(f"{expected}. Received: an empty file")
    if entry.suffix in (".xls", ".xlsx", ".ods"):
        raise errors.InputError(f"{expected}. Received: a spreadsheet; save the sheet as CSV (UTF-8)")
    wide = delimited.encoding_of(head) != delimited.UTF8
    if not head.startswith(b"PAR1") and not wide and reading.is_binary(head):
        raise errors.InputError(f"{expected}. Received: a binary file")


def _is_json(entry: folders.Entry, head: bytes) -> bool:
    line = reading.first_line(head).strip()
    return entry.suffix in (".jsonl", ".ndjson", ".json") or line.startswith('{"')


def _lines(name: str, opener: reading.Opener, options: reading.Options) -> reading.Table:
    """Read ``<label> <text>``, ``<text> TAB <label>`` or, where labels are not asked for, a text a line."""
    encoding, notes = _line_encoding(opener)
    with reading.text_stream(opener, encoding=encoding, newline="\n") as stream:
        sample = [line for line in stream.read(reading.HEAD_BYTES).split("\n") if line.strip()]
    pattern = next((pattern for pattern in (_LABEL_FIRST, _LABEL_LAST) if _mostly(sample, pattern)), None)
    if pattern is None and options.labelled:
        raise errors.InputError(
            f"{name}: expected a table with a header or lines of `<label> <text>`. Received: {sample[0][:80]!r}"
        )
    if pattern is not None and not options.labelled:
        notes = (
            *notes,
            f"lines {'begin' if pattern is _LABEL_FIRST else 'end'} with a label, which is no part of a text",
        )

    def generate() -> Iterator[reading.Row]:
        with reading.text_stream(opener, encoding=encoding, newline="\n") as stream:
            for number, line in enumerate(stream, start=1):
                if line.strip() or pattern is None:
                    yield _line_row(number, line.rstrip("\r\n"), pattern, labelled=options.labelled)

    return reading.Table(generate(), None, notes)


def _mostly(sample: Sequence[str], pattern: re.Pattern[str]) -> bool:
    return sum(_split(line, pattern) is not None for line in sample) >= _LABELLED_SHARE * len(sample)


def _split(line: str, pattern: re.Pattern[str]) -> tuple[str, str] | None:
    """Return (label, text) where the line has a label beyond doubt."""
    match = pattern.fullmatch(line)
    if match is None or not labels.recognised(match["label"]):
        return None
    return match["label"], match["text"] or ""


def _line_row(number: int, line: str, pattern: re.Pattern[str] | None, *, labelled: bool) -> reading.Row:
    if pattern is None:
        return reading.Row(number, line, None)
    found = _split(line, pattern)
    if found is None:
        return reading.Row(number, line, None, problem="no label")
    # Every label of fastText stands before the text: one more is no part of it.
    text = re.sub(r"^(__label__\S+\s*)+", "", found[1])
    several = labelled and text != found[1]
    return reading.Row(number, text, found[0], problem="more than one label" if several else "")


def _line_encoding(opener: reading.Opener) -> tuple[str, tuple[str, ...]]:
    """Return UTF-8, or UTF-16 where the file says so, or else Latin-1 with a note."""
    with opener() as stream:
        encoding = delimited.encoding_of(stream.read(reading.HEAD_BYTES))
    try:
        with io.TextIOWrapper(opener(), encoding=encoding) as text:
            while text.read(1 << 20):
                pass
    except UnicodeDecodeError:
        return "latin-1", ("not valid UTF-8: read as Latin-1",)
    return encoding, ()
