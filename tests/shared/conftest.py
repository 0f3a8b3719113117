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
    answer = export.Endpoint(
        function=export.classifier(model, decision), inputs={"text": tf.TensorSpec([None], tf.string, name="text")}
    )
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
        endpoints={"serving_default": answer, "classify": export.classifying(answer, decision.class_names)},
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


@pytest.fixture(scope="session")
def columns_path(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A bundle of three columns that answers with the amount doubled and the sum of the past."""
    import keras
    import tensorflow as tf

    from shared import export

    def answer(given: Any) -> Any:
        asserted = tf.debugging.assert_none_equal(given["shop"], "forbidden", message="forbidden shop")
        with tf.control_dependencies([asserted]):
            return {"score": 2.0 * given["amount"], "sum": tf.reduce_sum(given["past"], axis=1)}

    inputs = {
        "amount": tf.TensorSpec([None], tf.float32, "amount"),
        "past": tf.TensorSpec([None, 2], tf.float32, "past"),
        "shop": tf.TensorSpec([None], tf.string, "shop"),
    }
    golden = export.Golden(
        inputs={
            "amount": np.array([1.5, 2.5], np.float32),
            "past": np.array([[1, 2], [3, 4]], np.float32),
            "shop": np.array(["</script>", "b"], object),
        },
        outputs={"score": np.array([3.0, 5.0], np.float32), "sum": np.array([3.0, 7.0], np.float32)},
    )
    number = keras.Input((1,))
    model = keras.Model(number, keras.layers.Dense(1)(number))
    written = export.write(
        model,
        {"serving_default": export.Endpoint(function=answer, inputs=inputs)},
        golden,
        repository=tmp_path_factory.mktemp("columns"),
        name="columns",
        extras={"decision.json": {}, "drift_reference.json": {}, "model_card.md": "# Columns\n"},
    )
    return written.path
