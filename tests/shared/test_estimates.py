"""``train --dry-run``: parameters and operations counted by hand, few steps instead of a training, nothing written."""

import json
import pathlib
from typing import Any

import keras
import numpy as np
import pytest

from apps.sentiment import __main__ as sentiment
from shared.evaluation import classification
from shared.models import losses
from shared.training import datasets, estimates
from shared.training import fit as fitting

pytestmark = pytest.mark.tensorflow


def network() -> keras.Model:
    inputs = keras.Input((8, 8, 3), name="image")
    found = keras.layers.Conv2D(4, 3, padding="same", strides=2, name="convolution")(inputs)
    found = keras.layers.GlobalAveragePooling2D(name="pooled")(found)
    return keras.Model(inputs, keras.layers.Dense(2, name="logits")(found))


def test_the_operations_of_a_convolution_and_a_dense_layer_are_counted_by_hand() -> None:
    # 4 x 4 places, 3 x 3 x 3 x 4 weights; 4 x 2 weights; a multiplication and an addition each.
    assert estimates.forward_flops(network()) == 2 * (4 * 4 * 108 + 8)


def test_a_network_for_images_of_any_size_has_no_number_of_operations() -> None:
    inputs = keras.Input((None, None, 3), name="image")
    made = keras.Model(inputs, keras.layers.Conv2D(4, 3, name="convolution")(inputs))
    assert estimates.forward_flops(made) is None


@pytest.mark.parametrize("directions", [1, 2])
def test_a_recurrent_kernel_counts_at_every_step_and_a_lookup_not_at_all(directions: int) -> None:
    words = keras.Input((None,), dtype="int32", name="words")
    vectors = keras.layers.Embedding(50, 6, name="vectors")(words)
    gru = keras.layers.GRU(5, name="gru")
    layer = gru if directions == 1 else keras.layers.Bidirectional(gru, name="both")
    made = keras.Model(words, layer(vectors))
    # Three gates read 6 inputs and 5 units.
    assert estimates.forward_flops(made, width=7) == directions * 2 * 7 * (6 + 5) * 15


def fit(folder: pathlib.Path, epochs: int) -> fitting.FitResult:
    images = np.random.default_rng(0).normal(size=(200, 8, 8, 3)).astype(np.float32)
    rows = datasets.Arrays(inputs={"image": images}, labels=np.arange(200) % 2)
    keras.utils.set_random_seed(0)
    return fitting.fit(
        network(),
        rows,
        rows.take(np.arange(50)),
        settings=fitting.FitSettings(epochs=epochs, batch_size=16, steps_per_execution=8),
        loss=losses.by_name("cross_entropy", classes=2),
        monitor=lambda labels, logits: classification.accuracy(labels, logits),
        outputs=fitting.Outputs(checkpoints=folder / "small", history=folder / "h.csv", logs=folder / "logs"),
    )


def test_a_few_steps_stand_for_all_epochs(tmp_path: pathlib.Path) -> None:
    with estimates.measuring() as found:
        result = fit(tmp_path, epochs=30)
    assert len(result.history) == 1
    (planned,) = found
    assert (planned.name, planned.inputs, planned.rows) == ("small", {"image": (8, 8, 3)}, (200, 50))
    assert (planned.epochs, planned.steps, planned.batch_rows) == (30, 13, 16)
    assert planned.parameters == planned.trained_parameters == 3 * 3 * 3 * 4 + 4 + 4 * 2 + 2
    assert planned.step_seconds > 0
    epoch_seconds = 13 * planned.step_seconds + planned.validation_seconds
    assert planned.seconds == pytest.approx(planned.compile_seconds + 30 * epoch_seconds)
    assert planned.to_json()["inputs"] == "image 8x8x3"


def test_without_a_dry_run_all_epochs_are_trained(tmp_path: pathlib.Path) -> None:
    assert len(fit(tmp_path, epochs=2).history) == 2


def test_the_command_says_what_a_run_would_take_and_writes_nothing(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert sentiment.main(["train", "--preset", "smoke", "--dry-run", "--json"]) == 0
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert list(tmp_path.iterdir()) == []
    assert said["parts"]["train"]["rows"] == said["networks"][0]["training rows"]
    assert said["training seconds, at most"] == pytest.approx(
        sum(each["seconds"] for each in said["networks"]), abs=0.3
    )
    assert min(said["peak memory, MiB"], said["disk, MiB"]) > 0
    assert sentiment.main(["train", "--dry-run", "--workers", "2"]) == 2
