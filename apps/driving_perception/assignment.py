"""Which places of the grids learn which object: task-aligned assignment, in ``keras.ops``.

Feng et al. 2021, "TOOD: Task-aligned One-stage Object Detection" (https://arxiv.org/abs/2108.07755), section 3.3: the
places that both name the object's class and fit its box best are told to do more of that.
"""

import dataclasses
from typing import Any

import keras

from apps.driving_perception import targets

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
        rows: (batch, m, 5 + classes) as ``targets`` makes them.
        scores: (batch, places, classes) in [0, 1].
        boxes: (batch, places, 4) pixels.
        centres: (batch, places, 2) pixels.
        strides: (batch, places, 1) pixels.
        most: Places per object.
    """
    ops = keras.ops
    truth, kind, classes = rows[..., :4], rows[..., targets.KIND], rows[..., targets.CLASSES :]
    real = ops.cast(ops.equal(kind, targets.OBJECT), "float32")[:, :, None]
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
    area_rows = ops.cast(ops.equal(kind, targets.IGNORED), "float32")[:, :, None]
    covered = area_rows * within(centres, truth, ops.zeros_like(centres[..., :1]))
    return ops.minimum(ops.matmul(ops.transpose(covered, (0, 2, 1)), classes), 1.0)
