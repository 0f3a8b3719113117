"""What every reader gives: entries, one per image, and what is to be known about their source."""

import dataclasses
import os
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shared.sources import cells

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
    decimal: cells.Decimal = "auto"
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


def name_of(path: str | os.PathLike[str]) -> str:
    r"""Return a path as a text that tables, JSON and Parquet hold: bytes that are not UTF-8 are escaped.

    >>> name_of(os.fsdecode(b"d/b\xff.png"))
    'd/b\\xff.png'
    """
    return os.fsencode(path).decode("utf-8", "backslashreplace")


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
