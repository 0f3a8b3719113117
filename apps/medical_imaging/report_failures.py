"""The report's sections on what could be wrong: subgroups, shortcuts, worse images, explanations, errors.

No TensorFlow here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from apps.medical_imaging import baselines, evaluate, evaluation_inputs
from shared.evaluation import arrays, evaluators, intervals
from shared.report import blocks, curves, document, formatting, statuses
from shared.report.sections import classifier as sections

MOST_ERRORS = 8


def status_of(
    differences: Mapping[str, Mapping[str, intervals.Interval]],
    groups: Mapping[str, Mapping[str, intervals.Interval]],
    metrics: Mapping[str, intervals.Interval],
    *,
    reason: str = "",
) -> statuses.Status:
    """Compare the model with the baseline to beat by AUROC.

    Of images of one class, another metric would say no more than how often that class is predicted.

    Args:
        differences: Model minus baseline, by baseline and metric.
        groups: The baselines' metrics.
        metrics: The model's.
        reason: Why these images cannot show it; "" where they can.
    """
    if reason:
        return statuses.Status(statuses.UNKNOWN, reason)
    name = baselines.reference(groups)
    return statuses.against(
        metrics, groups[name], differences[name].get("auroc"), metric="auroc", label=baselines.label(name)
    )


def subgroups(results: evaluate.Results, baseline: str) -> document.Section:
    """Show the model on parts of the data, beside the baseline to beat."""
    rows, metrics = results.common.slices, list(results.evaluator.slice_metrics)
    counts = {"n": "Images", "n_units": "Patients", **({"n_positive": "Positive"} if results.binary else {})}
    cells: list[tuple[blocks.Cell, ...]] = [
        (*(row["metrics"].get(name) for name in metrics), _signed(row["differences"][baseline].get("auroc")))
        if row["metrics"]
        else ("too few", *(None for _ in metrics))
        for row in rows
    ]
    table = blocks.Table(
        columns=("Subgroup", *counts.values(), *map(formatting.metric_name, metrics), "AUROC minus baseline"),
        rows=[
            (formatting.slice_name(row["name"]), *(row[name] for name in counts), *found)
            for row, found in zip(rows, cells, strict=True)
        ],
        caption=f"The frozen threshold everywhere; the baseline is {baselines.label(baseline)}.",
        align="l" + "r" * (1 + len(counts) + len(metrics)),
    )
    return subgroup_section(rows, table)


def subgroup_section(rows: Sequence[Mapping[str, Any]], table: blocks.Table) -> document.Section:
    """Show a table of subgroups, or say that there are none."""
    title = "For whom it works"
    if not rows:
        return document.Section(title, "The data name no attribute of patients or images.", [])
    least = evaluators.SMALLEST_SLICE
    lead = f"Parts of the data. Numbers only from {least} images on; below, an interval would be too wide."
    return document.Section(title, lead, [table])


def _signed(difference: intervals.Interval | None) -> blocks.Cell:
    """Return a difference with its sign; its neighbours in the table carry none."""
    if difference is None:
        return None
    value, bounds = (show(difference, signed=True) for show in (formatting.value, formatting.bounds))
    return blocks.Html(f'{value} <span class="bounds">{bounds}</span>')


def shortcuts(found: Sequence[Mapping[str, Any]]) -> document.Section:
    """Show whether scores follow an attribute instead of the finding."""
    lead = (
        "Whether scores follow something else than the finding. Among images of one label, an image with the attribute "
        "should outrank one without in half of all pairs (0.5). A shortcut also shows as a fall of AUROC on "
        "the images in which the attribute contradicts the label."
    )
    suspected = [row["name"] for row in found if row["suspected"]]
    warning = (
        [blocks.Text(f"Suspected: {', '.join(map(formatting.slice_name, suspected))}.", tone="bad")]
        if suspected
        else []
    )
    untold = ", ".join(formatting.slice_name(row["name"]) for row in found if row["untold"])
    if untold:
        warned = (
            f"Cannot be seen for {untold}: it nearly gives the label away, and too few images contradict it to see "
            "what the scores follow. Test on images in which it does not, before believing any number here."
        )
        warning.append(blocks.Text(warned, tone="bad"))
    table = blocks.Table(
        columns=(
            "Attribute",
            "Positive with it",
            "Positive without",
            "Outranks, among negatives",
            "Outranks, among positives",
            "AUROC, agreeing",
            "AUROC, contradicting",
            "Shortcut",
        ),
        rows=[_shortcut_cells(row) for row in found],
        caption="Attributes that images of both labels have, or that go with the label. A shortcut is suspected where "
        "the attribute goes with the label and scores follow it even among the negatives, in which no graver finding "
        "could explain it.",
        align="lrrrrrrl",
        emphasis=[number for number, row in enumerate(found) if row["suspected"]],
        digits=2,
    )
    return document.Section("Has it learned a shortcut?", lead, [*warning, table])


def _shortcut_cells(row: Mapping[str, Any]) -> tuple[blocks.Cell, ...]:
    names = ("prevalence_with", "prevalence_without", "among_negatives", "among_positives", "agreeing", "conflicting")
    shortcut = "suspected" if row["suspected"] else "cannot be seen" if row["untold"] else "not seen"
    return (formatting.slice_name(row["name"]), *(row[name] for name in names), shortcut)


def robustness(rows: Sequence[Mapping[str, Any]], *, metric: str = "auroc") -> document.Section:
    """Show what worse images do."""
    kinds = list(dict.fromkeys(row["corruption"] for row in rows))
    levels = sorted({row["level"] for row in rows})
    values: dict[str, list[intervals.Interval | float | None]] = {
        kind: [_at(rows, kind, level, metric) for level in levels] for kind in kinds
    }
    name = formatting.metric_name(metric)
    figure = blocks.Figure(
        svg=curves.lines(
            levels,
            {kind: _plain(curve) for kind, curve in values.items()},
            look=curves.Look(x_label="Level of corruption; 0: none", y_label=name, whole=True),
        ),
        caption=f"{name} on the same images made worse on purpose, at the frozen threshold and calibration.",
        alt=f"{name} against the level of each corruption",
    )
    table = blocks.Table(
        columns=("Corruption", *(f"Level {level}" if level else "None" for level in levels)),
        rows=[(kind, *curve) for kind, curve in values.items()],
        caption=f"{name} by level, on {rows[0]['n']:,} images.",
        align="l" + "r" * len(levels),
    )
    return document.Section(
        "On worse images", "Noise, blur and other faults of real images, in rising levels.", [figure, table]
    )


def _plain(curve: Sequence[intervals.Interval | float | None]) -> list[intervals.Interval | float | None]:
    """Leave the bands to the table: of many corruptions they would hide each other."""
    return [point.value if isinstance(point, intervals.Interval) else point for point in curve]


def _at(rows: Sequence[Mapping[str, Any]], kind: str, level: int, metric: str) -> intervals.Interval | None:
    found = (row["metrics"].get(metric) for row in rows if row["corruption"] == kind and row["level"] == level)
    return next(found, None)


def explanations(explained: Sequence[evaluation_inputs.ExplanationCheck]) -> document.Section:
    """Show whether the maps that explain a prediction can be trusted at all."""
    lead = (
        "A map of where the model looked is worth showing only if it changes when the model's weights are replaced by "
        "chance (Adebayo et al. 2018), and if it points at the finding where that is known."
    )
    return document.Section(
        "Can its explanations be trusted?", lead, [_sanity_table(explained), _pointing_table(explained)]
    )


def _sanity_table(explained: Sequence[evaluation_inputs.ExplanationCheck]) -> blocks.Table:
    rows = [
        (one.method, one.images, stage, float(value)) for one in explained for stage, value in one.randomised.items()
    ]
    return blocks.Table(
        columns=("Map", "Images", "Weights replaced by chance", "Rank correlation with the true map"),
        rows=rows,
        caption="Near 0: the map depends on what was learned. Near 1: it would look the same for a model that "
        "knows nothing.",
        align="lrlr",
        digits=2,
    )


def _pointing_table(explained: Sequence[evaluation_inputs.ExplanationCheck]) -> blocks.Block:
    rows = [(one.method, one.pointing, one.chance) for one in explained if one.pointing is not None]
    if not rows:
        return blocks.Text(
            "Where the findings are is not known for these data: whether the maps point at them is unknown."
        )
    return blocks.Table(
        columns=("Map", "Points inside the finding", "A random point would"),
        rows=rows,
        caption="The pointing game: how often the map's maximum lies inside a marked finding (Zhang et al. 2018).",
        align="lrr",
        digits=2,
    )


def errors(results: evaluate.Results) -> document.Section:
    """Show the wrong predictions that the model was surest of, missed findings first."""
    evaluator = results.evaluator
    names = evaluator.class_names
    kinds: dict[int | None, str] = {None: "Predicted as another class."}
    if evaluator.binary:
        kinds = {
            1: f"Missed: {names[1]}, predicted as {names[0]}.",
            0: f"False alarms: {names[0]}, predicted as {names[1]}.",
        }
    wrong = {caption: sections.surest_errors(evaluator, label=label) for label, caption in kinds.items()}
    shown = [_gallery(results, rows, caption) for caption, rows in wrong.items() if rows.size]
    lead = "Wrong predictions, the surest first. Some may be labels that a radiologist would dispute."
    if results.rows.thumbnail and results.predictions.explained and results.rows.with_heat is None:
        lead += " No maps beside them: they fail the check of the weights above."
    return document.Section("Its most confident errors", lead if shown else "It made no errors.", shown)


def _gallery(results: evaluate.Results, wrong: arrays.Ints, caption: str) -> blocks.Block:
    """Show pictures, or a table where there are none."""
    rows, chosen = results.rows, wrong[:MOST_ERRORS].tolist()
    counted = f"{caption} {len(chosen)} of {len(wrong)}." if len(wrong) > len(chosen) else caption
    sources: Sequence[str | None] = [rows.thumbnail(row) if rows.thumbnail else None for row in chosen]
    if rows.with_heat is not None and None not in sources:
        # At most MOST_ERRORS of each kind: a tenth of what the check of the maps costs.
        sources = rows.with_heat(chosen)
        counted += " Beside each, what raises its score, from violet (some) to yellow (most)."
    facts = [_facts(results, row) for row in chosen]
    if None in sources:
        columns = ("Image", "Patient", "Is", "Predicted", "Score of the prediction")
        cells = [tuple(each[name] for name in columns) for each in facts]
        return blocks.Table(columns=columns, rows=cells, caption=counted, align="llllr")
    return blocks.Pictures(
        counted,
        [
            blocks.Picture(source=source, alt=f"Image {rows.names[row]}", facts=each)
            for row, source, each in zip(chosen, sources, facts, strict=True)
            if source is not None
        ],
        wide=rows.with_heat is not None,
    )


def _facts(results: evaluate.Results, row: int) -> dict[str, blocks.Cell]:
    """Return what is known of an image."""
    rows, evaluator = results.rows, results.evaluator
    values = rows.attributes.iloc[row].to_dict() if len(rows.attributes.columns) else {}
    known = {name: value for name, value in values.items() if not pd.isna(value)}
    return {
        "Is": evaluator.class_names[evaluator.labels[row]],
        "Predicted": evaluator.class_names[evaluator.predicted[row]],
        "Score of the prediction": float(evaluator.scores[row, evaluator.predicted[row]]),
        "Patient": str(rows.patients[row]),
        "Image": str(rows.names[row]),
        **{str(name).replace("_", " ").capitalize(): _cell(value) for name, value in known.items()},
    }


def _cell(value: object) -> blocks.Cell:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return formatting.number(value, digits=1) if isinstance(value, float) else str(value)
