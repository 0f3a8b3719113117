"""COCO's average precision and recall, with weights on the images, so that resampling is a sum and not a new matching.

pycocotools matches boxes, once. What it accumulates over images is accumulated here for any number of copies of each
image (Lin et al. 2014, "Microsoft COCO"; https://cocodataset.org/#detection-eval).
"""

import contextlib
import dataclasses
import io
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from pycocotools import coco, cocoeval

from apps.driving_perception import boxes as box
from apps.driving_perception import frames

Floats: TypeAlias = npt.NDArray[np.float64]

OVERLAPS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
MOST_DETECTIONS = (1, 10, 100)
SIZES = ("all", "small", "medium", "large")
_TINY = np.spacing(1)


class _Matching(cocoeval.COCOeval):  # type: ignore[misc]
    """pycocotools' matching, in which ``ignore`` of a box counts: as it is, only crowds are ignored."""

    def _prepare(self) -> None:
        super()._prepare()
        for found in self._gts.values():
            for each in found:
                each["ignore"] = each["ignored"]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Matches:
    """How the detections of one class fared, for one range of sizes, best score first.

    Attributes:
        image: (d,) int64 image of each detection.
        rank: (d,) int64 place of the detection among those of its image and class, from 0.
        score: (d,) float64.
        right: (10, d) bool: matched an object, at each of ``OVERLAPS``.
        wrong: (10, d) bool: matched nothing. Neither: it matched what is ignored.
        objects: (n,) int64 objects to be found in each image.
    """

    image: npt.NDArray[np.int64]
    rank: npt.NDArray[np.int64]
    score: Floats
    right: npt.NDArray[np.bool_]
    wrong: npt.NDArray[np.bool_]
    objects: npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Matched:
    """The matches of all classes and sizes.

    Attributes:
        class_names: Of the classes.
        images: Number of images.
        by_size: ``SIZES`` -> class number -> matches; classes without an object in these images are left out.
    """

    class_names: tuple[str, ...]
    images: int
    by_size: Mapping[str, Mapping[int, Matches]]


def match(
    truth: box.Boxes,
    found: box.Detections,
    *,
    images: int,
    class_names: tuple[str, ...],
    known_classes: npt.NDArray[np.bool_] | None = None,
) -> Matched:
    """Match detections with labelled boxes as COCO does.

    Args:
        truth: Labelled boxes. A neighbour is matched but does not count; a region swallows any number of detections.
        found: Detections, at most 100 an image.
        images: Number of images.
        class_names: Of the labels.
        known_classes: (images, classes) bool; where it is false the class is not evaluated in that image.
    """
    known = np.ones((images, len(class_names)), bool) if known_classes is None else known_classes
    labelled = _coco_of(truth, known, images=images)
    counted = found.take(known[found.image, found.label])
    with contextlib.redirect_stdout(io.StringIO()):
        guessed = labelled.loadRes(_results(counted)) if len(counted) else _empty(labelled)
        matching = _Matching(labelled, guessed, "bbox")
        matching.evaluate()
    per_class = np.array(matching.evalImgs, object).reshape(len(class_names), len(SIZES), images)
    by_size = {
        size: {
            label: _joined(list(per_class[label, number]))
            for label in range(len(class_names))
            if any(each is not None and (each["gtIgnore"] == 0).any() for each in per_class[label, 0])
        }
        for number, size in enumerate(SIZES)
    }
    return Matched(class_names=class_names, images=images, by_size=by_size)


def match_frames(collection: frames.Frames, found: box.Detections) -> Matched:
    """Match detections with the boxes of a collection; see ``match``."""
    return match(
        collection.boxes,
        found,
        images=len(collection),
        class_names=collection.class_names,
        known_classes=collection.known_classes,
    )


def average_precision(matches: Matches, weights: Floats | None = None) -> Floats:
    """Return (10,) the average precision of one class at each of ``OVERLAPS``; NaN where no object is there.

    Args:
        matches: Of the class.
        weights: (n,) how often each image counts; None = once.
    """
    copies = np.ones(len(matches.objects)) if weights is None else weights
    objects = copies @ matches.objects
    if objects == 0:
        return np.full(len(OVERLAPS), np.nan)
    each = copies[matches.image]
    right, wrong = (np.cumsum(flags * each, axis=1) for flags in (matches.right, matches.wrong))
    recall, precision = right / objects, right / (right + wrong + _TINY)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    padded = np.concatenate([envelope, np.zeros((len(OVERLAPS), 1))], axis=1)
    places = [np.searchsorted(row, RECALLS, side="left") for row in recall]
    return np.array([row[place].mean() for row, place in zip(padded, places, strict=True)])


