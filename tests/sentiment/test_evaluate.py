"""The evaluation of models whose errors are planted."""

import dataclasses
import hashlib
import json
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import sklearn.metrics

from apps.sentiment import checklist, evaluate, ordinal, report
from shared import decision, errors
from shared.evaluation import classification, intervals
from shared.report import blocks, document, formatting, sections

BINARY = ("negative", "positive")
Floats = npt.NDArray[np.float64]


def logits_of(answers: npt.NDArray[np.int64], *, classes: int, margin: float = 2.0) -> Floats:
    return margin * np.eye(classes)[answers]


def first_line(found: document.Evaluation) -> str:
    line = found.report.status
    assert line is not None
    return f"{line.state}: {line.sentence}"


def flip(labels: npt.NDArray[np.int64], share: float, *, classes: int = 2) -> npt.NDArray[np.int64]:
    """Answer wrongly on the first ``share`` of the rows of each class."""
    answers = labels.copy()
    for label in range(classes):
        rows = np.flatnonzero(labels == label)
        answers[rows[: round(share * len(rows))]] = (label + 1) % classes
    return answers


def some_rows(number: int, *, classes: int = 2, per_unit: int = 2) -> evaluate.Rows:
    place = np.arange(number)
    texts = [f"text {row} " + "word " * (5 if row % 2 else 150) for row in place]
    return evaluate.Rows(
        texts=np.array(texts, object),
        labels=place % classes,
        sources=np.where(place < number / 2, "imdb", "tweets").astype(object),
        files=np.full(number, "reviews.csv", object),
        lines=place + 1,
        units=place // per_unit,
        out_of_vocabulary=np.where(place % 3 == 0, 0.0, 0.05),
    )


def some_run(
    logits: Floats, class_names: tuple[str, ...] = BINARY, *, quantile: float = 0.5, temperature: float = 1.0
) -> evaluate.Predictions:
    rule = decision.Decision(
        class_names=class_names,
        temperature=temperature,
        threshold=None,
        rule="most probable class",
        alpha=0.1,
        quantile=quantile,
        fitted_on={"split": "validation"},
    )
    return evaluate.Predictions(run="run", logits=logits, decision=rule)


DATA = sections.Data(source="planted", split="test", unit="pair", sha256="0" * 64)


def evaluated(
    rows: evaluate.Rows, run: evaluate.Predictions, baselines: Mapping[str, Floats], data: sections.Data = DATA
) -> document.Evaluation:
    return report.evaluation(
        evaluate.evaluate(
            rows,
            data,
            run,
            baseline_scores=baselines,
            behaviour_report=checklist.BehaviourReport(notes=("The suite was not run.",)),
            resamples=200,
            seed=1,
        )
    )


def better_model(rows: evaluate.Rows) -> document.Evaluation:
    """Right in 90 %, beside a baseline that is right in 70 %."""
    scores = softmax(logits_of(flip(rows.labels, 0.3), classes=2))
    return evaluated(rows, some_run(logits_of(flip(rows.labels, 0.1), classes=2)), {"tfidf_logistic": scores})


def softmax(logits: Floats) -> Floats:
    powers = np.exp(logits)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def numbers_without_interval(content: Any, path: str = "") -> list[str]:
    """Paths of mappings that hold a ``value`` and no ``low`` and ``high``."""
    if isinstance(content, Mapping):
        own = [path] if "value" in content and not {"low", "high", "confidence", "method"} <= set(content) else []
        return own + [p for key, value in content.items() for p in numbers_without_interval(value, f"{path}.{key}")]
    if isinstance(content, list):
        return [p for place, value in enumerate(content) for p in numbers_without_interval(value, f"{path}[{place}]")]
    return []


