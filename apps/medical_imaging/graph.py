"""Where the networks saw what they answer, as a part of the exported graph: the maps of ``heat`` for a page."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from apps.medical_imaging import decision, heat_maps
from apps.medical_imaging import run as loaded_run
from shared.bundle import export
from shared.explain import cutting, grad_cam, integrated_gradients

# Side of the maps: the layers looked at have at most half as many places, and a page draws over the image what it gets.
PIXELS = 56


def explanation(run: loaded_run.Run, *, pixels: int = PIXELS) -> Callable[[Any, Any], Mapping[str, Any]]:
    """Return the function that explains: images (n, size, size, channels) uint8, and valid (n,) bool.

    It returns ``heat`` (n, pixels, pixels) float32 in [0, 1], the mean over the networks of the maps that the verb
    ``explain`` draws, 0 where there was no image; and ``label`` (n,) string, the class that they are of: the one
    answered, abstention aside, or the finding that the model is surest of.
    """
    says, names = decision.graph(run.model, run.rule), tf.constant(run.rule.class_names)
    maps = [_of_network(network, run, pixels) for network in heat_maps.networks_of(run)]

    def explain(images: Any, valid: Any) -> Mapping[str, Any]:
        target = _target(run.rule, says(images, valid)["scores"])
        squares = tf.cast(images, tf.float32)
        mean = tf.add_n([of_network(squares, target) for of_network in maps]) / len(maps)
        return {
            "heat": tf.where(valid[:, tf.newaxis, tf.newaxis], mean, 0.0),
            "label": tf.where(valid, tf.gather(names, target), decision.INVALID),
        }

    return explain


def _target(rule: decision.Rule, scores: Any) -> Any:
    """Return (n,) int32: ``explain.targets_of`` in a graph."""
    index = (
        tf.argmax(scores, axis=1) if isinstance(rule, decision.MultiLabelDecision) else export.answered(scores, rule)
    )
    return tf.cast(index, tf.int32)


def _of_network(network: keras.Model, run: loaded_run.Run, pixels: int) -> Callable[[Any, Any], Any]:
    """Return one network's maps (n, pixels, pixels) as a function of images and classes (n,)."""
    method = heat_maps.activation_method(run.settings)
    head, tail = cutting.cut(network, method.layer_path)
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
                else integrated_gradients.log_odds(logits, target=target)
            )
        return grad_cam.combine(features, tape.gradient(odds, features), (pixels, pixels), method.by_place)

    return maps
