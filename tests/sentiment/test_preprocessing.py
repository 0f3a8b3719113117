"""Text to numbers: what the networks read of every kind of text that people write."""

import functools
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from apps.sentiment import attribution, corpus, preprocessing

pytestmark = pytest.mark.tensorflow

BUCKETS = 2**20
WORDS = [f"w{number}" for number in range(40)]


def strings(values: Sequence[str]) -> Any:
    return np.array(values, object)


@functools.cache
def layer_with(
    *,
    vocabulary: tuple[str, ...] = tuple(WORDS),
    sequence_length: int = 64,
    ngram_orders: int = 3,
    character_orders: tuple[int, ...] = (),
    buckets: int = BUCKETS,
    symbols: tuple[tuple[str, str], ...] = (),
) -> preprocessing.TextFeatures:
    return preprocessing.TextFeatures(
        vocabulary=vocabulary,
        sequence_length=sequence_length,
        ngram_orders=ngram_orders,
        character_orders=character_orders,
        buckets=buckets,
        ngram_tokens=4000,
        symbols=dict(symbols),
    )


@functools.cache
def graph_of(layer: preprocessing.TextFeatures) -> Callable[[Any], dict[str, Any]]:
    """The layer as it is served: one graph for every batch."""
    graph: Callable[[Any], dict[str, Any]] = tf.function(layer.call, input_signature=[tf.TensorSpec([None], tf.string)])
    return graph


LAYER = layer_with()
WITH_LEXICON = layer_with(symbols=(("good", "+"), ("fine", "+"), ("not", "not")))
WITH_CHARACTERS = layer_with(character_orders=(3, 4, 5))


def rows_of(layer: preprocessing.TextFeatures, name: str, texts: Sequence[str]) -> list[list[int]]:
    """Each text's ids without padding."""
    return [[int(i) for i in row if i] for row in graph_of(layer)(tf.constant(texts))[name].numpy()]


@pytest.mark.parametrize(
    ("raw", "tokens"),
    [
        ("", ""),
        ("   \t\n ", ""),
        ("A Good FILM", "a good film"),
        ("good film.Really", "good film . really"),
        ("So... bad!!! Why??", "so ... bad !!! why ??"),
        ("10/10, 9.5 of 10", "10 / 10 , 9 . 5 of 10"),
        ("It isn't good", "it is nʼt good"),
        ("It ISN’T good", "it is nʼt good"),
        ("can't won't shan't", "ca nʼt wo nʼt sha nʼt"),
        ("it's I'm they're we've I'll I'd", "it ʼs i ʼm they ʼre we ʼve i ʼll i ʼd"),
        ("O'Brien's", "oʼbrien ʼs"),
        ("the 'best' film", "the best film"),
        ("“best” «film»", '" best " " film "'),
        ("good<br />bad<BR>ugly<br/>end", "good bad ugly end"),
        ('a <i>fine</i> <a href="x.html">film</a>', "a fine film"),
        ("1 < 2 > 0", "1 < 2 > 0"),
        ("bread &amp; butter &quot;x&quot; it&#39;s &lt;3 a&nbsp;b", 'bread & butter " x " it ʼs < 3 a b'),
        ("see https://a.example/b?c=d now", "see <url> now"),
        ("see www.a.example now", "see <url> now"),
        ("love it 😍👍", "love it 😍 👍"),
        ("a\x00b\x07c", "a b c"),
        ("a\u00a0b\u3000c", "a b c"),
        ("很好看", "很 好 看"),
        ("とても good", "と て も good"),
        ("Очень ХОРОШО", "очень хорошо"),
        ("ÜBER naïve cafe\u0301", "über naïve cafe\u0301"),
        ("हिन्दी", "हिन्दी"),
        ("فيلم جيد", "فيلم جيد"),
        ("#loved @you", "# loved @ you"),
        ("not-so-good", "not - so - good"),
    ],
)
def test_cleaning_keeps_what_carries_meaning_and_makes_the_rest_uniform(raw: str, tokens: str) -> None:
    assert corpus.tokens_of(raw).tolist() == tokens.split()