def test_the_document_has_the_contracts_keys_and_the_planted_accuracies() -> None:
    content = better_model(some_rows(400)).metrics
    keys = {
        "app",
        "run",
        "data",
        "metrics",
        "baselines",
        "operating_points",
        "slices",
        "calibration",
        "notes",
    }
    assert keys <= set(content)
    assert next(iter(content["metrics"])) == "accuracy"
    assert content["metrics"]["accuracy"]["value"] == pytest.approx(0.9)
    assert content["baselines"]["tfidf_logistic"]["accuracy"]["value"] == pytest.approx(0.7)
    assert content["differences"]["tfidf_logistic"]["accuracy"]["value"] == pytest.approx(0.2)
    assert content["data"] == {
        "source": "planted",
        "split": "test",
        "n": 400,
        "unit": "pair",
        "n_units": 200,
        "sha256": "0" * 64,
        "own": False,
    }
    assert numbers_without_interval(content) == []
    json.dumps(content, allow_nan=False)


def test_slices_compare_model_and_baseline_on_the_same_rows() -> None:
    rows = some_rows(400)
    content = better_model(rows).metrics
    slices = {row["name"]: row for row in content["slices"]}
    assert {
        "source=imdb",
        "source=tweets",
        "length=at most 25 words",
        "out_of_vocabulary=at most 0 %",
    } <= set(slices)
    imdb = slices["source=imdb"]
    assert (imdb["n"], imdb["n_units"]) == (200, 100)
    # The planted errors are the first rows of each class, all of them from imdb.
    assert imdb["metrics"]["accuracy"]["value"] == pytest.approx(0.8)
    assert imdb["baselines"]["tfidf_logistic"]["accuracy"]["value"] == pytest.approx(0.4)
    difference = imdb["differences"]["tfidf_logistic"]["accuracy"]
    assert difference["value"] == pytest.approx(0.4)
    assert difference["low"] > 0
    assert slices["source=tweets"]["metrics"]["accuracy"]["value"] == 1


def test_a_slice_of_few_rows_says_so_instead_of_numbers() -> None:
    rows = some_rows(100)
    rare = dataclasses.replace(rows, sources=np.where(np.arange(100) < 10, "rare", "common").astype(object))
    slices = {row["name"]: row for row in better_model(rare).metrics["slices"]}
    assert slices["source=rare"]["metrics"] == {}
    assert slices["source=rare"]["notes"] == ["too few: 10 rows of 5 units"]


@pytest.mark.parametrize(
    ("model_errors", "words"),
    [(0.1, "Better: the model beats TF-IDF"), (0.3, "Use the baseline instead: TF-IDF"), (0.5, "Worse: TF-IDF")],
)
def test_the_opening_says_plainly_how_the_model_compares(model_errors: float, words: str) -> None:
    rows = some_rows(400)
    scores = softmax(logits_of(flip(rows.labels, 0.3), classes=2))
    run = some_run(logits_of(flip(rows.labels, model_errors), classes=2))
    assert words in first_line(evaluated(rows, run, {"tfidf_logistic": scores}))


def test_the_opening_names_the_weakest_slice_and_capability() -> None:
    rows = some_rows(400)

    def seldom_positive(texts: list[str]) -> Floats:
        return softmax(np.stack([np.ones(len(texts)), np.zeros(len(texts))], axis=1))

    results = evaluate.evaluate(
        rows,
        DATA,
        some_run(logits_of(flip(rows.labels, 0.1), classes=2)),
        baseline_scores={"majority": np.full((400, 2), 0.5)},
        behaviour_report=checklist.run(seldom_positive, BINARY, seed=0),
        resamples=200,
    )
    opening = report.evaluation(results).report.answer
    assert "texts from imdb" in opening
    assert "“Negated blame”, wrong in 100.0 %" in opening


