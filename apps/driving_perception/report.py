"""The report of an evaluation: what is found of each class, what is missed, where, and what goes wrong.

No TensorFlow here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from apps.driving_perception import (
    baselines,
    decision,
    detector_metrics,
    drawing,
    evaluate,
    matching,
    prediction_tables,
    report_standard,
)
from shared.evaluation import intervals
from shared.report import blocks, curves, document, formatting, sections, statuses

LIMITS = (
    "It is not a safety component: it was not developed, tested or approved as one, and nobody's way may depend on it.",
    "The numbers hold for roads, cameras, weather and light like those evaluated here. Elsewhere evaluate again.",
    "The own way is a fixed trapezoid in the picture, and time to collision comes from how boxes grow: both are "
    "demonstrations.",
)
_POINTS = 60


def evaluation(results: evaluate.Results) -> document.Evaluation:
    """Return the metrics, the page and the predictions of an evaluation."""
    content, data, names = evaluate.metrics_document(results), results.data, results.rows.frames.class_names
    simulated = "SYNTHETIC " if data.synthetic else ""
    return document.Evaluation(
        metrics=content,
        predictions=prediction_tables.of_evaluation(results),
        report=document.Report(
            title=f"Obstacles on {simulated.lower()}roads",
            subtitle=f"Run {results.predictions.run} on {data.source}, {simulated}part {data.split}: "
            f"{', '.join(names)}",
            answer=_opening(results),
            status=_status(results),
            headline=_tiles(results),
            metrics=content,
            labels=baselines.LABELS,
            sections=[
                document.Section("As the model sees it", "Predictions beside the truth.", [drawing.examples(results)]),
                _by_class(results),
                _misses(results),
                _conditions(results.slices, results.collision),
                _mistakes(results),
                _confidence(results.bins),
                _training(results.predictions),
                _origin(results),
                sections.limits(LIMITS),
            ],
        ),
    )


def _status(results: evaluate.Results) -> statuses.Status:
    """Return whether the model is better than the baseline that looks at no picture."""
    name, rival = next(iter(results.baselines.items()))
    difference = results.model.resampled.minus(rival.resampled).intervals(evaluate.COMPARED).get("map_50")
    return statuses.against(
        evaluate.shown(results.model),
        evaluate.shown(rival),
        difference,
        metric="map_50",
        label=baselines.LABELS.get(name, name),
    )


def _opening(results: evaluate.Results) -> str:
    """Return the report's first sentences."""
    values = results.model.values
    said = [
        f"From score {results.predictions.rule.threshold:.2f} on it finds {values['recall']:.0%} of the obstacles and "
        f"misses {1 - values['recall']:.0%}, with {values['false_positives_per_image']:.2f} false alarms per image."
    ]
    groups = [row for row in results.slices if row["by"] in ("distance", "box height") and row["n"] >= 10]
    if groups:
        hardest = min(groups, key=lambda row: float(row["recall"].value))
        said.append(f"It finds least of {hardest['by']} {hardest['group']}: {formatting.percent(hardest['recall'])}.")
    return "\n\n".join([*said, evaluate.NOT_A_SAFETY_COMPONENT])


def _tiles(results: evaluate.Results) -> list[blocks.Tile]:
    """Return the headline numbers."""
    shown: dict[str, Any] = {**results.model.values, **evaluate.shown(results.model)}
    threshold = results.predictions.rule.threshold
    return [
        blocks.Tile("AP at 0.5, mean of classes", shown["map_50"], "1: every obstacle, no false alarm first"),
        blocks.Tile("Found at the threshold", shown["recall"], "share of obstacles"),
        blocks.Tile("False alarms per image", shown["false_positives_per_image"], f"from score {threshold:.2f} on"),
    ]


def _by_class(results: evaluate.Results) -> document.Section:
    """Show each class with its number of objects, and COCO's numbers by size."""
    model, names = results.model, results.rows.frames.class_names
    found: dict[str, Any] = {**model.values, **model.with_intervals}
    table = blocks.Table(
        columns=("Class", "Objects", "Images", "AP at 0.5", "AP, mean of 0.5 to 0.95"),
        rows=[
            (
                names[label],
                int(each.objects.sum()),
                int((each.objects > 0).sum()),
                found[f"ap_50_{names[label]}"],
                found[f"ap_{names[label]}"],
            )
            for label, each in model.matched.by_size["all"].items()
        ],
        caption="Average precision of each class. Without an interval: too few units hold the class.",
    )
    body = [
        table,
        _precision_recall(model, names),
        report_standard.confusion_figure(results),
        *_by_source(results.sources, names),
    ]
    return document.Section("Classes", "What is found of each class, and how well the boxes fit.", body)


def _by_source(sources: Mapping[str, detector_metrics.Detector], names: Sequence[str]) -> list[blocks.Block]:
    """Return a table of each source's average precision at 0.5."""
    if not sources:
        return []
    found: dict[str, dict[str, Any]] = {
        source: {**each.values, **each.with_intervals} for source, each in sources.items()
    }
    return [
        blocks.Table(
            columns=("Source", "Images", *names),
            rows=[
                (source, each.matched.images, *(found[source].get(f"ap_50_{name}") for name in names))
                for source, each in sources.items()
            ],
            caption="Average precision at 0.5 of each class in each source alone; without an interval: too few units.",
        )
    ]


