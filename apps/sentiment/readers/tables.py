"""Delimited tables (csv, tsv) read row by row in bounded memory.

The same readers serve ``train``, which keeps all rows, and ``predict``, which streams millions. A row that
cannot be used is yielded with its problem: the caller decides whether that is an error or goes to quarantine.
"""

import collections
import io
import re
from collections.abc import Iterator, Sequence

from apps.sentiment.readers import labels, reading
from shared import errors
from shared.sources import delimited as records

DELIMITERS = "\t,;|"
_SAMPLE_BYTES = 1 << 20
# A column of no more values than this, each of which repeats, is known by its values; another by their shape.
_FEW_VALUES = 20


def has_known_header(head: bytes) -> bool:
    """Tell whether a file of unknown suffix begins with the header of a csv or tsv that has a text column."""
    line = reading.first_line(head)
    fields = {reading.plain_name(field) for field in line.split(records.delimiter_of(line, among=DELIMITERS))}
    return len(fields) > 1 and bool(fields & reading.TEXT_COLUMNS)


def delimited(name: str, opener: reading.Opener, options: reading.Options, *, tab: bool) -> reading.Table:
    """Read csv or tsv, with or without a header."""
    with opener() as stream:
        head = stream.read(_SAMPLE_BYTES)
    encoding = records.encoding_of(head)
    line = reading.first_line(head)
    delimiter = "\t" if tab else records.delimiter_of(line, among=DELIMITERS)
    quoted = delimiter != "\t" or not _quotes_are_text(opener, encoding, whole_lines="\t" in line)
    sample = _sample(head, encoding, delimiter, quoted=quoted)
    if not sample or sample[0].problem:
        raise errors.InputError(
            f"{name}: expected a header or a first row. Received: {line[:80]!r}, where a quotation mark is not closed"
        )
    header, skipped, notes = _settle_header(sample[0].fields, options)
    columns = reading.choose_columns(name, header, options)
    if not quoted:
        notes = (*notes, "quotation marks are text: some are not closed")
    usual = _Usual([record.fields for record in sample[skipped:]], width=len(header), text=header.index(columns.text))

    def generate() -> Iterator[reading.Row]:
        lines = records.text_lines(opener, encoding=encoding, errors="surrogateescape")
        found = records.records(lines, delimiter=delimiter, quoted=quoted, is_row=usual.is_row)
        yield from _rows(found, header, columns, delimiter=delimiter, skipped=skipped)

    return reading.Table(generate(), columns, notes)


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


def _sample(head: bytes, encoding: str, delimiter: str, *, quoted: bool) -> list[records.Record]:
    """Return the records of the beginning; the last one may be cut off and is left out where that can be."""
    lines = io.StringIO(head.decode(encoding, errors="replace"), newline="")
    found = list(records.records(lines, delimiter=delimiter, quoted=quoted, is_row=lambda _: False))
    if len(head) < _SAMPLE_BYTES:
        return [found[0], *(record for record in found[1:] if not record.problem)] if found else found
    return [record for record in found[:-1] if not record.problem]


def _settle_header(fields: list[str], options: reading.Options) -> tuple[list[str], int, tuple[str, ...]]:
    """Return column names, records to skip, and notes; without a header the columns are 1, 2, ..."""
    numbers = [str(number) for number in range(1, len(fields) + 1)]
    asked = [column for column in (options.text_column, options.label_column) if column is not None]
    # Some, not all: a first row of data may hold a label that is also the number of a column.
    if set(asked) <= set(numbers) and not set(asked) <= set(fields):
        return numbers, 0, ("the file is read without a header: columns are numbered",)
    usual = reading.TEXT_COLUMNS | reading.CLASS_COLUMNS | reading.RATING_COLUMNS
    known = {reading.plain_name(field) for field in fields} & usual
    labelled = [field for field in fields if labels.recognised(field)]
    if len(fields) == 2 and not known and not asked and len(labelled) == 1:
        names = ["label", "text"] if labels.recognised(fields[0]) else ["text", "label"]
        return names, 0, ("the first line is no header: it begins with data",)
    return fields, 1, ()


def _quotes_are_text(opener: reading.Opener, encoding: str, *, whole_lines: bool) -> bool:
    """Tell whether quotation marks are text in all of a file: some are not closed, and all lines are rows.

    Args:
        opener: Opens the file.
        encoding: Its encoding.
        whole_lines: Whether rows have several columns, so that a line can be seen to be a row.
    """
    # In UTF-8 no byte of a longer character is a tab, a mark or a line end: decoding is for others only.
    quick = "latin-1" if encoding == records.UTF8 else encoding
    lines = records.text_lines(opener, encoding=quick, errors="replace")
    if not whole_lines:
        kinds = collections.Counter(
            "open" if record.problem else "long" if record.lines > 1 else ""
            for record in records.records(lines, delimiter="\t")
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
    found: Iterator[records.Record],
    header: Sequence[str],
    columns: reading.Columns,
    *,
    delimiter: str,
    skipped: int,
) -> Iterator[reading.Row]:
    """Yield one row a record; a record may span lines, and is numbered by its first."""
    text, label, source, part = (
        None if column is None else header.index(column)
        for column in (columns.text, columns.label, columns.source, columns.part)
    )
    width = len(header)
    for number, (line, _, fields, problem) in enumerate(found):
        if number < skipped:
            continue
        if not problem and len(fields) != width:
            problem = f"{len(fields)} fields instead of {width}"
        if problem:
            yield reading.Row(line, delimiter.join(fields)[:500], None, problem=problem)
            continue
        yield reading.Row(
            line,
            fields[text or 0],
            None if label is None else fields[label],
            "" if source is None else fields[source],
            "",
            "" if part is None else fields[part],
        )
