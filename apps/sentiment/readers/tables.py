"""Delimited tables (csv, tsv), and lines of a text and its label, read row by row in bounded memory.

The same readers serve ``train``, which keeps all rows, and ``predict``, which streams millions. A row that
cannot be used is yielded with its problem: the caller decides whether that is an error or goes to quarantine.
"""

import collections
import io
import re
from collections.abc import Iterator, Sequence

from apps.sentiment import readers
from apps.sentiment.readers import labels
from shared import errors
from shared.sources import delimited

DELIMITERS = "\t,;|"
_SAMPLE_BYTES = 1 << 20
# A column of no more values than this, each of which repeats, is known by its values; another by their shape.
_FEW_VALUES = 20

_LABEL_FIRST = re.compile(r"\s*(?P<label>\S+)(?:\s+(?P<text>.*))?", re.DOTALL)
_LABEL_LAST = re.compile(r"(?P<text>.*)\t\s*(?P<label>\S+)\s*", re.DOTALL)
_LABELLED_SHARE = 0.9


def has_known_header(head: bytes) -> bool:
    """Tell whether a file of unknown suffix begins with the header of a csv or tsv that has a text column."""
    line = readers.first_line(head)
    fields = {readers.plain_name(field) for field in line.split(delimited.delimiter_of(line, among=DELIMITERS))}
    return len(fields) > 1 and bool(fields & readers.TEXT_COLUMNS)


def read_delimited(name: str, opener: readers.Opener, options: readers.Options, *, tab: bool) -> readers.Table:
    """Read csv or tsv, with or without a header."""
    with opener() as stream:
        head = stream.read(_SAMPLE_BYTES)
    encoding = delimited.encoding_of(head)
    line = readers.first_line(head)
    delimiter = "\t" if tab else delimited.delimiter_of(line, among=DELIMITERS)
    quoted = delimiter != "\t" or not _quotes_are_text(opener, encoding, whole_lines="\t" in line)
    sample = _sample(head, encoding, delimiter, quoted=quoted)
    if not sample or sample[0].problem:
        raise errors.InputError(
            f"{name}: expected a header or a first row. Received: {line[:80]!r}, where a quotation mark is not closed"
        )
    header, skipped, notes = _settle_header(sample[0].fields, options)
    columns = readers.choose_columns(name, header, options)
    if not quoted:
        notes = (*notes, "quotation marks are text: some are not closed")
    usual = _Usual([record.fields for record in sample[skipped:]], width=len(header), text=header.index(columns.text))

    def generate() -> Iterator[readers.Row]:
        lines = delimited.text_lines(opener, encoding=encoding, errors="surrogateescape")
        found = delimited.records(lines, delimiter=delimiter, quoted=quoted, is_row=usual.is_row)
        yield from _rows(found, header, columns, delimiter=delimiter, skipped=skipped)

    return readers.Table(generate(), columns, notes)


class _Usual:
    """What cells beside the text hold in a table: tells a row of it from a line of a text that has the same width."""

    def __init__(self, rows: Sequence[Sequence[str]], *, width: int, text: int) -> None:
        """Learn from rows that are read whole."""
        columns = list(zip(*(row for row in rows if len(row) == width), strict=True))
        self._known = {index: _known(cells) for index, cells in enumerate(columns) if index != text}

    def is_row(self, cells: Sequence[str]) -> bool:
        """Tell whether the cells of one line, quotation marks included, look like those of other rows."""
        bare = [cell.strip('"') for cell in cells]
        return all(bare[index] in known or _shape(bare[index]) in known for index, known in self._known.items())


