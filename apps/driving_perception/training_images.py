"""Images and boxes as training keeps them in memory: compressed to learn from, decoded to validate on.

Training pictures are varied: zoomed and cut, mirrored, put together of four, and seen in another light. That runs in
tf.data on whole batches and draws from (seed, epoch, row) only, as ``shared.training.datasets`` asks, so that
a resumed training sees the very pictures an uninterrupted one does.
"""

import concurrent.futures
import functools
import os
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from apps.driving_perception import config, frames, losses, preprocessing
from shared.training import datasets

# Choosing among epochs needs no more; the threshold is chosen on all of validation.
MOST_COMPARED = 200
# What is left of an object at the edge of a cut picture is learned where it is this much of the whole; with less, and
# where it is smaller than so many pixels, nothing is known of the place.
LEAST_SHARE, LEAST_SIDE = 0.25, 3.0
# Tiles of four that share a picture are halved, so they are drawn larger before.
TILE_ZOOM = 1.4


def training(collection: frames.Frames, rows: npt.NDArray[np.int64], settings: config.Config) -> datasets.Arrays:
    """Return images to learn from: ``image`` (n,) JPEG, ``preprocessing.SPARE`` times as large as in use, and rows."""
    keep = functools.partial(_stored, collection, settings)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(keep, rows.tolist()))
    encoded = np.empty(len(found), object)
    encoded[:] = [content for content, _ in found]
    return datasets.Arrays(
        inputs={"image": encoded},
        labels=_stacked([table for _, table in found]),
        augment=augmentation(settings),
    )


def _stored(collection: frames.Frames, settings: config.Config, row: int) -> tuple[bytes, losses.TargetRows]:
    content, factor = preprocessing.stored(collection.images.decode(row), image_size=settings.image_size)
    return content, losses.scaled_rows(losses.target_rows(collection, row), factor)


def validation(
    collection: frames.Frames, rows: npt.NDArray[np.int64], settings: config.Config
) -> tuple[datasets.Arrays, npt.NDArray[np.int64]]:
    """Return some images to compare epochs on, as the network sees them in use but on one canvas for all.

    Returns:
        ``image`` (n, height, width, 3) uint8 with the rows of their boxes in pixels of the canvas, n at most
        ``MOST_COMPARED``; and (n, 6) geometry as in ``preprocessing``.
    """
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), MOST_COMPARED)).round().astype(int)]
    place = functools.partial(preprocessing.place, image_size=settings.image_size)
    placed = [place(tf.image.convert_image_dtype(collection.images.decode(int(row)), tf.float32)) for row in rows]
    geometry = np.stack([sides.numpy() for _, sides in placed]).astype(np.int64)
    height, width = geometry[:, preprocessing.WHOLE].max(axis=0)
    images = np.full((len(rows), height, width, preprocessing.CHANNELS), preprocessing.GREY, np.uint8)
    for image, (picture, sides) in zip(images, placed, strict=True):
        image[: sides[2], : sides[3]] = picture.numpy()
    factors = geometry[:, preprocessing.FILLED] / geometry[:, preprocessing.ORIGINAL]
    tables = [
        losses.scaled_rows(losses.target_rows(collection, int(row)), factor[::-1])
        for row, factor in zip(rows, factors, strict=True)
    ]
    return datasets.Arrays(inputs={"image": images}, labels=_stacked(tables)), geometry


def _stacked(tables: list[losses.TargetRows]) -> losses.TargetRows:
    longest = max(max(map(len, tables)), 1)
    return np.stack([losses.pad_rows(table, count=longest) for table in tables])


def augmentation(settings: config.Config) -> datasets.Augment:
    """Return the augmentation that ``settings`` describe; see ``vary``."""
    return functools.partial(vary, settings=settings)


