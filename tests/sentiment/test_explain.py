"""Explanations add up to the model's log-odds, every sentence of theirs is checked, and their check can fail."""

import dataclasses
import pathlib
import re
import warnings
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from apps.sentiment import __main__, attribution, config, corpus, explain, lexicon, model, preprocessing
from apps.sentiment import run as loaded_run
from shared import decision as decisions
from shared import errors, files
from shared.explain import gradients
from shared.models import averaging
from shared.report import blocks

pytestmark = pytest.mark.tensorflow

GOOD, BAD = "a good and great film", "a bad and awful film"


@pytest.fixture(scope="module")
def run() -> loaded_run.Run:
    return run_of("ngram", "cnn")


def run_of(*members: str) -> loaded_run.Run:
    """A model of some networks whose weights were drawn, so that every part of it counts."""
    settings = config.Config.smoke().replace({"members": members, "vocabulary_size": 10, "rnn_copies": 1})
    vocabulary = ["a", "good", "great", "bad", "awful", "film", "and", "."]
    features = preprocessing.TextFeatures(
        vocabulary=vocabulary,
        sequence_length=6,
        ngram_orders=3,
        character_orders=settings.character_orders,
        buckets=settings.ngram_buckets,
        ngram_tokens=8,
        symbols=lexicon.symbols(),
    )
    texts, labels = np.array([GOOD, BAD] * 4, object), np.array([1, 0] * 4)
    read = corpus.vectorize(features, texts)
    networks = {}
    for name in settings.networks:
        feature = model.feature(name)
        rows = read[feature]
        train = model.TrainingTexts(values=rows.values, lengths=rows.lengths, labels=labels)
        generator = np.random.default_rng(0)
        vectors = np.zeros((len(vocabulary) + preprocessing.RESERVED_IDS, settings.embedding_size), np.float32)
        built = model.build(name, settings, classes=2, train=train, vectors=vectors)
        table = built.get_layer("embedding")
        weights = table.get_weights()
        table.set_weights([generator.normal(0, 0.5, weights[0].shape), *weights[1:]])
        networks[name] = type(built).from_config({**built.get_config(), "name": name})
        networks[name].set_weights(built.get_weights())
    weights = {
        "ngram": averaging.Member(temperature=0.5, weight=0.6),
        "cnn": averaging.Member(temperature=2.0, weight=0.4),
    }
    weights["lstm"] = averaging.Member(temperature=0.7, weight=0.5)
    decision = decisions.Decision(
        class_names=("negative", "positive"),
        temperature=1.5,
        threshold=None,
        rule="most probable class",
        alpha=0.1,
        quantile=0.5,
        fitted_on={},
    )
    whole = model.assemble(features, networks, weights)
    return loaded_run.Run(folder=files.RunFolder(pathlib.Path()), settings=settings, model=whole, decision=decision)


def log_odds(run: loaded_run.Run, string: str) -> float:
    scores = run.scores(np.array([string], object))[0]
    return float(np.log(scores[1] / scores[0]))


def test_the_contributions_of_a_text_add_up_to_its_log_odds_beyond_a_text_that_says_nothing(
    run: loaded_run.Run,
) -> None:
    tokens = corpus.tokens_of(GOOD)
    values = attribution.contributions(run, tokens, target=1)
    longer = attribution.contributions(run, corpus.tokens_of(GOOD + " ."), target=1)
    assert values.shape == (5,)
    # The baseline depends on the length alone, so two texts of five words share it.
    other = attribution.contributions(run, corpus.tokens_of(BAD), target=1)
    difference = log_odds(run, GOOD) - log_odds(run, BAD)
    assert values.sum() - other.sum() == pytest.approx(difference, abs=0.05)
    assert longer.shape == (6,)


def test_words_that_were_cut_out_of_a_long_text_contribute_nothing_to_the_token_networks(run: loaded_run.Run) -> None:
    tokens = corpus.tokens_of("good " * 20)
    values = attribution.contributions(run, tokens, target=1)
    # Eight tokens are read as n-grams, six by the convolutions: first and last half.
    assert values[:3].all()
    assert values[-3:].all()
    assert not values[4:-4].any()


