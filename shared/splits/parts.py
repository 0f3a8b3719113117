"""The parts of a split: as a csv that a person can read, edit and hand back, and as the rows that are evaluated.

What is evaluated is a part of the run's own data, or other data without the rows that the run was trained on.
"""

import csv
import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from shared import errors, files, printing, splits

_ALIASES = {
    "training": "train",
    "dev": "validation",
    "valid": "validation",
    "val": "validation",
    "testing": "test",
}
_COLUMNS = ("row", "part")

Dataset = TypeVar("Dataset")


def write_csv(path: pathlib.Path, split: splits.Split, *, identities: Sequence[str] | None = None) -> None:
    """Write a csv of ``row,part``; rows are named by ``identities`` or else numbered from 1."""
    names = _identities(split.part.size, identities)
    with files.atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(_COLUMNS)
        writer.writerows(zip(names, split.part.tolist(), strict=True))


def read_csv(path: pathlib.Path, *, rows: int, identities: Sequence[str] | None = None) -> NDArray[np.str_]:
    """Read parts, to hand to ``splits.assign``, from a csv with columns ``row`` (or ``id``) and ``part``.

    Args:
        path: The csv.
        rows: Number of rows of the data.
        identities: (rows,) names used in the file; without them rows are numbered from 1.

    Returns:
        (rows,) str parts; ``splits.LEFT_OUT`` where the file gives none or does not name the row.

    Raises:
        errors.InputError: The file cannot be read, or names a row twice, an unknown row or an unknown part.
    """
    number = {name: index for index, name in enumerate(_identities(rows, identities))}
    parts = np.full(rows, splits.LEFT_OUT, dtype="<U10")
    seen: set[str] = set()
    for line, written, part in _lines(path):
        # `data` writes names that a spreadsheet would take for formulas with a mark before them.
        name = written if written in number else printing.as_it_was(written)
        if name not in number or name in seen:
            fault = "named twice" if name in seen else "not in the data"
            raise errors.InputError(
                f"{path}, line {line}: expected each row of the data once. Received: {name!r}, {fault}"
            )
        if part not in (*splits.PARTS, splits.LEFT_OUT):
            raise errors.InputError(
                f"{path}, line {line}: expected a part out of {', '.join(splits.PARTS)}. Received: {part!r}"
            )
        seen.add(name)
        parts[number[name]] = part
    return parts


def _lines(path: pathlib.Path) -> list[tuple[int, str, str]]:
    """Return (line number, row name, part) of every line of the csv."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            header = reader.fieldnames or []
            key = next((name for name in ("row", "id") if name in header), None)
            if key is None or "part" not in header:
                raise errors.InputError(f"{path}: expected columns row (or id) and part. Received: {', '.join(header)}")
            return [(reader.line_num, record[key] or "", _part(record["part"])) for record in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise errors.InputError(f"{path}: expected a readable csv in UTF-8. Received: {error}") from None


def _part(text: str | None) -> str:
    name = (text or "").strip().lower()
    return _ALIASES.get(name, name)


def _identities(rows: int, identities: Sequence[str] | None) -> list[str]:
    names = [str(row) for row in range(1, rows + 1)] if identities is None else list(identities)
    if len(names) != rows:
        raise ValueError(f"Expected an identity for each of {rows} rows. Received: {len(names)}")
    return names


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Part(Generic[Dataset]):
    """Rows to evaluate.

    Attributes:
        dataset: The data that they are part of.
        units: (n,) split unit of every row of the data.
        rows: Row numbers of the part.
        name: Of the part; "all" for data that are not the run's own.
        certificate: The run's split certificate; empty for other data.
    """

    dataset: Dataset
    units: NDArray[np.int64]
    rows: NDArray[np.int64]
    name: str
    certificate: dict[str, Any] = dataclasses.field(default_factory=dict)


def of_run(dataset: Dataset, split: splits.Split, name: str, folder: files.RunFolder) -> Part[Dataset]:
    """Return a part of the run's own data.

    Raises:
        errors.InputError: The part is empty.
    """
    rows = np.arange(len(split.unit)) if name == "all" else split.rows(name)
    if not len(rows):
        there = ", ".join(each for each in splits.PARTS if len(split.rows(each)))
        raise errors.InputError(
            f"--split {name}: expected a part with rows: {there} (or --data with others). Received: an empty one"
        )
    return Part(
        dataset=dataset, units=split.unit, rows=rows, name=name, certificate=splits.read_certificate(folder.split)
    )


def checked_split(split: splits.Split, content_hashes: NDArray[np.uint64], folder: files.RunFolder) -> splits.Split:
    """Return the run's own split, made again, where it and the data are what the run's certificate says.

    Raises:
        errors.GateError: The source has changed since the run.
    """
    splits.require_same(splits.read_certificate(folder.split), split, content_hashes=content_hashes)
    return split


def of_others(
    dataset: Dataset,
    name: str,
    *,
    content_hashes: NDArray[np.uint64],
    trained_on: NDArray[np.uint64],
    units: Callable[[], NDArray[np.int64]],
    noun: str,
) -> Part[Dataset]:
    """Return other data, whole or by their official part, without rows that the model was trained on.

    Args:
        dataset: A dataclass with ``name``, ``fixed_parts`` (n,) and ``notes``; a note on rows left out is added.
        name: "all", or which of the official parts of the data.
        content_hashes: (n,) of the rows.
        trained_on: Content hashes of the run's training part.
        units: Returns the split unit (n,) of every row; called when there are rows to evaluate.
        noun: What rows are, such as "images".

    Raises:
        errors.InputError: The data have no such official part, or no unseen row is left.
    """
    others: Any = dataset
    wanted = np.ones(len(content_hashes), bool) if name == "all" else np.asarray(others.fixed_parts == name)
    if not wanted.any():
        raise errors.InputError(
            f"--split {name}: expected a source with an official {name} part, or --split all. Received: {others.name}"
        )
    seen = wanted & np.isin(content_hashes, trained_on)
    if (seen == wanted).all():
        raise errors.InputError(f"{others.name}: expected {noun} that this run was not trained on. Received: none")
    if seen.any():
        note = f"{int(seen.sum())} {noun} are left out: this run was trained on them"
        others = dataclasses.replace(others, notes=(*others.notes, note))
    return Part(dataset=others, units=units(), rows=np.flatnonzero(wanted & ~seen), name=name)
