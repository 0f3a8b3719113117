"""A table of boxes as text cells, one row for each box: CSV, TSV or Parquet; which column plays which role.

A role goes by a column's name alone. Cells are text until a column of numbers is read, by one rule for the column; what
does not fit is kept as a problem of its row. Names keep their text: ``NA`` is a name.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray

from apps.driving_perception.readers import entries
from shared import errors
from shared.sources import cells, delimited, unpacking

SUFFIXES = (".csv", ".tsv", ".parquet")
ROLES = {
    "image": ("image", "filename", "file", "file_name", "image_name", "path", "image_path", "image_id", "img"),
    "xmin": ("xmin", "x1", "left", "x_min"),
    "ymin": ("ymin", "y1", "top", "y_min"),
    "xmax": ("xmax", "x2", "right", "x_max"),
    "ymax": ("ymax", "y2", "bottom", "y_max"),
    # Numbers of classes come last: what they mean is for --class-file to say.
    "class": (
        *("class", "label", "name", "category", "class_name", "category_name", "label_name", "object_class", "type"),
        *("class_id", "category_id", "label_id"),
    ),
    "width": ("width", "image_width", "img_width", "im_width"),
    "height": ("height", "image_height", "img_height", "im_height"),
    "kind": ("kind",),
    "ignore": ("ignore", "ignored", "is_crowd", "crowd", "is_group_of"),
    "occlusion": ("occlusion", "occluded"),
    "truncation": ("truncation", "truncated"),
    "distance": ("distance", "distance_m", "depth"),
    "track": ("track", "track_id", "object_id"),
    "sequence": ("sequence", "clip", "video", "drive"),
    "number": ("number", "frame", "frame_id", "frame_number"),
    "seconds": ("seconds", "time", "timestamp"),
    "time_of_day": ("time_of_day", "timeofday"),
    "weather": ("weather",),
    "part": ("part", "split", "subset", "set", "dataset_type"),
    "known_classes": ("known_classes",),
}
CORNERS = ("xmin", "ymin", "xmax", "ymax")
NEEDED = ("image", *CORNERS)
NUMBERS = (*CORNERS, "width", "height", "occlusion", "truncation", "distance", "track", "number", "seconds")
_FLAGS = ("occlusion", "truncation")
# What else may be meant by these names, where no cell is a part.
_MAY_BE_OTHER = frozenset(("subset", "set", "datasettype"))
_WORDS = {
    "image": "image",
    "xmin": "box: left edge",
    "ymin": "box: upper edge",
    "xmax": "box: right edge",
    "ymax": "box: lower edge",
    "class": "label: the box's class",
    "width": "width of the image that was labelled",
    "height": "height of the image that was labelled",
    "kind": "kind of box: object, neighbour or region",
    "ignore": "whether the box is ignored",
    "time_of_day": "time of day",
    "part": "official part",
    "known_classes": "classes that the image is labelled for",
    "number": "place in the sequence",
    "seconds": "seconds since the sequence began",
}


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Table:
    """A table of boxes.

    Attributes:
        file: The file.
        text: By role, (n,) object of str.
        numbers: By role of a number, (n,) float64; NaN for nothing and for what is no number.
        problems: By row, what is wrong with its first cell that is.
        lines: (n,) line of each row in the file; 0 where it has none.
        columns: By column, what it is taken for, in words.
        notes: How numbers are written.
    """

    file: pathlib.Path
    text: Mapping[str, NDArray[np.object_]]
    numbers: Mapping[str, NDArray[np.float64]]
    problems: Mapping[int, str]
    lines: NDArray[np.int64]
    columns: Mapping[str, str]
    notes: Sequence[str]

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.lines)

    def where(self, row: int) -> str:
        """Return a row's place in words, from 1 below the header."""
        return f"row {row + 1}" + (f", line {self.lines[row]}" if self.lines[row] else "")