@pytest.mark.parametrize("raw", [b"good \xff\xfe film", b"good \xc3\x28 film", b"good \xed\xa0\x80 film", b"\x80"])
def test_bytes_that_are_no_utf8_become_a_sign_and_stop_nothing(raw: bytes) -> None:
    tokens = [token.decode("utf-8") for token in preprocessing.tokenize(tf.constant([raw])).flat_values.numpy()]
    assert "\ufffd" in tokens
    assert [token for token in tokens if token.isascii() and token != "("] == (
        ["good", "film"] if b"good" in raw else []
    )


@given(st.lists(st.text(max_size=40), min_size=1, max_size=5))
def test_any_text_can_be_read_and_reading_the_tokens_again_changes_nothing(raw: list[str]) -> None:
    for string in raw:
        tokens = corpus.tokens_of(string).tolist()
        assert corpus.tokens_of(" ".join(tokens)).tolist() == tokens
        assert all(token and not token.isspace() for token in tokens)


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=5))
def test_any_bytes_get_ids_within_their_range(raw: list[bytes]) -> None:
    found = graph_of(LAYER)(tf.constant(raw))
    for name, most in (("tokens", len(WORDS) + 1), ("ngrams", BUCKETS)):
        ids = found[name].numpy()
        assert len(ids) == len(raw)
        assert ids.min(initial=0) >= 0
        assert ids.max(initial=0) <= most


def test_known_tokens_have_the_place_in_the_vocabulary_and_all_others_one_id() -> None:
    assert rows_of(LAYER, "tokens", ["w0 w7 unheard w39", "", "W1"]) == [[2, 9, 1, 41], [], [3]]


@given(
    st.lists(st.lists(st.sampled_from(WORDS), max_size=25), min_size=1, max_size=4),
    st.sampled_from([1, 8, 9, 20]),
)
def test_of_a_long_text_the_first_and_the_last_half_stay(rows: list[list[str]], length: int) -> None:
    layer = layer_with(sequence_length=length, ngram_orders=0)
    expected = []
    for row in rows:
        ids = [WORDS.index(word) + 2 for word in row]
        tail = length // 2
        expected.append(ids if len(ids) <= length else ids[: length - tail] + ids[len(ids) - tail :])
    assert rows_of(layer, "tokens", [" ".join(row) for row in rows]) == expected


@given(st.integers(0, 40), st.sampled_from([1, 8, 9, 20]))
def test_the_positions_kept_are_those_that_the_graph_keeps(tokens: int, length: int) -> None:
    layer = layer_with(sequence_length=length, ngram_orders=0)
    (kept,) = rows_of(layer, "tokens", [" ".join(WORDS[:tokens])])
    assert [i - 2 for i in kept] == attribution.kept_positions(tokens, length).numpy().tolist()


@pytest.mark.parametrize("orders", [1, 2, 3, 5])
def test_a_text_of_different_tokens_has_one_id_for_each_ngram(orders: int) -> None:
    layer = layer_with(ngram_orders=orders, buckets=2**26)
    (ids,) = rows_of(layer, "ngrams", [" ".join(WORDS[:10])])
    assert len(ids) == len(set(ids)) == sum(10 - order + 1 for order in range(1, orders + 1))


def test_a_repeated_ngram_counts_once() -> None:
    once, thrice = rows_of(layer_with(ngram_orders=1), "ngrams", ["good", "good good good"])
    assert once == thrice


def test_the_order_of_words_changes_the_ngrams_but_not_the_words() -> None:
    first, second = (set(row) for row in rows_of(LAYER, "ngrams", ["not good film", "good not film"]))
    words = {row[0] for row in rows_of(layer_with(ngram_orders=1), "ngrams", ["not", "good", "film"])}
    assert first & second == words
    assert len(first) == len(second) == 6