def test_abstention_holds_back_the_unsure_rows_and_reports_both_accuracies() -> None:
    rows = some_rows(400)
    answers = flip(rows.labels, 0.1)
    margins = np.where(answers == rows.labels, 4.0, 0.2)[:, np.newaxis]
    content = evaluated(
        rows, some_run(margins * np.eye(2)[answers], quantile=0.4), {"majority": np.full((400, 2), 0.5)}
    ).metrics
    assert content["abstention"]["coverage"]["value"] == pytest.approx(0.9)
    assert content["abstention"]["selective_accuracy"]["value"] == 1
    assert content["abstention"]["abstained_accuracy"]["value"] == 0
    answered, unsure = content["operating_points"]
    assert answered["accuracy"]["value"] == pytest.approx(0.9)
    assert unsure["coverage"]["value"] == pytest.approx(0.9)


def test_predictions_hold_every_row_once_with_scores_and_decisions() -> None:
    rows = some_rows(60)
    table = better_model(rows).predictions
    assert len(table) == 60
    assert table["row"].tolist() == list(range(1, 61))
    assert table["text_sha256"][3] == hashlib.sha256(rows.texts[3].encode()).hexdigest()
    np.testing.assert_allclose(table["score_negative"] + table["score_positive"], 1)
    assert set(table["decision"]) <= {*BINARY, "abstain"}
    assert (table["predicted"] == table["label"]).mean() == pytest.approx(0.9)
    assert (table["tfidf_logistic_predicted"] == table["label"]).mean() == pytest.approx(0.7)


def test_ratings_get_a_mean_absolute_error_that_counts_the_classes_between() -> None:
    rows = some_rows(250, classes=5)
    names = ("1", "2", "3", "4", "5")
    answers = rows.labels.copy()
    answers[rows.labels == 0] = 4
    run = some_run(logits_of(answers, classes=5), names)
    content = evaluated(dataclasses.replace(rows, ordinal=True), run, {"majority": np.full((250, 5), 0.2)}).metrics
    assert content["metrics"]["mean_absolute_error"]["value"] == pytest.approx(4 / 5)
    assert content["baselines"]["majority"]["mean_absolute_error"]["value"] == pytest.approx(2)
    assert content["baselines"]["majority"]["quadratic_kappa"]["value"] == pytest.approx(0)
    assert content["metrics"]["off_by_one_accuracy"]["value"] == pytest.approx(4 / 5)
    assert "mean_absolute_error" not in evaluated(rows, run, {"majority": np.full((250, 5), 0.2)}).metrics["metrics"]


def test_metrics_of_ratings_equal_plain_loops_and_scikit_learn() -> None:
    random = np.random.default_rng(0)
    labels, scores = random.integers(4, size=50), random.random((50, 4))
    distances = [abs(int(row.argmax()) - int(label)) for row, label in zip(scores, labels, strict=True)]
    assert ordinal.mean_absolute_error(labels, scores) == pytest.approx(sum(distances) / 50)
    assert ordinal.off_by_one_accuracy(labels, scores) == pytest.approx(sum(each <= 1 for each in distances) / 50)
    kappa = sklearn.metrics.cohen_kappa_score(labels, scores.argmax(axis=1), weights="quadratic")
    assert ordinal.quadratic_kappa(labels, scores) == pytest.approx(kappa)
    weight = random.integers(0, 4, 50)
    repeated = np.repeat(np.arange(50), weight)
    kappa = sklearn.metrics.cohen_kappa_score(labels[repeated], scores[repeated].argmax(axis=1), weights="quadratic")
    assert ordinal.quadratic_kappa(labels, scores, sample_weight=weight) == pytest.approx(kappa)


def test_kappa_is_one_when_all_is_right_and_nothing_when_one_rating_is_always_predicted() -> None:
    labels = np.array([0, 1, 2, 2, 4])
    assert ordinal.quadratic_kappa(labels, np.eye(5)[labels]) == pytest.approx(1)
    assert ordinal.quadratic_kappa(labels, np.eye(5)[[2] * 5]) == pytest.approx(0)
    with pytest.raises(ValueError, match="at least two classes"):
        ordinal.quadratic_kappa(np.zeros(5, np.int64), np.eye(5)[labels])


