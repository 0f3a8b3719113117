"""The report's parts: tables and figures from what was measured. No TensorFlow here."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from apps.driving_perception import operating
from apps.driving_perception.judgement import evidence, gallery, measures
from apps.driving_perception.scores import errors_split, fppi, pairing
from shared.evaluation import intervals
from shared.report import blocks, curves, document, figures

LIMITS = (
    "It is not a safety component: it was not developed, tested or approved as one, and nobody's way may depend on it.",
    "The numbers hold for roads, cameras, weather and light like those judged here. Elsewhere measure again.",
    "The own way is a fixed trapezoid in the picture, and time to collision comes from how boxes grow: both are "
    "demonstrations.",
)
_POINTS = 60


def by_class(
    measured: measures.Measured, rows: evidence.Rows, sources: Mapping[str, measures.Measured]
) -> document.Section:
    """Show each class with its number of objects, and COCO's numbers by size."""
    found = measures.with_intervals(measured)
    names = rows.frames.class_names
    table = []
    for label, each in measured.matched.by_size["all"].items():
        name = names[label]
        cells = (
            found.get(f"ap_50_{name}", measured.numbers[f"ap_50_{name}"]),
            found.get(f"ap_{name}", measured.numbers[f"ap_{name}"]),
        )
        table.append((name, int(each.objects.sum()), int((each.objects > 0).sum()), *cells))
    curve = precision_recall(measured, names)
    body: list[blocks.Block] = [
        blocks.Table(
            columns=("Class", "Objects", "Images", "AP at 0.5", "AP, mean of 0.5 to 0.95"),
            rows=table,
            caption="Average precision of each class. Without an interval: too few units hold the class.",
        ),
        curve,
        *_by_source(sources, names),
    ]
    return document.Section("Classes", "What is found of each class, and how well the boxes fit.", body)


def _by_source(sources: Mapping[str, measures.Measured], names: Sequence[str]) -> list[blocks.Block]:
    """Return a table of each source's average precision at 0.5."""
    if not sources:
        return []
    rows = []
    for source, each in sources.items():
        found = measures.with_intervals(each)
        keys = [f"ap_50_{name}" for name in names]
        rows.append((source, each.matched.images, *(found.get(key, each.numbers.get(key)) for key in keys)))
    return [
        blocks.Table(
            columns=("Source", "Images", *names),
            rows=rows,
            caption="Average precision at 0.5 of each class in each source alone; without an interval: too few units.",
        )
    ]


def precision_recall(measured: measures.Measured, names: Sequence[str]) -> blocks.Figure:
    """Draw precision over recall at an overlap of 0.5."""
    recalls = np.linspace(0, 1, _POINTS)
    lines: dict[str, list[intervals.Interval | float | None]] = {}
    for label, each in measured.matched.by_size["all"].items():
        right, wrong = np.cumsum(each.right[0]), np.cumsum(each.wrong[0])
        precision = right / np.maximum(right + wrong, 1)
        envelope = np.maximum.accumulate(precision[::-1])[::-1]
        place = np.searchsorted(right / max(each.objects.sum(), 1), recalls, side="left")
        lines[names[label]] = [float(envelope[at]) if at < len(envelope) else None for at in place]
    svg = curves.lines(
        recalls.tolist(), lines, look=curves.Look(x_label="Recall", y_label="Precision", y_limits=(0.0, 1.02))
    )
    return blocks.Figure(svg=svg, caption="Precision over recall at an overlap of 0.5.", alt="Precision over recall")


def misses(
    measured: measures.Measured, baselines: Mapping[str, measures.Measured], run: evidence.Run
) -> document.Section:
    """Show misses against false alarms per image, and the operating points."""
    rates = np.logspace(-2, 1, _POINTS)
    every = {"model": measured, **baselines}
    lines: dict[str, list[intervals.Interval | float | None]] = {}
    for name, each in every.items():
        swept = operating.sweep(each.matched)
        lines[name] = [fppi.miss_rate_at(swept, float(rate)) for rate in rates]
    swept = operating.sweep(measured.matched)
    row = swept.at(run.operating.threshold)
    here = float(swept.false_alarms[row]) if row >= 0 else 0.0
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
    table = blocks.Table(
        columns=("Operating point", "Threshold", "Recall", "Precision", "False alarms per image"),
        rows=[
            (point["name"], point["threshold"], point["recall"], point["precision"], point["false_positives_per_image"])
            for point in points(measured, run)
        ],
        caption="The threshold in use was frozen on validation; the others show what moving it would bring here.",
        emphasis=[0],
    )
    return document.Section("Misses and false alarms", "What the threshold trades.", [figure, table])


