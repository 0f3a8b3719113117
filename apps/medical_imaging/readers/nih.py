"""NIH ChestX-ray14 (Wang et al. 2017): ``Data_Entry_2017*.csv``, its lists of parts, and its boxes."""

import pathlib
import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from apps.medical_imaging.readers import cells, entries, findings, labels
from shared import errors

PATTERN = "Data_Entry_2017*.csv"
FINDINGS = (
    *("Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia", "Pneumothorax"),
    *("Consolidation", "Edema", "Emphysema", "Fibrosis", "Pleural_Thickening", "Hernia"),
)
NO_FINDING = "No Finding"
_LISTS = {"train_val_list.txt": "train", "test_list.txt": "test"}
# The boxes were drawn on the released images, which are 1,024 pixels wide and high.
_SIDE = 1024
# 00000013_005.png is an image of the patient whose id is 13.
_NAME = re.compile(r"0*(?P<patient>\d+)_\d+\.png")


def read(folder: pathlib.Path, *, options: entries.Options) -> entries.Source:
    """Read the folder with the table; images are found by name in any folder below it.

    Raises:
        errors.InputError: The table is missing or lacks a column.
    """
    path = next(iter(sorted(folder.glob(PATTERN))), None)
    if path is None:
        raise errors.InputError(f"{folder}: expected a table {PATTERN}. Received: none")
    table, found = cells.read(path)
    findings.require(table, ("Image Index", "Finding Labels", "Patient ID"), where=str(path))
    chosen = findings.chosen(options, FINDINGS, where=str(path))
    places = {found.name: found for found in sorted(folder.rglob("*.png"))}
    parts = _parts(folder)
    boxes = _boxes(folder, chosen)
    known = cells.attribute_columns(table)
    for line, row in cells.records(table):
        name = row["Image Index"].strip()
        values, problem = _values(row["Finding Labels"], chosen)
        item = places.get(name)
        entry = entries.Entry(
            name=name,
            item=item or path,
            file=str(path),
            row=line,
            patient=cells.patient(row["Patient ID"]) or _patient_of(name),
            part=parts.get(name, ""),
            attributes=cells.attributes(row, known),
            boxes=boxes.get(name),
            problem=problem or ("" if item else f"no such image: {entries.excerpt(name)!r}"),
        )
        found.append(findings.labelled(entry, values, chosen, options=options))
    return findings.source(folder.resolve().name, found, chosen)


def _values(cell: str, chosen: tuple[str, ...]) -> tuple[tuple[float, ...], str]:
    """Return the findings of a cell such as ``Effusion|Mass``, and what is wrong with it."""
    said = {name.strip() for name in cell.split("|") if not labels.is_missing(name)}
    unknown = said - {*FINDINGS, NO_FINDING}
    problem = f"unknown finding {entries.excerpt(sorted(unknown)[0])!r}" if unknown else "" if said else "missing label"
    return tuple(float(name in said) for name in chosen), problem


def _patient_of(name: str) -> str:
    match = _NAME.fullmatch(name)
    return match["patient"] if match else ""


def _parts(folder: pathlib.Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, part in _LISTS.items():
        path = folder / name
        if path.is_file():
            found |= dict.fromkeys(path.read_text(encoding="utf-8").split(), part)
    return found


def _boxes(folder: pathlib.Path, chosen: tuple[str, ...]) -> dict[str, NDArray[np.float32]]:
    """Return the boxes of the chosen findings by image, as fractions of the sides."""
    path = folder / "BBox_List_2017.csv"
    if not path.is_file():
        return {}
    table, broken = cells.read(path)
    if broken:
        raise errors.InputError(f"{path}, row {broken[0].row}: expected a box. Received: {broken[0].problem}")
    findings.require(table, ("Image Index", "Finding Label"), where=str(path))
    # In this table the infiltrations are called otherwise.
    names = table["Finding Label"].replace("Infiltrate", "Infiltration")
    sides = table.iloc[:, 2:6].apply(pd.to_numeric, errors="coerce").to_numpy(np.float32) / _SIDE
    corners = np.column_stack([sides[:, :2], sides[:, :2] + sides[:, 2:]])
    keep = names.isin(chosen).to_numpy() & np.isfinite(corners).all(axis=1)
    images = table["Image Index"].to_numpy()
    return {str(name): corners[keep & (images == name)] for name in np.unique(images[keep].astype(str))}
