"""Classification metrics, each ``metric(y_true, y_score, *, sample_weight=None) -> float``.

``y_true`` holds class ids (n,), ``y_score`` is (n,) for the positive class or (n, C). Names and conventions
are scikit-learn's; where scikit-learn warns and returns a stand-in, these raise ValueError. Each is written
as the preparation of a `weighted.Metric`, which is what makes 2,000 resamples cheap: sort once, then only
cumulative sums.
"""

import numpy as np

from shared.evaluation import arrays, ends, weighted

EVERY_CLASS = "rows of every class"
TWO_CLASSES = "rows of at least two classes"


@weighted.metric(reads="labels", needs="at least one row")
def accuracy(rows: weighted.Rows) -> weighted.Statistic:
    """Share of rows whose highest-scoring class is the true one.

    Example:
        >>> accuracy([0, 1, 1], [0.2, 0.9, 0.4])
        0.6666666666666666
    """
    return rows.mean((rows.predicted == rows.y_true).astype(np.float64))


@weighted.metric(reads="labels", needs=TWO_CLASSES)
def balanced_accuracy(rows: weighted.Rows) -> weighted.Statistic:
    """Mean recall over the classes that occur in ``y_true`` (Brodersen et al. 2010, ICPR).

    Example:
        >>> balanced_accuracy([0, 1, 1], [0.2, 0.9, 0.4])
        0.75
    """
    present = np.unique(rows.y_true)
    if len(present) < 2:
        return undefined
    return rows.matched(lambda m: (m.correct / m.truth)[:, present].mean(axis=1))


@weighted.metric(reads="labels", needs="at least one row")
def f1_macro(rows: weighted.Rows) -> weighted.Statistic:
    """Mean over classes of ``2 TP / (truth + predicted)``, leaving out classes neither true nor predicted.

    The mean of the F1 values, not the F1 of the means (Opitz & Burst 2019, arXiv:1911.03347).

    Example:
        >>> f1_macro([0, 1, 1], [0.2, 0.9, 0.4])
        0.6666666666666666
    """

    def mean_f1(m: weighted.Matches) -> arrays.Floats:
        size = m.truth + m.predicted
        values = np.divide(2 * m.correct, size, out=np.zeros_like(size), where=size > 0)
        return np.asarray(values.sum(axis=1) / (size > 0).sum(axis=1))

    return rows.matched(mean_f1)


@weighted.metric(reads="labels", needs=TWO_CLASSES, bounds=ends.Range(-1.0, 1.0))
def mcc(rows: weighted.Rows) -> weighted.Statistic:
    """Matthews correlation, for C > 2 Gorodkin's R_K (2004, Comput. Biol. Chem. 28).

    It is 0 when one class is always predicted: the limit of the formula as predictions become constant
    (Chicco & Jurman 2020, BMC Genomics 21).

    Example:
        >>> round(mcc([0, 1, 1], [0.2, 0.9, 0.4]), 4)
        0.5
    """

    def correlation(m: weighted.Matches) -> arrays.Floats:
        total = m.truth.sum(axis=1)
        covariance = m.correct.sum(axis=1) * total - (m.truth * m.predicted).sum(axis=1)
        spread_true, spread_predicted = (total**2 - (side**2).sum(axis=1) for side in (m.truth, m.predicted))
        # Zero up to rounding: weights are floats, and 1e-12 of the total's square is no spread.
        constant = (spread_predicted <= 1e-12 * total**2) & (spread_true > 1e-12 * total**2)
        return np.where(constant, 0.0, covariance / np.sqrt(spread_true * spread_predicted))

    return rows.matched(correlation)


@weighted.metric(reads="labels", needs="two classes, and rows of class 1")
def sensitivity(rows: weighted.Rows) -> weighted.Statistic:
    """Recall of class 1 in a binary problem: TP / (TP + FN).

    Example:
        >>> sensitivity([0, 1, 1], [0.2, 0.9, 0.4])
        0.5
    """
    return rows.matched(lambda m: m.correct[:, 1] / m.truth[:, 1]) if rows.classes == 2 else undefined