@pytest.mark.parametrize("members", [("ngram", "cnn"), ("lstm",)])
def test_the_signature_explains_every_text_as_the_verb_does(members: tuple[str, ...]) -> None:
    run = run_of(*members)
    texts = [GOOD, BAD, "", "good " * 20, "Not a GOOD film, not at all!"]
    explain_texts = tf.function(attribution.graph(run), input_signature=[tf.TensorSpec([None], tf.string)])
    found = {name: tensor.numpy() for name, tensor in explain_texts(tf.constant(texts)).items()}
    targets = run.decision.predicted(run.scores(np.array(texts, object)))
    assert found["tokens"].shape == found["attributions"].shape == (5, 20)
    assert found["attributions"].dtype == np.float32
    for row, string in enumerate(texts):
        tokens = corpus.tokens_of(string)
        assert found["label"][row].decode() == run.decision.class_names[targets[row]]
        assert [token.decode() for token in found["tokens"][row]] == [*tokens, *[""] * (20 - len(tokens))]
        assert not found["attributions"][row, len(tokens) :].any()
        if len(tokens):
            expected = attribution.contributions(run, tokens, target=targets[row])
            tolerance = 0.02 * np.abs(expected).max()
            np.testing.assert_allclose(found["attributions"][row, : len(tokens)], expected, atol=tolerance)


def test_an_explanation_names_the_label_and_carries_its_check(run: loaded_run.Run) -> None:
    found = explain.explain(run, GOOD)
    assert found.label in run.decision.class_names
    assert found.scores.sum() == pytest.approx(1)
    assert found.deletion is not None
    assert len(found.tokens) == len(found.values) == 5


def test_the_page_escapes_the_text_and_opens_offline(run: loaded_run.Run, tmp_path: pathlib.Path) -> None:
    hostile = "good <img src=http://x.y/z onerror=alert(1)> film"
    explain.write(run, hostile, explain.explain(run, hostile), tmp_path / "why.html")
    page = (tmp_path / "why.html").read_text("utf-8")
    assert "<img" not in page
    assert "onerror" in page


def test_words_are_tinted_and_the_spaces_between_them_are_not(run: loaded_run.Run) -> None:
    page = explain.report(run, GOOD, explain.explain(run, GOOD))
    highlighted = page.sections[0].blocks[0]
    assert isinstance(highlighted, blocks.Highlight)
    assert "".join(token for token, _ in highlighted.tokens).strip() == GOOD
    assert all(weight == 0 for token, weight in highlighted.tokens if token.isspace())
    assert not any(token != " " and token.strip() != token for token, _ in highlighted.tokens)


