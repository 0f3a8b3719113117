"""What single cells and columns of cells mean: attributes, ages, patients, findings."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from apps.medical_imaging import readers
from shared import errors
from shared.sources import cells

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
# What may stand in place of an id of a patient.
_NOBODY = frozenset(("none", "unknown"))
_SEXES = {"f": "F", "female": "F", "m": "M", "male": "M"}
VIEWS = {"pa": "PA", "ap": "AP", "lateral": "LATERAL", "lat": "LATERAL", "ll": "LATERAL", "rl": "LATERAL"}
# Cells that leave sex and view open, and are no slip.
_OPEN = frozenset(("", "o", "u", "x", "other", "unknown", "none", "n"))
_AGE = re.compile(r"0*(?P<number>\d+(\.\d+)?)\s*(?P<unit>[DWMY]?)", re.IGNORECASE)
YEARS = {"": 1.0, "Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}
_WHOLE = re.compile(r"-?\d+\.0+")
# Of a person; NIH ChestX-ray14 has a few of 400 years.
_OLDEST = 120


class Findings(NamedTuple):
    """A column of findings.

    Attributes:
        values: (n,) float64: 1 present, 0 absent, NaN unknown or not understood.
        wrong: Places of the cells that mean nothing, in order.
        filled: How many cells are not empty.
    """

    values: NDArray[np.float64]
    wrong: NDArray[np.int64]
    filled: int


def findings(
    column: Sequence[str], *, uncertain: str, blank: float = float("nan"), decimal: cells.Decimal = "auto"
) -> Findings:
    """Read a column of findings: 1, 0, -1 (uncertain), yes and no, true and false, or nothing.

    Args:
        column: The cells.
        uncertain: What -1 counts as: "zeros", "ones" or "ignore".
        blank: What an empty cell means.
        decimal: Which mark stands before the fraction: ``1,0`` is read where the column agrees.

    >>> findings(["1", "0", "-1", "", "?"], uncertain="ones").values.tolist()
    [1.0, 0.0, 1.0, nan, nan]
    >>> findings(["1,0", "0,0", "yes"], uncertain="ones").values.tolist()
    [1.0, 0.0, 1.0]
    """
    place, distinct = pd.factorize(np.array(list(column), dtype=object), use_na_sentinel=False)
    texts = [str(cell) for cell in distinct]
    empty = np.array([is_empty(text) for text in texts], bool)
    truths = [cells.truth(text) for text in texts]
    # Numbers are judged with all their repetitions: two cells at least must show a convention.
    plain = ["" if truths[each] is not None else texts[each] for each in place.tolist()]
    written = cells.numbers(plain, decimal=decimal).values
    numbers = np.full(len(texts), np.nan)
    numbers[place] = written
    third = {"zeros": 0.0, "ones": 1.0, "ignore": float("nan")}[uncertain]
    means = {1.0: 1.0, 0.0: 0.0, -1.0: third}
    value = np.array(
        [
            blank if none else float(truth) if truth is not None else means.get(float(number), np.nan)
            for none, truth, number in zip(empty, truths, numbers.tolist(), strict=True)
        ],
        np.float64,
    )
    understood = empty | np.array([truth is not None for truth in truths], bool) | np.isin(numbers, list(means))
    return Findings(value[place], np.flatnonzero(~understood[place]), int((~empty[place]).sum()))


def is_empty(cell: str) -> bool:
    """Tell a cell of a column of findings that gives none."""
    return cells.is_nothing(cell) or readers.is_missing_label(cell)


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
    by_key = {plain(str(column)): str(column) for column in reversed(table.columns)}
    return next((by_key[plain(name)] for name in names if plain(name) in by_key), None)


def canonical(names: Sequence[str], meant: Sequence[str]) -> dict[str, str]:
    """Return column -> the name that a format gives it, whatever its case and separators; the first of two.

    >>> canonical(["patient id", "Patient_ID", "note"], ("Patient ID",))
    {'patient id': 'Patient ID'}
    """
    known = {plain(name): name for name in meant}
    found: dict[str, str] = {}
    for name in names:
        meaning = known.get(plain(name))
        if meaning is not None and meaning not in found.values():
            found[name] = meaning
    return found


def attributes(row: dict[str, str], columns: dict[str, str]) -> dict[str, object]:
    """Return the attributes that a row's cells give; what cannot be understood counts as missing."""
    found = {name: attribute(name, row[column]) for name, column in columns.items()}
    return {name: value for name, value in found.items() if value is not None}


