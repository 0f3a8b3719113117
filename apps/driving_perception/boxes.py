"""The one form of labelled boxes: columns, all images' boxes one after another; and arithmetic on boxes.

A box is (left, top, right, bottom) in pixels of the original image, float32: x to the right, y down, (0, 0) the outer
corner of the first pixel, so that a whole image is (0, 0, width, height).
"""

import dataclasses
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.float32]

# What a box is. An object is to be found. A neighbour is of a kind so near to its class that finding it is neither
# right nor wrong (KITTI: a van for a car, a sitting person for a pedestrian): it is learned and not evaluated. A region
# holds any number of unlabelled objects (KITTI's DontCare, COCO's crowds): nothing inside is learned or evaluated.
OBJECT, NEIGHBOUR, REGION = 0, 1, 2
KINDS = ("object", "neighbour", "region")
ANY_CLASS = -1
UNKNOWN = -1

# KITTI's three levels: fully visible, partly hidden, largely hidden.
OCCLUSIONS = ("visible", "partly hidden", "largely hidden")


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Boxes:
    """Labelled boxes in order of their image.

    Attributes:
        image: (m,) int64 row of the image, ascending.
        xyxy: (m, 4) float32 pixels.
        label: (m,) int64 index into the class names; ``ANY_CLASS`` only where ``kind`` is ``REGION``.
        kind: (m,) int8 ``OBJECT``, ``NEIGHBOUR`` or ``REGION``.
        occlusion: (m,) int8 index into ``OCCLUSIONS``, or ``UNKNOWN``.
        truncation: (m,) float32 share outside the image in [0, 1]; NaN unknown.
        distance: (m,) float32 metres from the camera; NaN unknown.
        track: (m,) int64 the same for one object in all images of a sequence, or ``UNKNOWN``.
    """

    image: NDArray[np.int64]
    xyxy: Floats
    label: NDArray[np.int64]
    kind: NDArray[np.int8]
    occlusion: NDArray[np.int8]
    truncation: Floats
    distance: Floats
    track: NDArray[np.int64]

    def __len__(self) -> int:
        """Count the boxes."""
        return len(self.image)

    def take(self, chosen: NDArray[Any]) -> "Boxes":
        """Return some boxes, by mask or position; the images keep their numbers."""
        return Boxes(**{name: column[chosen] for name, column in vars(self).items()})

    def of_images(self, rows: NDArray[np.int64]) -> "Boxes":
        """Return the boxes of some images, which get the numbers 0, 1, ... in the order of ``rows``."""
        starts = np.searchsorted(self.image, rows, side="left")
        counts = np.searchsorted(self.image, rows, side="right") - starts
        ends = np.cumsum(counts)
        positions = np.arange(counts.sum()) + np.repeat(starts - (ends - counts), counts)
        found = self.take(positions)
        return dataclasses.replace(found, image=np.repeat(np.arange(len(rows)), counts))

    @classmethod
    def build(  # noqa: PLR0913
        cls,
        *,
        image: ArrayLike,
        xyxy: ArrayLike,
        label: ArrayLike,
        kind: ArrayLike | None = None,
        occlusion: ArrayLike | None = None,
        truncation: ArrayLike | None = None,
        distance: ArrayLike | None = None,
        track: ArrayLike | None = None,
    ) -> "Boxes":
        """Give columns their types, sort them by image, and fill in what is not known.

        >>> boxes = Boxes.build(image=[1, 0], xyxy=[[0, 0, 2, 2], [1, 1, 3, 3]], label=[0, 1])
        >>> boxes.label.tolist(), boxes.occlusion.tolist()
        ([1, 0], [-1, -1])
        """
        rows = np.asarray(image, np.int64).reshape(-1)
        order = np.argsort(rows, kind="stable")

        def column(values: ArrayLike | None, dtype: Any, default: Any) -> NDArray[Any]:
            return np.full(len(rows), default, dtype) if values is None else np.asarray(values, dtype).reshape(-1)

        columns: dict[str, Any] = {
            "image": rows,
            "xyxy": np.asarray(xyxy, np.float32).reshape(-1, 4),
            "label": column(label, np.int64, 0),
            "kind": column(kind, np.int8, OBJECT),
            "occlusion": column(occlusion, np.int8, UNKNOWN),
            "truncation": column(truncation, np.float32, np.nan),
            "distance": column(distance, np.float32, np.nan),
            "track": column(track, np.int64, UNKNOWN),
        }
        return cls(**{name: values[order] for name, values in columns.items()})