def test_attention_over_one_step_raises_no_warning(run: loaded_run.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    attribute = gradients.integrated_gradients

    def warning(*arguments: Any, **options: Any) -> gradients.Attribution:
        warnings.warn("You are using a softmax over axis 1 of a tensor of shape (2, 1, 1).", stacklevel=1)
        return attribute(*arguments, **options)

    monkeypatch.setattr(gradients, "integrated_gradients", warning)
    with warnings.catch_warnings(record=True) as caught:
        attribution.contributions(run, corpus.tokens_of(GOOD), target=1)
    assert [entry for entry in caught if "softmax" in str(entry.message)] == []


def asked_without(run: loaded_run.Run, found: explain.Explanation, *words: str) -> float:
    """The probability of the label that the model gives the text without these words."""
    rest = " ".join(token for token in found.tokens if token not in words)
    return float(run.scores(np.array([rest], object))[0, run.decision.class_names.index(found.label)])


@pytest.mark.parametrize(
    "string", [GOOD, BAD, "qqqqq", "bad bad bad good bad", "good", "a film", "good bad great awful and good"]
)
def test_every_sentence_of_an_explanation_is_what_the_model_says_when_asked_again(
    run: loaded_run.Run, string: str
) -> None:
    found = explain.explain(run, string)
    answer = explain.report(run, string, found).answer
    scores = run.scores(np.array([string], object))[0]
    assert found.label == run.decision.class_names[scores.argmax()]
    assert answer.startswith("The model abstains") == (found.decision == "abstain")
    named = re.findall("“([^”]+)”", answer)
    assert named == list(found.supporting)
    for word in named:
        assert sum(value for token, value in zip(found.tokens, found.values, strict=True) if token == word) > 0
        assert asked_without(run, found, word) < scores.max()
    if named:
        without, instead = map(float, re.findall(r"\d\.\d{3}", answer))
        assert instead == pytest.approx(scores.max(), abs=6e-4)
        assert without == pytest.approx(asked_without(run, found, *named), abs=6e-4)
        assert without < instead
    elif "no word supports it" in answer:
        assert max(found.values) <= 0
    else:
        supporting = [word for word, value in found.words.items() if value > 0]
        assert all(asked_without(run, found, word) > scores.max() - 1e-3 for word in supporting[: explain.CANDIDATES])


def test_a_word_against_the_label_is_never_named_for_it(run: loaded_run.Run) -> None:
    found = explain.explain(run, GOOD)
    against = dataclasses.replace(found, values=-np.abs(found.values), supporting=(), without=found.probability)
    assert explain.report(run, GOOD, against).answer.endswith("though no word supports it.")


def test_all_occurrences_of_a_word_count_together_on_the_command_line(run: loaded_run.Run) -> None:
    found = explain.explain(run, "bad bad bad good bad")
    printed = explain.summary(found)["strongest_words"]
    assert isinstance(printed, dict)
    assert printed["bad"] == pytest.approx(found.values[[0, 1, 2, 4]].sum(), abs=1e-4)
    assert sum(printed.values()) == pytest.approx(found.values.sum(), abs=1e-3)


def test_a_file_is_read_a_text_is_taken_as_it_is_and_a_file_that_is_not_there_is_refused(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("one review.txt", "review"):
        (tmp_path / name).write_text("A fine film.\n", encoding="utf-8")
        assert explain.read_input(name) == "A fine film.\n"
    for string in ("A fine film.", "I read it in notes.txt", "long " * 5000):
        assert explain.read_input(string) == string
    with pytest.raises(errors.InputError, match=r"exists. Received: 'reveiw.txt'"):
        explain.read_input("reveiw.txt")


@pytest.mark.parametrize(("name", "said"), [("reviews.csv", "a file that is no .txt"), ("reviews", "a folder")])
def test_a_path_that_is_there_and_holds_no_single_text_is_not_explained_as_a_text(
    tmp_path: pathlib.Path, name: str, said: str
) -> None:
    path = tmp_path / name
    path.write_text("text,label\ngood,1\n") if path.suffix else path.mkdir()
    with pytest.raises(errors.InputError, match=f"expected a text, or a .txt file of one text.*{said}"):
        explain.read_input(str(path))


def test_a_text_that_is_not_utf8_is_refused_with_its_place(tmp_path: pathlib.Path) -> None:
    (tmp_path / "old.txt").write_bytes(b"a caf\xe9 film")
    for argument in ("a caf\udce9 film", str(tmp_path / "old.txt")):
        with pytest.raises(errors.InputError, match=r"expected UTF-8 text. Received: .*byte 0xe9 at character 6"):
            explain.read_input(argument)


def test_a_name_that_is_no_page_is_refused_before_anything_is_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.main(["explain", "--run-dir", "nowhere", "good", "--output", "why.png"]) == 2
    assert "expected a name that ends in .html. Received: why.png" in capsys.readouterr().err


def test_a_text_without_a_word_is_refused(run: loaded_run.Run) -> None:
    with pytest.raises(errors.InputError, match="at least one word"):
        explain.explain(run, " \n")
