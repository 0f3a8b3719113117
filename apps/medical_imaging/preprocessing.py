"""Encoded images or grey values to the squares that the network reads: one function for training and serving.

Training, ``predict`` and the exported model all run this graph, so none can see another picture than the others.
Only standard TensorFlow ops are used: the SavedModel runs in stock TF Serving. The result is rounded to 8 bits,
so that what training keeps in memory is exactly what serving computes.

Many images are decoded in chunks; with a cache folder they are kept as one file of 8-bit values between commands, named
by what is in it, and mapped into memory.
"""

import functools
import hashlib
import io
import logging
import pathlib
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pydantic
import tensorflow as tf
from PIL import Image
from typing_extensions import TypedDict

from apps.medical_imaging import config, dataset
from shared import errors, files, image_files, stored

DEEPEST = image_files.DEEPEST
# What a bundle keeps of it: how many bits of 16-bit images are in use.
FILE = "preprocessing.json"
log = logging.getLogger("fieldnets")
CHUNK = 256


@stored.open_fields
class _GreyBits(TypedDict):
    """What ``preprocessing.json`` holds."""

    grey_bits: Annotated[int, pydantic.Field(ge=8, le=DEEPEST)]


def decode(image_bytes: Any, *, size: int, channels: int, grey_bits: int = DEEPEST) -> tuple[Any, Any]:
    """Decode and resize JPEG and PNG files of any size, 8 or 16 bits, grey or colour.

    Args:
        image_bytes: (batch,) string.
        size: Side of the result in pixels.
        channels: 1 = grey, 3 = red, green, blue.
        grey_bits: How many bits of files of 16 bits are in use: their largest value is white.

    Returns:
        (batch, size, size, channels) uint8, and (batch,) bool whether the file was an image. A file that is none
        gives a black square; the others of its batch are not touched by it.
    """
    images, valid = image_files.prepare(
        image_bytes, lambda image: (_square(image, size=size),), channels=channels, deep_bits=grey_bits
    )
    return tf.ensure_shape(images, (None, size, size, channels)), valid


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


def load(
    items: Sequence[bytes | npt.NDArray[np.float32]], *, size: int, channels: int, grey_bits: int = DEEPEST
) -> tuple[Any, Any]:
    """Decode a list of files and arrays.

    Args:
        items: Encoded files, or (height, width, 1 or 3) float32 in [0, 1].
        size: Side of the result in pixels.
        channels: 1 or 3.
        grey_bits: As for ``decode``.

    Returns:
        (n, size, size, channels) uint8 and (n,) bool, NumPy arrays as from ``decode``.
    """
    images = np.zeros((len(items), size, size, channels), np.uint8)
    valid = np.ones(len(items), bool)
    encoded = [row for row, item in enumerate(items) if isinstance(item, bytes)]
    if encoded:
        found = _decoder(size, channels, grey_bits)(tf.constant([items[row] for row in encoded], tf.string))
        images[encoded], valid[encoded] = found[0].numpy(), found[1].numpy()
    for row, item in enumerate(items):
        if not isinstance(item, bytes):
            images[row] = resize(tf.constant(item)[tf.newaxis], size=size, channels=channels)[0].numpy()
    return images, valid


def decodes(files: Sequence[bytes]) -> list[bool]:
    """Return which JPEG and PNG files the graph can decode: what training, ``predict`` and the bundle can."""
    valid: list[bool] = _decoder(1, 1, DEEPEST)(tf.constant(list(files), tf.string))[1].numpy().tolist()
    return valid


@functools.cache
def _decoder(size: int, channels: int, grey_bits: int) -> Any:
    """Return ``decode`` as a graph: without one its pipeline is built anew for every batch, a quarter of the time."""
    signature = [tf.TensorSpec([None], tf.string)]
    function = functools.partial(decode, size=size, channels=channels, grey_bits=grey_bits)
    return tf.function(function, input_signature=signature)


