"""Many texts at a time, in batches: the vocabulary of a corpus, its features and statistics, and a model's outputs."""

from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd
import tensorflow as tf

from apps.sentiment import preprocessing
from shared.training import datasets, workers

BATCH_ROWS = 256
# Texts (n,) str to arrays (n, ...) by name.
Score = Callable[[npt.NDArray[np.object_]], dict[str, npt.NDArray[Any]]]


def build_vocabulary(texts: npt.NDArray[np.object_], *, size: int, minimum_texts: int) -> list[str]:
    """Return the tokens that occur in the most texts, most frequent first, ties in code-point order.

    Args:
        texts: (n,) str, the training part only.
        size: Most tokens returned.
        minimum_texts: Fewest texts that a token must occur in.
    """
    counts: pd.Series = pd.Series(dtype="int64")
    for tokens in _token_batches(texts):
        frame = pd.DataFrame({"row": tokens.value_rowids().numpy(), "token": tokens.flat_values.numpy()})
        counts = counts.add(frame.drop_duplicates()["token"].value_counts(), fill_value=0)
    counts = counts[counts >= minimum_texts].astype("int64")
    ordered = sorted(zip(-counts.to_numpy(), counts.index, strict=True))[:size]
    return [token.decode("utf-8") for _, token in ordered]


def vectorize(layer: preprocessing.TextFeatures, texts: npt.NDArray[np.object_]) -> dict[str, datasets.Ragged]:
    """Run the layer over many texts, once, and keep the rows without padding.

    Args:
        layer: The features layer.
        texts: (n,) str.

    Returns:
        Feature name -> n ragged rows of int32.
    """
    run = tf.function(layer.call, input_signature=[tf.TensorSpec([None], tf.string)])
    rows: dict[str, list[npt.NDArray[np.int32]]] = {}
    for batch in _batches(texts):
        for name, padded in run(batch).items():
            values = padded.numpy()
            rows.setdefault(name, []).extend(row[row != preprocessing.PADDING] for row in values)
    return {name: datasets.Ragged.from_rows(found) for name, found in rows.items()}


def statistics(layer: preprocessing.TextFeatures, texts: npt.NDArray[np.object_]) -> dict[str, npt.NDArray[Any]]:
    """Return ``length`` (n,) and ``out_of_vocabulary`` (n,) for many texts."""
    run = tf.function(layer.statistics, input_signature=[tf.TensorSpec([None], tf.string)])
    batches = [run(batch) for batch in _batches(texts)]
    return {name: np.concatenate([batch[name].numpy() for batch in batches]) for name in batches[0]}


def tokens_of(string: str) -> npt.NDArray[np.object_]:
    """Return one text's tokens (n,) str, as the networks see them."""
    tokens = preprocessing.tokenize(tf.constant([string])).flat_values.numpy()
    return np.array([token.decode("utf-8") for token in tokens], object)


def predict(network: keras.Model, texts: npt.NDArray[np.object_]) -> Any:
    """Run a model on texts, the short ones together: padding is what costs.

    Args:
        network: Takes {"text": (batch,) string}.
        texts: (n,) str.

    Returns:
        The model's output for every text, in the order of ``texts``; a list where the model has several.
    """
    order = np.argsort([len(string) for string in texts], kind="stable")
    batches = tf.data.Dataset.from_tensor_slices({"text": tf.constant(texts[order].tolist(), tf.string)})
    with workers.alone(network):
        outputs = network.predict(batches.batch(BATCH_ROWS).prefetch(1), verbose=0)
    inverse = np.argsort(order)
    if isinstance(outputs, list):
        return [output[inverse] for output in outputs]
    return outputs[inverse]


def in_batches(score: Score, rows: int = BATCH_ROWS) -> Score:
    """Bound what a bundle gets at once, the short texts together: padding is what costs."""

    def batched(texts: npt.NDArray[np.object_]) -> dict[str, npt.NDArray[Any]]:
        order = np.argsort([len(text) for text in texts], kind="stable")
        inverse = np.argsort(order)
        parts = [score(texts[order[start : start + rows]]) for start in range(0, len(texts), rows)]
        return {name: np.concatenate([part[name] for part in parts])[inverse] for name in parts[0]}

    return batched


def _token_batches(texts: npt.NDArray[np.object_]) -> Iterable[tf.RaggedTensor]:
    run = tf.function(preprocessing.tokenize, input_signature=[tf.TensorSpec([None], tf.string)])
    return (run(batch) for batch in _batches(texts))


def _batches(texts: npt.NDArray[np.object_], rows: int = 512) -> Iterable[tf.Tensor]:
    return (tf.constant(texts[start : start + rows].tolist(), tf.string) for start in range(0, len(texts), rows))
