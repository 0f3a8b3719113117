"""Data sets of known truth for `benchmarks.coverage`: few units, rare classes, clusters, ties, values near 1."""

import dataclasses
import math
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import special

from apps.driving_perception import coco_metrics
from apps.fraud_detection import metrics as fraud
from shared.evaluation import arrays, classification, summaries, weighted

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Random: TypeAlias = np.random.Generator

SHARES = {name: getattr(classification, name) for name in ("sensitivity", "specificity", "precision")}
METRICS: Mapping[str, weighted.Metric] = {**summaries.METRICS, **SHARES}
RANKING = {"auroc": classification.auroc}
COMPARED = ("accuracy", "auroc", "average_precision", "brier", "ece")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Population:
    """Where labels and scores come from: scores are normal, ``distance`` apart, and turned to probabilities.

    Attributes:
        name: How the table calls it.
        counts: Rows of class 1 and 0; a share in place of counts draws labels at random.
        rows: Number of rows where labels are drawn, or of units where rows share them.
        distance: Between the classes, in standard deviations.
        overconfidence: Factor on the logits; 1 is calibrated.
        decimals: To which probabilities are rounded: ties.
        cluster: Largest number of rows of a unit, which share half of their variance; 1: independent rows.
        limits: The most units, and the most rows times resamples, that are resampled as they are; None: the suite's.
        most_sets: No more data sets are drawn.
        second: Distance between the classes for the second model; None: as for the first.
        metrics: What is computed.
    """

    name: str
    counts: tuple[int, int] | float
    rows: int = 0
    distance: float
    overconfidence: float = 1.0
    decimals: int | None = None
    cluster: int = 1
    second: float | None = None
    limits: tuple[int, int] | None = None
    most_sets: int = 100_000
    metrics: Mapping[str, weighted.Metric] = dataclasses.field(default_factory=lambda: METRICS)

    def labels(self, random: Random) -> tuple[Ints, Ints]:
        """Return labels (n,) and units (n,): both classes occur in two units at least."""
        if not isinstance(self.counts, float):
            return np.repeat([1, 0], self.counts), np.arange(sum(self.counts))
        while True:
            units = np.repeat(np.arange(self.rows), random.integers(1, self.cluster + 1, self.rows))
            own = random.random(self.rows) < self.counts
            # Three rows of ten differ from their unit.
            alone = (random.random(len(units)) < 0.3) | (self.cluster == 1)
            labels = np.where(alone, random.random(len(units)) < self.counts, own[units]).astype(np.int64)
            if min(len(np.unique(units[labels == label])) for label in (0, 1)) > 1:
                return labels, units

    def draw(self, random: Random) -> tuple[Ints, Floats, Floats, Ints]:
        """Return labels, the probabilities of two models, and units, each (n,)."""
        labels, units = self.labels(random)
        shared = 0.5 if self.cluster > 1 else 0.0
        noise = math.sqrt(shared) * random.normal(size=units.max() + 1)[units]
        noise += math.sqrt(1 - shared) * random.normal(size=len(units))
        other = 0.8 * noise + 0.6 * random.normal(size=len(units))
        return labels, self._probability(noise, labels), self._probability(other, labels, self.second), units

    def _probability(self, noise: Floats, labels: Ints, distance: float | None = None) -> Floats:
        distance = self.distance if distance is None else distance
        share = self.counts if isinstance(self.counts, float) else self.counts[0] / sum(self.counts)
        values = noise + distance * labels
        logit = special.logit(share) + distance * values - distance**2 / 2
        found = np.asarray(special.expit(self.overconfidence * logit))
        return found if self.decimals is None else np.clip(np.round(found, self.decimals), 0.05, 0.95)


