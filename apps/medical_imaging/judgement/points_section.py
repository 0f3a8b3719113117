"""The report's section on the frozen thresholds of two classes. No TensorFlow here."""

from collections.abc import Mapping, Sequence
from typing import Any

from apps.medical_imaging.judgement import answer, operating, single
from apps.medical_imaging.judgement import judge as judges
from shared.report import blocks, document, figures


def section(findings: single.Findings, judge: judges.Judge) -> document.Section:
    """Show what each frozen threshold finds, misses and raises falsely."""
    point = findings.points[0]
    drawn = [
        blocks.Figure(
            svg=figures.confusion(findings.confusion, judge.class_names),
            caption="Images by true class and class answered at the decision's threshold; shares of the true class.",
            alt=f"Confusion matrix of {', '.join(judge.class_names)}",
        ),
        blocks.Figure(
            svg=figures.score_histogram(
                judge.labels, judge.scores[:, 1], judge.class_names, threshold=point["threshold"]
            ),
            caption="How the calibrated scores of each true class lie.",
            alt="Histogram of scores by true class",
        ),
    ]
    lead = (
        "Every threshold was chosen on validation patients, before these images were looked at. Rule-out should "
        "miss almost no one, rule-in should raise almost no false alarm."
    )
    return document.Section(
        "At the frozen thresholds",
        lead,
        [
            blocks.Row(drawn),
            _point_table(findings.points),
            _count_table(findings.points),
            _prevalences(findings.points),
        ],
    )


def _point_table(points: Sequence[Mapping[str, Any]]) -> blocks.Table:
    names = ("sensitivity", "specificity", "precision", "negative_predictive_value", "accuracy")
    return blocks.Table(
        columns=("Threshold", "Score from", "Sensitivity", "Specificity", "PPV", "NPV", "Accuracy"),
        rows=[(_point_label(point), point["threshold"], *(point[name] for name in names)) for point in points],
        caption="What each frozen threshold does here, with Wilson intervals at the effective number of patients.",
        align="lrrrrrr",
        emphasis=(0,),
    )


def _point_label(point: Mapping[str, Any]) -> str:
    purpose = str(point["name"]).partition(" ")[0]
    return purpose if purpose == point["rule"] else f"{purpose} ({answer.spaced(point['rule'])})"


def _count_table(points: Sequence[Mapping[str, Any]]) -> blocks.Table:
    return blocks.Table(
        columns=("Threshold", "Positives found", "Positives missed", "Negatives cleared", "False alarms"),
        rows=[(_point_label(point), *(point[name] for name in ("tp", "fn", "tn", "fp"))) for point in points],
        caption="The same in images: the confusion matrix of each threshold.",
        align="lrrrr",
    )


def _prevalences(points: Sequence[Mapping[str, Any]]) -> blocks.Table:
    meanings = {"PPV": "precision", "NPV": "negative_predictive_value"}
    rows = [
        (f"{_point_label(point)}: {short}", *(row[name] for row in point["at_prevalence"]))
        for point in points
        for short, name in meanings.items()
        if point["at_prevalence"]
    ]
    return blocks.Table(
        columns=("If this share of images were positive:", *(f"{100 * share:g} %" for share in operating.PREVALENCES)),
        rows=rows,
        caption="What a positive (PPV) and a negative answer (NPV) would mean elsewhere: sensitivity and specificity "
        "as measured here, by Bayes' rule.",
        align="l" + "r" * len(operating.PREVALENCES),
    )
