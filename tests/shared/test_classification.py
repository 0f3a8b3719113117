import dataclasses
import types
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special
from sklearn import metrics as sklearn_metrics

from shared.evaluation import bootstrap, classification, classifier, evaluators, intervals, summaries


def brier_by_hand(y, p, w):
    return np.average(((p - np.eye(p.shape[1])[y]) ** 2).sum(axis=1) / (2 if p.shape[1] == 2 else 1), weights=w)


def ece_by_hand(y, p, w):
    total = 0.0
    confidence, right = p.max(axis=1), p.argmax(axis=1) == y
    for b in range(15):
        last = 1.01 if b == 14 else (b + 1) / 15
        inside = (confidence >= b / 15) & (confidence < last)
        total += abs((w * (right - confidence))[inside].sum())
    return total / w.sum()


def over_classes(function, y, p, w):
    if p.shape[1] == 2:
        return function(y, p[:, 1], sample_weight=w)
    return np.mean([function(y == c, p[:, c], sample_weight=w) for c in range(p.shape[1])])


BY_ANOTHER_ROUTE = {
    "accuracy": lambda y, p, w: sklearn_metrics.accuracy_score(y, p.argmax(1), sample_weight=w),
    "balanced_accuracy": lambda y, p, w: sklearn_metrics.balanced_accuracy_score(y, p.argmax(1), sample_weight=w),
    "f1_macro": lambda y, p, w: sklearn_metrics.f1_score(y, p.argmax(1), average="macro", sample_weight=w),
    "mcc": lambda y, p, w: sklearn_metrics.matthews_corrcoef(y, p.argmax(1), sample_weight=w),
    "auroc": lambda y, p, w: over_classes(sklearn_metrics.roc_auc_score, y, p, w),
    "average_precision": lambda y, p, w: over_classes(sklearn_metrics.average_precision_score, y, p, w),
    "brier": brier_by_hand,
    "ece": ece_by_hand,
    "log_loss": lambda y, p, w: sklearn_metrics.log_loss(y, p, sample_weight=w),
}


def example(*, classes, n=120, seed=0, decimals=None):
    generator = np.random.default_rng(seed)
    y_true = generator.permutation(np.arange(n) % classes)
    logits = generator.normal(size=(n, classes)) + 1.2 * np.eye(classes)[y_true]
    if decimals is not None:
        logits = np.round(logits, decimals)
    return y_true, special.softmax(logits, axis=1), generator.integers(1, 4, n).astype(float)


def test_every_metric_of_the_report_has_a_second_derivation_here():
    assert set(BY_ANOTHER_ROUTE) == set(summaries.METRICS)


@pytest.mark.parametrize("name", summaries.METRICS)
@pytest.mark.parametrize("classes", [2, 3, 5])
@settings(max_examples=5)
@given(seed=st.integers(0, 1000), decimals=st.sampled_from([0, 1, None]))
def test_each_metric_equals_its_second_derivation_with_and_without_weights(name, classes, seed, decimals):
    y_true, scores, weight = example(classes=classes, seed=seed, decimals=decimals)
    metric, reference = summaries.METRICS[name], BY_ANOTHER_ROUTE[name]
    assert metric(y_true, scores) == pytest.approx(reference(y_true, scores, np.ones(len(y_true))), abs=1e-9)
    assert metric(y_true, scores, sample_weight=weight) == pytest.approx(reference(y_true, scores, weight), abs=1e-9)


@pytest.mark.parametrize("name", summaries.METRICS)
@pytest.mark.parametrize("classes", [2, 4])
def test_whole_weights_are_the_same_as_copies_of_rows(name, classes):
    y_true, scores, weight = example(classes=classes, seed=4, decimals=1)
    times = weight.astype(int)
    metric = summaries.METRICS[name]
    assert metric(y_true, scores, sample_weight=weight) == pytest.approx(
        metric(np.repeat(y_true, times), np.repeat(scores, times, axis=0))
    )


