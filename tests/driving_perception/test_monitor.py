"""What drift is judged on: the columns of the graph against NumPy and values known beforehand."""

import numpy as np
import pytest
import tensorflow as tf

from apps.driving_perception import lane, monitor

pytestmark = pytest.mark.tensorflow

# Two canvases of 8 x 12 pixels, of which the second fills 6 x 12; the third row is no image.
CANVASES = np.random.default_rng(0).integers(0, 256, (3, 8, 12, 3), np.uint8)
GEOMETRY = np.array([[8, 12, 8, 12, 80, 120], [6, 12, 8, 12, 60, 120], [0, 0, 0, 0, 0, 0]], np.int32)
VALID = np.array([True, True, False])
SAID = {
    "boxes": np.array([[[0, 10, 5, 30], [0, 20, 5, 60]], [[0, 0, 9, 15], [0, 0, 0, 0]], np.zeros((2, 4))], np.float32),
    "scores": np.array([[0.9, 0.4], [0.7, 0.0], [0.0, 0.0]], np.float32),
    "count": np.array([2, 1, 0], np.int32),
    "labels": np.array([["bus", "car"], ["car", ""], ["", ""]]),
    "decision": np.array([lane.AHEAD, lane.CLEAR, lane.INVALID]),
}


def columns() -> dict[str, np.ndarray]:
    outputs = {name: tf.constant(values) for name, values in SAID.items()}
    found = monitor.columns(outputs, *map(tf.constant, (CANVASES, GEOMETRY, VALID)))
    assert list(found) == list(monitor.COLUMNS)
    return {name: values.numpy() for name, values in found.items()}


def test_answers_are_compared_by_the_surest_and_the_tallest_box() -> None:
    found = columns()
    assert found["score"] == pytest.approx([0.9, 0.7, 0.0])
    assert found["boxes"].tolist() == [2, 1, 0]
    assert found["height"] == pytest.approx([0.5, 0.25, 0.0])
    assert found["decision"].tolist() == [b"yes", b"no", b"invalid"]
    assert found["label"].tolist() == [b"bus", b"car", b"none"]


def test_another_camera_shows_in_size_shape_colour_and_which_way_is_up() -> None:
    found = columns()
    assert found["aspect"] == pytest.approx([1.5, 2.0, 0.0])
    assert found["pixels"] == pytest.approx([np.sqrt(80 * 120), np.sqrt(60 * 120), 0.0])
    for row, height in ((0, 8), (1, 6)):
        image = CANVASES[row, :height] / 255
        assert found["warmth"][row] == pytest.approx((image[..., 0] - image[..., 2]).mean(), abs=1e-6)
        upper, lower = image[: height // 2].mean(), image[height // 2 :].mean()
        assert found["slope"][row] == pytest.approx(upper - lower, abs=1e-6)
    turned = monitor.image_statistics(*map(tf.constant, (CANVASES[:1, ::-1], GEOMETRY[:1], VALID[:1])))
    assert turned["slope"].numpy()[0] == pytest.approx(-found["slope"][0], abs=1e-6)


def test_light_is_measured_where_the_image_is_and_not_on_the_rest_of_its_canvas() -> None:
    found = columns()
    for row, height in ((0, 8), (1, 6)):
        image = CANVASES[row, :height] / 255
        grey = image.mean(axis=2)
        edges = [
            abs(4 * grey[y, x] - grey[y - 1, x] - grey[y + 1, x] - grey[y, x - 1] - grey[y, x + 1])
            for y in range(1, height - 1)
            for x in range(1, 11)
        ]
        expected = (grey.mean(), grey.std(), np.mean(edges), np.abs(image - grey[..., np.newaxis]).mean())
        names = ("brightness", "contrast", "sharpness", "colour")
        assert [found[name][row] for name in names] == pytest.approx(expected, rel=1e-5)
        assert [found[name][2] for name in names] == [0] * 4
