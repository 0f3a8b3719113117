"""What a report holds: its first sentences, its headline numbers and its sections. No TensorFlow here.

``..._of_classes`` are those of one label per image, ``..._of_findings`` those of several findings per image.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from apps.medical_imaging import (
    baselines,
    evaluate,
    evaluate_binary,
    evaluate_multi_label,
    report_binary,
    report_failures,
)
from shared.report import blocks, document, figures, formatting
from shared.report.sections import classifier

RANKING = ("auroc", "average_precision")
PROBABILITIES = ("brier", "ece", "log_loss")


def opening_of_classes(results: evaluate.Results) -> str:
    """Return the report's first sentences, with one label per image."""
    parts = [
        "These images are SIMULATED: the numbers say nothing about patients." if results.data.synthetic else "",
        _ranking(results),
        _at_threshold(results),
        _shortcut(results.shortcuts),
        _weakest(results),
        evaluate.NOT_A_DEVICE,
    ]
    return "\n\n".join(part for part in parts if part)


def _ranking(results: evaluate.Results) -> str:
    found, names = results.common.metrics.get("auroc"), results.predictions.class_names
    if found is None:
        return f"On {len(results.rows):,} images of one class nothing shows how well the model separates classes."
    if not np.ptp(results.evaluator.scores, axis=0).any():
        return "The model gives every image the same score, so that it separates nothing."
    if results.binary:
        share = formatting.percent(found)
        return f"The model ranks an image with {names[-1]} above one without in {share} of pairs (AUROC)."
    return f"The model's mean AUROC over {len(names)} classes is {formatting.with_bounds(found)}."


def _at_threshold(results: evaluate.Results) -> str:
    """Say what the frozen threshold does."""
    accuracy = results.common.metrics.get("accuracy")
    if results.binary is None:
        return "" if accuracy is None else f"It is correct on {formatting.percent(accuracy)} of the images."
    point = results.binary.points[0]
    parts = [f"At the threshold frozen on validation it is correct on {formatting.percent(point['accuracy'])}"]
    if point["sensitivity"] is not None and point["specificity"] is not None:
        parts.append(
            f"finds {formatting.percent(point['sensitivity'])} of the positives and clears "
            f"{formatting.percent(point['specificity'])} of the negatives"
        )
    return ", ".join(parts) + "."


def _shortcut(rows: Sequence[Mapping[str, Any]]) -> str:
    """Name the attributes that the model seems to have learned instead of the finding."""
    suspected, untold = (
        ", ".join(formatting.slice_name(row["name"]) for row in rows if row[key]) for key in ("suspected", "untold")
    )
    if suspected:
        return f"WARNING: it may have learned a shortcut: its scores follow {suspected}."
    return (
        f"WARNING: {untold} nearly gives the label away; whether its scores follow that cannot be seen."
        if untold
        else ""
    )


def _weakest(results: evaluate.Results) -> str:
    """Name the subgroup that is clearly below the whole."""
    if "auroc" not in results.common.metrics:
        return ""
    overall = results.common.metrics["auroc"].value
    areas = {row["name"]: row["metrics"].get("auroc") for row in results.common.slices}
    poor = {name: area for name, area in areas.items() if area is not None and area.high < overall}
    if not poor:
        return ""
    name = min(poor, key=lambda name: float(poor[name].value))
    return f"It is weakest on {formatting.slice_name(name)} (AUROC {formatting.with_bounds(poor[name])})."


def tiles_of_classes(results: evaluate.Results) -> list[blocks.Tile]:
    """Return the headline numbers."""
    metrics, points = results.common.metrics, results.binary.points if results.binary else []
    tiles = []
    if "auroc" in metrics:
        note = "a positive outranks a negative" if points else "mean over classes"
        tiles.append(blocks.Tile("AUROC", metrics["auroc"], note))
    if not points:
        return tiles + _named_tiles(
            metrics,
            {
                "accuracy": "a class predicted for every image",
                "balanced_accuracy": "mean over classes",
                "ece": "lower is better",
            },
        )
    notes = {
        "accuracy": "at the frozen threshold",
        "sensitivity": "positives found",
        "specificity": "negatives cleared",
    }
    return tiles + _named_tiles(points[0], notes) + [tile for point in points[1:] for tile in _purpose_tiles(point)]


