"""From files of many layouts to entries: one image, its label, its patient.

Here is what every reader gives, and what names of parts and classes mean; ``sources`` knows which reader is needed.
"""

import dataclasses
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shared.sources import cells as values

# What a normalised data set calls its table; its first column is the path of each image.
WRITTEN_TABLE = "images.csv"

Item: TypeAlias = pathlib.Path | NDArray[Any]

# Attributes an entry may have; anything else a table holds is not read.
ATTRIBUTES = ("sex", "age", "view", "site", "subtype", "device_mark", "subtlety")


class Entry(NamedTuple):
    """One image of a source, not checked yet.

    Attributes:
        name: How messages name it: its path within the source, or ``train_images[17]``.
        item: Where its pixels are: a file, or an array (h, w) or (h, w, 1 or 3).
        file: The file that lists it: a table, or the image file itself.
        row: Its line or place in that file; without a table, its number among the files. From 1.
        label: Name of its class, or None.
        findings: One value per finding of the source: 1, 0 or NaN; None where it has one class.
        patient: Id of the patient, ``""`` where unknown.
        part: Official part, ``""`` where there is none.
        attributes: Some of ``ATTRIBUTES``.
        boxes: (m, 4) float32 of left, top, right, bottom in fractions; None where unknown.
        problem: Why it cannot be used; ``""`` where nothing is known against it.
        recipe: What its pixels are computed from: processors round differently, and a split by the pixels
            themselves would be another one on each. ``""`` where they were not computed.
    """

    name: str
    item: Item
    file: str
    row: int
    label: str | None = None
    findings: tuple[float, ...] | None = None
    patient: str = ""
    part: str = ""
    attributes: Mapping[str, object] = {}
    boxes: NDArray[np.float32] | None = None
    problem: str = ""
    recipe: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """What one reader gave.

    Attributes:
        name: How reports name the source.
        entries: Its images.
        findings: Names of the findings where images may have several; else empty.
        class_order: Names of the classes in the order that the source's format gives them; else empty.
        notes: What a reader of the report should know.
        synthetic: Whether the images were computed, not taken.
        columns: Of a table: the role of each column, in words.
    """

    name: str
    entries: Sequence[Entry]
    findings: tuple[str, ...] = ()
    class_order: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    synthetic: bool = False
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PhantomSettings:
    """Which phantoms ``chest-phantoms`` is: number of patients, strength of the confounder (0 to 1), seed."""

    patients: int = 600
    confounder: float = 0.0
    seed: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """How the user wants a source to be read.

    Attributes:
        image_column: Column of a table that names the images.
        label_columns: Its columns of labels; of NIH and CheXpert, the findings to use.
        patient_column: Its column of patient ids.
        uncertain: What a label of -1 means: "zeros", "ones" or "ignore".
        labelled: Whether labels are needed.
        phantoms: Which phantoms are generated.
        follow_links: Whether to follow links that lead out of a source's folder.
        allow_outside: Whether to read images that labels name outside of it.
        decimal: Which mark stands before the fraction of a number.
        parts: Whether a column of parts is to be understood; not where the user gives parts of his own.
    """

    image_column: str | None = None
    label_columns: tuple[str, ...] = ()
    patient_column: str | None = None
    uncertain: str = "ignore"
    labelled: bool = True
    phantoms: PhantomSettings = PhantomSettings()
    follow_links: bool = False
    allow_outside: bool = False
    decimal: values.Decimal = "auto"
    parts: bool = True


_SHOWN_LETTERS = 160

PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validate", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}


def excerpt(text: str, *, letters: int = _SHOWN_LETTERS) -> str:
    r"""Return the first line of a text, cut short: a quotation mark that is not closed may swallow a table.

    >>> excerpt("abcdefgh", letters=6), excerpt("a\nb"), excerpt("short")
    ('abc...', 'a...', 'short')
    """
    first = text.strip().split("\n", 1)[0].rstrip()
    if len(first) > letters:
        return f"{first[: letters - 3]}..."
    return first if first == text.strip() else f"{first}..."


# What may stand beside the name of a part: ``test_set``, ``Training data``, ``val_images``.
_BESIDE_PART = re.compile(r"[\s_-]*(set|data|images|part|split)$")


