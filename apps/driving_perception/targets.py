"""Labelled boxes as the rows that the loss reads: one table per picture, of a fixed number of rows."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from apps.driving_perception import boxes as box
from apps.driving_perception import frames

Rows: TypeAlias = npt.NDArray[np.float32]

# Columns of a row: left, top, right, bottom in pixels, what the row is, then a column for each class. Of an object the
# class columns are one-hot. Of an ignored area they are 1 for the classes of which nothing is known there.
KIND = 4
CLASSES = 5
NOTHING, OBJECT, IGNORED = 0.0, 1.0, 2.0


def rows(collection: frames.Frames, row: int) -> Rows:
    """Return (m, 5 + classes) float32 rows of one image, in pixels of the image.

    Neighbours are learned like objects; a region is an ignored area of its class or of all; and what the image's source
    does not label is not known in the whole image.
    """
    found = collection.boxes.of_images(np.array([row]))
    classes = len(collection.class_names)
    table = np.zeros((len(found), CLASSES + classes), np.float32)
    table[:, :KIND] = found.xyxy
    region = found.kind == box.REGION
    table[:, KIND] = np.where(region, IGNORED, OBJECT)
    named = found.label >= 0
    table[np.flatnonzero(named), CLASSES + found.label[named]] = 1.0
    table[~named, CLASSES:] = 1.0
    unknown = ~collection.known_classes[row]
    if unknown.any():
        width, height = collection.images.sizes[row]
        table = np.concatenate([[[0, 0, width, height, IGNORED, *unknown]], table]).astype(np.float32)
    return table


def pad(table: Rows, *, count: int) -> Rows:
    """Return exactly ``count`` rows: empty ones added, or the smallest boxes left away; ignored areas go last."""
    size = box.area(table[:, :KIND]) + np.where(table[:, KIND] == IGNORED, np.inf, 0.0)
    kept = table[np.sort(np.argsort(-size, kind="stable")[:count])]
    padded = np.zeros((count, table.shape[1]), np.float32)
    padded[: len(kept)] = kept
    return padded


def scaled(table: Rows, scale: Any) -> Rows:
    """Return the rows with their boxes in pixels of a picture that is ``scale`` times as large, (2,) or a number."""
    factors = np.broadcast_to(np.asarray(scale, np.float32), 2)
    return np.concatenate([table[:, :KIND] * np.tile(factors, 2), table[:, KIND:]], axis=1).astype(np.float32)


def boxes(tables: npt.NDArray[np.float32]) -> box.Boxes:
    """Return (n, m, 5 + classes) rows as boxes again: what is ignored for several classes is a region of each."""
    image, place = np.nonzero(tables[..., KIND] != NOTHING)
    found = tables[image, place]
    row, label = np.nonzero(found[:, CLASSES:] > 0)
    kind = np.where(found[row, KIND] == IGNORED, box.REGION, box.OBJECT)
    return box.Boxes.build(image=image[row], xyxy=found[row, :KIND], label=label, kind=kind)
