"""A table that names images, their labels and patients: csv, tsv or parquet."""

import dataclasses
import os
import pathlib
from collections.abc import Sequence

import pandas as pd

from apps.medical_imaging.readers import cells, entries, folders, labels
from shared import errors

_NAN = float("nan")


def read(path: pathlib.Path, *, options: entries.Options, name: str | None = None) -> entries.Source:
    """Read a table with a column of image paths, relative to its folder.

    One label column gives a class per image; several columns of 1, 0, -1 and nothing give findings.

    Raises:
        errors.InputError: No column of images or labels is found.
    """
    table, broken = cells.read(path)
    where = str(path)
    image = cells.choose(table, cells.IMAGE_COLUMNS, options.image_column, where=where, option="image_column")
    if image is None:
        columns = ", ".join(map(str, table.columns))
        raise errors.InputError(f"{path}: expected a column of image paths, or --image-column. Received: {columns}")
    patient = cells.choose(table, cells.PATIENT_COLUMNS, options.patient_column, where=where, option="patient_column")
    part = cells.choose(table, cells.PART_COLUMNS, None, where=where, option="")
    known = cells.attribute_columns(table)
    chosen = label_columns(table, options, taken=[image, patient, part, *known.values()], where=where)
    reader = _Reader(path=path, options=options, image=image, patient=patient, part=part, known=known, chosen=chosen)
    found = [reader.entry(line, row) for line, row in cells.records(table)]
    return entries.Source(
        name=name or path.stem,
        entries=[*found, *broken],
        findings=chosen if len(chosen) > 1 else (),
        synthetic="synthetic" in table.columns and bool((table["synthetic"] == str(True)).any()),
    )


def label_columns(
    table: pd.DataFrame, options: entries.Options, *, taken: Sequence[str | None], where: str
) -> tuple[str, ...]:
    """Return the one column of classes, or the columns of findings; nothing where no labels are wanted.

    Raises:
        errors.InputError: There is none, or one that was named is missing.
    """
    if not options.labelled:
        return ()
    if options.label_columns:
        return tuple(
            str(cells.choose(table, (), name, where=where, option="label_columns")) for name in options.label_columns
        )
    one = cells.choose(table, cells.LABEL_COLUMNS, None, where=where, option="")
    if one is not None:
        return (one,)
    rest = [str(column) for column in table.columns if column not in (*taken, "synthetic")]
    found = tuple(column for column in rest if _is_finding(table[column]))
    if not found:
        raise errors.InputError(
            f"{where}: expected a label column ({', '.join(cells.LABEL_COLUMNS)}), columns of 1 and 0, or "
            f"--label-columns. Received: {', '.join(map(str, table.columns))}"
        )
    return found


def _is_finding(column: "pd.Series[str]") -> bool:
    """Tell a column of findings: 1, 0, -1 and nothing, with a 1 or a 0 at least."""
    values = {cells.finding(cell, uncertain="zeros", blank=_NAN) for cell in column.unique()}
    return None not in values and bool(values & {0.0, 1.0})


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Reader:
    """Turns rows of one table into entries; its columns are those of the images, patients, parts and so on."""

    path: pathlib.Path
    options: entries.Options
    image: str
    patient: str | None
    part: str | None
    known: dict[str, str]
    chosen: tuple[str, ...]

    def entry(self, line: int, row: dict[str, str]) -> entries.Entry:
        """Read one row."""
        item = locate(row[self.image], self.path.parent)
        identity = folders.identify(item) if item is not None else folders.Identity("", {})
        label, findings, problem = self._labels(row)
        if item is None:
            name = entries.excerpt(row[self.image])
            problem = f"no such image: {name!r}" if name else "missing image"
        return entries.Entry(
            name=row[self.image],
            item=item or self.path,
            file=str(self.path),
            row=line,
            label=label,
            findings=findings,
            patient=(cells.patient(row[self.patient]) if self.patient else "") or identity.patient,
            part=entries.part_of(row[self.part]) if self.part else "",
            attributes={**identity.attributes, **cells.attributes(row, self.known)},
            problem=problem or identity.problem,
        )

    def _labels(self, row: dict[str, str]) -> tuple[str | None, tuple[float, ...] | None, str]:
        """Return class, findings and what is wrong with them."""
        if not self.options.labelled:
            return None, None, ""
        if len(self.chosen) == 1:
            return self._class(row[self.chosen[0]].strip())
        values = [cells.finding(row[name], uncertain=self.options.uncertain, blank=_NAN) for name in self.chosen]
        wrong = [name for name, value in zip(self.chosen, values, strict=True) if value is None]
        problem = f"{wrong[0]} is {entries.excerpt(row[wrong[0]])!r}, not 1, 0, -1 or nothing" if wrong else ""
        return None, tuple(_NAN if value is None else value for value in values), problem

    @staticmethod
    def _class(said: str) -> tuple[str | None, None, str]:
        if len(said.splitlines()) > 1:
            return (
                None,
                None,
                f"the label {entries.excerpt(said)!r} has several lines: a quotation mark may not be closed",
            )
        return None if labels.is_missing(said) else said, None, ""


def locate(cell: str, folder: pathlib.Path) -> pathlib.Path | None:
    """Return the file that a cell names: as it stands, below the table's folder, or below its ``images``."""
    if not cell.strip():
        return None
    path = pathlib.PurePath(cell.strip().replace("\\", "/"))
    bases = (folder, folder / "images", folder.parent)
    for base in bases:
        for suffix in ("", *folders.SUFFIXES):
            candidate = base / f"{path}{suffix}"
            # Unlike Path.is_file, this takes names that are too long for the file system.
            if os.path.isfile(candidate):
                return candidate
    return None
