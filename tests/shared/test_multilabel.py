import numpy as np
import pytest

from shared.evaluation import multilabel, summaries
from shared.report import blocks, curves

METRICS = {name: summaries.METRICS[name] for name in ("auroc", "brier", "balanced_accuracy", "ece")}


def example(*, n=120, unknown=0.25, seed=0):
    generator = np.random.default_rng(seed)
    labels = (generator.random((n, 3)) < (0.5, 0.3, 0.4)).astype(float)
    scores = np.clip(0.3 * labels + generator.random((n, 3)) * 0.7, 0, 1)
    labels[generator.random((n, 3)) < unknown] = np.nan
    return labels, scores


def summary(labels, scores, **more):
    return multilabel.summarize(labels, scores, present=scores >= 0.5, metrics=METRICS, resamples=200, **more)


def test_each_finding_has_the_numbers_and_intervals_that_its_known_rows_have_alone():
    labels, scores = example(unknown=0.0)
    found = summary(labels, scores)
    for place in range(3):
        alone = summaries.summarize(labels[:, place].astype(int), scores[:, place], metrics=METRICS, resamples=200)
        for name in METRICS:
            ours, theirs = found.findings[place][name], alone[name]
            assert (ours.value, ours.low, ours.high) == pytest.approx((theirs.value, theirs.low, theirs.high))


def test_what_is_said_of_unknown_rows_changes_nothing():
    labels, scores = example()
    other = np.where(np.isnan(labels), 1 - scores, scores)
    first, second = summary(labels, scores), summary(labels, other)
    assert first.macro == second.macro
    assert first.findings == second.findings


def test_the_mean_is_over_the_findings_on_which_a_metric_is_defined_and_says_so():
    labels, scores = example()
    labels[:, 1] = np.where(np.isnan(labels[:, 1]), np.nan, 0)
    labels[:, 2] = np.nan
    found = summary(labels, scores)
    assert found.macro["auroc"].value == pytest.approx(found.findings[0]["auroc"].value)
    assert "auroc: the mean is over 1 of 3 findings" in found.macro.notes
    assert "brier: the mean is over 2 of 3 findings" in found.macro.notes
    assert not found.findings[2]


def test_a_mean_of_three_findings_is_surer_than_one_of_them():
    labels, scores = example()
    found = summary(labels, scores, units=np.arange(120) // 2)
    width = found.macro["auroc"].high - found.macro["auroc"].low
    assert width < min(row["auroc"].high - row["auroc"].low for row in found.findings)
    assert found.macro["auroc"].method == "bootstrap by unit, mean, Wilson at the effective size"


def test_a_model_does_not_differ_from_itself_and_does_from_its_reverse():
    labels, scores = example()
    both = (scores >= 0.5, scores >= 0.5)
    same = multilabel.compare(labels, (scores, scores), present=both, metrics=METRICS, resamples=50)
    assert same.macro["auroc"].value == 0
    assert -0.2 < same.macro["auroc"].low < 0 < same.macro["auroc"].high < 0.2
    assert same.macro["auroc"].method.endswith("rule of three, all resamples equal")
    reverse = multilabel.compare(labels, (scores, 1 - scores), present=both, metrics=METRICS, resamples=50)
    assert reverse.macro["auroc"].low > 0


@pytest.mark.parametrize(("labels", "scores"), [([[0, 2]], [[0.1, 0.2]]), ([[0, 1]], [[0.1]]), ([0, 1], [0.1, 0.2])])
def test_labels_that_are_not_flags_and_other_shapes_are_refused(labels, scores):
    with pytest.raises(ValueError, match="labels: expected"):
        multilabel.summarize(labels, scores, present=np.zeros(np.shape(scores)), metrics=METRICS)


def test_a_picture_from_elsewhere_is_refused():
    with pytest.raises(ValueError, match="data:image"):
        blocks.Picture(source="https://example.org/a.png", alt="")


def test_lines_name_their_curves_and_refuse_a_curve_of_another_length():
    look = curves.Look(x_label="Level", y_label="AUROC", marks={"Frozen": 1.0}, whole=True)
    svg = curves.lines([0, 1, 2], {"noise": [0.9, None, 0.7]}, look=look)
    assert all(text in svg for text in ("noise", "Level", "AUROC", "Frozen"))
    assert svg == curves.lines([0, 1, 2], {"noise": [0.9, None, 0.7]}, look=look)
    with pytest.raises(ValueError, match="of 3 points"):
        curves.lines([0, 1, 2], {"noise": [0.9]}, look=look)