@given(st.lists(st.lists(st.sampled_from(WORDS[:6]), max_size=9), min_size=2, max_size=5))
def test_a_text_has_the_same_ids_whoever_its_neighbours_in_the_batch_are(rows: list[list[str]]) -> None:
    texts = [" ".join(row) for row in rows]
    for name in ("tokens", "ngrams"):
        together = rows_of(WITH_CHARACTERS, name, texts)
        assert together == [rows_of(WITH_CHARACTERS, name, [string])[0] for string in texts]


def characters_of(string: str, orders: tuple[int, ...]) -> set[str]:
    """The character n-grams of a text's tokens, found the plain way."""
    marked = [f" {token[: preprocessing.TOKEN_CHARACTERS]} " for token in corpus.tokens_of(string)]
    return {word[i : i + n] for word in marked for n in orders for i in range(len(word) - n + 1)}


@given(
    st.lists(st.text(st.characters(min_codepoint=33, exclude_categories=("Cs", "Cc")), max_size=60), max_size=6),
    st.sampled_from([(3,), (1, 2), (3, 4, 5), (5, 3)]),
)
def test_a_text_has_one_id_for_each_character_ngram_of_its_tokens(words: list[str], orders: tuple[int, ...]) -> None:
    layer = layer_with(ngram_orders=1, character_orders=orders, buckets=2**26)
    (ids,) = rows_of(layer, "ngrams", [" ".join(words)])
    of_characters = [number for number in ids if number > 2**26]
    assert len(of_characters) == len(set(of_characters)) == len(characters_of(" ".join(words), orders))


def test_words_of_like_spelling_share_character_ngrams_and_no_word_ngram() -> None:
    right, wrong, other = (
        set(row) for row in rows_of(WITH_CHARACTERS, "ngrams", ["wonderful", "wonderfull", "atrocious"])
    )
    shared = right & wrong
    assert len(shared) > 15
    assert min(shared) > BUCKETS
    assert not right & other


def spans_of(layer: preprocessing.TextFeatures, string: str) -> list[tuple[int, tuple[int, ...]]]:
    """Return (bucket, positions of its tokens) of every n-gram."""
    places = layer.ngram_places(tf.constant(corpus.tokens_of(string).tolist()))
    return [
        (bucket, tuple(where))
        for buckets, positions in places
        for bucket, where in zip(buckets.numpy().tolist(), positions.numpy().tolist(), strict=True)
    ]


def test_ngram_ids_spread_evenly_over_the_buckets() -> None:
    layer = layer_with(ngram_orders=2, buckets=64)
    many = " ".join(f"word{number}" for number in range(4000))
    spans = spans_of(layer, many)
    for order in (1, 2):
        counts = np.bincount([bucket for bucket, found in spans if len(found) == order], minlength=65)[1:]
        # Chi-squared with 63 degrees of freedom: mean 63, standard deviation 11.2; five of them above.
        assert ((counts - counts.mean()) ** 2 / counts.mean()).sum() < 63 + 5 * 11.2


def test_spans_name_the_buckets_that_the_graph_gives() -> None:
    spans = spans_of(WITH_CHARACTERS, "the film was not good")
    (ids,) = rows_of(WITH_CHARACTERS, "ngrams", ["the film was not good"])
    assert {bucket for bucket, _ in spans} == set(ids)
    of_words = [positions for bucket, positions in spans if bucket <= BUCKETS]
    assert sorted(of_words) == sorted(
        tuple(range(start, start + order)) for order in (1, 2, 3) for start in range(5 - order + 1)
    )
    of_characters = [positions for bucket, positions in spans if bucket > BUCKETS]
    assert of_characters.count((4,)) == len(characters_of("good", (3, 4, 5)))