def test_three_classes_are_evaluated_like_two() -> None:
    rows = some_rows(300, classes=3)
    names = ("negative", "neutral", "positive")
    run = some_run(logits_of(flip(rows.labels, 0.1, classes=3), classes=3), names)
    content = evaluated(rows, run, {"majority": np.full((300, 3), 1 / 3)}).metrics
    assert content["metrics"]["accuracy"]["value"] == pytest.approx(0.9)
    assert [row["class"] for row in content["per_class"]] == list(names)
    assert np.array(content["confusion"]["counts"]).trace() == 270


def test_thirty_rows_and_one_class_give_a_report_with_notes_and_no_failure(tmp_path: pathlib.Path) -> None:
    for rows in (
        some_rows(30),
        dataclasses.replace(some_rows(30), labels=np.ones(30, np.int64)),
        some_rows(6, per_unit=3),
    ):
        found = better_model(rows)
        document.write(found.report, tmp_path)
        assert any("texts were evaluated" in note for note in found.metrics["notes"])
    one_class = better_model(dataclasses.replace(some_rows(30), labels=np.ones(30, np.int64))).metrics
    assert "auroc" not in one_class["metrics"]
    assert any("auroc" in note for note in one_class["notes"])


def test_a_part_of_one_class_gets_one_sentence_and_no_comparison_with_the_baselines() -> None:
    rows = dataclasses.replace(some_rows(60), labels=np.ones(60, np.int64))
    found = better_model(rows)
    assert first_line(found).startswith("Cannot be told: Only one class occurs, positive: ")
    assert not re.search("better|worse|used instead|By source", found.report.answer, re.IGNORECASE)
    assert found.metrics["differences"] == {"tfidf_logistic": {}}
    assert "f1_macro" not in found.metrics["metrics"] | found.metrics["baselines"]["tfidf_logistic"]
    assert not any(tile.label.startswith("Against") for tile in found.report.headline)
    page = document.render(found.report)
    assert "Model minus" not in page
    assert "WORSE" not in page


def test_a_model_of_equal_scores_is_said_to_tell_nothing_apart() -> None:
    rows = some_rows(60)
    found = evaluated(rows, some_run(np.zeros((60, 2))), {"majority": softmax(logits_of(rows.labels, classes=2))})
    assert "gives every row the same scores" in first_line(found)
    assert "WORSE" not in document.render(found.report)


def test_a_perfect_model_gets_an_interval_below_one() -> None:
    rows = some_rows(60)
    content = evaluated(rows, some_run(logits_of(rows.labels, classes=2)), {"majority": np.full((60, 2), 0.5)})
    accuracy = content.metrics["metrics"]["accuracy"]
    assert accuracy["value"] == 1
    assert accuracy["low"] < 1
    assert "made no errors" in document.render(content.report)


def test_one_unit_or_a_row_without_label_is_refused_and_located() -> None:
    rows = some_rows(10)
    with pytest.raises(errors.InputError, match="at least two units"):
        better_model(dataclasses.replace(rows, units=np.zeros(10, np.int64)))
    labels = rows.labels.copy()
    labels[4] = -1
    with pytest.raises(errors.InputError, match="row 5 of imdb"):
        better_model(dataclasses.replace(rows, labels=labels))


def test_without_a_linear_baseline_the_most_accurate_one_is_the_reference_and_the_notes_say_why() -> None:
    rows = some_rows(100)
    weak, strong = (softmax(logits_of(flip(rows.labels, share), classes=2)) for share in (0.4, 0.2))
    found = evaluated(rows, some_run(logits_of(rows.labels, classes=2)), {"majority": weak, "vader": strong})
    assert "the model beats VADER" in first_line(found)
    assert any("TF-IDF" in note for note in found.metrics["notes"])


