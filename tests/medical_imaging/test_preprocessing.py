"""What the network reads is the same whether it came from a file, from grey values, or in whose company."""

import io
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from apps.medical_imaging import preprocessing

pytestmark = pytest.mark.tensorflow


def random_image(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).random(shape, np.float32)


def jpeg(image: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.round(image * 255).astype(np.uint8)).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def test_a_png_gives_what_its_grey_values_give() -> None:
    for bits, size in ((8, 24), (16, 24), (8, 60)):
        values = np.round(random_image(40, 52, 1) * (2**bits - 1)) / (2**bits - 1)
        values = values.astype(np.float32)
        from_file, valid = preprocessing.load([preprocessing.encode(values, bits=bits)], size=size, channels=1)
        from_values, _ = preprocessing.load([values], size=size, channels=1)
        assert valid.all()
        assert np.abs(from_file.astype(int) - from_values).max() <= 1


def test_a_reduction_by_a_whole_number_averages_blocks_as_pillow_does() -> None:
    values = np.round(random_image(64, 64, 1) * 255).astype(np.uint8)
    found, _ = preprocessing.load([preprocessing.encode(values / 255)], size=16, channels=1)
    expected = np.asarray(Image.fromarray(values[:, :, 0]).resize((16, 16), Image.Resampling.BILINEAR))
    assert np.abs(found[0, :, :, 0].astype(int) - expected).max() <= 1


def test_files_that_are_no_images_are_marked_and_touch_no_other() -> None:
    good = [jpeg(random_image(30, 40, seed=seed)) for seed in range(3)]
    truncated, renamed = good[0][: len(good[0]) // 2], b"plain text"
    header = (13).to_bytes(4, "big") + b"IHDR" + (60_000).to_bytes(4, "big") * 2 + b"\x08" + bytes(9)
    bomb = b"\x89PNG\r\n\x1a\n" + header
    mixed = [good[0], b"", good[1], renamed, truncated, bomb, good[2]]
    squares, valid = preprocessing.load(mixed, size=16, channels=1)
    assert valid.tolist() == [True, False, True, False, False, False, True]
    alone, _ = preprocessing.load(good, size=16, channels=1)
    assert np.array_equal(squares[valid], alone)
    assert not squares[~valid].any()


def test_a_batch_of_broken_files_only_and_an_empty_batch_have_answers() -> None:
    squares, valid = preprocessing.decode(tf.constant([b"", b"x"]), size=8, channels=1)
    assert squares.shape == (2, 8, 8, 1)
    assert not valid.numpy().any()
    squares, valid = preprocessing.decode(tf.constant([], tf.string), size=8, channels=3)
    assert squares.shape == (0, 8, 8, 3)
    assert valid.shape == (0,)


@pytest.mark.parametrize(("file_channels", "channels"), [(1, 1), (1, 3), (3, 1), (3, 3)])
def test_grey_and_colour_are_read_as_asked(file_channels: int, channels: int) -> None:
    image = np.full((10, 10, file_channels), 0.5, np.float32)
    for item in (preprocessing.encode(image), image):
        squares, valid = preprocessing.load([item], size=10, channels=channels)
        assert squares.shape == (1, 10, 10, channels)
        assert valid.all()
        assert np.abs(squares.astype(int) - 128).max() <= 1