def test_words_of_the_lexicon_form_ngrams_over_whatever_stands_between_them() -> None:
    near, far, other, none = (
        {number for number in row if number > 2 * BUCKETS}
        for row in rows_of(
            WITH_LEXICON, "ngrams", ["not good", "not what one would call a fine film", "good , not fine", "the film"]
        )
    )
    # "good" and "fine" have one symbol: its own n-gram, that of "not", and both in this order.
    assert near == far
    assert len(near) == 3
    # The same symbols in another order, one of them twice: no pair and no triple in common but "not +".
    assert near < other
    assert len(other) == 2 + 2 + 1
    assert not none


def test_spans_of_lexicon_words_name_the_tokens_that_bear_them() -> None:
    spans = spans_of(WITH_LEXICON, "not a very good film")
    (ids,) = rows_of(WITH_LEXICON, "ngrams", ["not a very good film"])
    assert {bucket for bucket, _ in spans} == set(ids)
    assert sorted(positions for bucket, positions in spans if bucket > 2 * BUCKETS) == [(0,), (0, 3), (3,)]


def test_vectorizing_many_texts_gives_what_the_call_gives_for_each() -> None:
    texts = ["w1 w2 w3", "", "w5", "nothing known here", "w1 " * 100, "😀 漢字"] * 100
    vectorized = corpus.vectorize(WITH_CHARACTERS, strings(texts))
    for name in ("tokens", "ngrams"):
        ragged = vectorized[name]
        rows = [ragged.values[a:b].tolist() for a, b in zip(ragged.row_splits, ragged.row_splits[1:], strict=False)]
        assert len(rows) == len(texts)
        assert rows[:6] == rows_of(WITH_CHARACTERS, name, texts[:6])
        assert rows[:6] * 100 == rows


def test_a_batch_of_empty_texts_is_one_column_of_padding() -> None:
    found = LAYER(tf.constant(["", " "]))
    assert {name: values.numpy().tolist() for name, values in found.items()} == {
        "tokens": [[0], [0]],
        "ngrams": [[0], [0]],
    }


def test_the_vocabulary_counts_texts_not_occurrences_and_breaks_ties_by_code_point() -> None:
    texts = ["b b b b a", "a c", "a c d", "é"]
    assert corpus.build_vocabulary(strings(texts), size=10, minimum_texts=1) == ["a", "c", "b", "d", "é"]
    assert corpus.build_vocabulary(strings(texts), size=10, minimum_texts=2) == ["a", "c"]
    assert corpus.build_vocabulary(strings(texts), size=1, minimum_texts=1) == ["a"]


def test_the_vocabulary_does_not_depend_on_the_order_of_the_texts() -> None:
    random = np.random.default_rng(0)
    texts = strings([" ".join(random.choice(WORDS, 5)) for _ in range(1200)])
    expected = corpus.build_vocabulary(texts, size=30, minimum_texts=2)
    assert corpus.build_vocabulary(texts[::-1], size=30, minimum_texts=2) == expected


def test_out_of_vocabulary_is_the_share_of_unknown_tokens_and_length_counts_all() -> None:
    found = corpus.statistics(LAYER, strings(["w1 w2 x y", "x", "", "w1 " * 200]))
    assert found["length"].tolist() == [4, 1, 0, 200]
    assert found["out_of_vocabulary"].tolist() == pytest.approx([0.5, 1.0, 0.0, 0.0])


def test_the_layer_comes_back_from_a_keras_file_with_its_table(tmp_path: pathlib.Path) -> None:
    layer = layer_with(vocabulary=("good", "né", "漢"))
    inputs = keras.Input((), dtype="string", name="text")
    keras.Model({"text": inputs}, layer(inputs)).save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    texts = tf.constant(["good né 漢 unknown", ""])
    found, expected = loaded({"text": texts}, training=False), layer(texts)
    for name in ("tokens", "ngrams"):
        np.testing.assert_array_equal(found[name], expected[name])
    assert found["tokens"].numpy().tolist() == [[2, 3, 4, 1], [0, 0, 0, 0]]