def _named_tiles(values: Mapping[str, Any], notes: Mapping[str, str]) -> list[blocks.Tile]:
    return [
        blocks.Tile(formatting.metric_name(name), values[name], note)
        for name, note in notes.items()
        if values.get(name) is not None
    ]


def _purpose_tiles(point: Mapping[str, Any]) -> list[blocks.Tile]:
    """Show of rule-out what it clears, of rule-in what it finds."""
    name = "specificity" if point["rule"].startswith("sensitivity") else "sensitivity"
    if point[name] is None:
        return []
    purpose = point["name"].partition(" ")[0].capitalize()
    return [blocks.Tile(purpose, point[name], f"{name} at {report_binary.spaced(point['rule'])} on validation")]


def sections_of_classes(results: evaluate.Results) -> list[document.Section]:
    """Return the parts on one label per image, in reading order."""
    found, evaluator = results.common, results.evaluator
    name = baselines.reference(found.baselines)
    words = classifier.Words("image", baselines.label(name))
    binary: evaluate_binary.Results | None = results.binary
    classes = [] if binary else [classifier.classes(found, evaluator.class_names, words, more={"auroc": "AUROC"})]
    lead = (
        "Whether a score of 0.8 means that 80 of 100 such images are positive."
        if binary
        else "Whether 80 % sure means correct."
    )
    return [
        *classes,
        *([report_binary.ranking(results)] if binary and binary.delong else []),
        *([report_binary.points(results, binary), report_binary.stability(binary)] if binary else []),
        report_failures.subgroups(results, name),
        classifier.calibration(found.calibration, lead, beside=[report_binary.slope(binary)] if binary else []),
        *([report_binary.decision_curve(binary)] if binary else []),
        classifier.abstention(found, evaluator, name, words),
        *([report_failures.shortcuts(results.shortcuts)] if results.shortcuts else []),
        *([report_failures.robustness(results.robustness)] if results.robustness else []),
        *([report_failures.explanations(results.predictions.explained)] if results.predictions.explained else []),
        report_failures.errors(results),
    ]


def opening_of_findings(results: evaluate_multi_label.Results) -> str:
    """Return the report's first sentences."""
    macro = results.metrics
    sentences = (
        ["These images are SIMULATED: the numbers say nothing about patients."] if results.data.synthetic else []
    )
    if "auroc" in macro:
        area = formatting.with_bounds(macro["auroc"])
        sentences.append(f"Over {len(results.per_finding)} findings the mean AUROC is {area}.")
    ranked = [row for row in results.per_finding if "auroc" in row["metrics"]]
    if len(ranked) > 1:
        best, worst = (choose(ranked, key=_area) for choose in (max, min))
        sentences.append(
            f"It is best on {best['finding']} ({_area(best):.3f}) and worst on {worst['finding']} ({_area(worst):.3f})."
        )
    sentences += evaluate_multi_label.degenerate(results.evaluator)
    return "\n\n".join([*sentences, evaluate.NOT_A_DEVICE])


def _area(row: Mapping[str, Any]) -> float:
    return float(row["metrics"]["auroc"].value)


def tiles_of_findings(results: evaluate_multi_label.Results) -> list[blocks.Tile]:
    """Return the headline numbers."""
    macro, names = results.metrics, ("auroc", "average_precision", "balanced_accuracy", "ece")
    found = [
        blocks.Tile(formatting.metric_name(name), macro[name], "mean over findings") for name in names if name in macro
    ]
    known, unknown = (sum(row[name] for row in results.per_finding) for name in ("n", "unknown"))
    return [*found, blocks.Tile("Labels known", known, f"{unknown:,} unknown, left out")]


