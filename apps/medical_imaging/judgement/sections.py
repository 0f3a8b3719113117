"""The report's sections on one answer per image: findings in, blocks out. No TensorFlow here."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from apps.medical_imaging import baselines
from apps.medical_imaging.judgement import answer, evidence, single
from apps.medical_imaging.judgement import judge as judges
from shared.evaluation import conformal, intervals, net_benefit
from shared.report import blocks, curves, document, figures, formatting

MOST_CURVES = 3


def ranking(findings: single.Findings, judge: judges.Judge) -> document.Section:
    """Show the whole trade between found and falsely called, of two classes."""
    scores = {"Model": judge.scores[:, 1], **_baseline_scores(judge)}
    drawn = [
        blocks.Figure(
            svg=figures.roc(judge.labels, scores),
            caption="Each point of a line is a threshold. The frozen ones are judged in the next section.",
            alt="Receiver operating characteristic of the model and its baselines",
        ),
        blocks.Figure(
            svg=figures.precision_recall(judge.labels, scores),
            caption="Precision depends on the share of positives; the dotted line is chance.",
            alt="Precision against recall of the model and its baselines",
        ),
    ]
    table = blocks.facts(
        "How sure these numbers are",
        {
            "AUROC, bootstrap by patient": findings.metrics.get("auroc"),
            "AUROC, DeLong by patient": findings.delong,
            "Average precision": findings.metrics.get("average_precision"),
            "Share of positives here, chance level of average precision": float(judge.labels.mean()),
        },
    )
    return document.Section("How well it ranks", "Without any threshold.", [blocks.Row(drawn), table])


def _baseline_scores(judge: judges.Judge) -> dict[str, evidence.Floats]:
    named = [name for name in judge.baselines if name != baselines.MAJORITY][: MOST_CURVES - 1]
    return {baselines.LABELS.get(name, name): judge.baselines[name][:, 1] for name in named}


def calibration(findings: single.Findings, *, binary: bool) -> document.Section:
    """Show whether 80 % sure means right in 80 %."""
    content = findings.calibration
    reliability = {"Before calibration": content["reliability"]["before"], "After": content["reliability"]["after"]}
    names = list(single.CALIBRATION_METRICS)
    stages = {"Before": "before", f"After (temperature {content['temperature']:.2f})": "after"}
    table = blocks.Table(
        columns=("", *(f"{formatting.metric_name(name)} ↓" for name in names)),
        rows=[(label, *(content[stage].get(name) for name in names)) for label, stage in stages.items()],
        caption="The temperature was fitted on validation patients. ↓: lower is better.",
        align="l" + "r" * len(names),
    )
    figure = blocks.Figure(
        svg=figures.reliability(reliability),
        caption="How often what was announced came true: on the diagonal, as often as stated. Below, images per bin.",
        alt="Reliability diagram before and after calibration",
    )
    lead = (
        "Whether a score of 0.8 means that 80 of 100 such images are positive."
        if binary
        else "Whether 80 % sure means right."
    )
    slope = [_slope_table(content)] if "slope" in content else []
    return document.Section("Can its scores be believed?", lead, [blocks.Row([figure, *slope]), table])


def _slope_table(content: Mapping[str, Any]) -> blocks.Block:
    if content["slope"] is None:
        return blocks.Text(f"There is no calibration slope: {content['why']}.")
    return blocks.Table(
        columns=("", "Ideal", "Here"),
        rows=[("Slope", 1, content["slope"]), ("Intercept", 0, content["intercept"])],
        caption="Calibration slope (below 1: too sure of itself) and calibration in the large (below 0: it announces "
        "more positives than there are). Cox 1958; Van Calster et al. 2016.",
        align="lrr",
        digits=2,
    )


def decision_curve(findings: single.Findings) -> document.Section:
    """Show at which thresholds acting on the model is worth more than treating all or none."""
    rows = findings.decision_curve
    useful = net_benefit.useful_range(rows)
    lowest = min(0.0, -0.02)
    figure = blocks.Figure(
        svg=curves.lines(
            [row["threshold"] for row in rows],
            {
                "Model": [row["model"] for row in rows],
                "Act on everyone": [_above(row["everyone"].value, lowest * 4) for row in rows],
                "Act on no one": [0.0 for _ in rows],
            },
            look=curves.Look(x_label="Threshold probability", y_label="Net benefit per image"),
        ),
        caption="Cases found per image, false alarms taken off at the rate that the threshold probability states "
        "(Vickers & Elkin 2006). Acting at 0.1 accepts nine false alarms for one case.",
        alt="Net benefit of the model, of acting on everyone and of acting on no one",
    )
    if useful is None:
        lead = "At no threshold probability is acting on the model clearly worth more than treating all alike."
    else:
        lead = (
            f"Acting on the model is clearly worth more than treating all alike at threshold probabilities from "
            f"{useful[0]:g} to {useful[1]:g}."
        )
    table = blocks.Table(
        columns=("Threshold probability", "Model", "Everyone", "Model minus the better of all and none"),
        rows=[(row["threshold"], row["model"], row["everyone"], row["gain"]) for row in rows],
        caption="Net benefit.",
        align="rrrr",
        digits=(2, 3, 3, 3),
    )
    return document.Section("Is it worth acting on?", lead, [figure, blocks.Details("All thresholds", [table])])


def _above(value: float, floor: float) -> float | None:
    """Leave out what would stretch the figure: acting on everyone falls without end."""
    return value if value >= floor else None


def abstention(findings: single.Findings, judge: judges.Judge) -> document.Section:
    """Show what is gained by leaving unsure images to a person."""
    content = findings.abstention
    name = answer.reference(findings.baselines)
    drawn = {
        "Model": _risk(judge.correct, judge.scores),
        baselines.LABELS.get(name, name): _risk(
            judge.baselines[name].argmax(axis=1) == judge.labels, judge.baselines[name]
        ),
    }
    figure = blocks.Figure(
        svg=figures.risk_coverage(drawn, chosen=content["coverage"].value),
        caption="Errors among the images answered when the least sure are left out first.",
        alt="Risk against coverage of the model and its baseline",
    )
    held = zip(judge.class_names, content["sets"]["class_coverage"], strict=True)
    table = blocks.facts(
        "The abstention rule, frozen on validation data",
        {
            "Rule": content["rule"],
            "Accepted rate of sets that miss the truth": content["alpha"],
            "Sets that hold the truth": content["sets"]["coverage"],
            **{f"… of {title}": found for title, found in held},
            "Images answered": content["coverage"],
            "Accuracy when every image is answered": content["accuracy"],
            "Accuracy on the images answered": content["selective_accuracy"],
            "Accuracy on those held back, were they answered": content["abstained_accuracy"],
            "Area under the risk-coverage curve": content["aurc"],
        },
    )
    return document.Section("When to abstain", answer.abstaining(content), [blocks.Row([figure, table])])


def _risk(correct: evidence.Bools, scores: evidence.Floats) -> tuple[list[float], list[float]]:
    curve = conformal.risk_coverage(np.asarray(correct), scores.max(axis=1))
    return curve["coverage"], curve["risk"]


def classes(findings: single.Findings, class_names: Sequence[str]) -> document.Section:
    """Show what is taken for what, of several classes."""
    figure = blocks.Figure(
        svg=figures.confusion(findings.confusion, class_names),
        caption="Images by true class and class answered; the percentages are shares of the true class.",
        alt=f"Confusion matrix of {', '.join(class_names)}",
    )
    table = blocks.Table(
        columns=("Class", "Images", "Answered", "AUROC", "Precision", "Recall", "F1"),
        rows=[
            tuple(row[name] for name in ("class", "support", "predicted", "auroc", "precision", "recall", "f1"))
            for row in findings.per_class
        ],
        caption="Each class, with every image answered; AUROC is against all other classes.",
        align="lrrrrrr",
    )
    return document.Section("Which classes it confuses", "What is taken for what.", [figure, table])


def subgroups(findings: single.Findings, *, binary: bool) -> document.Section:
    """Show the model on parts of the data, beside the baseline to beat."""
    lead = (
        f"Parts of the data. Numbers only from {judges.SMALLEST_SLICE} images on; below, an interval would say nothing."
    )
    if not findings.slices:
        return document.Section("For whom it works", "The data name no attribute of patients or images.", [])
    return document.Section("For whom it works", lead, [_subgroup_table(findings, binary=binary)])


def _signed(difference: intervals.Interval | None) -> blocks.Cell:
    """Return a difference with its sign; its neighbours in the table carry none."""
    if difference is None:
        return None
    value, bounds = (show(difference, signed=True) for show in (formatting.value, formatting.bounds))
    return blocks.Html(f'{value} <span class="bounds">{bounds}</span>')


def _subgroup_table(findings: single.Findings, *, binary: bool) -> blocks.Table:
    name = answer.reference(findings.differences)
    metrics = list(judges.BINARY_SLICED if binary else judges.SEVERAL_SLICED)
    positive = ("Positive",) if binary else ()
    rows: list[tuple[blocks.Cell, ...]] = []
    for row in findings.slices:
        counts = (row["n"], row["n_units"], *((row["n_positive"],) if binary else ()))
        if row["metrics"]:
            cells = (
                *(row["metrics"].get(metric) for metric in metrics),
                _signed(row["differences"][name].get("auroc")),
            )
        else:
            cells = ("too few", *(None for _ in metrics))
        rows.append((answer.phrase(row["name"]), *counts, *cells))
    return blocks.Table(
        columns=(
            "Subgroup",
            "Images",
            "Patients",
            *positive,
            *map(formatting.metric_name, metrics),
            "AUROC minus baseline",
        ),
        rows=rows,
        caption=f"The frozen threshold everywhere; the baseline is {baselines.LABELS.get(name, name)}.",
        align="l" + "r" * (3 + len(positive) + len(metrics)),
    )
