import io

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.driving_perception import preprocessing

pytestmark = pytest.mark.tensorflow


@given(st.integers(20, 4000), st.integers(20, 4000), st.sampled_from([96, 320, 416]))
def test_every_shape_gets_about_the_same_number_of_pixels_unless_it_is_very_long(
    width: int, height: int, image_size: int
) -> None:
    factor = preprocessing.canvas_scale(width, height, image_size=image_size)
    pixels = width * height * factor**2
    assert max(width, height) * factor <= preprocessing.LONGEST * image_size + 1e-6
    if max(width, height) <= 6 * min(width, height):
        assert pixels == pytest.approx(image_size**2)
    assert pixels <= image_size**2 * (1 + 1e-9)


@given(st.integers(1, 3000), st.integers(1, 3000))
def test_a_canvas_holds_its_image_and_is_at_most_a_stride_larger(width: int, height: int) -> None:
    factor = preprocessing.canvas_scale(width, height, image_size=320)
    for side, original in zip(preprocessing.canvas_shape(width, height, image_size=320), (height, width), strict=True):
        filled = max(round(original * factor), 1)
        assert side % preprocessing.STRIDE == 0
        assert filled <= side < filled + preprocessing.STRIDE


def test_training_pictures_have_about_as_many_pixels_as_the_network_sees() -> None:
    for image_size in (288, 320, 384, 416, 512):
        height, width = preprocessing.training_shape(image_size)
        assert height % preprocessing.STRIDE == width % preprocessing.STRIDE == 0
        assert 0.85 < height * width / image_size**2 < 1.2


def test_what_is_stored_is_never_larger_than_the_image_and_keeps_its_mean() -> None:
    image = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    content, factor = preprocessing.stored(image, image_size=320)
    with PIL.Image.open(io.BytesIO(content)) as picture:
        assert picture.size == (round(1280 * factor), round(720 * factor))
        assert np.asarray(picture).mean() == pytest.approx(image.mean(), abs=1)
    assert factor == pytest.approx(preprocessing.SPARE * 320 / (1280 * 720) ** 0.5)
    assert preprocessing.stored(image[:50, :60], image_size=320)[1] == 1.0
