"""The report's sections on how well the model does: findings in, blocks out. No TensorFlow here."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from apps.sentiment import baselines
from apps.sentiment.judgement import answer, evidence, results
from apps.sentiment.judgement import judge as judges
from shared.evaluation import conformal
from shared.report import blocks, document, figures, formatting

MOST_ERRORS = 8
LONGEST_QUOTE = 900
_BREAKS = re.compile(r"(?:\s*<br\s*/?>)+\s*", re.IGNORECASE)
REPORTED_KINDS = {
    "source": "Source",
    "length": "Length",
    "out_of_vocabulary": "Unknown words",
}


def where(findings: results.Findings) -> document.Section:
    """Show accuracy on every slice, beside the baseline to beat."""
    name = answer.reference(findings.baselines)
    tables = [_slice_table(findings.slices, kind, name) for kind in REPORTED_KINDS]
    lead = f"Accuracy on parts of the data; the baseline is {baselines.LABELS.get(name, name)}."
    return document.Section("Where it is right", lead, tables)


def _slice_table(slices: Sequence[Mapping[str, Any]], kind: str, name: str) -> blocks.Table:
    title = REPORTED_KINDS[kind]
    rows = [row for row in slices if row["name"].startswith(f"{kind}=")]
    return blocks.Table(
        columns=(title, "Texts", "Units", "Model", "Baseline", "Difference"),
        rows=[(row["name"].partition("=")[2], row["n"], row["n_units"], *_slice_cells(row, name)) for row in rows],
        caption=f"By {title.lower()}: accuracy, and model minus baseline on the same resamples.",
        align="lrrrrr",
    )


def _slice_cells(row: Mapping[str, Any], name: str) -> tuple[blocks.Cell, ...]:
    if not row["metrics"]:
        return ("too few", None, None)
    groups = (row["metrics"], row["baselines"][name], row["differences"][name])
    return tuple(group.get("accuracy") for group in groups)


def classes(findings: results.Findings, class_names: Sequence[str]) -> document.Section:
    """Show what is taken for what."""
    figure = blocks.Figure(
        svg=figures.confusion(findings.confusion, class_names),
        caption="Texts by true class and class answered; the percentages are shares of the true class.",
        alt=f"Confusion matrix of {', '.join(class_names)}",
    )
    table = blocks.Table(
        columns=("Class", "Texts", "Answered", "Precision", "Recall", "F1"),
        rows=[
            (row["class"], row["support"], row["predicted"], row["precision"], row["recall"], row["f1"])
            for row in findings.per_class
        ],
        caption="Each class, with every text answered.",
        align="lrrrrr",
    )
    return document.Section("Which classes it confuses", "What is taken for what.", [figure, table])


def calibration(findings: results.Findings) -> document.Section:
    """Show whether 80 % sure means right in 80 %."""
    content = findings.calibration
    curves = {
        "Before calibration": content["reliability"]["before"],
        "After": content["reliability"]["after"],
    }
    names = list(results.CALIBRATION_METRICS)
    table = blocks.Table(
        columns=("", *(f"{formatting.metric_name(name)} ↓" for name in names)),
        rows=[
            ("Before", *(content["before"].get(name) for name in names)),
            (
                f"After (temperature {content['temperature']:.2f})",
                *(content["after"].get(name) for name in names),
            ),
        ],
        caption="The temperature was fitted on validation data. ↓: lower is better.",
        align="l" + "r" * len(names),
    )
    figure = blocks.Figure(
        svg=figures.reliability(curves),
        caption="How often answers of a given confidence are right: on the diagonal, as often as stated.",
        alt="Reliability diagram before and after calibration",
    )
    lead = "Whether a confidence of 80 % means right in 80 of 100 cases."
    return document.Section("Can its confidence be believed?", lead, [figure, table])


def abstention(findings: results.Findings, judge: judges.Judge) -> document.Section:
    """Show what is gained by leaving unsure texts to a person."""
    content = findings.abstention
    name = answer.reference(findings.baselines)
    label = baselines.LABELS.get(name, name)
    curves = {
        "Model": _risk(judge.correct, judge.scores),
        label: _risk(judge.baselines[name].argmax(axis=1) == judge.labels, judge.baselines[name]),
    }
    figure = blocks.Figure(
        svg=figures.risk_coverage(curves, chosen=content["coverage"].value),
        caption="Errors among the texts answered when the least sure are left out first.",
        alt="Risk against coverage of the model and its baseline",
    )
    table = blocks.facts(
        "The abstention rule, frozen on validation data",
        {
            "Rule": content["rule"],
            "Accepted rate of sets that miss the truth": content["alpha"],
            "Sets that hold the truth": content["sets"]["coverage"],
            "Texts answered": content["coverage"],
            "Accuracy when every text is answered": content["accuracy"],
            "Accuracy on the texts answered": content["selective_accuracy"],
            "Accuracy on those held back, were they answered": content["abstained_accuracy"],
            "Area under the risk-coverage curve": content["aurc"],
        },
    )
    return document.Section("When to abstain", answer.abstaining(content), [figure, table])


def _risk(correct: evidence.Bools, scores: evidence.Floats) -> tuple[list[float], list[float]]:
    curve = conformal.risk_coverage(np.asarray(correct), scores.max(axis=1))
    return curve["coverage"], curve["risk"]


def mistakes(rows: evidence.Rows, judge: judges.Judge, class_names: Sequence[str]) -> document.Section:
    """Quote the wrong answers that the model was surest of."""
    confidence = judge.scores.max(axis=1)
    wrong = np.flatnonzero(~judge.correct)
    surest = wrong[np.argsort(-confidence[wrong], kind="stable")][:MOST_ERRORS]
    quotes = [
        blocks.Quote(
            text=_shortened(rows.texts[row]),
            facts={
                "Labelled": class_names[judge.labels[row]],
                "Answered": class_names[judge.predicted[row]],
                "Confidence": float(confidence[row]),
                "From": _origin(rows, int(row)),
            },
            tone="bad",
        )
        for row in surest
    ]
    lead = "The wrong answers it was surest of. Some of them are labels that a reader would dispute."
    return document.Section("Its most confident errors", lead if len(quotes) else "It made no errors.", quotes)


def _origin(rows: evidence.Rows, row: int) -> str:
    """Say where a text is found: in which of many files, or in which part of the only one."""
    name = rows.sources[row] if len(set(rows.files)) == 1 else rows.files[row]
    return f"{name}, row {rows.lines[row]:,}"


def _shortened(text: str) -> str:
    """Keep both ends of a long text, the verdict often stands in the last sentence, and break its lines."""
    text = _BREAKS.sub("\n", text)
    if len(text) <= LONGEST_QUOTE:
        return text
    half = LONGEST_QUOTE // 2
    return f"{text[:half]} […] {text[-half:]}"
