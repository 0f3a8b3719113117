"""Encoded or decoded images of any size to what the network reads, in a graph: one function for all verbs and serving.

Each image keeps its own canvas, whose shape follows its own; a batch of them is padded to the largest, and every image
is cut out again before the network sees it. So a prediction does not depend on what else is in the batch. A canvas has
about the same number of pixels whatever its shape, so wide pictures stay sharp.
"""

import io
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
import tensorflow as tf

from shared import image_files

CHANNELS = 3
STRIDE = 32
GREY = 114
# Training keeps pictures this much larger than the network sees them, for zooming in.
SPARE = 1.5
# No picture gets longer than so many times the side of the square with as many pixels.
LONGEST = 2.5
# Columns of the geometry: height and width of the scaled image, of its canvas, and of the original, in pixels.
FILLED, WHOLE, ORIGINAL = slice(0, 2), slice(2, 4), slice(4, 6)


def canvas_scale(width: Any, height: Any, *, image_size: int, least: Any = min, longer: Any = max) -> Any:
    """Return by how much an image is scaled so that it has ``image_size`` squared pixels, fewer if it is very long.

    Args:
        width: Of the image in pixels; a number or a tensor.
        height: The same.
        image_size: Side of the square that has as many pixels.
        least: The minimum of two such values.
        longer: Their maximum.

    >>> round(canvas_scale(1280, 720, image_size=416), 4), round(canvas_scale(1242, 375, image_size=416), 4)
    (0.4333, 0.6096)
    """
    return least(image_size / (width * height) ** 0.5, LONGEST * image_size / longer(width, height))


def canvas_shape(width: int, height: int, *, image_size: int) -> tuple[int, int]:
    """Return height and width of an image's canvas: multiples of 32.

    >>> canvas_shape(1280, 720, image_size=416)
    (320, 576)
    """
    factor = canvas_scale(width, height, image_size=image_size)
    down, across = (math.ceil(max(round(side * factor), 1) / STRIDE) * STRIDE for side in (height, width))
    return down, across


def training_shape(image_size: int) -> tuple[int, int]:
    """Return (height, width) of training pictures: 3 to 4, about as many pixels as the network sees in use.

    >>> training_shape(416)
    (352, 480)
    """
    height, width = (max(round(image_size * part / STRIDE), 1) * STRIDE for part in (0.75**0.5, 0.75**-0.5))
    return height, width


def stored(image: npt.NDArray[np.uint8], *, image_size: int) -> tuple[bytes, float]:
    """Return an image as training keeps it, JPEG of at most ``SPARE`` times the scale in use, and its scale."""
    height, width = image.shape[:2]
    factor = min(SPARE * canvas_scale(width, height, image_size=image_size), 1.0)
    picture = PIL.Image.fromarray(image)
    if factor < 1.0:
        size = (max(round(width * factor), 1), max(round(height * factor), 1))
        picture = picture.resize(size, PIL.Image.Resampling.BOX, reducing_gap=2.0)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue(), factor


def decode(image_bytes: Any, *, image_size: int) -> tuple[Any, Any, Any]:
    """Decode JPEG and PNG files and put each on its canvas.

    Args:
        image_bytes: (batch,) string.
        image_size: See ``canvas_scale``.

    Returns:
        (batch, height, width, 3) uint8 canvases, padded with black to the largest; (batch, 6) int32 geometry, 0 where
        the file was no image; (batch,) bool whether it was one.
    """
    images, geometry, valid = image_files.prepare(
        image_bytes, lambda image: place(image, image_size=image_size), channels=CHANNELS
    )
    return images, geometry, valid


def place_all(images: Any, *, image_size: int) -> tuple[Any, Any, Any]:
    """Do the same with decoded images of one size: (batch, height, width, 3) float32 in [0, 1]; NaN counts as 0."""
    images = tf.clip_by_value(tf.where(tf.math.is_nan(images), 0.0, images), 0.0, 1.0)
    placed, geometry = tf.map_fn(
        lambda image: place(image, image_size=image_size),
        images,
        fn_output_signature=(tf.TensorSpec((None, None, CHANNELS), tf.uint8), tf.TensorSpec((6,), tf.int32)),
    )
    return placed, geometry, tf.ones(tf.shape(images)[:1], tf.bool)


def place(image: Any, *, image_size: int) -> tuple[Any, Any]:
    """Scale one image and put it into the upper left corner of its canvas.

    Args:
        image: (height, width, 3) float32 in [0, 1].
        image_size: See ``canvas_scale``.

    Returns:
        (canvas height, canvas width, 3) uint8, multiples of 32, grey where the image does not reach; (6,) int32
        geometry.
    """
    original = tf.shape(image)[:2]
    height, width = (tf.cast(original[i], tf.float32) for i in (0, 1))
    factor = canvas_scale(width, height, image_size=image_size, least=tf.minimum, longer=tf.maximum)
    filled = tf.maximum(tf.cast(tf.round(tf.stack([height, width]) * factor), tf.int32), 1)
    whole = -(-filled // STRIDE) * STRIDE
    resized = tf.image.resize(image, filled, antialias=True)
    pixels = tf.cast(tf.round(tf.clip_by_value(resized, 0.0, 1.0) * 255.0), tf.uint8)
    missing = whole - filled
    padding = [[0, missing[0]], [0, missing[1]], [0, 0]]
    placed = tf.ensure_shape(tf.pad(pixels, padding, constant_values=GREY), (None, None, CHANNELS))
    return placed, tf.ensure_shape(tf.concat([filled, whole, original], axis=0), (6,))


def roomy(canvases: Any, geometry: Any) -> tuple[Any, Any]:
    """Return canvases and geometry in which what is no image has a canvas all the same, of the smallest size there is.

    The network takes no smaller one.
    """
    room = tf.maximum(STRIDE - tf.shape(canvases)[1:3], 0)
    return tf.pad(canvases, [[0, 0], [0, room[0]], [0, room[1]], [0, 0]]), tf.maximum(geometry, STRIDE)
