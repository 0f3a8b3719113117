"""What the exported model computes around its network: decision rule, heat maps, columns of the drift check.

The same as ``decision``, ``heat_maps`` and ``monitor``, as functions of tensors.
"""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from apps.medical_imaging import decision, heat_maps
from apps.medical_imaging import run as loaded_run
from shared import decision as decisions
from shared.bundle import export
from shared.explain import grad_cam, gradients

# Side of the maps: the layers looked at have at most half as many places, and a page draws over the image what it gets.
PIXELS = 56


def predictions(model: keras.Model, rule: decision.Rule) -> Any:
    """Return ``decision.predictions`` in a graph: images (n, size, size, channels) uint8 and valid (n,) bool go in."""
    if isinstance(rule, decision.MultiLabelDecision):
        classify = _multi_label(model, rule)
    else:
        classify = export.classifier(model, rule)

    def predict(images: Any, valid: Any) -> dict[str, Any]:
        found = classify(tf.cast(images, tf.float32))
        return {
            "scores": tf.where(valid[:, tf.newaxis], found["scores"], 0.0),
            "labels": tf.where(valid, found["labels"], decision.INVALID),
            "decision": tf.where(valid, found["decision"], decision.INVALID),
            "valid": valid,
        }

    return predict


def _multi_label(model: keras.Model, rule: decision.MultiLabelDecision) -> Any:
    temperatures, cuts = np.array(rule.temperatures, np.float32), np.array(rule.thresholds, np.float32)
    limits = (1.0 - np.array(rule.quantiles)).astype(np.float32)
    names, network = tf.constant([name + decision.SEPARATOR for name in rule.class_names]), export.traced(model)

    def classify(inputs: Any) -> Mapping[str, Any]:
        scores = tf.sigmoid(tf.cast(network(inputs), tf.float32) / temperatures)
        joined = tf.strings.reduce_join(tf.where(scores >= cuts, names, ""), axis=1)
        labels = tf.strings.regex_replace(joined, r"\|$", "")
        labels = tf.where(labels == "", decision.NO_FINDING, labels)
        states = tf.cast(scores >= limits, tf.int32) + tf.cast(1.0 - scores >= limits, tf.int32)
        decided = tf.reduce_all(states == 1, axis=1)
        return {"scores": scores, "labels": labels, "decision": tf.where(decided, labels, decisions.ABSTAIN)}

    return classify


def explanation(run: loaded_run.Run, *, pixels: int = PIXELS) -> Callable[[Any, Any], Mapping[str, Any]]:
    """Return the function that explains: images (n, size, size, channels) uint8, and valid (n,) bool.

    It returns ``heat`` (n, pixels, pixels) float32 in [0, 1], the mean over the networks of the maps that the verb
    ``explain`` draws, 0 where there was no image; and ``label`` (n,) string, the class that they are of: the one
    predicted, abstention aside, or the finding that ``MultiLabelDecision.explained`` names.
    """
    predict, names = predictions(run.model, run.rule), tf.constant(run.rule.class_names)
    maps = [_of_network(network, run, pixels) for network in heat_maps.networks_of(run)]

    def explain(images: Any, valid: Any) -> Mapping[str, Any]:
        target = _target(run.rule, predict(images, valid)["scores"])
        squares = tf.cast(images, tf.float32)
        mean = tf.add_n([of_network(squares, target) for of_network in maps]) / len(maps)
        return {
            "heat": tf.where(valid[:, tf.newaxis, tf.newaxis], mean, 0.0),
            "label": tf.where(valid, tf.gather(names, target), decision.INVALID),
        }

    return explain


def _target(rule: decision.Rule, scores: Any) -> Any:
    """Return (n,) int32: ``heat_maps.targets_of`` in a graph."""
    if isinstance(rule, decision.MultiLabelDecision):
        present = tf.cast(scores >= np.array(rule.thresholds, np.float32), tf.float32)
        return tf.cast(tf.argmax(scores + 2.0 * present, axis=1), tf.int32)
    return tf.cast(export.answered(scores, rule), tf.int32)