def sections_of_findings(results: evaluate_multi_label.Results) -> list[document.Section]:
    """Return the parts on what was found."""
    return [
        _findings_ranked(results.per_finding, name=baselines.reference(results.baselines)),
        _findings_points(results.points),
        _findings_subgroups(results.slices),
        _findings_calibration(results),
        *([report_failures.robustness(results.robustness)] if results.robustness else []),
        *([report_failures.explanations(results.predictions.explained)] if results.predictions.explained else []),
    ]


def _findings_ranked(rows: Sequence[Mapping[str, Any]], *, name: str) -> document.Section:
    areas = {str(row["finding"]): row["metrics"]["auroc"] for row in rows if "auroc" in row["metrics"]}
    drawn: list[blocks.Block] = []
    if areas:
        figure = blocks.Figure(
            svg=figures.forest(areas, axis_label="AUROC", reference=0.5),
            caption="AUROC of each finding with its interval; the dashed line is chance.",
            alt="AUROC by finding: " + "; ".join(f"{key} {area.value:.3f}" for key, area in areas.items()),
        )
        drawn.append(figure)
    table = blocks.Table(
        columns=("Finding", "Known", "Positive", "Unknown", "AUROC", "Average precision", "AUROC minus baseline"),
        rows=[
            (
                row["finding"],
                row["n"],
                row["n_positive"],
                row["unknown"],
                *(row["metrics"].get(metric) for metric in RANKING),
                row["difference"].get("auroc"),
            )
            for row in rows
        ],
        caption=f"Each finding on the images that it is known for. The baseline is {baselines.label(name)}; "
        "chance level of average precision is the share of positives.",
        align="lrrrrrr",
    )
    return document.Section("Which findings it sees", "Without any threshold.", [*drawn, table])


def _findings_points(points: Sequence[Mapping[str, Any]]) -> document.Section:
    tables = [
        table(points, "Finding", lambda point: str(point["name"]))
        for table in (report_binary.point_table, report_binary.count_table)
    ]
    return document.Section("At the frozen thresholds", "One threshold per finding.", tables)


def _findings_subgroups(slices: Sequence[Mapping[str, Any]]) -> document.Section:
    names = list(evaluate_multi_label.SLICE_METRICS)
    missing: tuple[blocks.Cell, ...] = ("too few", *(None for _ in names[1:]))
    rows: list[tuple[blocks.Cell, ...]] = [
        (
            formatting.slice_name(row["name"]),
            row["n"],
            row["n_units"],
            *(tuple(row["metrics"].get(name) for name in names) if row["metrics"] else missing),
        )
        for row in slices
    ]
    table = blocks.Table(
        columns=("Subgroup", "Images", "Patients", *map(formatting.metric_name, names)),
        rows=rows,
        caption="Means over the findings that can be evaluated within the subgroup.",
        align="lrrrrr",
    )
    return report_failures.subgroup_section(slices, table)


def _findings_calibration(results: evaluate_multi_label.Results) -> document.Section:
    table = blocks.Table(
        columns=("Finding", *(f"{formatting.metric_name(name)} ↓" for name in PROBABILITIES)),
        rows=[(row["finding"], *(row["metrics"].get(name) for name in PROBABILITIES)) for row in results.per_finding],
        caption="After one temperature per finding, fitted on validation patients. ↓: lower is better.",
        align="lrrr",
    )
    drawn = [
        classifier.reliability({name: bins}, f"{name}: how often what was announced came true.")
        for name, bins in results.reliability.items()
    ]
    lead = "Whether a score of 0.8 means that 80 of 100 such images have the finding."
    folded = blocks.Details("Reliability of each finding", [blocks.Row(drawn)])
    return document.Section("Are its scores calibrated?", lead, [table, folded])
