"""NIH ChestX-ray14 (Wang et al. 2017): ``Data_Entry_2017*.csv``, its lists of parts, and its boxes."""

import collections
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from apps.medical_imaging import readers
from apps.medical_imaging.readers import cells, columns, folders, table_files
from shared import errors, files
from shared.sources import folders as listings

PATTERN = "Data_Entry_2017*.csv"
FINDINGS = readers.NIH_FINDINGS
NO_FINDING = "No Finding"
BOXES = "BBox_List_2017.csv"
_COLUMNS = ("Image Index", "Finding Labels", "Patient ID")
# train_val_list.txt and test_list.txt as released; others divide the first.
_LIST = re.compile(r"(?P<part>train_?val|train|val|validation|test)_list.*\.txt", re.IGNORECASE)
# The boxes were drawn on the released images, which are 1,024 pixels wide and high.
_SIDE = 1024
# 00000013_005.png is an image of the patient whose id is 13.
_NAME = re.compile(r"0*(?P<patient>\d+)_\d+\.png")


class _Places(NamedTuple):
    """Where the images of a folder are, by name; and what is to be known of them."""

    files: Mapping[str, pathlib.Path]
    notes: list[str]


def found_in(folder: pathlib.Path) -> pathlib.Path | None:
    """Return the table of an NIH folder, by its name or its columns; None for another folder."""
    named = sorted(folder.glob(PATTERN))
    others = [path for path in sorted(folder.glob("*.csv")) if is_nih(path)]
    return next(iter([*named, *others]), None)


def is_nih(path: pathlib.Path) -> bool:
    """Tell a table of NIH ChestX-ray14 by its columns."""
    return set(_COLUMNS) <= set(cells.canonical(table_files.header(path), _COLUMNS).values())


def read(path: pathlib.Path, *, options: readers.Options) -> readers.Source:
    """Read a table, or the folder that holds it; images are found by name in any folder below.

    Raises:
        errors.InputError: The table is missing or lacks a column, lists contradict each other, or an image that the
            table names is in two folders.
    """
    folder = path.parent if path.is_file() else path
    table_path = path if path.is_file() else found_in(path)
    if table_path is None:
        raise errors.InputError(f"{folder}: expected a table {PATTERN}. Received: none")
    table, found = table_files.read(table_path)
    table = table.rename(columns=cells.canonical([str(column) for column in table.columns], _COLUMNS))
    table_files.require_columns(table, _COLUMNS, where=str(table_path))
    chosen = table_files.chosen_findings(options, FINDINGS, where=str(table_path))
    listed = listings.listing(folder, follow_links=options.follow_links)
    names = [name.strip() for name in table["Image Index"]]
    places = _places(listed.files, set(names), folder)
    parts, about_parts = _parts(folder, set(names))
    boxes = _boxes(folder, chosen)
    known = cells.attribute_columns(table)
    patients = cells.patients(table["Patient ID"].tolist())
    added = columns.added(table, options, where=str(table_path))
    for (line, row), name, patient, part in zip(table_files.rows(table), names, patients, added.parts, strict=True):
        values, problem = _values(row["Finding Labels"], chosen)
        item = places.files.get(name)
        entry = readers.Entry(
            name=name,
            item=item or table_path,
            file=files.printable(table_path),
            row=line,
            patient=patient or _patient_of(name),
            part=parts.get(name, part),
            attributes=cells.attributes(row, known),
            boxes=boxes.get(name),
            problem=(problem if options.labelled else "")
            or ("" if item else f"no such image: {readers.excerpt(name)!r}"),
        )
        found.append(table_files.with_findings(entry, values, chosen, options=options))
    read_too = [path for path in listed.files if path in (table_path, folder / BOXES) or _LIST.fullmatch(path.name)]
    notes = [*listed.notes, *places.notes, *about_parts, *cells.not_understood(table, known)]
    notes += folders.not_read(listed.files, [entry.item for entry in found], tables=read_too)
    label_columns = ["Finding Labels"] if options.labelled else []
    words = table_files.roles_of_findings(table, added.words | _roles(known), label_columns)
    return table_files.source_of_findings(folder.resolve().name, found, chosen, columns=words, notes=tuple(notes))


