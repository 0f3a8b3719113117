"""Grad-CAM, the places of an image where a layer of features speaks for a class, and the pointing game.

The pointing game asks of any heat maps whether their highest place lies where the finding is: Zhang et al. 2018,
"Top-down neural attention by excitation backprop" (https://arxiv.org/abs/1608.00507), section 4.1.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from shared.evaluation import intervals
from shared.explain import gradients


def maps(
    model: keras.Model,
    images: np.ndarray,
    *,
    layer_path: str,
    targets: np.ndarray | None = None,
    by_place: bool = False,
    batch_size: int = 32,
) -> np.ndarray:
    """Map each image by how strongly its features speak for a class.

    Selvaraju et al. 2017 (https://arxiv.org/abs/1610.02391), equations 1 and 2: each feature channel weighs as much as
    its mean gradient; the weighted sum, where it is positive, is brought to the size of the image. What is
    differentiated is the class's log-odds, as in `gradients.integrated_gradients`: of two classes whose logits rise
    together neither gains.

    In layers before the last a channel may speak for the class in one place and against it in another, and the mean
    says neither. With ``by_place`` a feature weighs by its own gradient, where that is positive: LayerCAM (Jiang et al.
    2021, https://doi.org/10.1109/TIP.2021.3089943), equations 5 and 6.

    Args:
        model: One input, one output of logits (batch, classes).
        images: (n, height, width, channels) float32, scaled as the model takes them.
        layer_path: A layer of output (batch, rows, columns, features), usually the last convolution after its
            activation; inside a model that is a layer itself: ``backbone/features``.
        targets: (n,) int classes to explain; None = the predicted ones.
        by_place: Weigh features by place instead of by channel.
        batch_size: Images differentiated at once.

    Returns:
        (n, height, width) float32 in [0, 1], the highest place of each image 1. All 0 where nothing speaks for
        the class.

    Raises:
        ValueError: No image, no such layer, or one whose output has no rows and columns.
    """
    if len(images) == 0:
        raise ValueError("Expected at least one image to explain. Received: 0")
    head, tail = gradients.cut(model, layer_path)
    if len(head.output_shape) != 4:
        raise ValueError(f"Expected {layer_path} to put out rows and columns. Received: shape {head.output_shape}")
    batches = [images[start : start + batch_size] for start in range(0, len(images), batch_size)]
    if targets is None:
        targets = np.concatenate([_predicted(head, tail, batch) for batch in batches])
    parts = np.split(targets, np.cumsum([len(batch) for batch in batches[:-1]]))
    return np.concatenate([_maps(head, tail, *batch, by_place=by_place) for batch in zip(batches, parts, strict=True)])


def _predicted(head: keras.Model, tail: keras.Model, images: np.ndarray) -> np.ndarray:
    inputs = ops.convert_to_tensor(images)
    logits = tail([inputs, head(inputs, training=False)], training=False)
    return np.asarray(ops.convert_to_numpy(logits).argmax(axis=-1))


def _maps(
    head: keras.Model, tail: keras.Model, images: np.ndarray, targets: np.ndarray, *, by_place: bool
) -> np.ndarray:
    found = np.zeros(images.shape[:3], np.float32)
    for target in np.unique(targets):
        rows = targets == target
        found[rows] = _maps_of_class(head, tail, images[rows], target=int(target), by_place=by_place)
    return found


def _maps_of_class(
    head: keras.Model, tail: keras.Model, images: np.ndarray, *, target: int, by_place: bool
) -> np.ndarray:
    inputs = ops.convert_to_tensor(images)
    features = np.asarray(ops.convert_to_numpy(head(inputs, training=False)), dtype=np.float32)
    _, gradient = gradients.value_and_gradient(
        lambda varied: gradients.log_odds(tail([inputs, varied], training=False), target=target), features
    )
    found = combine(ops.convert_to_tensor(features), ops.convert_to_tensor(gradient), images.shape[1:3], by_place)
    return np.asarray(ops.convert_to_numpy(found), dtype=np.float32)


def combine(features: Any, gradient: Any, shape: tuple[int, ...], by_place: bool) -> Any:
    """Make maps of features and of a score's gradient by them, in a graph too.

    Args:
        features: (n, rows, columns, features) float32.
        gradient: Shaped like them.
        shape: Height and width of the maps.
        by_place: As in ``maps``.

    Returns:
        (n, *shape) float32 in [0, 1], as ``maps`` returns them.
    """
    weights = ops.maximum(gradient, 0) if by_place else ops.mean(gradient, axis=(1, 2), keepdims=True)
    coarse = ops.maximum(ops.sum(weights * features, axis=-1, keepdims=True), 0)
    fine = ops.image.resize(coarse, shape, interpolation="bilinear", data_format="channels_last")
    found = ops.maximum(fine[..., 0], 0)
    highest = ops.max(found, axis=(1, 2), keepdims=True)
    return ops.where(highest > 0, found / ops.where(highest > 0, highest, ops.ones_like(highest)), 0.0)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PointingGame:
    """How often maps point into a box, beside two ways of pointing without looking.

    Attributes:
        rows: (m,) int64 images that have boxes.
        hits: (m,) bool whether the highest place lies in a box.
        rate: Share of hits.
        chance: Mean share of the image that the boxes cover: the rate of points thrown anywhere.
        best_fixed_point: Rate of the one place that lies in most images' boxes. It is chosen with the boxes of these
            same images, so it is the most that pointing at one place could reach.
    """

    rows: npt.NDArray[np.int64]
    hits: npt.NDArray[np.bool_]
    rate: intervals.Interval
    chance: float
    best_fixed_point: float

    @property
    def passed(self) -> bool:
        """Whether the maps point better than any fixed place: the interval lies above it, and so above chance."""
        return self.rate.low > max(self.best_fixed_point, self.chance)


def pointing_game(
    maps: npt.NDArray[np.floating],
    boxes: Sequence[npt.NDArray[np.floating] | None],
    *,
    units: npt.ArrayLike | None = None,
    confidence: float = 0.95,
) -> PointingGame:
    """Point with each map whose image has boxes.

    Args:
        maps: (n, height, width); a map that is the same everywhere points nowhere and misses.
        boxes: n arrays (k, 4) of left, top, right, bottom in fractions of width and height, None where unknown. Images
            without a box take no part.
        units: (n,) what images share, such as the patient.
        confidence: Of the interval, Wilson's at the effective number of images.

    Raises:
        ValueError: Another number of boxes than of maps, a box that is none, or no image with a box.
    """
    if len(boxes) != len(maps):
        raise ValueError(f"Expected boxes for {len(maps)} maps. Received: {len(boxes)}")
    rows = np.array([row for row, found in enumerate(boxes) if found is not None and len(found)], np.int64)
    if not len(rows):
        raise ValueError("Expected at least one image with a box. Received: none")
    inside = np.array([box_mask(np.asarray(boxes[row]), shape=maps.shape[1:]) for row in rows])
    hits = np.array([_hit(maps[row], area) for row, area in zip(rows, inside, strict=True)])
    return PointingGame(
        rows=rows,
        hits=hits,
        rate=intervals.proportion(
            hits, units=None if units is None else np.asarray(units)[rows], confidence=confidence
        ),
        chance=float(inside.mean()),
        best_fixed_point=float(inside.mean(axis=0).max()),
    )


def box_mask(boxes: npt.NDArray[np.floating], *, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Mark the pixels whose centre lies in one of the boxes (k, 4), (height, width).

    >>> box_mask(np.array([[0.0, 0.5, 0.5, 1.0]]), shape=(2, 4)).astype(int)
    array([[0, 0, 0, 0],
           [1, 1, 0, 0]])

    Raises:
        ValueError: A box that ends before it starts or leaves the image.
    """
    height, width = shape
    y, x = (np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width
    left, top, right, bottom = np.moveaxis(boxes, -1, 0)[..., None]
    if (boxes < 0).any() or (boxes > 1).any() or (left > right).any() or (top > bottom).any():
        raise ValueError(f"Expected boxes (left, top, right, bottom) in fractions. Received: {boxes.tolist()}")
    rows, columns = (top <= y) & (y <= bottom), (left <= x) & (x <= right)
    marked: npt.NDArray[np.bool_] = (rows[:, :, None] & columns[:, None, :]).any(axis=0)
    return marked


def _hit(heat: npt.NDArray[np.floating], area: npt.NDArray[np.bool_]) -> bool:
    return bool(heat.max() > heat.min() and area.reshape(-1)[heat.argmax()])
