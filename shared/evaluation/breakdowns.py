"""Where a classifier is correct and wrong: confusion matrix, and one row per class."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.evaluation import arrays, classification, intervals, resampling, weighted
from shared.evaluation import intervals


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
    def f1(rows: weighted.Rows) -> resampling.Statistic:
        return rows.matched(lambda m: (2 * m.correct / (m.truth + m.predicted))[:, class_id])

    return f1
