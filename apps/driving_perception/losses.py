"""The detector's loss: quality focal loss of the classes and complete-IoU loss of the boxes.

It reads the labelled boxes as rows: one table per picture, of a fixed number of rows.
"""

import dataclasses
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt

from apps.driving_perception import boxes as box
from apps.driving_perception import frames

TargetRows: TypeAlias = npt.NDArray[np.float32]

# Columns of a row: left, top, right, bottom in pixels, what the row is, then a column for each class. Of an object the
# class columns are one-hot. Of an ignored area they are 1 for the classes of which nothing is known there.
KIND_COLUMN = 4
CLASS_COLUMNS = 5
NOTHING, OBJECT, IGNORED = 0.0, 1.0, 2.0
# Rows of a validation part that are compared at once: all together would fill the memory.
_ROWS_AT_ONCE = 32


def target_rows(collection: frames.Frames, row: int) -> TargetRows:
    """Return (m, 5 + classes) float32 rows of one image, in pixels of the image.

    Neighbours are learned like objects; a region is an ignored area of its class or of all; and what the image's source
    does not label is not known in the whole image.
    """
    found = collection.boxes.of_images(np.array([row]))
    classes = len(collection.class_names)
    table = np.zeros((len(found), CLASS_COLUMNS + classes), np.float32)
    table[:, :KIND_COLUMN] = found.xyxy
    region = found.kind == box.REGION
    table[:, KIND_COLUMN] = np.where(region, IGNORED, OBJECT)
    named = found.label >= 0
    table[np.flatnonzero(named), CLASS_COLUMNS + found.label[named]] = 1.0
    table[~named, CLASS_COLUMNS:] = 1.0
    unknown = ~collection.known_classes[row]
    if unknown.any():
        width, height = collection.images.sizes[row]
        table = np.concatenate([[[0, 0, width, height, IGNORED, *unknown]], table]).astype(np.float32)
    return table


def pad_rows(table: TargetRows, *, count: int) -> TargetRows:
    """Return exactly ``count`` rows: empty ones added, or the smallest boxes left away; ignored areas go last."""
    size = box.area(table[:, :KIND_COLUMN]) + np.where(table[:, KIND_COLUMN] == IGNORED, np.inf, 0.0)
    kept = table[np.sort(np.argsort(-size, kind="stable")[:count])]
    padded = np.zeros((count, table.shape[1]), np.float32)
    padded[: len(kept)] = kept
    return padded


def scaled_rows(table: TargetRows, scale: Any) -> TargetRows:
    """Return the rows with their boxes in pixels of a picture that is ``scale`` times as large, (2,) or a number."""
    factors = np.broadcast_to(np.asarray(scale, np.float32), 2)
    return np.concatenate([table[:, :KIND_COLUMN] * np.tile(factors, 2), table[:, KIND_COLUMN:]], axis=1).astype(
        np.float32
    )


def boxes_of_rows(tables: npt.NDArray[np.float32]) -> box.Boxes:
    """Return (n, m, 5 + classes) rows as boxes again: what is ignored for several classes is a region of each."""
    image, place = np.nonzero(tables[..., KIND_COLUMN] != NOTHING)
    found = tables[image, place]
    row, label = np.nonzero(found[:, CLASS_COLUMNS:] > 0)
    kind = np.where(found[row, KIND_COLUMN] == IGNORED, box.REGION, box.OBJECT)
    return box.Boxes.build(image=image[row], xyxy=found[row, :KIND_COLUMN], label=label, kind=kind)