@pytest.mark.parametrize("name", summaries.METRICS)
def test_the_order_of_the_rows_does_not_matter(name):
    y_true, scores, _ = example(classes=3, seed=5, decimals=1)
    order = np.random.default_rng(1).permutation(len(y_true))
    metric = summaries.METRICS[name]
    assert metric(y_true[order], scores[order]) == pytest.approx(metric(y_true, scores))


@pytest.mark.parametrize("name", sorted(set(summaries.METRICS) - {"ece"}))
def test_one_column_and_two_columns_of_a_binary_score_agree(name):
    y_true, scores, _ = example(classes=2, seed=6)
    metric = summaries.METRICS[name]
    assert metric(y_true, scores[:, 1]) == pytest.approx(metric(y_true, scores))


@pytest.mark.parametrize("name", ["accuracy", "f1_macro", "mcc", "balanced_accuracy", "log_loss", "brier", "ece"])
def test_renaming_the_classes_does_not_matter(name):
    y_true, scores, _ = example(classes=4, seed=7)
    names = np.array([2, 0, 3, 1])
    metric = summaries.METRICS[name]
    assert metric(names[y_true], scores[:, np.argsort(names)]) == pytest.approx(metric(y_true, scores))


@pytest.mark.parametrize("metric", [classification.auroc, classification.average_precision])
@given(seed=st.integers(0, 1000))
def test_ranking_metrics_see_only_the_order_of_the_scores(metric, seed):
    y_true, scores, _ = example(classes=2, seed=seed, decimals=0)
    score = scores[:, 1]
    assert metric(y_true, np.exp(3 * score) - 7) == metric(y_true, score)


@given(seed=st.integers(0, 1000))
def test_auroc_of_the_reversed_score_is_its_complement(seed):
    y_true, scores, weight = example(classes=2, seed=seed, decimals=0)
    forth = classification.auroc(y_true, scores[:, 1], sample_weight=weight)
    back = classification.auroc(y_true, -scores[:, 1], sample_weight=weight)
    assert forth + back == pytest.approx(1)


def test_a_constant_score_has_auroc_one_half_and_the_prevalence_as_average_precision():
    y_true = np.array([0, 0, 0, 1])
    assert classification.auroc(y_true, np.zeros(4)) == 0.5
    assert classification.average_precision(y_true, np.zeros(4)) == 0.25


def test_always_predicting_one_class_has_mcc_zero():
    assert classification.mcc([0, 1, 1], [0.9, 0.9, 0.9]) == 0
    assert classification.mcc([0, 1, 1], [0.9, 0.9, 0.9], sample_weight=[0.1, 0.2, 0.7]) == 0


def test_binary_rates_come_from_the_confusion_matrix():
    y_true, scores, _ = example(classes=2, seed=9)
    (tn, fp), (fn, tp) = sklearn_metrics.confusion_matrix(y_true, scores.argmax(axis=1))
    assert classification.sensitivity(y_true, scores) == pytest.approx(tp / (tp + fn))
    assert classification.specificity(y_true, scores) == pytest.approx(tn / (tn + fp))
    assert classification.precision(y_true, scores) == pytest.approx(tp / (tp + fp))


@pytest.mark.parametrize(
    ("name", "y_true", "y_score", "message"),
    [
        (
            "auroc",
            [1, 1],
            [0.1, 0.2],
            r"expected rows of every class\. Received: y_true with classes \[1\], n = 2",
        ),
        ("average_precision", [0, 0], [0.1, 0.2], "rows of every class"),
        ("average_precision", [1, 1], [0.1, 0.2], "rows of every class"),
        ("balanced_accuracy", [1, 1], [0.1, 0.2], "at least two classes"),
        ("mcc", [1, 1], [0.1, 0.2], "at least two classes"),
        ("brier", [0, 1], [0.1, 1.2], r"probabilities in \[0, 1\]. Received: values from 0.1 to 1.2"),
        ("log_loss", [0, 1], [[0.5, 0.5], [0.5, 0.6]], r"rows that sum to 1\. Received: 1\.1 in row 1"),
        ("accuracy", [0, 3], [[0.5, 0.5], [0.5, 0.5]], r"class ids 0 to 1\. Received: \[3\]"),
        ("accuracy", [], [], "non-empty"),
        ("accuracy", [0, 1], [[0.5], [0.5]], "C >= 2"),
    ],
)
def test_what_is_undefined_or_malformed_raises_and_says_why(name, y_true, y_score, message):
    with pytest.raises(ValueError, match=message):
        summaries.METRICS[name](y_true, y_score)


