import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from apps.driving_perception import config, losses, preprocessing, training_images

pytestmark = pytest.mark.tensorflow
PLAIN = dataclasses.replace(config.Config.smoke(), mosaic=0.0, photometric=0.0, image_size=128, most_boxes=12)
BOX = (60.0, 40.0, 100.0, 90.0)


def picture(width: int = 200, height: int = 120) -> bytes:
    """A white box on black, as training keeps it."""
    image = np.zeros((height, width, 3), np.uint8)
    left, top, right, bottom = map(int, BOX)
    image[top:bottom, left:right] = 255
    content: bytes = tf.io.encode_jpeg(image, quality=100, chroma_downsampling=False).numpy()
    return content


def rows(kind: float = losses.OBJECT, box: tuple[float, ...] = BOX) -> np.ndarray:
    return np.array([[*box, kind, 1, 0], [0, 0, 0, 0, losses.NOTHING, 0, 0]], np.float32)


def vary(
    settings: config.Config, count: int, *, epoch: int = 0, table: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    seeds = np.stack([np.full(count, epoch), np.arange(count)], axis=1)
    labels = np.stack([rows() if table is None else table] * count)
    inputs = {"image": tf.constant([picture()] * count)}
    images, found = training_images.vary(inputs, tf.constant(labels), tf.constant(seeds, tf.int64), settings=settings)
    return images["image"].numpy(), found.numpy()


@pytest.mark.parametrize("mosaic", [0.0, 1.0])
def test_boxes_go_where_their_pixels_go(mosaic: float) -> None:
    images, found = vary(dataclasses.replace(PLAIN, mosaic=mosaic), 24)
    checked = 0
    for image, table in zip(images, found, strict=True):
        height, width = image.shape[:2]
        for left, top, right, bottom in table[table[:, losses.KIND_COLUMN] == losses.OBJECT, :4]:
            tile = (width / 2, height / 2) if mosaic else (width, height)
            ends = (tile[0] - (right - 0.01) % tile[0], tile[1] - (bottom - 0.01) % tile[1])
            edges = (left % tile[0], top % tile[1], *ends)
            if min(edges) < 4:
                continue
            window = image[int(top) - 2 : int(bottom) + 3, int(left) - 2 : int(right) + 3].mean(axis=2)
            bright = window > 127
            across, down = np.flatnonzero(bright.any(axis=0)), np.flatnonzero(bright.any(axis=1))
            assert len(across) == pytest.approx(right - left, abs=2.5)
            assert len(down) == pytest.approx(bottom - top, abs=2.5)
            checked += 1
    assert checked > 8


def test_pictures_have_the_training_shape_and_zoom_within_their_limits() -> None:
    images, found = vary(PLAIN, 40)
    assert images.shape[1:] == (*preprocessing.training_shape(128), 3)
    whole = found[found[:, 0, losses.KIND_COLUMN] == losses.OBJECT][:, 0]
    low, high = whole[:, :2].min(axis=1), (whole[:, 2:4] - images.shape[2:0:-1]).max(axis=1)
    inner = whole[(low > 0) & (high < 0)]
    scale = np.sqrt((inner[:, 2] - inner[:, 0]) * (inner[:, 3] - inner[:, 1]) / (40 * 50))
    usual = preprocessing.canvas_scale(200, 120, image_size=128)
    assert len(scale) > 10
    assert scale.min() >= usual * PLAIN.zoom_out * 0.99
    assert scale.max() <= usual * PLAIN.zoom_in * 1.01
    assert np.ptp(scale) > 0.2


def test_half_of_the_pictures_are_mirrored_unless_that_is_off() -> None:
    corner = rows(box=(0.0, 0.0, 60.0, 60.0))
    # With the same draws, a mirrored box stands at width - x.
    _, with_flip = vary(PLAIN, 60, table=corner)
    images, without = vary(dataclasses.replace(PLAIN, flip=False), 60, table=corner)
    same = np.isclose(with_flip[:, 0, :4], without[:, 0, :4], atol=1e-3).all(axis=1)
    mirrored = without[~same, 0].copy()
    mirrored[:, [0, 2]] = images.shape[2] - mirrored[:, [2, 0]]
    assert 15 < (~same).sum() < 45
    np.testing.assert_allclose(with_flip[~same, 0, :4], mirrored[:, :4], atol=1e-2)


def test_what_is_cut_to_a_sliver_is_not_learned_and_what_is_outside_is_gone() -> None:
    _, found = vary(dataclasses.replace(PLAIN, zoom_in=3.0), 150)
    kinds = found[:, 0, losses.KIND_COLUMN]
    assert {losses.OBJECT, losses.IGNORED} <= set(kinds.tolist())
    learned = found[kinds == losses.OBJECT, 0]
    assert (learned[:, 2:4] - learned[:, :2]).min() >= training_images.LEAST_SIDE
    gone = found[kinds == losses.NOTHING, 0]
    assert len(gone)
    assert ((gone[:, 2:4] - gone[:, :2]).min(axis=1) <= 0).all()


def test_one_seed_makes_one_batch_and_another_epoch_another() -> None:
    settings = dataclasses.replace(PLAIN, mosaic=0.5, photometric=0.4)
    first, again, other = (vary(settings, 6, epoch=epoch)[0] for epoch in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_light_changes_but_stays_within_the_range_of_a_picture() -> None:
    images, _ = vary(dataclasses.replace(PLAIN, photometric=0.8), 12)
    assert images.min() >= 0
    assert images.max() <= 255
    assert np.std([image.mean() for image in images]) > 5


def test_the_rows_kept_are_the_ignored_areas_and_the_largest_objects() -> None:
    table = np.zeros((30, 7), np.float32)
    sides = np.arange(1, 31)
    table[:, 2] = table[:, 3] = sides
    table[:, 4] = np.where(sides % 10 == 0, losses.IGNORED, losses.OBJECT)
    kept = training_images._largest(tf.constant(table[np.newaxis]), count=6).numpy()[0]
    assert sorted(kept[:, 2].tolist()) == [10, 20, 27, 28, 29, 30]


def test_a_training_canvas_of_several_scales_changes_from_step_to_step() -> None:
    settings = dataclasses.replace(PLAIN, multi_scale=0.4, image_size=256)
    shapes = {vary(settings, 2, epoch=epoch)[0].shape[1:3] for epoch in range(8)}
    assert len(shapes) > 2
    assert all(side % preprocessing.STRIDE == 0 for shape in shapes for side in shape)
