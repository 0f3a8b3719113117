"""Tables on disk, csv (of any encoding, packed or not) or parquet, whole or in bounded memory.

Cells of a csv are given as text, so that what a column holds never depends on which of its rows were seen first; a
parquet file has types of its own. Rows are numbered from 1, the header not counted.
"""

import bz2
import contextlib
import functools
import gzip
import io
import lzma
import pathlib
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple, cast

import pandas as pd
import pyarrow
import pyarrow.csv
import pyarrow.parquet

from shared import errors
from shared.sources import delimited, unpacking

PACKED_SUFFIXES = ("", ".gz", ".bz2", ".xz", ".zst", ".zip")
CSV_SUFFIXES = tuple(kind + packed for kind in (".csv", ".tsv") for packed in PACKED_SUFFIXES)
PARQUET_SUFFIXES = (".parquet", ".pq")
SUFFIXES = (*CSV_SUFFIXES, *PARQUET_SUFFIXES)
# For messages: what they may be packed with goes without a list.
KINDS = ".csv, .tsv (also .gz, .bz2, .xz, .zst, .zip), .parquet, .pq"

# What reading a broken file raises, by whatever way it is packed.
_FAILURES = (
    *(OSError, EOFError, UnicodeError, lzma.LZMAError, zlib.error),
    # RuntimeError: of a zip file with a password, or packed in a way that Python does not know.
    *(zipfile.BadZipFile, RuntimeError, pyarrow.ArrowException),
)
_HEAD_BYTES = 1 << 16
_PICKLES = (".pkl", ".pickle", ".pkl.gz", ".joblib")
_BLOCK_BYTES = 1 << 23
_CHUNK_ROWS = 1 << 20
# Of a column of a parquet file, at once.
_BUFFER_BYTES = 1 << 20


class Header(NamedTuple):
    """The columns of a table: those that can be read, and those of a parquet file that hold lists or records."""

    names: tuple[str, ...]
    nested: tuple[str, ...]


def is_table(path: pathlib.Path) -> bool:
    """Return by its name whether a file is a table; hidden files are none."""
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
        raise errors.InputError(f"{path}: expected a table ({KINDS}). Received: a file of another kind")
    if not path.stat().st_size:
        raise errors.InputError(f"{path}: expected a table with a header and rows. Received: an empty file")


def header(path: pathlib.Path) -> Header:
    """Return the names of the columns.

    Raises:
        errors.InputError: The file is no table, or two columns have one name.
    """
    check(path)
    with _complaining(path):
        if _is_parquet(path):
            found = _plain(pyarrow.parquet.read_schema(path))
        else:
            with _opened(path, None) as reader:
                found = Header(tuple(reader.schema.names), ())
    every = [*found.names, *found.nested]
    twice = sorted({name for name in every if every.count(name) > 1})
    if twice:
        raise errors.InputError(f"{path}: expected a name for each column. Received twice: {', '.join(twice)}")
    return found


