"""Tables on disk, csv or parquet, whole or in bounded memory.

Cells of a csv are given as text, so that what a column holds never depends on which of its rows were seen first; a
parquet file has types of its own. Rows are numbered from 1, the header not counted.
"""

import contextlib
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
import pyarrow
import pyarrow.csv
import pyarrow.parquet

from shared import errors

CSV_SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
PARQUET_SUFFIXES = (".parquet", ".pq")
SUFFIXES = (*CSV_SUFFIXES, *PARQUET_SUFFIXES)

_PICKLES = (".pkl", ".pickle", ".pkl.gz", ".joblib")
_BLOCK_BYTES = 1 << 23
_CHUNK_ROWS = 1 << 20


def is_table(path: pathlib.Path) -> bool:
    """Tell by its name whether a file is a table; hidden files are none."""
    return path.name.lower().endswith(SUFFIXES) and not path.name.startswith(".")


def check(path: pathlib.Path) -> None:
    """Refuse a file that is no table.

    Raises:
        errors.InputError: It is a pickle, empty, or of another kind.
    """
    name = path.name.lower()
    if name.endswith(_PICKLES):
        raise errors.InputError(
            f"{path}: expected a table as csv or parquet. Received: a pickle, which can run code when it is opened. "
            f"Where you trust it, convert it: python -c \"import pandas; pandas.read_pickle('{path.name}')"
            f".to_parquet('{path.name.partition('.')[0]}.parquet')\""
        )
    if not name.endswith(SUFFIXES):
        raise errors.InputError(f"{path}: expected a table ({', '.join(SUFFIXES)}). Received: a file of another kind")
    if not path.stat().st_size:
        raise errors.InputError(f"{path}: expected a table with a header and rows. Received: an empty file")


def columns(path: pathlib.Path) -> tuple[str, ...]:
    """Return the names of the columns, without those of a parquet file that hold lists or records.

    Raises:
        errors.InputError: The file is no table, or two columns have one name.
    """
    check(path)
    with _complaining(path):
        names = _plain(pyarrow.parquet.read_schema(path)) if _is_parquet(path) else _header(path)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise errors.InputError(f"{path}: expected a name for each column. Received twice: {', '.join(twice)}")
    return tuple(names)


def read(path: pathlib.Path, names: Sequence[str] | None = None) -> pd.DataFrame:
    """Return a whole table.

    Args:
        path: A csv or parquet file.
        names: The columns to read; None: all.
    """
    frames = list(chunks(path, _CHUNK_ROWS, names))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(names or columns(path)))


def chunks(path: pathlib.Path, rows: int, names: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
    """Yield a table in pieces of ``rows`` rows, the last one shorter; a table without rows gives none.

    The pieces hold Arrow columns: text in those of a csv, their own types in those of a parquet file.

    Raises:
        errors.InputError: The file cannot be read to its end; the message names the row where it is known.
    """
    names = list(names if names is not None else columns(path))
    check(path)
    with _complaining(path):
        batches = _parquet(path, rows, names) if _is_parquet(path) else _csv(path, names)
        for table in _even(batches, rows):
            yield table.to_pandas(types_mapper=pd.ArrowDtype, ignore_metadata=True)


def _is_parquet(path: pathlib.Path) -> bool:
    return path.name.lower().endswith(PARQUET_SUFFIXES)


def _parquet(path: pathlib.Path, rows: int, names: list[str]) -> Iterator[Any]:
    with pyarrow.parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=rows, columns=names):
            views = [pyarrow.types.is_string_view(each.type) for each in batch.schema]
            yield batch.cast(_without_views(batch.schema)) if any(views) else batch


def _plain(schema: Any) -> list[str]:
    return [field.name for field in schema if not pyarrow.types.is_nested(field.type)]


def _without_views(schema: Any) -> Any:
    """Return a schema with text in the type of which pandas knows more."""
    view = pyarrow.types.is_string_view
    return pyarrow.schema([each.with_type(pyarrow.string()) if view(each.type) else each for each in schema])


def _csv(path: pathlib.Path, names: list[str]) -> Iterator[Any]:
    with pyarrow.input_stream(str(path), compression="detect") as stream, _opened(path, stream, names) as reader:
        yield from reader


def _opened(path: pathlib.Path, stream: Any, names: list[str] | None, *, threads: bool = True) -> Any:
    text = {name: pyarrow.string() for name in names or ()}
    return pyarrow.csv.open_csv(
        stream,
        read_options=pyarrow.csv.ReadOptions(block_size=_BLOCK_BYTES, use_threads=threads),
        parse_options=pyarrow.csv.ParseOptions(delimiter=_delimiter(path), newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=text, include_columns=names, strings_can_be_null=True, timestamp_parsers=[]
        ),
    )


def _header(path: pathlib.Path) -> list[str]:
    # As text, and of one short block: nothing but the first line matters.
    with pyarrow.input_stream(str(path), compression="detect") as stream, _opened(path, stream, None) as reader:
        return list(reader.schema.names)


def _delimiter(path: pathlib.Path) -> str:
    """Return what most often stands between names in the first line."""
    with pyarrow.input_stream(str(path), compression="detect") as stream:
        line = stream.read(1 << 16).partition(b"\n")[0]
    return str(max(",;\t", key=lambda each: line.count(each.encode())))


def _even(batches: Iterator[Any], rows: int) -> Iterator[Any]:
    """Join and cut record batches to tables of ``rows`` rows."""
    held: list[Any] = []
    count = 0
    for batch in batches:
        held.append(batch)
        count += batch.num_rows
        while count >= rows:
            table = pyarrow.Table.from_batches(held)
            yield table.slice(0, rows)
            held, count = table.slice(rows).to_batches(), count - rows
    if count:
        yield pyarrow.Table.from_batches(held)


@contextlib.contextmanager
def _complaining(path: pathlib.Path) -> Iterator[None]:
    """Turn what Arrow says of a broken file into a message with the row."""
    try:
        yield
    except (pyarrow.ArrowException, OSError, EOFError, UnicodeDecodeError) as error:
        kind = "parquet" if _is_parquet(path) else "csv"
        reason = str(error) if _is_parquet(path) else _with_row(path, str(error))
        raise errors.InputError(
            f"{path}: expected a {kind} file that can be read to its end. Received: {reason}"
        ) from None


def _with_row(path: pathlib.Path, reason: str) -> str:
    """Return Arrow's reason with the number of the row, which it only knows when it reads with one thread."""
    if not reason.startswith("CSV parse error: Expected"):
        return reason
    try:
        with pyarrow.input_stream(str(path), compression="detect") as stream:
            for _ in _opened(path, stream, None, threads=False):
                pass
    except pyarrow.ArrowException as error:
        found = re.search(r"Row #(\d+): (.*)", str(error), re.DOTALL)
        return f"row {int(found[1]) - 1}: {found[2]}" if found else reason
    return reason