@pytest.mark.parametrize("weight", [[1], [1, -1], [0, 0], [1, np.nan]])
def test_weights_that_are_none_raise(weight):
    with pytest.raises(ValueError, match="sample_weight: expected"):
        classification.accuracy([0, 1], [0.1, 0.9], sample_weight=weight)


def test_a_metric_keeps_the_name_and_the_documentation_of_its_definition():
    assert classification.auroc.__name__ == "auroc"
    assert "ROC" in (classification.auroc.__doc__ or "")


def test_summarize_gives_each_metric_the_interval_that_bootstrap_gives_it():
    y_true, scores, _ = example(classes=3, seed=10)
    unit = np.arange(120) // 3
    found = summaries.summarize(y_true, scores, units=unit, resamples=100, seed=2)
    assert list(found) == list(summaries.METRICS)
    assert found.notes == []
    for name, metric in summaries.METRICS.items():
        if name == "accuracy":  # a share, whose variance has a form
            assert found[name] == intervals.proportion(scores.argmax(axis=1) == y_true, units=unit)
        else:
            assert found[name] == bootstrap.interval(metric, y_true, scores, units=unit, resamples=100, seed=2)


def test_summarize_judges_the_given_predictions_and_ranks_by_the_scores():
    y_true, scores, _ = example(classes=2, seed=11)
    predicted = (scores[:, 1] >= 0.8).astype(int)
    found = summaries.summarize(y_true, scores, predicted=predicted, resamples=20)
    assert found["accuracy"].value == pytest.approx((predicted == y_true).mean())
    assert found["mcc"].value == pytest.approx(sklearn_metrics.matthews_corrcoef(y_true, predicted))
    assert found["auroc"].value == pytest.approx(sklearn_metrics.roc_auc_score(y_true, scores[:, 1]))


def test_summarize_leaves_out_what_is_undefined_and_notes_it():
    found = summaries.summarize([1, 1, 1], [[0.2, 0.8]] * 3, resamples=20)
    assert "auroc" not in found
    assert any(note.startswith("auroc: expected rows of every class. Received:") for note in found.notes)
    assert set(found) | {note.split(":")[0] for note in found.notes} == set(summaries.METRICS)


def test_a_perfect_accuracy_is_not_certain():
    found = summaries.summarize([0, 1] * 10, [0.1, 0.9] * 10, resamples=20)
    assert found["accuracy"] == intervals.wilson(20, 20)
    assert found["f1_macro"].method == "bootstrap by row, rule of three, all resamples equal"
    # Of the ten rows of either class none was wrong.
    assert found["f1_macro"].low == pytest.approx(0.05 ** (1 / 10))


def test_compare_is_zero_for_a_model_and_itself_and_the_difference_of_values_otherwise():
    y_true, scores, _ = example(classes=3, seed=12)
    other = special.softmax(np.log(scores) + np.random.default_rng(0).normal(size=scores.shape), axis=1)
    same = summaries.compare(y_true, scores, scores, resamples=50)
    assert {difference.value for difference in same.values()} == {0}
    assert all(-difference.low == difference.high > 0 for difference in same.values())
    assert same.notes == [
        "log_loss: expected resamples that differ. Received: equal ones, of a number without an upper bound"
    ]
    differs = summaries.compare(y_true, scores, other, resamples=50)
    for name, metric in summaries.METRICS.items():
        assert differs[name].value == pytest.approx(metric(y_true, scores) - metric(y_true, other))


