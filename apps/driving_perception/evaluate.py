"""Judge a detector on labelled images: metrics, report and predictions from what model and baselines found.

The straight line is ``evaluate``: match, measure with intervals, say what is found where and what goes wrong, write
it up. No TensorFlow here.
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from apps.driving_perception import baselines as plain
from apps.driving_perception import boxes as box
from apps.driving_perception import detections, lane
from apps.driving_perception.judgement import evidence, measures, sections
from apps.driving_perception.scores import collision, confidence, errors_split, pairing, recall
from shared import errors
from shared.evaluation import intervals
from shared.report import blocks, document, metrics

APP = "driving_perception"
FEW_IMAGES = 100
NOT_A_SAFETY_COMPONENT = "A research tool, not a safety component: nobody's way may depend on it."
# Boxes that score less say nothing about confidence in use.
LEAST_CONFIDENCE = 0.05


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """An evaluation's results.

    Attributes:
        metrics: Content of ``metrics.json``.
        report: The page; ``shared.report.document.write`` writes both.
        predictions: One row per image: image, unit, objects, answered, right, missed, false_alarms, decision, and
            ``boxes``, JSON of class, score and corners in pixels from the threshold on.
    """

    metrics: dict[str, Any]
    report: document.Report
    predictions: pd.DataFrame


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class _Found:
    """What was found out, before it is written up."""

    model: measures.Measured
    rivals: dict[str, measures.Measured]
    pairs: pairing.Pairing
    chosen: Any
    slices: list[dict[str, Any]]
    kinds: dict[str, int]
    gains: Mapping[str, float]
    bins: list[dict[str, float]]
    collision: dict[str, int]
    sources: dict[str, measures.Measured]


def evaluate(
    rows: evidence.Rows,
    data: evidence.Data,
    run: evidence.Run,
    *,
    region: lane.Region,
    baselines: Mapping[str, detections.Detections],
    resamples: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Judge ``run`` on ``rows``.

    Args:
        rows: The images, their boxes and units.
        data: What the images are.
        run: What the model found in them.
        region: The own way, for the decision of each image.
        baselines: What plain baselines of the same run found, by name; at least one.
        resamples: Bootstrap resamples behind every interval.
        seed: Of the resamples.

    Raises:
        errors.InputError: There are fewer than two units, or nothing to find.
    """
    units = len(np.unique(rows.units))
    if units < 2 or not (rows.frames.boxes.kind == box.OBJECT).any():
        raise errors.InputError(
            f"{data.source}, part {data.split}: expected labelled obstacles in at least two units ({data.unit}) to "
            f"judge. Received: {units} units with {int((rows.frames.boxes.kind == box.OBJECT).sum())} obstacles"
        )
    found = _find_out(rows, run, baselines, resamples=resamples, seed=seed)
    content = _document(rows, data, run, found)
    return Evaluation(
        metrics=content,
        report=_report(rows, data, run, found, content),
        predictions=_predictions(rows, run, found, region),
    )


def _find_out(
    rows: evidence.Rows,
    run: evidence.Run,
    baselines: Mapping[str, detections.Detections],
    *,
    resamples: int,
    seed: int,
) -> _Found:
    part, threshold = rows.frames, run.operating.threshold
    model = measures.measure(rows, run.found, threshold, resamples=resamples, seed=seed)
    rivals = {
        name: measures.measure(rows, found, threshold, resamples=resamples, seed=seed)
        for name, found in baselines.items()
    }
    chosen = np.flatnonzero(run.found.score >= threshold)
    answered = run.found.take(chosen)
    pairs = pairing.pair(part.boxes, answered, known_classes=part.known_classes)
    kinds, missed = errors_split.kinds(part.boxes, answered, pairs)
    every = pairing.pair(part.boxes, run.found, known_classes=part.known_classes)
    return _Found(
        model=model,
        rivals=rivals,
        pairs=pairs,
        chosen=chosen,
        slices=recall.breakdown(part, pairs, rows.units, resamples=resamples, seed=seed),
        kinds={kind: int((kinds == kind).sum()) for kind in errors_split.KINDS[:-1]} | {"missed": int(missed.sum())},
        gains=errors_split.gains(part, answered, kinds, pairs, missed),
        bins=confidence.bins(run.found, every, least=LEAST_CONFIDENCE),
        collision=collision.evaluate(part, run.found, threshold=threshold),
        sources=_by_source(rows, run, resamples=resamples, seed=seed),
    )