POPULATIONS = (
    Population(name="15 + 180 rows", counts=(15, 180), distance=1.5, metrics=RANKING),
    Population(name="15 + 180 rows, AUROC near 1", counts=(15, 180), distance=2.5, metrics=RANKING),
    Population(name="20 + 20 rows, AUROC near 1", counts=(20, 20), distance=3.0, metrics=RANKING),
    Population(name="60 + 130 rows", counts=(60, 130), distance=1.5, metrics=RANKING),
    Population(name="10 + 90 rows", counts=(10, 90), distance=1.5, metrics=RANKING),
    Population(name="50 + 50 rows", counts=(50, 50), distance=1.5, metrics=RANKING),
    Population(name="195 rows, 8 % positive", counts=0.077, rows=195, distance=2.0),
    Population(name="100 rows, 10 % positive", counts=0.1, rows=100, distance=1.5),
    Population(name="190 rows, overconfident", counts=0.3, rows=190, distance=1.5, overconfidence=1.6),
    Population(name="100 rows, ties", counts=0.5, rows=100, distance=1.5, decimals=1),
    Population(name="32 rows, accuracy 0.9", counts=0.5, rows=32, distance=2.563),
    Population(name="40 rows, near 1", counts=0.5, rows=40, distance=3.0),
    Population(name="40 units of 1 to 9 rows", counts=0.3, rows=40, distance=1.5, cluster=9),
    Population(name="20 units of 1 to 9 rows", counts=0.5, rows=20, distance=1.5, cluster=9),
    Population(name="40 units, 10 % positive", counts=0.1, rows=40, distance=1.5, cluster=9),
    Population(name="600 rows in 150 groups, 200 resamples", counts=0.3, rows=600, distance=1.5, limits=(150, 0)),
    Population(
        name="300 units in 100 groups, 200 resamples", counts=0.3, rows=300, distance=1.5, cluster=9, limits=(100, 0)
    ),
    Population(name="60 rows, second model worse", counts=0.3, rows=60, distance=1.8, second=0.8),
    Population(
        name="60,000 rows in 50,000 groups",
        counts=0.01,
        rows=60_000,
        distance=2.0,
        most_sets=60,
        metrics={name: METRICS[name] for name in ("f1_macro", "average_precision", "brier", "ece", "log_loss")},
    ),
)


def detections(random: Random, *, count: int) -> tuple[weighted.Statistic, int]:
    """Return the mean over three classes of average precision, as a statistic over images."""
    parts = [_detections_of_class(random, count) for _ in range(3)]

    def value(drawn: arrays.Floats) -> arrays.Floats:
        return np.array([np.nanmean([coco_metrics.average_precision(part, each) for part in parts]) for each in drawn])

    return value, count


def _detections_of_class(random: Random, images: int) -> coco_metrics.Matches:
    """Return objects, more in some images than in others, most of them found, and false alarms with lower scores."""
    ease = random.normal(size=images)
    objects = random.poisson(1.5 * np.exp(0.4 * random.normal(size=images)))
    image = np.repeat(np.arange(images), objects)
    hit = random.random(len(image)) < special.expit(1.2 + ease[image])
    wrong = np.repeat(np.arange(images), random.poisson(0.7, images))
    score = np.concatenate([1.2 + 0.5 * ease[image[hit]], np.zeros(len(wrong))])
    score = score + random.normal(size=len(score))
    quality = np.concatenate([random.beta(4, 2, int(hit.sum())), np.full(len(wrong), -1.0)])
    order = np.argsort(-score, kind="stable")
    right = (0.5 + 0.5 * quality[order] >= coco_metrics.OVERLAPS[:, np.newaxis]) & (quality[order] >= 0)
    everywhere = np.concatenate([image[hit], wrong])[order]
    return coco_metrics.Matches(
        image=everywhere, rank=np.zeros_like(everywhere), score=score[order], right=right, wrong=~right, objects=objects
    )


def cards(random: Random, *, count: int) -> tuple[weighted.Statistic, int]:
    """Return card precision at a tenth of the cards, over five days, as a statistic over cards."""
    days, per_day = 5, 2
    payers = np.repeat(np.arange(count), days * per_day)
    day = np.tile(np.repeat(np.arange(days), per_day), count)
    stolen = np.repeat(random.random(count) < 0.15, days * per_day)
    fraudulent = (stolen & (random.random(len(payers)) < 0.4)).astype(np.int64)
    part = fraud.Scored(
        labels=fraudulent,
        scores=random.normal(size=len(payers)) + 2 * fraudulent,
        days=day,
        amounts=np.ones(len(payers)),
        weights=np.ones(len(payers)),
        units=arrays.Units(payers, count),
        alerted=np.zeros(len(payers), bool),
    )
    return fraud.card_precision(part, cards=count // 10), count
