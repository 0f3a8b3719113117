"""Which column of a table plays which role: by its name first, and never silently by its content.

A column whose name says its role keeps it, and cells that fail are bad rows. Where no column is named as the label,
the columns of 1 and 0 are the findings; that is a guess, and noted.
"""

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from apps.medical_imaging import readers
from apps.medical_imaging.readers import cells, table_files
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
    "image_name",
    "img",
)
LABEL_COLUMNS = ("label", "class", "diagnosis", "finding", "target", "category", "labels", "class_name")
PATIENT_COLUMNS = ("patient", "patient_id", "patientid", "subject", "subject_id", "person_id")
PART_COLUMNS = ("part", "split", "set", "subset", "dataset_type")
# What else may be meant by these names, where no cell is a part.
_MAY_BE_OTHER = frozenset(("set", "subset", "datasettype"))
# Names that say that a column is a finding, whatever is in it.
FINDINGS = frozenset(
    cells.plain(name)
    for name in (
        *readers.NIH_FINDINGS,
        *readers.CHEXPERT_FINDINGS,
        *("normal", "covid", "covid19", "tuberculosis", "nodules", "opacity", "infiltrate", "infiltrates", "abnormal"),
    )
)
SYNTHETIC = "synthetic"
# A column of which so many cells are 1 or 0 is meant as a finding; the others are slips.
_MOSTLY = 0.8
_SHOWN = 5


class Added(NamedTuple):
    """Columns that a table of a known format has besides the format's own.

    Attributes:
        patient: That of patient ids, or None.
        part: That of official parts, or None.
        patients: The patient of each row, ``""`` where none is roles_of.
        parts: The official part of each row, likewise.
        words: Column -> its role, in words.
    """

    patient: str | None
    part: str | None
    patients: list[str]
    parts: list[str]
    words: dict[str, str]


class Roles(NamedTuple):
    """The columns of a table.

    Attributes:
        image: That of the images.
        patient: That of patient ids, or None.
        part: That of official parts, or None.
        known: Attribute -> column.
        chosen: That of classes, or those of findings; empty where no labels are wanted.
        guessed: Whether the findings were told by their content.
        words: Column -> its role, in words, in the order of the table.
        notes: What was guessed and what is not read.
    """

    image: str
    patient: str | None
    part: str | None
    known: dict[str, str]
    chosen: tuple[str, ...]
    guessed: bool
    words: dict[str, str]
    notes: tuple[str, ...]


def roles(table: pd.DataFrame, options: readers.Options, *, path: pathlib.Path) -> Roles:
    """Find the roles of a table's columns.

    Raises:
        errors.InputError: No column of images or labels is found, or one holds what is no text or number.
    """
    where = str(path)
    image = cells.choose(table, IMAGE_COLUMNS, options.image_column, where=where, option="--image-column")
    if image is None:
        columns = ", ".join(map(str, table.columns))
        raise errors.InputError(f"{path}: expected a column of image paths, or --image-column. Received: {columns}")
    patient = cells.choose(table, PATIENT_COLUMNS, options.patient_column, where=where, option="--patient-column")
    known = cells.attribute_columns(table)
    roles_of = {image: "image", **({patient: "patient"} if patient else {})}
    roles_of |= {column: f"attribute: {name}" for name, column in known.items() if column not in roles_of}
    part, roles_of = _part(table, roles_of, options, where=where)
    chosen, guessed, roles_of = _labels(table, roles_of, options, where=where)
    _refuse_strange(table, [image, *filter(None, (patient, part)), *chosen], where=where)
    strange = table.attrs.get(table_files.STRANGE, {})
    words = {
        str(column): roles_of.get(str(column), f"not read: {strange.get(column, 'its name says no role')}")
        for column in table.columns
    }
    understood = cells.with_points(table, known, decimal=options.decimal)
    notes = (*_notes(words, chosen, where=path.name, guessed=guessed), *cells.not_understood(understood, known))
    return Roles(image, patient, part, known, chosen, guessed, words, notes)


def added(table: pd.DataFrame, options: readers.Options, *, where: str) -> Added:
    """Return patients and official parts that users join to a table of a known format (MIMIC-CXR: subject_id, split).

    Raises:
        errors.InputError: The column of patients that was named is missing, or a cell of a part column is no part.
    """
    patient = cells.choose(table, PATIENT_COLUMNS, options.patient_column, where=where, option="--patient-column")
    part, words = _part(table, {patient: "patient"} if patient else {}, options, where=where)
    none = [""] * len(table)
    return Added(
        patient=patient,
        part=part,
        patients=cells.patients(table[patient].tolist()) if patient else none,
        parts=[readers.part_of(cell) for cell in table[part]] if part else none,
        words=words,
    )


