"""Planted copies among pictures that look alike, and pairs found a second way."""

import io
from typing import Any

import hypothesis
import hypothesis.strategies as st
import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.ImageEnhance
import pytest
import scipy.ndimage

from shared.splits import near_duplicates as duplicates

Pixels = npt.NDArray[np.uint8]


class Shown:
    """Images in memory, as bytes or arrays."""

    def __init__(self, *items: bytes | npt.NDArray[np.float32]) -> None:
        self.items = items
        contents = [item if isinstance(item, bytes) else item.tobytes() for item in items]
        self.content_hashes = np.array([hash(content) & 0xFFFF_FFFF for content in contents], np.uint64)

    def read(self, row: int) -> bytes | npt.NDArray[np.float32]:
        return self.items[row]


def chest(seed: int, *, side: int = 128) -> Pixels:
    """Return a picture that all share, and 30 % of a person's own."""
    y, x = np.mgrid[-1:1:128j, -1:1:128j]
    common = 150 - 90 * np.exp(-((np.abs(x) - 0.45) ** 2) / 0.05 - y**2 / 0.4)
    own = scipy.ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(128, 128)), 6)
    picture = PIL.Image.fromarray((common + 20 * own / own.std()).clip(0, 255).astype(np.uint8))
    return np.asarray(picture.resize((side, side)))


def encode(pixels: npt.NDArray[Any] | PIL.Image.Image, kind: str = "PNG", **options: int) -> bytes:
    stream = io.BytesIO()
    picture = pixels if isinstance(pixels, PIL.Image.Image) else PIL.Image.fromarray(pixels)
    picture.save(stream, kind, **options)
    return stream.getvalue()


def resized(pixels: Pixels, side: int) -> PIL.Image.Image:
    return PIL.Image.fromarray(pixels).resize((side, side), PIL.Image.Resampling.BICUBIC)


COPIES = {
    "recompressed": lambda pixels: encode(pixels, "JPEG", quality=30),
    "half the size": lambda pixels: encode(resized(pixels, 64)),
    "three times the size, so that JPEG is read reduced": lambda pixels: encode(resized(pixels, 384), "JPEG"),
    "in colour": lambda pixels: encode(PIL.Image.fromarray(pixels).convert("RGB")),
    "with a palette": lambda pixels: encode(PIL.Image.fromarray(pixels).convert("P")),
    "16 bits deep": lambda pixels: encode(pixels.astype(np.uint16) * 257),
    "brighter": lambda pixels: encode(PIL.ImageEnhance.Brightness(PIL.Image.fromarray(pixels)).enhance(1.15)),
    "paler": lambda pixels: encode(PIL.ImageEnhance.Contrast(PIL.Image.fromarray(pixels)).enhance(0.6)),
    "an array": lambda pixels: (pixels[:, :, np.newaxis] / 255).astype(np.float32),
    "a colour array": lambda pixels: np.repeat(pixels[:, :, np.newaxis] / 255, 3, axis=2).astype(np.float32),
    "noisy": lambda pixels: encode(
        (pixels + np.random.default_rng(0).normal(0, 8, pixels.shape)).clip(0, 255).astype(np.uint8)
    ),
}


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_is_found_however_it_was_made(how: str) -> None:
    others = [encode(chest(seed)) for seed in range(1, 8)]
    found = duplicates.near(Shown(encode(chest(0)), *others, COPIES[how](chest(0))))
    assert found.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 0]


def test_different_people_who_look_alike_are_not_joined_at_any_distance() -> None:
    pictures = [chest(seed) for seed in range(60)]
    flat = np.stack([picture.ravel() for picture in pictures]).astype(np.float64)
    assert np.median(np.corrcoef(flat)) > 0.5
    for distance in (0, 6, 16, 63):
        found = duplicates.near(Shown(*map(encode, pictures)), distance)
        assert found.tolist() == list(range(60))


def test_the_hash_alone_would_have_joined_strangers() -> None:
    thumbnails = np.stack([duplicates.thumbnail(encode(chest(seed))) for seed in range(60)])
    pairs = duplicates.close_pairs(duplicates.perceptual_hashes(thumbnails), distance=24)
    assert len(pairs) > 10
    assert duplicates.correlations(thumbnails, pairs).max() < duplicates.SMALLEST_CORRELATION


