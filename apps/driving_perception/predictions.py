"""From canvases to what the app says: boxes in pixels of the original, scores, classes, and a decision for the image.

The graph that ``predict``, ``evaluate`` and the exported model share. What other engines run ends with the logits and
sides of each grid, before ``model.Places`` turns them into boxes: in 8 bits, coordinates of hundreds of pixels and
logits cannot share a scale.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from apps.driving_perception import boxes as box
from apps.driving_perception import config, decision, frames, lane, model, preprocessing
from shared import errors

# What is far below any threshold in use, and yet counts in the tail of a precision-recall curve.
LEAST_SCORE = 0.01
# Places that can give a box, the best of each image; suppression compares each pair of them.
MOST_CANDIDATES = 1000
# Images decoded at a time; the network sees one at a time.
ROWS_AT_ONCE = 16
GRIDS = tuple(f"{name}_{stride}" for stride in model.STRIDES for name in ("logits", "sides"))


def graph(model: keras.Model, settings: config.Config) -> Callable[..., Mapping[str, Any]]:
    """Return the function that detects: canvases and geometry as from ``preprocessing``, and which are images.

    It returns ``boxes`` (batch, most, 4) float32 pixels of the original image, ``scores`` (batch, most) float32
    falling, ``classes`` (batch, most) int32 and ``count`` (batch,) int32; rows from ``count`` on are 0. Scores go
    down to ``LEAST_SCORE``.
    """
    shape = tf.TensorSpec([1, None, None, preprocessing.CHANNELS], tf.float32)
    # Traced once for all signatures of a bundle: the network has some hundred layers.
    network = tf.function(lambda picture: model(picture, training=False), input_signature=[shape])

    def detect(canvases: Any, geometry: Any, valid: Any) -> Mapping[str, Any]:
        padded, sides = preprocessing.roomy(canvases, geometry)

        def places(row: Any) -> Any:
            height, width = sides[row, 2], sides[row, 3]
            picture = tf.cast(padded[row, :height, :width], tf.float32)
            return network(picture[tf.newaxis])

        return in_pixels(places, sides, geometry, valid, settings)

    return detect


def in_pixels(
    places: Callable[[Any], Any], sides: Any, geometry: Any, valid: Any, settings: config.Config
) -> Mapping[str, Any]:
    """Return the boxes of each row's places, one row at a time, in pixels of the originals."""
    most = settings.most_detections
    signature = {
        "boxes": tf.TensorSpec((most, 4), tf.float32),
        "scores": tf.TensorSpec((most,), tf.float32),
        "classes": tf.TensorSpec((most,), tf.int32),
        "count": tf.TensorSpec((), tf.int32),
    }

    def one(row: Any) -> Mapping[str, Any]:
        size = tf.cast(sides[row, preprocessing.FILLED], tf.float32)
        found = boxes(places(row), size[tf.newaxis], most=most, overlap=settings.suppression_overlap)
        return {name: values[0] for name, values in found.items()}

    found = tf.map_fn(one, tf.range(tf.shape(geometry)[0]), fn_output_signature=signature)
    return _of_images(found, geometry, valid)


def _of_images(found: Mapping[str, Any], geometry: Any, valid: Any) -> Mapping[str, Any]:
    """Bring boxes from canvases to pixels of the images, and find nothing in what is no image."""
    sizes = tf.cast(tf.maximum(geometry, 1), tf.float32)
    factors = (sizes[:, preprocessing.ORIGINAL] / sizes[:, preprocessing.FILLED])[:, ::-1]
    kept = tf.cast(valid, tf.float32)
    return {
        "boxes": found["boxes"] * (tf.concat([factors, factors], axis=1) * kept[:, tf.newaxis])[:, tf.newaxis],
        "scores": found["scores"] * kept[:, tf.newaxis],
        "classes": found["classes"] * tf.cast(valid, tf.int32)[:, tf.newaxis],
        "count": found["count"] * tf.cast(valid, tf.int32),
    }


