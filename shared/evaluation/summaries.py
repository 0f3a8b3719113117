"""Every metric of a classifier with its interval, differences, the confusion matrix, and one row per class."""

import contextlib
import dataclasses
import types
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from shared.evaluation import (
    arrays,
    bootstrap,
    classification,
    few_hits,
    intervals,
    miscalibration,
    resampling,
    weighted,
)

# What a report shows for every classifier, in this order.
METRICS: Final[Mapping[str, weighted.Metric]] = types.MappingProxyType(
    {
        "accuracy": classification.accuracy,
        "balanced_accuracy": classification.balanced_accuracy,
        "f1_macro": classification.f1_macro,
        "mcc": classification.mcc,
        "auroc": classification.auroc,
        "average_precision": classification.average_precision,
        "brier": classification.brier,
        "ece": miscalibration.ece,
        "log_loss": classification.log_loss,
    }
)


def summarize(  # noqa: PLR0913
    y_true: npt.ArrayLike,
    scores: npt.ArrayLike,
    *,
    predicted: npt.ArrayLike | None = None,
    units: npt.ArrayLike | None = None,
    metrics: Mapping[str, weighted.Metric] = METRICS,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> intervals.Intervals:
    """Return every metric with its bootstrap interval by unit, all on the same resamples.

    Args:
        y_true: (n,) class ids.
        scores: (n,) or (n, C) probabilities.
        predicted: (n,) the classes decided on, where a threshold and not the highest score decides.
        units: (n,) unit of each row; None: every row is its own.
        metrics: what to compute.
        confidence: in (0, 1).
        resamples: number of resamples.
        seed: of the resamples.

    Returns:
        A dict of intervals; metrics that are undefined here are missing and explained in its ``notes``.

    Raises:
        ValueError: malformed arrays, or fewer than two units.

    Example:
        >>> found = summarize([1, 1], [0.8, 0.9], resamples=20)
        >>> sorted(found), found["accuracy"].method
        (['accuracy', 'brier', 'ece', 'f1_macro', 'log_loss'], 'Wilson')
    """
    found = resampled(
        y_true, scores, predicted=predicted, units=units, metrics=metrics, resamples=resamples, seed=seed
    ).intervals(confidence=confidence)
    return with_closed_forms(found, y_true, scores, predicted=predicted, units=units, confidence=confidence)


def with_closed_forms(
    found: intervals.Intervals,
    y_true: npt.ArrayLike,
    scores: npt.ArrayLike,
    *,
    predicted: npt.ArrayLike | None,
    units: npt.ArrayLike | None,
    confidence: float = 0.95,
) -> intervals.Intervals:
    """Give shares Wilson's interval, a binary AUROC DeLong's, and what few hits decide that of `few_hits`.

    What they know of the form of the variance, resamples of few units can only guess at. Arguments as in `summarize`.
    """
    truth, score = checked(y_true, scores)
    one_hot, grouping = decided_one_hot(score, predicted), arrays.units_of(units, rows=len(truth))
    decided, identity = one_hot.argmax(axis=1), grouping.code
    right = decided == truth
    shares = {
        "accuracy": np.ones_like(right),
        "sensitivity": truth == 1,
        "specificity": truth == 0,
        "precision": decided == 1,
    }
    for name, among in shares.items():
        share = intervals.proportion_among(right, among, units=identity, confidence=confidence)
        if name in found and share is not None:
            single = units is not None and share.method == "Wilson"  # every row is a unit
            found[name] = dataclasses.replace(share, method="Wilson by unit") if single else share
    for name in {"balanced_accuracy", "f1_macro", "mcc"} & set(found):
        few = few_hits.interval(METRICS[name], truth, one_hot, units=grouping, confidence=confidence)
        found[name] = found[name] if few is None else few
    if "auroc" in found and (score.ndim == 1 or score.shape[1] == 2):
        with contextlib.suppress(ValueError):  # one unit only has rows of a class
            found["auroc"] = intervals.delong(truth, score, units=units, confidence=confidence)
    return found


def resampled(
    y_true: npt.ArrayLike,
    scores: npt.ArrayLike,
    *,
    predicted: npt.ArrayLike | None = None,
    units: npt.ArrayLike | None = None,
    metrics: Mapping[str, weighted.Metric] = METRICS,
    resamples: int = 2000,
    seed: int = 0,
) -> resampling.Resampled:
    """Return the metrics on all rows and on resamples of their units; arguments as in `summarize`."""
    truth, score = checked(y_true, scores)
    decided = decided_one_hot(score, predicted)
    own = arrays.units_of(units, rows=len(truth))
    grouping = own.in_groups(resampling.MOST_UNITS)
    prepared = {
        name: metric.statistic(truth, decided if metric.reads == "labels" else score, units=grouping)
        for name, metric in metrics.items()
    }
    found = resampling.Resampled.of(prepared, grouping, resamples=resamples, seed=seed)
    return dataclasses.replace(
        found,
        bounds={name: metric.bounds for name, metric in metrics.items()},
        carriers=resampling.carriers_of(truth, own),
        equal=own.equal,
        undefined={name: metric.undefined(truth) for name, metric in metrics.items()},
    )


def compare(  # noqa: PLR0913
    y_true: npt.ArrayLike,
    scores_a: npt.ArrayLike,
    scores_b: npt.ArrayLike,
    *,
    predicted: tuple[npt.ArrayLike | None, npt.ArrayLike | None] = (None, None),
    units: npt.ArrayLike | None = None,
    metrics: Mapping[str, weighted.Metric] = METRICS,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> intervals.Intervals:
    """Return the difference a - b of every metric, both models on the same resamples of the units.

    Arguments as in `summarize`, with ``predicted`` a pair.

    Example:
        >>> found = compare([0, 1, 1], [0.1, 0.8, 0.9], [0.1, 0.8, 0.3], resamples=50)
        >>> round(found["accuracy"].value, 3)
        0.333
    """
    model, other = (
        resampled(y_true, scores, predicted=decided, units=units, metrics=metrics, resamples=resamples, seed=seed)
        for scores, decided in zip((scores_a, scores_b), predicted, strict=True)
    )
    return model.minus(other).intervals(confidence=confidence)


def checked(y_true: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[arrays.Ints, arrays.Floats]:
    """Return checked class ids and scores."""
    truth = arrays.labels(y_true)
    score = arrays.scores(scores, rows=len(truth), name="scores")
    return arrays.labels(truth, classes=2 if score.ndim == 1 else score.shape[1]), score


def decided_one_hot(score: arrays.Floats, predicted: npt.ArrayLike | None) -> arrays.Floats:
    """Return the decided classes as ``(n, C)`` one-hot scores, which is what label metrics read."""
    classes = 2 if score.ndim == 1 else score.shape[1]
    if predicted is None:
        return weighted.one_hot(weighted.decide(score), classes=classes)
    labels = arrays.labels(predicted, classes=classes, name="predicted")
    arrays.same_length(len(score), "predicted", labels)
    return weighted.one_hot(labels, classes=classes)


def confusion(y_true: npt.ArrayLike, scores: npt.ArrayLike, *, predicted: npt.ArrayLike | None = None) -> arrays.Ints:
    """Return ``(C, C) int64`` counts: rows are true classes, columns decided ones.

    Example:
        >>> confusion([0, 1, 1], [0.2, 0.9, 0.4])
        array([[1, 0],
               [1, 1]])
    """
    truth, score = checked(y_true, scores)
    decided = decided_one_hot(score, predicted)
    classes = decided.shape[1]
    return np.bincount(truth * classes + decided.argmax(axis=1), minlength=classes**2).reshape(classes, classes)


def per_class(  # noqa: PLR0913
    y_true: npt.ArrayLike,
    scores: npt.ArrayLike,
    *,
    predicted: npt.ArrayLike | None = None,
    class_names: Sequence[str] | None = None,
    units: npt.ArrayLike | None = None,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Return one row per class: class, support, predicted, precision, recall, f1.

    Support and predicted are counts, the others intervals, or None where undefined. Precision and recall
    have Wilson's interval (at the effective size when units are given), F1, which is no proportion, a
    bootstrap by unit. Arguments as in `summarize`.

    Raises:
        ValueError: malformed arrays, fewer than two units, or another number of names than classes.

    Example:
        >>> row = per_class([0, 1, 1], [0.2, 0.9, 0.4], class_names=("no", "yes"), resamples=50)[1]
        >>> row["class"], row["support"], row["precision"].value, row["recall"].value
        ('yes', 2, 1.0, 0.5)
    """
    truth, score = checked(y_true, scores)
    decided = decided_one_hot(score, predicted)
    names = [str(c) for c in range(decided.shape[1])] if class_names is None else list(class_names)
    if len(names) != decided.shape[1]:
        raise ValueError(f"class_names: expected {decided.shape[1]} names. Received: {len(names)}")
    cases = {str(c): bootstrap.Case(_f1_of(c), decided) for c in range(len(names))}
    f1 = bootstrap.intervals_of(cases, truth, units=units, confidence=confidence, resamples=resamples, seed=seed)
    identity = arrays.units_of(units, rows=len(truth)).code
    rows = []
    for c, name in enumerate(names):
        true, predicted_so = truth == c, decided[:, c] == 1
        rows.append(
            {
                "class": name,
                "support": int(true.sum()),
                "predicted": int(predicted_so.sum()),
                "precision": intervals.proportion_among(true, predicted_so, units=identity, confidence=confidence),
                "recall": intervals.proportion_among(predicted_so, true, units=identity, confidence=confidence),
                "f1": f1.get(str(c)),
            }
        )
    return rows


def _f1_of(class_id: int) -> weighted.Metric:
    """Return the F1 of one class, undefined where it is neither true nor predicted."""

    @weighted.metric(reads="labels", needs=f"rows of class {class_id}, true or predicted")
    def f1(rows: weighted.Rows) -> weighted.Statistic:
        return rows.matched(lambda m: (2 * m.correct / (m.truth + m.predicted))[:, class_id])

    return f1