def area(xyxy: NDArray[Any]) -> NDArray[Any]:
    """Return (...,) the area of (..., 4) boxes, 0 for empty ones.

    >>> area(np.array([[0, 0, 2, 3], [2, 2, 1, 1]])).tolist()
    [6, 0]
    """
    width, height = (np.maximum(xyxy[..., 2 + axis] - xyxy[..., axis], 0) for axis in (0, 1))
    product: NDArray[Any] = width * height
    return product


def intersection(first: NDArray[Any], second: NDArray[Any]) -> NDArray[Any]:
    """Return (n, m) areas that (n, 4) and (m, 4) boxes share."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    product: NDArray[Any] = np.prod(np.maximum(high - low, 0), axis=2)
    return product


def iou(first: NDArray[Any], second: NDArray[Any]) -> NDArray[Any]:
    """Return (n, m) intersection over union of (n, 4) and (m, 4) boxes; 0 where both are empty.

    >>> iou(np.array([[0.0, 0, 2, 2]]), np.array([[1.0, 0, 3, 2], [5, 5, 6, 6]])).round(3).tolist()
    [[0.333, 0.0]]
    """
    shared = intersection(first, second)
    union = area(first)[:, None] + area(second)[None, :] - shared
    overlap: NDArray[Any] = np.zeros(shared.shape, np.result_type(shared, np.float32))
    np.divide(shared, union, out=overlap, where=union > 0)
    return overlap


def clip(xyxy: NDArray[Any], *, width: float, height: float) -> NDArray[Any]:
    """Return (..., 4) boxes cut to an image."""
    limits = np.array([width, height, width, height], xyxy.dtype)
    return np.asarray(np.clip(xyxy, 0, limits))


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Detections:
    """Boxes with scores, in order of their image and, within it, of falling score.

    Attributes:
        image: (m,) int64 row of the image, ascending.
        xyxy: (m, 4) float32 pixels of the original image.
        label: (m,) int64 index into the class names.
        score: (m,) float32 in [0, 1].
    """

    image: NDArray[np.int64]
    xyxy: Floats
    label: NDArray[np.int64]
    score: Floats

    def __len__(self) -> int:
        """Count the boxes."""
        return len(self.image)

    def take(self, chosen: NDArray[np.int64] | NDArray[np.bool_]) -> "Detections":
        """Return some boxes, by mask or position; the images keep their numbers."""
        return Detections(**{name: column[chosen] for name, column in vars(self).items()})

    @classmethod
    def build(cls, *, image: ArrayLike, xyxy: ArrayLike, label: ArrayLike, score: ArrayLike) -> "Detections":
        """Give columns their types and order; boxes with equal scores keep theirs.

        >>> Detections.build(image=[0, 0], xyxy=np.zeros((2, 4)), label=[3, 4], score=[0.1, 0.9]).label.tolist()
        [4, 3]
        """
        rows, scores = np.asarray(image, np.int64).reshape(-1), np.asarray(score, np.float32).reshape(-1)
        order = np.lexsort((-scores, rows))
        found: dict[str, Any] = {
            "image": rows,
            "xyxy": np.asarray(xyxy, np.float32).reshape(-1, 4),
            "label": np.asarray(label, np.int64).reshape(-1),
            "score": scores,
        }
        return cls(**{name: values[order] for name, values in found.items()})
