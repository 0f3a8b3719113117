"""The lexicon's words as the networks meet them."""

import numpy as np
import pytest
from vaderSentiment import vaderSentiment

from apps.sentiment import config, corpus, lexicon, preprocessing, train
from shared.training import datasets


def test_every_rating_is_the_lexicons_and_every_word_a_token_of_its_own() -> None:
    vader = vaderSentiment.SentimentIntensityAnalyzer().lexicon
    found = lexicon.ratings()
    assert len(found) > 7000
    assert all(vader[word] == rating for word, rating in found.items())
    assert all(-4 <= rating <= 4 for rating in found.values())
    assert ":)" in vader
    assert ":)" not in found


def test_symbols_grow_with_the_rating_and_keep_its_sign() -> None:
    symbols = lexicon.symbols()
    rated = {word: rating for word, rating in lexicon.ratings().items() if symbols[word] != word}
    assert len(rated) > 7000
    signed = {word: int(symbols[word]) for word in rated}
    assert all((signed[word] > 0) == (rating > 0) for word, rating in rated.items())
    ordered = sorted(rated, key=lambda word: rated[word])
    assert [signed[word] for word in ordered] == sorted(signed.values())


def test_what_turns_a_rating_is_called_by_its_own_name() -> None:
    symbols = lexicon.symbols()
    assert [symbols[word] for word in ("not", "never", "but", "nʼt", "no")] == ["not", "never", "but", "nʼt", "no"]


@pytest.mark.tensorflow
def test_the_tokenizer_gives_every_word_of_the_lexicon_back() -> None:
    words = sorted(lexicon.symbols())
    tokens = preprocessing.tokenize(words)
    kept = [word for word, row in zip(words, tokens.to_list(), strict=True) if row == [word.encode()]]
    assert set(words) - set(kept) <= {"uh-uh"}


@pytest.mark.tensorflow
def test_word_vectors_carry_the_ratings_of_words_that_no_training_text_holds() -> None:
    settings = config.Config.smoke()
    features = train.build_features(np.array(["a fine film", "a dull film"] * 3, object), settings)
    vectors = corpus.initial_vectors(features, datasets.Ragged.from_rows([np.array([2, 3])] * 6), settings)
    assert vectors.shape == (len(features.vocabulary) + preprocessing.RESERVED_IDS, settings.embedding_size)
    unseen = preprocessing.RESERVED_IDS + features.vocabulary.index("horrendous")
    rating = lexicon.ratings()["horrendous"]
    assert vectors[unseen, -4:] == pytest.approx([rating / 2, 0, 1, abs(rating) / 4])
    assert not vectors[unseen, :-4].any()
    assert not vectors[: preprocessing.RESERVED_IDS].any()


@pytest.mark.tensorflow
def test_without_the_lexicon_the_vocabulary_is_what_the_training_texts_hold() -> None:
    settings = config.Config.smoke().replace({"lexicon": False})
    features = train.build_features(np.array(["a fine film", "a dull film"] * 3, object), settings)
    assert sorted(features.vocabulary) == ["a", "dull", "film", "fine"]
    assert not features.symbols