def _precision_recall(model: detector_metrics.Detector, names: Sequence[str]) -> blocks.Figure:
    """Draw precision over recall at an overlap of 0.5."""
    recalls = np.linspace(0, 1, _POINTS)
    lines: dict[str, list[intervals.Interval | float | None]] = {}
    for label, each in model.matched.by_size["all"].items():
        right, wrong = np.cumsum(each.right[0]), np.cumsum(each.wrong[0])
        precision = right / np.maximum(right + wrong, 1)
        envelope = np.maximum.accumulate(precision[::-1])[::-1]
        place = np.searchsorted(right / max(each.objects.sum(), 1), recalls, side="left")
        lines[names[label]] = [float(envelope[at]) if at < len(envelope) else None for at in place]
    svg = curves.lines(
        recalls.tolist(), lines, look=curves.Look(x_label="Recall", y_label="Precision", y_limits=(0.0, 1.02))
    )
    return blocks.Figure(svg=svg, caption="Precision over recall at an overlap of 0.5.", alt="Precision over recall")


def _misses(results: evaluate.Results) -> document.Section:
    """Show misses against false alarms per image, and the operating points."""
    rates = np.logspace(-2, 1, _POINTS)
    every = {"Model": results.model}
    every |= {baselines.LABELS.get(name, name): each for name, each in results.baselines.items()}
    lines: dict[str, list[intervals.Interval | float | None]] = {}
    for name, each in every.items():
        swept = decision.sweep(each.matched)
        lines[name] = [decision.miss_rate_at(swept, float(rate)) for rate in rates]
    here = results.model.values["false_positives_per_image"]
    look = curves.Look(
        x_label="False alarms per image, powers of ten",
        y_label="Miss rate",
        y_limits=(0.0, 1.02),
        marks={"threshold in use": float(np.log10(here))} if here > 0 else {},
    )
    figure = blocks.Figure(
        svg=curves.lines(np.log10(rates).tolist(), lines, look=look),
        caption="Share of objects missed over false alarms per image, all classes together, at an overlap of 0.5.",
        alt="Miss rate over false alarms per image",
    )
    names = ("name", "threshold", "recall", "precision", "false_positives_per_image")
    table = blocks.Table(
        columns=("Operating point", "Threshold", "Recall", "Precision", "False alarms per image"),
        rows=[tuple(point[name] for name in names) for point in evaluate.operating_points(results)],
        caption="The threshold in use was frozen on validation; the others show what moving it would bring here.",
        emphasis=[0],
    )
    return document.Section(
        "Misses and false alarms", "What the threshold trades.", [figure, report_standard.by_score(results), table]
    )


def _conditions(slices: Sequence[Mapping[str, Any]], collision: Mapping[str, int]) -> document.Section:
    """Show what is found by size, distance, occlusion, truncation, light and weather."""
    table = blocks.Table(
        columns=("By", "Group", "Objects", "Recall at the threshold"),
        rows=[(row["by"], row["group"], row["n"], row["recall"]) for row in slices],
        caption="Share of objects found with the right class at an overlap of 0.5. An object counts in every table row "
        "that it belongs to; what is not labelled in a source is left out.",
    )
    body: list[blocks.Block] = [table]
    if collision["pairs"]:
        body.append(
            blocks.facts(
                "Time to collision from the growth of boxes between two frames, under 2.5 s (distances as labelled)",
                {
                    "Objects seen in two frames": collision["pairs"],
                    "Truly that near": collision["approaching"],
                    "Of these flagged": collision["flagged"],
                    "Flagged wrongly": collision["flagged_wrongly"],
                },
            )
        )
    return document.Section("What is found where", "Recall by what makes an object hard to see.", body)


def _mistakes(results: evaluate.Results) -> document.Section:
    """Show the kinds of error, and pictures of the worst."""
    table = blocks.Table(
        columns=("Kind", "Count at the threshold", "AP at 0.5 gained if all were mended"),
        rows=[(kind, results.kinds[kind], results.gains[kind]) for kind in matching.ERROR_KINDS],
        caption="Kinds of Bolya et al. 2020 (TIDE): wrong class; badly placed (overlap 0.1 to 0.5); both; a second box "
        "at one object; nothing there; an object that nothing comes near.",
    )
    pictures = [*drawing.worst_misses(results), *drawing.surest_false_alarms(results)]
    return document.Section("Errors", "What goes wrong, and what would help most.", [table, *pictures])


def _confidence(rows: Sequence[Mapping[str, float]]) -> document.Section:
    """Show whether scores say how often boxes are correct."""
    body: list[blocks.Block] = [blocks.facts("Calibration", {"D-ECE": round(matching.calibration_error(rows), 4)})]
    if rows:
        body.append(report_standard.reliability(rows))
        body.append(
            blocks.Table(
                columns=("Mean score", "Share correct", "Boxes"),
                rows=[(row["confidence"], row["accuracy"], int(row["n"])) for row in rows],
                caption="Boxes that score at least 0.05, in bins of equal width.",
            )
        )
    return document.Section(
        "Is the score a probability?", "A box of score 0.7 should be correct seven times in ten.", body
    )


def _training(predictions: evaluate.Predictions) -> document.Section:
    """Show what the model is, how it learned, and how fast it is."""
    body: list[blocks.Block] = [blocks.facts("The model", dict(predictions.details))]
    if predictions.speed:
        caption = "Speed, one image at a time, decoding and suppression included"
        body.append(blocks.facts(caption, dict(predictions.speed)))
    body += sections.histories(predictions.history, metric="AP at 0.5 on validation")
    return document.Section("Model and training", "What the model is, how it learned, how fast it is.", body)


def _origin(results: evaluate.Results) -> document.Section:
    """Show what was evaluated, and what keeps parts apart."""
    rows, data = results.rows, results.data
    counts: dict[str, blocks.Cell] = {"Images": len(rows.frames), "Units": len(set(rows.units.tolist()))}
    return document.Section(
        "Data and split",
        "What was evaluated, and what keeps it apart from training.",
        [sections.data(data, counts), *sections.certificate(data.certificate, ("Images", "Units"))],
    )
