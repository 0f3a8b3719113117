"""The pixels of many radiographs as one array, decoded once.

They fill (n, size, size, channels) bytes: 0.25 GB for five thousand images of 224 pixels. With a cache folder the
array is a file that is mapped, not read, so a hundred thousand images need no memory, and later commands decode
nothing.
"""

import hashlib
import logging
import pathlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from apps.medical_imaging import config, data, preprocessing
from shared import errors, files

log = logging.getLogger("fieldnets")

CHUNK = 256


def load(radiographs: data.Radiographs, rows: npt.NDArray[np.int64], settings: config.Config) -> npt.NDArray[np.uint8]:
    """Return (len(rows), size, size, channels) uint8.

    Raises:
        errors.InputError: An image cannot be decoded; it is named.
    """
    if settings.cache_dir is None:
        return _decoded(radiographs, rows, settings)
    path = pathlib.Path(settings.cache_dir) / f"{_key(radiographs, settings)}.npy"
    if not path.exists():
        log.info("decoding %d images into %s", len(radiographs.labels), path)
        _write(radiographs, path, settings)
    kept: npt.NDArray[np.uint8] = np.load(path, mmap_mode="r")[rows]
    return kept


def _decoded(
    radiographs: data.Radiographs, rows: npt.NDArray[np.int64], settings: config.Config
) -> npt.NDArray[np.uint8]:
    squares = np.empty(_shape(len(rows), settings), np.uint8)
    for start, chunk in _chunks(radiographs, rows, settings):
        squares[start : start + len(chunk)] = chunk
    return squares


def _write(radiographs: data.Radiographs, path: pathlib.Path, settings: config.Config) -> None:
    rows = np.arange(len(radiographs.labels))
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.atomic(path) as temporary:
        squares = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=_shape(len(rows), settings))
        for start, chunk in _chunks(radiographs, rows, settings):
            squares[start : start + len(chunk)] = chunk
        squares.flush()


def _chunks(
    radiographs: data.Radiographs, rows: npt.NDArray[np.int64], settings: config.Config
) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    for start in range(0, len(rows), CHUNK):
        chosen = rows[start : start + CHUNK]
        items = [radiographs.images.read(int(row)) for row in chosen]
        squares, valid = preprocessing.load(
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


def _key(radiographs: data.Radiographs, settings: config.Config) -> str:
    """Return what names the cache file: content, order and how it is decoded."""
    digest = hashlib.sha256(data.content_hashes(radiographs).tobytes()).hexdigest()[:24]
    bits = radiographs.images.grey_bits
    deep = "" if bits == preprocessing.DEEPEST else f"-{bits}bits"
    return f"{digest}-{settings.image_size}x{settings.channels}{deep}"