@weighted.metric(reads="labels", needs="two classes, and rows of class 0")
def specificity(rows: weighted.Rows) -> weighted.Statistic:
    """Recall of class 0 in a binary problem: TN / (TN + FP).

    Example:
        >>> specificity([0, 1, 1], [0.2, 0.9, 0.4])
        1.0
    """
    return rows.matched(lambda m: m.correct[:, 0] / m.truth[:, 0]) if rows.classes == 2 else undefined


@weighted.metric(reads="labels", needs="two classes, and rows predicted as class 1")
def precision(rows: weighted.Rows) -> weighted.Statistic:
    """Positive predictive value in a binary problem: TP / (TP + FP).

    Example:
        >>> precision([0, 1, 1], [0.2, 0.9, 0.4])
        1.0
    """
    return rows.matched(lambda m: m.correct[:, 1] / m.predicted[:, 1]) if rows.classes == 2 else undefined


@weighted.metric(reads="ranking", needs=EVERY_CLASS)
def auroc(rows: weighted.Rows) -> weighted.Statistic:
    """Area under the ROC curve; for C > 2 the plain mean over one-versus-rest (Hanley & McNeil 1982).

    Example:
        >>> auroc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
        0.75
    """
    return rows.per_class(area_under_roc)


@weighted.metric(reads="ranking", needs=EVERY_CLASS)
def average_precision(rows: weighted.Rows) -> weighted.Statistic:
    """Area under the precision-recall steps; for C > 2 the mean over one-versus-rest.

    Chance level is the prevalence, so it says little without it (Saito & Rehmsmeier 2015, PLoS ONE 10).

    Example:
        >>> round(average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
        0.8333
    """
    return rows.per_class(precision_steps)


@weighted.metric(reads="probabilities", needs="at least one row", bounds=ends.SQUARED)
def brier(rows: weighted.Rows) -> weighted.Statistic:
    """Mean squared error of the probabilities (Brier 1950): of class 1, or summed over C > 2 classes.

    The two-class value is in [0, 1], the other in [0, 2], as in scikit-learn.

    Example:
        >>> round(brier([0, 1], [0.2, 0.9]), 4)
        0.025
    """
    if rows.classes == 2:
        return rows.mean((arrays.positive(rows.y_score, rows=len(rows.y_true)) - rows.y_true) ** 2)
    return rows.mean(((rows.y_score - rows.one_hot(rows.y_true)) ** 2).sum(axis=1))


@weighted.metric(reads="probabilities", needs="at least one row", bounds=ends.POSITIVE)
def log_loss(rows: weighted.Rows) -> weighted.Statistic:
    """Mean of ``-log p(true class)`` in nats, p not below 2.2e-16, which is scikit-learn's clip too.

    Example:
        >>> round(log_loss([0, 1], [0.2, 0.9]), 4)
        0.1643
    """
    every = np.arange(len(rows.y_true))
    columns = rows.y_score if rows.y_score.ndim == 2 else np.stack([1 - rows.y_score, rows.y_score], axis=1)
    chance = np.clip(columns[every, rows.y_true], np.finfo(np.float64).eps, 1.0)
    return rows.mean(-np.log(chance))


def undefined(drawn: arrays.Floats) -> arrays.Floats:
    """Return NaN for every draw: the statistic of a metric that has no value on these rows."""
    return np.full(len(drawn), np.nan)


def area_under_roc(positive: arrays.Bools, score: arrays.Floats, rows: weighted.Rows) -> weighted.Statistic:
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


def precision_steps(positive: arrays.Bools, score: arrays.Floats, rows: weighted.Rows) -> weighted.Statistic:
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


def _weights_of(rows: weighted.Rows, index: arrays.Ints) -> weighted.Statistic:
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
