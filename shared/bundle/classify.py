"""The signature ``classify`` of TF Serving: serialised ``tf.train.Example`` in, classes and scores out."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

SIGNATURE = "classify"
METHOD = "tensorflow/serving/classify"
# An example holds bytes, int64 and float32 only; what is of another type travels as the nearest of them.
_TRAVELS = {tf.string: tf.string, tf.float32: tf.float32, tf.float64: tf.float32}


def function(
    answer: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    inputs: Mapping[str, tf.TensorSpec],
    class_names: Sequence[str],
) -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
    """Return ``answer`` for serialised examples.

    Args:
        answer: What ``serving_default`` does; its ``scores`` are (n, classes), or its ``score`` (n,) that of the last
            of two classes.
        inputs: What it takes; each becomes a feature of the example, of the same name and of a fixed shape.
        class_names: One name per class.

    Returns:
        A function of ``inputs`` (n,) string that returns ``classes`` (n, classes) string and ``scores`` (n, classes)
        float32.
    """
    features = {
        name: tf.io.FixedLenFeature(spec.shape[1:], _TRAVELS.get(spec.dtype, tf.int64)) for name, spec in inputs.items()
    }
    names = tf.constant([list(class_names)])

    def classify(given: Mapping[str, Any]) -> Mapping[str, Any]:
        parsed = tf.io.parse_example(given["inputs"], features)
        said = answer({name: tf.cast(parsed[name], spec.dtype) for name, spec in inputs.items()})
        scores = said["scores"] if "scores" in said else tf.stack([1.0 - said["score"], said["score"]], axis=1)
        return {"classes": tf.repeat(names, tf.shape(scores)[0], axis=0), "scores": tf.cast(scores, tf.float32)}

    return classify


def declare(folder: str) -> None:
    """Let a SavedModel say that its signature ``classify`` is one: TF Serving refuses to classify with another."""
    updater = tf.compat.v1.saved_model.signature_def_utils.MethodNameUpdater(folder)
    updater.replace_method_name(signature_key=SIGNATURE, method_name=METHOD)
    updater.save()
