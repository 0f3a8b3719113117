"""The interval of a metric of a confusion matrix of which some class has few hits: there resamples know too little.

Of ten positives none was found: no resample finds one, and the balanced accuracy seems to be known almost exactly.
Wilson's interval of the class' recall knows better, and what its ends do to the metric is the metric's own interval.
"""

import math
from collections.abc import Iterator
from typing import Final

import numpy as np

from shared.evaluation import arrays, intervals, weighted

# With so many hits of every class resamples do (docs/intervals.md).
ENOUGH: Final = 10
METHOD: Final = "Wilson of each class by unit, combined"


def interval(
    metric: weighted.Metric, truth: arrays.Ints, decided: arrays.Floats, *, units: arrays.Units, confidence: float
) -> intervals.Interval | None:
    """Return the interval of a metric of decided classes, or None where every class has hits enough.

    Method of variance estimates recovery (Zou & Donner 2008, Stat. Med. 27): each recall and each class' share of the
    rows is moved to the ends of its own interval, the others staying; the metric's changes are added as squares.

    Args:
        metric: reads labels.
        truth: (n,) class ids.
        decided: (n, C) one-hot decided classes.
        units: the unit of each row.
        confidence: in (0, 1).

    Example:
        >>> from shared.evaluation import classification
        >>> truth, decided = np.array([0] * 8 + [1] * 8), weighted.one_hot(np.zeros(16, int), classes=2)
        >>> units = arrays.units_of(None, rows=16)
        >>> found = interval(classification.balanced_accuracy, truth, decided, units=units, confidence=0.95)
        >>> round(found.low, 2), found.value, round(found.high, 2)
        (0.34, 0.5, 0.66)
    """
    classes = decided.shape[1]
    chosen = decided.argmax(axis=1)
    table = np.bincount(truth * classes + chosen, minlength=classes**2).reshape(classes, classes).astype(np.float64)
    occurs = table.sum(axis=1) > 0
    if table.diagonal()[occurs].min() >= ENOUGH or occurs.sum() < 2:
        return None
    cells = np.arange(classes**2)
    value = metric.statistic(
        cells // classes, weighted.one_hot(cells % classes, classes=classes), units=arrays.Units(cells, classes**2)
    )
    estimate = float(value(table.reshape(1, -1))[0])
    moved = [*_other_recalls(table, truth, chosen, units, confidence), *_other_shares(table, truth, units, confidence)]
    changes = np.nan_to_num(value(np.stack(moved).reshape(len(moved), -1)) - estimate)
    # Shares of the rows add up to one: moving each in turn counts every move as often as there are classes.
    square = changes**2 * np.repeat([1.0, 1 / occurs.sum()], len(moved) // 2)
    down, up = (math.sqrt(float(_widest(square, side).sum())) for side in (changes < 0, changes > 0))
    bounds = metric.bounds
    low, high = max(bounds.low, estimate - down), min(bounds.high, estimate + up)
    return intervals.Interval(estimate, low, high, confidence, METHOD) if math.isfinite(estimate) else None


def _widest(square: arrays.Floats, side: arrays.Bools) -> arrays.Floats:
    """Return the larger change to this side of each pair of ends."""
    return np.asarray(np.where(side, square, 0.0).reshape(-1, 2).max(axis=1))


def _other_recalls(
    table: arrays.Floats, truth: arrays.Ints, chosen: arrays.Ints, units: arrays.Units, confidence: float
) -> Iterator[arrays.Floats]:
    """Yield the table with the recall of each class that occurs at the low and at the high end of its interval."""
    for label in np.unique(truth):
        of_class = truth == label
        found = intervals.proportion(chosen[of_class] == label, units=units.code[of_class], confidence=confidence)
        missed = table[label].copy()
        missed[label] = 0
        # Where none was missed, which class a row would be mistaken for is not known.
        others = missed if missed.any() else (np.arange(len(table)) != label).astype(np.float64)
        for recall in (found.low, found.high):
            moved = table.copy()
            moved[label] = others / others.sum() * table[label].sum() * (1 - recall)
            moved[label, label] = table[label].sum() * recall
            yield moved


def _other_shares(
    table: arrays.Floats, truth: arrays.Ints, units: arrays.Units, confidence: float
) -> Iterator[arrays.Floats]:
    """Yield the table with the share of each class that occurs at the low and at the high end of its interval."""
    for label in np.unique(truth):
        found = intervals.proportion(truth == label, units=units.code, confidence=confidence)
        for share in (found.low, found.high):
            factor = np.full((len(table), 1), (1 - share) / (1 - found.value))
            factor[label] = share / found.value
            yield table * factor
