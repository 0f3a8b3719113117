"""Checks on the arrays every evaluation function receives, so that a wrong one gets one clear message."""

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Bools: TypeAlias = npt.NDArray[np.bool_]
Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]

# float32 softmax over a few thousand classes stays within 1e-4; anything further off is not a distribution.
SUM_TOLERANCE = 1e-3


def labels(values: npt.ArrayLike, *, classes: int | None = None, name: str = "y_true") -> Ints:
    """Return class ids as ``(n,) int64``, each in ``0 .. classes - 1``.

    Raises:
        ValueError: not one-dimensional, empty, not whole numbers, or outside the classes.

    Example:
        >>> labels([0.0, 1.0, True])
        array([0, 1, 1])
    """
    found = np.asarray(values)
    if found.ndim != 1 or not found.size:
        raise ValueError(f"{name}: expected a non-empty array (n,) of class ids. Received: shape {found.shape}")
    if found.dtype.kind not in "biuf" or not bool(np.all(found == np.floor(found))):
        raise ValueError(f"{name}: expected whole class ids. Received: dtype {found.dtype}, {preview(found)}")
    whole = found.astype(np.int64)
    outside = whole[(whole < 0) | (whole >= (np.iinfo(np.int64).max if classes is None else classes))]
    if outside.size:
        span = "0 or more" if classes is None else f"0 to {classes - 1}"
        raise ValueError(f"{name}: expected class ids {span}. Received: {preview(outside)}")
    return whole


def scores(values: npt.ArrayLike, *, rows: int, name: str = "y_score") -> Floats:
    """Return finite scores as ``(n,)`` (positive class) or ``(n, C >= 2) float64``.

    Raises:
        ValueError: another shape, another number of rows, or a value that is not finite.

    Example:
        >>> scores([[0.25, 0.75]], rows=1)
        array([[0.25, 0.75]])
    """
    found = np.asarray(values, dtype=np.float64)
    if found.ndim not in (1, 2) or (found.ndim == 2 and found.shape[1] < 2):
        raise ValueError(f"{name}: expected shape (n,) or (n, C) with C >= 2. Received: shape {found.shape}")
    same_length(rows, name, found)
    broken = np.flatnonzero(~np.isfinite(found.reshape(rows, -1)).all(axis=1))
    if broken.size:
        raise ValueError(f"{name}: expected finite numbers. Received: {found[broken[0]]} in row {broken[0]}")
    return found


def probabilities(values: npt.ArrayLike, *, rows: int, name: str = "y_score") -> Floats:
    """Return probabilities: ``(n,)`` in [0, 1], or ``(n, C)`` whose rows sum to one within 1e-3.

    Raises:
        ValueError: not scores, outside [0, 1], or rows that do not sum to one.

    Example:
        >>> probabilities([0.0, 1.0], rows=2)
        array([0., 1.])
    """
    found = scores(values, rows=rows, name=name)
    if found.min() < 0 or found.max() > 1:
        raise ValueError(
            f"{name}: expected probabilities in [0, 1]. Received: values from {found.min()} to {found.max()}"
        )
    if found.ndim == 2:
        error = np.abs(found.sum(axis=1) - 1)
        if error.max() > SUM_TOLERANCE:
            row = int(error.argmax())
            raise ValueError(f"{name}: expected rows that sum to 1. Received: {found[row].sum()} in row {row}")
    return found


def positive(values: npt.ArrayLike, *, rows: int, name: str = "y_score") -> Floats:
    """Return the positive class's score ``(n,)`` of a binary problem given as ``(n,)`` or ``(n, 2)``.

    Raises:
        ValueError: not scores, or more than two classes.

    Example:
        >>> positive([[0.25, 0.75]], rows=1)
        array([0.75])
    """
    found = scores(values, rows=rows, name=name)
    if found.ndim == 2 and found.shape[1] != 2:
        raise ValueError(f"{name}: expected two classes, (n,) or (n, 2). Received: shape {found.shape}")
    return found if found.ndim == 1 else found[:, 1]


def weights(values: npt.ArrayLike | None, *, rows: int, name: str = "sample_weight") -> Floats:
    """Return row weights ``(n,) float64`` >= 0 with a sum above 0; ones when None.

    Raises:
        ValueError: another shape, negative, not finite, or all zero.

    Example:
        >>> weights(None, rows=2)
        array([1., 1.])
    """
    if values is None:
        return np.ones(rows)
    found = np.asarray(values, dtype=np.float64)
    same_length(rows, name, found)
    if found.ndim != 1 or not np.isfinite(found).all() or found.min() < 0 or found.sum() == 0:
        raise ValueError(f"{name}: expected (n,) finite weights >= 0, not all 0. Received: {preview(found)}")
    return found


