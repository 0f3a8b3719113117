"""Images and boxes as training keeps them in memory: compressed to learn from, decoded to validate on."""

import concurrent.futures
import functools
import os

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from apps.driving_perception import augmentation, canvas, config, frames, losses, preprocessing
from shared.training import datasets

# Choosing among epochs needs no more; the threshold is chosen on all of validation.
MOST_COMPARED = 200


def training(collection: frames.Frames, rows: npt.NDArray[np.int64], settings: config.Config) -> datasets.Arrays:
    """Return images to learn from: ``image`` (n,) JPEG of ``canvas.SPARE`` times the usual size, and their rows."""
    keep = functools.partial(_stored, collection, settings)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(keep, rows.tolist()))
    encoded = np.empty(len(found), object)
    encoded[:] = [content for content, _ in found]
    return datasets.Arrays(
        inputs={"image": encoded},
        labels=_stacked([table for _, table in found]),
        augment=augmentation.build(settings),
    )


def _stored(collection: frames.Frames, settings: config.Config, row: int) -> tuple[bytes, losses.TargetRows]:
    content, factor = canvas.stored(collection.images.decode(row), image_size=settings.image_size)
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
    images = np.full((len(rows), height, width, preprocessing.CHANNELS), canvas.GREY, np.uint8)
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
