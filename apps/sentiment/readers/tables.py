"""Tables read row by row in bounded memory: csv, tsv, JSON lines, parquet.

The same readers serve ``train``, which keeps all rows, and ``predict``, which streams millions. A row that
cannot be used is yielded with its problem: the caller decides whether that is an error or goes to quarantine.
"""

import csv
import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import pyarrow
import pyarrow.parquet

from apps.sentiment.readers import labels, reading
from shared import errors

_SAMPLE_BYTES = 1 << 20
_BATCH_ROWS = 4096


def has_known_header(head: bytes) -> bool:
    """Tell whether a file of unknown suffix begins with the header of a csv or tsv that has a text column."""
    line = reading.first_line(head)
    fields = {field.strip(' "').casefold() for field in line.split(delimiter_of(line))}
    return len(fields) > 1 and bool(fields & set(reading.TEXT_COLUMNS))


def delimiter_of(line: str) -> str:
    """Return the likeliest delimiter of a line.

    >>> delimiter_of("text;label")
    ';'
    """
    return max("\t,;|", key=line.count)


def delimited(
    name: str, opener: reading.Opener, options: reading.Options, *, tab: bool
) -> tuple[Iterator[reading.Row], tuple[str, ...]]:
    """Read csv or tsv, with or without a header.

    Returns:
        The rows, read lazily, and notes on how the file is read.
    """
    with opener() as stream:
        head = stream.read(_SAMPLE_BYTES)
    line = reading.first_line(head)
    delimiter = "\t" if tab else delimiter_of(line)
    quoting: Literal[0, 3] = csv.QUOTE_NONE if delimiter == "\t" and _quotes_are_text(head) else csv.QUOTE_MINIMAL
    header = next(csv.reader([line], delimiter=delimiter, quoting=quoting), [])
    header, first, notes = _settle_header(header, options)
    text, label = reading.choose_columns(name, header, options)
    source = header.index("source") if "source" in header and "source" not in (text, label) else None
    columns = (header.index(text), None if label is None else header.index(label), source)
    encoding = reading.byte_order_encoding(head)

    def generate() -> Iterator[reading.Row]:
        csv.field_size_limit(sys.maxsize)
        with reading.text_stream(opener, encoding=encoding, newline="") as stream:
            reader = csv.reader(stream, delimiter=delimiter, quoting=quoting)
            yield from _csv_rows(reader, width=len(header), columns=columns, first=first)

    return generate(), notes


def _settle_header(fields: list[str], options: reading.Options) -> tuple[list[str], int, tuple[str, ...]]:
    """Return column names, records to skip, and notes; without a header the columns are 1, 2, ..."""
    numbers = [str(number) for number in range(1, len(fields) + 1)]
    asked = [column for column in (options.text_column, options.label_column) if column is not None]
    # Some, not all: a first row of data may hold a label that is also the number of a column.
    if set(asked) <= set(numbers) and not set(asked) <= set(fields):
        return numbers, 0, ("the file is read without a header: columns are numbered",)
    known = {field.strip().casefold() for field in fields} & {
        *reading.TEXT_COLUMNS,
        *reading.CLASS_COLUMNS,
        *reading.RATING_COLUMNS,
    }
    labelled = [field for field in fields if labels.recognised(field)]
    if len(fields) == 2 and not known and not asked and len(labelled) == 1:
        names = ["label", "text"] if labels.recognised(fields[0]) else ["text", "label"]
        return names, 0, ("the first line is no header: it begins with data",)
    return fields, 1, ()


def _quotes_are_text(head: bytes) -> bool:
    """Tell whether quotation marks in a tsv are text: all lines are whole, and some mark is not closed."""
    lines = head.decode("utf-8", errors="replace").splitlines()[:-1]
    width = lines[0].count("\t") if lines else 0
    fields = [field for line in lines for field in line.split("\t")]
    unpaired = any(field.count('"') % 2 or (field.startswith('"') != field.endswith('"')) for field in fields)
    return unpaired and all(line.count("\t") == width for line in lines if line)


def _csv_rows(
    reader: Any, *, width: int, columns: tuple[int, int | None, int | None], first: int
) -> Iterator[reading.Row]:
    """Yield one row a record; a record may span lines, and is numbered by its first."""
    text, label, source = columns
    begins = 1
    for record, fields in enumerate(reader):
        line, begins = begins, reader.line_num + 1
        if record < first or not fields:
            continue
        if len(fields) == width:
            yield reading.Row(
                line,
                fields[text],
                None if label is None else fields[label],
                "" if source is None else fields[source],
            )
        else:
            hint = (
                f", ending in line {reader.line_num}: a quotation mark may not be closed"
                if reader.line_num > line
                else ""
            )
            yield reading.Row(
                line, ",".join(fields)[:500], None, problem=f"{len(fields)} fields instead of {width}{hint}"
            )


def json_lines(name: str, opener: reading.Opener, options: reading.Options) -> Iterator[reading.Row]:
    """Read one JSON object a line; the first decides the columns."""
    columns: tuple[str, str | None] | None = None
    with reading.text_stream(opener, encoding="utf-8-sig", newline="\n") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            try:
                item = json.loads(line)
            except (json.JSONDecodeError, RecursionError):
                item = None
            if not isinstance(item, dict):
                yield reading.Row(number, line.strip()[:500], None, problem="not a JSON object")
                continue
            columns = columns or reading.choose_columns(name, list(item), options)
            yield _row_of_mapping(number, item, columns)


def parquet(name: str, opener: reading.Opener, options: reading.Options) -> Iterator[reading.Row]:
    """Read parquet in small batches of the needed columns."""
    try:
        with opener() as stream, pyarrow.parquet.ParquetFile(stream) as file:
            text, label = reading.choose_columns(name, file.schema_arrow.names, options)
            wanted = [column for column in file.schema_arrow.names if column in (text, label, "source")]
            number = 0
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=wanted):
                for item in batch.to_pylist():
                    number += 1
                    yield _row_of_mapping(number, item, (text, label))
    except (pyarrow.ArrowException, UnicodeDecodeError) as error:
        raise errors.InputError(f"{name}: expected a readable parquet file. Received: {error}") from None


def _row_of_mapping(number: int, item: Mapping[str, Any], columns: tuple[str, str | None]) -> reading.Row:
    text, label = columns
    source = item.get("source", "") if "source" not in columns else ""
    if not isinstance(item.get(text), str | None):
        return reading.Row(number, str(item[text])[:500], None, problem=f"column {text!r} holds no text")
    return reading.Row(number, item.get(text), None if label is None else _plain(item.get(label)), _plain(source) or "")


def _plain(value: object) -> str | None:
    """Return a label of any type as text; true and false are 1 and 0."""
    if value is None or (isinstance(value, float) and value != value):
        return None
    return str(int(value)) if isinstance(value, bool) else str(value)
