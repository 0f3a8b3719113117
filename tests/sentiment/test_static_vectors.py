"""Word vectors out of an encoder: each step against another derivation."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from apps.sentiment import corpus, static_vectors, wordpiece
from shared.models import encoder, encoder_weights
from tests import encoders

pytestmark = pytest.mark.tensorflow
LETTERS = "abdgot'n"
FOUND = encoders.random_weights(vocabulary=[*encoders.SPECIAL, *LETTERS, *(f"##{letter}" for letter in LETTERS)])
WORDS = ["good", "bad", "nʼt", "a", "dog", "to"]


def test_each_word_is_encoded_as_a_text_of_its_own() -> None:
    network = encoder.build_encoder(FOUND.sizes, classes=2)
    encoder_weights.load(network, FOUND)
    average = keras.Model(network.input, network.get_layer("average").output)
    pieces = wordpiece.WordPieces(FOUND.vocabulary)
    found = static_vectors.encode(FOUND, WORDS)
    for word, vector in zip(WORDS, found, strict=True):
        alone = pieces.of_texts(tf.ragged.constant([[word.replace("ʼ", "'")]]), length=16)
        assert vector == pytest.approx(np.asarray(average(alone.to_tensor(), training=False))[0], abs=1e-5)


def test_components_are_those_of_a_singular_value_decomposition() -> None:
    vectors = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32) @ np.diag([5, 4, 3, 2, 1, 0.1])
    found = static_vectors.principal_components(vectors.astype(np.float32), size=3)
    left, lengths, _ = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)
    expected = left[:, :3] * lengths[:3]
    assert np.abs(found) == pytest.approx(np.abs(expected), abs=1e-3)


def test_vectors_are_repeatable_frequent_words_are_short_and_reserved_ids_are_nothing() -> None:
    counts = np.array([0, 5, 1000, 1, 1, 1, 1, 1])
    first, again = (static_vectors.distil(FOUND, WORDS, counts=counts, size=4) for _ in range(2))
    assert np.array_equal(first, again)
    assert not first[:2].any()
    rare = static_vectors.distil(FOUND, WORDS, counts=np.ones(8, np.int64), size=4)
    shorter = np.linalg.norm(first[2]) / np.linalg.norm(first[3])
    assert shorter < 0.1 * np.linalg.norm(rare[2]) / np.linalg.norm(rare[3])
    assert np.abs(first).max() <= 1.5 * corpus.SPREAD * np.sqrt(4)


def test_more_numbers_than_the_encoder_has_are_filled_with_zeros() -> None:
    found = static_vectors.distil(FOUND, WORDS, counts=np.ones(8, np.int64), size=12)
    assert found.shape == (8, 12)
    assert not found[:, 8:].any()