def vary(inputs: dict[str, Any], labels: Any, seeds: Any, *, settings: config.Config) -> tuple[dict[str, Any], Any]:
    """Make the pictures and rows of one batch.

    Args:
        inputs: ``image`` (batch,) string: JPEG as ``preprocessing.stored`` makes it.
        labels: (batch, m, 5 + classes) float32 rows in pixels of that JPEG, as in ``targets``.
        seeds: (batch, 2) int64.
        settings: How much of each.

    Returns:
        ``image`` (batch, height, width, 3) float32 in [0, 255], and (batch, most_boxes, 5 + classes) rows.
    """
    seed = seeds[0]
    height, width = _canvas_shape(seed, settings)
    count = tf.shape(seeds)[0]
    fours = _uniform(count, seed, 1) < settings.mosaic

    def one(row: Any) -> tuple[Any, Any]:
        image = tf.io.decode_jpeg(inputs["image"][row], channels=3)
        tile = tf.where(fours[row], TILE_ZOOM, 1.0)
        return _cut(image, labels[row], _stream(seeds[row], 2), tile, (height, width), settings)

    signature = (tf.TensorSpec((None, None, 3), tf.float32), tf.TensorSpec(labels.shape[1:], tf.float32))
    images, rows = tf.map_fn(one, tf.range(count), fn_output_signature=signature, parallel_iterations=1)
    images.set_shape((None, None, None, 3))
    if settings.mosaic:
        images, rows = _put_together(images, rows, fours, seed)
    images = _light(images, seed, settings)
    return {"image": images}, _largest(rows, count=settings.most_boxes)


def _canvas_shape(seed: Any, settings: config.Config) -> tuple[Any, Any]:
    """Return (height, width) of the batch's pictures; with multi-scale another from step to step."""
    height, width = preprocessing.training_shape(settings.image_size)
    if not settings.multi_scale:
        return height, width
    change = 1.0 + (2.0 * _uniform(1, seed, 3)[0] - 1.0) * settings.multi_scale
    return tuple(
        preprocessing.STRIDE * tf.maximum(tf.cast(tf.round(side * change / preprocessing.STRIDE), tf.int32), 2)
        for side in (float(height), float(width))
    )


def _cut(
    image: Any, rows: Any, seed: Any, tile: Any, size: tuple[Any, Any], settings: config.Config
) -> tuple[Any, Any]:
    """Zoom into one image and show a part of it, mirrored or not, on a canvas."""
    draw = tf.random.stateless_uniform([5], seed=seed)
    source = tf.cast(tf.shape(image)[:2], tf.float32)
    usual = tf.minimum(
        settings.image_size / tf.sqrt(source[0] * source[1]),
        preprocessing.LONGEST * settings.image_size / tf.maximum(source[0], source[1]),
    )
    zoom = tf.exp(tf.math.log(settings.zoom_out) + draw[0] * tf.math.log(settings.zoom_in / settings.zoom_out))
    stretch = tf.exp(0.2 * (draw[1] - 0.5))
    scales = usual * zoom * tile * tf.stack([1.0 / stretch, stretch])
    target = tf.cast(tf.stack(size), tf.float32)
    room = target - scales * source
    offset = room * draw[2:4]
    mirrored = (draw[4] < 0.5) & settings.flip
    transform = _inverse(scales, offset, mirrored, target[1])
    shown = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(image, tf.float32)[tf.newaxis],
        transforms=transform[tf.newaxis],
        output_shape=tf.stack(size),
        fill_value=float(preprocessing.GREY),
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )[0]
    return shown, _moved(rows, scales, offset, mirrored, target)


def _inverse(scales: Any, offset: Any, mirrored: Any, width: Any) -> Any:
    """Return the (8,) projective transform from places of the canvas to places of the image."""
    sign = tf.where(mirrored, -1.0, 1.0)
    # The op counts pixels by their middles: x_in = (x_out + 0.5 - offset) / scale - 0.5, mirrored x_out = width - 1 -
    # x.
    across = tf.where(mirrored, (width - 0.5 - offset[1]) / scales[1] - 0.5, (0.5 - offset[1]) / scales[1] - 0.5)
    down = (0.5 - offset[0]) / scales[0] - 0.5
    return tf.stack([sign / scales[1], 0.0, across, 0.0, 1.0 / scales[0], down, 0.0, 0.0])


def _moved(rows: Any, scales: Any, offset: Any, mirrored: Any, target: Any) -> Any:
    """Return rows whose boxes went with the picture: cut at its edges, unknown where little is left of them."""
    moved = rows[:, :4] * tf.tile(scales[::-1], [2]) + tf.tile(offset[::-1], [2])
    across = tf.stack([target[1] - moved[:, 2], moved[:, 1], target[1] - moved[:, 0], moved[:, 3]], axis=1)
    return _trimmed(tf.where(mirrored, across, moved), rows[:, 4:], tf.concat([target[::-1], target[::-1]], 0))


