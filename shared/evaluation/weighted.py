"""Metrics that are prepared once and then valued under many weightings of the units.

A metric is written as ``prepare(rows) -> statistic``: all that does not depend on the weights (sorting,
comparing, binning, summing by unit) happens in the first call; the statistic then values thousands of
resamples in a few array operations. `Metric` turns such a function into the familiar
``metric(y_true, y_score) -> float``.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from shared.evaluation import arrays, ends

# Draws (k, n_units) float64 -> values (k,) float64, NaN where a resample leaves the statistic undefined.
Statistic: TypeAlias = Callable[[arrays.Floats], arrays.Floats]
Reads: TypeAlias = Literal["labels", "ranking", "probabilities"]


# How much smaller than the estimate the truth is taken to be, in `ends.inverted`.
FACTORS: Final = np.array([0.0, 0.35, 0.7, 1.0])


class Shrinkable:
    """A statistic that is biased upwards from 0, and can be simulated as if the truth were a part of what it is.

    Attributes:
        simulated: (number, seed) -> (factors, number) values as if the true value were ``FACTORS`` times the estimate.
    """

    def __init__(self, itself: Statistic, simulated: Callable[[int, int], arrays.Floats]) -> None:
        """Take the statistic and its simulation."""
        self.simulated = simulated
        self._itself = itself

    def __call__(self, drawn: arrays.Floats) -> arrays.Floats:
        """Return the values of draws of the units."""
        return self._itself(drawn)


def mean_of(statistics: Sequence[Statistic]) -> Statistic:
    """Return the mean of several statistics, shrinkable if each of them is.

    Example:
        >>> mean_of([lambda drawn: drawn[:, 0], lambda drawn: drawn[:, 1]])(np.array([[1.0, 3.0]]))
        array([2.])
    """

    def mean(drawn: arrays.Floats) -> arrays.Floats:
        return np.asarray(np.mean([each(drawn) for each in statistics], axis=0))

    family = [each for each in statistics if isinstance(each, Shrinkable)]
    if not family or len(family) < len(statistics):
        return mean

    def simulated(number: int, seed: int) -> arrays.Floats:
        # Each has rows of its own, and so chance of its own.
        return np.asarray(np.mean([each.simulated(number, seed + i) for i, each in enumerate(family)], axis=0))

    return Shrinkable(mean, simulated)


class Matches(NamedTuple):
    """Weighted rows per class, each ``(k, C) float64``: what label metrics need of a confusion matrix."""

    correct: arrays.Floats
    truth: arrays.Floats
    predicted: arrays.Floats


@dataclasses.dataclass(frozen=True)
class Rows:
    """Checked rows of one evaluation.

    Attributes:
        y_true: (n,) int64 class ids.
        y_score: (n,) or (n, C) float64.
        weight: (n,) float64 >= 0.
        units: the unit of each row.
    """

    y_true: arrays.Ints
    y_score: arrays.Floats
    weight: arrays.Floats
    units: arrays.Units

    @property
    def classes(self) -> int:
        """Number of classes: 2 for ``(n,)`` scores, else the number of columns."""
        return 2 if self.y_score.ndim == 1 else self.y_score.shape[1]

    @property
    def predicted(self) -> arrays.Ints:
        """The highest-scoring class ``(n,)``, the first on ties; score > 0.5 for ``(n,)`` scores."""
        return decide(self.y_score)

    def one_hot(self, class_ids: arrays.Ints) -> arrays.Floats:
        """Return ``(n, C)`` with a one in each row's class."""
        return one_hot(class_ids, classes=self.classes)

    def totals(self, table: arrays.Floats) -> Callable[[arrays.Floats], arrays.Floats]:
        """Return ``drawn (k, n_units) -> (k, m)``: weighted sums of the columns of ``table (n, m)``."""
        code, count = self.units.code, self.units.count
        columns = [np.bincount(code, weights=column * self.weight, minlength=count) for column in table.T]
        by_unit = np.stack(columns)
        # Not `@`: BLAS wakes its threads for thousands of small products, which took 20 times as long on two
        # busy cores, and the number of threads would decide the last bits.
        return lambda drawn: np.einsum("ku,mu->km", drawn, by_unit)

    def mean(self, values: arrays.Floats) -> Statistic:
        """Return the statistic "weighted mean of ``values (n,)``"."""
        sums = self.totals(np.stack([values, np.ones_like(values)], axis=1))
        return lambda drawn: np.divide(*sums(drawn).T)

    def matched(self, finish: Callable[[Matches], arrays.Floats]) -> Statistic:
        """Return the statistic that ``finish`` computes from the matches of each resample."""
        truth, predicted = self.one_hot(self.y_true), self.one_hot(self.predicted)
        sums = self.totals(np.concatenate([truth * predicted, truth, predicted], axis=1))
        return lambda drawn: finish(Matches(*np.split(sums(drawn), 3, axis=1)))

    def per_class(self, prepare: Callable[[arrays.Bools, arrays.Floats, "Rows"], Statistic]) -> Statistic:
        """Return a binary statistic of the positive class, or for C > 2 its mean over one-versus-rest."""
        if self.classes == 2:
            score = self.y_score if self.y_score.ndim == 1 else self.y_score[:, 1]
            return prepare(self.y_true == 1, score, self)
        parts = [prepare(self.y_true == c, self.y_score[:, c], self) for c in range(self.classes)]
        return lambda drawn: np.mean([part(drawn) for part in parts], axis=0)


