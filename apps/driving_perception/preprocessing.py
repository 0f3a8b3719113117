"""Encoded or decoded images of any size to what the network reads, in a graph: one function for all verbs and serving.

Each image keeps its own canvas, whose shape follows its own; a batch of them is padded to the largest, and every image
is cut out again before the network sees it. So a prediction does not depend on what else is in the batch.
"""

from typing import Any

import tensorflow as tf

from apps.driving_perception import canvas
from shared import image_files

CHANNELS = 3
# Columns of the geometry: height and width of the scaled image, of its canvas, and of the original, in pixels.
FILLED, WHOLE, ORIGINAL = slice(0, 2), slice(2, 4), slice(4, 6)


def decode(image_bytes: Any, *, image_size: int) -> tuple[Any, Any, Any]:
    """Decode JPEG and PNG files and put each on its canvas.

    Args:
        image_bytes: (batch,) string.
        image_size: See ``canvas.scale``.

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
        image_size: See ``canvas.scale``.

    Returns:
        (canvas height, canvas width, 3) uint8, multiples of 32, grey where the image does not reach; (6,) int32
        geometry.
    """
    original = tf.shape(image)[:2]
    height, width = (tf.cast(original[i], tf.float32) for i in (0, 1))
    factor = canvas.scale(width, height, image_size=image_size, least=tf.minimum, longer=tf.maximum)
    filled = tf.maximum(tf.cast(tf.round(tf.stack([height, width]) * factor), tf.int32), 1)
    whole = -(-filled // canvas.STRIDE) * canvas.STRIDE
    resized = tf.image.resize(image, filled, antialias=True)
    pixels = tf.cast(tf.round(tf.clip_by_value(resized, 0.0, 1.0) * 255.0), tf.uint8)
    missing = whole - filled
    padding = [[0, missing[0]], [0, missing[1]], [0, 0]]
    placed = tf.ensure_shape(tf.pad(pixels, padding, constant_values=canvas.GREY), (None, None, CHANNELS))
    return placed, tf.ensure_shape(tf.concat([filled, whole, original], axis=0), (6,))


def roomy(canvases: Any, geometry: Any) -> tuple[Any, Any]:
    """Return canvases and geometry in which what is no image has a canvas all the same, of the smallest size there is.

    The network takes no smaller one.
    """
    room = tf.maximum(canvas.STRIDE - tf.shape(canvases)[1:3], 0)
    return tf.pad(canvases, [[0, 0], [0, room[0]], [0, room[1]], [0, 0]]), tf.maximum(geometry, canvas.STRIDE)