@keras.saving.register_keras_serializable(package="fieldnets")
class DetectionLoss(keras.losses.Loss):  # type: ignore[misc]
    """Compare the places of a network with rows of labelled boxes.

    Classes: quality focal loss, |q - s| ** 2 * cross-entropy(q, s), where q is how well the place fits its object
    (Li et al. 2020, "Generalized Focal Loss", https://arxiv.org/abs/2006.04388, equation 2). Boxes: 1 - CIoU (Zheng
    et al. 2020, https://arxiv.org/abs/1911.08287), weighted with the quality. Both are divided by the batch's sum of
    qualities.

    Args:
        box_weight: Weight of the boxes' loss.
        assigned_places: Most places per object.
    """

    def __init__(self, *, box_weight: float = 2.0, assigned_places: int = 10, name: str = "detection_loss") -> None:
        super().__init__(name=name)
        self.box_weight = box_weight
        self.assigned_places = assigned_places

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Map (batch, m, 5 + classes) rows and (batch, places, classes + 7) to (batch,) losses."""
        if isinstance(y_pred, np.ndarray):
            parts = range(0, len(y_pred), _ROWS_AT_ONCE)
            return np.concatenate([self._compare(*(x[i : i + _ROWS_AT_ONCE] for x in (y_true, y_pred))) for i in parts])
        return self._compare(y_true, y_pred)

    def _compare(self, rows: Any, places: Any) -> Any:
        ops = keras.ops
        rows, places = ops.cast(rows, "float32"), ops.cast(places, "float32")
        logits, boxes = places[..., :-7], places[..., -7:-3]
        centres, strides = places[..., -3:-1], places[..., -1:]
        scores = ops.sigmoid(logits)
        found = assign(
            rows,
            ops.stop_gradient(scores),
            ops.stop_gradient(boxes),
            centres,
            strides,
            most=self.assigned_places,
        )
        quality, weight = ops.stop_gradient(found.quality), ops.stop_gradient(found.weight)
        unknown = ops.stop_gradient(found.ignored * ops.cast(quality <= 0, "float32"))
        entropy = ops.binary_crossentropy(quality, logits, from_logits=True)
        per_class = (1.0 - unknown) * ops.square(quality - scores) * entropy
        per_box = weight * (1.0 - complete_iou(ops.stop_gradient(found.boxes), boxes))
        total = ops.sum(per_class, axis=(1, 2)) + self.box_weight * ops.sum(per_box, axis=1)
        return total / ops.maximum(ops.mean(ops.sum(weight, axis=1)), 1.0)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"box_weight": self.box_weight, "assigned_places": self.assigned_places, "name": self.name}


def complete_iou(truth: Any, boxes: Any) -> Any:
    """Return (...,) the overlap less the distance of the middles and the difference of the shapes (Zheng et al. 2020).

    Args:
        truth: (..., 4) boxes.
        boxes: (..., 4) boxes with right > left and bottom > top.
    """
    ops = keras.ops
    overlap = iou(truth, boxes)
    diagonal = distance = 0.0
    for i in (0, 1):
        wide = ops.maximum(truth[..., i + 2], boxes[..., i + 2]) - ops.minimum(truth[..., i], boxes[..., i])
        apart = (truth[..., i] + truth[..., i + 2] - boxes[..., i] - boxes[..., i + 2]) / 2
        diagonal, distance = diagonal + ops.square(wide), distance + ops.square(apart)
    slope = _angle(truth) - _angle(boxes)
    shape = 4 / np.pi**2 * ops.square(slope)
    trust = ops.stop_gradient(shape / ops.maximum(1.0 - overlap + shape, 1e-6))
    return overlap - distance / ops.maximum(diagonal, 1e-6) - trust * shape


def _angle(boxes: Any) -> Any:
    """Return (...,) the arc tangent of width over height."""
    width, height = (keras.ops.maximum(boxes[..., i + 2] - boxes[..., i], 1e-3) for i in (0, 1))
    return keras.ops.arctan2(width, height)


# The metric is score ** 0.5 * overlap ** 6: the exponents of the paper are 1 and 6, and of later detectors 0.5 and 6.
SCORE_EXPONENT, OVERLAP_EXPONENT = 0.5, 6.0
# A place may learn an object although it lies outside: small ones cover the middle of no place. In strides of the grid.
REACH = 0.75
TINY = 1e-9


@dataclasses.dataclass(frozen=True, kw_only=True)
class Assigned:
    """What each place is to learn.

    Attributes:
        quality: (batch, places, classes) float32 in [0, 1]: the score to give, 0 for background.
        boxes: (batch, places, 4) the box to give where there is one.
        weight: (batch, places) float32: the quality of the one box, 0 for background.
        ignored: (batch, places, classes) float32, 1 where nothing is known.
    """

    quality: Any
    boxes: Any
    weight: Any
    ignored: Any


def assign(rows: Any, scores: Any, boxes: Any, centres: Any, strides: Any, *, most: int) -> Assigned:
    """Give each object its best ``most`` places.

    Args:
        rows: (batch, m, 5 + classes) as ``target_rows`` makes them.
        scores: (batch, places, classes) in [0, 1].
        boxes: (batch, places, 4) pixels.
        centres: (batch, places, 2) pixels.
        strides: (batch, places, 1) pixels.
        most: Places per object.
    """
    ops = keras.ops
    truth, kind, classes = rows[..., :4], rows[..., KIND_COLUMN], rows[..., CLASS_COLUMNS:]
    real = ops.cast(ops.equal(kind, OBJECT), "float32")[:, :, None]
    overlap = iou(truth[:, :, None, :], boxes[:, None, :, :])
    score = ops.matmul(classes, ops.transpose(scores, (0, 2, 1)))
    candidate = real * within(centres, truth, REACH * strides)
    metric = candidate * (score + TINY) ** SCORE_EXPONENT * (overlap + TINY) ** OVERLAP_EXPONENT
    least = ops.top_k(metric, most)[0][:, :, -1:]
    chosen = candidate * ops.cast(metric >= ops.maximum(least, TINY**OVERLAP_EXPONENT), "float32")
    # A place that two objects want learns the one that it overlaps more.
    owner = ops.one_hot(ops.argmax(chosen * (overlap + TINY), axis=1), rows.shape[1], axis=1)
    chosen = chosen * owner
    metric = metric * chosen
    best = ops.max(overlap * chosen, axis=2, keepdims=True)
    quality = metric / ops.maximum(ops.max(metric, axis=2, keepdims=True), TINY) * best
    by_place = ops.transpose(quality, (0, 2, 1))
    return Assigned(
        quality=ops.matmul(by_place, classes),
        boxes=ops.matmul(ops.transpose(chosen, (0, 2, 1)), truth),
        weight=ops.sum(by_place, axis=2),
        ignored=_ignored(kind, truth, classes, centres),
    )


def within(centres: Any, truth: Any, reach: Any) -> Any:
    """Return (batch, m, places) float32, 1 where a place lies in a box, or as near to its middle as ``reach``.

    Args:
        centres: (batch, places, 2).
        truth: (batch, m, 4).
        reach: (batch, places, 1) pixels.
    """
    ops = keras.ops
    x, y = centres[:, None, :, 0], centres[:, None, :, 1]
    left, top, right, bottom = (truth[:, :, None, i] for i in range(4))
    inside = (x > left) & (x < right) & (y > top) & (y < bottom)
    far = reach[:, None, :, 0]
    beside = (ops.abs(x - (left + right) / 2) < far) & (ops.abs(y - (top + bottom) / 2) < far)
    return ops.cast(inside | beside, "float32")


def iou(first: Any, second: Any) -> Any:
    """Return the intersection over union of boxes (..., 4) that broadcast against each other."""
    ops = keras.ops
    sides = []
    for i in (0, 1):
        low = ops.maximum(first[..., i], second[..., i])
        high = ops.minimum(first[..., i + 2], second[..., i + 2])
        sides.append(ops.maximum(high - low, 0.0))
    shared = sides[0] * sides[1]
    return shared / ops.maximum(area(first) + area(second) - shared, TINY)


def area(boxes: Any) -> Any:
    """Return (...,) the area of boxes (..., 4), 0 for empty ones."""
    width, height = (keras.ops.maximum(boxes[..., i + 2] - boxes[..., i], 0.0) for i in (0, 1))
    return width * height


def _ignored(kind: Any, truth: Any, classes: Any, centres: Any) -> Any:
    """Return (batch, places, classes) 1 where an ignored area covers the place."""
    ops = keras.ops
    area_rows = ops.cast(ops.equal(kind, IGNORED), "float32")[:, :, None]
    covered = area_rows * within(centres, truth, ops.zeros_like(centres[..., :1]))
    return ops.minimum(ops.matmul(ops.transpose(covered, (0, 2, 1)), classes), 1.0)
