import dataclasses
import io
from typing import Any

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from apps.driving_perception import boxes as box
from apps.driving_perception import config, decision, frames, lane, model, predictions, preprocessing
from shared import image_files
from shared.bundle import engines as bundle_engines

pytestmark = pytest.mark.tensorflow
SETTINGS = dataclasses.replace(config.Config.smoke(), image_size=96)


def encoded(width: int, height: int, *, seed: int = 0, kind: str = "PNG") -> bytes:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    buffer = io.BytesIO()
    PIL.Image.fromarray(image).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def network() -> Any:
    return model.build(SETTINGS, classes=2)


def places_of(boxes: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Places (1, n, classes + 7) that say these boxes."""
    return np.concatenate([logits, boxes, np.zeros((len(boxes), 3))], axis=1)[np.newaxis].astype(np.float32)


def test_an_image_keeps_its_shape_on_its_canvas() -> None:
    for width, height in ((300, 80), (80, 300), (97, 53), (1, 1)):
        placed, geometry = preprocessing.place(tf.random.uniform((height, width, 3)), image_size=96)
        assert placed.shape[:2] == preprocessing.canvas_shape(width, height, image_size=96)
        factor = preprocessing.canvas_scale(width, height, image_size=96)
        filled = geometry.numpy()[:2]
        assert filled == pytest.approx([height * factor, width * factor], abs=1.01)
        assert (placed.numpy()[filled[0] :] == preprocessing.GREY).all()
        assert (placed.numpy()[:, filled[1] :] == preprocessing.GREY).all()
        assert geometry.numpy()[4:].tolist() == [height, width]


def test_an_answer_does_not_depend_on_what_else_is_in_the_batch(network: Any) -> None:
    look = predictions.graph(network, SETTINGS)
    files = [encoded(120, 80), encoded(300, 70, seed=1), b"no image", encoded(64, 128, seed=2)]
    together = look(*preprocessing.decode(tf.constant(files), image_size=96))
    for row, content in enumerate(files):
        alone = look(*preprocessing.decode(tf.constant([content]), image_size=96))
        for name, values in together.items():
            assert (values[row].numpy() == alone[name][0].numpy()).all(), name
    assert together["count"][2] == 0


def test_float_images_and_files_are_answered_alike(network: Any) -> None:
    look = predictions.graph(network, SETTINGS)
    content = encoded(150, 90)
    pixels = tf.io.decode_png(content).numpy().astype(np.float32) / 255
    by_file = look(*preprocessing.decode(tf.constant([content]), image_size=96))
    by_pixels = look(*preprocessing.place_all(tf.constant(pixels[np.newaxis]), image_size=96))
    for name, values in by_file.items():
        np.testing.assert_allclose(values, by_pixels[name], atol=1e-4, err_msg=name)


def test_of_two_boxes_at_one_object_the_surer_stays_and_other_classes_are_not_touched() -> None:
    boxes = np.array([[10, 10, 50, 50], [12, 10, 52, 50], [10, 10, 50, 50], [60, 10, 90, 40]], float)
    logits = np.array([[2.0, -9], [3.0, -9], [-9, 1.0], [0.0, -9]])
    found = predictions.boxes(places_of(boxes, logits), np.array([[96.0, 80]], np.float32), most=10, overlap=0.5)
    assert int(found["count"][0]) == 3
    assert found["classes"].numpy()[0, :3].tolist() == [0, 1, 0]
    # Cut to what the image fills: 80 pixels wide.
    assert found["boxes"].numpy()[0, :3].tolist() == [[12, 10, 52, 50], [10, 10, 50, 50], [60, 10, 80, 40]]
    assert found["scores"].numpy()[0, :3] == pytest.approx(1 / (1 + np.exp(-np.array([3.0, 1.0, 0.0]))))


def test_the_graph_decides_as_the_region_does() -> None:
    generator = np.random.default_rng(0)
    region = lane.Region()
    corners = generator.uniform(0, 1, (300, 2, 2)) * (640, 384)
    xyxy = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1).astype(np.float32)
    scores = np.sort(generator.uniform(0, 1, 300).astype(np.float32))[::-1].copy()
    found = {
        "boxes": tf.constant(xyxy[:, np.newaxis]),
        "scores": tf.constant(scores[:, np.newaxis]),
        "classes": tf.zeros((300, 1), tf.int32),
        "count": tf.ones(300, tf.int32),
    }
    geometry = tf.tile(tf.constant([[96, 160, 96, 160, 384, 640]]), (300, 1))
    rule = decision.DecisionRule(
        class_names=("car",), threshold=0.4, rule="max_f1", fppi_budget=0.1, recall=0.5, precision=0.5,
        false_positives_per_image=0.1, fitted_on={},
    )  # fmt: skip
    said = predictions.decide(found, geometry, tf.constant([True] * 299 + [False]), rule=rule, region=region)
    expected = region.decide(xyxy, width=640.0, height=384.0) & (scores >= 0.4)
    decided = said["decision"].numpy().astype(str)
    assert decided[-1] == lane.INVALID
    assert (decided[:-1] == lane.AHEAD).tolist() == expected[:-1].tolist()
    assert 10 < expected.sum() < 150
    assert said["count"].numpy().tolist() == (scores >= 0.4).astype(int).tolist()
    assert set(said["labels"].numpy().ravel().astype(str)) == {"car", ""}


def test_boxes_come_back_in_pixels_of_the_original(network: Any) -> None:
    look = predictions.graph(network, SETTINGS)
    small, large = (
        look(*preprocessing.decode(tf.constant([encoded(side, side)]), image_size=96)) for side in (96, 480)
    )
    for found, side in ((small, 96), (large, 480)):
        count = int(found["count"][0])
        boxes = found["boxes"].numpy()[0, :count]
        assert boxes.max(initial=0) <= side + 1e-3
        assert count


def test_other_files_than_jpeg_and_png_are_read_and_what_is_none_stays() -> None:
    for kind in ("BMP", "WEBP"):
        assert frames.as_file(encoded(30, 20, kind=kind)).startswith(b"\x89PNG")
    assert frames.as_file(b"text") == b"text"
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    assert (np.asarray(PIL.Image.open(io.BytesIO(frames.as_file(image)))) == image).all()


def test_the_grids_of_the_network_give_its_places(network: Any) -> None:
    image = np.random.default_rng(0).uniform(0, 255, (1, 64, 96, 3)).astype(np.float32)
    grids = predictions.cut_at_grids(network)(image, training=False)
    assert {name: tuple(values.shape[1:3]) for name, values in grids.items()} == {
        name: (64 // predictions.stride_of_grid(name), 96 // predictions.stride_of_grid(name))
        for name in predictions.GRIDS
    }
    np.testing.assert_allclose(
        predictions.places_of(network, grids), network(image, training=False), rtol=1e-5, atol=1e-4
    )


def test_images_of_many_sizes_are_answered_from_their_grids_as_by_the_network(network: Any) -> None:
    files = [
        encoded(120, 80),
        encoded(300, 70, seed=1),
        b"no image",
        encoded(64, 128, seed=2),
        encoded(120, 80, seed=3),
    ]
    canvases, geometry, valid = preprocessing.decode(tf.constant(files), image_size=96)
    expected = predictions.graph(network, SETTINGS)(canvases, geometry, valid)
    padded, sides = preprocessing.roomy(canvases, geometry)
    given = {"image": padded.numpy().astype(np.float32), "sizes": sides.numpy()[:, preprocessing.WHOLE]}
    asked: list[tuple[int, ...]] = []

    def look(images: Any) -> dict[str, np.ndarray]:
        asked.append(images["image"].shape)
        return {
            name: values.numpy()
            for name, values in predictions.cut_at_grids(network)(images["image"], training=False).items()
        }

    grids = bundle_engines.by_size(look, ["image"], "sizes")(given)
    found = predictions.of_grids(network, SETTINGS)(grids, geometry, valid)
    # Two images have one size, and look together.
    assert sorted(shape[0] for shape in asked) == [1, 1, 1, 2]
    assert (found["count"].numpy() == expected["count"].numpy()).all()
    np.testing.assert_allclose(found["boxes"], expected["boxes"], atol=0.05)
    np.testing.assert_allclose(found["scores"], expected["scores"], atol=1e-5)


def test_overlaps_in_the_graph_are_those_in_numpy() -> None:
    from apps.driving_perception import losses

    corners = np.random.default_rng(0).integers(0, 40, (2, 60, 2, 2))
    one, two = (np.concatenate([c.min(axis=1), c.max(axis=1)], axis=1).astype(np.float32) for c in corners)
    expected = box.iou(one, two)[np.arange(60), np.arange(60)]
    np.testing.assert_allclose(np.asarray(losses.iou(one, two)), expected, atol=1e-5)


def test_the_graph_decodes_what_training_decodes_alike() -> None:
    values = np.linspace(0, 65535, 40 * 30).astype(np.uint16).reshape(30, 40)
    buffer = io.BytesIO()
    PIL.Image.fromarray(values).save(buffer, "PNG")
    pixels = tf.io.decode_image(buffer.getvalue(), channels=3, dtype=tf.float32).numpy()
    np.testing.assert_allclose(frames.decode(buffer.getvalue(), name="deep") / 255, pixels, atol=0.5 / 255 + 1e-6)
    assert frames.MAXIMUM_PIXELS == image_files.MAXIMUM_PIXELS