def _trimmed(boxes: Any, rest: Any, limits: Any) -> Any:
    """Cut boxes (m, 4) to ``limits`` (4,), and say what their rows are worth now."""
    cut = tf.clip_by_value(boxes, 0.0, limits)
    sides, before = cut[:, 2:] - cut[:, :2], boxes[:, 2:] - boxes[:, :2]
    share = tf.reduce_prod(sides, axis=1) / tf.maximum(tf.reduce_prod(before, axis=1), 1e-6)
    kind = rest[:, 0]
    poor = (share < LEAST_SHARE) | (tf.reduce_min(sides, axis=1) < LEAST_SIDE)
    kind = tf.where((kind == losses.OBJECT) & poor, losses.IGNORED, kind)
    kind = tf.where(tf.reduce_min(sides, axis=1) <= 0, losses.NOTHING, kind)
    return tf.concat([cut, kind[:, tf.newaxis], rest[:, 1:]], axis=1)


def _put_together(images: Any, rows: Any, fours: Any, seed: Any) -> tuple[Any, Any]:
    """Make pictures of four neighbours in the batch, each at half its size (the mosaic of YOLOv4, Bochkovskiy 2020)."""
    height, width = tf.shape(images)[1], tf.shape(images)[2]
    small = tf.nn.avg_pool2d(images, 2, 2, "VALID")
    order = tf.random.stateless_uniform([4], seed=_stream(seed, 4), maxval=1 << 30, dtype=tf.int32)
    shifts = tf.concat([[0], order[1:]], 0)
    tiles = [tf.roll(small, shifts[i], axis=0) for i in range(4)]
    joined = tf.concat([tf.concat(tiles[:2], axis=2), tf.concat(tiles[2:], axis=2)], axis=1)
    half = tf.cast(tf.stack([width, height]), tf.float32) / 2
    parts = []
    for i, (across, down) in enumerate(((0, 0), (1, 0), (0, 1), (1, 1))):
        shift = tf.tile(half * tf.constant([across, down], tf.float32), [2])
        rolled = tf.roll(rows, shifts[i], axis=0)
        parts.append(tf.concat([rolled[..., :4] / 2 + shift, rolled[..., 4:]], axis=2))
    together = tf.concat(parts, axis=1)
    padding = tf.zeros_like(tf.tile(rows, [1, 3, 1]))
    alone = tf.concat([rows, padding], axis=1)
    return (
        tf.where(fours[:, tf.newaxis, tf.newaxis, tf.newaxis], joined, images),
        tf.where(fours[:, tf.newaxis, tf.newaxis], together, alone),
    )


def _largest(rows: Any, *, count: int) -> Any:
    """Return ``count`` rows of each picture: ignored areas first of all, then the largest objects."""
    size = tf.reduce_prod(rows[..., 2:4] - rows[..., :2], axis=2)
    worth = tf.where(rows[..., 4] == losses.IGNORED, 1e9 + size, tf.where(rows[..., 4] == losses.OBJECT, size, -1.0))
    missing = tf.maximum(count - tf.shape(rows)[1], 0)
    rows, worth = (tf.pad(x, [[0, 0], [0, missing], [0, 0]][: x.shape.rank]) for x in (rows, worth))
    chosen = tf.math.top_k(worth, count).indices
    kept = tf.gather(rows, chosen, batch_dims=1)
    kept.set_shape((None, count, rows.shape[2]))
    return kept


def _light(images: Any, seed: Any, settings: config.Config) -> Any:
    """Change contrast (as fog does), brightness, colour and saturation, each picture by its own amounts."""
    amount = settings.photometric
    count = tf.shape(images)[0]

    def draw(number: int, channels: int = 1) -> Any:
        values = tf.random.stateless_uniform([count, 1, 1, channels], seed=_stream(seed, number), minval=-1.0)
        return amount * values

    mean = tf.reduce_mean(images, axis=[1, 2, 3], keepdims=True)
    grey = tf.reduce_mean(images, axis=3, keepdims=True)
    images = grey + (images - grey) * (1.0 + draw(5))
    images = (images - mean) * tf.exp(draw(6)) + mean + 100.0 * draw(7)
    return tf.clip_by_value(images * (1.0 + 0.25 * draw(8, 3)), 0.0, 255.0)


def _uniform(count: Any, seed: Any, number: int) -> Any:
    """Return (count,) float32 in [0, 1); every ``number`` gives other ones."""
    return tf.random.stateless_uniform([count], seed=_stream(seed, number))


def _stream(seed: Any, number: int) -> Any:
    """Return (2,) another seed for each ``number``."""
    return seed + tf.constant([number << 20, 0], tf.int64)