def attribute(name: str, cell: str) -> object:
    """Return the value of a cell: ages in years, sex as F or M, views as PA, AP or LATERAL.

    >>> attribute("age", "058Y"), attribute("sex", "Female"), attribute("view", "?")
    (58.0, 'F', None)
    """
    text = cell.strip()
    if name == "age":
        return age_years(text)
    if name == "subtlety":
        return number(text)
    if name == "device_mark":
        return cells.truth(text)
    if name in ("sex", "view"):
        return (_SEXES if name == "sex" else VIEWS).get(text.lower())
    return text or None


def attribute_columns(table: pd.DataFrame) -> dict[str, str]:
    """Return attribute -> column, for those that the table has."""
    found = {name: choose(table, spellings, None, where="", option="") for name, spellings in ATTRIBUTE_COLUMNS.items()}
    return {name: column for name, column in found.items() if column is not None}


def not_understood(table: pd.DataFrame, columns: dict[str, str]) -> list[str]:
    """Say which cells of attributes count as missing because they are not understood."""
    notes = []
    for name, column in columns.items():
        odd = [
            (line, cell)
            for line, cell in zip(table.index.tolist(), table[column].tolist(), strict=True)
            if attribute(name, cell) is None
            and cell.strip().lower() not in _OPEN
            and not readers.is_missing_label(cell)
        ]
        if odd:
            line, cell = odd[0]
            notes.append(f"column {column!r}: {len(odd):,} cells count as missing, the first in row {line}: {cell!r}")
    return notes


def with_points(table: pd.DataFrame, columns: dict[str, str], *, decimal: cells.Decimal) -> pd.DataFrame:
    """Return the table with points for the decimal commas of its ages, where all of these agree."""
    column = columns.get("age")
    if column is None or not table[column].str.contains(",").any():
        return table
    written = cells.numbers(table[column].tolist(), decimal=decimal)
    if written.wrong.size:
        return table
    return table.assign(**{column: ["" if np.isnan(value) else f"{value:g}" for value in written.values]})


def age_years(text: str) -> float | None:
    """Return an age as DICOM and NIH write it (058Y, 006M) or as a number, in years."""
    match = _AGE.fullmatch(text)
    if match is None:
        return None
    years = float(match["number"]) * YEARS[match["unit"].upper()]
    return years if years <= _OLDEST else None


def number(text: str) -> float | None:
    """Return a number, or None where the text is none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def patients(column: Sequence[str]) -> list[str]:
    """Return the ids of a column, ``""`` where a cell names nobody.

    Words for nothing are ids where all the others are letters, too: initials. Whole numbers that a program wrote as
    fractions (12.0) are those numbers.

    >>> patients([" p1 ", "NaN", "Unknown"]), patients(["NA", "AB", "CD"]), patients(["12.0", "7.0", ""])
    (['p1', '', ''], ['NA', 'AB', 'CD'], ['12', '7', ''])
    """
    bare = [cell.strip() for cell in column]
    named = [cell for cell in bare if not _is_nobody(cell)]
    longest = max(map(len, named), default=0) if len(named) > 1 and all(cell.isalpha() for cell in named) else 0
    if named and all(_WHOLE.fullmatch(cell) for cell in named):
        bare = [cell.split(".")[0] if cell in named else cell for cell in bare]
    return [cell if len(cell) <= longest or not _is_nobody(cell) else "" for cell in bare]


def plain(name: str) -> str:
    """Return what names of columns are compared by: letters and digits, whatever their case."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _is_nobody(cell: str) -> bool:
    return readers.is_missing_label(cell) or readers.label_key(cell) in _NOBODY
