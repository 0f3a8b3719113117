"""Tables as cells of text, and what columns and cells mean."""

import csv
import pathlib
import re
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from apps.medical_imaging.readers import entries, labels
from shared import errors

IMAGE_COLUMNS = (
    "image",
    "image_path",
    "path",
    "filepath",
    "file",
    "filename",
    "file_name",
    "image_index",
    "image_id",
    "img",
)
LABEL_COLUMNS = ("label", "class", "diagnosis", "finding", "target", "category")
PATIENT_COLUMNS = ("patient", "patient_id", "patientid", "subject", "subject_id", "person_id")
PART_COLUMNS = ("part", "split", "set", "subset", "dataset_type")
# What an attribute may be called.
ATTRIBUTE_COLUMNS = {
    "sex": ("sex", "gender", "patient_sex", "patient_gender"),
    "age": ("age", "patient_age", "age_years"),
    "view": ("view", "view_position", "projection"),
    "site": ("site", "hospital", "institution"),
    "subtype": ("subtype",),
    "device_mark": ("device_mark",),
    "subtlety": ("subtlety",),
}
# What an id may say instead of a patient.
_NOBODY = frozenset(("none", "unknown"))
_SEXES = {"f": "F", "female": "F", "m": "M", "male": "M"}
_VIEWS = {"pa": "PA", "ap": "AP", "lateral": "LATERAL", "lat": "LATERAL", "ll": "LATERAL", "rl": "LATERAL"}
_AGE = re.compile(r"0*(?P<number>\d+(\.\d+)?)\s*(?P<unit>[DWMY]?)", re.IGNORECASE)
_YEARS = {"": 1.0, "Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}
# Of a person; NIH ChestX-ray14 has a few of 400 years.
_OLDEST = 120


def read(path: pathlib.Path) -> tuple[pd.DataFrame, list[entries.Entry]]:
    """Read csv, tsv or parquet as text, empty where a cell is missing; its index is the line or place, from 1.

    Returns:
        The table, without columns that have no name; and the rows that do not fit it, as entries that say why: they
        have more or fewer fields than the header, or a quotation mark that is not closed.

    Raises:
        errors.InputError: The table cannot be read, or no row can be used.
    """
    try:
        table, broken = (_parquet(path), []) if path.suffix.lower() == ".parquet" else _text(path)
    except (OSError, ValueError) as error:
        raise errors.InputError(f"{path}: expected a table in UTF-8 that can be read. Received: {error}") from None
    if not len(table):
        received = f"row {broken[0].row}: {broken[0].problem}" if broken else "none"
        raise errors.InputError(f"{path}: expected rows below a header. Received: {received}")
    return table, broken


def records(table: pd.DataFrame) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield each row's line and its cells by column."""
    columns = [str(column) for column in table.columns]
    for line, row in zip(table.index.tolist(), table.itertuples(index=False, name=None), strict=True):
        yield line, dict(zip(columns, row, strict=True))


def _parquet(path: pathlib.Path) -> pd.DataFrame:
    table = pd.read_parquet(path)
    text = table.astype(object).where(table.notna(), "").map(str)
    return text.set_index(np.arange(1, len(text) + 1))


def _text(path: pathlib.Path) -> tuple[pd.DataFrame, list[entries.Entry]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        lines = list(stream)
    found = _rows(lines, delimiter=max(",\t;", key=(lines or [""])[0].count))
    _, first, problem = next(found, (1, [], ""))
    header = [name.strip() for name in first]
    # Columns without a name are a numbering, or what delimiters at the end of each line make (NIH's boxes).
    named = [place for place, name in enumerate(header) if name]
    if problem or not named or len({header[place] for place in named}) < len(named):
        raise ValueError(problem or ("a header that names a column twice" if named else "no header"))
    rows, numbers, broken = [], [], []
    for line, row, problem in found:
        fault = problem or _misfit(row, width=len(header), named=named[-1] + 1)
        if fault:
            name = entries.excerpt(lines[line - 1])
            broken.append(entries.Entry(name=name, item=path, file=str(path), row=line, problem=fault))
        else:
            rows.append([row[place] for place in named])
            numbers.append(line)
    return pd.DataFrame(rows, columns=[header[place] for place in named], index=numbers, dtype=object), broken


def _rows(lines: list[str], *, delimiter: str) -> Iterator[tuple[int, list[str], str]]:
    """Yield the line where each row begins, its fields, and what is wrong with its quotation marks.

    A row may span lines. One whose quotation mark is not closed ends with its first line, so that others survive.
    """
    start = 0
    while start < len(lines):
        reader, first = csv.reader(lines[start:], delimiter=delimiter, strict=True), start
        try:
            for row in reader:
                if row:
                    yield first + 1, row, ""
                first = start + reader.line_num
            return
        except csv.Error as error:
            yield first + 1, [], f"a quotation mark may not be closed ({error})"
            start = first + 1


def _misfit(row: list[str], *, width: int, named: int) -> str:
    """Say how a row differs from a header of ``width`` fields, the last with a name being number ``named``."""
    if len(row) >= named and not any(row[width:]):
        return ""
    return f"{len(row)} fields instead of {width}"


def choose(table: pd.DataFrame, names: Sequence[str], given: str | None, *, where: str, option: str) -> str | None:
    """Return the column that the user named, or the first that is known by its name; None where there is none.

    Raises:
        errors.InputError: The table does not have the column that the user named.
    """
    if given is not None:
        if given not in table.columns:
            columns = ", ".join(map(str, table.columns))
            raise errors.InputError(f"{where}: expected the column {given!r} ({option}). Received: {columns}")
        return given
    by_key = {_plain(str(column)): str(column) for column in reversed(table.columns)}
    return next((by_key[_plain(name)] for name in names if _plain(name) in by_key), None)


def attributes(row: dict[str, str], columns: dict[str, str]) -> dict[str, object]:
    """Return the attributes that a row's cells give; what cannot be understood counts as missing."""
    found = {name: attribute(name, row[column]) for name, column in columns.items()}
    return {name: value for name, value in found.items() if value is not None}


def attribute(name: str, cell: str) -> object:
    """Return what a cell says: ages in years, sex as F or M, views as PA, AP or LATERAL.

    >>> attribute("age", "058Y"), attribute("sex", "Female"), attribute("view", "?")
    (58.0, 'F', None)
    """
    text = cell.strip()
    if name == "age":
        return age_years(text)
    if name == "subtlety":
        return number(text)
    if name == "device_mark":
        return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(text.lower())
    if name in ("sex", "view"):
        return (_SEXES if name == "sex" else _VIEWS).get(text.lower())
    return text or None


def attribute_columns(table: pd.DataFrame) -> dict[str, str]:
    """Return attribute -> column, for those that the table has."""
    found = {name: choose(table, spellings, None, where="", option="") for name, spellings in ATTRIBUTE_COLUMNS.items()}
    return {name: column for name, column in found.items() if column is not None}


def age_years(text: str) -> float | None:
    """Return an age as DICOM and NIH write it (058Y, 006M) or as a number, in years."""
    match = _AGE.fullmatch(text)
    if match is None:
        return None
    years = float(match["number"]) * _YEARS[match["unit"].upper()]
    return years if years <= _OLDEST else None


def number(text: str) -> float | None:
    """Return a number, or None where the text is none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def patient(cell: str) -> str:
    """Return a patient's id, ``""`` where the cell names nobody.

    >>> patient(" p1 "), patient("NaN"), patient("Unknown")
    ('p1', '', '')
    """
    return "" if labels.is_missing(cell) or labels.key(cell) in _NOBODY else cell.strip()


def finding(cell: str, *, uncertain: str, blank: float) -> float | None:
    """Return 1 for present, 0 for absent, NaN for unknown; None for a cell that means nothing.

    Args:
        cell: 1, 0, -1 (uncertain) or nothing.
        uncertain: "zeros", "ones" or "ignore".
        blank: What an empty cell means.

    >>> finding("-1.0", uncertain="ones", blank=0.0)
    1.0
    """
    if labels.is_missing(cell):
        return blank
    value = number(cell)
    if value == -1:
        return {"zeros": 0.0, "ones": 1.0, "ignore": float("nan")}[uncertain]
    return value if value in (0.0, 1.0) else None


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())