def _by_source(rows: evidence.Rows, run: evidence.Run, *, resamples: int, seed: int) -> dict[str, measures.Measured]:
    """Measure the model on each source alone, where there are several, each with at least two units."""
    part = rows.frames
    found = {}
    for number, name in enumerate(part.source_names if len(part.source_names) > 1 else ()):
        chosen = np.flatnonzero(part.sources == number)
        if len(np.unique(rows.units[chosen])) < 2:
            continue
        some = evidence.Rows(frames=part.take(chosen), units=rows.units[chosen])
        seen = run.found.take(np.isin(run.found.image, chosen))
        seen = dataclasses.replace(seen, image=np.searchsorted(chosen, seen.image))
        found[name] = measures.measure(some, seen, run.operating.threshold, resamples=resamples, seed=seed)
    return found


def _document(rows: evidence.Rows, data: evidence.Data, run: evidence.Run, found: _Found) -> dict[str, Any]:
    content = metrics.metrics_document(
        app=APP,
        run=run.name,
        data={
            "source": data.source,
            "split": data.split,
            "n": len(rows.frames),
            "unit": data.unit,
            "n_units": len(np.unique(rows.units)),
            "sha256": rows.frames.sha256,
            "synthetic": rows.frames.synthetic,
            "objects": int((rows.frames.boxes.kind == box.OBJECT).sum()),
        },
        metrics=_shown(found.model),
        baselines={name: _shown(each) for name, each in found.rivals.items()},
        differences={name: measures.differences(found.model, each) for name, each in found.rivals.items()},
        operating_points=sections.points(found.model, run),
        slices=found.slices,
        calibration={"d_ece": confidence.error(found.bins), "bins": found.bins},
        notes=_notes(rows, data, found),
    )
    more = {
        "errors": {"counts": found.kinds, "gains_map_50": found.gains},
        "time_to_collision": found.collision,
        "speed": run.speed,
        "sources": {name: measures.with_intervals(each) for name, each in found.sources.items()},
        "without_interval": {name: found.model.numbers[name] for name in measures.without_interval(found.model)},
    }
    return content | {name: metrics.plain(value, where=name) for name, value in more.items()}


def _shown(measured: measures.Measured) -> dict[str, intervals.Interval]:
    """Return the numbers with intervals; the mean over classes stands there whatever the resamples say."""
    found = measures.with_intervals(measured)
    if "map_50" not in found:
        value = measured.numbers["map_50"]
        found = {
            "map_50": intervals.Interval(value, 0.0, 1.0, method="bootstrap by unit (too few units: any value)"),
            **found,
        }
    return found


def _notes(rows: evidence.Rows, data: evidence.Data, found: _Found) -> list[str]:
    part = rows.frames
    notes = [NOT_A_SAFETY_COMPONENT, *data.notes]
    ignored = int((part.boxes.kind != box.OBJECT).sum())
    if ignored:
        notes.append(
            f"{ignored:,} labelled boxes are regions or neighbouring classes: finding them is neither right nor wrong."
        )
    for label, name in enumerate(part.class_names):
        unknown = int((~part.known_classes[:, label]).sum())
        if unknown:
            notes.append(f"{name} is not labelled in {unknown:,} of {len(part):,} images: it is not judged there.")
    lone = measures.without_interval(found.model)
    if lone:
        notes.append(f"Too few units carry these for an interval: {', '.join(lone)}.")
    if len(part) < FEW_IMAGES:
        notes.append(f"Only {len(part)} images were judged: most differences cannot show on so few.")
    return notes