def _known(cells: Sequence[str]) -> frozenset[str]:
    values = set(cells)
    few = len(values) <= min(_FEW_VALUES, len(cells) // 2)
    return frozenset(values if few else map(_shape, cells))


def _shape(cell: str) -> str:
    """Return a cell with every word as one letter and every number as one digit.

    >>> _shape("R12-b, 3"), _shape("stuff")
    ('a9-a, 9', 'a')
    """
    return re.sub(r"\d+", "9", re.sub(r"[^\W\d_]+", "a", cell))


def _sample(head: bytes, encoding: str, delimiter: str, *, quoted: bool) -> list[delimited.Record]:
    """Return the records of the beginning; the last one may be cut off and is left out where that can be."""
    lines = io.StringIO(head.decode(encoding, errors="replace"), newline="")
    found = list(delimited.records(lines, delimiter=delimiter, quoted=quoted, is_row=lambda _: False))
    if len(head) < _SAMPLE_BYTES:
        return [found[0], *(record for record in found[1:] if not record.problem)] if found else found
    return [record for record in found[:-1] if not record.problem]


def _settle_header(fields: list[str], options: readers.Options) -> tuple[list[str], int, tuple[str, ...]]:
    """Return column names, records to skip, and notes; without a header the columns are 1, 2, ..."""
    numbers = [str(number) for number in range(1, len(fields) + 1)]
    asked = [column for column in (options.text_column, options.label_column) if column is not None]
    # Some, not all: a first row of data may hold a label that is also the number of a column.
    if set(asked) <= set(numbers) and not set(asked) <= set(fields):
        return numbers, 0, ("the file is read without a header: columns are numbered",)
    usual = readers.TEXT_COLUMNS | readers.CLASS_COLUMNS | readers.RATING_COLUMNS
    known = {readers.plain_name(field) for field in fields} & usual
    labelled = [field for field in fields if labels.recognised(field)]
    if len(fields) == 2 and not known and not asked and len(labelled) == 1:
        names = ["label", "text"] if labels.recognised(fields[0]) else ["text", "label"]
        return names, 0, ("the first line is no header: it begins with data",)
    return fields, 1, ()


def _quotes_are_text(opener: readers.Opener, encoding: str, *, whole_lines: bool) -> bool:
    """Tell whether quotation marks are text in all of a file: some are not closed, and all lines are rows.

    Args:
        opener: Opens the file.
        encoding: Its encoding.
        whole_lines: Whether rows have several columns, so that a line can be seen to be a row.
    """
    # In UTF-8 no byte of a longer character is a tab, a mark or a line end: decoding is for others only.
    quick = "latin-1" if encoding == delimited.UTF8 else encoding
    lines = delimited.text_lines(opener, encoding=quick, errors="replace")
    if not whole_lines:
        kinds = collections.Counter(
            "open" if record.problem else "long" if record.lines > 1 else ""
            for record in delimited.records(lines, delimiter="\t")
        )
        return kinds["open"] > 0 and not kinds["long"]
    width, unpaired = None, False
    for line in lines:
        bare = line.rstrip("\r\n")
        if not bare:
            continue
        width = bare.count("\t") if width is None else width
        if bare.count("\t") != width:
            return False
        if '"' in bare and not unpaired:
            unpaired = any(
                cell.count('"') % 2 or cell.startswith('"') != cell.endswith('"') for cell in bare.split("\t")
            )
    return unpaired


def _rows(
    found: Iterator[delimited.Record],
    header: Sequence[str],
    columns: readers.Columns,
    *,
    delimiter: str,
    skipped: int,
) -> Iterator[readers.Row]:
    """Yield one row a record; a record may span lines, and is numbered by its first."""
    text, label, source, part = (
        None if column is None else header.index(column)
        for column in (columns.text, columns.label, columns.source, columns.part)
    )
    keep = [header.index(name) for name in columns.kept]
    width = len(header)
    for number, (line, _, fields, problem) in enumerate(found):
        if number < skipped:
            continue
        if not problem and len(fields) != width:
            problem = f"{len(fields)} fields instead of {width}"
        if problem:
            yield readers.Row(line, delimiter.join(fields)[:500], None, problem=problem)
            continue
        yield readers.Row(
            line,
            fields[text or 0],
            None if label is None else fields[label],
            "" if source is None else fields[source],
            "",
            "" if part is None else fields[part],
            tuple(fields[index] for index in keep),
        )


def read_lines(name: str, opener: readers.Opener, options: readers.Options) -> readers.Table:
    """Read ``<label> <text>``, ``<text> TAB <label>`` or, where labels are not asked for, a text a line."""
    encoding, notes = _line_encoding(opener)
    with readers.text_stream(opener, encoding=encoding, newline="\n") as stream:
        sample = [line for line in stream.read(readers.HEAD_BYTES).split("\n") if line.strip()]
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

    def generate() -> Iterator[readers.Row]:
        with readers.text_stream(opener, encoding=encoding, newline="\n") as stream:
            for number, line in enumerate(stream, start=1):
                if line.strip() or pattern is None:
                    yield _line_row(number, line.rstrip("\r\n"), pattern, labelled=options.labelled)

    return readers.Table(generate(), None, notes)


def _mostly(sample: Sequence[str], pattern: re.Pattern[str]) -> bool:
    return sum(_split(line, pattern) is not None for line in sample) >= _LABELLED_SHARE * len(sample)


def _split(line: str, pattern: re.Pattern[str]) -> tuple[str, str] | None:
    """Return (label, text) where the line has a label beyond doubt."""
    match = pattern.fullmatch(line)
    if match is None or not labels.recognised(match["label"]):
        return None
    return match["label"], match["text"] or ""


def _line_row(number: int, line: str, pattern: re.Pattern[str] | None, *, labelled: bool) -> readers.Row:
    if pattern is None:
        return readers.Row(number, line, None)
    found = _split(line, pattern)
    if found is None:
        return readers.Row(number, line, None, problem="no label")
    # Every label of fastText stands before the text: one more is no part of it.
    text = re.sub(r"^(__label__\S+\s*)+", "", found[1])
    several = labelled and text != found[1]
    return readers.Row(number, text, found[0], problem="more than one label" if several else "")


def _line_encoding(opener: readers.Opener) -> tuple[str, tuple[str, ...]]:
    """Return UTF-8, or UTF-16 where the file says so, or else Latin-1 with a note."""
    with opener() as stream:
        encoding = delimited.encoding_of(stream.read(readers.HEAD_BYTES))
    try:
        with io.TextIOWrapper(opener(), encoding=encoding) as text:
            while text.read(1 << 20):
                pass
    except UnicodeDecodeError:
        return "latin-1", ("not valid UTF-8: read as Latin-1",)
    return encoding, ()
