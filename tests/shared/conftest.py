"""A tiny classifier of strings and its bundle, for the tests of export and serving."""

import dataclasses
import io
import pathlib
from typing import Any

import numpy as np
import PIL.Image
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

    from shared.bundle import export

    class Counts(keras.layers.Layer):  # type: ignore[misc]
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
    from shared.bundle import export

    repository = tmp_path_factory.mktemp("repository")
    return export.write(tiny.model, tiny.endpoints, tiny.golden, repository=repository, name="tiny", extras=tiny.extras)


@pytest.fixture(scope="session")
def bundle_path(exported: Any) -> pathlib.Path:
    path: pathlib.Path = exported.path
    return path


@pytest.fixture(scope="session")
def columns_path(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A bundle of three columns that answers with the amount doubled and the sum of the past."""
    import tensorflow as tf

    from shared.bundle import export

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
    return _written(
        "columns", {"serving_default": export.Endpoint(function=answer, inputs=inputs)}, golden, tmp_path_factory
    )


@pytest.fixture(scope="session")
def picture_path(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A bundle that calls images bright or dark, and shows where they are bright."""
    import tensorflow as tf

    from shared import image_files
    from shared.bundle import export

    def grey(given: Any) -> Any:
        return image_files.prepare(
            given["image_bytes"], lambda image: (tf.image.resize(image, [8, 8], antialias=True),), channels=1
        )

    def answer(given: Any) -> Any:
        images, valid = grey(given)
        light = tf.reduce_mean(images, axis=[1, 2, 3])
        names = tf.gather(tf.constant(["dark", "bright"]), tf.cast(light > 0.5, tf.int32))
        decision = tf.where(valid, tf.where(tf.abs(light - 0.5) < 0.1, "abstain", names), "invalid")
        return {"scores": tf.stack([1 - light, light], axis=1), "labels": names, "decision": decision}

    def explain(given: Any) -> Any:
        return {"heat": grey(given)[0][..., 0], "label": answer(given)["labels"]}

    inputs = {"image_bytes": tf.TensorSpec([None], tf.string, "image_bytes")}
    images = np.array([_png(0), b"", _png(255)], object)
    scores = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    labels, decision = (
        np.array(names, object) for names in (["dark", "dark", "bright"], ["dark", "invalid", "bright"])
    )
    golden = export.Golden(
        inputs={"image_bytes": images}, outputs={"scores": scores, "labels": labels, "decision": decision}
    )
    endpoints = {
        name: export.Endpoint(function=function, inputs=inputs)
        for name, function in (("serving_default", answer), ("explain", explain))
    }
    display = {
        "title": "Bright or dark",
        "class_names": ["dark", "bright"],
        "threshold": 0.5,
        "not_for": "Only a test.",
    }
    return _written("picture", endpoints, golden, tmp_path_factory, {"display.json": display})


@pytest.fixture(scope="session")
def boxes_path(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A bundle that finds one car in the middle of every image of 64 pixels."""
    import tensorflow as tf

    from shared.bundle import export

    def answer(given: Any) -> Any:
        rows = tf.shape(given["image_bytes"])[0]
        return {
            "boxes": tf.tile(tf.constant([[[16.0, 16.0, 48.0, 48.0]]]), [rows, 1, 1]),
            "scores": tf.fill([rows, 1], 0.9),
            "classes": tf.zeros([rows, 1], tf.int32),
            "count": tf.ones([rows], tf.int32),
            "decision": tf.fill([rows], "obstacle ahead"),
        }

    golden = export.Golden(
        inputs={"image_bytes": np.array([_png(9)], object)},
        outputs={"count": np.array([1]), "decision": np.array(["obstacle ahead"], object)},
    )
    endpoint = export.Endpoint(function=answer, inputs={"image_bytes": tf.TensorSpec([None], tf.string, "image_bytes")})
    display = {"display.json": {"title": "Road", "class_names": ["car"], "synthetic": True}}
    return _written("boxes", {"serving_default": endpoint}, golden, tmp_path_factory, display)


def _png(grey: int, side: int = 64) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray(np.full((side, side), grey, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def _written(
    name: str,
    endpoints: dict[str, Any],
    golden: Any,
    factory: pytest.TempPathFactory,
    extras: dict[str, Any] | None = None,
) -> pathlib.Path:
    """Write a bundle of functions; its network is never asked."""
    import keras

    from shared.bundle import export

    number = keras.Input((1,))
    model = keras.Model(number, keras.layers.Dense(1)(number))
    more: dict[str, Any] = {
        "decision.json": {},
        "drift_reference.json": {},
        "model_card.md": f"# {name}\n\n| a | b |\n|---|---|\n| 1 | 2 |\n",
    }
    written = export.write(
        model, endpoints, golden, repository=factory.mktemp(name), name=name, extras={**more, **(extras or {})}
    )
    return written.path
