"""The report of an evaluation: how well it ranks, what its thresholds do, for whom it works, what could be wrong.

No TensorFlow here.
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
    report_multi_label,
    report_provenance,
)
from shared.report import blocks, document, formatting
from shared.report import sections as shared_sections
from shared.report.sections import classifier

LIMITS = (
    "It is not a medical device: no regulator has seen it, no clinical study was done, and nobody may be "
    "treated, or left untreated, because of it.",
    "The numbers hold for images of the same hospitals, scanners and ages, and with the same share of positives, as "
    "these. Elsewhere the model must be evaluated again.",
    "Labels of public sets often come from reports read by software, or from one reader: some of the errors may be the "
    "labels'.",
)


def evaluation(
    results: evaluate.Results | evaluate_multi_label.Results, *, extra_sections: Sequence[document.Section] = ()
) -> document.Evaluation:
    """Return the metrics, the page and the predictions of an evaluation.

    Args:
        results: Of one label or of several findings per image.
        extra_sections: Further parts of the report, such as what synthetic training images bring.
    """
    if isinstance(results, evaluate_multi_label.Results):
        content, table = evaluate_multi_label.metrics_document(results), evaluate_multi_label.predictions_table(results)
        checked = report_multi_label.checked(results)
        answer, tiles = report_multi_label.opening(results), report_multi_label.tiles(results)
        sections = report_multi_label.sections(results)
    else:
        content, table = evaluate.metrics_document(results), evaluate.predictions_table(results)
        checked, answer, tiles, sections = _checked(results), opening(results), _tiles(results), _sections(results)
    items = report_provenance.checklist(results.data, results.predictions, checked)
    content = {**content, "checklist": items}
    data, predictions = results.data, results.predictions
    simulated = ", SIMULATED images" if data.synthetic else ""
    return document.Evaluation(
        metrics=content,
        predictions=table,
        report=document.Report(
            title="Chest radiographs" if not data.synthetic else "Simulated chest radiographs",
            subtitle=f"Run {predictions.run} on {data.source}{simulated}, part {data.split}: "
            f"{', '.join(predictions.class_names)}",
            answer=answer,
            headline=tiles,
            metrics=content,
            labels=baselines.LABELS,
            sections=[
                *sections,
                *extra_sections,
                report_provenance.training(predictions),
                report_provenance.origin(results),
                shared_sections.limits(
                    LIMITS,
                    blocks.facts("What TRIPOD+AI and CLAIM require, as far as it is known", items),
                    title="Limits and checklist",
                ),
            ],
        ),
    )


def opening(results: evaluate.Results) -> str:
    """Return the report's first sentences, with one label per image."""
    found = results.common
    parts = [
        "These images are SIMULATED: the numbers say nothing about patients." if results.data.synthetic else "",
        _ranking(results),
        _at_threshold(results),
        found.degenerate or report_failures.comparison(found.differences, found.baselines, found.metrics),
        _shortcut(results.shortcuts),
        _weakest(results),
        evaluate.NOT_A_DEVICE,
    ]
    return " ".join(part for part in parts if part)


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


def _tiles(results: evaluate.Results) -> list[blocks.Tile]:
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


def _sections(results: evaluate.Results) -> list[document.Section]:
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
        *([report_binary.ranking(results, binary)] if binary and binary.delong else []),
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


def _checked(results: evaluate.Results) -> dict[str, str]:
    """Return where the checklist's items are."""
    points = results.binary.points if results.binary else []
    frozen = ", ".join(f"{point['name']} {point['threshold']:.3f}" for point in points)
    return {
        "Thresholds fixed before the test": frozen or "the most probable class",
        "Uncertainty of every number": "intervals by patient throughout",
        "Comparison with a baseline": "model and baselines, paired on the same resamples",
        "Calibration": "slope, intercept, Brier score, ECE, reliability with counts",
        "Clinical usefulness": "decision curve" if results.binary else "not evaluated",
        "Subgroups": f"{len(results.common.slices)}" if results.common.slices else "the data name no attributes",
        "Robustness": "corruptions" if results.robustness else "not evaluated",
        "Failures": "gallery of confident errors",
    }
