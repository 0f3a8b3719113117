"""AUROC and average precision as statistics over resampled units: sort once, then only cumulative sums."""

import numpy as np

from shared.evaluation import arrays, resampling, weighted


def area_under_roc(positive: arrays.Bools, score: arrays.Floats, rows: weighted.Rows) -> resampling.Statistic:
    """Return the weighted Mann-Whitney probability that a positive outranks a negative, ties counting half.

    With F(s) the weight of negatives below s: AUROC = sum_i w_i (F(s_i) + F(s_i+)) / 2 / (W+ W-) over the
    positives i (Hanley & McNeil 1982, Radiology 143; Bamber 1975 for ties).

    Args:
        positive: (n,) bool.
        score: (n,) float64, higher means more positive.
        rows: weights and units of the rows.
    """
    order = np.argsort(score, kind="stable")
    upper, lower = order[positive[order]], order[~positive[order]]
    first = np.searchsorted(score[lower], score[upper], side="left")
    last = np.searchsorted(score[lower], score[upper], side="right")
    tied = bool((first != last).any())
    upper_weights, lower_weights = _weights_of(rows, upper), _weights_of(rows, lower)

    def value(drawn: arrays.Floats) -> arrays.Floats:
        gained = upper_weights(drawn)
        below = _running(lower_weights(drawn))
        beaten = below.take(first, axis=1)
        if tied:
            beaten = (beaten + below.take(last, axis=1)) / 2
        won = np.einsum("kp,kp->k", gained, beaten)
        return np.asarray(won / (gained.sum(axis=1) * below[:, -1]))

    return value


def average_precision(positive: arrays.Bools, score: arrays.Floats, rows: weighted.Rows) -> resampling.Statistic:
    """Return the weighted mean, over positives, of the precision at each one's own score.

    AP = sum_k (R_k - R_{k-1}) P_k over the distinct thresholds, without interpolation (scikit-learn's
    definition; Davis & Goadrich 2006 show why linear interpolation is too optimistic).

    Args:
        positive: (n,) bool.
        score: (n,) float64, higher means more positive.
        rows: weights and units of the rows.
    """
    order = np.argsort(-score, kind="stable")
    upper = order[positive[order]]
    # Rows, and positives, at or above each positive's score: its whole group of ties is let in together.
    reached = np.searchsorted(-score[order], -score[upper], side="right")
    reached_positive = np.searchsorted(-score[upper], -score[upper], side="right")
    upper_weights, all_weights = _weights_of(rows, upper), _weights_of(rows, order)

    def value(drawn: arrays.Floats) -> arrays.Floats:
        gained = upper_weights(drawn)
        everything = _running(all_weights(drawn))
        admitted = everything.take(reached, axis=1)
        correct = _running(gained).take(reached_positive, axis=1)
        precision = np.divide(correct, admitted, out=np.zeros_like(correct), where=admitted > 0)
        total = gained.sum(axis=1)
        # Without negatives every ranking scores 1, which says nothing about the model: undefined.
        return np.where(everything[:, -1] > total, np.einsum("kp,kp->k", gained, precision) / total, np.nan)

    return value


def _weights_of(rows: weighted.Rows, index: arrays.Ints) -> resampling.Statistic:
    """Return ``drawn (k, n_units) -> (k, len(index))``: the resampled weight of these rows."""
    code, weight = rows.units.code[index], rows.weight[index]
    if (weight == 1).all():
        return lambda drawn: drawn.take(code, axis=1)
    return lambda drawn: drawn.take(code, axis=1) * weight


def _running(weight: arrays.Floats) -> arrays.Floats:
    """Return cumulative sums along each row, with a leading zero."""
    total = np.zeros((len(weight), weight.shape[1] + 1))
    np.cumsum(weight, axis=1, out=total[:, 1:])
    return total
