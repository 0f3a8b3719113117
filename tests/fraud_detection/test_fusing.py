"""All networks as one function score as the Keras model does."""

import dataclasses

import keras
import numpy as np
import pytest

from apps.fraud_detection import config, fusing, inputs, label_free, model, schema
from shared.models import averaging

pytestmark = pytest.mark.tensorflow

NAMES = ("a", "b", "amount")
FOUND = inputs.Inputs(
    schema=schema.Schema(time="t", amount="v", entities={"card": "c"}, numeric=NAMES[:2], categorical=("kind",)),
    calendar=True,
    numbers=NAMES,
    vocabularies={"kind": ("x", "y"), "place": ("p",)},
    typical=(0.0, 0.0, 1.0),
    frauds=30,
    sequence_length=4,
)


def whole(settings: config.Config, kinds: tuple[str, ...]) -> tuple[keras.Model, dict[str, np.ndarray]]:
    """An ensemble with weights as drawn, and rows with missing numbers, unknown names and short sequences."""
    keras.utils.set_random_seed(3)
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(200, 3)).astype(np.float32)
    networks = {}
    for name in kinds:
        if name == "autoencoder":
            restoring = label_free.build_autoencoder(FOUND, settings, numbers)
            networks[name] = label_free.as_classifier(restoring, slope=0.7, offset=-0.2)
        else:
            networks[name] = model.build(name, FOUND, settings, numbers)
            networks[name].set_weights(
                [each + rng.normal(size=each.shape) / 9 for each in networks[name].get_weights()]
            )
    counts = rng.uniform(0.5, 1.5, (len(kinds), 2))
    members = {name: averaging.Member(temperature=t, weight=w) for name, (t, w) in zip(kinds, counts, strict=True)}
    sequence = rng.normal(size=(200, 4, len(inputs.CHANNELS))).astype(np.float32)
    sequence[::3, 2:] = 0
    numbers[::7, 1] = np.nan
    rows = {"numbers": numbers * 2, "categories": rng.integers(0, 2, (200, 2), np.int32), "sequence": sequence}
    return model.calibrated(model.average(FOUND, networks, members), slope=1.2, offset=-0.4), rows


@pytest.mark.parametrize("encoding", ["both", "standard", "piecewise"])
def test_every_kind_of_network_scores_as_the_model_does(encoding: str) -> None:
    settings = dataclasses.replace(
        config.Config.smoke(), encoding=encoding, hidden_units=(16, 8), members=("dense", "sequence")
    )
    kinds = ("dense", "sequence", "autoencoder", "dense_2")
    found, rows = whole(settings, kinds)
    one = fusing.fuse(found)
    assert one is not None
    expected = model.probabilities(model.predict(found, rows))
    scores = one.scores(200, lambda some: {name: values[some] for name, values in rows.items()})
    np.testing.assert_allclose(scores, expected, atol=2e-6)


def test_a_network_of_another_form_is_left_to_keras() -> None:
    for cell in ("lstm", "cnn"):
        settings = dataclasses.replace(config.Config.smoke(), sequence_network=cell)
        assert fusing.fuse(whole(settings, ("dense", "sequence"))[0]) is None
    other = keras.Sequential([keras.layers.Dense(2), keras.layers.Dense(2, activation="tanh")], name="sequence_network")
    assert not fusing._is_tower(other)