def roles(header: Sequence[str]) -> dict[str, str]:
    """Return the column of each role that a header has, whatever the case and separators.

    >>> roles([" Filename", "X1", "y1", "x2", "y2", "note"])["image"]
    ' Filename'
    """
    known: dict[str, str] = {}
    for column in header:
        known.setdefault(_plain(column), column)
    spelled = {role: [_plain(name) for name in names] for role, names in ROLES.items()}
    found = {role: next((known[name] for name in names if name in known), None) for role, names in spelled.items()}
    return {role: column for role, column in found.items() if column is not None}


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def header(file: pathlib.Path) -> list[str]:
    """Return the names of the columns; none of what cannot be read."""
    try:
        if file.suffix.lower() == ".parquet":
            return [str(name) for name in pyarrow.parquet.read_schema(file).names]
        encoding, delimiter = _dialect(file)
        lines = delimited.text_lines(lambda: file.open("rb"), encoding=encoding, errors="replace")
        return next((record.fields for record in delimited.records(lines, delimiter=delimiter)), [])
    except (OSError, ValueError, pyarrow.ArrowException):
        return []


def read(file: pathlib.Path, *, decimal: cells.Decimal) -> Table:
    """Read a table.

    Raises:
        errors.InputError: It cannot be read, a row is broken, or a needed column is missing or there twice.
    """
    try:
        names, rows, lines = _of_parquet(file) if file.suffix.lower() == ".parquet" else _of_text(file)
    except (OSError, pyarrow.ArrowException) as error:
        raise errors.InputError(f"{file}: expected a table. Received: {str(error).strip()}") from None
    found = roles(names)
    _check_header(file, names, found)
    text = {role: _column(rows[names.index(column)]) for role, column in found.items()}
    numbers, problems, notes = _numbers(file, text, found, decimal)
    table = Table(
        file=file,
        text=text,
        numbers=numbers,
        problems=problems,
        lines=np.array(lines, np.int64),
        columns=_said(names, found),
        notes=notes,
    )
    return _without_other_sets(_without_sizes_of_boxes(table, found), found)


def _check_header(file: pathlib.Path, names: Sequence[str], found: Mapping[str, str]) -> None:
    twice = sorted({name for name in found.values() if names.count(name) > 1})
    if twice:
        raise errors.InputError(f"{file}: expected each column once. Received: {', '.join(map(repr, twice))} twice")
    missing = [name for name in NEEDED if name not in found]
    if missing:
        raise errors.InputError(
            f"{file}: expected the columns {', '.join(NEEDED)}. Received: none for {', '.join(missing)}, but "
            f"{', '.join(map(repr, names))}"
        )


def _said(names: Sequence[str], found: Mapping[str, str]) -> dict[str, str]:
    taken = {column: role for role, column in found.items()}
    words = {}
    for name in names:
        role = taken.get(name)
        if role is not None:
            words[name] = _WORDS.get(role, role)
            continue
        rival = next((found[role] for role in found if name in roles([name]).values() and role in roles([name])), None)
        words[name] = f"not read: {rival!r} has this role" if rival else "not read: its name says no role"
    return words


def _dialect(file: pathlib.Path) -> tuple[str, str]:
    with file.open("rb") as stream:
        head = stream.read(1 << 16)
    encoding = delimited.encoding_of(head)
    first = next((line for line in head.decode(encoding, errors="replace").splitlines() if line.strip()), "")
    return encoding, delimited.delimiter_of(first)


def _of_text(file: pathlib.Path) -> tuple[list[str], list[list[Any]], list[int]]:
    """Return header, columns and lines of a CSV or TSV file.

    Raises:
        errors.InputError: It is in no known encoding, a quotation mark is not closed, or a row has another width.
    """
    encoding, delimiter = _dialect(file)

    def opened() -> Any:
        return file.open("rb")

    delimited.check_encoding(opened, encoding=encoding, where=str(file))
    count = delimited.prove(opened, delimiter=delimiter, encoding=encoding, where=str(file))
    records = delimited.records(delimited.text_lines(opened, encoding=encoding), delimiter=delimiter)
    first = next(records, None)
    if first is None:
        raise errors.InputError(f"{file}: expected a table. Received: an empty file")
    rows, lines = [], []
    for number, record in enumerate(records, start=1):
        if len(record.fields) != len(first.fields):
            raise errors.InputError(
                f"{file}: expected {len(first.fields)} cells in each row, as in the header. Received: "
                f"{len(record.fields)} in row {number}, line {record.line}: {delimiter.join(record.fields)[:80]!r}"
            )
        rows.append(record.fields)
        lines.append(record.line)
    if len(rows) != count:
        raise errors.InputError(f"{file}: expected {count} rows, as counted a second time. Received: {len(rows)}")
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in first.fields]
    return first.fields, columns, lines


