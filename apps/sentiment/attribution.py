"""What each token adds to a prediction: every network's contributions, put back on the tokens that it read.

Both the verb ``explain`` (``contributions``) and the signature ``explain`` (``graph``) integrate gradients
(``shared.explain.gradients``): the verb in as many steps as completeness needs, the graph in ``STEPS``.
"""

import functools
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from apps.sentiment import model, preprocessing
from apps.sentiment import run as loaded_run
from shared.bundle import export
from shared.explain import gradients

# The verb needs 32 for most texts and rarely more than 64.
STEPS = 64


def contributions(run: loaded_run.Run, tokens: npt.NDArray[np.object_], *, target: int) -> npt.NDArray[np.float64]:
    """Return (n,) what each token adds to the calibrated log-odds of class ``target``."""

    def attribute(name: str, ids: tf.Tensor) -> tf.Tensor:
        with warnings.catch_warnings():
            # A short text is one recurrent step; Keras takes attention over one step for a mistake.
            warnings.filterwarnings("ignore", message="You are using a softmax over axis")
            found = gradients.integrated_gradients(
                run.model.get_layer(name), ids.numpy()[np.newaxis], targets=np.array([target], np.int64)
            )
        return tf.constant(found.values[0])

    values = of_tokens(run, tf.constant(tokens.tolist(), tf.string), attribute)
    return np.asarray(values, np.float64)


def graph(run: loaded_run.Run) -> Callable[[Any], Mapping[str, Any]]:
    """Return the function that explains texts (n,) string.

    It returns ``tokens`` (n, longest) string as the networks see them, "" from a text's end on; ``attributions`` (n,
    longest) float32, what each adds to the calibrated log-odds of the label; ``label`` (n,) string, the one predicted,
    abstention aside. One text at a time is explained, in ``STEPS`` steps at once.
    """
    predict, halves = export.classifier(run.model, run.decision), _halves(run)

    def explain(texts: Any) -> Mapping[str, Any]:
        tokens, predicted = preprocessing.tokenize(texts), predict({"text": texts})
        target = tf.cast(export.answered(predicted["scores"], run.decision), tf.int32)

        def one(row: tuple[Any, Any]) -> Any:
            return of_tokens(run, row[0], lambda name, ids: _integrate(*halves[name], ids, row[1]))

        ragged = tf.RaggedTensorSpec([None], tf.float32, ragged_rank=0)
        values = tf.map_fn(one, (tokens, target), fn_output_signature=ragged)
        return {"tokens": tokens.to_tensor(""), "attributions": values.to_tensor(), "label": predicted["labels"]}

    return explain


def of_tokens(run: loaded_run.Run, tokens: Any, attribute: Callable[[str, Any], Any]) -> Any:
    """Return what each token of one text adds to the calibrated log-odds of a class, in a graph too.

    Args:
        run: The finished run.
        tokens: (k,) string.
        attribute: Maps a network's name and ids (m,) int32 to what each id adds to that network's log-odds, (m,)
            float32.

    Returns:
        (k,) float32: the networks' contributions, averaged as their logits are.
    """
    average = run.model.get_layer("logits")
    spreads = {"ngrams": _over_ngrams, "tokens": _over_positions, "pieces": _over_pieces}
    total = tf.zeros(tf.shape(tokens), tf.float32)
    members = zip(run.settings.networks, average.temperatures, average.ensemble_weights, strict=True)
    for name, temperature, weight in members:
        spread = spreads[model.feature(name)]
        factor = weight / temperature / run.decision.temperature
        total += factor * spread(run.features, tokens, functools.partial(attribute, name))
    return total


def _halves(run: loaded_run.Run) -> dict[str, tuple[keras.Model, keras.Model]]:
    """Return network -> what maps ids to vectors, and what maps (ids, vectors) to logits."""
    return {name: gradients.cut(run.model.get_layer(name), "embedding") for name in run.settings.networks}


def _integrate(head: keras.Model, tail: keras.Model, ids: Any, target: Any) -> Any:
    """Return (m,) what each of the ids (m,) adds to the log-odds of class ``target``, in a graph."""
    end = head(ids[tf.newaxis], training=False)[0]
    shares = (tf.range(STEPS, dtype=tf.float32) + 0.5) / STEPS
    points = shares[:, tf.newaxis, tf.newaxis] * end
    repeated = tf.repeat(ids[tf.newaxis], STEPS, axis=0)
    with tf.GradientTape() as tape:
        tape.watch(points)
        odds = gradients.log_odds(tail([repeated, points], training=False), target=target)
    return tf.reduce_sum(end * tf.reduce_mean(tape.gradient(odds, points), axis=0), axis=1)


def _over_positions(features: preprocessing.TextFeatures, tokens: Any, attribute: Callable[[Any], Any]) -> Any:
    """Put the values of the tokens that were read back to their positions in the whole text, (k,)."""
    positions = kept_positions(tf.size(tokens), features.sequence_length)
    ids = features.table.lookup(tf.gather(tokens, positions))
    return tf.scatter_nd(positions[:, tf.newaxis], _values(attribute, ids), tf.shape(tokens, tf.int64))


def _over_ngrams(features: preprocessing.TextFeatures, tokens: Any, attribute: Callable[[Any], Any]) -> Any:
    """Divide each n-gram's value evenly among its occurrences and their tokens, (k,)."""
    kept = kept_positions(tf.size(tokens), features.ngram_tokens)
    places = features.ngram_places(tf.gather(tokens, kept))
    ids, index, occurrences = tf.unique_with_counts(tf.concat([buckets for buckets, _ in places], axis=0))
    values = _values(attribute, tf.cast(ids, tf.int32)) / tf.cast(occurrences, tf.float32)
    parts = tf.split(tf.gather(values, index), [tf.size(buckets) for buckets, _ in places])
    total = tf.zeros(tf.shape(tokens), tf.float32)
    for part, (_, positions) in zip(parts, places, strict=True):
        order = positions.shape[1]
        where = tf.reshape(tf.gather(kept, positions), (-1, 1))
        total += tf.scatter_nd(where, tf.repeat(part / order, order), tf.shape(tokens, tf.int64))
    return total


def _over_pieces(features: preprocessing.TextFeatures, tokens: Any, attribute: Callable[[Any], Any]) -> Any:
    """Add up the values of each token's word pieces, (k,); those of the signs around a text belong to no token."""
    ids, places = features.piece_places(tokens)
    of_token = tf.where(places >= 0)[:, 0]
    values = tf.gather(attribute(ids), of_token)
    return tf.scatter_nd(tf.gather(places, of_token)[:, tf.newaxis], values, tf.shape(tokens, tf.int64))


def _values(attribute: Callable[[Any], Any], ids: Any) -> Any:
    """Return the values of ids (m,), which may be none: no network can read a width of 0."""
    padded = tf.pad(ids, [[0, tf.maximum(0, 1 - tf.size(ids))]])
    return attribute(padded)[: tf.size(ids)]


def kept_positions(tokens: Any, length: int) -> Any:
    """Return the positions that stay of ``tokens`` when only ``length`` are read: first and last half, in a graph too.

    >>> kept_positions(5, 3).numpy().tolist()
    [0, 1, 4]
    """
    count = tf.cast(tokens, tf.int64)
    head, positions = (length + 1) // 2, tf.range(count)
    return tf.boolean_mask(positions, (positions < head) | (positions >= count - (length - head)))
