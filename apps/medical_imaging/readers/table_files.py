"""Tables as cells of text: csv, tsv and Parquet, with the rows that do not fit."""

import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from apps.medical_imaging import readers
from shared import errors, files
from shared.sources import delimited, unpacking

_HEAD_BYTES = 1 << 12
# Where the names of columns are kept whose cells are no text or numbers, with what they are.
STRANGE = "strange"


def read(path: pathlib.Path) -> tuple[pd.DataFrame, list[readers.Entry]]:
    """Read csv, tsv or parquet as text, empty where a cell is missing; its index is the line or place, from 1.

    Returns:
        The table, without columns that have no name; and the rows that do not fit it, as entries with the reason: they
        have more or fewer fields than the header, or a quotation mark that is not closed. Of a Parquet file,
        ``attrs["strange"]`` names the columns of bytes, lists and so on, and their types.

    Raises:
        errors.InputError: The table cannot be read, or no row can be used.
    """
    try:
        table, broken = (_parquet(path), []) if path.suffix.lower() == ".parquet" else _text(path)
    except errors.InputError:
        raise
    except (OSError, ValueError, pa.ArrowException) as error:
        raise errors.InputError(f"{path}: expected a table in UTF-8 that can be read. Received: {error}") from None
    if not len(table):
        received = f"row {broken[0].row}: {broken[0].problem}" if broken else "none"
        raise errors.InputError(f"{path}: expected rows below a header. Received: {received}")
    return table, broken


def rows(table: pd.DataFrame) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield each row's line and its cells by column."""
    columns = [str(column) for column in table.columns]
    for line, row in zip(table.index.tolist(), table.itertuples(index=False, name=None), strict=True):
        yield line, dict(zip(columns, row, strict=True))


def header(path: pathlib.Path) -> list[str]:
    """Return the names of a table's columns; nothing where it cannot be read."""
    try:
        if path.suffix.lower() == ".parquet":
            return [str(name) for name in pyarrow.parquet.read_schema(path).names]
        with path.open("rb") as stream:
            encoding = delimited.encoding_of(stream.read(_HEAD_BYTES))
        lines = delimited.text_lines(lambda: path.open("rb"), encoding=encoding, errors="replace")
        first = next((line for line in lines if line.strip()), "")
        lines.close()  # type: ignore[attr-defined]
        found = next(delimited.records([first], delimiter=delimited.delimiter_of(first)), None)
        return [name.strip() for name in found.fields] if found and not found.problem else []
    except (OSError, ValueError, pa.ArrowException):
        return []


def _text(path: pathlib.Path) -> tuple[pd.DataFrame, list[readers.Entry]]:
    def opener() -> Any:
        return path.open("rb")

    with opener() as stream:
        encoding = delimited.encoding_of(stream.read(_HEAD_BYTES))
    delimited.check_encoding(opener, encoding=encoding, where=str(path))
    lines = list(delimited.text_lines(opener, encoding=encoding))
    delimiter = delimited.delimiter_of(next((line for line in lines if line.strip()), ""))
    found = delimited.records(lines, delimiter=delimiter)
    first = next(found, delimited.Record(1, 1, []))
    names = [name.strip() for name in first.fields]
    # Columns without a name are a numbering, or what delimiters at the end of each line make (NIH's boxes).
    named = [place for place, name in enumerate(names) if name]
    _check_header([names[place] for place in named], first.problem)
    cells, numbers, broken = [], [], []
    for record in found:
        fault = record.problem or _misfit(record.fields, width=len(names), named=named[-1] + 1)
        if fault:
            shown = readers.excerpt(lines[record.line - 1])
            broken.append(
                readers.Entry(name=shown, item=path, file=files.printable(path), row=record.line, problem=fault)
            )
        else:
            cells.append([record.fields[place] for place in named])
            numbers.append(record.line)
    table = pd.DataFrame(cells, columns=[names[place] for place in named], index=numbers, dtype=object)
    return table, broken


def _check_header(names: list[str], problem: str) -> None:
    if problem or not names:
        raise ValueError(problem or "no header")
    twice = next((name for number, name in enumerate(names) if name in names[:number]), None)
    if twice is not None:
        raise ValueError(f"a header that names the column {twice!r} twice")


