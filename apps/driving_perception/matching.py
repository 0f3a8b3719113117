"""Which predicted box is which object, at an overlap of 0.5; recall by group, kinds of error, calibration of scores.

The kinds of error are those of Bolya et al. 2020, "TIDE: A General Toolbox for Identifying Object Detection Errors", at
an overlap of 0.5 for right and 0.1 for background.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.driving_perception import boxes as box
from apps.driving_perception import coco_metrics, frames
from shared.evaluation import intervals, miscalibration

OVERLAP = 0.5
CALIBRATION_BINS = 10
# What a detection can be.
RIGHT, WRONG, IGNORED = 1, 0, -1
NONE = -1
# Edges of the groups: pixels, metres, share that is cut off.
HEIGHTS = (0.0, 25.0, 50.0, 100.0, 200.0, np.inf)
DISTANCES = (0.0, 10.0, 20.0, 30.0, 50.0, np.inf)
TRUNCATIONS = (-0.01, 0.01, 0.3, 1.01)
ERROR_KINDS = ("classification", "localisation", "both", "duplicate", "background", "missed")
BACKGROUND_OVERLAP = 0.1


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Pairing:
    """How detections and objects belong together.

    Attributes:
        outcome: (d,) int8 of each detection: ``RIGHT``, ``WRONG`` or ``IGNORED``.
        object_of: (d,) int64 row of its object, or ``NONE``.
        found_by: (m,) int64 row of the detection that found each labelled box, or ``NONE``.
        wanted: (m,) bool: whether a labelled box is to be found at all.
    """

    outcome: NDArray[np.int8]
    object_of: NDArray[np.int64]
    found_by: NDArray[np.int64]
    wanted: NDArray[np.bool_]


def pair(
    truth: box.Boxes,
    found: box.Detections,
    *,
    known_classes: NDArray[np.bool_],
    by_class: bool = True,
) -> Pairing:
    """Pair detections with labelled boxes, the best score first, each with the box it overlaps most.

    Args:
        truth: Labelled boxes.
        found: Detections, such as those from the threshold on.
        known_classes: (images, classes) bool.
        by_class: Whether a detection must name the object's class.
    """
    outcome = np.zeros(len(found), np.int8)
    object_of, found_by = np.full(len(found), NONE, np.int64), np.full(len(truth), NONE, np.int64)
    for image in np.unique(found.image):
        rows = np.flatnonzero(found.image == image)
        boxes = np.flatnonzero(truth.image == image)
        _pair_image(truth, found, rows, boxes, outcome, object_of, found_by, by_class=by_class)
    unknown = ~known_classes[found.image, found.label]
    outcome[unknown] = IGNORED
    return Pairing(
        outcome=outcome, object_of=object_of, found_by=found_by, wanted=np.asarray(truth.kind == box.OBJECT, bool)
    )


def _pair_image(  # noqa: PLR0913
    truth: box.Boxes,
    found: box.Detections,
    rows: NDArray[np.int64],
    boxes: NDArray[np.int64],
    outcome: NDArray[np.int8],
    object_of: NDArray[np.int64],
    found_by: NDArray[np.int64],
    *,
    by_class: bool,
) -> None:
    overlap = box.iou(found.xyxy[rows], truth.xyxy[boxes])
    covered = (
        box.intersection(found.xyxy[rows], truth.xyxy[boxes]) / np.maximum(box.area(found.xyxy[rows]), 1e-9)[:, None]
    )
    kind, label = truth.kind[boxes], truth.label[boxes]
    for place, row in enumerate(rows):
        fits = (label == found.label[row]) | (label == box.ANY_CLASS) | (not by_class)
        free = (found_by[boxes] == NONE) & (kind != box.REGION)
        for wanted in (box.OBJECT, box.NEIGHBOUR):
            candidates = np.flatnonzero(fits & free & (kind == wanted) & (overlap[place] >= OVERLAP))
            if len(candidates):
                best = candidates[np.argmax(overlap[place, candidates])]
                found_by[boxes[best]], object_of[row] = row, boxes[best]
                outcome[row] = RIGHT if wanted == box.OBJECT else IGNORED
                break
        else:
            if np.any(fits & (kind == box.REGION) & (covered[place] >= OVERLAP)):
                outcome[row] = IGNORED


def calibration_bins(found: box.Detections, pairs: Pairing, *, least: float) -> list[dict[str, float]]:
    """Return ``confidence``, ``accuracy`` and ``n`` of bins of equal width, of what scores at least ``least``."""
    counted = (pairs.outcome != IGNORED) & (found.score >= least)
    score, right = found.score[counted].astype(np.float64), pairs.outcome[counted] == RIGHT
    if not counted.any():
        return []
    rows = miscalibration.reliability(right.astype(np.int64), score, bins=CALIBRATION_BINS)
    return [{"confidence": row["mean_score"], "accuracy": row["observed"], "n": row["n"]} for row in rows]


def calibration_error(rows: Sequence[Mapping[str, float]]) -> float:
    """Return D-ECE, the mean distance of confidence and accuracy weighted by the bins' sizes; 0 for no detection.

    Kueppers et al. 2020, "Multivariate Confidence Calibration for Object Detection", here over the score alone.
    """
    counts = np.array([row["n"] for row in rows], np.float64)
    gaps = np.array([abs(row["confidence"] - row["accuracy"]) for row in rows], np.float64)
    return float(counts @ gaps / counts.sum()) if len(rows) else 0.0


def recall_by_group(collection: frames.Frames, pairs: Pairing, units: NDArray[np.int64]) -> list[dict[str, Any]]:
    """Return rows of ``by``, ``group``, ``n`` and ``recall``, an interval at the effective size by unit."""
    rows = []
    for by, group, chosen in groups(collection):
        wanted = chosen & pairs.wanted
        if wanted.any():
            of_box = units[collection.boxes.image[wanted]]
            recall = intervals.proportion(pairs.found_by[wanted] >= 0, units=of_box)
            rows.append({"by": by, "group": group, "n": int(wanted.sum()), "recall": recall})
    return rows


def groups(collection: frames.Frames) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """Yield what boxes are grouped by, the group's name, and (m,) which boxes are in it."""
    boxes = collection.boxes
    for label, name in enumerate(collection.class_names):
        yield "class", name, boxes.label == label
    height = boxes.xyxy[:, 3] - boxes.xyxy[:, 1]
    yield from _bands("box height", height, HEIGHTS, "px")
    yield from _bands("distance", boxes.distance, DISTANCES, "m")
    for level, name in enumerate(box.OCCLUSIONS):
        yield "occlusion", name, boxes.occlusion == level
    for low, high, name in zip(
        TRUNCATIONS, TRUNCATIONS[1:], ("whole", "cut by up to 30 %", "cut by more"), strict=False
    ):
        yield "truncation", name, (boxes.truncation > low) & (boxes.truncation <= high)
    for by, values in (("time of day", collection.time_of_day), ("weather", collection.weather)):
        for value in sorted(set(values.tolist()) - {""}):
            yield by, value, values[boxes.image] == value
    if len(collection.source_names) > 1:
        for source, name in enumerate(collection.source_names):
            yield "source", name, collection.sources[boxes.image] == source


