"""Larger networks by name: built, frozen, weighted from a local server or folder, and refused where that cannot be."""

import dataclasses
import functools
import hashlib
import http.server
import pathlib
import threading
from collections.abc import Iterator

import h5py
import keras
import numpy as np
import pytest
from keras.src.applications import efficientnet_v2
from keras.src.backend import config as keras_config
from keras.src.legacy.saving import legacy_h5_format

from apps.medical_imaging import config, heat_maps, model, train
from shared import errors

pytestmark = pytest.mark.tensorflow

SIDE = 64
WEIGHTS = "efficientnetv2-b0_notop.h5"


def settings_for(backbone: str, *, pretrained: bool = False) -> config.Config:
    return dataclasses.replace(config.Config(), backbone=backbone, image_size=SIDE, pretrained=pretrained)


@functools.cache
def network_of(backbone: str, channels: int = 1) -> keras.Model:
    return model.build_transfer(settings_for(backbone), shape=(SIDE, SIDE, channels), classes=3)


def images(channels: int = 1) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, channels)).astype(np.float32)


@pytest.mark.parametrize("backbone", ["densenet121", "resnet50v2", "efficientnetv2-b0"])
def test_a_backbone_reads_raw_grey_images_and_says_where_grad_cam_looks(backbone: str) -> None:
    network = network_of(backbone)
    assert network(images(), training=False).shape == (2, 3)
    assert network.get_layer("logits").compute_dtype == "float32"
    maps = heat_maps.grad_cam_maps(
        network, settings_for(backbone), images().astype(np.uint8), np.array([0, 2]), several=False
    )
    assert maps.shape == (2, SIDE, SIDE)


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["efficientnetv2-s", "convnext-tiny"])
def test_large_backbones_are_built_too(backbone: str) -> None:
    assert network_of(backbone)(images(), training=False).shape == (2, 3)


@pytest.mark.parametrize(
    ("backbone", "expected"),
    [("densenet121", keras.applications.densenet), ("resnet50v2", keras.applications.resnet_v2)],
)
def test_colours_are_scaled_as_the_published_weights_expect(backbone: str, expected: object) -> None:
    network = network_of(backbone, 3)
    scaled = keras.Model(network.input, network.get_layer("scaled").output)(images(3))
    assert np.asarray(scaled) == pytest.approx(expected.preprocess_input(images(3).copy()), abs=1e-4)  # type: ignore[attr-defined]


def test_a_grey_image_is_shown_in_all_three_colours() -> None:
    network = network_of("resnet50v2")
    colours = np.asarray(keras.Model(network.input, network.get_layer("colours").output)(images()))
    assert np.array_equal(colours, np.repeat(images(), 3, axis=3))


def test_the_head_learns_alone_then_all_but_the_first_layers_do() -> None:
    settings = settings_for("resnet50v2", pretrained=True)
    network = network_of("resnet50v2")
    train.freeze(network, settings, head_only=True)
    assert [variable.path for variable in network.trainable_variables] == ["logits/kernel", "logits/bias"]
    train.freeze(network, settings, head_only=False)
    nested = network.get_layer("backbone").layers
    assert not any(layer.trainable for layer in nested[:70])
    assert all(layer.trainable for layer in nested[100:])
    train.freeze(network, settings_for("resnet50v2"), head_only=False)
    assert all(layer.trainable for layer in nested)


def test_an_unknown_backbone_is_refused_with_those_there_are() -> None:
    with pytest.raises(errors.InputError, match=r"backbone.*densenet121.*hub:.*'densenet'"):
        settings_for("densenet")
    for broken in ("hub:", "abc:densenet121"):
        with pytest.raises(errors.InputError, match="backbone"):
            settings_for(broken)