def _report(
    rows: evidence.Rows, data: evidence.Data, run: evidence.Run, found: _Found, content: Mapping[str, Any]
) -> document.Report:
    simulated = "SYNTHETIC " if rows.frames.synthetic else ""
    shown = _shown(found.model)
    return document.Report(
        title=f"Obstacles on {simulated.lower()}roads",
        subtitle=f"Run {run.name} on {data.source}, {simulated}part {data.split}: {', '.join(rows.frames.class_names)}",
        answer=_answer(found, run),
        headline=[
            blocks.Tile("AP at 0.5, mean of classes", shown["map_50"], "1: every obstacle, no false alarm first"),
            blocks.Tile(
                "Found at the threshold", shown.get("recall", found.model.numbers["recall"]), "share of obstacles"
            ),
            blocks.Tile(
                "False alarms per image",
                shown.get("false_positives_per_image", found.model.numbers["false_positives_per_image"]),
                f"from score {run.operating.threshold:.2f} on",
            ),
        ],
        metrics=content,
        labels=plain.LABELS,
        sections=[
            sections.overview(rows, run),
            sections.by_class(found.model, rows, found.sources),
            sections.misses(found.model, found.rivals, run),
            sections.conditions(found.slices, found.collision),
            sections.mistakes(found.kinds, found.gains, sections.galleries(rows, run, found.pairs, found.chosen)),
            sections.confidence(found.bins, confidence.error(found.bins)),
            sections.training(run),
            sections.origin(data, rows),
            sections.limits(),
        ],
    )


def _answer(found: _Found, run: evidence.Run) -> str:
    numbers = found.model.numbers
    missed = 1 - numbers["recall"]
    worst = [row for row in found.slices if row["by"] in ("distance", "box height") and row["n"] >= 10]
    hardest = min(worst, key=lambda row: row["recall"].value, default=None)
    hard = f" It finds least of {hardest['by']} {hardest['group']}: {hardest['recall'].value:.0%}." if hardest else ""
    return (
        f"From score {run.operating.threshold:.2f} on it finds {numbers['recall']:.0%} of the obstacles and misses "
        f"{missed:.0%}, with {numbers['false_positives_per_image']:.2f} false alarms per image.{hard}"
    )


def _predictions(rows: evidence.Rows, run: evidence.Run, found: _Found, region: lane.Region) -> pd.DataFrame:
    part, answered, pairs = rows.frames, run.found.take(found.chosen), found.pairs
    count = len(part)
    missed = pairs.judged & (pairs.found_by == pairing.NONE)
    table = pd.DataFrame(
        {
            "image": part.images.names,
            "unit": rows.units,
            "sequence": part.sequences,
            "objects": np.bincount(part.boxes.image[pairs.judged], minlength=count),
            "answered": np.bincount(answered.image, minlength=count),
            "right": np.bincount(answered.image[pairs.outcome == pairing.RIGHT], minlength=count),
            "missed": np.bincount(part.boxes.image[missed], minlength=count),
            "false_alarms": np.bincount(answered.image[pairs.outcome == pairing.WRONG], minlength=count),
        }
    )
    table["decision"] = [_decision(answered, image, part.images.sizes[image], region) for image in range(count)]
    table["boxes"] = [_as_json(answered, image, part.class_names) for image in range(count)]
    return table


def _decision(found: detections.Detections, image: int, size: Any, region: lane.Region) -> str:
    xyxy = found.xyxy[found.image == image]
    return lane.AHEAD if region.decide(xyxy, width=float(size[0]), height=float(size[1])).any() else lane.CLEAR


def _as_json(found: detections.Detections, image: int, class_names: tuple[str, ...]) -> str:
    rows = np.flatnonzero(found.image == image)
    return json.dumps(
        [
            {
                "class": class_names[found.label[row]],
                "score": round(float(found.score[row]), 4),
                "xyxy": [round(float(value), 1) for value in found.xyxy[row]],
            }
            for row in rows
        ]
    )