def _bands(
    by: str, values: NDArray[np.float32], edges: tuple[float, ...], unit: str
) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    for low, high in itertools.pairwise(edges):
        name = f"{low:g} to {high:g} {unit}" if np.isfinite(high) else f"from {low:g} {unit}"
        yield by, name, (values >= low) & (values < high)


def error_kinds(truth: box.Boxes, found: box.Detections, pairs: Pairing) -> tuple[NDArray[np.str_], NDArray[np.bool_]]:
    """Return (d,) the kind of each detection's error, "" for none, and (m,) which objects nothing comes near.

    Args:
        truth: Labelled boxes.
        found: The detections that were paired.
        pairs: Their pairing by class.
    """
    names = np.full(len(found), "", dtype="<U14")
    touched = np.zeros(len(truth), bool)
    for row in np.flatnonzero(pairs.outcome == WRONG):
        boxes = np.flatnonzero((truth.image == found.image[row]) & (truth.kind == box.OBJECT))
        overlap = box.iou(found.xyxy[row : row + 1], truth.xyxy[boxes])[0]
        names[row], mended = _kind(overlap, truth.label[boxes] == found.label[row], pairs.found_by[boxes] >= 0)
        if mended >= 0:
            touched[boxes[mended]] = True
    missed = pairs.wanted & (pairs.found_by == NONE) & ~touched
    return names, missed


def _kind(overlap: NDArray[np.floating], same: NDArray[np.bool_], taken: NDArray[np.bool_]) -> tuple[str, int]:
    """Return the kind of one false alarm, and which object it would have found if it were mended, or -1."""
    own, other = np.where(same, overlap, -1.0), np.where(same, -1.0, overlap)
    best_own, best_other = (int(np.argmax(each)) if len(each) else -1 for each in (own, other))
    most_own, most_other = (float(each.max(initial=-1.0)) for each in (own, other))
    if most_own >= OVERLAP:
        return "duplicate", -1
    if most_other >= OVERLAP:
        return "classification", best_other if not taken[best_other] else -1
    if most_own >= BACKGROUND_OVERLAP:
        return "localisation", best_own if not taken[best_own] else -1
    if most_other >= BACKGROUND_OVERLAP:
        return "both", -1
    return "background", -1


def gains_of_mending(
    collection: frames.Frames,
    found: box.Detections,
    names: NDArray[np.str_],
    pairs: Pairing,
    missed: NDArray[np.bool_],
) -> Mapping[str, float]:
    """Return how much average precision at 0.5 grows when all errors of one kind are mended.

    Wrong classes and boxes are set right where the object is still free, else taken away, as all other false alarms
    are; missed objects no longer count as objects.
    """

    def score(boxes: box.Boxes, guesses: box.Detections) -> float:
        return coco_metrics.map_50(coco_metrics.match_frames(dataclasses.replace(collection, boxes=boxes), guesses))

    truth = collection.boxes
    before = score(truth, found)
    result = {}
    for kind in ERROR_KINDS[:-1]:
        result[kind] = score(truth, _mended(truth, found, names == kind, pairs, kind)) - before
    result["missed"] = score(truth.take(~missed), found) - before
    return result


def _mended(
    truth: box.Boxes, found: box.Detections, wrong: NDArray[np.bool_], pairs: Pairing, kind: str
) -> box.Detections:
    xyxy, label, kept = found.xyxy.copy(), found.label.copy(), ~wrong
    free = pairs.found_by == NONE
    for row in np.flatnonzero(wrong) if kind in ("classification", "localisation") else ():
        boxes = np.flatnonzero((truth.image == found.image[row]) & (truth.kind == box.OBJECT) & free)
        if kind == "localisation":
            boxes = boxes[truth.label[boxes] == found.label[row]]
        overlap = box.iou(found.xyxy[row : row + 1], truth.xyxy[boxes])[0]
        if overlap.max(initial=0.0) >= (BACKGROUND_OVERLAP if kind == "localisation" else OVERLAP):
            best = boxes[int(np.argmax(overlap))]
            free[best] = False
            xyxy[row], label[row], kept[row] = truth.xyxy[best], truth.label[best], True
    return box.Detections.build(image=found.image[kept], xyxy=xyxy[kept], label=label[kept], score=found.score[kept])
