"""Word vectors from co-occurrence: counted, weighed and factorised as the papers say."""

import math

import numpy as np
import pytest

from apps.sentiment import corpus
from shared.training import datasets

TEXTS = [np.array([2, 3, 4, 2]), np.array([3, 2]), np.array([5, 1, 0, 5])]


def test_pairs_are_counted_within_a_text_by_one_over_their_distance() -> None:
    counts = corpus.cooccurrences(datasets.Ragged.from_rows(TEXTS), vocabulary_size=6).toarray()
    expected = np.zeros((6, 6))
    for text in TEXTS:
        for i, first in enumerate(text):
            for j, second in enumerate(text):
                if i != j and min(first, second) > 1:
                    expected[first, second] += 1 / abs(i - j)
    assert counts == pytest.approx(expected)


def test_mutual_information_is_the_published_formula_and_never_negative() -> None:
    counts = corpus.cooccurrences(datasets.Ragged.from_rows(TEXTS), vocabulary_size=6)
    found, dense = corpus.mutual_information(counts).toarray(), counts.toarray()
    smoothed = dense.sum(axis=1) ** 0.75
    for w in range(6):
        for c in range(6):
            if dense[w, c]:
                chance = smoothed[c] / smoothed.sum()
                value = math.log(dense[w, c] / dense[w].sum() / chance)
                assert found[w, c] == pytest.approx(max(0.0, value), abs=1e-5)
            else:
                assert found[w, c] == 0


def test_words_in_the_same_company_get_similar_vectors() -> None:
    generator = np.random.default_rng(0)
    # 2 and 3 stand beside 10..14, 4 and 5 beside 15..19.
    texts = []
    for _ in range(400):
        side = int(generator.integers(2))
        word = 2 + 2 * side + int(generator.integers(2))
        texts.append(
            np.array([10 + 5 * side + int(generator.integers(5)), word, 10 + 5 * side + int(generator.integers(5))])
        )
    vectors = corpus.train_vectors(datasets.Ragged.from_rows(texts), vocabulary_size=20, size=8, seed=0)
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    assert unit[2] @ unit[3] > 0.7
    assert abs(unit[2] @ unit[4]) < 0.1


def test_vectors_are_repeatable_and_nothing_for_padding_and_unknown_words() -> None:
    tokens = datasets.Ragged.from_rows(TEXTS)
    first, second = (corpus.train_vectors(tokens, vocabulary_size=6, size=4, seed=3) for _ in range(2))
    assert first.dtype == np.float32
    assert np.array_equal(first, second)
    assert not first[:2].any()
