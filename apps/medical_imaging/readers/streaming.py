"""Images one after another in bounded memory, for ``predict``: no labels, and nothing is refused for being damaged."""

import itertools
import logging
import pathlib
from collections.abc import Iterable, Iterator
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from apps.medical_imaging.readers import checking, entries, images, kinds, sources
from shared import errors, files

log = logging.getLogger("fieldnets")

Pixels: TypeAlias = bytes | NDArray[np.float32]


def chunks(inputs: Iterable[entries.Source], *, chunk_rows: int) -> Iterator[tuple[pd.DataFrame, list[Pixels]]]:
    """Yield at most ``chunk_rows`` images at a time, with a frame of columns file (str) and row (int64, from 1).

    Encoded files come as they are, even where they are no image, so that each gets an answer. DICOM and arrays come as
    (h, w, 1 or 3) float32 in [0, 1]; DICOM that cannot be decoded, and an array that training would refuse, come as
    empty bytes, with a warning.

    Raises:
        errors.InputError: A table names a file that does not exist, or has a row that does not fit.
    """
    for source in inputs:
        found = iter(source.entries)
        while part := list(itertools.islice(found, chunk_rows)):
            table = pd.DataFrame([(files.printable(entry.file), entry.row) for entry in part], columns=["file", "row"])
            yield table, [pixels(entry) for entry in part]


def listed(path: str | pathlib.Path, options: entries.Options | None = None) -> entries.Source:
    """Return the images of one input, unread.

    Raises:
        errors.InputError: The path does not exist, or is a folder or table that cannot be read.
    """
    found, chosen = pathlib.Path(path), options or entries.Options(labelled=False)
    alone = found.is_file() and found.suffix.lower() not in (*kinds.TABLES, ".npz")
    if alone and not sources.is_archive(found):
        return entries.Source(
            name=str(path), entries=[entries.Entry(name=str(path), item=found, file=str(path), row=1)]
        )
    return sources.read(str(path), options=chosen, data_format="auto")


def pixels(entry: entries.Entry) -> Pixels:
    """Read one image."""
    if entry.problem and _is_listed(entry):
        raise errors.InputError(f"{entry.file}, row {entry.row}: expected an image file. Received: {entry.problem}")
    fault = "" if isinstance(entry.item, pathlib.Path) else checking.array_problem(entry.item)
    if fault:
        log.warning("%s, row %d: %s", entry.file, entry.row, fault)
        return b""
    try:
        return images.read(entry.item, name=entry.name)
    except errors.InputError as error:
        if isinstance(entry.item, pathlib.Path) and not entry.item.is_file():
            raise
        log.warning("%s", error)
        return b""


def _is_listed(entry: entries.Entry) -> bool:
    """Tell a row of a table from a file that stands for itself, and gets an answer though its header is broken."""
    return str(entry.item) != entry.file or pathlib.Path(entry.file).suffix.lower() in kinds.TABLES
