"""Tables as cells of text: csv, tsv and Parquet, with the rows that do not fit."""

import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from apps.medical_imaging.readers import interface
from shared import errors
from shared.sources import delimited

_HEAD_BYTES = 1 << 12
# Where the names of columns are kept whose cells are no text or numbers, with what they are.
STRANGE = "strange"


def read(path: pathlib.Path) -> tuple[pd.DataFrame, list[interface.Entry]]:
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


def _text(path: pathlib.Path) -> tuple[pd.DataFrame, list[interface.Entry]]:
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
            shown = interface.excerpt(lines[record.line - 1])
            broken.append(
                interface.Entry(name=shown, item=path, file=interface.name_of(path), row=record.line, problem=fault)
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
    read = pyarrow.parquet.read_table(path)
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
