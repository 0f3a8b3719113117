"""Encoded images inside a graph: files of any size, some of which are none, decoded and prepared one by one.

Only standard TensorFlow ops are used: a SavedModel with it runs in stock TF Serving.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

# Decoding more than this is refused: a few kilobytes may claim a picture that fills the memory.
MAXIMUM_PIXELS = 100_000_000
# Bits of a PNG file at most.
DEEPEST = 16
_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"


def prepare(
    image_bytes: Any, function: Callable[[Any], tuple[Any, ...]], *, channels: int, deep_bits: int = DEEPEST
) -> tuple[Any, ...]:
    """Decode JPEG and PNG files, 8 or 16 bits, grey, colour or CMYK, and do something with each.

    Args:
        image_bytes: (batch,) string.
        function: Maps an image (height, width, channels) float32 in [0, 1] to tensors of uint8, int32 or float32 of one
            rank each, whose sides may differ from image to image.
        channels: 1 = grey, 3 = red, green, blue.
        deep_bits: How many bits of files of 16 bits are in use: their largest value becomes 1.

    Returns:
        What ``function`` gave, each with a first axis (batch,) and padded with zeros to its longest sides; last
        (batch,) bool, whether the file was an image. For one that is none all is zero; the others of its batch are
        not touched.
    """
    count = tf.shape(image_bytes, tf.int64)[0]

    def one(row: Any) -> tuple[Any, ...]:
        return row, *function(_decode(image_bytes[row], channels, deep_bits))

    rows = tf.data.Dataset.range(count).map(one, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    # A last row of zeros that is no image: a batch of broken files only still has something to be made of.
    nothing = tf.data.Dataset.from_tensors((count, *(_empty(spec) for spec in rows.element_spec[1:])))
    found = rows.ignore_errors(log_warning=False).concatenate(nothing).padded_batch(count + 1)
    numbers, *values = found.get_single_element()
    valid = tf.scatter_nd(numbers[:, tf.newaxis], tf.ones_like(numbers), [count + 1]) > 0
    return *(_by_row(numbers, value, count) for value in values), valid[:count]


def _empty(spec: Any) -> Any:
    return tf.zeros([side or 1 for side in spec.shape], spec.dtype)


def _by_row(numbers: Any, values: Any, count: Any) -> Any:
    """Put values back in the order of the batch, with zeros for rows that are missing."""
    shape = tf.concat([[count + 1], tf.shape(values, tf.int64)[1:]], axis=0)
    # Scattering bytes is not offered on every device.
    wide = tf.cast(values, tf.int32) if values.dtype == tf.uint8 else values
    placed = tf.cast(tf.scatter_nd(numbers[:, tf.newaxis], wide, shape)[:count], values.dtype)
    return tf.ensure_shape(placed, (None, *values.shape[1:]))


def _decode(encoded: Any, channels: int, deep_bits: int) -> Any:
    """Return (height, width, channels) float32 in [0, 1]; raise where ``encoded`` is no JPEG or PNG in bounds."""
    is_jpeg = tf.strings.substr(encoded, 0, 3) == _JPEG
    pixels = tf.case(
        [
            (is_jpeg, lambda: tf.reduce_prod(_jpeg_sides(encoded))),
            (tf.strings.substr(encoded, 0, 8) == _PNG, lambda: tf.reduce_prod(_png_sides(encoded))),
        ],
        default=lambda: tf.constant(0, tf.int64),
    )
    with tf.control_dependencies([tf.debugging.Assert((pixels > 0) & (pixels <= MAXIMUM_PIXELS), [pixels])]):
        encoded = tf.identity(encoded)

    def usual() -> Any:
        return tf.io.decode_image(encoded, channels=channels, dtype=tf.float32, expand_animations=False)

    if channels == 1:
        image = tf.cond(is_jpeg, lambda: tf.cond(_is_cmyk(encoded), lambda: _grey_of_cmyk(encoded), usual), usual)
    else:
        image = usual()
    if deep_bits != DEEPEST:
        factor = ((1 << DEEPEST) - 1) / ((1 << deep_bits) - 1)
        image = tf.cond(_is_deep_png(encoded, is_jpeg), lambda: tf.minimum(image * factor, 1.0), lambda: image)
    return tf.ensure_shape(image, (None, None, channels))


def _is_cmyk(encoded: Any) -> Any:
    return tf.image.extract_jpeg_shape(encoded)[2] == 4


def _grey_of_cmyk(encoded: Any) -> Any:
    """Return (height, width, 1): the decoder turns four inks into three colours, but not into grey."""
    return tf.image.rgb_to_grayscale(tf.image.convert_image_dtype(tf.io.decode_jpeg(encoded, channels=3), tf.float32))


def _is_deep_png(encoded: Any, is_jpeg: Any) -> Any:
    """Tell a PNG of 16 bits: its depth is byte 24."""
    return ~is_jpeg & (tf.strings.substr(encoded, 24, 1) == b"\x10")


def _jpeg_sides(encoded: Any) -> Any:
    return tf.cast(tf.image.extract_jpeg_shape(encoded)[:2], tf.int64)


def _png_sides(encoded: Any) -> Any:
    """Read width and height from a PNG's first chunk: two big-endian 32-bit numbers from byte 16 on."""
    sides = tf.io.decode_raw(tf.strings.substr(encoded, 16, 8), tf.uint8)
    return tf.reduce_sum(tf.cast(tf.reshape(sides, (2, 4)), tf.int64) * [1 << 24, 1 << 16, 1 << 8, 1], axis=1)
