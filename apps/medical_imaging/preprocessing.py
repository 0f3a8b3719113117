"""Encoded images or grey values to the squares that the network reads: one function for training and serving.

Training, ``predict`` and the exported model all run this graph, so none can see another picture than the others.
Only standard TensorFlow ops are used: the SavedModel runs in stock TF Serving. The result is rounded to 8 bits,
so that what training keeps in memory is exactly what serving computes.
"""

import functools
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from PIL import Image

# Decoding more than this is refused: a few kilobytes may claim a picture that fills the memory.
MAXIMUM_PIXELS = 100_000_000
_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"


def decode(image_bytes: Any, *, size: int, channels: int) -> tuple[Any, Any]:
    """Decode and resize JPEG and PNG files of any size, 8 or 16 bits, grey or colour.

    Args:
        image_bytes: (batch,) string.
        size: Side of the result in pixels.
        channels: 1 = grey, 3 = red, green, blue.

    Returns:
        (batch, size, size, channels) uint8, and (batch,) bool whether the file was an image. A file that is none
        gives a black square; the others of its batch are not touched by it.
    """
    count = tf.shape(image_bytes, tf.int64)[0]

    def one(row: Any) -> tuple[Any, Any]:
        return row, _square(_decode_one(image_bytes[row], channels=channels), size=size)

    rows = tf.data.Dataset.range(count).map(one, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    # A last row of zeros that is no image: a batch of broken files only still has something to be made of.
    nothing = tf.data.Dataset.from_tensors((count, tf.zeros((size, size, channels), tf.uint8)))
    found = rows.ignore_errors(log_warning=False).concatenate(nothing).batch(count + 1)
    numbers, squares = found.get_single_element()
    shape = tf.stack([count + 1, size, size, channels])
    images = tf.scatter_nd(numbers[:, tf.newaxis], tf.cast(squares, tf.int32), shape)
    valid = tf.scatter_nd(numbers[:, tf.newaxis], tf.ones_like(numbers), [count + 1]) > 0
    images = tf.ensure_shape(tf.cast(images[:count], tf.uint8), (None, size, size, channels))
    return images, valid[:count]


def resize(images: Any, *, size: int, channels: int) -> Any:
    """Bring decoded images to what the network reads.

    Args:
        images: (batch, height, width, 1 or 3) float32 in [0, 1]; NaN counts as 0.
        size: Side of the result in pixels.
        channels: 1 = grey, 3 = red, green, blue.

    Returns:
        (batch, size, size, channels) uint8.
    """
    images = tf.where(tf.math.is_nan(images), 0.0, images)
    return _square(_with_channels(images, channels), size=size)


def load(items: Sequence[bytes | npt.NDArray[np.float32]], *, size: int, channels: int) -> tuple[Any, Any]:
    """Decode a list of files and arrays.

    Args:
        items: Encoded files, or (height, width, 1 or 3) float32 in [0, 1].
        size: Side of the result in pixels.
        channels: 1 or 3.

    Returns:
        (n, size, size, channels) uint8 and (n,) bool, NumPy arrays as from ``decode``.
    """
    images = np.zeros((len(items), size, size, channels), np.uint8)
    valid = np.ones(len(items), bool)
    encoded = [row for row, item in enumerate(items) if isinstance(item, bytes)]
    if encoded:
        found = _decoder(size, channels)(tf.constant([items[row] for row in encoded], tf.string))
        images[encoded], valid[encoded] = found[0].numpy(), found[1].numpy()
    for row, item in enumerate(items):
        if not isinstance(item, bytes):
            images[row] = resize(tf.constant(item)[tf.newaxis], size=size, channels=channels)[0].numpy()
    return images, valid


@functools.cache
def _decoder(size: int, channels: int) -> Any:
    """Return ``decode`` as a graph: without one its pipeline is built anew for every batch, a quarter of the time."""
    signature = [tf.TensorSpec([None], tf.string)]
    return tf.function(functools.partial(decode, size=size, channels=channels), input_signature=signature)


def encode(image: npt.NDArray[np.floating[Any]], *, bits: int = 8) -> bytes:
    """Return grey values (height, width, 1 or 3) in [0, 1] as a PNG file."""
    dtype = np.uint8 if bits == 8 else np.uint16
    values = np.round(np.clip(image, 0, 1) * np.iinfo(dtype).max).astype(dtype)
    buffer = io.BytesIO()
    Image.fromarray(values[:, :, 0] if values.shape[2] == 1 else values).save(buffer, "PNG")
    return buffer.getvalue()


def _decode_one(encoded: Any, *, channels: int) -> Any:
    """Return (height, width, channels) float32 in [0, 1]; raise where ``encoded`` is no JPEG or PNG in bounds."""
    pixels = tf.case(
        [
            (tf.strings.substr(encoded, 0, 3) == _JPEG, lambda: tf.reduce_prod(_jpeg_sides(encoded))),
            (tf.strings.substr(encoded, 0, 8) == _PNG, lambda: tf.reduce_prod(_png_sides(encoded))),
        ],
        default=lambda: tf.constant(0, tf.int64),
    )
    with tf.control_dependencies([tf.debugging.Assert((pixels > 0) & (pixels <= MAXIMUM_PIXELS), [pixels])]):
        encoded = tf.identity(encoded)
    return tf.io.decode_image(encoded, channels=channels, dtype=tf.float32, expand_animations=False)


def _jpeg_sides(encoded: Any) -> Any:
    return tf.cast(tf.image.extract_jpeg_shape(encoded)[:2], tf.int64)


def _png_sides(encoded: Any) -> Any:
    """Read width and height from a PNG's first chunk: two big-endian 32-bit numbers from byte 16 on."""
    sides = tf.io.decode_raw(tf.strings.substr(encoded, 16, 8), tf.uint8)
    return tf.reduce_sum(tf.cast(tf.reshape(sides, (2, 4)), tf.int64) * [1 << 24, 1 << 16, 1 << 8, 1], axis=1)


def _with_channels(images: Any, channels: int) -> Any:
    if images.shape[-1] == channels:
        return images
    return tf.image.rgb_to_grayscale(images) if channels == 1 else tf.image.grayscale_to_rgb(images)


def _square(images: Any, *, size: int) -> Any:
    """Resize, averaging over what becomes one pixel, and round to 8 bits."""
    resized = tf.image.resize(images, (size, size), antialias=True)
    return tf.cast(tf.round(tf.clip_by_value(resized, 0.0, 1.0) * 255.0), tf.uint8)