def part_of(name: str) -> str:
    """Return the part that a folder or a cell names, or nothing.

    >>> part_of("Val"), part_of("test_set"), part_of("NORMAL")
    ('validation', 'test', '')
    """
    bare = name.strip().lower()
    return PARTS.get(bare) or PARTS.get(_BESIDE_PART.sub("", bare), "")


def part_in_words(name: str) -> str:
    """Return the one part that the words of a name give, or nothing.

    >>> part_in_words("train_cheXbert"), part_in_words("train_and_test"), part_in_words("contest")
    ('train', '', '')
    """
    words = {PARTS[word] for word in re.split(r"[^a-z]+", name.lower()) if word in PARTS}
    return words.pop() if len(words) == 1 else ""


# Classes that mean that nothing was found.
_NEGATIVE = frozenset(
    (
        *("normal", "negative", "no finding", "no findings", "healthy", "benign"),
        *("0", "false", "no", "absent", "none", "control"),
    )
)
_NEGATIVE_STARTS = ("normal", "no ", "not ", "non-", "no-", "without ")
# How programs write that a cell holds nothing; "none" is what was found.
_MISSING = frozenset(("", "na", "n/a", "#n/a", "<na>", "nan", "-nan", "null", "missing"))
# A whole number that a program wrote as a fraction: 1.0, or 1,0.
_WHOLE = re.compile(r"(-?\d+)[.,]0+")

NIH_FINDINGS = (
    *("Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia", "Pneumothorax"),
    *("Consolidation", "Edema", "Emphysema", "Fibrosis", "Pleural_Thickening", "Hernia"),
)
CHEXPERT_FINDINGS = (
    *("No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema"),
    *("Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other"),
    *("Fracture", "Support Devices"),
)


def label_key(name: str) -> str:
    """Return what makes two spellings of a label the same: letters alike in case, one kind of space, whole numbers.

    >>> label_key("No_Finding"), label_key("1.0")
    ('no finding', '1')
    """
    bare = " ".join(name.replace("_", " ").split()).casefold()
    whole = _WHOLE.fullmatch(bare)
    return whole[1] if whole else bare


def is_negative_class(name: str) -> bool:
    """Tell whether a class means that nothing was found.

    >>> is_negative_class("NORMAL"), is_negative_class("No_Finding"), is_negative_class("pneumonia")
    (True, True, False)
    """
    return label_key(name) in _NEGATIVE or label_key(name).startswith(_NEGATIVE_STARTS)


def is_missing_label(text: str | None) -> bool:
    """Return whether a label or cell is empty or a word for that.

    >>> is_missing_label(" NaN"), is_missing_label("N/A"), is_missing_label(None), is_missing_label("None")
    (True, True, True, False)
    """
    return label_key(text or "") in _MISSING


def order_classes(names: Iterable[str], *, class_order: Sequence[str] = ()) -> tuple[str, ...]:
    """Put class names in canonical order, one spelling of each.

    Of two classes the negative one comes first. Otherwise ``class_order`` holds where it names them all, else numbers
    by value, then the alphabet.

    >>> order_classes(["PNEUMONIA", "NORMAL", "normal"])
    ('NORMAL', 'PNEUMONIA')
    """
    spelled: dict[str, str] = {}
    for name in sorted(names):
        spelled.setdefault(label_key(name), name.strip())
    given = [label_key(name) for name in class_order]
    rank = {name: place for place, name in enumerate(given)} if set(spelled) <= set(given) else {}
    found = sorted(
        spelled, key=lambda name: (rank.get(name, 0), not name.isdecimal(), int(name) if name.isdecimal() else 0, name)
    )
    if len(found) == 2 and is_negative_class(found[1]) and not is_negative_class(found[0]):
        found.reverse()
    return tuple(spelled[name] for name in found)


def one_hot(names: Sequence[str | None], class_names: Sequence[str]) -> NDArray[np.float32]:
    """Return (n, k) float32 one-hot labels; a row of NaN where the label is None."""
    number = {label_key(name): place for place, name in enumerate(class_names)}
    labels = np.full((len(names), len(class_names)), np.nan, np.float32)
    for row, name in enumerate(names):
        if name is not None:
            labels[row] = 0
            labels[row, number[label_key(name)]] = 1
    return labels
