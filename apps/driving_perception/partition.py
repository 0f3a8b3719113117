"""Which part every image goes to: whole sequences, or blocks of neighbouring frames, with their copies."""

import pathlib
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from apps.driving_perception import frames
from shared import errors, near_duplicates, split_files, splits

UNIT_NAME = "sequence, or block of neighbouring frames where no sequence is known, with near-duplicate images"
METHOD = "whole units, shared out within each source, shuffled by a keyed hash of their content"
LISTED = "the user's list of parts, checked"

_NUMBERED = re.compile(r"^(.*?)[-_ ]?(\d+)$")


def units(collection: frames.Frames, alike: NDArray[np.int64], *, block_frames: int) -> NDArray[np.int64]:
    """Return (n,) what must stay together.

    A drive or clip that is named stays whole. Otherwise images of one source whose file names differ in their last
    number are taken for neighbours in that order, and cut into blocks of ``block_frames``. Equal files stay together
    always; nearly equal pictures too, but where they are most of a numbered series: a camera that stands still makes
    all its frames alike, and their blocks already keep neighbours together. The certificate counts what is alike
    across parts there.

    Args:
        collection: The images.
        alike: (n,) groups of nearly equal pictures, from ``near``.
        block_frames: Neighbouring frames in a block.
    """
    series, order = series_of(collection)
    block = np.zeros(len(collection), np.int64)
    for name in np.unique(series):
        rows = np.flatnonzero(series == name)
        block[rows[np.argsort(order[rows], kind="stable")]] = np.arange(len(rows)) // block_frames
    named = collection.sequences.astype(str) != ""
    keys = np.where(named, collection.sequences.astype(str), np.char.add(np.char.add(series, "#"), block.astype(str)))
    return splits.merge_units(keys, collection.images.content_hashes, _copies(alike, series))


def series_of(collection: frames.Frames) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    """Return (n,) what numbered series each image belongs to, and (n,) its number there.

    >>> bool(_NUMBERED.match("vid_4_1000")), _NUMBERED.match("vid_4_1000").groups()
    (True, ('vid_4', '1000'))
    """
    series, order = [], []
    for row, name in enumerate(collection.images.names.tolist()):
        path = pathlib.PurePosixPath(name)
        match = _NUMBERED.match(path.stem)
        stem = match.group(1) if match else path.stem
        series.append(f"{collection.sources[row]}:{path.parent}/{stem}")
        order.append(int(match.group(2)[-18:]) if match else row)
    numbered = collection.numbers >= 0
    return np.array(series, dtype=str), np.where(numbered, collection.numbers, np.array(order, np.int64))


def near(collection: frames.Frames, distance: int) -> NDArray[np.int64]:
    """Return (n,) groups of images that are the same picture, exactly or nearly; every image is decoded for it."""
    return near_duplicates.near(collection.images, distance=distance)


def _copies(group: NDArray[np.int64], series: NDArray[np.str_]) -> NDArray[np.int64]:
    """Return (n,) those groups that are not most of a single series; every other image is a group of its own."""
    found: NDArray[np.int64] = np.arange(len(group)) + int(group.max(initial=0)) + 1
    for value in np.unique(group):
        rows = np.flatnonzero(group == value)
        own = series[rows]
        if len(np.unique(own)) > 1 or 2 * len(rows) <= int((series == own[0]).sum()):
            found[rows] = value
    return found


def assign(
    collection: frames.Frames, unit: NDArray[np.int64], *, fractions: Sequence[float], seed: int
) -> NDArray[np.str_]:
    """Give whole units to parts, within each source that has enough of them; official parts stay.

    Raises:
        errors.InputError: There are fewer units than parts to fill.
        errors.GateError: A unit holds images of two official parts.
    """
    named = splits.name_units(unit, collection.images.content_hashes)
    return splits.assign(
        named,
        strata(collection, unit),
        fractions=fractions,
        seed=seed,
        fixed=collection.fixed_parts if (collection.fixed_parts != "").any() else None,
        class_names=collection.source_names,
    )


def strata(collection: frames.Frames, unit: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (n,) the source of each image; sources with too few units for every part count as the first."""
    found = collection.sources.copy()
    for source in np.unique(found):
        rows = found == source
        if len(np.unique(unit[rows])) < len(splits.PARTS):
            found[rows] = 0
    return found


def read_file(path: pathlib.Path, names: NDArray[np.object_]) -> NDArray[np.str_]:
    """Read the user's parts: a csv of ``id`` (the image) and ``part``.

    Raises:
        errors.InputError: The file cannot be read, or names what is not in the data.
    """
    return split_files.read(path, rows=len(names), identities=names.tolist())


def require_train(part: NDArray[np.str_]) -> None:
    """Raise ``errors.InputError`` where a part that training needs is empty."""
    for name in ("train", "validation"):
        if not (part == name).any():
            raise errors.InputError(f"Expected images in the part {name}. Received: none")