@pytest.fixture
def home(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """Where Keras keeps what it fetched: empty."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(keras_config, "_KERAS_DIR", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def published(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[keras.Model]:
    """A local server with weights of EfficientNetV2-B0, and the network that they came from."""
    keras.utils.set_random_seed(5)
    source = keras.applications.EfficientNetV2B0(include_top=False, weights=None, input_shape=(SIDE, SIDE, 3))
    folder = tmp_path / "server"
    folder.mkdir()
    with h5py.File(folder / WEIGHTS, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, source)
    data = (folder / WEIGHTS).read_bytes()
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        monkeypatch.setattr(efficientnet_v2, "BASE_WEIGHTS_PATH", f"http://127.0.0.1:{server.server_port}/")
        hashes = {"-b0": ("", hashlib.md5(data).hexdigest())}
        monkeypatch.setattr(efficientnet_v2, "WEIGHTS_HASHES", {**hashes, "b0": hashes["-b0"]})
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield source
        server.shutdown()
        thread.join()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Stay quiet."""


def build_b0() -> keras.Model:
    settings = settings_for("efficientnetv2-b0", pretrained=True)
    return model.build_transfer(settings, shape=(SIDE, SIDE, 1), classes=2)


def test_published_weights_are_fetched_once_and_then_kept(
    home: pathlib.Path, published: keras.Model, capsys: pytest.CaptureFixture[str]
) -> None:
    nested = build_b0().get_layer("backbone")
    for found, expected in zip(nested.get_weights(), published.get_weights(), strict=True):
        assert np.array_equal(found, expected)
    assert capsys.readouterr().out == ""  # It is the answer's own.
    kept = home / "models" / WEIGHTS
    before = kept.stat().st_mtime_ns
    build_b0()
    assert kept.stat().st_mtime_ns == before


@pytest.mark.usefixtures("published")
def test_weights_that_are_not_the_published_ones_are_refused(
    home: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = ("", "0" * 32)
    monkeypatch.setattr(efficientnet_v2, "WEIGHTS_HASHES", {"-b0": wrong, "b0": wrong})
    with pytest.raises(errors.InputError, match="Incomplete or corrupted"):
        build_b0()
    assert home.is_dir()


def test_without_a_connection_the_error_says_what_to_place_where(
    home: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(efficientnet_v2, "BASE_WEIGHTS_PATH", "http://127.0.0.1:9/")
    with pytest.raises(errors.InputError) as caught:
        build_b0()
    message = str(caught.value)
    assert str(home / "models") in message
    assert WEIGHTS in message
    assert "--no-pretrained" in message


def test_a_preset_of_kerashub_in_a_folder_gives_its_weights_and_its_scaling(tmp_path: pathlib.Path) -> None:
    hub = pytest.importorskip("keras_hub")
    keras.utils.set_random_seed(7)
    source = hub.models.DenseNetBackbone(stackwise_num_repeats=[1, 1], image_shape=(None, None, 3))
    source.save_to_preset(str(tmp_path))
    hub.layers.DenseNetImageConverter(scale=[0.01, 0.02, 0.03], offset=[-1.0, 0.0, 1.0]).save_to_preset(str(tmp_path))
    settings = settings_for(f"hub:{tmp_path}", pretrained=True)
    network = model.build_transfer(settings, shape=(SIDE, SIDE, 3), classes=2)
    features = keras.Model(network.input, network.get_layer("average").output)(images(3), training=False)
    scaled = images(3) * np.array([0.01, 0.02, 0.03]) + np.array([-1.0, 0.0, 1.0])
    expected = np.asarray(source(scaled.astype(np.float32), training=False)).mean(axis=(1, 2))
    assert np.asarray(features) == pytest.approx(expected, abs=1e-4)


def test_a_folder_that_is_no_preset_is_refused(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("keras_hub")
    settings = settings_for(f"hub:{tmp_path}", pretrained=True)
    with pytest.raises(errors.InputError, match="expected an image preset of KerasHub"):
        model.build_transfer(settings, shape=(SIDE, SIDE, 1), classes=2)
