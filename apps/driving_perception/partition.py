"""Which part every image goes to: whole sequences, or blocks of neighbouring frames, with their copies."""

import pathlib
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from apps.driving_perception import frames
from shared import errors, splits
from shared.splits import near_duplicates, parts

UNIT_NAME = "sequence, or block of neighbouring frames where no sequence is known, with near-duplicate images"
OFFICIAL = "official parts as the source names them; what it leaves free is shared out by whole units"
METHOD = "whole units, shared out within each source, shuffled by a keyed hash of their content"
# Among official parts: what is left out, since it is equal to an image of a later part.
GONE = "gone"
LISTED = "the user's list of parts, checked"

_NUMBERED = re.compile(r"^(.*?)[-_ ]?(\d+)$")


def official(collection: frames.Frames) -> tuple[NDArray[np.str_], list[str]]:
    """Return (n,) the official part that each image keeps, ``""`` where it is free, and what a reader should know.

    A source of one part only names no split: its images are shared out. Of files that are equal in several parts, only
    that of the last one is kept: what is tested is never trained on.
    """
    part, notes = collection.fixed_parts.copy(), []
    named = sorted(set(part.tolist()) - {""})
    if len(named) == 1 and (named == ["train"] or (part != "").all()):
        notes.append(f"all official parts that are named are {named[0]}: these images are shared out anew")
        part[:] = ""
    rank = np.array([splits.PARTS.index(each) if each else -1 for each in part.tolist()])
    _, group = np.unique(collection.images.content_hashes, return_inverse=True)
    last = np.full(len(np.unique(group)), -1)
    np.maximum.at(last, group, rank)
    gone = (rank >= 0) & (rank < last[group])
    if gone.any():
        notes.append(
            f"{int(gone.sum()):,} images of official parts are equal to images of a later part: they are left out"
        )
    part[gone] = GONE
    return part, notes


def units(
    collection: frames.Frames,
    alike: NDArray[np.int64],
    *,
    block_frames: int,
    fixed: NDArray[np.str_] | None = None,
) -> NDArray[np.int64]:
    """Return (n,) what must stay together.

    A drive or clip that is named stays whole. Otherwise images of one source whose file names differ in their last
    number are taken for neighbours in that order, and cut into blocks of ``block_frames``. Equal files stay together
    always; nearly equal pictures too, but where they are most of a numbered series: a camera that stands still makes
    all its frames alike, and their blocks already keep neighbours together. The certificate counts what is alike
    across parts there. Official parts cut blocks and groups of pictures, but no sequence that is named.

    Args:
        collection: The images.
        alike: (n,) groups of nearly equal pictures, from ``near``.
        block_frames: Neighbouring frames in a block.
        fixed: (n,) official parts, as ``official`` returns them; None for none.
    """
    series, order = series_of(collection)
    if fixed is not None and (fixed != "").any():
        series = np.char.add(np.char.add(series, "@"), fixed)
        alike = splits.merge_units(np.char.add(np.char.add(alike.astype(str), "@"), fixed))
    block = np.zeros(len(collection), np.int64)
    for name in np.unique(series):
        rows = np.flatnonzero(series == name)
        block[rows[np.argsort(order[rows], kind="stable")]] = np.arange(len(rows)) // block_frames
    named = collection.sequences.astype(str) != ""
    keys = np.where(named, collection.sequences.astype(str), np.char.add(np.char.add(series, "#"), block.astype(str)))
    hashes = collection.images.content_hashes
    # An image that is left out, since it is equal to one of another part, joins nothing.
    alone = np.array([f"{row}@" for row in range(len(collection))])
    own = np.zeros(len(collection), bool) if fixed is None else fixed == GONE
    equal = np.where(own, alone, np.char.add(hashes.astype(str), "#"))
    return splits.merge_units(np.where(own, alone, keys), equal, _copies(alike, series))


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
    collection: frames.Frames,
    unit: NDArray[np.int64],
    *,
    fractions: Sequence[float],
    seed: int,
    fixed: NDArray[np.str_],
) -> NDArray[np.str_]:
    """Give whole units to parts, within each source that has enough of them; official parts stay.

    Where official parts are all there is and none is validation, it is drawn out of the official training part.

    Args:
        collection: The images.
        unit: (n,) from ``units``.
        fractions: Share of train, validation and test.
        seed: Seed of the assignment.
        fixed: (n,) official parts, from ``official``.

    Raises:
        errors.InputError: There are fewer units than parts to fill.
        errors.GateError: A unit holds images of two official parts.
    """
    named = splits.name_units(unit, collection.images.content_hashes)
    parts = np.where(fixed == GONE, splits.LEFT_OUT, fixed)
    rows = np.flatnonzero(fixed != GONE)
    if lacks_validation(fixed):
        splits.refuse_crossing(parts, unit, what="split unit of official parts")
        rows = np.flatnonzero(fixed == "train")
        share = fractions[1] / (fractions[0] + fractions[1])
        fractions, fixed = (1 - share, share, 0.0), np.full_like(fixed, "")
    parts[rows] = splits.assign(
        named[rows],
        strata(collection, unit)[rows],
        fractions=fractions,
        seed=seed,
        fixed=fixed[rows] if (fixed[rows] != "").any() else None,
        class_names=collection.source_names,
    )
    return parts


def lacks_validation(fixed: NDArray[np.str_]) -> bool:
    """Tell official parts with something to train on and nothing to choose a threshold on."""
    return not ({"", "validation"} & set(fixed.tolist())) and bool((fixed == "train").any())


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
    return parts.read_csv(path, rows=len(names), identities=names.tolist())


def require_train(part: NDArray[np.str_]) -> None:
    """Raise ``errors.InputError`` where a part that training needs is empty."""
    for name in ("train", "validation"):
        if not (part == name).any():
            raise errors.InputError(f"Expected images in the part {name}. Received: none")
