"""Several findings per row, some of them unknown: each finding's metrics and their mean, on one set of resamples.

A row whose label for a finding is NaN counts nothing for that finding and everything for the others.
"""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from shared.evaluation import arrays, classification, intervals, resampling, summaries, weighted


class Summary(NamedTuple):
    """What `summarize` and `compare` return.

    Attributes:
        macro: for each metric the plain mean over the findings on which it is defined.
        findings: for each finding its metrics.
    """

    macro: intervals.Intervals
    findings: list[intervals.Intervals]


def summarize(  # noqa: PLR0913
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
    ours = _resampled(labels, scores, present, metrics, units=units, resamples=resamples, seed=seed)
    found = _summary(ours, confidence)
    rows = _Checked.checked(labels, scores, present)
    identity = arrays.units_of(units, rows=len(rows.truth)).code
    for finding, own in enumerate(found.findings):
        known = rows.known[:, finding]
        if own:
            summaries.with_closed_forms(
                own,
                rows.truth[known, finding],
                rows.scores[known, finding],
                predicted=rows.present[known, finding],
                units=identity[known] if units is not None else None,
                confidence=confidence,
            )
    return found


def compare(  # noqa: PLR0913
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
    ours, theirs = (
        _resampled(labels, *pair, metrics, units=units, resamples=resamples, seed=seed)
        for pair in zip(scores, present, strict=True)
    )
    return _summary([first.minus(second) for first, second in zip(ours, theirs, strict=True)], confidence)


class _Checked(NamedTuple):
    """Checked arrays (n, k): truth as 0 or 1 (0 where unknown), known, scores and decisions."""

    truth: arrays.Ints
    known: arrays.Bools
    scores: arrays.Floats
    present: arrays.Floats

    @classmethod
    def checked(cls, labels: npt.ArrayLike, scores: npt.ArrayLike, present: npt.ArrayLike) -> "_Checked":
        table = np.asarray(labels, np.float64)
        score, decided = np.asarray(scores, np.float64), np.asarray(present, np.float64)
        if table.ndim != 2 or score.shape != table.shape or decided.shape != table.shape:
            shapes = (table.shape, score.shape, decided.shape)
            raise ValueError(f"labels: expected labels, scores and decisions of one shape (n, k). Received: {shapes}")
        known = ~np.isnan(table)
        if not np.isin(table[known], (0, 1)).all():
            raise ValueError(f"labels: expected 0, 1 or NaN. Received: {arrays.preview(table[known])}")
        return cls(np.where(known, table, 0).astype(np.int64), known, score, decided)


def _resampled(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    present: npt.ArrayLike,
    metrics: Mapping[str, weighted.Metric],
    *,
    units: npt.ArrayLike | None,
    resamples: int,
    seed: int,
) -> list[resampling.Resampled]:
    """Return the metrics of each finding, all on the same resamples."""
    rows = _Checked.checked(labels, scores, present)
    grouping = arrays.units_of(units, rows=len(rows.truth))
    findings = range(rows.truth.shape[1])
    prepared = {
        f"{name} {finding}": _statistic(metric, rows, finding, grouping)
        for name, metric in metrics.items()
        for finding in findings
    }
    every = resampling.Resampled.of(prepared, grouping, resamples=resamples, seed=seed)
    every = dataclasses.replace(
        every,
        bounds={f"{name} {finding}": metric.bounds for name, metric in metrics.items() for finding in findings},
        undefined={name: f"expected {metric.needs}" for name, metric in metrics.items()},
        equal=grouping.equal,
    )
    return [
        dataclasses.replace(
            every.renamed({name: f"{name} {finding}" for name in metrics}),
            carriers=_carriers(rows, finding, grouping),
        )
        for finding in findings
    ]


def _carriers(rows: _Checked, finding: int, units: arrays.Units) -> int | None:
    """Return the units of the rarer class of a finding, None where nothing of it is known."""
    known = rows.known[:, finding]
    own = arrays.Units(units.code[known], units.count, units.given)
    return resampling.carriers_of(rows.truth[known, finding], own) if known.any() else None


def _statistic(metric: weighted.Metric, rows: _Checked, finding: int, units: arrays.Units) -> weighted.Statistic:
    """Return a metric of one finding over draws of all units; unknown rows weigh nothing."""
    known = rows.known[:, finding]
    if not known.any():
        return classification.undefined
    source = rows.present if metric.reads == "labels" else rows.scores
    # Unknown rows are cut off, not weighed 0: a binning or a class present only there would be seen otherwise.
    own = arrays.Units(units.code[known], units.count, units.given)
    return metric.statistic(rows.truth[known, finding], source[known, finding], units=own)


def _summary(parts: list[resampling.Resampled], confidence: float) -> Summary:
    """Return the findings' intervals, and for each metric the mean over the findings that have one."""
    findings = [part.intervals(confidence=confidence) for part in parts]
    known = {name: [part for part, own in zip(parts, findings, strict=True) if name in own] for name in parts[0].values}
    means = _means({name: own for name, own in known.items() if own}, parts[0])
    macro = means.intervals(confidence=confidence)
    for name, own in known.items():
        if len(own) < len(parts):
            macro.notes.append(f"{name}: the mean is over {len(own)} of {len(parts)} findings")
    return Summary(macro, findings)


def _means(known: Mapping[str, list[resampling.Resampled]], like: resampling.Resampled) -> resampling.Resampled:
    """Return each metric's mean over the findings on which it is defined."""
    return dataclasses.replace(
        like,
        values={name: float(np.mean([part.values[name] for part in own])) for name, own in known.items()},
        samples={name: _mean_known([part.samples[name] for part in own]) for name, own in known.items()},
        left_out={name: _mean_known([part.left_out[name] for part in own]) for name, own in known.items()},
        shrunk={
            name: _mean_known([part.shrunk[name] for part in own]) for name, own in known.items() if name in like.shrunk
        },
        # A mean of several findings rests on the units of all of them.
        carriers=None,
        unit=f"{like.unit}, mean",
    )


def _mean_known(samples: list[arrays.Floats]) -> arrays.Floats:
    """Return the mean over findings (first axis) of what is not NaN, NaN where all is.

    A resample may leave out a rare finding's positives: its mean is over the other findings.
    """
    drawn = np.stack(samples)
    known = np.isfinite(drawn)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, drawn, 0.0).sum(axis=0) / known.sum(axis=0))
