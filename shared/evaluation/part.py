"""Which rows are evaluated: a part of the run's own data, or other data without what the run was trained on."""

import dataclasses
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from shared import errors, files, splits

Dataset = TypeVar("Dataset")


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
    units: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
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
    return Part(dataset=dataset, units=split.unit, rows=rows, name=name, certificate=files.read_json(folder.split))


def checked(split: splits.Split, content_hashes: npt.NDArray[np.uint64], folder: files.RunFolder) -> splits.Split:
    """Return the run's own split, made again, where it and the data are what the run's certificate says.

    Raises:
        errors.GateError: The source has changed since the run.
    """
    splits.require_same(files.read_json(folder.split), split, content_hashes=content_hashes)
    return split


def of_others(
    dataset: Dataset,
    name: str,
    *,
    content_hashes: npt.NDArray[np.uint64],
    trained_on: npt.NDArray[np.uint64],
    units: Callable[[], npt.NDArray[np.int64]],
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
