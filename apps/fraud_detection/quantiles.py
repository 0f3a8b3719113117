"""Columns of numbers as their places among the training rows, and back: what the GAN draws. No TensorFlow here."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float32]

LEVELS = 201
# A column of fewer different values than this holds counts or flags: drawn values are moved to the nearest.
DISCRETE_VALUES = 64


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quantiles:
    """For each column ascending values, and the share of training rows up to them.

    Attributes:
        values: One list per column, at least one value.
        levels: The share of each value, in the middle of the rows that have it; in [0, 1].
        discrete: Whether the column holds only its ``values``.
        typical: What a missing number counts as.
    """

    values: tuple[tuple[float, ...], ...]
    levels: tuple[tuple[float, ...], ...]
    discrete: tuple[bool, ...]
    typical: tuple[float, ...]

    @classmethod
    def learn(cls, numbers: Floats, typical: tuple[float, ...]) -> Self:
        """Read the quantiles of ``numbers`` (n, columns); ``typical`` stands for NaN."""
        middle = tuple(0.0 if np.isnan(value) else value for value in typical)
        columns = [_quantiles(np.where(np.isnan(each), middle[i], each)) for i, each in enumerate(numbers.T)]
        return cls(
            values=tuple(tuple(values.tolist()) for values, _, _ in columns),
            levels=tuple(tuple(levels.tolist()) for _, levels, _ in columns),
            discrete=tuple(discrete for _, _, discrete in columns),
            typical=middle,
        )

    def places(self, numbers: Floats) -> Floats:
        """Return (n, columns) float32 in [-1, 1] of ``numbers`` (n, columns)."""
        known = np.where(np.isnan(numbers), np.asarray(self.typical, np.float32), numbers)
        columns = zip(known.T, self.values, self.levels, strict=True)
        found = np.stack([np.interp(each, values, levels) for each, values, levels in columns], axis=1)
        return (2 * found - 1).astype(np.float32)

    def numbers(self, places: Floats) -> Floats:
        """Return (n, columns) float32 numbers of places in [-1, 1]."""
        columns = zip((places.T + 1) / 2, self.values, self.levels, self.discrete, strict=True)
        return np.stack([_value(*column) for column in columns], axis=1).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able mapping."""
        lists = {name: [list(column) for column in getattr(self, name)] for name in ("values", "levels")}
        return {**lists, "discrete": list(self.discrete), "typical": list(self.typical)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read what ``to_json`` wrote."""
        lists = {name: tuple(tuple(column) for column in content[name]) for name in ("values", "levels")}
        return cls(**lists, discrete=tuple(content["discrete"]), typical=tuple(content["typical"]))


def _quantiles(column: npt.NDArray[np.floating[Any]]) -> tuple[npt.NDArray[Any], npt.NDArray[Any], bool]:
    ranked = np.sort(column.astype(np.float32))
    distinct, first, counts = np.unique(ranked, return_index=True, return_counts=True)
    if len(distinct) <= DISCRETE_VALUES:
        return distinct, (first + counts / 2) / len(ranked), True
    shares = np.linspace(0, 1, LEVELS)
    values = np.quantile(ranked, shares).astype(np.float32)
    kept, first, counts = np.unique(values, return_index=True, return_counts=True)
    return kept, (shares[first] + shares[first + counts - 1]) / 2, False


def _value(place: Floats, values: tuple[float, ...], levels: tuple[float, ...], discrete: bool) -> npt.NDArray[Any]:
    if not discrete:
        return np.interp(place, levels, values)
    borders = (np.asarray(levels)[1:] + np.asarray(levels)[:-1]) / 2
    return np.asarray(values)[np.searchsorted(borders, place)]
