"""Does a classifier gain anything by synthetic images? No TensorFlow here."""

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

REAL, BOTH, SYNTHETIC = "real_only", "real_and_synthetic", "synthetic_only"
LABELS = {REAL: "Real only", BOTH: "Real + synthetic", SYNTHETIC: "Synthetic only"}


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

    def to_json(self) -> dict[str, Any]:
        """Return the content for ``metrics.json``."""
        return {
            "metric": self.metric,
            "gain": self.gain,
            "verdict": self.conclusion,
            "images": dict(self.images),
            "values": {arm: value.to_json() for arm, value in self.values.items()},
            "spread": {arm: list(ends) for arm, ends in self.spread.items()},
            "differences": {arm: value.to_json() for arm, value in self.differences.items()},
        }

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


def compare(
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
