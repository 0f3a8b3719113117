"""Synthetic radiographs are drawn by class, written whole, and say that they are synthetic."""

import json
import pathlib
from typing import Any

import numpy as np
import PIL.Image
import PIL.PngImagePlugin
import pytest

from apps.medical_imaging.readers import folders
from apps.medical_imaging.synthesis import augment, synthesiser
from shared import errors
from shared.training import fit as fitting
from shared.training import gan as gan_training
from shared.training import runtime

pytestmark = pytest.mark.tensorflow

NAMES = ("clear", "hazy")


def examples(rows: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Dark and bright noise."""
    generator = np.random.default_rng(seed)
    labels = np.arange(rows) % 2
    images = generator.integers(0, 60, (rows, 8, 8, 1)) + 190 * labels[:, None, None, None]
    return images.astype(np.uint8), labels


def train(folder: pathlib.Path, **changes: Any) -> synthesiser.Synthesiser:
    runtime.configure(seed=0)
    images, labels = examples(24, seed=1)
    arguments: dict[str, Any] = {
        "images": images,
        "labels": labels,
        "class_names": NAMES,
        "reference": examples(12, seed=2),
        "settings": gan_training.GanSettings(epochs=2, batch_size=8),
        "outputs": fitting.Outputs(
            checkpoints=folder / "checkpoints", history=folder / "history.csv", logs=folder / "logs", progress=False
        ),
        **changes,
    }
    return synthesiser.train_gan(arguments.pop("images"), arguments.pop("labels"), **arguments)


def test_a_trained_generator_draws_the_classes_asked_for(tmp_path: pathlib.Path) -> None:
    found = train(tmp_path)
    drawn = found.draw(np.array([0, 1, 1]), seed=3)
    assert (drawn.shape, drawn.dtype) == ((3, 8, 8, 1), np.dtype(np.uint8))
    np.testing.assert_array_equal(drawn, found.draw(np.array([0, 1, 1]), seed=3))
    assert found.draw(np.array([], np.int64), seed=3).shape == (0, 8, 8, 1)
    assert 0 <= found.floor < -found.result.best_value
    # The distance is that of the kept weights: measured again, on the same labels and noise, it is the same.
    labels = examples(24, seed=1)[1]
    reference = examples(12, seed=2)
    score = synthesiser._distance(*reference, classes=2, features=synthesiser.block_features)
    assert score(found.draw(labels, seed=0), labels) == pytest.approx(-found.result.best_value)


def test_the_distance_sees_classes_that_are_swapped() -> None:
    images, labels = examples(40, seed=1)
    score = synthesiser._distance(images, labels, classes=2, features=synthesiser.block_features)
    assert score(images, labels) == pytest.approx(0, abs=1e-6)
    assert score(images, 1 - labels) > 0.5


def test_block_features_are_the_means_and_deviations_of_blocks() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 17, 17, 1)).astype(np.uint8)
    features = synthesiser.block_features(images)
    block = images[1, 2:4, 4:6, 0] / 255
    assert features.shape == (2, 128)
    assert features[1, 8 + 2] == pytest.approx(block.mean())
    assert features[1, 64 + 8 + 2] == pytest.approx(block.std())


def test_written_images_lie_by_class_and_say_that_they_are_synthetic(tmp_path: pathlib.Path) -> None:
    images, labels = examples(5, seed=0)
    folder = tmp_path / "out"
    paths = synthesiser.write_images(images, labels, class_names=NAMES, folder=folder, facts={"seed": 4})
    assert [path.relative_to(folder).as_posix() for path in paths[:2]] == [
        "clear/synthetic-00001.png",
        "hazy/synthetic-00002.png",
    ]
    for path, image in zip(paths, images, strict=True):
        with PIL.Image.open(path) as picture:
            assert isinstance(picture, PIL.PngImagePlugin.PngImageFile)
            assert picture.text["Comment"] == synthesiser.NOTICE
            np.testing.assert_array_equal(np.asarray(picture), image[..., 0])
    manifest = json.loads((folder / folders.SYNTHETIC).read_text())
    assert (manifest["counts"], manifest["seed"]) == ({"clear": 3, "hazy": 2}, 4)
    assert not list(folder.rglob(".*"))


def test_a_folder_in_use_and_a_class_name_that_leaves_it_are_refused(tmp_path: pathlib.Path) -> None:
    images, labels = examples(2, seed=0)
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(errors.InputError, match="expected a new or empty folder"):
        synthesiser.write_images(images, labels, class_names=NAMES, folder=tmp_path, facts={})
    for name in ("../up", "a/b", "a\\b", "..", ""):
        with pytest.raises(errors.InputError, match="class name: expected"):
            synthesiser.write_images(images, labels, class_names=("x", name), folder=tmp_path / "new", facts={})
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": np.zeros((24, 8, 8, 1), np.float32)}, "expected uint8"),
        ({"labels": np.arange(24)}, "24 class numbers below 2"),
        ({"labels": np.zeros(24, int)}, "every class. Received: none of hazy"),
        ({"reference": (np.zeros((4, 16, 16, 1), np.uint8), np.array([0, 1, 0, 1]))}, "reference images: expected"),
        ({"images": np.zeros((24, 30, 30, 1), np.uint8)}, "reference images|power of two"),
    ],
)
def test_arrays_at_fault_are_named(tmp_path: pathlib.Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.InputError, match=message):
        train(tmp_path, **changes)


def test_a_side_that_cannot_be_halved_is_refused(tmp_path: pathlib.Path) -> None:
    images = np.zeros((4, 30, 30, 1), np.uint8)
    labels = np.array([0, 1, 0, 1])
    with pytest.raises(errors.InputError, match="training images: Expected image_shape"):
        train(tmp_path, images=images, labels=labels, reference=(images, labels))


@pytest.mark.parametrize(("labels", "enough"), [([0, 1] * 10, True), ([0, 1] * 9, False), ([0] * 30, False)])
def test_nothing_is_trained_on_few_drawn_images_or_one_class_alone(labels: list[int], enough: bool) -> None:
    assert (augment.too_few(np.array(labels), classes=2) == "") == enough