def _part(
    table: pd.DataFrame, roles_of: dict[str, str], options: readers.Options, *, where: str
) -> tuple[str | None, dict[str, str]]:
    """Return the column of official parts.

    Raises:
        errors.InputError: A cell of it is neither a part nor empty.
    """
    column = cells.choose(table, PART_COLUMNS, None, where=where, option="")
    if column is None or column in roles_of or column in options.label_columns:
        return None, roles_of
    filled = [(line, cell) for line, cell in table[column].items() if cell.strip()]
    wrong = [(line, cell) for line, cell in filled if not readers.part_of(cell)]
    if not filled or (len(wrong) == len(filled) and cells.plain(column) in _MAY_BE_OTHER):
        why = (
            "it is empty" if not filled else f"none of its cells is train, validation or test, such as {wrong[0][1]!r}"
        )
        return None, roles_of | {column: f"not read: {why}"}
    if wrong and not (options.parts and options.labelled):
        return None, roles_of | {column: f"not read: {wrong[0][1]!r} is no part"}
    if wrong:
        line, cell = wrong[0]
        raise errors.InputError(
            f"{where}: row {line}, column {column!r}: expected train, validation or test (--split-file gives parts of "
            f"your own instead). Received: {cell!r}"
        )
    return column, roles_of | {column: "official part"}


def _labels(
    table: pd.DataFrame, roles_of: dict[str, str], options: readers.Options, *, where: str
) -> tuple[tuple[str, ...], bool, dict[str, str]]:
    """Return the one column of classes, or the columns of findings, whether by their content, and all roles.

    Raises:
        errors.InputError: There is none, or one that was named is missing.
    """
    if not options.labelled:
        rest = {str(column): "not read: no labels are needed" for column in table.columns if column not in roles_of}
        return (), False, roles_of | rest
    if options.label_columns:
        chosen = tuple(
            str(cells.choose(table, (), name, where=where, option="--label-columns")) for name in options.label_columns
        )
        return chosen, False, roles_of | dict.fromkeys(chosen, "label" if len(chosen) == 1 else "label: finding")
    one = cells.choose(table, LABEL_COLUMNS, None, where=where, option="")
    if one is not None and one not in roles_of:
        rest = {str(column): f"not read: the label is {one!r}" for column in table.columns if column not in roles_of}
        return (one,), False, roles_of | rest | {one: "label"}
    return _by_content(table, roles_of, options, where=where)


def _by_content(
    table: pd.DataFrame, roles_of: dict[str, str], options: readers.Options, *, where: str
) -> tuple[tuple[str, ...], bool, dict[str, str]]:
    rest = [str(column) for column in table.columns if column not in roles_of and column != SYNTHETIC]
    why = {column: _unlike_findings(column, table[column].tolist(), options) for column in rest}
    chosen = tuple(column for column in rest if not why[column])
    if not chosen:
        raise errors.InputError(
            f"{where}: expected a label column ({', '.join(LABEL_COLUMNS)}), columns of 1 and 0, or "
            f"--label-columns. Received: {', '.join(map(str, table.columns))}"
        )
    words = {column: f"not read: {reason}" for column, reason in why.items() if reason}
    return chosen, True, roles_of | words | dict.fromkeys(chosen, "label" if len(chosen) == 1 else "label: finding")


def _unlike_findings(name: str, column: Sequence[str], options: readers.Options) -> str:
    """Say why a column holds no findings; nothing where it does, though some cells may be slips."""
    found = cells.findings(column, uncertain="zeros", decimal=options.decimal)
    right = found.filled - found.wrong.size
    if not found.filled:
        return "it is empty"
    if cells.plain(name) in FINDINGS:
        return ""
    odd = {column[place].strip() for place in found.wrong.tolist()}
    certain = cells.findings(column, uncertain="ignore", decimal=options.decimal).values
    if not odd:
        return "" if ((certain == 0) | (certain == 1)).any() else "no cell is 1 or 0"
    counting = len(odd) > 1 and all(cells.number(cell) is not None for cell in odd)
    if right >= _MOSTLY * found.filled and not counting:
        return ""
    return f"{found.wrong.size:,} of {found.filled:,} cells are neither 1 nor 0, such as {readers.excerpt(min(odd))!r}"


def _refuse_strange(table: pd.DataFrame, used: Sequence[str], *, where: str) -> None:
    strange = table.attrs.get(table_files.STRANGE, {})
    wrong = next((column for column in used if column in strange), None)
    if wrong is not None:
        raise errors.InputError(f"{where}, column {wrong!r}: expected text or numbers. Received: {strange[wrong]}")


def _notes(words: dict[str, str], chosen: Sequence[str], *, where: str, guessed: bool) -> list[str]:
    if not guessed:
        return []
    names = ", ".join(chosen)
    roles_of = [
        f"{where}: no column is named label, so the columns of 1 and 0 are the labels: {names} (--label-columns)"
    ]
    unread = [f"{column} ({role.removeprefix('not read: ')})" for column, role in words.items() if "not read" in role]
    more = f" and {len(unread) - _SHOWN} more" if len(unread) > _SHOWN else ""
    return (
        [*roles_of, f"{where}: columns that are not read: {'; '.join(unread[:_SHOWN])}{more}"] if unread else roles_of
    )
