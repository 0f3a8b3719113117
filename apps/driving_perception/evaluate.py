"""Evaluate a detector on labelled images: metrics beside baselines, recall by group, kinds of error, calibration.

``evaluate`` computes the results; ``report`` beside this file shows them. No TensorFlow here.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from apps.driving_perception import boxes as box
from apps.driving_perception import decision, detector_metrics, frames, lane, matching
from shared import errors
from shared.evaluation import intervals
from shared.report import metrics, sections

APP = "driving_perception"
FEW_IMAGES = 100
NOT_A_SAFETY_COMPONENT = "A research tool, not a safety component: nobody's way may depend on it."
# Boxes that score less say nothing about confidence in use.
LEAST_CONFIDENCE = 0.05
COMPARED = ("map_50", "map", "log_average_miss_rate")
FALSE_ALARM_BUDGETS = (0.01, 0.1, 0.5, 1.0)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Rows:
    """The images to evaluate.

    Attributes:
        frames: Them alone, with their boxes.
        units: (n,) int64 the split unit of each, which is resampled.
    """

    frames: frames.Frames
    units: npt.NDArray[np.int64]

    @property
    def objects(self) -> int:
        """Number of labelled obstacles."""
        return int((self.frames.boxes.kind == box.OBJECT).sum())


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Predictions:
    """What the model predicts for the images.

    Attributes:
        run: Name of the run.
        rule: Threshold and classes, frozen on validation.
        found: All boxes down to a low score, image numbers as in ``Rows.frames``.
        details: Network, parameters, size, seed, ...
        history: One row per epoch.
        speed: What was timed, and how fast it was.
    """

    run: str
    rule: decision.DecisionRule
    found: box.Detections
    details: Mapping[str, Any]
    history: pd.DataFrame
    speed: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Results:
    """What was evaluated, and the numbers.

    Attributes:
        rows: The images.
        data: What they are.
        predictions: Of the model.
        region: The own way, for the decision of each image.
        model: The model's metrics.
        baselines: Those of each baseline.
        chosen: Rows of the detections from the threshold on.
        pairs: Which of these is which object.
        slices: Rows of by, group, n and recall.
        kinds: Kind of error -> count at the threshold.
        gains: Kind of error -> average precision at 0.5 gained if all were mended.
        bins: Confidence, accuracy and n of bins of scores.
        collision: Time to collision from the growth of boxes, counted.
        sources: The model's metrics on each source alone, where there are several.
    """

    rows: Rows
    data: sections.Data
    predictions: Predictions
    region: lane.Region
    model: detector_metrics.Detector
    baselines: Mapping[str, detector_metrics.Detector]
    chosen: npt.NDArray[np.int64]
    pairs: matching.Pairing
    slices: list[dict[str, Any]]
    kinds: Mapping[str, int]
    gains: Mapping[str, float]
    bins: list[dict[str, float]]
    collision: Mapping[str, int]
    sources: Mapping[str, detector_metrics.Detector]

    @property
    def predicted(self) -> box.Detections:
        """The boxes from the threshold on."""
        return self.predictions.found.take(self.chosen)


def evaluate(
    rows: Rows,
    data: sections.Data,
    predictions: Predictions,
    *,
    region: lane.Region,
    baselines: Mapping[str, box.Detections],
    resamples: int = 1000,
    seed: int = 0,
) -> Results:
    """Evaluate ``predictions`` on ``rows``.

    Args:
        rows: The images, their boxes and units.
        data: What the images are.
        predictions: What the model found in them.
        region: The own way, for the decision of each image.
        baselines: What plain baselines of the same run found, by name; at least one.
        resamples: Bootstrap resamples behind every interval.
        seed: Of the resamples.

    Raises:
        errors.InputError: There are fewer than two units, or nothing to find.
    """
    units = len(np.unique(rows.units))
    if units < 2 or not rows.objects:
        raise errors.InputError(
            f"{data.source}, part {data.split}: expected labelled obstacles in at least two units ({data.unit}) to "
            f"evaluate. Received: {units} units with {rows.objects} obstacles"
        )
    part, found, threshold = rows.frames, predictions.found, predictions.rule.threshold
    chosen = np.flatnonzero(found.score >= threshold)
    predicted = found.take(chosen)
    pairs = matching.pair(part.boxes, predicted, known_classes=part.known_classes)
    kinds, missed = matching.error_kinds(part.boxes, predicted, pairs)
    every = matching.pair(part.boxes, found, known_classes=part.known_classes)
    counts = {kind: int((kinds == kind).sum()) for kind in matching.ERROR_KINDS[:-1]}

    def evaluate_one(each: box.Detections) -> detector_metrics.Detector:
        return detector_metrics.evaluate(part, rows.units, each, threshold, resamples=resamples, seed=seed)

    return Results(
        rows=rows,
        data=data,
        predictions=predictions,
        region=region,
        model=evaluate_one(found),
        baselines={name: evaluate_one(each) for name, each in baselines.items()},
        chosen=chosen,
        pairs=pairs,
        slices=matching.recall_by_group(part, pairs, rows.units),
        kinds=counts | {"missed": int(missed.sum())},
        gains=matching.gains_of_mending(part, predicted, kinds, pairs, missed),
        bins=matching.calibration_bins(found, every, least=LEAST_CONFIDENCE),
        collision=lane.count_approaches(part, found, threshold=threshold),
        sources=_by_source(rows, predictions, resamples=resamples, seed=seed),
    )


def _by_source(
    rows: Rows, predictions: Predictions, *, resamples: int, seed: int
) -> dict[str, detector_metrics.Detector]:
    """Evaluate the model on each source alone, where there are several, each with at least two units."""
    part, found = rows.frames, predictions.found
    sources = {}
    for number, name in enumerate(part.source_names if len(part.source_names) > 1 else ()):
        chosen = np.flatnonzero(part.sources == number)
        if len(np.unique(rows.units[chosen])) < 2:
            continue
        seen = found.take(np.isin(found.image, chosen))
        seen = dataclasses.replace(seen, image=np.searchsorted(chosen, seen.image))
        threshold = predictions.rule.threshold
        sources[name] = detector_metrics.evaluate(
            part.take(chosen), rows.units[chosen], seen, threshold, resamples=resamples, seed=seed
        )
    return sources


def metrics_document(results: Results) -> dict[str, Any]:
    """Return the content of ``metrics.json``."""
    rows, model = results.rows, results.model
    lone = model.without_interval()
    return metrics.metrics_document(
        app=APP,
        run=results.predictions.run,
        data={
            **results.data.content(n=len(rows.frames), n_units=len(np.unique(rows.units))),
            "synthetic": results.data.synthetic,
            "objects": rows.objects,
        },
        metrics=shown(model),
        baselines={name: shown(each) for name, each in results.baselines.items()},
        differences={
            name: model.resampled.minus(each.resampled).intervals(COMPARED) for name, each in results.baselines.items()
        },
        operating_points=operating_points(results),
        slices=results.slices,
        calibration={"d_ece": matching.calibration_error(results.bins), "bins": results.bins},
        notes=_notes(results, lone),
        more={
            "errors": {"counts": results.kinds, "gains_map_50": results.gains},
            "time_to_collision": results.collision,
            "speed": results.predictions.speed,
            "sources": {name: each.with_intervals for name, each in results.sources.items()},
            "without_interval": {name: model.values[name] for name in lone},
        },
    )


def shown(found: detector_metrics.Detector) -> dict[str, intervals.Interval]:
    """Return the metrics with intervals; the mean over classes stands there whatever the resamples say."""
    if "map_50" in found.with_intervals:
        return dict(found.with_intervals)
    method = "bootstrap by unit (too few units: any value)"
    return {"map_50": intervals.Interval(found.values["map_50"], 0.0, 1.0, method=method), **found.with_intervals}


def operating_points(results: Results) -> list[dict[str, Any]]:
    """Return the operating points: the one in use, and those of some budgets of false alarms on these images."""
    swept, rule = decision.sweep(results.model.matched), results.predictions.rule
    found = [_point(f"in use ({rule.rule})", rule.threshold, swept)]
    for budget in FALSE_ALARM_BUDGETS:
        row = int(np.searchsorted(swept.false_alarms, budget, side="right")) - 1
        if row >= 0:
            found.append(_point(f"{budget:g} false alarms per image", float(swept.score[row]), swept))
    kept = results.model.with_intervals
    found[0] |= {name: kept[name] for name in found[0] if name in kept}
    return found


def _point(name: str, threshold: float, swept: decision.Sweep) -> dict[str, Any]:
    rates = swept.rates(threshold)
    wanted = ("recall", "precision", "false_positives_per_image")
    return {"name": name, "threshold": threshold, **{rate: rates[rate] for rate in wanted}}


def _notes(results: Results, lone: Sequence[str]) -> list[str]:
    part = results.rows.frames
    notes = [NOT_A_SAFETY_COMPONENT, *results.data.notes]
    ignored = len(part.boxes) - results.rows.objects
    if ignored:
        notes.append(
            f"{ignored:,} labelled boxes are regions or neighbouring classes: finding them is neither right nor wrong."
        )
    for label, name in enumerate(part.class_names):
        unknown = int((~part.known_classes[:, label]).sum())
        if unknown:
            notes.append(f"{name} is not labelled in {unknown:,} of {len(part):,} images: it is not evaluated there.")
    if lone:
        notes.append(f"Too few units carry these for an interval: {', '.join(lone)}.")
    if len(part) < FEW_IMAGES:
        notes.append(f"Only {len(part)} images were evaluated: most differences cannot show on so few.")
    return notes
