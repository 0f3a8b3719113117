"""The behavioural suite, run on models whose behaviour is planted."""

import dataclasses
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pytest

from apps.sentiment import checklist, lexicon
from apps.sentiment.checklist import capabilities, templates
from shared.evaluation import intervals

BINARY = ("negative", "positive")
Model: TypeAlias = Callable[[list[str]], npt.NDArray[np.float64]]

TERNARY = ("negative", "neutral", "positive")
POSITIVE_WORDS = {"".join(sorted(word)) for word in templates.WORDS["positive"] + templates.WORDS["liked"]}
NEGATIVE_WORDS = {"".join(sorted(word)) for word in templates.WORDS["negative"] + templates.WORDS["disliked"]}


def two_columns(positive: list[float]) -> npt.NDArray[np.float64]:
    return np.stack([1 - np.array(positive), np.array(positive)], axis=1)


def count_opinion_words(texts: list[str]) -> npt.NDArray[np.float64]:
    """Know every opinion word even with swapped letters, and nothing of negation or of who speaks."""
    scores = []
    for text in texts:
        words = text.replace("<br />", " ").lower().split()
        found = ["".join(sorted(word.strip(".,!?"))) for word in words]
        praise, blame = (sum(word in known for word in found) for known in (POSITIVE_WORDS, NEGATIVE_WORDS))
        scores.append(0.51 + 0.4 * np.sign(praise - blame))
    return two_columns(scores)


