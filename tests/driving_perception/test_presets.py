"""A backbone of KerasHub under the pyramid, from a folder: no network is needed."""

import pathlib

import keras
import numpy as np
import pytest

from apps.driving_perception import __main__, config, model, train
from shared import errors, files

hub = pytest.importorskip("keras_hub")
pytestmark = pytest.mark.tensorflow

SCALE, OFFSET = [0.01, 0.02, 0.03], [-1.0, 0.0, 1.0]


def tiny(stages: int = 4) -> keras.Model:
    # No ResNet: gradients of its small 1 x 1 kernels of stride 2 corrupt the memory of TensorFlow 2.21 with oneDNN.
    keras.utils.set_random_seed(7)
    return hub.models.DenseNetBackbone(stackwise_num_repeats=[1] * stages, image_shape=(None, None, 3))


@pytest.fixture(scope="module")
def preset(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("preset")
    tiny().save_to_preset(str(folder))
    hub.layers.DenseNetImageConverter(scale=SCALE, offset=OFFSET).save_to_preset(str(folder))
    return f"hub:{folder}"


def settings_for(backbone: str, **changes: object) -> config.Config:
    return config.Config.smoke().replace({"backbone": backbone, **changes})


def test_the_pyramid_reads_what_the_preset_sees_at_8_pixels_a_place(preset: str) -> None:
    settings = settings_for(preset)
    network = model.build(settings, classes=3)
    image = np.random.default_rng(0).uniform(0, 255, (2, 64, 96, 3)).astype(np.float32)
    seen = keras.Model(network.input, network.get_layer(model.finest_layer(settings)).output)(image, training=False)
    source = tiny()
    expected = keras.Model(source.input, source.pyramid_outputs["P3"])(image * SCALE + OFFSET, training=False)
    assert seen.shape == (2, 8, 12, expected.shape[3])
    assert np.asarray(seen) == pytest.approx(np.asarray(expected), abs=1e-4)
    assert network(image, training=False).shape == (2, 64 * 96 * 21 // 1024, 3 + model.GEOMETRY_COLUMNS)


def test_the_preset_learns_nothing_first_and_then_all_but_its_first_layers(preset: str) -> None:
    settings = settings_for(preset)
    network = model.build(settings, classes=2)
    own = network.get_layer("backbone")
    train.freeze(network, settings, backbone=True)
    assert not own.trainable_variables
    train.freeze(network, settings, backbone=False)
    assert 0 < len(own.trainable_variables) < len(own.weights)
    assert train.planned_phases(settings.replace({"frozen_epochs": 1, "epochs": 10}), images=8)["head"].epochs == 1


def test_without_published_weights_all_of_it_learns(preset: str) -> None:
    settings = settings_for(preset, pretrained=False)
    network = model.build(settings, classes=2)
    train.freeze(network, settings, backbone=False)
    assert all(layer.trainable for layer in network.get_layer("backbone").layers)
    assert list(train.planned_phases(settings, images=8)) == ["network"]


def test_a_backbone_without_the_three_sizes_is_refused(tmp_path: pathlib.Path) -> None:
    tiny(stages=3).save_to_preset(str(tmp_path))
    hub.layers.DenseNetImageConverter(scale=SCALE, offset=OFFSET).save_to_preset(str(tmp_path))
    with pytest.raises(errors.InputError, match=r"P3, P4, P5.*DenseNetBackbone with P2, P3, P4"):
        model.build(settings_for(f"hub:{tmp_path}"), classes=2)


def test_an_unknown_backbone_is_refused_with_those_there_are() -> None:
    for broken in ("resnet", "hub:"):
        with pytest.raises(errors.InputError, match=r"efficientnet-lite0, residual or hub:<preset>.*"):
            settings_for(broken)


@pytest.mark.slow
def test_a_run_with_a_preset_is_trained_explained_and_exported(preset: str, tmp_path: pathlib.Path) -> None:
    def verb(*arguments: object) -> None:
        assert __main__.main([*map(str, arguments), "--quiet"]) == 0

    run = tmp_path / "run"
    verb("train", "--preset", "smoke", "--backbone", preset, "--scene-sequences", 12, "--run-dir", run)
    verb("data", "--scene-sequences", 6, "--scene-frames", 1, "--write", tmp_path / "scenes")
    picture = next((tmp_path / "scenes").rglob("*.jpg"))
    verb("explain", picture, "--run-dir", run, "--output", tmp_path / "why.html")
    verb("export", "--run-dir", run, "--output-dir", tmp_path / "bundles")
    card = next((tmp_path / "bundles").rglob("model_card.md")).read_text()
    assert files.read_json(run / "config.json")["backbone"] == preset
    assert "driving_perception" in card