def encode(image: npt.NDArray[np.floating[Any]], *, bits: int = 8) -> bytes:
    """Return grey values (height, width, 1 or 3) in [0, 1] as a PNG file.

    Args:
        image: The values.
        bits: 8, or how many of the 16 bits of a file are in use: as many as the graph that decodes it takes.
    """
    dtype = np.uint8 if bits == 8 else np.uint16
    values = np.round(np.clip(image, 0, 1) * ((1 << bits) - 1)).astype(dtype)
    buffer = io.BytesIO()
    Image.fromarray(values[:, :, 0] if values.shape[2] == 1 else values).save(buffer, "PNG")
    return buffer.getvalue()


def _with_channels(images: Any, channels: int) -> Any:
    if images.shape[-1] == channels:
        return images
    return tf.image.rgb_to_grayscale(images) if channels == 1 else tf.image.grayscale_to_rgb(images)


def _square(images: Any, *, size: int) -> Any:
    """Resize, averaging over what becomes one pixel, and round to 8 bits."""
    resized = tf.image.resize(images, (size, size), antialias=True)
    return tf.cast(tf.round(tf.clip_by_value(resized, 0.0, 1.0) * 255.0), tf.uint8)


def load_rows(
    radiographs: dataset.Radiographs, rows: npt.NDArray[np.int64], settings: config.Config
) -> npt.NDArray[np.uint8]:
    """Return (len(rows), size, size, channels) uint8.

    Raises:
        errors.InputError: An image cannot be decoded; it is named.
    """
    if settings.cache_dir is None:
        return _decoded_rows(radiographs, rows, settings)
    path = pathlib.Path(settings.cache_dir) / f"{_key(radiographs, settings)}.npy"
    if not path.exists():
        log.info("decoding %d images into %s", len(radiographs.labels), path)
        _write_cache(radiographs, path, settings)
    kept: npt.NDArray[np.uint8] = np.load(path, mmap_mode="r")[rows]
    return kept


def _decoded_rows(
    radiographs: dataset.Radiographs, rows: npt.NDArray[np.int64], settings: config.Config
) -> npt.NDArray[np.uint8]:
    squares = np.empty(_shape(len(rows), settings), np.uint8)
    for start, chunk in _chunks(radiographs, rows, settings):
        squares[start : start + len(chunk)] = chunk
    return squares


def _write_cache(radiographs: dataset.Radiographs, path: pathlib.Path, settings: config.Config) -> None:
    rows = np.arange(len(radiographs.labels))
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.atomic(path) as temporary:
        squares = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=_shape(len(rows), settings))
        for start, chunk in _chunks(radiographs, rows, settings):
            squares[start : start + len(chunk)] = chunk
        squares.flush()


def _chunks(
    radiographs: dataset.Radiographs, rows: npt.NDArray[np.int64], settings: config.Config
) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    for start in range(0, len(rows), CHUNK):
        chosen = rows[start : start + CHUNK]
        items = [radiographs.images.read(int(row)) for row in chosen]
        squares, valid = load(
            items, size=settings.image_size, channels=settings.channels, grey_bits=radiographs.images.grey_bits
        )
        if not valid.all():
            names = radiographs.images.names[chosen[~valid]]
            raise errors.InputError(
                f"{names[0]}: expected a JPEG or PNG image that can be decoded. Received: {len(names)} such files "
                "(--skip-bad sets them aside)"
            )
        yield start, squares


def _shape(rows: int, settings: config.Config) -> tuple[int, int, int, int]:
    return rows, settings.image_size, settings.image_size, settings.channels


def _key(radiographs: dataset.Radiographs, settings: config.Config) -> str:
    """Return what names the cache file: content, order and how it is decoded."""
    digest = hashlib.sha256(radiographs.images.content_hashes.tobytes()).hexdigest()[:24]
    bits = radiographs.images.grey_bits
    deep = "" if bits == DEEPEST else f"-{bits}bits"
    return f"{digest}-{settings.image_size}x{settings.channels}{deep}"


def write_grey_bits(folder: files.RunFolder, bits: int) -> None:
    """Keep how many bits of 16-bit images are in use beside the model: what a file looks like to it depends on that."""
    files.write_json(folder.path / FILE, {"grey_bits": bits})


def read_grey_bits(folder: files.RunFolder) -> int:
    """Return what ``write_grey_bits`` kept; runs from before it read all 16 bits."""
    path = folder.path / FILE
    return stored.read(_GreyBits, path)["grey_bits"] if path.is_file() else DEEPEST