def _misfit(row: list[str], *, width: int, named: int) -> str:
    """Say how a row differs from a header of ``width`` fields, the last with a name being number ``named``."""
    if len(row) >= named and not any(row[width:]):
        return ""
    return f"{len(row)} fields instead of {width}"


def _parquet(path: pathlib.Path) -> pd.DataFrame:
    with pyarrow.parquet.ParquetFile(path) as file:
        unpacking.check_parquet(file, packed=path.stat().st_size, where=str(path))
        read = file.read()
    names = [str(name) for name in read.column_names]
    _check_header(names, "")
    texts, strange = {}, {}
    for name, column in zip(names, read.columns, strict=True):
        try:
            texts[name] = _texts(column)
        except (ValueError, OverflowError, TypeError, pa.ArrowException):
            texts[name] = [""] * len(column)
            strange[name] = str(column.type)
    table = pd.DataFrame(texts, index=np.arange(1, read.num_rows + 1), dtype=object)
    table.attrs[STRANGE] = strange
    return table


def _texts(column: "pa.ChunkedArray[Any]") -> list[str]:
    """Return the cells of a column as a csv file would hold them.

    Raises:
        ValueError: They are bytes that are no text, lists, or the like.
    """
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_nested(kind):
        raise ValueError("nested")
    cells = column.to_pylist()
    if pa.types.is_floating(kind):
        known = [cell for cell in cells if cell is not None and cell == cell]
        # What was whole numbers, of which some are missing, is stored as floats.
        whole = all(float(cell).is_integer() for cell in known)
        cells = [None if cell != cell else int(cell) if whole and cell is not None else cell for cell in cells]
    return ["" if cell is None else cell.decode() if isinstance(cell, bytes) else str(cell) for cell in cells]


def chosen_findings(options: readers.Options, names: Sequence[str], *, where: str) -> tuple[str, ...]:
    """Return the findings to use: those the user named, or all.

    Raises:
        errors.InputError: The source has no such finding.
    """
    unknown = [name for name in options.label_columns if name not in names]
    if unknown:
        raise errors.InputError(
            f"{where}, --label-columns: expected findings out of {', '.join(names)}. Received: {unknown[0]!r}"
        )
    return options.label_columns or tuple(names)


def require_columns(table: pd.DataFrame, columns: Sequence[str], *, where: str) -> None:
    """Raise ``errors.InputError`` when a table lacks a column."""
    missing = [name for name in columns if name not in table.columns]
    if missing:
        shown = ", ".join(map(str, table.columns))
        raise errors.InputError(f"{where}: expected the columns {', '.join(missing)}. Received: {shown}")


def with_findings(
    entry: readers.Entry, values: tuple[float, ...], names: tuple[str, ...], *, options: readers.Options
) -> readers.Entry:
    """Give an entry its findings; one finding alone makes two classes of it."""
    if not options.labelled:
        return entry
    if len(names) > 1:
        return entry._replace(findings=values)
    if not values or np.isnan(values[0]):
        return entry
    return entry._replace(label=names[0] if values[0] else absent_class(names[0]))


def absent_class(name: str) -> str:
    """Return the class of images without the one finding that was chosen."""
    return f"no {name}"


def source_of_findings(
    name: str,
    found: list[readers.Entry],
    names: tuple[str, ...],
    *,
    columns: Mapping[str, str],
    notes: tuple[str, ...] = (),
) -> readers.Source:
    """Make a source of findings; of one finding, images whose label is uncertain are not part of it."""
    if len(names) > 1:
        return readers.Source(name=name, entries=found, findings=names, notes=notes, columns=columns)
    known = [entry for entry in found if entry.label is not None or entry.problem]
    unknown = len(found) - len(known)
    if unknown and known:
        notes = (*notes, f"{unknown:,} images are not used: whether they show {names[0]} is uncertain")
        found = known
    order = absent_class(names[0]), names[0]
    return readers.Source(name=name, entries=found, class_order=order, notes=notes, columns=columns)


def roles_of_findings(table: pd.DataFrame, known: Mapping[str, str], labels: Sequence[str]) -> dict[str, str]:
    """Return the role of each column in words.

    Args:
        table: The table.
        known: Column -> role, for those that are no labels.
        labels: The columns of labels.
    """
    role = dict(known) | dict.fromkeys(labels, "label" if len(labels) == 1 else "label: finding")
    return {str(column): role.get(str(column), "not read: not used") for column in table.columns}