Prepare: TypeAlias = Callable[[Rows], Statistic]


class Metric:
    """A metric ``(y_true, y_score, *, sample_weight=None) -> float`` with a fast route for resampling.

    Attributes:
        reads: "labels" (only the highest-scoring class), "ranking" (only the order) or "probabilities".
        needs: what the data must hold for the metric to be defined, for the error message.
        bounds: the range of its values, which the method of its interval depends on.
    """

    __name__: str

    def __init__(self, prepare: Prepare, *, reads: Reads, needs: str, bounds: ends.Range = ends.UNIT) -> None:
        """Wrap ``prepare``; name and documentation are taken from it."""
        self._prepare = prepare
        self.reads = reads
        self.needs = needs
        self.bounds = bounds
        functools.update_wrapper(self, prepare)

    def __call__(
        self, y_true: npt.ArrayLike, y_score: npt.ArrayLike, *, sample_weight: npt.ArrayLike | None = None
    ) -> float:
        """Return the metric of these rows.

        Args:
            y_true: (n,) class ids.
            y_score: (n,) scores of class 1, or (n, C) scores.
            sample_weight: (n,) weights >= 0.

        Raises:
            ValueError: malformed arrays, or the metric is undefined on them.
        """
        truth = arrays.labels(y_true)
        whole = arrays.Units(np.zeros_like(truth), 1)
        statistic = self.statistic(truth, y_score, units=whole, sample_weight=sample_weight)
        value = float(statistic(np.ones((1, 1)))[0])
        if np.isnan(value):
            raise ValueError(self.undefined(truth))
        return value

    def statistic(
        self,
        y_true: npt.ArrayLike,
        y_score: npt.ArrayLike,
        *,
        units: arrays.Units,
        sample_weight: npt.ArrayLike | None = None,
    ) -> Statistic:
        """Return the prepared statistic over draws of ``units``; NaN where undefined.

        Raises:
            ValueError: malformed arrays.
        """
        truth = arrays.labels(y_true)
        check = arrays.probabilities if self.reads == "probabilities" else arrays.scores
        score = check(y_score, rows=len(truth))
        arrays.labels(truth, classes=2 if score.ndim == 1 else score.shape[1])
        weight = arrays.weights(sample_weight, rows=len(truth))
        found = self._prepare(Rows(truth, score, weight, units))
        return found if isinstance(found, Shrinkable) else _quiet(found)

    def undefined(self, y_true: arrays.Ints) -> str:
        """Return the message for data on which the metric has no value."""
        held = f"classes {arrays.preview(y_true)}, n = {len(y_true)}"
        return f"expected {self.needs}. Received: y_true with {held}"


def metric(*, reads: Reads, needs: str, bounds: ends.Range = ends.UNIT) -> Callable[[Prepare], Metric]:
    """Turn ``prepare(rows) -> statistic`` into a `Metric`."""
    return lambda prepare: Metric(prepare, reads=reads, needs=needs, bounds=bounds)


def decide(y_score: arrays.Floats) -> arrays.Ints:
    """Return the class of the highest score, ``(n,) int64``, the first on ties; score > 0.5 for ``(n,)``.

    Example:
        >>> decide(np.array([[0.2, 0.8], [0.5, 0.5]]))
        array([1, 0])
    """
    return (y_score > 0.5).astype(np.int64) if y_score.ndim == 1 else y_score.argmax(axis=1)


def one_hot(class_ids: arrays.Ints, *, classes: int) -> arrays.Floats:
    """Return ``(n, classes) float64`` with a one in each row's class.

    Example:
        >>> one_hot(np.array([1, 0]), classes=2)
        array([[0., 1.],
               [1., 0.]])
    """
    table = np.zeros((len(class_ids), classes))
    table[np.arange(len(class_ids)), class_ids] = 1.0
    return table


def _quiet(statistic: Statistic) -> Statistic:
    """Let 0 / 0 give NaN in silence: here it means "undefined in this resample"."""

    def value(drawn: arrays.Floats) -> arrays.Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            return statistic(drawn)

    return value
