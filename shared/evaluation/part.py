"""Which rows are evaluated: a part of the run's own data, or other data without what the run was trained on."""

import dataclasses
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


def unseen_rows(
    name: str,
    *,
    source: str,
    fixed_parts: npt.NDArray[Any],
    content_hashes: npt.NDArray[np.uint64],
    trained_on: npt.NDArray[np.uint64],
    noun: str,
) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """Return the rows of other data to evaluate, and a note on those left out: the model has seen their labels.

    Args:
        name: "all", or which of the official parts of the data.
        source: What the data are called in messages.
        fixed_parts: (n,) official part of each row.
        content_hashes: (n,) of the rows.
        trained_on: Content hashes of the run's training part.
        noun: What rows are, such as "images".

    Raises:
        errors.InputError: The data have no such official part, or no unseen row is left.
    """
    wanted = np.ones(len(content_hashes), bool) if name == "all" else np.asarray(fixed_parts == name)
    if not wanted.any():
        raise errors.InputError(
            f"--split {name}: expected a source with an official {name} part, or --split all. Received: {source}"
        )
    seen = wanted & np.isin(content_hashes, trained_on)
    if (seen == wanted).all():
        raise errors.InputError(f"{source}: expected {noun} that this run was not trained on. Received: none")
    left_out = int(seen.sum())
    notes = (f"{left_out} {noun} are left out: this run was trained on them",) if left_out else ()
    return np.flatnonzero(wanted & ~seen), notes
