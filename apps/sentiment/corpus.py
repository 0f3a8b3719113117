"""All texts of a part: their vocabulary, features and statistics, the word vectors learnt from them, a model's outputs.

Word vectors say which words stand near which: positive pointwise mutual information of words within a window,
factorised by a truncated singular value decomposition. With context counts smoothed it equals skip-gram on corpora of
this size at a fraction of its time (Levy, Goldberg and Dagan 2015, https://aclanthology.org/Q15-1016, whose symbols are
used here).
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse
import tensorflow as tf

from apps.sentiment import config, lexicon, preprocessing
from shared.training import datasets, workers

log = logging.getLogger("fieldnets")

BATCH_ROWS = 256
TOKENIZED_ROWS = 512
CONTEXT_SMOOTHING = 0.75
WINDOW_TOKENS = 8
# Standard deviation of the frequent words' numbers; a network that goes on training them likes them small.
SPREAD = 0.3
# Words whose spread sets the scale: the frequent ones, which most of a text consists of.
SCALE_ROWS = 5000
POWER_ITERATIONS = 3

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


def in_batches(score: Score) -> Score:
    """Bound what a bundle gets at once, the short texts together: padding is what costs."""

    def batched(texts: npt.NDArray[np.object_]) -> dict[str, npt.NDArray[Any]]:
        order = np.argsort([len(text) for text in texts], kind="stable")
        inverse = np.argsort(order)
        parts = [score(texts[order[start : start + BATCH_ROWS]]) for start in range(0, len(texts), BATCH_ROWS)]
        return {name: np.concatenate([part[name] for part in parts])[inverse] for name in parts[0]}

    return batched


def initial_vectors(
    features: preprocessing.TextFeatures, tokens: datasets.Ragged, settings: config.Config
) -> npt.NDArray[np.float32]:
    """Return the (tokens, size) vectors that the token networks start from.

    They are learnt from the training texts, or random; the last columns are the lexicon's ratings, also of words that
    no training text holds.
    """
    rows = len(features.vocabulary) + preprocessing.RESERVED_IDS
    if settings.pretrain_embeddings:
        log.info("learning word vectors from the training texts")
        vectors = train_vectors(tokens, vocabulary_size=rows, size=settings.embedding_size, seed=settings.seed)
    else:
        vectors = random_vectors(rows, size=settings.embedding_size, seed=settings.seed)
    return with_ratings(vectors, features, settings)


def with_ratings(
    vectors: npt.NDArray[np.float32], features: preprocessing.TextFeatures, settings: config.Config
) -> npt.NDArray[np.float32]:
    """Put the lexicon's ratings into the last columns of (tokens, size) vectors, in place, where it is read."""
    if settings.lexicon:
        columns = lexicon.columns(features.vocabulary)
        vectors[preprocessing.RESERVED_IDS :, -columns.shape[1] :] = columns
    return vectors


def train_vectors(tokens: datasets.Ragged, *, vocabulary_size: int, size: int, seed: int) -> npt.NDArray[np.float32]:
    """Return a vector for every token id.

    Args:
        tokens: The training texts as ids; 0 (padding) and 1 (unknown) get vectors of zeros.
        vocabulary_size: Number of ids, padding and unknown included.
        size: Numbers per vector.
        seed: Of the randomised decomposition (Halko, Martinsson and Tropp 2011).

    Returns:
        (vocabulary_size, size) float32.
    """
    from sklearn.utils import extmath  # takes a second, which prediction does without

    vectors = np.zeros((vocabulary_size, size), np.float32)
    information = mutual_information(cooccurrences(tokens, vocabulary_size=vocabulary_size))
    rank = min(size, vocabulary_size - 1)
    left, singular, _ = extmath.randomized_svd(
        information, n_components=rank, n_iter=POWER_ITERATIONS, random_state=seed
    )
    vectors[:, :rank] = left * np.sqrt(singular)
    return scaled(vectors)


def scaled(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Give (vocabulary, size) vectors the spread that networks like to start from; those of 0 and 1 become zeros.

    No rare word may dominate: each is at most 1.5 times as long as the spread gives.
    """
    deviation = float(vectors[2 : SCALE_ROWS + 2].std()) or 1.0
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True) / deviation
    vectors[:2] = 0
    vectors *= SPREAD / deviation / np.maximum(lengths / (1.5 * np.sqrt(vectors.shape[1])), 1)
    return vectors


def random_vectors(vocabulary_size: int, *, size: int, seed: int) -> npt.NDArray[np.float32]:
    """Return (vocabulary_size, size) float32 small random vectors, as Keras' embeddings start."""
    return np.random.default_rng(seed).uniform(-0.05, 0.05, (vocabulary_size, size)).astype(np.float32)


def cooccurrences(tokens: datasets.Ragged, *, vocabulary_size: int) -> scipy.sparse.csr_array:
    """Return (vocabulary, vocabulary) how often two words stand within the window, near pairs counting more.

    A pair at distance d counts 1 / d; padding and unknown words count nowhere.

    >>> cooccurrences(datasets.Ragged.from_rows([np.array([2, 3])]), vocabulary_size=4).todense()[2, 3]
    np.float32(1.0)
    """
    row_of = np.repeat(np.arange(len(tokens)), tokens.lengths)
    shape = (vocabulary_size, vocabulary_size)
    total = scipy.sparse.csr_array(shape, dtype=np.float32)
    for distance in range(1, WINDOW_TOKENS + 1):
        first, second = tokens.values[:-distance], tokens.values[distance:]
        counted = (row_of[:-distance] == row_of[distance:]) & (first > 1) & (second > 1)
        weights = np.full(int(counted.sum()), 1 / distance, np.float32)
        total = total + scipy.sparse.coo_array((weights, (first[counted], second[counted])), shape=shape).tocsr()
    return scipy.sparse.csr_array(total + total.T)


def mutual_information(counts: scipy.sparse.csr_array) -> scipy.sparse.csr_array:
    """Return positive pointwise mutual information ``max(0, log p(w, c) / p(w) p_smoothed(c))`` of pair counts."""
    words = np.asarray(counts.sum(axis=1)).ravel()
    contexts = words**CONTEXT_SMOOTHING
    pairs = counts.tocoo()
    expected = words[pairs.row] * contexts[pairs.col] / contexts.sum()
    values = np.log(pairs.data / expected)
    positive = values > 0
    entries = (values[positive].astype(np.float32), (pairs.row[positive], pairs.col[positive]))
    return scipy.sparse.csr_array(scipy.sparse.coo_array(entries, shape=counts.shape))


def _token_batches(texts: npt.NDArray[np.object_]) -> Iterable[tf.RaggedTensor]:
    run = tf.function(preprocessing.tokenize, input_signature=[tf.TensorSpec([None], tf.string)])
    return (run(batch) for batch in _batches(texts))


def _batches(texts: npt.NDArray[np.object_]) -> Iterable[tf.Tensor]:
    starts = range(0, len(texts), TOKENIZED_ROWS)
    return (tf.constant(texts[start : start + TOKENIZED_ROWS].tolist(), tf.string) for start in starts)
