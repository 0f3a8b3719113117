"""CheXpert (Irvin et al. 2019): tables with a column ``Path`` and the findings, whatever their name; -1 is uncertain.

The release has ``train.csv`` and ``valid.csv``; others bring ``test.csv`` or labels made anew (``train_cheXbert.csv``).
"""

import os
import pathlib
import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from apps.medical_imaging import readers
from apps.medical_imaging.readers import cells, columns, file_types, folders, table_files, tables
from shared import errors, files
from shared.sources import folders as listings

FINDINGS = readers.CHEXPERT_FINDINGS
NAMES = ("train.csv", "valid.csv", "test.csv")
_COLUMNS = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *FINDINGS)
# Under another name a table with a column Path is CheXpert's where it has its view columns or most of its findings.
_VIEWS = ("Frontal/Lateral", "AP/PA")
_MOST = 10
_PATIENT = re.compile(r"patient\d+")
_BLANK = "in CheXpert a finding that the report does not mention counts as absent"


def found_in(folder: pathlib.Path) -> list[pathlib.Path]:
    """Return the tables of a CheXpert folder; nothing for another folder."""
    every = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in file_types.TABLES and path.is_file()]
    return [path for path in every if is_chexpert(path)]


def is_chexpert(path: pathlib.Path) -> bool:
    """Tell a table of CheXpert by its columns."""
    names = set(cells.canonical(table_files.header(path), _COLUMNS).values())
    held = len(names & set(FINDINGS))
    return "Path" in names and (
        bool(held and names & set(_VIEWS)) or held >= _MOST or bool(held and path.name in NAMES)
    )


def read(path: pathlib.Path, *, options: readers.Options) -> readers.Source:
    """Read all tables of a folder, or one table.

    Raises:
        errors.InputError: There is none, or it lacks a finding that was asked for.
    """
    paths = [path] if path.is_file() else found_in(path)
    if not paths:
        raise errors.InputError(f"{path}: expected a table with the columns Path and those of findings. Received: none")
    read_ones = [(each, *_table(each)) for each in paths]
    chosen = _chosen([table for _, table, _ in read_ones], options, where=str(path))
    found = [entry for each, table, _ in read_ones for entry in _entries(each, table, chosen, options)]
    found += [entry for _, _, broken in read_ones for entry in broken]
    words: dict[str, str] = {}
    for each, table, _ in read_ones:
        words |= _roles(table, chosen if options.labelled else (), columns.added(table, options, where=str(each)))
    notes = [_BLANK, *_unread(path, paths, found, options)]
    missing = [name for name in FINDINGS if not options.label_columns and name not in chosen]
    if missing:
        notes.append(f"the tables have no column {', '.join(missing)}")
    name = path.resolve().name if path.is_dir() else path.stem
    return table_files.source_of_findings(name, found, chosen, columns=words, notes=tuple(notes))


def _table(path: pathlib.Path) -> tuple[pd.DataFrame, list[readers.Entry]]:
    table, broken = table_files.read(path)
    return table.rename(columns=cells.canonical([str(column) for column in table.columns], _COLUMNS)), broken


def _chosen(read: Sequence[pd.DataFrame], options: readers.Options, *, where: str) -> tuple[str, ...]:
    """Return the findings to use: those the user named, or all that the tables have."""
    if options.label_columns or not options.labelled:
        chosen = table_files.chosen_findings(options, FINDINGS, where=where)
    else:
        chosen = tuple(name for name in FINDINGS if any(name in table.columns for table in read))
    for table in read:
        table_files.require_columns(table, ("Path", *(chosen if options.labelled else ())), where=where)
    return chosen


def _entries(
    path: pathlib.Path, table: pd.DataFrame, chosen: tuple[str, ...], options: readers.Options
) -> list[readers.Entry]:
    names = [name for name in chosen if name in table.columns]
    read = [
        cells.findings(table[name].tolist(), uncertain=options.uncertain, blank=0.0, decimal=options.decimal)
        for name in names
    ]
    wrong = [set(column.wrong.tolist()) for column in read]
    values = np.stack([column.values for column in read], axis=1) if read else np.zeros((len(table), 0))
    found = []
    added = columns.added(table, options, where=str(path))
    for place, (line, row) in enumerate(table_files.rows(table)):
        item = _locate(row["Path"], path.parent)
        slip = next((name for name, places in zip(names, wrong, strict=True) if place in places), None)
        problem = "" if item else f"no such image: {readers.excerpt(row['Path'])!r}"
        if slip is not None and options.labelled:
            problem = tables.not_a_finding(slip, row[slip])
        entry = readers.Entry(
            name=row["Path"],
            item=item or path,
            file=files.printable(path),
            row=line,
            patient=added.patients[place] or _patient(row["Path"]),
            part=added.parts[place] or _part(path, row["Path"]),
            attributes=_attributes(row),
            problem=problem,
        )
        found.append(table_files.with_findings(entry, tuple(values[place].tolist()), chosen, options=options))
    return found


def _patient(cell: str) -> str:
    """Return the patient in a path: patient00001 of CheXpert, p10000032 of MIMIC-CXR."""
    match = _PATIENT.search(cell)
    return match[0] if match else folders.read_place(pathlib.PurePosixPath(cell.strip())).patient


def _part(table: pathlib.Path, cell: str) -> str:
    """Return the part in the name of a table, or else the folder of the image."""
    part = readers.part_in_words(table.stem)
    if part:
        return part
    folders_above = pathlib.PurePosixPath(cell.strip()).parts[:-1]
    return next((readers.part_of(name) for name in folders_above if readers.part_of(name)), "")


def _attributes(row: dict[str, str]) -> dict[str, object]:
    """Return sex, age and view: AP or PA where frontal."""
    side = row.get("Frontal/Lateral", "")
    view = "lateral" if side.lower() == "lateral" else row.get("AP/PA", "")
    given = {"sex": row.get("Sex", ""), "age": row.get("Age", ""), "view": view}
    return cells.attributes(given, {name: name for name in given})


def _roles(table: pd.DataFrame, chosen: Sequence[str], added: columns.Added) -> dict[str, str]:
    rest = [word for word, column in (("patient", added.patient), ("part", added.part)) if column is None]
    known = {
        **added.words,
        "Path": " and ".join(filter(None, (", ".join(["image", *rest[:-1]]), *rest[-1:]))),
        "Sex": "attribute: sex",
        "Age": "attribute: age",
        **dict.fromkeys(_VIEWS, "attribute: view"),
    }
    return table_files.roles_of_findings(table, known, chosen)


def _locate(cell: str, folder: pathlib.Path) -> pathlib.Path | None:
    """Return the file: paths begin with the name of the release, ``CheXpert-v1.0-small/``."""
    parts = pathlib.PurePosixPath(cell.strip()).parts
    inside = [folder.joinpath(*parts[skip:]) for skip in range(min(len(parts), 3))]
    # A folder that was renamed comes before another release beside it.
    candidates = [*inside[:2], folder.parent.joinpath(*parts), *inside[2:]]
    return next((path for path in candidates if os.path.isfile(path)), None)


def _unread(
    source: pathlib.Path, read: Sequence[pathlib.Path], found: Sequence[readers.Entry], options: readers.Options
) -> list[str]:
    """Say which images of the folder are in no table, and which other files are not read."""
    if source.is_file():
        return []
    listed = listings.listing(source, follow_links=options.follow_links)
    return [*listed.notes, *folders.not_read(listed.files, [entry.item for entry in found], tables=read)]
