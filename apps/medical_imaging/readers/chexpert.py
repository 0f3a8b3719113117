"""CheXpert (Irvin et al. 2019): ``train.csv`` and ``valid.csv`` with a column ``Path``; -1 is uncertain."""

import os
import pathlib
import re

from apps.medical_imaging.readers import cells, entries, findings
from shared import errors

TABLES = {"train.csv": "train", "valid.csv": "validation", "test.csv": "test"}
FINDINGS = (
    *("No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema"),
    *("Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other"),
    *("Fracture", "Support Devices"),
)
_PATIENT = re.compile(r"patient\d+")
_BLANK = "in CheXpert a finding that the report does not mention counts as absent"


def tables(folder: pathlib.Path) -> list[pathlib.Path]:
    """Return the tables of a CheXpert folder; nothing for another folder."""
    found = [folder / name for name in TABLES if (folder / name).is_file()]
    return [path for path in found if _is_chexpert(path)]


def read(folder: pathlib.Path, *, options: entries.Options) -> entries.Source:
    """Read all tables of the folder.

    Raises:
        errors.InputError: There is none, or it lacks a finding that was asked for.
    """
    paths = tables(folder)
    if not paths:
        raise errors.InputError(f"{folder}: expected {' or '.join(TABLES)} with a column Path. Received: none")
    chosen = findings.chosen(options, FINDINGS, where=str(folder))
    found = [entry for path in paths for entry in _entries(path, chosen, options)]
    return findings.source(folder.resolve().name, found, chosen, notes=(_BLANK,))


def _entries(path: pathlib.Path, chosen: tuple[str, ...], options: entries.Options) -> list[entries.Entry]:
    table, found = cells.read(path)
    findings.require(table, ("Path", *(chosen if options.labelled else ())), where=str(path))
    for line, row in cells.records(table):
        values = [cells.finding(row[name], uncertain=options.uncertain, blank=0.0) for name in chosen if name in row]
        wrong = [name for name, value in zip(chosen, values, strict=False) if value is None]
        item = _locate(row["Path"], path.parent)
        patient = _PATIENT.search(row["Path"])
        entry = entries.Entry(
            name=row["Path"],
            item=item or path,
            file=str(path),
            row=line,
            patient=patient[0] if patient else "",
            part=TABLES[path.name],
            attributes=_attributes(row),
            problem=f"{wrong[0]} is {entries.excerpt(row[wrong[0]])!r}"
            if wrong
            else ""
            if item
            else f"no such image: {row['Path']!r}",
        )
        found.append(findings.labelled(entry, tuple(value or 0.0 for value in values), chosen, options=options))
    return found


def _attributes(row: dict[str, str]) -> dict[str, object]:
    """Return sex, age and view: AP or PA where frontal."""
    side = row.get("Frontal/Lateral", "")
    view = "lateral" if side.lower() == "lateral" else row.get("AP/PA", "")
    given = {"sex": row.get("Sex", ""), "age": row.get("Age", ""), "view": view}
    return cells.attributes(given, {name: name for name in given})


def _locate(cell: str, folder: pathlib.Path) -> pathlib.Path | None:
    """Return the file: paths begin with the name of the release, ``CheXpert-v1.0-small/``."""
    parts = pathlib.PurePosixPath(cell.strip()).parts
    candidates = [folder.joinpath(*parts[skip:]) for skip in range(min(len(parts), 3))]
    return next((path for path in [folder.parent.joinpath(*parts), *candidates] if os.path.isfile(path)), None)


def _is_chexpert(path: pathlib.Path) -> bool:
    with path.open(encoding="utf-8-sig", errors="replace") as stream:
        header = [name.strip() for name in stream.readline().split(",")]
    return "Path" in header and bool(set(header) & set(FINDINGS))
