"""Histories that the verb ``histories`` has written, read again in the order of the rows, in bounded memory."""

import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow

from apps.fraud_detection import histories, inputs
from apps.fraud_detection import schema as schemas
from shared import errors, files
from shared.sources import tables

# What of a schema decides histories.
_DECIDING = ("time", "time_unit", "time_format", "clock", "amount", "entities", "label_delay_days")
_READ_ROWS = 1 << 17


class Stored:
    """Histories, from the first row on."""

    def __init__(self, folder: pathlib.Path, names: Sequence[str]) -> None:
        """Begin with the first row; features are those of ``names``."""
        self._names = list(names)
        self._batches = _batches(sorted(folder.glob("*.parquet")), self._names)
        self._left: list[pyarrow.RecordBatch] = []

    def take(self, rows: int) -> dict[str, npt.NDArray[np.float32]]:
        """Return the features of the next rows: name -> (rows,) float32.

        Raises:
            errors.InputError: There are no more.
        """
        count = sum(batch.num_rows for batch in self._left)
        while count < rows:
            batch = next(self._batches, None)
            if batch is None:
                raise errors.InputError(
                    f"--histories: expected histories of all rows. Received: {rows - count} too few"
                )
            self._left.append(batch)
            count += batch.num_rows
        table = pyarrow.Table.from_batches(self._left)
        self._left = table.slice(rows).to_batches()
        return {name: table.column(name).slice(0, rows).to_numpy() for name in self._names}


def _batches(paths: Sequence[pathlib.Path], names: list[str]) -> Iterator[pyarrow.RecordBatch]:
    for path in paths:
        # A stream, since Arrow takes no path that is not UTF-8.
        with path.open("rb") as stream:
            yield from tables.parquet_file(stream).iter_batches(_READ_ROWS, columns=names)


def open_folder(folder: pathlib.Path, found: inputs.Inputs, listed: Sequence[Mapping[str, Any]]) -> Stored:
    """Open the histories of the rows of some files.

    Args:
        folder: That ``histories`` wrote.
        found: What a model reads.
        listed: The files, as ``resuming.inputs`` gives them.

    Raises:
        errors.InputError: They are of other files, or columns have another meaning there than to the model.
    """
    written = files.read_json(folder / histories.FILE)
    if [each["sha256"] for each in written["inputs"]] != [each["sha256"] for each in listed]:
        raise errors.InputError(
            f"{folder}: expected histories of these files in this order: "
            f"{', '.join(each['file'] for each in listed)}. Received: those of "
            f"{', '.join(each['file'] for each in written['inputs']) or 'none'}, or of other contents"
        )
    theirs, ours = schemas.Schema.from_json(written["schema"]), found.schema
    differing = [name for name in _DECIDING if getattr(theirs, name) != getattr(ours, name)]
    # Histories of files without labels are what `predict` would compute of them.
    differing += ["label"] if theirs.label not in (None, ours.label) else []
    if differing:
        raise errors.InputError(
            f"{folder}: expected histories by the model's schema (--schema FILE gives it to `histories`). Received: "
            f"another {', '.join(differing)}"
        )
    return Stored(folder, inputs.history_names(ours))
