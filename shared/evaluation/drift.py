"""Drift: has what the model sees, or what it says, changed since the reference was taken?

A column has drifted when two things hold at once. The change is no accident: a test of equal distributions
is rejected after Holm's correction over all columns, so that with independent rows a comparison without
drift raises any alarm in at most ``alpha`` of cases (Holm 1979, Scand. J. Stat. 6). And the change is
large: the population stability index exceeds 0.1, or what chance alone gives in samples this small. A test
alone would call every trifle drift on a million rows; an index alone would call noise drift on a hundred.
The guarantee is for independent rows: give one row per unit where rows share units.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from shared.evaluation import arrays

BINS: Final = 10
# Kept whole up to this many distinct values, else at as many quantiles: at most 30 kB a column in the bundle.
GRID: Final = 500
# The customary line between "stable" and "watch" (Siddiqi 2006, Credit Risk Scorecards); 0.25 is "act".
PSI_THRESHOLD: Final = 0.1
# Added to every cell so that the index stays finite: half a row, as in Jeffreys' prior.
PSEUDO_COUNT: Final = 0.5
OTHER: Final = "<other>"


def reference(columns: Mapping[str, npt.ArrayLike], *, categories: int = 50) -> dict[str, Any]:
    """Return what `compare` needs to know of the reference data, as plain JSON values.

    Args:
        columns: for each name (n,) values. Numbers are kept as a distribution, NaN counting as missing; all
            else, bool too, as counts of categories, None, NaN and empty text counting as missing.
        categories: how many of the most frequent categories to keep; the rest is counted as one.

    Raises:
        ValueError: no columns, or an empty or not one-dimensional one.

    Example:
        >>> reference({"length": [3, 1, 2]})["length"]["values"]
        [1.0, 2.0, 3.0]
        >>> reference({"label": ["no", "yes", "no"]})["label"]["counts"]
        {'no': 2, 'yes': 1, '<other>': 0}
    """
    if not columns:
        raise ValueError("columns: expected at least one. Received: none")
    return {name: _describe(_column(values, name), categories) for name, values in columns.items()}


def compare(
    reference: Mapping[str, Any],
    columns: Mapping[str, npt.ArrayLike],
    *,
    alpha: float = 0.01,
    psi_threshold: float = PSI_THRESHOLD,
) -> list[dict[str, Any]]:
    """Return one row per reference column, saying whether the new values drifted.

    Args:
        reference: what the function `reference` returned, or its JSON.
        columns: the new values, under the same names.
        alpha: the chance of any false alarm in this comparison, in (0, 1).
        psi_threshold: the least index that counts as drift.

    Returns:
        Rows of name, kind, n_reference, n, psi, threshold (of psi), ks (Kolmogorov-Smirnov distance of
        numbers, else None), total_variation (of categories, else None), p, p_adjusted (Holm),
        missing_reference and missing (shares), and drift.

    Raises:
        ValueError: a missing or an empty column, or numbers where there were categories.

    Example:
        >>> before = reference({"score": np.linspace(0, 1, 200)})
        >>> [row["drift"] for row in compare(before, {"score": np.linspace(0, 1, 100)})]
        [False]
        >>> [row["drift"] for row in compare(before, {"score": np.linspace(0.5, 1, 100)})]
        [True]
    """
    arrays.fraction(alpha, "alpha")
    absent = sorted(set(reference) - set(columns))
    if absent:
        raise ValueError(f"columns: expected those of the reference. Received: none for {', '.join(absent)}")
    rows = [_compare(name, known, _column(columns[name], name)) for name, known in reference.items()]
    for row, adjusted in zip(rows, holm([row["p"] for row in rows]), strict=True):
        chance = _psi_by_chance(row.pop("cells"), row["n_reference"], row["n"], alpha)
        row["p_adjusted"] = adjusted
        row["threshold"] = max(psi_threshold, chance)
        row["drift"] = adjusted <= alpha and row["psi"] >= row["threshold"]
    return rows


def psi(expected: npt.ArrayLike, observed: npt.ArrayLike) -> float:
    """Return the population stability index ``sum (q - p) ln(q / p)`` of two histograms of equal cells.

    It is the symmetrised Kullback-Leibler divergence (Kullback & Leibler 1951). Half a row is added to
    every cell.

    Args:
        expected: (cells,) counts of the reference.
        observed: (cells,) counts of the new data.

    Raises:
        ValueError: other shapes, or no rows.

    Example:
        >>> psi([10, 10], [10, 10])
        0.0
    """
    before, after = np.asarray(expected, dtype=np.float64), np.asarray(observed, dtype=np.float64)
    if before.shape != after.shape or before.ndim != 1 or not (before.sum() > 0 and after.sum() > 0):
        raise ValueError(f"expected two histograms of the same cells. Received: {before} and {after}")
    p, q = ((side + PSEUDO_COUNT) / (side + PSEUDO_COUNT).sum() for side in (before, after))
    return float(((q - p) * np.log(q / p)).sum())


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values adjusted for their number by Holm's step-down method (1979).

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    found = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(found, kind="stable")
    stepped = np.maximum.accumulate(found[order] * np.arange(len(found), 0, -1))
    adjusted = np.empty_like(found)
    adjusted[order] = np.minimum(stepped, 1.0)
    return [float(p) for p in adjusted]


def _column(values: npt.ArrayLike, name: str) -> arrays.Array:
    """Return a checked column: float64, or object for categories."""
    found = np.asarray(values)
    if found.ndim != 1 or not found.size:
        raise ValueError(f"{name}: expected a non-empty column (n,). Received: shape {found.shape}")
    column = found.astype(np.float64 if found.dtype.kind in "iuf" else object)
    if column.dtype == np.float64 and np.isinf(column).any():
        raise ValueError(f"{name}: expected finite numbers, or NaN where missing. Received: infinity")
    return column


def _present(column: arrays.Array) -> arrays.Array:
    """Return the values that are not missing: sorted numbers, or categories as text."""
    if column.dtype == np.float64:
        return np.sort(column[~np.isnan(column)])
    # NaN, which stands for missing text in data frames, is the only value unequal to itself; tensors hold "".
    present = (value for value in column if value is not None and value == value)
    return np.array([text for text in map(str, present) if text], dtype=object)


def _describe(column: arrays.Array, categories: int) -> dict[str, Any]:
    """Return the JSON of one column."""
    present = _present(column)
    sizes = {"n": len(column), "missing": len(column) - len(present)}
    if column.dtype == np.float64:
        return {"kind": "numeric", **sizes, **_distribution(present)}
    names, counts = np.unique(present, return_counts=True)
    kept = np.argsort(-counts, kind="stable")[:categories]
    table = {str(names[i]): int(counts[i]) for i in kept}
    table[OTHER] = table.get(OTHER, 0) + int(counts.sum() - counts[kept].sum())
    return {"kind": "categorical", **sizes, "counts": table}


def _distribution(ordered: arrays.Floats) -> dict[str, list[float]]:
    """Return values, and the shares of rows below, and at or below, each: the distribution function."""
    values, counts = np.unique(ordered, return_counts=True)
    upto = counts.cumsum()
    if len(values) > GRID:
        levels = np.linspace(0, len(ordered), GRID)
        chosen = np.unique(np.searchsorted(upto, levels))
        values, counts, upto = values[chosen], counts[chosen], upto[chosen]
    total = max(1, len(ordered))
    return {
        "values": values.tolist(),
        "below": ((upto - counts) / total).tolist(),
        "at_or_below": (upto / total).tolist(),
    }


def _compare(name: str, known: Mapping[str, Any], column: arrays.Array) -> dict[str, Any]:
    """Return one row, without what depends on the other columns."""
    numeric = known["kind"] == "numeric"
    if numeric != (column.dtype == np.float64):
        raise ValueError(f"{name}: expected a {known['kind']} column. Received: dtype {column.dtype}")
    present = _present(column)
    before, after, distance, p = (_numeric if numeric else _categorical)(known, present)
    gone = np.array([known["missing"], len(column) - len(present)])
    if gone.any():
        there = np.array([known["n"], len(column)]) - gone
        # Two looks at one column, values and gaps: Bonferroni keeps its p value honest.
        p = min(1.0, 2 * min(p, _homogeneity(*np.stack([gone, there], axis=1))))
    histograms = np.stack([np.append(before, gone[0]), np.append(after, gone[1])])
    return {
        "name": name,
        "kind": known["kind"],
        "n_reference": known["n"],
        "n": len(column),
        "psi": psi(*histograms),
        "ks": distance if numeric else None,
        "total_variation": None if numeric else distance,
        "p": p,
        "missing_reference": float(gone[0] / known["n"]),
        "missing": float(gone[1] / len(column)),
        "cells": int((histograms.sum(axis=0) > 0).sum()),
    }


def _numeric(known: Mapping[str, Any], present: arrays.Floats) -> tuple[arrays.Floats, arrays.Floats, float, float]:
    """Return the two histograms, the Kolmogorov-Smirnov distance and its p value."""
    n, m = known["n"] - known["missing"], len(present)
    if not n or not m:
        return np.array([float(n)]), np.array([float(m)]), 0.0, 1.0
    values, below, upto = (np.asarray(known[key]) for key in ("values", "below", "at_or_below"))
    new_below, new_upto = (np.searchsorted(present, values, side=side) / m for side in ("left", "right"))
    distance = float(max(np.abs(below - new_below).max(), np.abs(upto - new_upto).max()))
    p = float(stats.kstwo.sf(distance, max(1, round(n * m / (n + m)))))
    left, right = _cuts(below, upto)
    before, after = (
        np.diff(np.sort(np.concatenate([low[left], high[right], [0.0, 1.0]])))
        for low, high in ((below, upto), (new_below, new_upto))
    )
    return n * before, m * after, distance, p


def _cuts(below: arrays.Floats, upto: arrays.Floats) -> tuple[arrays.Ints, arrays.Ints]:
    """Return the grid points to cut just before, and just after, for about ten cells of equal share.

    The cut before the least and after the greatest value catch what was never seen; a value that holds a
    large share gets a cell of its own, else what moves away from it to either side would go unnoticed.
    """
    inner = np.searchsorted(upto, np.arange(1, BINS) / BINS - 1e-12)
    heavy = inner[(upto - below)[inner] >= 1 / (2 * BINS)]
    return np.unique(np.append(heavy, 0)), np.unique(np.append(inner, len(upto) - 1))


def _categorical(known: Mapping[str, Any], present: arrays.Array) -> tuple[arrays.Floats, arrays.Floats, float, float]:
    """Return the two histograms, their total variation distance and the p value of equal shares."""
    counts = dict.fromkeys(known["counts"], 0)
    for value, count in zip(*np.unique(present, return_counts=True), strict=True):
        counts[value if value in counts else OTHER] += int(count)
    before, after = (np.array(list(table.values()), dtype=np.float64) for table in (known["counts"], counts))
    if not before.sum() or not after.sum():
        return before, after, 0.0, 1.0
    distance = float(np.abs(before / before.sum() - after / after.sum()).sum() / 2)
    return before, after, distance, _homogeneity(before, after)


def _homogeneity(before: arrays.Array, after: arrays.Array) -> float:
    """Return the p value of two histograms having equal shares.

    Fisher's exact test for two cells; else Pearson's chi-squared, which needs an expected count of 5 in
    each cell (Cochran 1954, Biometrics 10): the rarest cells are pooled until they have it.
    """
    table = np.stack([before, after])
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] == 2:
        return float(stats.fisher_exact(table).pvalue)
    expected = table.sum(axis=0) * table.sum(axis=1).min() / table.sum()
    table, expected = table[:, np.argsort(expected)], np.sort(expected)
    rare = int((expected < 5).sum())
    merged = max(rare, int(np.searchsorted(expected.cumsum(), 5)) + 1) if rare else 1
    pooled = np.column_stack([table[:, :merged].sum(axis=1), table[:, merged:]])
    return float(stats.chi2_contingency(pooled).pvalue) if pooled.shape[1] > 1 else 1.0


def _psi_by_chance(cells: int, n: int, m: int, alpha: float) -> float:
    """Return the index that two samples of one distribution exceed with probability ``alpha``.

    Without drift it is about ``(1/n + 1/m) chi2(cells - 1)`` (Yurdakul & Naranjo 2020).
    """
    return (1 / n + 1 / m) * float(special.chdtri(max(1, cells - 1), alpha))
