"""A table that names images, their labels and patients: csv, tsv or parquet."""

import collections
import math
import os
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from apps.medical_imaging import readers
from apps.medical_imaging.readers import cells, columns, file_types, folders, table_files
from shared import files
from shared.sources import cells as values
from shared.sources import folders as listings

_NAN = float("nan")
# A label that so few of the rows have, and that says that the label is not known, is a slip and no class.
_RARE = 0.02
_FEWEST_ROWS = 4
# Why an image is not used whose one finding is neither present nor absent.
_UNCERTAIN = "uncertain"
_NOT_KNOWN = frozenset(("pending", "tbd", "todo", "unknown", "not known", "unlabelled", "unlabeled", "error"))


class RowLabel(NamedTuple):
    """The label of one row: class or findings, and what is wrong with them."""

    label: str | None
    findings: tuple[float, ...] | None
    problem: str


def read(
    path: pathlib.Path, *, options: readers.Options, name: str | None = None, folder: pathlib.Path | None = None
) -> readers.Source:
    """Read a table with a column of image paths, relative to its folder.

    One label column gives a class per image; several columns of 1, 0, -1 and nothing give findings.

    Args:
        path: The table.
        options: How to read it.
        name: How to name the source; its own name otherwise.
        folder: The folder that was given as the source, if one was: its other files are counted.

    Raises:
        errors.InputError: No column of images or labels is found, or a cell of a part column is no part.
    """
    table, broken = table_files.read(path)
    found = columns.roles(table, options, path=path)
    table = cells.with_points(table, found.known, decimal=options.decimal)
    row_labels = _row_labels(table, found, options)
    patients = cells.patients(table[found.patient].tolist()) if found.patient else [""] * len(table)
    made = [
        _entry(line, row, label, patient, path=path, found=found)
        for (line, row), label, patient in zip(table_files.rows(table), row_labels, patients, strict=True)
    ]
    notes = [*found.notes, *_unread([entry.item for entry in made], path, folder, options)]
    kept = [entry for entry in made if entry.problem != _UNCERTAIN]
    if len(kept) < len(made):
        left = len(made) - len(kept)
        notes.append(f"{left:,} images are not used: whether they show {found.chosen[0]} is uncertain")
    synthetic = columns.SYNTHETIC in table.columns and bool((table[columns.SYNTHETIC] == str(True)).any())
    return readers.Source(
        name=name or path.stem,
        entries=[*kept, *broken],
        findings=found.chosen if len(found.chosen) > 1 else (),
        notes=tuple(notes),
        synthetic=synthetic,
        columns=found.words,
    )


def locate(cell: str, folder: pathlib.Path) -> pathlib.Path | None:
    """Return the file that a cell names: as it stands, below the table's folder, or below its ``images``."""
    if not cell.strip():
        return None
    path = pathlib.PurePath(cell.strip().replace("\\", "/"))
    bases = (folder, folder / "images", folder.parent)
    for base in bases:
        for suffix in ("", *file_types.SUFFIXES):
            candidate = base / f"{path}{suffix}"
            # Unlike Path.is_file, this takes names that are too long for the file system.
            if os.path.isfile(candidate):
                return candidate
    return None


def _entry(
    line: int, row: dict[str, str], label: RowLabel, patient: str, *, path: pathlib.Path, found: columns.Roles
) -> readers.Entry:
    cell = row[found.image]
    item = locate(cell, path.parent)
    identity = folders.Identity("", {})
    problem = f"no such image: {readers.excerpt(cell)!r}" if cell.strip() else "missing image"
    if item is not None:
        identity = folders.identify(item, pathlib.PurePath(cell.strip().replace("\\", "/")))
        problem = label.problem or identity.problem
    return readers.Entry(
        name=cell,
        item=item or path,
        file=files.printable(path),
        row=line,
        label=label.label,
        findings=label.findings,
        patient=patient or identity.patient,
        part=readers.part_of(row[found.part]) if found.part else "",
        attributes={**identity.attributes, **cells.attributes(row, found.known)},
        problem=problem,
    )