def with_answer_key(seed: int, class_names: tuple[str, ...]) -> Model:
    """Predict minimum functionality tests by their key, and everything else with one and the same score."""
    suite = capabilities.suite(seed=seed, neutral_class=len(class_names) == 3)
    key = {case.text: case.direction for test in suite if test.kind == "minimum functionality" for case in test.cases}
    column = {-1: 0, 0: len(class_names) // 2, 1: len(class_names) - 1}
    return lambda texts: np.eye(len(class_names))[[column[key.get(text, 1)] for text in texts]]


def failing(report: checklist.BehaviourReport) -> set[str]:
    return {row.capability for row in report.rows if row.failures}


@pytest.mark.parametrize("class_names", [BINARY, TERNARY])
def test_a_model_that_holds_the_answer_key_passes_everything_outside_the_degree_tests(
    class_names: tuple[str, ...],
) -> None:
    report = checklist.run(with_answer_key(3, class_names), class_names, seed=3)
    # "The plot was dull." is in the key and "The plot was very dull." is not, hence the two exceptions.
    assert failing(report) <= {"Intensifiers", "Reducers"}


def test_a_word_counting_model_passes_all_but_the_tests_of_syntax() -> None:
    report = checklist.run(count_opinion_words, BINARY, seed=0)
    passed = {row.capability for row in report.rows} - failing(report)
    assert {"Vocabulary", "Opinion after the plot"} <= passed
    assert {row.capability for row in report.rows if row.kind != "minimum functionality"} <= passed
    assert {"Negated praise", "Negation at the end", "Question and answer"} <= failing(report)


def test_a_word_counting_model_fails_every_negated_praise() -> None:
    report = checklist.run(count_opinion_words, BINARY, seed=0)
    row = next(row for row in report.rows if row.capability == "Negated praise")
    assert row.failure_rate.value > 0.7


def test_a_model_that_keys_on_names_fails_the_names_test_alone_among_invariances() -> None:
    liked = set(templates.WORDS["name"][::2])

    def keyed(texts: list[str]) -> npt.NDArray[np.float64]:
        names = [[name for name in templates.WORDS["name"] if name.lower() in text.lower()] for text in texts]
        return two_columns([0.9 if found and found[0] in liked else 0.1 for found in names])

    report = checklist.run(keyed, BINARY, seed=1)
    failed = {row.capability for row in report.rows if row.kind == "invariance" and row.failures}
    assert failed == {"Person names"}


def test_a_constant_model_fails_minimum_functionality_only() -> None:
    report = checklist.run(lambda texts: two_columns([0.8] * len(texts)), BINARY, seed=0)
    failed = [row for row in report.rows if row.failures]
    assert {row.kind for row in failed} == {"minimum functionality"}
    vocabulary = next(row for row in report.rows if row.capability == "Vocabulary")
    assert abs(vocabulary.failures - vocabulary.n / 2) <= 2  # the negative half, duplicates drawn again
    negated = next(row for row in report.rows if row.capability == "Negated praise")
    assert negated.failures == negated.n


def test_a_model_that_takes_high_marks_for_blame_fails_that_direction_test_alone() -> None:
    def contrary(texts: list[str]) -> npt.NDArray[np.float64]:
        return two_columns([0.2 if text.endswith(("10 out of 10.", "9/10")) else 0.7 for text in texts])

    report = checklist.run(contrary, BINARY, seed=0)
    row = next(row for row in report.rows if row.capability == "Marks out of ten")
    assert row.failures == row.n // 2
    assert failing(report) & {"Praise or blame", "Emoji"} == set()


def test_a_change_within_the_tolerance_passes_and_one_beyond_it_fails() -> None:
    def stronger(step: float) -> Model:
        return lambda texts: two_columns([0.7 + step * text.isupper() for text in texts])

    def failures(step: float) -> int:
        report = checklist.run(stronger(step), BINARY, seed=0)
        return next(row for row in report.rows if row.capability == "Letter case").failures

    assert failures(0.09) == 0
    assert failures(0.11) == capabilities.CASES


def test_reversed_class_names_give_the_same_report() -> None:
    forward = checklist.run(count_opinion_words, BINARY, seed=0)
    backward = checklist.run(lambda texts: count_opinion_words(texts)[:, ::-1], BINARY[::-1], seed=0)
    assert [row.failures for row in forward.rows] == [row.failures for row in backward.rows]


def test_classes_without_polarity_are_not_tested_and_the_report_says_why() -> None:
    report = checklist.run(count_opinion_words, ("politics", "sports"), seed=0)
    assert report.rows == ()
    assert "politics, sports" in report.notes[0]


def test_a_score_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected shape .* Received: \(\d+, 2\)"):
        checklist.run(count_opinion_words, TERNARY, seed=0)


def test_failure_rates_carry_wilsons_interval_and_examples_show_both_texts() -> None:
    def upset(texts: list[str]) -> npt.NDArray[np.float64]:
        return two_columns([0.9 - 0.8 * ("<br" in text) for text in texts])

    report = checklist.run(upset, BINARY, seed=0)
    row = next(row for row in report.rows if row.capability == "Markup")
    assert (row.failures, row.flips) == (row.n, row.n)
    assert row.failure_rate == intervals.wilson(row.n, row.n)
    assert len(row.examples) == checklist.EXAMPLES
    example = row.examples[0]
    assert example.changed is not None
    assert "<br" in example.changed
    assert "<br" not in example.text
    assert example.predicted == ("positive", "negative")
    assert example.scores == pytest.approx((0.9, 0.1))


def test_a_fair_model_has_no_gap_and_a_planted_one_is_found() -> None:
    def planted(texts: list[str]) -> npt.NDArray[np.float64]:
        women = (*templates.RELATIONS["female"], *(n for g in templates.NAMES.values() for n in g["female"]))
        lowered = [text.lower() for text in texts]
        return two_columns([0.5 + 0.2 * any(woman.lower() in text for woman in women) for text in lowered])

    fair = checklist.run(lambda texts: two_columns([0.5] * len(texts)), BINARY, seed=0).gaps[0]
    assert (fair.difference.value, fair.difference.low, fair.difference.high) == (0, 0, 0)
    found = checklist.run(planted, BINARY, seed=0).gaps
    assert found[0].groups == ("female", "male")
    assert found[0].difference.value == pytest.approx(0.2)
    assert found[0].difference.low > 0.1
    for origin in found[1:]:
        assert origin.difference.low <= 0 <= origin.difference.high


def test_a_gap_that_rests_on_one_name_has_an_interval_that_holds_zero() -> None:
    def partial(texts: list[str]) -> npt.NDArray[np.float64]:
        return two_columns([0.4 + 0.5 * ("Keisha" in text) for text in texts])

    report = checklist.run(partial, BINARY, seed=0)
    gap = next(gap for gap in report.gaps if gap.groups[0] == "African American names")
    assert gap.difference.value == pytest.approx(0.5 / 6)
    assert gap.difference.low <= 0


def test_equal_seeds_give_equal_suites_and_other_seeds_other_texts() -> None:
    assert capabilities.suite(seed=5) == capabilities.suite(seed=5)
    assert capabilities.suite(seed=5) != capabilities.suite(seed=6)


def test_the_suite_is_deep_and_small_enough_to_score_quickly() -> None:
    asked: list[str] = []

    def listen(texts: list[str]) -> npt.NDArray[np.float64]:
        asked.extend(texts)
        return np.full((len(texts), 3), 1 / 3)

    report = checklist.run(listen, TERNARY, seed=0)
    assert len({row.capability for row in report.rows}) >= 25
    assert min(row.n for row in report.rows) >= 60
    assert len(asked) == len(set(asked)) < 4000


def test_invariance_cases_differ_from_their_text_and_no_slot_is_left_open() -> None:
    for test in capabilities.suite(seed=2, neutral_class=True):
        for case in test.cases:
            assert "{" not in case.text + case.changed
            assert (case.text == case.changed) == (test.kind == "minimum functionality")


def test_neutral_statements_are_asked_only_of_models_with_a_neutral_class() -> None:
    without, asked = (
        {test.name for test in capabilities.suite(seed=0, neutral_class=neutral)} for neutral in (False, True)
    )
    assert asked - without == {"Neutral statements"}


@pytest.mark.parametrize(
    ("class_names", "expected"),
    [
        (("0", "1"), [-1, 1]),
        (("neg", "neu", "pos"), [-1, 0, 1]),
        (("1", "2", "3", "4", "5"), [-1, -0.5, 0, 0.5, 1]),
        (("very_negative", "negative", "neutral", "positive", "very_positive"), [-1, -0.5, 0, 0.5, 1]),
        (("Positive", "Negative"), [1, -1]),
    ],
)
def test_polarity_is_read_from_class_names(class_names: tuple[str, ...], expected: list[float]) -> None:
    assert lexicon.polarity(class_names) == pytest.approx(expected)


@pytest.mark.parametrize("class_names", [("sports", "politics"), ("negative", "sports"), ("neutral", "mixed"), ()])
def test_names_without_polarity_are_not_guessed(class_names: tuple[str, ...]) -> None:
    assert lexicon.polarity(class_names) is None


def test_a_misspelt_word_keeps_its_letters_and_its_first_letter() -> None:
    random = np.random.default_rng(0)
    for word in templates.WORDS["negative"]:
        misspelt = capabilities.swap_letters(word, random)
        assert misspelt != word
        assert sorted(misspelt) == sorted(word)
        assert misspelt[0] == word[0]


def test_the_report_becomes_json_with_one_entry_per_test_and_gap() -> None:
    report = checklist.run(count_opinion_words, BINARY, seed=0)
    content = report.to_json()
    assert len(content["tests"]) == len(report.rows)
    assert content["tests"][0]["failure_rate"] == report.rows[0].failure_rate
    assert content["gaps"][0]["groups"] == ("female", "male")
    assert dataclasses.asdict(report.rows[0])["n"] == content["tests"][0]["n"]
