import itertools
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.sentiment.grouping import neighbours, words

WORDS = [f"word{number}" for number in range(400)]


def pairs_by_definition(text):
    """Word pairs of an ASCII text, the last word paired with the end."""
    found = re.findall(r"[a-z0-9]+", re.sub(r"<[^>]*>", " ", text.lower()))
    return {*itertools.pairwise(found), *([(found[-1], None)] if found else [])}


def jaccard(first, second):
    first, second = pairs_by_definition(first), pairs_by_definition(second)
    return len(first & second) / len(first | second)


def corpus(seed, *, texts=120, length=40):
    """Random texts, half of them changed copies of earlier ones."""
    random = np.random.default_rng(seed)
    made = [random.choice(WORDS, size=random.integers(3, length)).tolist() for _ in range(texts // 2)]
    for original in list(made):
        copy = list(original)
        for place in random.integers(0, len(copy), size=random.integers(0, 5)):
            copy[place] = random.choice(WORDS)
        made.append(copy)
    return [" ".join(text) for text in made]


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8, 0.95])
@pytest.mark.parametrize("seed", [0, 1])
def test_exactly_the_pairs_above_the_threshold_are_found(seed, threshold):
    texts = corpus(seed)
    found = words.find_duplicates(texts, threshold=threshold)
    first = np.unique(found.exact, return_index=True)[1]
    expected = {
        (left, right): jaccard(texts[left], texts[right])
        for left, right in itertools.combinations(sorted(first.tolist()), 2)
        if jaccard(texts[left], texts[right]) >= threshold
    }
    received = {
        tuple(sorted(pair)): value for pair, value in zip(found.pairs.tolist(), found.similarities, strict=True)
    }
    assert received == pytest.approx(expected)
    assert expected or threshold > 0.9


def test_case_tags_and_punctuation_make_no_other_text():
    texts = ["It's GOOD.<br /><br />Really!", "it s good really", "it's good, but really"]
    assert words.exact_groups(texts).tolist() == [0, 0, 1]


def test_the_same_words_in_another_order_are_another_text():
    assert words.exact_groups(["not bad but good", "not good but bad", "ab c", "a bc"]).tolist() == [
        0,
        1,
        2,
        3,
    ]


def test_texts_without_words_are_equal_only_to_themselves():
    assert words.exact_groups([":-)", ":-(", ":-)", "!!!", "🙂", "🙁"]).tolist() == [0, 1, 0, 2, 3, 4]


def test_typographic_quotes_and_full_width_letters_make_no_other_text():
    assert words.exact_groups(["it’s “great”…", 'it\'s "great"', "ＧＲＥＡＴ", "great"]).tolist() == [
        0,
        0,
        1,
        1,
    ]


def test_ideographs_count_as_words_so_that_long_chinese_texts_can_be_near_duplicates():
    text = "这部电影非常好看演员的表演也很出色我会推荐给所有的朋友们一起去看"
    assert np.unique(words.find_duplicates([text, text[:-1] + "听", "完全不同的一句话"]).near).size == 2


def test_duplicates_chain_into_one_group():
    base = WORDS[:60]
    texts = [" ".join(base[:-3] + [f"end{number}"] * 3) for number in range(3)]
    assert words.find_duplicates([*texts, "something else"]).near.tolist() == [0, 0, 0, 1]


def test_thousands_of_texts_from_one_template_are_joined_without_comparing_all_pairs():
    texts = [f"{' '.join(WORDS[:40])} at nine{number}" for number in range(4000)]
    found = words.find_duplicates(texts)
    assert np.unique(found.near).size == 1
    assert len(found.pairs) < 60 * len(texts)


@given(st.lists(st.text(max_size=40), max_size=8))
@settings(max_examples=60, deadline=None)
def test_any_text_can_be_hashed_and_equals_its_copy(texts):
    groups = words.find_duplicates([*texts, *texts]).near
    assert np.array_equal(groups[: len(texts)], groups[len(texts) :])


def test_chunks_change_nothing(monkeypatch):
    texts = corpus(5)
    whole = words.find_duplicates(texts)
    monkeypatch.setattr(words, "_CHUNK_TEXTS", 7)
    pieces = words.find_duplicates(texts)
    assert np.array_equal(whole.near, pieces.near)
    assert np.array_equal(whole.pairs, pieces.pairs)


@pytest.mark.parametrize("threshold", [0, -1, 1.5])
def test_an_impossible_threshold_is_refused(threshold):
    with pytest.raises(ValueError, match="Received"):
        words.find_duplicates(["a"], threshold=threshold)


def films(*, count, reviews, seed=0):
    """Reviews in file order: each mentions its film's name, director and star among common words."""
    random = np.random.default_rng(seed)
    return [
        " ".join([*random.choice(WORDS, size=25), f"title{film}", f"director{film}", f"star{film}"])
        for film in range(count)
        for _ in range(reviews)
    ]


def test_cuts_fall_between_films():
    texts = films(count=100, reviews=9)
    block, (run,) = neighbours.find(texts, [("films", np.arange(900))], block_rows=40)
    film = np.arange(900) // 9
    assert run.blocks == np.unique(block).size > 15
    assert all(np.unique(block[film == number]).size == 1 for number in range(100))
    assert run.across < run.near / 3


def test_shuffled_rows_stay_single():
    texts = films(count=100, reviews=9)
    order = np.random.default_rng(1).permutation(900)
    block, (run,) = neighbours.find(texts, [("shuffled", order)])
    assert run.blocks == 0
    assert np.unique(block).size == 900


def test_few_rows_and_a_block_size_of_zero_leave_rows_single():
    texts = films(count=100, reviews=9)
    assert np.unique(neighbours.find(texts, [("few", np.arange(100))])[0]).size == 900
    assert np.unique(neighbours.find(texts, [("all", np.arange(900))], block_rows=0)[0]).size == 900