def _row_labels(table: pd.DataFrame, found: columns.Roles, options: readers.Options) -> list[RowLabel]:
    """Return the label of each row."""
    if not found.chosen:
        return [RowLabel(None, None, "")] * len(table)
    if len(found.chosen) == 1 and not found.guessed:
        return _classes(found.chosen[0], table[found.chosen[0]].tolist())
    read = {
        name: cells.findings(table[name].tolist(), uncertain=options.uncertain, decimal=options.decimal)
        for name in found.chosen
    }
    wrong = {name: set(column.wrong.tolist()) for name, column in read.items()}
    rows = []
    for place in range(len(table)):
        slip = next((name for name in found.chosen if place in wrong[name]), None)
        problem = "" if slip is None else not_a_finding(slip, table[slip].iloc[place])
        rows.append(RowLabel(None, tuple(float(column.values[place]) for column in read.values()), problem))
    return rows if len(found.chosen) > 1 else _one(rows, table[found.chosen[0]].tolist())


def not_a_finding(column: str, cell: str) -> str:
    """Say that a cell of a column of findings means nothing."""
    return (
        f"column {column!r}: expected 1, 0, -1, yes or no, true or false, or nothing (--label-columns names the "
        f"columns of labels). Received: {readers.excerpt(cell)!r}"
    )


def _one(rows: Sequence[RowLabel], column: Sequence[str]) -> list[RowLabel]:
    """Make classes of the one column of findings, called as its cells are."""
    spelled: dict[float, str] = {}
    made = []
    for read, cell in zip(rows, column, strict=True):
        value = read.findings[0] if read.findings else _NAN
        if read.problem or math.isnan(value):
            known = read.problem or cells.is_empty(cell)
            made.append(RowLabel(None, None, read.problem if known else _UNCERTAIN))
        else:
            name = spelled.setdefault(value, cell.strip() if cell.strip().isalpha() else f"{value:g}")
            made.append(RowLabel(name, None, ""))
    return made


def _classes(name: str, column: Sequence[str]) -> list[RowLabel]:
    counts = collections.Counter(readers.label_key(cell) for cell in column if not readers.is_missing_label(cell))
    return [_class(name, cell, counts) for cell in column]


def _class(name: str, cell: str, counts: collections.Counter[str]) -> RowLabel:
    """Return the class that a cell names."""
    said, key = cell.strip(), readers.label_key(cell)
    if len(said.splitlines()) > 1:
        shown = readers.excerpt(said)
        return RowLabel(None, None, f"the label {shown!r} has several lines: a quotation mark may not be closed")
    if readers.is_missing_label(said):
        return RowLabel(None, None, "")
    problem = _no_class(key, counts)
    return RowLabel(said, None, f"column {name!r}: expected {problem}. Received: {said!r}" if problem else "")


def _no_class(key: str, counts: collections.Counter[str]) -> str:
    """Say what was expected instead of a label that no class can mean; nothing for others."""
    few = max(1, _RARE * counts.total())
    if counts[key] > few or counts.total() < _FEWEST_ROWS:
        return ""
    if key in _NOT_KNOWN or not any(letter.isalnum() for letter in key):
        return "the name of a class"
    for is_usual, expected in ((_is_number, "a number"), (_is_truth, "yes or no, true or false")):
        others = sum(count for name, count in counts.items() if not is_usual(name))
        if not is_usual(key) and others <= few:
            return f"{expected}, as in the other rows"
    return ""


def _is_number(key: str) -> bool:
    return cells.number(key) is not None


def _is_truth(key: str) -> bool:
    return values.truth(key) is not None


def _unread(
    items: Sequence[readers.Item], path: pathlib.Path, folder: pathlib.Path | None, options: readers.Options
) -> list[str]:
    """Say which files beside the images that a table names are not read."""
    if folder is None:
        parents = {item.parent for item in items if isinstance(item, pathlib.Path) and item != path}
        return folders.unlisted(items, [file for parent in sorted(parents) for file in sorted(parent.iterdir())])
    listed = listings.listing(folder, follow_links=options.follow_links)
    return [*listed.notes, *folders.not_read(listed.files, items, tables=[path])]