def decide(
    found: Mapping[str, Any], geometry: Any, valid: Any, *, rule: decision.DecisionRule, region: lane.Region
) -> Mapping[str, Any]:
    """Keep the boxes from the threshold on, name them, and say whether one of them is in the way.

    Returns:
        ``boxes``, ``scores``, ``classes``, ``count`` as from ``graph``; ``labels`` (batch, most) string, "" from
        ``count`` on; ``decision`` (batch,) string: ``obstacle_ahead``, ``clear`` or ``invalid``.
    """
    # Scores fall, so that those from the threshold on are the first.
    kept = found["scores"] >= rule.threshold
    flags = tf.cast(kept, tf.int32)
    boxes = found["boxes"] * tf.cast(kept, tf.float32)[..., tf.newaxis]
    classes = found["classes"] * flags
    ahead = kept & _in_the_way(boxes, tf.cast(geometry[:, preprocessing.ORIGINAL], tf.float32), region)
    decision = tf.where(tf.reduce_any(ahead, axis=1), lane.AHEAD, lane.CLEAR)
    return {
        "boxes": boxes,
        "scores": found["scores"] * tf.cast(kept, tf.float32),
        "classes": classes,
        "count": tf.reduce_sum(flags, axis=1),
        "labels": tf.where(kept, tf.gather(tf.constant(rule.class_names), classes), ""),
        "decision": tf.where(valid, decision, lane.INVALID),
    }


def _in_the_way(boxes: Any, sizes: Any, region: lane.Region) -> Any:
    """Return (batch, most) bool: ``lane.Region.decide`` of (batch, most, 4) boxes; ``sizes`` are height and width."""
    height, width = (tf.maximum(sizes[:, i : i + 1], 1.0) for i in (0, 1))
    across = (boxes[..., 0] + boxes[..., 2]) / (2.0 * width)
    foot, tall = boxes[..., 3] / height, (boxes[..., 3] - boxes[..., 1]) / height
    way = tf.clip_by_value((foot - region.top) / (1.0 - region.top), 0.0, 1.0)
    half = (region.top_width + (region.bottom_width - region.top_width) * way) / 2.0
    return (foot >= region.top) & (tf.abs(across - 0.5) <= half) & (tall >= region.height_fraction)


def boxes(places: Any, sizes: Any, *, most: int, overlap: float) -> dict[str, Any]:
    """Return the boxes of each image, best first.

    Args:
        places: (batch, n, classes + 7) float32 as ``model.build`` gives them.
        sizes: (batch, 2) float32 height and width in pixels of the canvas that the image fills.
        most: Boxes per image.
        overlap: Intersection over union from which the weaker of two boxes of one class is dropped.

    Returns:
        ``boxes`` (batch, most, 4) float32 in pixels of the canvas, cut to the image; ``scores`` (batch, most) float32;
        ``classes`` (batch, most) int32; rows after the first ``count`` (batch,) int32 are 0.
    """
    scores = tf.sigmoid(places[..., :-7])
    limits = tf.concat([sizes[:, ::-1], sizes[:, ::-1]], axis=1)[:, tf.newaxis]
    corners = tf.minimum(tf.maximum(places[..., -7:-3], 0.0), limits)
    kept = tf.minimum(tf.shape(scores)[1], MOST_CANDIDATES)
    best = tf.math.top_k(tf.reduce_max(scores, axis=2), kept).indices
    scores, corners = tf.gather(scores, best, batch_dims=1), tf.gather(corners, best, batch_dims=1)
    found = tf.image.combined_non_max_suppression(
        corners[:, :, tf.newaxis],
        scores,
        max_output_size_per_class=most,
        max_total_size=most,
        iou_threshold=overlap,
        score_threshold=LEAST_SCORE,
        clip_boxes=False,
    )
    return {
        "boxes": found.nmsed_boxes,
        "scores": found.nmsed_scores,
        "classes": tf.cast(found.nmsed_classes, tf.int32),
        "count": found.valid_detections,
    }


