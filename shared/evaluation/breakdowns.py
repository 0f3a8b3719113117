"""Where a classifier is right and wrong: confusion matrix, one row per class, one row per slice."""

import types
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from shared.evaluation import arrays, classification, intervals, proportions, resampling, weighted

SLICE_METRICS: Final[Mapping[str, weighted.Metric]] = types.MappingProxyType(
    {name: classification.METRICS[name] for name in ("accuracy", "f1_macro", "auroc")}
)


def confusion(y_true: npt.ArrayLike, scores: npt.ArrayLike, *, predicted: npt.ArrayLike | None = None) -> arrays.Ints:
    """Return ``(C, C) int64`` counts: rows are true classes, columns decided ones.

    Example:
        >>> confusion([0, 1, 1], [0.2, 0.9, 0.4])
        array([[1, 0],
               [1, 1]])
    """
    truth, score = classification.checked(y_true, scores)
    decided = classification.decided_one_hot(score, predicted)
    classes = decided.shape[1]
    return np.bincount(truth * classes + decided.argmax(axis=1), minlength=classes**2).reshape(classes, classes)


def per_class(
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
    bootstrap by unit. Arguments as in `classification.summarize`.

    Raises:
        ValueError: malformed arrays, fewer than two units, or another number of names than classes.

    Example:
        >>> row = per_class([0, 1, 1], [0.2, 0.9, 0.4], class_names=("no", "yes"), resamples=50)[1]
        >>> row["class"], row["support"], row["precision"].value, row["recall"].value
        ('yes', 2, 1.0, 0.5)
    """
    truth, score = classification.checked(y_true, scores)
    decided = classification.decided_one_hot(score, predicted)
    names = [str(c) for c in range(decided.shape[1])] if class_names is None else list(class_names)
    if len(names) != decided.shape[1]:
        raise ValueError(f"class_names: expected {decided.shape[1]} names. Received: {len(names)}")
    cases = {str(c): intervals.Case(_f1_of(c), decided) for c in range(len(names))}
    f1 = intervals.bootstrap_many(cases, truth, units=units, confidence=confidence, resamples=resamples, seed=seed)
    identity = resampling.units_of(units, rows=len(truth)).code
    rows = []
    for c, name in enumerate(names):
        true, said = truth == c, decided[:, c] == 1
        rows.append(
            {
                "class": name,
                "support": int(true.sum()),
                "predicted": int(said.sum()),
                "precision": proportions.proportion_among(true, said, units=identity, confidence=confidence),
                "recall": proportions.proportion_among(said, true, units=identity, confidence=confidence),
                "f1": f1.get(str(c)),
            }
        )
    return rows


def slices(
    y_true: npt.ArrayLike,
    scores: npt.ArrayLike,
    groups: Mapping[str, npt.ArrayLike],
    *,
    predicted: npt.ArrayLike | None = None,
    units: npt.ArrayLike | None = None,
    metrics: Mapping[str, weighted.Metric] = SLICE_METRICS,
    minimum: int = 30,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Return one row per named group of rows: name, n, n_units, metrics (name -> Interval) and notes.

    Args:
        y_true: (n,) class ids.
        scores: (n,) or (n, C) probabilities.
        groups: for each name a (n,) bool mask; masks may overlap.
        predicted: as in `classification.summarize`.
        units: as in `classification.summarize`.
        metrics: what to compute.
        minimum: groups of fewer rows, or of fewer than two units, get no metrics but the note "too few".
        confidence: in (0, 1).
        resamples: number of resamples.
        seed: of the resamples.

    Raises:
        ValueError: malformed arrays or masks.

    Example:
        >>> slices([0, 1], [0.2, 0.9], {"short": [True, False]})
        [{'name': 'short', 'n': 1, 'n_units': 1, 'metrics': {}, 'notes': ['too few: 1 rows of 1 units']}]
    """
    truth, score = classification.checked(y_true, scores)
    labels = classification.decided_one_hot(score, predicted).argmax(axis=1)
    identity = resampling.units_of(units, rows=len(truth)).code
    rows: list[dict[str, Any]] = []
    for name, values in groups.items():
        inside = arrays.mask(values, rows=len(truth), name=name)
        n, n_units = int(inside.sum()), len(np.unique(identity[inside]))
        row: dict[str, Any] = {"name": name, "n": n, "n_units": n_units, "metrics": {}, "notes": []}
        if n < minimum or n_units < 2:
            row["notes"] = [f"too few: {n} rows of {n_units} units"]
        else:
            found = classification.summarize(
                truth[inside],
                score[inside],
                predicted=labels[inside],
                units=None if units is None else identity[inside],
                metrics=metrics,
                confidence=confidence,
                resamples=resamples,
                seed=seed,
            )
            row["metrics"], row["notes"] = dict(found), found.notes
        rows.append(row)
    return rows


def _f1_of(class_id: int) -> weighted.Metric:
    """Return the F1 of one class, undefined where it is neither true nor predicted."""

    @weighted.metric(reads="labels", needs=f"rows of class {class_id}, true or predicted")
    def f1(rows: weighted.Rows) -> resampling.Statistic:
        return rows.matched(lambda m: (2 * m.correct / (m.truth + m.predicted))[:, class_id])

    return f1
