"""The report's sections on any classifier: classes, calibration, abstention and the sentences that sum them up."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from shared.evaluation import arrays, classifier, conformal, evaluators
from shared.report import blocks, document, figures, formatting


class Words(NamedTuple):
    """What the report calls things.

    Attributes:
        row: One row, such as "image"; its plural ends in "s".
        baseline: The baseline to beat.
    """

    row: str
    baseline: str

    @property
    def rows(self) -> str:
        """Several rows."""
        return f"{self.row}s"


def abstaining(content: Mapping[str, Any]) -> str:
    """Say what the abstention rule costs and buys."""
    selective = content["selective_accuracy"]
    if selective is None:
        return "It is never sure enough to predict a class under its abstention rule."
    if content["answered"] == content["n"]:
        return "It never abstains here."
    held_back = 100 * (1 - content["coverage"].value)
    correct = formatting.percent(selective)
    return f"It abstains from the {held_back:.1f} % it is unsure of, and is correct on {correct} of the rest."


def confusion(counts: arrays.Ints, class_names: Sequence[str], caption: str) -> blocks.Figure:
    """Draw a confusion matrix."""
    return blocks.Figure(
        svg=figures.confusion(counts, class_names),
        caption=caption,
        alt=f"Confusion matrix of {', '.join(class_names)}",
    )


def classes(
    results: classifier.Results, class_names: Sequence[str], words: Words, *, more: Mapping[str, str] | None = None
) -> document.Section:
    """Show which classes are taken for which; ``more`` names further columns of the class table."""
    columns = {**(more or {}), "precision": "Precision", "recall": "Recall", "f1": "F1"}
    table = blocks.Table(
        columns=("Class", words.rows.capitalize(), "Predicted", *columns.values()),
        rows=[
            (row["class"], row["support"], row["predicted"], *(row[name] for name in columns))
            for row in results.per_class
        ],
        caption=f"Each class, with a class predicted for every {words.row}."
        + (" AUROC is against all other classes." if more else ""),
        align="l" + "r" * (2 + len(columns)),
    )
    caption = f"{words.rows.capitalize()} by true and predicted class; the percentages are shares of the true class."
    figure = confusion(results.confusion, class_names, caption)
    return document.Section("Which classes it confuses", "What is taken for what.", [figure, table])


def reliability(curves: Mapping[str, Sequence[Mapping[str, float]]], caption: str) -> blocks.Figure:
    """Draw reliability diagrams."""
    return blocks.Figure(
        svg=figures.reliability(curves), caption=caption, alt=f"Reliability diagram: {', '.join(curves).lower()}"
    )


def calibration(content: Mapping[str, Any], lead: str, *, beside: Sequence[blocks.Block] = ()) -> document.Section:
    """Show whether 80 % sure means correct in 80 %; ``beside`` stands beside the diagram."""
    stages = {"Before": "before", f"After (temperature {content['temperature']:.2f})": "after"}
    names = list(classifier.CALIBRATION_METRICS)
    table = blocks.Table(
        columns=("", *(f"{formatting.metric_name(name)} ↓" for name in names)),
        rows=[(label, *(content[stage].get(name) for name in names)) for label, stage in stages.items()],
        caption="The temperature was fitted on validation data. ↓: lower is better.",
        align="l" + "r" * len(names),
    )
    figure = reliability(
        {"Before calibration": content["reliability"]["before"], "After": content["reliability"]["after"]},
        "Share that is correct among predictions of a given score: on the diagonal, as often as stated. Below, rows "
        "per bin.",
    )
    return document.Section("Are its scores calibrated?", lead, [blocks.Row([figure, *beside]), table])


def abstention(
    results: classifier.Results, evaluator: evaluators.Evaluator, baseline: str, words: Words
) -> document.Section:
    """Show what is gained by leaving unsure rows to a person.

    Args:
        results: The evaluation's results.
        evaluator: The scores.
        baseline: Key of the baseline to beat.
        words: What the report calls things.
    """
    content, theirs = results.abstention, evaluator.baselines[baseline]
    curves = {
        "Model": _risk(evaluator.correct, evaluator.scores),
        words.baseline: _risk(theirs.argmax(axis=1) == evaluator.labels, theirs),
    }
    figure = blocks.Figure(
        svg=figures.risk_coverage(curves, chosen=content["coverage"].value),
        caption=f"Errors among the {words.rows} predicted when the least sure are left out first.",
        alt="Risk against coverage of the model and its baseline",
    )
    by_class = zip(evaluator.class_names, content["sets"]["class_coverage"], strict=True)
    table = blocks.facts(
        "The abstention rule, frozen on validation data",
        {
            "Rule": content["rule"],
            "Accepted rate of sets that miss the true class": content["alpha"],
            "Sets that hold the true class": content["sets"]["coverage"],
            **{f"… of {name}": found for name, found in by_class},
            f"{words.rows.capitalize()} predicted": content["coverage"],
            f"Accuracy when every {words.row} is predicted": content["accuracy"],
            f"Accuracy on the {words.rows} predicted": content["selective_accuracy"],
            "Accuracy on those held back, were they predicted": content["abstained_accuracy"],
            "Area under the risk-coverage curve": content["aurc"],
        },
    )
    return document.Section("When to abstain", abstaining(content), [blocks.Row([figure, table])])


def _risk(correct: arrays.Bools, scores: arrays.Floats) -> tuple[list[float], list[float]]:
    curve = conformal.risk_coverage(np.asarray(correct), scores.max(axis=1))
    return curve["coverage"], curve["risk"]


def surest_errors(evaluator: evaluators.Evaluator, *, label: int | None = None) -> arrays.Ints:
    """Return the rows predicted wrongly, of one true class or of all, the surest first."""
    wrong = ~evaluator.correct if label is None else ~evaluator.correct & (evaluator.labels == label)
    rows = np.flatnonzero(wrong)
    sureness = evaluator.scores[rows, evaluator.predicted[rows]]
    return rows[np.argsort(-sureness, kind="stable")]
