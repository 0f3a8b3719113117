"""Synthetic radiographs: a GAN learns to draw them (``synthesiser``), and two checks evaluate them.

The checks are here: are they copies of training patients, and does a classifier gain anything by them? No TensorFlow.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from shared import errors
from shared.evaluation import bootstrap, classification, intervals
from shared.report import blocks, formatting

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Score = Callable[[Pixels], npt.ArrayLike]
# (images (n, s, s, c) uint8, labels (n,) int64, seed) -> a function from images to probabilities (m, classes).
FitClassifier = Callable[[Pixels, npt.NDArray[np.int64], int], Score]

# An image that is less than half as far from its nearest training image as from the next 50 on average is a copy:
# Carlini et al. 2023, "Extracting Training Data from Diffusion Models" (https://arxiv.org/abs/2301.13188), section 4.
NEIGHBOURS = 50
COPY_RATIO = 0.5
COMPARED_SIDE = 32
ROWS_AT_ONCE = 256

REAL, BOTH, SYNTHETIC = "real_only", "real_and_synthetic", "synthetic_only"
LABELS = {REAL: "Real only", BOTH: "Real + synthetic", SYNTHETIC: "Synthetic only"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Memorisation:
    """How near synthetic images lie to training images, beside how near unseen real images lie to them.

    Attributes:
        synthetic_distance: Median distance of a synthetic image to its nearest training image, in [0, 2].
        holdout_distance: The same of real images that were not trained on.
        copies: Share of synthetic images that are copies by `COPY_RATIO`.
        holdout_copies: Share of unseen real images that would count as copies.
        closeness: Probability that a synthetic image is relatively nearer to its nearest training image than an
            unseen real one is, ties half; 0.5 = alike, more = copying (Meehan et al. 2020,
            https://arxiv.org/abs/2004.05675).
        nearest: (n,) int64 nearest training image of each synthetic one.
        ratio: (n,) float64 its distance over the mean distance of the next neighbours.
    """

    synthetic_distance: float
    holdout_distance: float
    copies: intervals.Interval
    holdout_copies: intervals.Interval
    closeness: intervals.Interval
    nearest: npt.NDArray[np.int64]
    ratio: Floats

    @property
    def found(self) -> bool:
        """Whether there are more copies, or more closeness, than unseen real images explain."""
        return self.copies.low > self.holdout_copies.value or self.closeness.low > 0.5

    @property
    def conclusion(self) -> str:
        """One sentence."""
        count = round(self.copies.value * len(self.ratio))
        shares = f"{count} of {len(self.ratio)} synthetic images are near-copies of a training image"
        closeness = f"closeness {formatting.with_bounds(self.closeness)}, 0.5 = as near as unseen patients"
        start = "Memorisation found: do not share these images." if self.found else "No memorisation found."
        return f"{start} {shares} (unseen real images: {self.holdout_copies.value:.1%}); {closeness}."

    def to_json(self) -> dict[str, Any]:
        """Return the content for ``metrics.json``."""
        return {
            "found": self.found,
            "verdict": self.conclusion,
            "synthetic_distance": self.synthetic_distance,
            "holdout_distance": self.holdout_distance,
            "copies": self.copies.to_json(),
            "holdout_copies": self.holdout_copies.to_json(),
            "closeness": self.closeness.to_json(),
        }


def find_copies(synthetic: Pixels, train: Pixels, holdout: Pixels, *, seed: int = 0) -> Memorisation:
    """Compare synthetic -> train distances with holdout -> train distances.

    A distance is that of images shrunk to about 32 pixels, without their mean and contrast: a copy that is brighter is
    a copy. What is compared is each image's nearest distance over that of its next neighbours, because blurred images
    lie near everything without being copies. Not covered: mirrored or shifted copies, and copies of a detail. Images
    with hardly any detail are near a training image by chance: then the check warns too often, not too rarely.

    Args:
        synthetic: (n, side, side, channels) uint8.
        train: (m, side, side, channels) uint8: all images that the generator was trained on.
        holdout: (k, side, side, channels) uint8 real images of other patients.
        seed: Of the bootstrap behind ``closeness``.

    Raises:
        errors.InputError: Fewer than two images of a kind, three to train on, or other shapes.
    """
    for name, images, least in (("synthetic", synthetic, 2), ("train", train, 3), ("holdout", holdout, 2)):
        if images.shape[1:] != train.shape[1:] or images.ndim != 4 or len(images) < least:
            wanted = f"at least {least} images of shape {train.shape[1:]}"
            raise errors.InputError(f"{name} images: expected {wanted}. Received: {images.shape}")
    known = _unit_vectors(train)
    nearest, distance, ratio = _neighbours(_unit_vectors(synthetic), known)
    _, holdout_distance, holdout_ratio = _neighbours(_unit_vectors(holdout), known)
    is_synthetic = np.repeat([1, 0], [len(ratio), len(holdout_ratio)])
    return Memorisation(
        synthetic_distance=float(np.median(distance)),
        holdout_distance=float(np.median(holdout_distance)),
        copies=_share(ratio < COPY_RATIO),
        holdout_copies=_share(holdout_ratio < COPY_RATIO),
        closeness=bootstrap.interval(
            classification.auroc, is_synthetic, -np.concatenate([ratio, holdout_ratio]), seed=seed
        ),
        nearest=nearest,
        ratio=ratio,
    )


def _share(hits: npt.NDArray[np.bool_]) -> intervals.Interval:
    return intervals.wilson(int(hits.sum()), len(hits))


def _unit_vectors(images: Pixels) -> npt.NDArray[np.float32]:
    """Return (n, d) float32: images shrunk by block means, without mean, of length 1 (a blank one: 0)."""
    factor = max(1, images.shape[1] // COMPARED_SIDE)
    rows, columns = images.shape[1] // factor, images.shape[2] // factor
    cut = images[:, : rows * factor, : columns * factor].astype(np.float32)
    flat = cut.reshape(len(images), rows, factor, columns, factor, -1).mean(axis=(2, 4)).reshape(len(images), -1)
    centred = flat - flat.mean(axis=1, keepdims=True)
    return np.asarray(centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-6), np.float32)


def _neighbours(vectors: npt.NDArray[np.float32], known: npt.NDArray[np.float32]) -> tuple[Any, Floats, Floats]:
    """Return for each vector its nearest known one, the distance, and that over the mean of the next neighbours."""
    count = min(NEIGHBOURS + 1, len(known))
    found = []
    for first in range(0, len(vectors), ROWS_AT_ONCE):
        # |a - b|² = 2 - 2 <a, b> of unit vectors; rounding may leave it just below 0.
        squares = np.maximum(2 - 2 * vectors[first : first + ROWS_AT_ONCE].astype(np.float64) @ known.T, 0)
        order = np.argpartition(squares, count - 1, axis=1)[:, :count]
        distances = np.sqrt(np.take_along_axis(squares, order, axis=1))
        nearest = order[np.arange(len(order)), distances.argmin(axis=1)]
        smallest = distances.min(axis=1)
        others = (distances.sum(axis=1) - smallest) / (count - 1)
        found.append((nearest, smallest, smallest / np.maximum(others, 1e-12)))
    nearest, smallest, ratio = (np.concatenate(column) for column in zip(*found, strict=True))
    return nearest, smallest, ratio


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """What synthetic images are worth to a classifier, evaluated on real images.

    Attributes:
        metric: Name of the metric; higher is better.
        images: Training images of each arm.
        values: The metric of each arm, the mean over the seeds.
        spread: Lowest and highest of the seeds, of each arm.
        differences: Each arm minus real only, on the same resamples.
    """

    metric: str
    images: Mapping[str, int]
    values: Mapping[str, intervals.Interval]
    spread: Mapping[str, tuple[float, float]]
    differences: Mapping[str, intervals.Interval]

    @property
    def gain(self) -> bool:
        """Whether adding synthetic images clearly helped."""
        return self.differences[BOTH].low > 0

    @property
    def conclusion(self) -> str:
        """One sentence, which says "no gain" unless the whole interval is above 0."""
        difference, name = self.differences[BOTH], formatting.metric_name(self.metric)
        start = "Gain" if self.gain else "No gain, but a loss" if difference.high < 0 else "No gain"
        change = formatting.with_bounds(difference, signed=True)
        added = self.images[BOTH] - self.images[REAL]
        return f"{start}: with {added:,} synthetic images added, {name} changes by {change}."

    def table(self) -> blocks.Table:
        """Return the table that a report shows."""
        rows = [
            (
                LABELS[arm],
                self.images[arm],
                value,
                "–".join(f"{end:.3f}" for end in self.spread[arm]),
                self._change(arm),
            )
            for arm, value in self.values.items()
        ]
        return blocks.Table(
            columns=("Trained on", "Images", formatting.metric_name(self.metric), "Range of seeds", "Minus real only"),
            rows=rows,
            caption=f"{self.conclusion} All arms are evaluated on the same real images.",
            align="lrrrr",
        )

    def _change(self, arm: str) -> str | None:
        return formatting.with_bounds(self.differences[arm], signed=True) if arm in self.differences else None


def compare_training(
    train: tuple[Pixels, npt.ArrayLike],
    synthetic: tuple[Pixels, npt.ArrayLike],
    test: tuple[Pixels, npt.ArrayLike],
    *,
    fit_classifier: FitClassifier,
    units: npt.ArrayLike | None = None,
    seeds: Sequence[int] = (0,),
    resamples: int = 2000,
) -> Comparison:
    """Train the same classifier on real, on real and synthetic, and on synthetic images; evaluate each on real ones.

    AUROC, whose value depends on no threshold. With several seeds its mean, so that one lucky training decides nothing;
    the intervals are those of the test units, for the trainings that were done.

    Args:
        train: Real images (n, s, s, c) uint8 and labels (n,): those that the generator was trained on.
        synthetic: Images and labels that it drew.
        test: Real images and labels of other patients.
        fit_classifier: Trains one classifier; called once per arm and seed.
        units: (m,) patient of each test image; None: each is its own.
        seeds: Of the trainings.
        resamples: Of the bootstrap.

    Raises:
        errors.InputError: No seeds, or synthetic images of another shape than the real ones.
        ValueError: The metric has no interval on these test images.
    """
    if not seeds or synthetic[0].shape[1:] != train[0].shape[1:] or not len(synthetic[0]):
        received = f"{len(seeds)} seeds, synthetic {synthetic[0].shape}, real {train[0].shape}"
        raise errors.InputError(
            f"compare: expected seeds, and synthetic images like the real ones. Received: {received}"
        )
    truth = np.asarray(test[1], np.int64)
    arms = {
        REAL: _joined(train),
        BOTH: _joined(train, synthetic),
        SYNTHETIC: _joined(synthetic),
    }
    scores = {
        arm: [np.asarray(fit_classifier(*examples, seed)(test[0]), np.float64) for seed in seeds]
        for arm, examples in arms.items()
    }
    alone = {arm: [classification.auroc(truth, score) for score in several] for arm, several in scores.items()}
    values, differences = _intervals(scores, truth, units=units, resamples=resamples)
    return Comparison(
        metric="auroc",
        images={arm: len(examples[0]) for arm, examples in arms.items()},
        values=values,
        spread={arm: (min(several), max(several)) for arm, several in alone.items()},
        differences=differences,
    )


def _joined(*parts: tuple[Pixels, npt.ArrayLike]) -> tuple[Pixels, npt.NDArray[np.int64]]:
    labels = [np.asarray(kinds, np.int64) for _, kinds in parts]
    return np.concatenate([images for images, _ in parts]), np.concatenate(labels)


def _intervals(
    scores: Mapping[str, Sequence[Floats]],
    truth: npt.NDArray[np.int64],
    *,
    units: npt.ArrayLike | None,
    resamples: int,
) -> tuple[dict[str, intervals.Interval], dict[str, intervals.Interval]]:
    """Return each arm's mean over the seeds, and its difference to real only, on the same resamples."""
    stacked = {arm: np.stack(several, axis=1) for arm, several in scores.items()}
    single = all(len(several) == 1 for several in scores.values())
    metric: bootstrap.MetricLike = classification.auroc if single else _mean_auroc
    cases = {arm: bootstrap.Case(metric, score[:, 0] if single else score) for arm, score in stacked.items()}
    paired = {arm: case._replace(reference=cases[REAL].score) for arm, case in cases.items() if arm != REAL}
    return (
        dict(_complete(cases, truth, units=units, resamples=resamples)),
        dict(_complete(paired, truth, units=units, resamples=resamples)),
    )


def _mean_auroc(y_true: npt.NDArray[Any], y_score: npt.NDArray[Any]) -> float:
    """Return the mean over the seeds of (n, seeds, ...) scores."""
    return float(np.mean([classification.auroc(y_true, y_score[:, seed]) for seed in range(y_score.shape[1])]))


def _complete(
    cases: Mapping[str, bootstrap.Case], truth: npt.NDArray[np.int64], *, units: npt.ArrayLike | None, resamples: int
) -> intervals.Intervals:
    found = bootstrap.intervals_of(cases, truth, units=units, resamples=resamples)
    if found.notes:
        raise ValueError(f"compare: {found.notes[0]}")
    return found
