"""Images that show the same: equal bytes, and the same picture in another file, size or exposure.

Chest radiographs of different people look alike, so a perceptual hash alone would join strangers. It only
proposes pairs; a pair counts when the two thumbnails also correlate above 0.99. Measured on the 5,216 images of
Kermany et al. 2018: distances 0 to 6 propose 0, 0, 7, 37, 153, 492 and 1,356 pairs of different patients, of
which none is confirmed (the most alike two reach 0.979). Of 200 planted copies each, recompressed, resized,
brightened, noisy or of another gamma, at least 99.5 % are found at 6 bits (92.5 % at 4). Copies that were cropped
by over one percent, turned or marked are other pictures here.
"""

import concurrent.futures
import io
import itertools
import os
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt
import PIL.Image
import scipy.fft

from shared import splits

DISTANCE = 6
SMALLEST_CORRELATION = 0.99

_SIDE = 32
# JPEG decodes to an eighth, a quarter or a half at a fraction of the cost; twice the thumbnail leaves enough
# pixels to average, without which copies of one image differ by 3 bits more.
_DRAFT = 2 * _SIDE

# The 64 slowest cosines but the constant one, as in the perceptual hash of Zauner 2010.
_BITS = sorted((i + j, i, j) for i in range(12) for j in range(12) if i + j)[:64]

_IMAGES_AT_ONCE = 512
_PAIRS_AT_ONCE = 1 << 20
_CORRELATIONS_AT_ONCE = 4_096

# What Pillow raises on files that are no image, cut off or unreasonably large.
_UNREADABLE = (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError)


class Images(Protocol):
    """What this module needs of a collection of images."""

    @property
    def content_hashes(self) -> npt.NDArray[np.uint64]:
        """Return (n,) hashes that are equal for equal content."""

    def read(self, row: int) -> bytes | npt.NDArray[np.float32]:
        """Return an encoded image, or (height, width, 1 or 3) float32 in [0, 1]."""


def near(images: Images, distance: int = DISTANCE) -> npt.NDArray[np.int64]:
    """Number the images so that copies of one picture share a number.

    Groups are connected pairs: a copy of a copy belongs to the first, too. An image of one grey value, or one
    that cannot be decoded, is equal only to the same bytes.

    Args:
        images: The images.
        distance: Most bits, out of 64, in which the perceptual hashes of a pair differ; 0 to 63.

    Returns:
        (n,) int64, counted in order of first appearance.

    Raises:
        ValueError: ``distance`` is out of range.
    """
    if not 0 <= distance < 64:
        raise ValueError(f"Expected a distance of 0 to 63 bits. Received: {distance}")
    thumbnails = _thumbnails(images)
    _, first, exact = np.unique(images.content_hashes, return_index=True, return_inverse=True)
    candidates = close_pairs(perceptual_hashes(thumbnails[first]), distance=distance)
    pairs = first[candidates]
    alike = correlations(thumbnails, pairs) > SMALLEST_CORRELATION
    return splits.merge_units(exact, splits.units_of_pairs(pairs[alike].astype(np.int64), rows=len(thumbnails)))