def test_the_confusion_matrix_equals_that_of_scikit_learn():
    y_true, scores, _ = example(classes=4, seed=13)
    expected = sklearn_metrics.confusion_matrix(y_true, scores.argmax(axis=1))
    assert np.array_equal(summaries.confusion(y_true, scores), expected)
    predicted = np.zeros(len(y_true), dtype=int)
    assert summaries.confusion(y_true, scores, predicted=predicted)[:, 0].sum() == len(y_true)


def test_per_class_rows_equal_those_of_scikit_learn_with_intervals_around_them():
    y_true, scores, _ = example(classes=3, seed=14)
    rows = summaries.per_class(y_true, scores, class_names=("bad", "fair", "good"), resamples=50)
    precision, recall, f1, support = sklearn_metrics.precision_recall_fscore_support(y_true, scores.argmax(axis=1))
    assert [row["class"] for row in rows] == ["bad", "fair", "good"]
    assert [row["support"] for row in rows] == support.tolist()
    for column, expected in (("precision", precision), ("recall", recall), ("f1", f1)):
        assert [row[column].value for row in rows] == pytest.approx(expected.tolist())
        assert all(row[column].low < row[column].value < row[column].high for row in rows)


def test_per_class_rows_of_a_class_never_predicted_have_no_precision():
    row = summaries.per_class([0, 1] * 20, np.linspace(0.1, 0.3, 40), resamples=20)[1]
    assert (row["precision"], row["recall"].value, row["f1"].value) == (None, 0, 0)


def test_per_class_refuses_another_number_of_names_than_classes():
    with pytest.raises(ValueError, match=r"class_names: expected 2 names\. Received: 3"):
        summaries.per_class([0, 1], [0.1, 0.9], class_names=("a", "b", "c"))


SLICE_METRICS = {name: summaries.METRICS[name] for name in ("accuracy", "f1_macro", "auroc")}


def evaluator(y_true, scores, unit):
    """An evaluation beside one baseline, which knows nothing."""
    return evaluators.Evaluator(
        labels=np.asarray(y_true),
        units=np.asarray(unit),
        scores=scores,
        predicted=scores.argmax(axis=1),
        baselines={"chance": np.full(scores.shape, 0.5)},
        class_names=("no", "yes"),
        metrics=summaries.METRICS,
        slice_metrics=SLICE_METRICS,
        slice_compared=SLICE_METRICS,
        resamples=50,
        seed=0,
    )


def test_a_slice_has_the_metrics_of_its_own_rows():
    y_true, scores, _ = example(classes=2, seed=15)
    inside = np.arange(120) < 50
    unit = np.arange(120) // 2
    row = evaluator(y_true, scores, unit).slice("first", inside)
    alone = summaries.summarize(y_true[:50], scores[:50], units=unit[:50], metrics=SLICE_METRICS, resamples=50)
    assert (row["name"], row["n"], row["n_units"], row["notes"]) == ("first", 50, 25, [])
    assert row["metrics"] == alone


def test_a_slice_compares_model_and_baseline_as_two_separate_computations_would():
    y_true, scores, _ = example(classes=2, seed=17)
    inside = np.arange(120) >= 40
    unit = np.arange(120) // 3
    row = evaluator(y_true, scores, unit).slice("last", inside)
    chance = np.full((80, 2), 0.5)
    arguments: dict[str, Any] = {"units": unit[40:], "metrics": SLICE_METRICS, "resamples": 50}
    assert row["baselines"]["chance"] == summaries.summarize(y_true[40:], chance, **arguments)
    assert row["differences"]["chance"] == summaries.compare(y_true[40:], scores[40:], chance, **arguments)


