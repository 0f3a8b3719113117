"""What kind of error each false alarm and each miss is, and what mending each kind would bring.

The kinds of Bolya et al. 2020, "TIDE: A General Toolbox for Identifying Object Detection Errors", at an overlap of
0.5 for right and 0.1 for background.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from apps.driving_perception import boxes as box
from apps.driving_perception import frames
from apps.driving_perception.metrics import coco, matching

KINDS = ("classification", "localisation", "both", "duplicate", "background", "missed")
BACKGROUND = 0.1
_RIGHT = ""


def kinds(
    truth: box.Boxes, found: box.Detections, pairs: matching.Pairing
) -> tuple[NDArray[np.str_], NDArray[np.bool_]]:
    """Return (d,) the kind of each detection's error, "" for none, and (m,) which objects nothing comes near.

    Args:
        truth: Labelled boxes.
        found: The detections that were paired.
        pairs: Their pairing by class.
    """
    names = np.full(len(found), _RIGHT, dtype="<U14")
    touched = np.zeros(len(truth), bool)
    for row in np.flatnonzero(pairs.outcome == matching.WRONG):
        boxes = np.flatnonzero((truth.image == found.image[row]) & (truth.kind == box.OBJECT))
        overlap = box.iou(found.xyxy[row : row + 1], truth.xyxy[boxes])[0]
        names[row], mended = _kind(overlap, truth.label[boxes] == found.label[row], pairs.found_by[boxes] >= 0)
        if mended >= 0:
            touched[boxes[mended]] = True
    missed = pairs.wanted & (pairs.found_by == matching.NONE) & ~touched
    return names, missed


def _kind(overlap: NDArray[np.floating], same: NDArray[np.bool_], taken: NDArray[np.bool_]) -> tuple[str, int]:
    """Return the kind of one false alarm, and which object it would have found if it were mended, or -1."""
    own, other = np.where(same, overlap, -1.0), np.where(same, -1.0, overlap)
    best_own, best_other = (int(np.argmax(each)) if len(each) else -1 for each in (own, other))
    most_own, most_other = (float(each.max(initial=-1.0)) for each in (own, other))
    if most_own >= matching.OVERLAP:
        return "duplicate", -1
    if most_other >= matching.OVERLAP:
        return "classification", best_other if not taken[best_other] else -1
    if most_own >= BACKGROUND:
        return "localisation", best_own if not taken[best_own] else -1
    if most_other >= BACKGROUND:
        return "both", -1
    return "background", -1


def gains(
    collection: frames.Frames,
    found: box.Detections,
    names: NDArray[np.str_],
    pairs: matching.Pairing,
    missed: NDArray[np.bool_],
) -> Mapping[str, float]:
    """Return how much average precision at 0.5 grows when all errors of one kind are mended.

    Wrong classes and boxes are set right where the object is still free, else taken away, as all other false alarms
    are; missed objects no longer count as objects.
    """

    def score(boxes: box.Boxes, guesses: box.Detections) -> float:
        return coco.map_50(coco.match_frames(dataclasses.replace(collection, boxes=boxes), guesses))

    truth = collection.boxes
    before = score(truth, found)
    result = {}
    for kind in KINDS[:-1]:
        result[kind] = score(truth, _mended(truth, found, names == kind, pairs, kind)) - before
    result["missed"] = score(truth.take(~missed), found) - before
    return result


def _mended(
    truth: box.Boxes, found: box.Detections, wrong: NDArray[np.bool_], pairs: matching.Pairing, kind: str
) -> box.Detections:
    xyxy, label, kept = found.xyxy.copy(), found.label.copy(), ~wrong
    free = pairs.found_by == matching.NONE
    for row in np.flatnonzero(wrong) if kind in ("classification", "localisation") else ():
        boxes = np.flatnonzero((truth.image == found.image[row]) & (truth.kind == box.OBJECT) & free)
        if kind == "localisation":
            boxes = boxes[truth.label[boxes] == found.label[row]]
        overlap = box.iou(found.xyxy[row : row + 1], truth.xyxy[boxes])[0]
        if overlap.max(initial=0.0) >= (BACKGROUND if kind == "localisation" else matching.OVERLAP):
            best = boxes[int(np.argmax(overlap))]
            free[best] = False
            xyxy[row], label[row], kept[row] = truth.xyxy[best], truth.label[best], True
    return box.Detections.build(image=found.image[kept], xyxy=xyxy[kept], label=label[kept], score=found.score[kept])