def recall(matches: Matches, *, most: int, weights: Floats | None = None) -> Floats:
    """Return (10,) the share of objects found by the ``most`` best detections of each image, at each overlap."""
    copies = np.ones(len(matches.objects)) if weights is None else weights
    objects = copies @ matches.objects
    if objects == 0:
        return np.full(len(OVERLAPS), np.nan)
    kept = (matches.rank < most) * copies[matches.image]
    return np.asarray((matches.right @ kept) / objects, np.float64)


def summary(matched: Matched, weights: Floats | None = None) -> dict[str, float]:
    """Return COCO's numbers, and the average precision of each class; NaN where nothing is to be found.

    ``map``, ``map_50``, ``map_75``, ``map_small``, ``map_medium``, ``map_large``, ``ar_1``, ``ar_10``, ``ar_100``,
    ``ap_<class>``, ``ap_50_<class>``.
    """
    whole = matched.by_size["all"]
    precision = {label: average_precision(found, weights) for label, found in whole.items()}
    every = np.array(list(precision.values())).reshape(-1, len(OVERLAPS))
    numbers = {"map_50": mean(every[:, 0]), "map": mean(every), "map_75": mean(every[:, 5])}
    for size in SIZES[1:]:
        numbers[f"map_{size}"] = mean([average_precision(x, weights) for x in matched.by_size[size].values()])
    for most in MOST_DETECTIONS:
        numbers[f"ar_{most}"] = mean([recall(x, most=most, weights=weights) for x in whole.values()])
    for label, values in precision.items():
        numbers[f"ap_50_{matched.class_names[label]}"] = float(values[0])
        numbers[f"ap_{matched.class_names[label]}"] = float(values.mean())
    return numbers


def map_50(matched: Matched) -> float:
    """Return the mean over classes of the average precision at an overlap of 0.5; 0 where there is nothing to find."""
    values = [average_precision(each)[0] for each in matched.by_size["all"].values()]
    return float(np.mean(values)) if values else 0.0


def mean(values: Any) -> float:
    """Return the mean of what is a number; NaN where nothing is."""
    found = np.asarray(values, np.float64)
    found = found[np.isfinite(found)]
    return float(found.mean()) if found.size else float("nan")


def _coco_of(truth: box.Boxes, known: npt.NDArray[np.bool_], *, images: int) -> coco.COCO:
    """Return the labelled boxes as pycocotools holds them; a region of any class is one of each."""
    classes = range(known.shape[1])
    annotations: list[dict[str, Any]] = []
    for place in range(len(truth)):
        left, top, right, bottom = truth.xyxy[place].astype(np.float64).tolist()
        image, label, kind = int(truth.image[place]), int(truth.label[place]), int(truth.kind[place])
        for each in [label] if label >= 0 else classes:
            if known[image, each]:
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": image,
                        "category_id": each,
                        "bbox": [left, top, right - left, bottom - top],
                        "area": (right - left) * (bottom - top),
                        "iscrowd": int(kind == box.REGION),
                        "ignored": int(kind != box.OBJECT),
                    }
                )
    found = coco.COCO()
    found.dataset = {
        "images": [{"id": image} for image in range(images)],
        "annotations": annotations,
        "categories": [{"id": label} for label in classes],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        found.createIndex()
    return found


def _results(found: box.Detections) -> list[dict[str, Any]]:
    corners = found.xyxy.astype(np.float64)
    sides = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
    columns = (found.image.tolist(), found.label.tolist(), sides.tolist(), found.score.astype(np.float64).tolist())
    return [
        {"image_id": image, "category_id": label, "bbox": sides, "score": score}
        for image, label, sides, score in zip(*columns, strict=True)
    ]


def _empty(labelled: coco.COCO) -> coco.COCO:
    found = coco.COCO()
    found.dataset = {**labelled.dataset, "annotations": []}
    found.createIndex()
    return found


def _joined(images: list[dict[str, Any] | None]) -> Matches:
    """Put one class's detections of all images in one list, best first, equal scores in the order of their images."""
    parts = [(number, each) for number, each in enumerate(images) if each is not None]
    objects = np.zeros(len(images), np.int64)
    for number, each in parts:
        objects[number] = int((np.asarray(each["gtIgnore"]) == 0).sum())
    counts = [len(each["dtScores"]) for _, each in parts]
    image = np.repeat(np.array([number for number, _ in parts], np.int64), counts)
    rank = np.concatenate([np.empty(0, np.int64), *map(np.arange, counts)]).astype(np.int64)
    score = np.concatenate([np.empty(0), *(each["dtScores"] for _, each in parts)]).astype(np.float64)
    matched, ignored = (
        np.concatenate([np.zeros((len(OVERLAPS), 0)), *(each[key] for _, each in parts)], axis=1) > 0
        for key in ("dtMatches", "dtIgnore")
    )
    order = np.argsort(-score, kind="mergesort")
    return Matches(
        image=image[order],
        rank=rank[order],
        score=score[order],
        right=(matched & ~ignored)[:, order],
        wrong=(~matched & ~ignored)[:, order],
        objects=objects,
    )