def _of_parquet(file: pathlib.Path) -> tuple[list[str], list[list[Any]], list[int]]:
    names = [str(name) for name in pyarrow.parquet.read_schema(file).names]
    wanted = set(roles(names).values())
    with pyarrow.parquet.ParquetFile(file) as opened:
        unpacking.check_parquet(opened, packed=file.stat().st_size, where=str(file))
        # Only what plays a role is turned into objects: other columns may be of any type.
        columns = [
            opened.read(columns=[name]).column(0).to_pylist() if name in wanted and names.count(name) == 1 else []
            for name in names
        ]
        return names, columns, [0] * opened.metadata.num_rows


def _column(values: Sequence[Any]) -> NDArray[np.object_]:
    found = np.empty(len(values), object)
    found[:] = [_text(value) for value in values]
    return found


def _text(value: Any) -> str:
    if value is None or value != value:
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace").strip()
    return str(value).strip()


def _numbers(
    file: pathlib.Path, text: Mapping[str, NDArray[np.object_]], found: Mapping[str, str], decimal: cells.Decimal
) -> tuple[dict[str, NDArray[np.float64]], dict[int, str], list[str]]:
    numbers, notes = {}, []
    problems: dict[int, str] = {}
    for role in NUMBERS:
        if role not in text:
            continue
        given = (
            [_FLAG_NUMBERS.get(cell.lower(), cell) for cell in text[role]] if role in _FLAGS else text[role].tolist()
        )
        read = cells.numbers(given, decimal=decimal)
        numbers[role] = read.values
        if read.note:
            notes.append(f"{file.name}: column {found[role]!r} is {read.note}")
        for row in read.wrong.tolist():
            problems.setdefault(
                row,
                f"column {found[role]!r}: expected {read.expected} (--decimal says which mark stands before the "
                f"fraction). Received: {text[role][row]!r}",
            )
    return numbers, problems, notes


_FLAG_NUMBERS = {"true": "1", "false": "0", "yes": "1", "no": "0"}


def _without_sizes_of_boxes(table: Table, found: Mapping[str, str]) -> Table:
    """Leave out width and height where they are the boxes' own."""
    if not {"width", "height"} <= table.numbers.keys():
        return table
    sides = (("width", "xmin", "xmax"), ("height", "ymin", "ymax"))
    own = all(
        np.nanmax(np.abs(table.numbers[high] - table.numbers[low] - table.numbers[side]), initial=0.0) <= 1
        for side, low, high in sides
    )
    if not own or not len(table):
        return table
    columns = {**table.columns, **{found[side]: f"not read: it is the box's {side}" for side, _, _ in sides}}
    numbers = {role: values for role, values in table.numbers.items() if role not in ("width", "height")}
    return dataclasses.replace(table, numbers=numbers, columns=columns)


def _without_other_sets(table: Table, found: Mapping[str, str]) -> Table:
    """Leave out a column called set or the like that names no part in any cell."""
    column = found.get("part", "")
    cell = next((cell for cell in table.text.get("part", ()) if cell), "")
    if _plain(column) not in _MAY_BE_OTHER or any(cell.lower() in entries.PARTS for cell in table.text["part"]):
        return table
    why = f"none of its cells is train, validation or test, such as {cell!r}" if cell else "it is empty"
    text = {role: values for role, values in table.text.items() if role != "part"}
    return dataclasses.replace(table, text=text, columns={**table.columns, column: f"not read: {why}"})
