"""A tiny classifier of strings and its bundle, for the tests of export and serving."""

import dataclasses
import pathlib
from typing import Any

import numpy as np
import pytest

from shared import decision as decisions

# Every kind of text that has broken a string pipeline somewhere.
TEXTS = [
    *("good", "bad", "", " ", "good good bad", "GOOD", "né😀漢字", "a\x00b", "<br />good", "x" * 10_000),
    *("שלום", "مرحبا", "e\u0301", "line\nbreak", '"quoted"', "\u200b"),
]


@dataclasses.dataclass(frozen=True)
class Tiny:
    """What ``export.write`` needs of an app."""

    model: Any
    endpoints: dict[str, Any]
    golden: Any
    decision: decisions.Decision

    @property
    def extras(self) -> dict[str, Any]:
        return {
            "decision.json": self.decision.to_json(),
            "model_card.md": "# Tiny\n",
            "drift_reference.json": {},
        }


@pytest.fixture(scope="session")
def tiny() -> Tiny:
    """A model that scores texts by the number of bytes and of the letter o, with fixed weights."""
    import keras
    import tensorflow as tf

    from shared import export

    class Counts(keras.layers.Layer):
        def call(self, texts: Any) -> Any:
            letters = tf.strings.length(tf.strings.regex_replace(texts, "[^o]", ""))
            return tf.stack(
                [tf.cast(letters, tf.float32), tf.math.log1p(tf.cast(tf.strings.length(texts), tf.float32))],
                1,
            )

        def compute_output_spec(self, texts: Any) -> Any:
            return keras.KerasTensor((texts.shape[0], 2), dtype="float32")

    texts = keras.Input((), dtype="string", name="text")
    counts = Counts(name="counts")(texts)
    model = keras.Model({"text": texts}, keras.layers.Dense(2, name="logits")(counts))
    model.get_layer("logits").set_weights([np.array([[-1.0, 1.0], [0.3, -0.1]], np.float32), np.zeros(2, np.float32)])
    decision = decisions.Decision(
        class_names=("negative", "positive"),
        temperature=1.5,
        threshold=None,
        rule="most probable class",
        alpha=0.1,
        quantile=0.35,
        fitted_on={"split": "validation"},
    )
    answer = export.classifier(model, decision)
    inputs = {"text": np.array(TEXTS, object)}
    # Not through ``answer``: NumPy's decision is the other derivation.
    scores = decision.scores(model.predict({"text": tf.constant(TEXTS)}, verbose=0))
    outputs = {
        "scores": scores.astype(np.float32),
        "labels": np.array(decision.class_names, object)[decision.predicted(scores)],
        "decision": decision.decisions(scores),
    }
    return Tiny(
        model=model,
        endpoints={
            "serving_default": export.Endpoint(
                function=answer, inputs={"text": tf.TensorSpec([None], tf.string, name="text")}
            )
        },
        golden=export.Golden(inputs=inputs, outputs=outputs),
        decision=decision,
    )


@pytest.fixture(scope="session")
def exported(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The tiny model's first bundle."""
    from shared import export

    repository = tmp_path_factory.mktemp("repository")
    return export.write(tiny.model, tiny.endpoints, tiny.golden, repository=repository, name="tiny", extras=tiny.extras)


@pytest.fixture(scope="session")
def bundle_path(exported: Any) -> pathlib.Path:
    path: pathlib.Path = exported.path
    return path
