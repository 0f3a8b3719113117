"""The plain baseline of the same run: boxes where obstacles usually are, without a look at the picture."""

import dataclasses
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn import cluster

from apps.driving_perception import boxes as box
from apps.driving_perception import frames
from shared.evaluation import other_models

LOCATION_PRIOR = "location_prior"
LABELS = {LOCATION_PRIOR: "usual places and sizes", **other_models.LABELS}
PLACES = 60
# Two usual places of one class that overlap more are one.
SAME = 0.5
_MOST_OBJECTS = 20_000

Floats: TypeAlias = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class LocationPrior:
    """The same boxes for every image.

    Attributes:
        xyxy: (k, 4) float64 in fractions of width and height.
        label: (k,) int64.
        score: (k,) float64 share of training images with an object of the class there.
    """

    xyxy: Floats
    label: NDArray[np.int64]
    score: Floats

    def predict(self, collection: frames.Frames, rows: NDArray[np.int64]) -> box.Detections:
        """Return the boxes for some images, numbered from 0 in the order of ``rows``."""
        sides = np.tile(collection.images.sizes[rows].astype(np.float64), 2)
        count = len(self.label)
        return box.Detections.build(
            image=np.repeat(np.arange(len(rows)), count),
            xyxy=(self.xyxy[np.newaxis] * sides[:, np.newaxis]).reshape(-1, 4),
            label=np.tile(self.label, len(rows)),
            score=np.tile(self.score, len(rows)),
        )


def fit(collection: frames.Frames, rows: NDArray[np.int64], *, seed: int) -> dict[str, LocationPrior]:
    """Find the usual places and sizes of each class in training images.

    Args:
        collection: All images.
        rows: Those of the training part.
        seed: Of the clustering.
    """
    boxes = collection.boxes.of_images(rows)
    boxes = boxes.take(boxes.kind == box.OBJECT)
    places = boxes.xyxy / np.tile(collection.images.sizes[rows][boxes.image], 2)
    found = [
        _of_class(places[boxes.label == label].astype(np.float64), boxes.image[boxes.label == label], label, seed=seed)
        for label in range(len(collection.class_names))
        if (boxes.label == label).any()
    ]
    if not found:
        nothing = np.empty((0, 4)), np.empty(0, np.int64), np.empty(0)
        found = [nothing]
    known = np.maximum(collection.known_classes[rows].sum(axis=0), 1)
    label = np.concatenate([each[1] for each in found])
    return {
        LOCATION_PRIOR: LocationPrior(
            xyxy=np.concatenate([each[0] for each in found]),
            label=label,
            score=np.concatenate([each[2] for each in found]) / known[label],
        )
    }


def _of_class(
    places: Floats, image: NDArray[np.int64], label: int, *, seed: int
) -> tuple[Floats, NDArray[np.int64], Floats]:
    """Return one class's usual boxes, their label, and in how many images an object is there."""
    chosen = np.random.default_rng(seed).permutation(len(places))[:_MOST_OBJECTS]
    some, images = places[chosen], image[chosen]
    # Middles and logarithms of sides: a box twice as large is as far as one half as large.
    sides = np.log(np.maximum(some[:, 2:] - some[:, :2], 1e-4))
    shapes = np.concatenate([4 * (some[:, :2] + some[:, 2:]) / 2, sides], axis=1)
    count = min(PLACES, len(np.unique(shapes, axis=0)))
    middle = cluster.KMeans(count, random_state=seed, n_init=1).fit(shapes).cluster_centers_
    half = np.exp(middle[:, 2:]) / 2
    xyxy = np.concatenate([middle[:, :2] / 4 - half, middle[:, :2] / 4 + half], axis=1)
    hit = box.iou(xyxy, some) >= SAME
    support = np.array([len(np.unique(images[row])) for row in hit], np.float64) * len(places) / len(some)
    kept = _suppressed(xyxy, support)
    return xyxy[kept], np.full(len(kept), label, np.int64), support[kept]


def _suppressed(xyxy: Floats, score: Floats) -> list[int]:
    """Return the rows that no better one overlaps by more than ``SAME``."""
    kept: list[int] = []
    for row in np.argsort(-score, kind="stable").tolist():
        if not kept or box.iou(xyxy[row : row + 1], xyxy[kept]).max() <= SAME:
            kept.append(row)
    return kept