def test_the_page_is_complete_and_escapes_what_reviews_contain(tmp_path: pathlib.Path) -> None:
    rows = some_rows(120)
    rows.texts[0] = "<script>alert(1)</script> " + "bad " * 400
    history = pd.DataFrame(
        {
            "network": ["cnn", "cnn"],
            "epoch": [1, 2],
            "learning_rate": [0.1, 0.1],
            "loss": [0.7, 0.5],
            "validation_loss": [0.7, 0.6],
            "validation_metric": [0.6, 0.8],
        }
    )
    run = some_run(logits_of(flip(rows.labels, 0.1), classes=2))
    run = dataclasses.replace(run, history=history, members=dict.fromkeys(("cnn", "lstm"), np.full((120, 2), 0.5)))
    data = dataclasses.replace(
        DATA,
        certificate={"method": "blocks", "counts": {"train": {"rows": 900, "units": 450}}},
        notes=("Two rows set aside.",),
    )
    results = evaluate.evaluate(
        rows,
        data,
        run,
        baseline_scores={"majority": np.full((120, 2), 0.5)},
        behaviour_report=checklist.run(lambda texts: np.full((len(texts), 2), 0.5), BINARY, seed=0),
        resamples=100,
    )
    found = report.evaluation(results)
    document.write(found.report, tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    titles = [section.title for section in found.report.sections]
    assert titles[0] == "Where it is correct"
    assert all(title in page for title in titles)
    assert "Two rows set aside." in page
    assert "[…]" in page
    assert not re.search(r'(?:src|href)="https?:', page)


def test_the_surest_errors_are_found_by_file_and_read_without_markup() -> None:
    rows = some_rows(60)
    texts, files = rows.texts.copy(), rows.files.copy()
    texts[0], files[0] = "One.<br /><BR/>Two.", "test/neg/7_2.txt"
    wrong = rows.labels.copy()
    wrong[0] = 1 - wrong[0]
    majority = {"majority": np.full((60, 2), 0.5)}
    changed = dataclasses.replace(rows, texts=texts, files=files)
    result = evaluated(changed, some_run(logits_of(wrong, classes=2)), majority)
    quotes = next(section for section in result.report.sections if "confident errors" in section.title).blocks
    found = [(quote.text, quote.facts["From"]) for quote in quotes if isinstance(quote, blocks.Quote)]
    assert found == [("One.\nTwo.", "test/neg/7_2.txt, row 1")]
    assert result.predictions["file"].tolist()[:2] == ["test/neg/7_2.txt", "reviews.csv"]


def test_model_numbers_are_those_of_the_calibrated_scores() -> None:
    rows = some_rows(200)
    logits = np.random.default_rng(0).normal(size=(200, 2)) + logits_of(rows.labels, classes=2)
    content = evaluated(rows, some_run(logits, temperature=2.0), {"majority": np.full((200, 2), 0.5)}).metrics
    assert content["metrics"]["brier"]["value"] == pytest.approx(classification.brier(rows.labels, softmax(logits / 2)))
    before, after = (content["calibration"][stage]["brier"]["value"] for stage in ("before", "after"))
    assert before == pytest.approx(classification.brier(rows.labels, softmax(logits)))
    assert after == content["metrics"]["brier"]["value"]


def test_length_slices_part_the_rows_and_each_bin_holds_its_upper_edge() -> None:
    rows = some_rows(4)
    lengths = (1, 25, 26, 401)
    rows = dataclasses.replace(rows, texts=np.array(["word " * length for length in lengths], object))
    found = {name: mask for name, mask in evaluate.slices(rows).items() if name.startswith("length=")}
    assert np.sum(list(found.values()), axis=0).tolist() == [1, 1, 1, 1]
    assert found["length=at most 25 words"].tolist() == [True, True, False, False]
    assert found["length=above 400 words"].tolist() == [False, False, False, True]


def test_points_and_percent_read_as_a_person_writes_them() -> None:
    assert report.points(intervals.Interval(-0.0123, -0.02, 0.001)) == "−1.2 points (−2.0 to +0.1)"
    assert formatting.percent(intervals.Interval(1.0, 0.95, 1.0)) == "100.0 % (95.0–100.0)"
