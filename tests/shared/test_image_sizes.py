"""The size of an image is read from its first bytes as Pillow reads it, in little time whatever they are."""

import io
import time

import numpy as np
import PIL.Image
import pytest

from shared.serving import tensors


def encoded(kind: str, width: int, height: int, mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray(np.zeros((height, width, 3), np.uint8)).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(("width", "height"), [(1, 1), (64, 64), (300, 7), (5, 1_000)])
@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [
        ("PNG", "RGB", {}),
        ("PNG", "L", {}),
        ("JPEG", "RGB", {}),
        ("JPEG", "L", {"progressive": True}),
        ("JPEG", "CMYK", {"optimize": True}),
        ("JPEG", "RGB", {"comment": b"\xff\xc0\xff\xd9" * 100, "icc_profile": b"\xff\xda" * 40_000}),
    ],
)
def test_the_size_is_the_one_that_pillow_reads(
    kind: str, mode: str, options: dict[str, object], width: int, height: int
) -> None:
    content = encoded(kind, width, height, mode, **options)
    with PIL.Image.open(io.BytesIO(content)) as image:
        assert tensors.pixels_of(content) == image.width * image.height == width * height


def test_fill_bytes_and_bytes_between_segments_are_passed_over_as_libjpeg_does() -> None:
    content = encoded("JPEG", 30, 20)
    for between in (b"\xff" * 9, b"junk", b"\xff\x00", b"\xff\xd0"):
        assert tensors.pixels_of(content[:2] + b"\xff\xfe\x00\x02" + between + content[2:]) == 600


@pytest.mark.parametrize(
    "content",
    [b"", b"GIF89a", b"\xff\xd8\xff", b"\xff\xd8\xff\xda\x00\x02", b"\x89PNG\r\n\x1a\n", b"\xff" * 9],
)
def test_what_is_no_image_has_no_pixels(content: bytes) -> None:
    assert tensors.pixels_of(content) == 0


@pytest.mark.parametrize("rest", [b"\xff" * 8_000_000, b"\xff\x00" * 4_000_000, b"\xff\xfe\x00\x02" * 2_000_000])
def test_a_file_that_hides_its_size_is_given_up_soon(rest: bytes) -> None:
    started = time.monotonic()
    assert tensors.pixels_of(b"\xff\xd8" + rest) in (0, 1 << 62)
    assert time.monotonic() - started < 2
