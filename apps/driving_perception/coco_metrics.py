"""COCO's average precision and recall, with weights on the images, so that resampling is a sum and not a new matching.

Boxes are matched once, as pycocotools matches them. What it accumulates over images is accumulated here for any number
of copies of each image (Lin et al. 2014, "Microsoft COCO"; https://cocodataset.org/#detection-eval).
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from apps.driving_perception import boxes as box
from shared import compiling

Floats: TypeAlias = npt.NDArray[np.float64]

OVERLAPS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
MOST_DETECTIONS = (1, 10, 100)
# In square pixels; both ends belong to a range.
AREAS = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
SIZES = tuple(AREAS)
_TINY = np.spacing(1)


class Labelled(Protocol):
    """What metrics read of ``frames.Frames``: any labelled images have it."""

    @property
    def boxes(self) -> box.Boxes:
        """The labelled boxes."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """What they are called."""

    @property
    def known_classes(self) -> npt.NDArray[np.bool_]:
        """(n, k) which classes each image's source labels."""

    def __len__(self) -> int:
        """Count the images."""


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
    counted = found.take(known[found.image, found.label])
    by_size: dict[str, dict[int, Matches]] = {size: {} for size in SIZES}
    for label in range(len(class_names)):
        # A region of any class is one of each.
        labelled = truth.take(((truth.label == label) | (truth.label < 0)) & known[truth.image, label])
        if not (labelled.kind == box.OBJECT).any():
            continue
        guessed = counted.take(counted.label == label)
        for size in SIZES:
            by_size[size][label] = _match_class(labelled, guessed, AREAS[size], images=images)
    return Matched(class_names=class_names, images=images, by_size=by_size)


def match_frames(collection: Labelled, found: box.Detections) -> Matched:
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


def _match_class(truth: box.Boxes, found: box.Detections, area: tuple[float, float], *, images: int) -> Matches:
    """Match the boxes of one class, of which only objects whose area is in a range are to be found."""
    best = np.lexsort((np.arange(len(found)), -found.score.astype(np.float64), found.image))
    starts = np.searchsorted(found.image[best], np.arange(images + 1))
    rank = np.arange(len(best)) - starts[found.image[best]]
    kept = best[rank < MOST_DETECTIONS[-1]]
    image, rank = found.image[kept], rank[rank < MOST_DETECTIONS[-1]]
    labelled, guessed = (_with_sides(each) for each in (truth.xyxy, found.xyxy[kept]))
    ignored = (truth.kind != box.OBJECT) | _outside(labelled, area)
    matched, passed = match_boxes(
        np.searchsorted(truth.image, np.arange(images + 1)),
        labelled,
        truth.kind == box.REGION,
        ignored,
        np.searchsorted(image, np.arange(images + 1)),
        guessed,
        # One that differs from 1 by rounding alone still is an overlap of 1.
        np.minimum(OVERLAPS, 1 - 1e-10),
    )
    passed |= ~matched & _outside(guessed, area)
    score = found.score[kept].astype(np.float64)
    order = np.argsort(-score, kind="stable")
    return Matches(
        image=image[order],
        rank=rank[order],
        score=score[order],
        right=(matched & ~passed)[:, order],
        wrong=(~matched & ~passed)[:, order],
        objects=np.bincount(truth.image[~ignored], minlength=images).astype(np.int64),
    )


def _with_sides(xyxy: npt.NDArray[np.float32]) -> Floats:
    """Return (m, 4) left, top, width and height."""
    corners = xyxy.astype(np.float64)
    return np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)


def _outside(boxes: Floats, area: tuple[float, float]) -> npt.NDArray[np.bool_]:
    found = boxes[:, 2] * boxes[:, 3]
    return np.asarray((found < area[0]) | (found > area[1]))


@compiling.compiled
def overlap(found: Floats, labelled: Floats, swallows: bool) -> float:
    """Return intersection over union of two boxes of sides, or over the first where the second ``swallows`` it."""
    width = min(found[0] + found[2], labelled[0] + labelled[2]) - max(found[0], labelled[0])
    height = min(found[1] + found[3], labelled[1] + labelled[3]) - max(found[1], labelled[1])
    if width <= 0 or height <= 0:
        return 0.0
    inside, own = width * height, found[2] * found[3]
    return float(inside / (own if swallows else own + labelled[2] * labelled[3] - inside))


@compiling.compiled
def match_boxes(
    labelled_starts: npt.NDArray[np.int64],
    labelled: Floats,
    swallows: npt.NDArray[np.bool_],
    ignored: npt.NDArray[np.bool_],
    found_starts: npt.NDArray[np.int64],
    found: Floats,
    overlaps: Floats,
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Match one class's detections, best first, with the free object that each overlaps most, image after image.

    As pycocotools does (``COCOeval.evaluateImg``), whose loops in Python took 4 minutes for 100,000 images: what is
    ignored is matched only where nothing else is, and of equal overlaps the later object is taken.

    Args:
        labelled_starts: (images + 1,) where the labelled boxes of each image begin.
        labelled: (m, 4) left, top, width, height.
        swallows: (m,) whether any number of detections match it, by the share of them that lies inside.
        ignored: (m,) whether finding it does not count.
        found_starts: (images + 1,) where the detections of each image begin.
        found: (d, 4), best first within an image.
        overlaps: (t,) smallest overlaps of a match.

    Returns:
        (t, d) whether it matched, and whether what it matched is ignored.
    """
    matched = np.zeros((len(overlaps), len(found)), np.bool_)
    passed = np.zeros((len(overlaps), len(found)), np.bool_)
    for image in range(len(found_starts) - 1):
        first, last = labelled_starts[image], labelled_starts[image + 1]
        start, end = found_starts[image], found_starts[image + 1]
        if first == last or start == end:
            continue
        order = np.empty(last - first, np.int64)
        filled = 0
        for is_ignored in (False, True):
            for each in range(first, last):
                if ignored[each] == is_ignored:
                    order[filled] = each
                    filled += 1
        shared = np.zeros((end - start, last - first))
        for row in range(start, end):
            for place, each in enumerate(order):
                shared[row - start, place] = overlap(found[row], labelled[each], swallows[each])
        for level, least in enumerate(overlaps):
            taken = np.zeros(last - first, np.bool_)
            for row in range(start, end):
                best, chosen = least, -1
                for place, each in enumerate(order):
                    if taken[place] and not swallows[each]:
                        continue
                    if chosen >= 0 and not ignored[order[chosen]] and ignored[each]:
                        break
                    if shared[row - start, place] >= best:
                        best, chosen = shared[row - start, place], place
                if chosen >= 0:
                    taken[chosen] = True
                    matched[level, row] = True
                    passed[level, row] = ignored[order[chosen]]
    return matched, passed