def _roles(known: Mapping[str, str]) -> dict[str, str]:
    attributes = {column: f"attribute: {name}" for name, column in known.items()}
    return attributes | {"Image Index": "image", "Patient ID": "patient"}


def _places(paths: Sequence[pathlib.Path], wanted: set[str], folder: pathlib.Path) -> _Places:
    """Find the images that a table names.

    Raises:
        errors.InputError: Two files have the name of one image, and hold something else.
    """
    found: dict[str, list[pathlib.Path]] = collections.defaultdict(list)
    for path in paths:
        if path.name in wanted:
            found[path.name].append(path)
    twice = {name: paths for name, paths in found.items() if len(paths) > 1}
    for name, paths in twice.items():
        if len({path.read_bytes() for path in paths}) > 1:
            where = " and ".join(str(path.relative_to(folder)) for path in paths[:2])
            raise errors.InputError(f"{folder}: expected one file of the name {name}. Received: {where}, which differ")
    note = f"{len(twice):,} images lie in several folders, each time the same: one of each is read"
    return _Places({name: paths[0] for name, paths in found.items()}, [note] if twice else [])


def _values(cell: str, chosen: tuple[str, ...]) -> tuple[tuple[float, ...], str]:
    """Return the findings of a cell such as ``Effusion|Mass``, and what is wrong with it."""
    named = {name.strip() for name in cell.split("|") if not readers.is_missing_label(name)}
    unknown = named - {*FINDINGS, NO_FINDING}
    problem = (
        f"unknown finding {readers.excerpt(sorted(unknown)[0])!r}" if unknown else "" if named else "missing label"
    )
    if not problem and NO_FINDING in named and len(named) > 1:
        problem = f"column 'Finding Labels': expected {NO_FINDING!r} alone. Received: {readers.excerpt(cell)!r}"
    return tuple(float(name in named) for name in chosen), problem


def _patient_of(name: str) -> str:
    match = _NAME.fullmatch(name)
    return match["patient"] if match else ""


def _parts(folder: pathlib.Path, names: set[str]) -> tuple[dict[str, str], list[str]]:
    """Return the part of each image by the lists of the folder, and what is to be known of these.

    Raises:
        errors.InputError: Two lists of different parts name one image.
    """
    lists = [path for path in sorted(folder.glob("*.txt")) if _LIST.fullmatch(path.name)]
    # train_val holds both train and validation: what has a list of its own is settled before.
    lists.sort(key=lambda path: _part_of_list(path) == "")
    found: dict[str, str] = {}
    for path in lists:
        part = _part_of_list(path)
        for name in path.read_text(encoding="utf-8-sig").split():
            before = found.setdefault(name, part or "train")
            if before != part and (part or before == "test"):
                raise errors.InputError(
                    f"{path}: expected {name} in one part only. Received: {before} and {part or 'train'}"
                )
    if not lists:
        return {}, []
    unknown, without = len(set(found) - names), len(names - set(found))
    notes = [f"{unknown:,} images of the lists of parts are not in the table"] if unknown else []
    notes += [f"{without:,} images of the table are in no list of parts"] if without else []
    return found, notes


def _part_of_list(path: pathlib.Path) -> str:
    match = _LIST.fullmatch(path.name)
    return readers.part_of(match["part"]) if match else ""


def _boxes(folder: pathlib.Path, chosen: tuple[str, ...]) -> dict[str, NDArray[np.float32]]:
    """Return the boxes of the chosen findings by image, as fractions of the sides."""
    path = folder / BOXES
    if not path.is_file():
        return {}
    table, broken = table_files.read(path)
    if broken:
        raise errors.InputError(f"{path}, row {broken[0].row}: expected a box. Received: {broken[0].problem}")
    table_files.require_columns(table, ("Image Index", "Finding Label"), where=str(path))
    # In this table the infiltrations are called otherwise.
    names = table["Finding Label"].replace("Infiltrate", "Infiltration")
    sides = table.iloc[:, 2:6].apply(pd.to_numeric, errors="coerce").to_numpy(np.float32) / _SIDE
    corners = np.column_stack([sides[:, :2], sides[:, :2] + sides[:, 2:]])
    keep = names.isin(chosen).to_numpy() & np.isfinite(corners).all(axis=1)
    images = table["Image Index"].to_numpy()
    return {str(name): corners[keep & (images == name)] for name in np.unique(images[keep].astype(str))}
