"""Shares of rows with Wilson's interval, also when rows share units and are fewer than they seem."""

import dataclasses

import numpy as np
import numpy.typing as npt

from shared.evaluation import arrays, intervals, resampling


def proportion(
    successes: npt.ArrayLike, *, units: npt.ArrayLike | None = None, confidence: float = 0.95
) -> intervals.Interval:
    """Return Wilson's interval of the share of True, at the effective number of rows when rows share units.

    The effective number is n / deff, with deff >= 1 the ratio-estimator variance over units divided by that
    of independent rows (Kish 1965; Korn & Graubard 1998). When all rows agree deff cannot be estimated and
    the number of units is used, the cautious end.

    Args:
        successes: (n,) bool.
        units: (n,) unit of each row, or None.
        confidence: in (0, 1).

    Raises:
        ValueError: no rows, or malformed arrays.

    Example:
        >>> found = proportion([True] * 4, units=[1, 1, 2, 2])
        >>> found.low == intervals.wilson(2, 2).low
        True
    """
    hits = np.asarray(successes)
    if hits.ndim != 1 or not hits.size:
        raise ValueError(f"successes: expected a non-empty (n,) bool. Received: shape {hits.shape}")
    hits = arrays.mask(hits, rows=len(hits), name="successes")
    grouping = resampling.units_of(units, rows=len(hits))
    if grouping.count == len(hits):
        return intervals.wilson(int(hits.sum()), len(hits), confidence)
    effective = _effective_rows(hits.astype(np.float64), grouping)
    found = intervals.wilson(float(hits.mean()) * effective, effective, confidence)
    return dataclasses.replace(found, value=float(hits.mean()), method="Wilson, effective size by unit")


def proportion_among(
    hits: arrays.Bools, among: arrays.Bools, *, units: arrays.Ints, confidence: float = 0.95
) -> intervals.Interval | None:
    """Return `proportion` of ``hits`` within the rows ``among`` (n,) bool, None when there are no such rows.

    Example:
        >>> hits, among = np.array([True, False]), np.array([True, False])
        >>> proportion_among(hits, among, units=np.arange(2)).value
        1.0
    """
    if not among.any():
        return None
    return proportion(hits[among], units=units[among], confidence=confidence)


def _effective_rows(hits: arrays.Floats, units: resampling.Units) -> float:
    """Return n / deff, between 1 and n."""
    share, rows = hits.mean(), len(hits)
    if share in (0, 1) or units.count == 1:
        return float(units.count)
    residual = np.bincount(units.code, weights=hits - share, minlength=units.count)
    between = units.count / (units.count - 1) * (residual**2).sum()
    alone = rows * share * (1 - share)
    return float(rows) if between <= alone else float(max(1.0, rows * alone / between))
