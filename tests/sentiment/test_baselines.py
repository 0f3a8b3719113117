"""The baselines on texts whose right answer is planted."""

import itertools

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.sentiment import baselines, lexicon

BINARY = ("negative", "positive")
FILLER = ["the", "a", "it", "was", "in", "and", "of", "film", "plot", "actor", "scene", "we", "saw", "story"]


def reviews(rows: int, *, seed: int, classes: int = 2) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Texts of random filler words with one word that gives the class away, and one that VADER knows."""
    random = np.random.default_rng(seed)
    labels = random.integers(classes, size=rows)
    tone = ("awful", "great") if classes == 2 else ("awful", "table", "great")
    filler = [" ".join(words) for words in random.choice(FILLER, (rows, 8))]
    texts = [f"{words} {tone[label]} of" for words, label in zip(filler, labels.tolist(), strict=True)]
    return texts, labels


def fitted(class_names: tuple[str, ...] = BINARY) -> dict[str, baselines.Predict]:
    classes = len(class_names)
    return baselines.fit(
        *reviews(120, seed=0, classes=classes),
        *reviews(60, seed=1, classes=classes),
        class_names=class_names,
        seed=0,
    )


@pytest.mark.parametrize("class_names", [BINARY, ("negative", "neutral", "positive")])
def test_linear_model_and_lexicon_find_the_planted_word(class_names: tuple[str, ...]) -> None:
    texts, labels = reviews(90, seed=2, classes=len(class_names))
    answers = {name: predict(texts).argmax(axis=1) for name, predict in fitted(class_names).items()}
    right = {name: float((answer == labels).mean()) for name, answer in answers.items()}
    assert right["tfidf_logistic"] > 0.95
    assert right["vader"] == 1
    assert right["majority"] < 0.7


def test_every_baseline_returns_one_distribution_per_text_even_for_odd_texts() -> None:
    texts = ["", "   ", "👍👍", "<br /><br />", "ОТЛИЧНЫЙ ФИЛЬМ", "great " * 3000, "素晴らしい"]
    for name, predict in fitted().items():
        scores = predict(texts)
        assert scores.shape == (len(texts), 2), name
        np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-9)


def test_a_word_pair_is_enough_for_the_linear_baseline() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(2, size=200)
    # Both classes hold both words; only their order tells them apart.
    texts = ["gamma beta alpha gamma" if label else "gamma alpha beta gamma" for label in labels]
    predict = baselines.linear((texts[:100], labels[:100]), (texts[100:], labels[100:]), classes=2)
    assert (predict(texts[100:]).argmax(axis=1) == labels[100:]).all()


def test_the_linear_baseline_is_calibrated_on_the_validation_part() -> None:
    random = np.random.default_rng(3)
    texts, labels = reviews(600, seed=4)
    noisy = np.where(random.random(600) < 0.2, 1 - labels, labels)
    predict = baselines.linear((texts[:300], noisy[:300]), (texts[300:], noisy[300:]), classes=2)
    scores = predict(texts[300:])
    # Where the log loss has no slope in the temperature, it equals the mean entropy.
    entropy = -(scores * np.log(scores)).sum(axis=1).mean()
    log_loss = -np.log(scores[np.arange(300), noisy[300:]]).mean()
    assert entropy == pytest.approx(log_loss, abs=1e-5)


def test_a_class_that_training_lacks_gets_probability_zero() -> None:
    texts, labels = reviews(80, seed=0)
    names = ("negative", "positive", "very positive")
    found = baselines.fit(texts, labels, texts, np.where(labels == 1, 2, 0), class_names=names, seed=0)
    assert (found["tfidf_logistic"](texts)[:, 2] == 0).all()
    assert found["majority"](texts)[0].tolist() == [*(np.bincount(labels) / 80), 0]


def test_one_class_or_no_words_leave_the_linear_baseline_out() -> None:
    one_class = baselines.fit(["good film"] * 3, [1, 1, 1], ["fine"], [1], class_names=BINARY, seed=0)
    assert set(one_class) == {"vader", "majority"}
    no_words = baselines.fit(["👍", "👎"], [1, 0], ["👍"], [1], class_names=BINARY, seed=0)
    assert "tfidf_logistic" not in no_words


def test_classes_without_polarity_leave_the_lexicon_out() -> None:
    texts, labels = reviews(40, seed=0)
    assert set(baselines.fit(texts, labels, texts, labels, class_names=("sports", "politics"), seed=0)) == {
        "tfidf_logistic",
        "majority",
    }


def test_the_lexicon_follows_polarity_whatever_the_order_of_the_classes() -> None:
    texts, labels = reviews(60, seed=0)
    forward = baselines.lexicon_scorer(texts, labels, polarity=np.array([-1.0, 1.0]))
    backward = baselines.lexicon_scorer(texts, 1 - labels, polarity=np.array([1.0, -1.0]))
    np.testing.assert_allclose(forward(texts), backward(texts)[:, ::-1])


def test_a_review_has_the_mean_valence_of_its_sentences() -> None:
    polarity = lexicon.polarity(BINARY)
    assert polarity is not None
    texts = ["It was great.", "It was awful."]
    predict = baselines.lexicon_scorer(texts, np.array([1, 0]), polarity=polarity)
    mixed = predict(["It was great.<br />It was great. It was awful.", "It was great.", "It was great. " * 40])
    assert mixed[0, 1] < mixed[1, 1]
    assert mixed[2, 1] == pytest.approx(mixed[1, 1])


def test_equal_seeds_give_equal_scores() -> None:
    texts, _ = reviews(20, seed=9)
    for name, predict in fitted().items():
        np.testing.assert_array_equal(predict(texts), fitted()[name](texts))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_cut_points_classify_as_many_rightly_as_any_choice_of_cuts(data: st.DataObject) -> None:
    classes = data.draw(st.integers(2, 4))
    row = st.tuples(st.integers(-4, 4), st.integers(0, classes - 1))
    rows = data.draw(st.lists(row, min_size=1, max_size=12))
    values = np.array([value / 5 for value, _ in rows])
    labels = np.array([label for _, label in rows])

    def right(cuts: npt.NDArray[np.float64]) -> int:
        return int((np.searchsorted(np.asarray(cuts), values) == labels).sum())

    everywhere = [place / 5 - 0.1 for place in range(-4, 6)]
    choices = itertools.combinations_with_replacement(everywhere, classes - 1)
    best = max(right(np.array(cuts)) for cuts in choices)
    found = baselines.cut_points(values, labels, classes=classes)
    assert (np.diff(found) >= 0).all()
    assert right(found) == best