def mask(values: npt.ArrayLike, *, rows: int, name: str) -> Bools:
    """Return a ``(n,) bool`` mask; integers are refused, since they are usually row numbers.

    Raises:
        ValueError: another dtype or shape.

    Example:
        >>> mask([True, False], rows=2, name="short")
        array([ True, False])
    """
    found = np.asarray(values)
    if found.dtype != np.bool_ or found.shape != (rows,):
        raise ValueError(f"{name}: expected ({rows},) bool. Received: {found.shape} {found.dtype}")
    return found


def fraction(value: float, name: str) -> float:
    """Return ``value`` when it lies strictly between 0 and 1.

    Raises:
        ValueError: otherwise.

    Example:
        >>> fraction(0.95, "confidence")
        0.95
    """
    if not 0 < value < 1:
        raise ValueError(f"{name}: expected a number above 0 and below 1. Received: {value}")
    return float(value)


def whole(value: int, name: str, *, minimum: int = 1) -> int:
    """Return ``value`` when it is a whole number of at least ``minimum``.

    Raises:
        ValueError: otherwise.

    Example:
        >>> whole(15, "bins")
        15
    """
    if int(value) != value or value < minimum:
        raise ValueError(f"{name}: expected a whole number of at least {minimum}. Received: {value}")
    return int(value)


def same_length(rows: int, name: str, values: Array | Sequence[Any]) -> None:
    """Refuse an array whose first axis is not ``rows`` long.

    Raises:
        ValueError: the lengths differ.

    Example:
        >>> same_length(2, "units", [7, 7])
    """
    if np.ndim(values) == 0 or len(values) != rows:
        raise ValueError(f"{name}: expected {rows} rows, as in y_true. Received: shape {np.shape(values)}")


def preview(values: Array, *, limit: int = 5) -> str:
    """Return the first few distinct values for an error message.

    Example:
        >>> preview(np.array([3, 3, 1]))
        '[1, 3]'
    """
    distinct = np.unique(values).tolist()
    return f"{distinct[:limit]}" + (f" and {len(distinct) - limit} more" if len(distinct) > limit else "")


@dataclasses.dataclass(frozen=True)
class Units:
    """Which unit each row belongs to.

    Attributes:
        code: (n,) int64 in 0 .. count - 1.
        count: number of units.
        given: False when each row is its own unit because the caller named none.
        pooled: Whether these are groups of units, dealt at random.
    """

    code: Ints
    count: int
    given: bool = True
    pooled: bool = False

    @property
    def noun(self) -> str:
        """What is resampled, for ``Interval.method``."""
        noun = "unit" if self.given else "row"
        return f"{noun} in {self.count:,} groups" if self.pooled else noun

    @property
    def equal(self) -> bool:
        """Whether all units have the same number of rows, such as one each."""
        sizes = np.bincount(self.code, minlength=self.count)
        return bool((sizes == sizes[0]).all())

    def in_groups(self, most: int) -> "Units":
        """Return these units, or where there are more than ``most``, so many groups of them.

        They are dealt with a fixed seed. Groups of independent units are independent, and their sums vary as those of
        their units do: an interval from ``most`` groups is as wide, within one over the root of twice their number.

        Example:
            >>> units_of(None, rows=5).in_groups(2).noun
            'row in 2 groups'
        """
        if self.count <= most:
            return self
        group = np.random.default_rng(0).permutation(self.count) % most
        return Units(group[self.code], most, given=self.given, pooled=True)


def units_of(units: npt.ArrayLike | None, *, rows: int) -> Units:
    """Number the units; None makes every row its own unit.

    Args:
        units: (n,) ids of any sortable type.
        rows: the expected n.

    Raises:
        ValueError: another shape.

    Example:
        >>> units_of(["b", "a", "b"], rows=3).code
        array([1, 0, 1])
    """
    if units is None:
        return Units(np.arange(rows), rows, given=False)
    ids = np.asarray(units)
    same_length(rows, "units", ids)
    if ids.ndim != 1:
        raise ValueError(f"units: expected one id per row, shape ({rows},). Received: shape {ids.shape}")
    distinct, code = np.unique(ids, return_inverse=True)
    return Units(code.astype(np.int64), len(distinct))