def test_a_copy_of_a_copy_belongs_to_the_first() -> None:
    first = chest(3)
    second = encode(first, "JPEG", quality=40)
    third = encode(PIL.Image.open(io.BytesIO(second)).resize((60, 60)), "JPEG", quality=40)
    assert duplicates.near(Shown(third, encode(chest(4)), second, encode(first))).tolist() == [0, 1, 0, 0]


def test_pictures_without_contrast_are_equal_only_to_the_same_file() -> None:
    black, white = encode(np.zeros((40, 40), np.uint8)), encode(np.full((40, 40), 255, np.uint8))
    assert duplicates.near(Shown(black, white, black, encode(np.zeros((50, 50), np.uint8)))).tolist() == [0, 1, 0, 2]


def test_files_that_cannot_be_decoded_are_equal_only_to_the_same_bytes() -> None:
    whole = encode(chest(0), "JPEG")
    broken = [b"", b"text", whole[:300], encode(chest(1))[:60]]
    assert duplicates.near(Shown(*broken, whole, b"text")).tolist() == [0, 1, 2, 3, 4, 1]


def test_no_image_and_one_image_are_groups_too() -> None:
    assert duplicates.near(Shown()).tolist() == []
    assert duplicates.near(Shown(encode(chest(0)))).tolist() == [0]


@pytest.mark.parametrize("distance", [-1, 64])
def test_a_distance_beyond_the_hash_is_refused(distance: int) -> None:
    with pytest.raises(ValueError, match=f"0 to 63 bits. Received: {distance}"):
        duplicates.near(Shown(), distance)


@hypothesis.given(
    st.lists(st.integers(0, 2**64 - 1), max_size=12), st.integers(0, 20), st.integers(0, 2**32 - 1), st.integers(1, 9)
)
def test_close_pairs_are_those_of_a_comparison_of_all(
    seeds: list[int], distance: int, seed: int, most_flips: int
) -> None:
    random = np.random.default_rng(seed)
    hashes = [value ^ sum(1 << int(bit) for bit in set(random.integers(0, 64, most_flips))) for value in seeds * 3]
    expected = [
        [left, right]
        for left in range(len(hashes))
        for right in range(left + 1, len(hashes))
        if (hashes[left] ^ hashes[right]).bit_count() <= distance
    ]
    assert duplicates.close_pairs(np.array(hashes, np.uint64), distance=distance).tolist() == expected


@pytest.mark.parametrize("distance", [0, 2, 6, 10])
def test_no_close_pair_is_missed_among_thousands(distance: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "_PAIRS_AT_ONCE", 500)
    random = np.random.default_rng(distance)
    hashes = random.integers(0, 2**63, 1_500, dtype=np.uint64)
    for planted in range(200):
        flips = random.choice(64, planted % (distance + 1) if distance else 0, replace=False)
        hashes[planted] = hashes[planted + 700] ^ np.uint64(sum(1 << int(bit) for bit in flips))
    bits = (hashes[:, None] >> np.arange(64, dtype=np.uint64) & np.uint64(1)).astype(np.int32)
    apart = bits.sum(1)[:, None] + bits.sum(1) - 2 * bits @ bits.T
    left, right = np.nonzero(np.triu(apart <= distance, 1))
    found = duplicates.close_pairs(hashes, distance=distance)
    assert len(found) >= 200
    np.testing.assert_array_equal(found, np.stack([left, right], axis=1))


def test_correlations_are_pearsons() -> None:
    thumbnails = np.random.default_rng(0).integers(0, 256, (5, 32, 32), dtype=np.uint8)
    thumbnails[4] = 7
    pairs = np.array([[0, 1], [2, 3], [1, 1], [0, 4]])
    expected = [np.corrcoef(thumbnails[a].ravel(), thumbnails[b].ravel())[0, 1] for a, b in pairs[:3]]
    np.testing.assert_allclose(duplicates.correlations(thumbnails, pairs), [*expected, 0], atol=1e-5)
