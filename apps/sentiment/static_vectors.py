"""Word vectors out of a pretrained encoder: each word encoded alone, fewer dimensions, frequent words made small.

The recipe of Model2Vec (https://github.com/MinishLab/model2vec) without its later training: principal components of the
encoder's vectors of single words, each word weighted by smooth inverse frequency (Arora, Liang and Ma 2017,
https://openreview.net/forum?id=SyK00v5xx). The fast networks then know what words mean that the training texts hold
rarely; the encoder is not needed to serve them.
"""

import logging
from collections.abc import Sequence

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from apps.sentiment import corpus, encoding, preprocessing, wordpiece
from shared.models import encoder, encoder_weights
from shared.training import datasets

log = logging.getLogger("fieldnets")

# The a of a / (a + p(word)).
SMOOTHING = 1e-3
# Word pieces of a word that are read.
WORD_PIECES = 16


def distil(
    found: encoder_weights.Pretrained, vocabulary: Sequence[str], *, counts: npt.NDArray[np.int64], size: int
) -> npt.NDArray[np.float32]:
    """Return the vectors that token networks start from.

    Args:
        found: The pretrained encoder.
        vocabulary: The known tokens; token ``i`` has id ``i + 2``.
        counts: (tokens + 2,) how often each id occurs in the training texts.
        size: Numbers per vector.

    Returns:
        (tokens + 2, size) float32; those of padding and of unknown words are zeros.
    """
    log.info("encoding %d words", len(vocabulary))
    reserved = preprocessing.RESERVED_IDS
    vectors = np.zeros((len(vocabulary) + reserved, size), np.float32)
    encoded = encode(found, vocabulary)
    components = principal_components(encoded, size=size)
    vectors[reserved:, : components.shape[1]] = components
    vectors *= inverse_frequency(counts)[:, np.newaxis]
    return corpus.scaled(vectors)


def encode(found: encoder_weights.Pretrained, words: Sequence[str]) -> npt.NDArray[np.float32]:
    """Return (n, width) what the encoder makes of each word alone: the mean over its pieces."""
    network = encoder.build_encoder(found.sizes, classes=2)
    encoder_weights.load(network, found)
    average = keras.Model(network.input, network.get_layer("average").output)
    rows = tf.RaggedTensor.from_tensor(tf.constant(list(words), tf.string)[:, tf.newaxis])
    read = wordpiece.WordPieces(found.vocabulary).of_texts(preprocessing.as_written(rows), length=WORD_PIECES)
    pieces = datasets.Ragged(values=read.flat_values.numpy(), row_splits=read.row_splits.numpy())
    encoded = np.zeros((len(words), found.sizes.width), np.float32)
    for batch in encoding.batches(pieces.lengths):
        encoded[batch] = average.predict_on_batch(pieces.take(batch).padded())
    return encoded


def principal_components(vectors: npt.NDArray[np.float32], *, size: int) -> npt.NDArray[np.float32]:
    """Return (n, at most size) the coordinates along the directions of largest variance, signs fixed.

    >>> principal_components(np.array([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]], np.float32), size=1).ravel().tolist()
    [-1.0, 0.0, 1.0]
    """
    centred = (vectors - vectors.mean(axis=0)).astype(np.float64)
    _, directions = np.linalg.eigh(centred.T @ centred)
    chosen = directions[:, ::-1][:, :size]
    signs = np.sign(chosen[np.abs(chosen).argmax(axis=0), np.arange(chosen.shape[1])])
    coordinates: npt.NDArray[np.float32] = (centred @ (chosen * signs)).astype(np.float32)
    return coordinates


def inverse_frequency(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Return (ids,) ``a / (a + p)`` of how often each id occurs; 1 for one that does not.

    >>> inverse_frequency(np.array([0, 999, 1])).round(3).tolist() == [1.0, np.float32(0.001), 0.5]
    True
    """
    shares = counts / max(int(counts.sum()), 1)
    return (SMOOTHING / (SMOOTHING + shares)).astype(np.float32)
