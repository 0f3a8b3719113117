"""Metrics of ratings in rising order, which count how far a wrong class is from the true one. No TensorFlow.

Each is ``metric(y_true, y_score, *, sample_weight=None) -> float`` of class ids (n,) and scores (n, classes).
"""

import numpy as np

from shared.evaluation import arrays, classification, ends, weighted


@weighted.metric(reads="labels", needs="at least one row")
def mean_absolute_error(rows: weighted.Rows) -> weighted.Statistic:
    """Mean distance, in classes, between the predicted class and the true one: for ratings in rising order.

    >>> mean_absolute_error([0, 2], [[0.1, 0.7, 0.2], [0.1, 0.2, 0.7]])
    0.5
    """
    return rows.mean(np.abs(rows.predicted - rows.y_true).astype(np.float64))


@weighted.metric(reads="labels", needs="at least one row")
def off_by_one_accuracy(rows: weighted.Rows) -> weighted.Statistic:
    """Share of rows whose predicted class is the true one or beside it.

    >>> off_by_one_accuracy([0, 2], [[0.1, 0.7, 0.2], [0.7, 0.2, 0.1]])
    0.5
    """
    return rows.mean((np.abs(rows.predicted - rows.y_true) <= 1).astype(np.float64))


@weighted.metric(reads="labels", needs=classification.TWO_CLASSES, bounds=ends.Range(-1.0, 1.0))
def quadratic_kappa(rows: weighted.Rows) -> weighted.Statistic:
    """Cohen's kappa with quadratic weights (Cohen 1968, https://doi.org/10.1037/h0026256): 1 is right, 0 is chance.

    One minus the mean squared distance over the one that independent draws from both margins would have.

    >>> round(quadratic_kappa([0, 1, 2], [[0.7, 0.2, 0.1], [0.2, 0.7, 0.1], [0.1, 0.7, 0.2]]), 4)
    0.6667
    """
    if len(np.unique(rows.y_true)) < 2:
        return classification.undefined
    truth, predicted = rows.y_true.astype(np.float64), rows.predicted.astype(np.float64)
    columns = [(truth - predicted) ** 2, truth**2 + predicted**2, truth, predicted, np.ones_like(truth)]
    sums = rows.totals(np.stack(columns, axis=1))

    def kappa(drawn: arrays.Floats) -> arrays.Floats:
        distance, squares, true_sum, predicted_sum, total = sums(drawn).T
        by_chance = squares / total - 2 * (true_sum / total) * (predicted_sum / total)
        agreement: arrays.Floats = 1 - distance / total / by_chance
        return agreement

    return kappa


METRICS = {
    "mean_absolute_error": mean_absolute_error,
    "quadratic_kappa": quadratic_kappa,
    "off_by_one_accuracy": off_by_one_accuracy,
}