def points(measured: measures.Measured, run: evidence.Run) -> list[dict[str, Any]]:
    """Return the operating points: the one in use, and those of some budgets of false alarms on these images."""
    swept = operating.sweep(measured.matched)
    found = [_point(f"in use ({run.operating.rule})", run.operating.threshold, swept)]
    for budget in (0.01, 0.1, 0.5, 1.0):
        row = int(np.searchsorted(swept.false_alarms, budget, side="right")) - 1
        if row >= 0:
            found.append(_point(f"{budget:g} false alarms per image", float(swept.score[row]), swept))
    kept = measures.with_intervals(measured)
    for name in ("recall", "precision", "false_positives_per_image"):
        found[0][name] = kept.get(name, found[0][name])
    return found


def _point(name: str, threshold: float, swept: operating.Sweep) -> dict[str, Any]:
    row = swept.at(threshold)
    values = {
        "recall": float(swept.recall[row]) if row >= 0 else 0.0,
        "precision": float(swept.precision[row]) if row >= 0 else 0.0,
        "false_positives_per_image": float(swept.false_alarms[row]) if row >= 0 else 0.0,
    }
    return {"name": name, "threshold": threshold, **values}


def conditions(slices: Sequence[Mapping[str, Any]], collision: Mapping[str, int]) -> document.Section:
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


def mistakes(
    kinds: Mapping[str, int], gains: Mapping[str, float], galleries: Sequence[blocks.Pictures]
) -> document.Section:
    """Show the kinds of error, and pictures of the worst."""
    table = blocks.Table(
        columns=("Kind", "Count at the threshold", "AP at 0.5 gained if all were mended"),
        rows=[(kind, kinds[kind], gains[kind]) for kind in errors_split.KINDS],
        caption="Kinds of Bolya et al. 2020 (TIDE): wrong class; badly placed (overlap 0.1 to 0.5); both; a second box "
        "at one object; nothing there; an object that nothing comes near.",
    )
    return document.Section("Errors", "What goes wrong, and what would help most.", [table, *galleries])


def confidence(rows: Sequence[Mapping[str, float]], error: float) -> document.Section:
    """Show whether scores say how often boxes are right."""
    body: list[blocks.Block] = [blocks.facts("Calibration", {"D-ECE": round(error, 4)})]
    if rows:
        body.append(
            blocks.Table(
                columns=("Mean score", "Share right", "Boxes"),
                rows=[(row["confidence"], row["accuracy"], int(row["n"])) for row in rows],
                caption="Boxes that score at least 0.05, in bins of equal width.",
            )
        )
    return document.Section(
        "Is the score a probability?", "A box of score 0.7 should be right seven times in ten.", body
    )


def training(run: evidence.Run) -> document.Section:
    """Show what the model is, how it learned, and how fast it is."""
    body: list[blocks.Block] = [blocks.facts("The model", dict(run.details))]
    if run.speed:
        body.append(blocks.facts("Speed, one image at a time, decoding and suppression included", dict(run.speed)))
    table = run.history
    epochs = list(range(1, len(table) + 1))
    if epochs:
        panels = {
            "Loss": {"training": table["loss"].to_numpy(), "validation": table["validation_loss"].to_numpy()},
            "AP at 0.5 on validation": {"validation": table["validation_metric"].to_numpy()},
        }
        best = epochs[int(table["validation_metric"].to_numpy().argmax())]
        svg = figures.training_history(epochs, panels, best_epoch=best)
        body.append(blocks.Figure(svg=svg, caption="Training by epoch.", alt="Loss and average precision by epoch"))
    return document.Section("Model and training", "What the model is, how it learned, how fast it is.", body)


def origin(data: evidence.Data, rows: evidence.Rows) -> document.Section:
    """Show what was judged, and what keeps parts apart."""
    part = rows.frames
    body: list[blocks.Block] = [
        blocks.facts(
            "Data",
            {
                "Source": data.source,
                "Part judged": data.split,
                "Images judged": len(part),
                "Units judged": len(np.unique(rows.units)),
                "Kept together": data.unit,
                "SHA-256": part.sha256,
            },
        )
    ]
    if data.certificate:
        counts = data.certificate["counts"]
        body.append(
            blocks.Table(
                columns=("Part", "Images", "Units"),
                rows=[(name.capitalize(), each["rows"], each["units"]) for name, each in counts.items()],
                caption=f"The split certificate ({data.certificate['method']}).",
            )
        )
    return document.Section("Data and split", "What was judged, and what keeps it apart from training.", body)


def limits() -> document.Section:
    """Show what the numbers do not say."""
    return document.Section(
        "Limits", "What these numbers do not say.", [blocks.Text(text, tone="caution") for text in LIMITS]
    )


def galleries(rows: evidence.Rows, run: evidence.Run, pairs: pairing.Pairing, chosen: Any) -> list[blocks.Pictures]:
    """Return the pictures of misses and false alarms."""
    return gallery.shown([gallery.misses(rows, run, pairs), gallery.alarms(rows, run, pairs, chosen)])


def overview(rows: evidence.Rows, run: evidence.Run) -> document.Section:
    """Show some images as the model answers them."""
    return document.Section("As the model sees it", "Answers beside the truth.", [gallery.examples(rows, run)])
