"""What NIH and CheXpert share: a fixed list of findings, of which the user may choose."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from apps.medical_imaging.readers import entries
from shared import errors

NIH = (
    *("Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia", "Pneumothorax"),
    *("Consolidation", "Edema", "Emphysema", "Fibrosis", "Pleural_Thickening", "Hernia"),
)
CHEXPERT = (
    *("No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema"),
    *("Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other"),
    *("Fracture", "Support Devices"),
)


def chosen(options: entries.Options, names: Sequence[str], *, where: str) -> tuple[str, ...]:
    """Return the findings to use: those the user named, or all.

    Raises:
        errors.InputError: The source has no such finding.
    """
    unknown = [name for name in options.label_columns if name not in names]
    if unknown:
        raise errors.InputError(
            f"{where}, --label-columns: expected findings out of {', '.join(names)}. Received: {unknown[0]!r}"
        )
    return options.label_columns or tuple(names)


def require(table: pd.DataFrame, columns: Sequence[str], *, where: str) -> None:
    """Raise ``errors.InputError`` when a table lacks a column."""
    missing = [name for name in columns if name not in table.columns]
    if missing:
        shown = ", ".join(map(str, table.columns))
        raise errors.InputError(f"{where}: expected the columns {', '.join(missing)}. Received: {shown}")


def labelled(
    entry: entries.Entry, values: tuple[float, ...], names: tuple[str, ...], *, options: entries.Options
) -> entries.Entry:
    """Give an entry its findings; one finding alone makes two classes of it."""
    if not options.labelled:
        return entry
    if len(names) > 1:
        return entry._replace(findings=values)
    if not values or np.isnan(values[0]):
        return entry
    return entry._replace(label=names[0] if values[0] else absent(names[0]))


def absent(name: str) -> str:
    """Return the class of images without the one finding that was chosen."""
    return f"no {name}"


def source(
    name: str,
    found: list[entries.Entry],
    names: tuple[str, ...],
    *,
    columns: Mapping[str, str],
    notes: tuple[str, ...] = (),
) -> entries.Source:
    """Make a source of findings; of one finding, images whose label is uncertain are not part of it."""
    if len(names) > 1:
        return entries.Source(name=name, entries=found, findings=names, notes=notes, columns=columns)
    known = [entry for entry in found if entry.label is not None or entry.problem]
    unknown = len(found) - len(known)
    if unknown and known:
        notes = (*notes, f"{unknown:,} images are not used: whether they show {names[0]} is uncertain")
        found = known
    order = absent(names[0]), names[0]
    return entries.Source(name=name, entries=found, class_order=order, notes=notes, columns=columns)


def roles(table: pd.DataFrame, known: Mapping[str, str], labels: Sequence[str]) -> dict[str, str]:
    """Return the role of each column in words.

    Args:
        table: The table.
        known: Column -> role, for those that are no labels.
        labels: The columns of labels.
    """
    said = dict(known) | dict.fromkeys(labels, "label" if len(labels) == 1 else "label: finding")
    return {str(column): said.get(str(column), "not read: not used") for column in table.columns}