def _of_network(network: keras.Model, run: loaded_run.Run, pixels: int) -> Callable[[Any, Any], Any]:
    """Return one network's maps (n, pixels, pixels) as a function of images and classes (n,)."""
    method = heat_maps.activation_method(run.settings)
    head, tail = gradients.cut(network, method.layer_path)
    several = isinstance(run.rule, decision.MultiLabelDecision)

    def maps(squares: Any, target: Any) -> Any:
        features = tf.cast(head(squares, training=False), tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(features)
            logits = tf.cast(tail([squares, features], training=False), tf.float32)
            # A finding's logit is a log-odds against nothing.
            odds = (
                tf.gather(logits, target, axis=1, batch_dims=1)
                if several
                else gradients.log_odds(logits, target=target)
            )
        return grad_cam.combine(features, tape.gradient(odds, features), (pixels, pixels), method.by_place)

    return maps


def drift_columns(predicted: Mapping[str, Any], squares: Any, rule: decision.Rule) -> dict[str, Any]:
    """Return the drift columns, in a graph.

    Args:
        predicted: As from ``predictions``.
        squares: (n, size, size, channels) uint8 that it was predicted for.
        rule: The decision rule. Fourteen findings have 16,384 combinations, whose shares no reference knows: their
            number is compared, and each finding by itself.

    Returns:
        (n,) float32, or string, for each of ``monitor.column_names``.
    """
    scores, labels, names = predicted["scores"], predicted["labels"], rule.class_names
    columns = image_statistics(squares, predicted["valid"])
    if isinstance(rule, decisions.Decision) and len(names) == 2:
        columns |= {"score": scores[:, -1]}
    else:
        columns |= {f"score_{name}": scores[:, place] for place, name in enumerate(names)}
    if isinstance(rule, decision.MultiLabelDecision):
        called = tf.where(scores >= np.array(rule.thresholds, np.float32), "yes", "no")
        called = tf.where(predicted["valid"][:, tf.newaxis], called, decision.INVALID)
        columns |= {f"called_{name}": called[:, place] for place, name in enumerate(names)}
        labels = number_of_findings(labels)
    abstained = tf.where(predicted["decision"] == predicted["labels"], "no", "yes")
    return {**columns, "label": labels, "abstained": abstained}


def image_statistics(squares: Any, valid: Any) -> dict[str, Any]:
    """Return statistics of decoded images, in a graph: exposure, noise, and where the bright parts lie.

    Args:
        squares: (n, size, size, channels) uint8.
        valid: (n,) bool.

    Returns:
        (n,) float32 of the grey range 0 to 1 for each of ``monitor.IMAGE_COLUMNS``; 0 for what is no image.
    """
    grey = tf.reduce_mean(tf.cast(squares, tf.float32) / 255.0, axis=3)
    inner = grey[:, 1:-1, 1:-1]
    around = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
    rows, columns = tf.reduce_mean(grey, axis=2), tf.reduce_mean(grey, axis=1)
    half = grey.shape[1] // 2
    found = {
        "brightness": tf.reduce_mean(grey, axis=[1, 2]),
        "contrast": tf.math.reduce_std(grey, axis=[1, 2]),
        "sharpness": tf.reduce_mean(tf.abs(4.0 * inner - around), axis=[1, 2]),
        "upper_minus_lower": tf.reduce_mean(rows[:, :half], axis=1) - tf.reduce_mean(rows[:, -half:], axis=1),
        "left_minus_right": tf.reduce_mean(columns[:, :half], axis=1) - tf.reduce_mean(columns[:, -half:], axis=1),
    }
    return {name: tf.where(valid, values, 0.0) for name, values in found.items()}


def number_of_findings(labels: Any) -> Any:
    """Return how many findings each label (n,) names, as a category; what was no image stays what it is.

    >>> number_of_findings(tf.constant(["Edema|Effusion", "No Finding", "invalid"])).numpy().tolist()
    [b'2', b'0', b'invalid']
    """
    named = tf.strings.as_string(tf.strings.split(labels, decision.SEPARATOR).row_lengths())
    return tf.where(labels == decision.INVALID, labels, tf.where(labels == decision.NO_FINDING, "0", named))
