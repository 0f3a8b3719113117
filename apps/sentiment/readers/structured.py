"""Tables whose cells have types: JSON lines and Parquet, read row by row in bounded memory."""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow
import pyarrow.parquet

from apps.sentiment import readers
from shared import errors
from shared.sources import delimited, tables, unpacking

_BATCH_ROWS = 4096
_TEXT_TYPES = (
    *(pyarrow.types.is_string, pyarrow.types.is_large_string, pyarrow.types.is_string_view),
    *(
        pyarrow.types.is_binary,
        pyarrow.types.is_large_binary,
        pyarrow.types.is_binary_view,
        pyarrow.types.is_fixed_size_binary,
        pyarrow.types.is_null,
    ),
)
_LABEL_TYPES = (
    *_TEXT_TYPES,
    *(pyarrow.types.is_integer, pyarrow.types.is_floating, pyarrow.types.is_boolean, pyarrow.types.is_decimal),
)


def json_lines(name: str, opener: readers.Opener, options: readers.Options) -> readers.Table:
    """Read one JSON object a line; those at the beginning decide the columns."""
    with opener() as stream:
        head = stream.read(readers.HEAD_BYTES)
    encoding = delimited.encoding_of(head)
    if readers.first_line(head).lstrip().startswith("["):
        raise errors.InputError(
            f"{name}: expected one JSON object a line. Received: a JSON array (jq -c '.[]' OLD > NEW writes its lines)"
        )
    keys = _first_keys(opener, encoding)
    if not keys:
        raise errors.InputError(f"{name}: expected one JSON object a line. Received: {readers.first_line(head)[:80]!r}")
    columns = readers.choose_columns(name, keys, options)

    def generate() -> Iterator[readers.Row]:
        with readers.text_stream(opener, encoding=encoding, newline="\n") as stream:
            for number, line in enumerate(stream, start=1):
                if not line.strip():
                    continue
                item = _object(line)
                if isinstance(item, str):
                    yield readers.Row(number, line.strip()[:500], None, problem=item)
                else:
                    yield _row(number, item, columns)

    return readers.Table(generate(), columns)


def _first_keys(opener: readers.Opener, encoding: str) -> list[str]:
    """Return the keys of the objects at the beginning, in order: one object may leave out what others have."""
    keys: dict[str, None] = {}
    characters = 0
    with readers.text_stream(opener, encoding=encoding, newline="\n") as stream:
        for line in stream:
            item = _object(line)
            keys |= dict.fromkeys(item if isinstance(item, dict) else ())
            characters += len(line)
            if characters > readers.HEAD_BYTES:
                break
    return list(keys)


def parquet(name: str, opener: readers.Opener, options: readers.Options) -> readers.Table:
    """Read parquet in small batches of the needed columns."""
    try:
        with opener() as stream, pyarrow.parquet.ParquetFile(stream) as file:
            unpacking.check_parquet(file, packed=stream.seek(0, io.SEEK_END), where=name)
            schema = file.schema_arrow
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise errors.InputError(f"{name}: expected a readable parquet file. Received: {error}") from None
    columns = readers.choose_columns(name, schema.names, options)
    _check_type(name, schema, columns.text, _TEXT_TYPES, "text")
    if columns.label is not None:
        _check_type(name, schema, columns.label, _LABEL_TYPES, "label")
    read = (columns.text, columns.label, columns.source, columns.part, *columns.kept)
    wanted = list(dict.fromkeys(name for name in read if name is not None))

    def generate() -> Iterator[readers.Row]:
        number = 0
        try:
            with opener() as stream, tables.parquet_file(stream) as file:
                for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=wanted):
                    for cells in zip(*(_cells(batch.column(column)) for column in wanted), strict=True):
                        number += 1
                        yield _row(number, dict(zip(wanted, cells, strict=True)), columns)
        except pyarrow.ArrowException as error:
            raise errors.InputError(
                f"{name}: expected a readable parquet file, row {number + 1} and after. Received: {error}"
            ) from None

    return readers.Table(generate(), columns)


def _check_type(name: str, schema: pyarrow.Schema, column: str, kinds: Sequence[Any], role: str) -> None:
    found = schema.field(column).type
    held = found.value_type if pyarrow.types.is_dictionary(found) else found
    if not any(kind(held) for kind in kinds):
        what = "text" if role == "text" else "text, numbers or true and false"
        raise errors.InputError(
            f"{name}: column {column!r}: expected {what}. Received: {found} (--{role}-column names another column)"
        )


def _cells(column: pyarrow.Array) -> list[Any]:
    """Return the cells of a column; bytes that are no text become lone surrogates, to be found and reported by row."""
    if pyarrow.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    try:
        cells: list[Any] = column.to_pylist()
    except UnicodeDecodeError:
        wide = pyarrow.types.is_large_string(column.type)
        cells = column.cast(pyarrow.large_binary() if wide else pyarrow.binary()).to_pylist()
    return [cell.decode("utf-8", "surrogateescape") if isinstance(cell, bytes) else cell for cell in cells]


def _object(line: str) -> dict[str, Any] | str:
    """Return the object of a line, or what is wrong with it."""
    try:
        item = json.loads(line, object_pairs_hook=_once)
    except _RepeatedKeyError as error:
        return f"key {error.args[0]!r} twice in one object"
    except (ValueError, RecursionError):
        return "not a JSON object"
    return item if isinstance(item, dict) else "not a JSON object"


class _RepeatedKeyError(Exception):
    """An object holds a key twice: which of the two was meant is not known."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    item = dict(pairs)
    if len(item) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _RepeatedKeyError(next(key for key in keys if keys.count(key) > 1))
    return item


def _row(number: int, item: Mapping[str, Any], columns: readers.Columns) -> readers.Row:
    text = item.get(columns.text)
    if columns.text not in item:
        return readers.Row(number, json.dumps(item)[:500], None, problem=f"no key {columns.text!r}")
    if not isinstance(text, str | None):
        return readers.Row(
            number, str(text)[:500], None, problem=f"column {columns.text!r} holds no text: {str(text)[:40]!r}"
        )
    label, source, part = (
        None if column is None else item.get(column) for column in (columns.label, columns.source, columns.part)
    )
    if isinstance(label, list | dict):
        return readers.Row(number, text, None, problem=f"column {columns.label!r} holds no label: {str(label)[:40]!r}")
    keep = tuple(item.get(column) for column in columns.kept)
    return readers.Row(number, text, _plain(label), _plain(source) or "", "", _plain(part) or "", keep)


def _plain(value: object) -> str | None:
    """Return a label of any type as text, as it would stand in a csv."""
    if value is None or (isinstance(value, float) and value != value):
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)
