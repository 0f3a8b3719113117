"""Files of rows, written and read back a table at a time: csv, lines of JSON, Parquet."""

import itertools
import json
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import IO, Any, Protocol

import pyarrow.csv
import pyarrow.parquet

from shared import printing
from shared.sources import tables as source_tables

FORMATS = (".csv", ".jsonl", ".parquet")
_ROWS_READ = 4096
# A row of a csv must fit into one block.
_BLOCK_BYTES = 1 << 24


class Writer(Protocol):
    """Writes tables below each other."""

    def write(self, table: pyarrow.Table) -> None:
        """Add rows."""

    def close(self) -> None:
        """Finish the file."""


def open_writer(path: pathlib.Path, schema: pyarrow.Schema) -> Writer:
    """Open a new file for tables of these columns, of the format that its suffix says."""
    return _JsonLinesWriter(path) if path.suffix == ".jsonl" else _ArrowWriter(path, schema)


class _ArrowWriter:
    """Write Parquet or CSV."""

    def __init__(self, path: pathlib.Path, schema: pyarrow.Schema) -> None:
        self._stream = path.open("wb")
        self._is_csv = path.suffix == ".csv"
        made = pyarrow.parquet.ParquetWriter if path.suffix == ".parquet" else pyarrow.csv.CSVWriter
        self._writer = made(self._stream, schema)

    def write(self, table: pyarrow.Table) -> None:
        self._writer.write_table(_each_text(table, printing.inert) if self._is_csv else table)

    def close(self) -> None:
        self._writer.close()
        self._stream.close()


class _JsonLinesWriter:
    def __init__(self, path: pathlib.Path) -> None:
        self._stream = path.open("w", encoding="utf-8")

    def write(self, table: pyarrow.Table) -> None:
        for row in table.to_pylist():
            self._stream.write(json.dumps(row, ensure_ascii=False) + "\n")

    def close(self) -> None:
        self._stream.close()


def schema(columns: Mapping[str, str]) -> pyarrow.Schema:
    """Return the columns that ``{name: str(type)}`` says."""
    return pyarrow.schema([(name, pyarrow.type_for_alias(kind)) for name, kind in columns.items()])


def read(path: pathlib.Path, schema: pyarrow.Schema) -> Iterator[pyarrow.Table]:
    """Yield the rows of a file that ``open_writer`` wrote, in their order, some thousand at a time.

    Args:
        path: The file; a temporary one has its suffix, too.
        schema: Its columns: a csv does not say that its ids are texts.
    """
    with path.open("rb") as stream:
        if path.suffix == ".parquet":
            for batch_of_rows in source_tables.parquet_file(stream).iter_batches(_ROWS_READ):
                yield pyarrow.Table.from_batches([batch_of_rows]).replace_schema_metadata().cast(schema)
        elif path.suffix == ".jsonl":
            while lines := list(itertools.islice(stream, _ROWS_READ)):
                yield pyarrow.Table.from_pylist(list(map(json.loads, lines)), schema)
        else:
            with _csv(stream, schema) as reader:
                for batch_of_rows in reader:
                    yield _each_text(pyarrow.Table.from_batches([batch_of_rows]), printing.as_it_was)


def _each_text(table: pyarrow.Table, change: Callable[[Any], Any]) -> pyarrow.Table:
    """Return a table with changed texts: a csv holds none that a spreadsheet takes for a formula."""
    for place, field in enumerate(table.schema):
        if pyarrow.types.is_string(field.type) or pyarrow.types.is_large_string(field.type):
            cells = [change(cell) for cell in table.column(place).to_pylist()]
            table = table.set_column(place, field, pyarrow.array(cells, field.type))
    return table


def _csv(stream: IO[bytes], schema: pyarrow.Schema) -> Any:
    """Open a csv that Arrow wrote: texts are in quotes, what is missing is empty without."""
    return pyarrow.csv.open_csv(
        stream,
        read_options=pyarrow.csv.ReadOptions(block_size=_BLOCK_BYTES),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=schema,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


def regrouped(tables: Iterator[pyarrow.Table], sizes: Iterable[int]) -> Iterator[pyarrow.Table]:
    """Yield tables of so many rows each, of the rows of others."""
    waiting: list[pyarrow.Table] = []
    for size in sizes:
        while sum(map(len, waiting)) < size:
            waiting.append(next(tables))
        joined = pyarrow.concat_tables(waiting)
        yield joined.slice(0, size)
        waiting = [joined.slice(size)]
