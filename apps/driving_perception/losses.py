"""The detector's loss: quality focal loss of the classes and complete-IoU loss of the boxes."""

from typing import Any

import keras
import numpy as np

from apps.driving_perception import assignment

# Rows of a validation part that are compared at once: all together would fill the memory.
_ROWS_AT_ONCE = 32


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
        found = assignment.assign(
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
    overlap = assignment.iou(truth, boxes)
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