def perceptual_hashes(thumbnails: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """Return (n,) uint64 signs of the slowest cosines of (n, 32, 32) thumbnails; exposure does not change them."""
    _, rows, columns = np.array(_BITS).T
    found = [np.empty(0, np.uint64)]
    for start in range(0, len(thumbnails), _CORRELATIONS_AT_ONCE):
        centred = _centred(thumbnails[start : start + _CORRELATIONS_AT_ONCE])
        waves = scipy.fft.dctn(centred, axes=(1, 2), norm="ortho")[:, rows, columns]
        bits = np.ascontiguousarray(np.packbits(waves > 0, axis=1))
        found.append(bits.view(">u8").ravel().astype(np.uint64))
    return np.concatenate(found)


def close_pairs(hashes: npt.NDArray[np.uint64], *, distance: int) -> npt.NDArray[np.int64]:
    """Return every (p, 2) pair of row numbers, smaller first, whose hashes differ in at most ``distance`` bits.

    Of ``distance + 1`` bands of bits at least one is equal in such a pair (pigeonhole principle), so that only
    rows that share a band are compared. Where bands are so short that this is more work, all pairs are.
    """
    bands = _bands(hashes, distance + 1)
    keys = [np.empty(0, np.int64)]
    for band in bands:
        for left, right in _pairs_of_equal(band):
            close = np.bitwise_count(hashes[left] ^ hashes[right]) <= distance
            low, high = np.minimum(left, right)[close], np.maximum(left, right)[close]
            keys.append(low * len(hashes) + high)
    distinct = np.unique(np.concatenate(keys))
    return np.stack(np.divmod(distinct, max(len(hashes), 1)), axis=1)


def correlations(thumbnails: npt.NDArray[np.uint8], pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Return (p,) Pearson correlations of the pixels of each pair; 0 where a thumbnail is constant."""
    found = np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), _CORRELATIONS_AT_ONCE):
        some = pairs[start : start + _CORRELATIONS_AT_ONCE]
        left, right = _centred(thumbnails[some[:, 0]]), _centred(thumbnails[some[:, 1]])
        products = [np.einsum("nij,nij->n", one, other) for one, other in ((left, right), (left, left), (right, right))]
        found[start : start + len(some)] = products[0] / np.sqrt(np.maximum(products[1] * products[2], 1e-6))
    return found


def thumbnail(image: bytes | npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Return (32, 32) uint8 grey values; zeros where the image cannot be decoded."""
    try:
        return _shrink(_open(image) if isinstance(image, bytes) else _picture(image))
    except _UNREADABLE:
        return np.zeros((_SIDE, _SIDE), np.uint8)


def _open(encoded: bytes) -> PIL.Image.Image:
    image = PIL.Image.open(io.BytesIO(encoded))
    image.draft("L", (_DRAFT, _DRAFT))
    # Pillow cuts 16-bit grey off at 255.
    return _picture((np.asarray(image) / 65535).astype(np.float32)) if image.mode.startswith("I") else image


def _picture(pixels: npt.NDArray[np.float32]) -> PIL.Image.Image:
    grey = pixels.mean(axis=2) if pixels.ndim == 3 else pixels
    return PIL.Image.fromarray((grey * 255 + 0.5).astype(np.uint8))


def _shrink(image: PIL.Image.Image) -> npt.NDArray[np.uint8]:
    return np.asarray(image.convert("L").resize((_SIDE, _SIDE), PIL.Image.Resampling.BILINEAR, reducing_gap=3.0))


def _thumbnails(images: Images) -> npt.NDArray[np.uint8]:
    """Read each image once, on all cores: Pillow decodes outside the interpreter lock."""
    thumbnails = np.empty((len(images.content_hashes), _SIDE, _SIDE), np.uint8)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(thumbnails), _IMAGES_AT_ONCE):
            some = range(start, min(start + _IMAGES_AT_ONCE, len(thumbnails)))
            for row, small in zip(some, pool.map(lambda row: thumbnail(images.read(row)), some), strict=True):
                thumbnails[row] = small
    return thumbnails


def _centred(thumbnails: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    values = thumbnails.astype(np.float32)
    centred: npt.NDArray[np.float32] = values - values.mean(axis=(1, 2), keepdims=True)
    return centred


def _bands(hashes: npt.NDArray[np.uint64], count: int) -> list[npt.NDArray[np.uint64]]:
    """Cut the hashes into ``count`` bands of bits, each (n,); one band without bits where that is less work."""
    edges = np.linspace(0, 64, count + 1).astype(int)
    bands = [
        hashes >> np.uint64(low) & np.uint64((1 << int(high - low)) - 1) for low, high in itertools.pairwise(edges)
    ]
    everything = len(hashes) * (len(hashes) - 1) // 2
    return bands if sum(map(_equal_pairs, bands)) < everything else [np.zeros_like(hashes)]


def _equal_pairs(keys: npt.NDArray[np.uint64]) -> int:
    _, counts = np.unique(keys, return_counts=True)
    return int((counts * (counts - 1) // 2).sum())


def _pairs_of_equal(keys: npt.NDArray[np.uint64]) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Yield all pairs of rows with equal keys, about a million at a time."""
    order = np.argsort(keys, kind="stable")
    _, inverse, counts = np.unique(keys[order], return_inverse=True, return_counts=True)
    place = np.arange(keys.size)
    partners = np.cumsum(counts)[inverse] - place - 1  # rows of the same key that come later
    done = np.cumsum(partners)
    start = 0
    while start < keys.size:
        before = done[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(done, before + _PAIRS_AT_ONCE, side="right")))
        many = partners[start:stop]
        left = np.repeat(place[start:stop], many)
        step = np.arange(left.size) - np.repeat(np.cumsum(many) - many, many) + 1
        yield order[left], order[left + step]
        start = stop