def test_small_slices_are_named_and_not_measured():
    y_true, scores, _ = example(classes=2, seed=16)
    few, one_unit = np.arange(120) < 29, np.arange(120) < 60
    unit = np.where(one_unit, 0, np.arange(120))
    found = evaluator(y_true, scores, unit)
    rows = [found.slice(name, inside) for name, inside in {"few": few, "one": one_unit}.items()]
    assert [row["metrics"] for row in rows] == [{}, {}]
    assert rows[1]["notes"] == ["too few: 60 rows of 1 units"]


def test_a_slice_of_row_numbers_is_refused():
    with pytest.raises(ValueError, match=r"odd: expected \(2,\) bool\. Received: \(1,\) int64"):
        evaluator([0, 1], np.array([[0.9, 0.1], [0.1, 0.9]]), [0, 1]).slice("odd", [1])


def test_an_evaluation_without_a_baseline_or_with_one_of_another_shape_is_refused():
    found = evaluator([0, 1], np.eye(2), [0, 1])
    with pytest.raises(ValueError, match="at least one plain baseline"):
        dataclasses.replace(found, baselines={})
    with pytest.raises(ValueError, match=r"baseline_scores\.odd: expected shape \(2, 2\)"):
        dataclasses.replace(found, baselines={"odd": np.ones((3, 2))})


def test_no_warning_escapes_from_degenerate_resamples():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        summaries.summarize([0, 0, 0, 1, 1, 1, 1], np.linspace(0, 1, 7), resamples=500)


def evaluation_of(labels, scores, baseline):
    """Rows of units of two, judged by a model and one baseline; every number of the common evaluation."""
    labels, scores = np.array(labels), np.array(scores, float)
    evaluator = evaluators.Evaluator(
        labels=labels,
        units=np.arange(len(labels)) // 2,
        scores=scores,
        predicted=scores.argmax(axis=1),
        baselines={"plain": np.array(baseline, float)},
        class_names=("a", "b", "c")[: scores.shape[1]],
        metrics=summaries.METRICS,
        slice_metrics=summaries.METRICS,
        slice_compared=summaries.METRICS,
        resamples=50,
        seed=0,
    )
    rule = types.SimpleNamespace(temperature=1.0, alpha=0.1, quantile=0.5)
    return classifier.evaluate(evaluator, np.log(scores), rule, {"all": np.ones(len(labels), bool)})


def test_where_one_class_occurs_nothing_is_compared_and_the_reason_is_said():
    scores = [[0.2, 0.8], [0.6, 0.4]] * 20
    found = evaluation_of([1] * 40, scores, [[0.1, 0.9]] * 40)
    assert found.degenerate.startswith("Only one class occurs, b:")
    assert found.notes[0] == found.degenerate
    assert found.differences == {"plain": {}}
    assert found.metrics["accuracy"].value == 0.5
    assert "f1_macro" not in found.metrics
    assert "f1_macro" not in found.baselines["plain"]
    assert "f1_macro" not in found.slices[0]["metrics"] | found.slices[0]["differences"]["plain"]


def test_equal_scores_for_every_row_are_no_model_to_compare():
    found = evaluation_of([0, 1] * 20, [[0.3, 0.7]] * 40, [[0.9, 0.1], [0.1, 0.9]] * 20)
    assert found.degenerate.startswith("The model gives every row the same scores")
    assert found.differences == {"plain": {}}
    assert found.metrics["accuracy"].value == 0.5


def test_a_mean_over_classes_is_not_compared_where_only_one_side_predicts_a_class_that_no_row_is_of():
    model = [[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]] * 20
    plain = [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]] * 20
    found = evaluation_of([0, 1] * 20, model, plain)
    assert found.degenerate == ""
    assert "f1_macro" not in found.differences["plain"]
    assert found.differences["plain"]["accuracy"].value == -0.5
    assert "f1_macro" in evaluation_of([0, 1, 2, 1] * 10, model, plain).differences["plain"]