def columns(path: pathlib.Path) -> tuple[str, ...]:
    """Return the names of the columns that can be read; see ``header``."""
    return header(path).names


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
        errors.InputError: The file cannot be read to its end, a quotation mark of a csv is not closed, or other rows
            come out than stand in it; the message names the row where it is known.
    """
    names = list(names if names is not None else columns(path))
    check(path)
    with _complaining(path):
        status = path.stat()
        proven = _count(path, status.st_size, status.st_mtime_ns)
        batches = _parquet(path, rows, names) if _is_parquet(path) else _csv(path, names)
        given = 0
        for table in _even(batches, rows):
            given += table.num_rows
            # Arrow reads what pandas wrote there even where it is to ignore it, and it may be damaged.
            yield table.replace_schema_metadata(None).to_pandas(types_mapper=pd.ArrowDtype, ignore_metadata=True)
    if given != proven:
        raise errors.InputError(f"{path}: expected {proven:,} rows, as many as records. Received: {given:,}")


@functools.lru_cache(maxsize=64)
def _count(path: pathlib.Path, size: int, changed: int) -> int:
    """Return how many rows a file holds, counted otherwise than they are read; size and time are of the file."""
    del size, changed
    if _is_parquet(path):
        return int(pyarrow.parquet.read_metadata(path).num_rows)
    open_table = opener(path)
    return delimited.prove(open_table, delimiter=_delimiter(open_table), encoding=delimited.UTF8, where=str(path))


def _is_parquet(path: pathlib.Path) -> bool:
    return path.name.lower().endswith(PARQUET_SUFFIXES)


def parquet_file(source: pathlib.Path | BinaryIO) -> Any:
    """Open a parquet file to read it piece by piece, in memory that does not grow with it.

    With ``pre_buffer``, Arrow's default, what was read stays in memory until the file is closed.
    """
    return pyarrow.parquet.ParquetFile(source, pre_buffer=False, buffer_size=_BUFFER_BYTES)


def _parquet(path: pathlib.Path, rows: int, names: list[str]) -> Iterator[Any]:
    is_view = pyarrow.types.is_string_view
    with parquet_file(path) as file:
        unpacking.check_parquet(file, packed=path.stat().st_size, where=str(path))
        for batch in file.iter_batches(batch_size=rows, columns=names):
            # Of text in the other type pandas knows more.
            fields = [each.with_type(pyarrow.string()) if is_view(each.type) else each for each in batch.schema]
            yield batch.cast(pyarrow.schema(fields)) if fields != list(batch.schema) else batch


def _plain(schema: Any) -> Header:
    nested = tuple(field.name for field in schema if pyarrow.types.is_nested(field.type))
    return Header(tuple(field.name for field in schema if field.name not in nested), nested)


def _csv(path: pathlib.Path, names: list[str]) -> Iterator[Any]:
    with _opened(path, names) as reader:
        yield from reader


@contextlib.contextmanager
def _opened(path: pathlib.Path, names: list[str] | None, *, threads: bool = True) -> Iterator[Any]:
    open_table = opener(path)
    # Only an empty cell is nothing: NA may be a country, and what null means in numbers is decided with the numbers.
    with (
        open_table() as stream,
        pyarrow.csv.open_csv(
            stream,
            read_options=pyarrow.csv.ReadOptions(block_size=_BLOCK_BYTES, use_threads=threads),
            parse_options=pyarrow.csv.ParseOptions(delimiter=_delimiter(open_table), newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types={name: pyarrow.string() for name in names or ()},
                include_columns=names,
                strings_can_be_null=True,
                null_values=[""],
                timestamp_parsers=[],
            ),
        ) as reader,
    ):
        yield reader


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
    """Turn what is raised for a broken file into a message with the row, or with the bytes that are no text."""
    try:
        yield
    except _FAILURES as error:
        kind = "parquet" if _is_parquet(path) else "csv"
        if isinstance(error, pyarrow.ArrowInvalid) and kind == "csv":
            # A mark that is not closed names the row where it stands, not one where cells come out wrong.
            _count(path, path.stat().st_size, path.stat().st_mtime_ns)
        reason = str(error) if _is_parquet(path) else _with_row(path, error)
        raise errors.InputError(
            f"{path}: expected a {kind} file that can be read to its end. Received: {reason}"
        ) from None


def _with_row(path: pathlib.Path, error: Exception) -> str:
    """Return the reason with the number of the row, which Arrow only knows when it reads with one thread."""
    reason = str(error)
    if "UTF8" in reason or isinstance(error, UnicodeError):
        # Of another encoding than UTF-8 the reason already names the bytes.
        with contextlib.suppress(UnicodeError):
            delimited.check_encoding(opener(path), encoding=delimited.UTF8, where=str(path))
    if not reason.startswith("CSV parse error: Expected"):
        return reason
    try:
        with _opened(path, None, threads=False) as reader:
            for _ in reader:
                pass
    except _FAILURES as again:
        found = re.search(r"Row #(\d+): (.*)", str(again), re.DOTALL)
        return f"row {int(found[1]) - 1}: {found[2]}" if found else reason
    return reason


def opener(path: pathlib.Path) -> delimited.Opener:
    """Return what opens a table anew, unpacked and in UTF-8.

    Raises:
        errors.InputError: A zip holds not one table.
    """
    unpacked = functools.partial(_unpacked, path)
    with unpacked() as stream:
        encoding = delimited.encoding_of(stream.read(512))
    if encoding == delimited.UTF8:
        return unpacked
    return lambda: _buffered(pyarrow.transcoding_input_stream(pyarrow.PythonFile(unpacked(), "r"), encoding, "utf-8"))


def _delimiter(open_table: delimited.Opener) -> str:
    """Return what stands between the names in the header."""
    with open_table() as stream:
        head = stream.read(_HEAD_BYTES)
    return delimited.delimiter_of(head.partition(b"\n")[0].decode("utf-8", errors="replace"))


def _unpacked(path: pathlib.Path) -> BinaryIO:
    suffix = path.suffix.lower()
    packed: dict[str, Callable[[pathlib.Path], Any]] = {
        ".gz": gzip.GzipFile,
        ".bz2": bz2.BZ2File,
        ".xz": lzma.LZMAFile,
        ".zst": functools.partial(pyarrow.input_stream, compression="zstd"),
    }
    if suffix in packed:
        return unpacking.bounded(packed[suffix](path), packed=path.stat().st_size, where=str(path))
    return _member(path) if suffix == ".zip" else path.open("rb")


def _buffered(stream: Any) -> BinaryIO:
    return io.BufferedReader(stream, _HEAD_BYTES)


def _member(path: pathlib.Path) -> BinaryIO:
    """Open the one table of a zip."""
    with zipfile.ZipFile(path) as archive:
        names = [each for each in archive.namelist() if not each.endswith("/") and "__MACOSX" not in each]
        if len(names) != 1:
            raise errors.InputError(
                f"{path}: expected a zip of one table (unpack the others into a folder). Received: "
                f"{', '.join(names[:5]) or 'nothing'}{' ...' if len(names) > 5 else ''}"
            )
        unpacking.check_zip(archive, where=str(path))
        return cast(BinaryIO, archive.open(names[0]))