def detect(
    network: keras.Model, settings: config.Config, collection: frames.Frames, rows: npt.NDArray[np.int64]
) -> box.Detections:
    """Return all boxes down to the least score, numbered from 0 in the order of ``rows``.

    Raises:
        errors.InputError: A file is no image.
    """
    detector = graph(network, settings)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])  # type: ignore[untyped-decorator]
    def look(image_bytes: Any) -> tuple[Mapping[str, Any], Any]:
        canvases, geometry, valid = preprocessing.decode(image_bytes, image_size=settings.image_size)
        return detector(canvases, geometry, valid), valid

    found = []
    for start in range(0, len(rows), ROWS_AT_ONCE):
        chosen = rows[start : start + ROWS_AT_ONCE]
        content = [frames.as_file(collection.images.read(int(row))) for row in chosen]
        seen, valid = look(tf.constant(content, tf.string))
        if not valid.numpy().all():
            name = collection.images.names[chosen[int(np.argmin(valid.numpy()))]]
            raise errors.InputError(f"{name}: expected an image that can be decoded. Received: another file")
        found.append(seen)
    return flat(found)


def flat(parts: Sequence[Mapping[str, Any]]) -> box.Detections:
    """Return the detections of batches, each (batch, most, ...), arrays or tensors, as one list of boxes."""
    found = {name: np.concatenate([np.asarray(part[name]) for part in parts]) for name in parts[0]}
    present = np.arange(found["scores"].shape[1]) < found["count"][:, np.newaxis]
    image, _ = np.nonzero(present)
    return box.Detections.build(
        image=image, xyxy=found["boxes"][present], label=found["classes"][present], score=found["scores"][present]
    )


def cut_at_grids(network: keras.Model) -> keras.Model:
    """Return the network from ``image`` to its grids (batch, height / stride, width / stride, classes or 4) by name."""
    tensors = [tensor for place in _places(network) for tensor in place.input]
    return keras.Model(network.input, dict(zip(GRIDS, tensors, strict=True)), name="network")


def places_of(network: keras.Model, grids: Mapping[str, Any]) -> Any:
    """Return the places (batch, n, classes + 7), as of ``model.build``, that grids by name stand for."""
    tensors = [grids[name] for name in GRIDS]
    found = [place(tensors[2 * i : 2 * i + 2]) for i, place in enumerate(_places(network))]
    return keras.ops.concatenate(found, axis=1)


def stride_of_grid(name: str) -> int:
    """Return the pixels between the places of a grid.

    >>> stride_of_grid("logits_16")
    16
    """
    return int(name.rpartition("_")[2])


def of_grids(model: keras.Model, settings: config.Config) -> Callable[..., Mapping[str, Any]]:
    """Return the function that returns what ``graph`` does from another engine's grids.

    It takes grids by name, each (batch, height, width, values) in the upper left corner of its row, and the geometry
    and validity of the images.
    """

    def detect(grids: Mapping[str, Any], geometry: Any, valid: Any) -> Mapping[str, Any]:
        sides = tf.maximum(geometry, preprocessing.STRIDE)

        def places(row: Any) -> Any:
            own = {}
            for name, values in grids.items():
                height, width = (sides[row, column] // stride_of_grid(name) for column in (2, 3))
                own[name] = values[row, :height, :width][tf.newaxis]
            return places_of(model, own)

        return in_pixels(places, sides, geometry, valid, settings)

    return detect


def usage_of_grids(network: keras.Model, settings: config.Config) -> dict[str, Any]:
    """Return what who runs a written network without the bundle must know to scale an image and to read the grids."""
    return {
        "image": {"layout": "batch, height, width, colours", "range": [0, 255], "colours": "red, green, blue"},
        "canvas": {
            "image_size": settings.image_size,
            "multiple_of": preprocessing.STRIDE,
            "longest": preprocessing.LONGEST,
            "padding_grey": preprocessing.GREY,
        },
        "grids": {
            "strides": list(model.STRIDES),
            "factors": [float(place.factor.numpy()) for place in _places(network)],
            "meaning": "score = sigmoid(logit); the place of row j and column i is ((i + 0.5) * stride, "
            f"(j + 0.5) * stride); left, top, right, bottom lie exp(clip(side * factor, -{model.LARGEST_EXPONENT:g}, "
            f"{model.LARGEST_EXPONENT:g})) * stride pixels of the canvas from it",
        },
        "suppression_overlap": settings.suppression_overlap,
        "most_detections": settings.most_detections,
    }


def _places(network: keras.Model) -> list[Any]:
    return [network.get_layer(f"places_{number}") for number in range(len(model.STRIDES))]
