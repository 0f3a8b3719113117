"""What labels mean: names of classes, their order, numbers that stand for them; findings of NIH and CheXpert."""

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from apps.medical_imaging.readers import interface
from shared import errors

_NEGATIVE = frozenset(
    (
        "normal",
        "negative",
        "no finding",
        "no findings",
        "healthy",
        "benign",
        "0",
        "false",
        "no",
        "absent",
        "none",
        "control",
    )
)
# How programs write that a cell holds nothing; "none" is what was found.
_MISSING = frozenset(("", "na", "n/a", "#n/a", "<na>", "nan", "-nan", "null", "missing"))
_NEGATIVE_STARTS = ("normal", "no ", "not ", "non-", "no-", "without ")


# A whole number that a program wrote as a fraction: 1.0, or 1,0.
_WHOLE = re.compile(r"(-?\d+)[.,]0+")


NIH = (
    *("Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia", "Pneumothorax"),
    *("Consolidation", "Edema", "Emphysema", "Fibrosis", "Pleural_Thickening", "Hernia"),
)
CHEXPERT = (
    *("No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema"),
    *("Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other"),
    *("Fracture", "Support Devices"),
)


def key(name: str) -> str:
    """Return what makes two spellings of a label the same: letters alike in case, one kind of space, whole numbers.

    >>> key("No_Finding"), key("1.0")
    ('no finding', '1')
    """
    bare = " ".join(name.replace("_", " ").split()).casefold()
    whole = _WHOLE.fullmatch(bare)
    return whole[1] if whole else bare


def is_negative(name: str) -> bool:
    """Tell whether a class means that nothing was found.

    >>> is_negative("NORMAL"), is_negative("No_Finding"), is_negative("pneumonia")
    (True, True, False)
    """
    return key(name) in _NEGATIVE or key(name).startswith(_NEGATIVE_STARTS)


def is_missing(text: str | None) -> bool:
    """Return whether a label or cell is empty or a word for that.

    >>> is_missing(" NaN"), is_missing("N/A"), is_missing(None), is_missing("None")
    (True, True, True, False)
    """
    return key(text or "") in _MISSING


def order(names: Iterable[str], *, class_order: Sequence[str] = ()) -> tuple[str, ...]:
    """Put class names in canonical order, one spelling of each.

    Of two classes the negative one comes first. Otherwise ``class_order`` holds where it names them all, else numbers
    by value, then the alphabet.

    >>> order(["PNEUMONIA", "NORMAL", "normal"])
    ('NORMAL', 'PNEUMONIA')
    """
    spelled: dict[str, str] = {}
    for name in sorted(names):
        spelled.setdefault(key(name), name.strip())
    given = [key(name) for name in class_order]
    rank = {name: place for place, name in enumerate(given)} if set(spelled) <= set(given) else {}
    found = sorted(
        spelled, key=lambda name: (rank.get(name, 0), not name.isdecimal(), int(name) if name.isdecimal() else 0, name)
    )
    if len(found) == 2 and is_negative(found[1]) and not is_negative(found[0]):
        found.reverse()
    return tuple(spelled[name] for name in found)


def one_hot(names: Sequence[str | None], class_names: Sequence[str]) -> NDArray[np.float32]:
    """Return (n, k) float32 one-hot labels; a row of NaN where the label is None."""
    number = {key(name): place for place, name in enumerate(class_names)}
    labels = np.full((len(names), len(class_names)), np.nan, np.float32)
    for row, name in enumerate(names):
        if name is not None:
            labels[row] = 0
            labels[row, number[key(name)]] = 1
    return labels


def chosen(options: interface.Options, names: Sequence[str], *, where: str) -> tuple[str, ...]:
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
    entry: interface.Entry, values: tuple[float, ...], names: tuple[str, ...], *, options: interface.Options
) -> interface.Entry:
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
    found: list[interface.Entry],
    names: tuple[str, ...],
    *,
    columns: Mapping[str, str],
    notes: tuple[str, ...] = (),
) -> interface.Source:
    """Make a source of findings; of one finding, images whose label is uncertain are not part of it."""
    if len(names) > 1:
        return interface.Source(name=name, entries=found, findings=names, notes=notes, columns=columns)
    known = [entry for entry in found if entry.label is not None or entry.problem]
    unknown = len(found) - len(known)
    if unknown and known:
        notes = (*notes, f"{unknown:,} images are not used: whether they show {names[0]} is uncertain")
        found = known
    order = absent(names[0]), names[0]
    return interface.Source(name=name, entries=found, class_order=order, notes=notes, columns=columns)


def roles(table: pd.DataFrame, known: Mapping[str, str], labels: Sequence[str]) -> dict[str, str]:
    """Return the role of each column in words.

    Args:
        table: The table.
        known: Column -> role, for those that are no labels.
        labels: The columns of labels.
    """
    role = dict(known) | dict.fromkeys(labels, "label" if len(labels) == 1 else "label: finding")
    return {str(column): role.get(str(column), "not read: not used") for column in table.columns}
