"""Several findings per row, some of them unknown: each finding's metrics and their mean, on one set of resamples.

A row whose label for a finding is NaN counts nothing for that finding and everything for the others.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from shared.evaluation import arrays, classification, intervals, resampling, weighted


class Summary(NamedTuple):
    """What `summarize` and `compare` return.

    Attributes:
        macro: for each metric the plain mean over the findings on which it is defined.
        findings: for each finding its metrics.
    """

    macro: intervals.Intervals
    findings: list[intervals.Intervals]


def summarize(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    *,
    present: npt.ArrayLike,
    units: npt.ArrayLike | None = None,
    metrics: Mapping[str, weighted.Metric],
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Summary:
    """Return every metric of every finding and its mean, with bootstrap intervals by unit.

    Args:
        labels: (n, k) in {0, 1} or NaN where unknown.
        scores: (n, k) probabilities in [0, 1], each finding by itself.
        present: (n, k) bool, what was decided.
        units: (n,) unit of each row, or None.
        metrics: binary metrics by name; those that read labels are given ``present``.
        confidence: in (0, 1).
        resamples: number of resamples.
        seed: of the resamples.

    Raises:
        ValueError: malformed arrays, or fewer than two units.

    Example:
        >>> labels, scores = [[1, 0], [0, 0], [1, 0], [0, np.nan]], np.full((4, 2), 0.5)
        >>> metrics = {"accuracy": classification.accuracy}
        >>> found = summarize(labels, scores, present=scores >= 0.1, metrics=metrics, resamples=50)
        >>> [row["accuracy"].value for row in found.findings], found.macro["accuracy"].value
        ([0.5, 0.0], 0.25)
    """
    ours = _Said.checked(labels, scores, present)
    return _summary(ours, None, metrics, units=units, confidence=confidence, resamples=resamples, seed=seed)


def compare(
    labels: npt.ArrayLike,
    scores: tuple[npt.ArrayLike, npt.ArrayLike],
    *,
    present: tuple[npt.ArrayLike, npt.ArrayLike],
    units: npt.ArrayLike | None = None,
    metrics: Mapping[str, weighted.Metric],
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Summary:
    """Return the paired differences first minus second; arguments as in `summarize`, with pairs of scores."""
    ours, theirs = (_Said.checked(labels, *pair) for pair in zip(scores, present, strict=True))
    return _summary(ours, theirs, metrics, units=units, confidence=confidence, resamples=resamples, seed=seed)


class _Said(NamedTuple):
    """Checked arrays (n, k): truth as 0 or 1 (0 where unknown), known, scores and decisions."""

    truth: arrays.Ints
    known: arrays.Bools
    scores: arrays.Floats
    present: arrays.Floats

    @classmethod
    def checked(cls, labels: npt.ArrayLike, scores: npt.ArrayLike, present: npt.ArrayLike) -> "_Said":
        table = np.asarray(labels, np.float64)
        score, decided = np.asarray(scores, np.float64), np.asarray(present, np.float64)
        if table.ndim != 2 or score.shape != table.shape or decided.shape != table.shape:
            shapes = (table.shape, score.shape, decided.shape)
            raise ValueError(f"labels: expected labels, scores and decisions of one shape (n, k). Received: {shapes}")
        known = ~np.isnan(table)
        if not np.isin(table[known], (0, 1)).all():
            raise ValueError(f"labels: expected 0, 1 or NaN. Received: {arrays.preview(table[known])}")
        return cls(np.where(known, table, 0).astype(np.int64), known, score, decided)


def _summary(
    ours: _Said,
    theirs: _Said | None,
    metrics: Mapping[str, weighted.Metric],
    *,
    units: npt.ArrayLike | None,
    confidence: float,
    resamples: int,
    seed: int,
) -> Summary:
    grouping = resampling.units_of(units, rows=len(ours.truth))
    findings = range(ours.truth.shape[1])
    prepared = [
        _difference(metric, ours, theirs, finding, grouping) for metric in metrics.values() for finding in findings
    ]
    shape = (len(metrics), len(findings), -1)
    drawn = resampling.distribution(prepared, grouping, resamples=resamples, seed=seed).reshape(shape)
    everything = np.ones((1, grouping.count))
    values = np.array([statistic(everything)[0] for statistic in prepared]).reshape(shape)[:, :, 0]
    method = ("" if theirs is None else "paired ") + f"bootstrap by {grouping.noun}"
    macro, each = intervals.Intervals(), [intervals.Intervals() for _ in findings]
    for number, (name, metric) in enumerate(metrics.items()):
        for place in findings:
            found = _Found(float(values[number, place]), drawn[number, place], metric, confidence, method)
            found.add(each[place], name)
        told = [place for place in findings if name in each[place]]
        if told:
            mean = float(values[number, told].mean())
            _Found(mean, _mean_known(drawn[number, told]), metric, confidence, f"{method}, mean").add(macro, name)
        if len(told) < len(findings):
            macro.notes.append(f"{name}: the mean is over {len(told)} of {len(findings)} findings")
    return Summary(macro, each)


def _difference(
    metric: weighted.Metric, ours: _Said, theirs: _Said | None, finding: int, units: resampling.Units
) -> resampling.Statistic:
    first = _statistic(metric, ours, finding, units)
    if theirs is None:
        return first
    second = _statistic(metric, theirs, finding, units)
    return lambda drawn: first(drawn) - second(drawn)


def _statistic(metric: weighted.Metric, said: _Said, finding: int, units: resampling.Units) -> resampling.Statistic:
    """Return a metric of one finding over draws of all units; unknown rows weigh nothing."""
    known = said.known[:, finding]
    if not known.any():
        return classification.undefined
    source = said.present if metric.reads == "labels" else said.scores
    # Unknown rows are cut off, not weighed 0: a binning or a class present only there would be seen otherwise.
    rows = resampling.Units(units.code[known], units.count, units.given)
    return metric.statistic(said.truth[known, finding], source[known, finding], units=rows)


def _mean_known(drawn: arrays.Floats) -> arrays.Floats:
    """Return the mean over findings (first axis) of what is not NaN, NaN where all is.

    A resample may leave out a rare finding's positives: its mean is over the other findings.
    """
    known = np.isfinite(drawn)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, drawn, 0.0).sum(axis=0) / known.sum(axis=0))


class _Found(NamedTuple):
    """A value and its resamples, on the way to an interval."""

    value: float
    drawn: arrays.Floats
    metric: weighted.Metric
    confidence: float
    method: str

    def add(self, found: intervals.Intervals, name: str) -> None:
        """Add the interval, or a note where there is none to be had."""
        kept = self.drawn[np.isfinite(self.drawn)]
        if not np.isfinite(self.value):
            found.notes.append(f"{name}: expected {self.metric.needs}")
        elif len(kept) < (1 - intervals.MAXIMUM_UNDEFINED) * len(self.drawn):
            found.notes.append(f"{name}: too few units carry the rarer class for an interval")
        else:
            paired, biased = self.method.startswith("paired"), self.metric.biased
            low, high = intervals.ends(self.value, kept, confidence=self.confidence, biased=biased, difference=paired)
            found[name] = intervals.Interval(self.value, low, high, self.confidence, self.method)
