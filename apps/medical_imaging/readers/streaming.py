"""Images one after another in bounded memory, for ``predict``: no labels, and nothing is refused for being damaged."""

import itertools
import logging
import pathlib
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from apps.medical_imaging.readers import entries, images, sources
from shared import errors

log = logging.getLogger("fieldnets")

Pixels: TypeAlias = bytes | NDArray[np.float32]


def chunks(paths: Sequence[str | pathlib.Path], *, chunk_rows: int) -> Iterator[tuple[pd.DataFrame, list[Pixels]]]:
    """Yield at most ``chunk_rows`` images at a time, with a frame of columns file (str) and row (int64, from 1).

    Encoded files come as they are, even where they are no image, so that each gets an answer. DICOM and arrays come as
    (h, w, 1 or 3) float32 in [0, 1]; DICOM that cannot be decoded comes as empty bytes, with a warning.

    Raises:
        errors.InputError: A path does not exist, or a table names a file that does not.
    """
    for path in paths:
        found = iter(listed(path))
        while part := list(itertools.islice(found, chunk_rows)):
            table = pd.DataFrame([(entry.file, entry.row) for entry in part], columns=["file", "row"])
            yield table, [pixels(entry) for entry in part]


def listed(path: str | pathlib.Path) -> Sequence[entries.Entry]:
    """Return the images of one input, unread."""
    options = entries.Options(labelled=False)
    found = pathlib.Path(path)
    if found.is_file() and found.suffix.lower() not in (*sources.TABLES, ".npz"):
        return [entries.Entry(name=str(path), item=found, file=str(path), row=1)]
    return sources.read(str(path), options=options, data_format="auto").entries


def pixels(entry: entries.Entry) -> Pixels:
    """Read one image."""
    if entry.problem:
        raise errors.InputError(f"{entry.file}, row {entry.row}: expected an image file. Received: {entry.problem}")
    try:
        return images.read(entry.item, name=entry.name)
    except errors.InputError as error:
        if isinstance(entry.item, pathlib.Path) and not entry.item.is_file():
            raise
        log.warning("%s", error)
        return b""
