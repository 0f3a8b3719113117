"""Columns of numbers and names -> what a dense network reads: encodings and embeddings, inside the model."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

# Even shares of the rows, and ever rarer ones at both ends: there the frauds, faults and outliers are.
_TAIL = np.geomspace(1e-4, 0.1, 12)
_SHARES = np.unique(np.concatenate([np.linspace(0, 1, 17), _TAIL[::2], 1 - _TAIL]))
_FARTHEST = 10.0


def quantile_edges(numbers: npt.NDArray[np.floating[Any]]) -> list[list[float]]:
    """Return for each column the ascending edges of its bins, at least two: quantiles of the training rows.

    Args:
        numbers: (n, columns) float; NaN is missing.
    """
    return [_edges(column[np.isfinite(column)]) for column in np.asarray(numbers, np.float32).T]


def standard_scale(numbers: npt.NDArray[np.floating[Any]]) -> tuple[list[float], list[float]]:
    """Return each column's mean and standard deviation, 1 where it does not vary; NaN is missing.

    Args:
        numbers: (n, columns) float.
    """
    known = np.ma.masked_invalid(np.asarray(numbers, np.float64))
    mean, deviation = known.mean(axis=0).filled(0.0), known.std(axis=0).filled(0.0)
    return mean.tolist(), np.where(deviation > 0, deviation, 1.0).tolist()


def _edges(values: npt.NDArray[np.float32]) -> list[float]:
    found = np.unique(np.quantile(values, _SHARES).astype(np.float32)) if len(values) else np.zeros(1, np.float32)
    edges: list[float] = found.tolist()
    return edges if len(edges) > 1 else [edges[0], edges[0] + 1.0]


@keras.saving.register_keras_serializable(package="fieldnets")
class PiecewiseLinear(keras.layers.Layer):  # type: ignore[misc]
    """Encode numbers by how far they reach into each bin: 0 below it, 1 above it, linear inside.

    Gorishniy, Rubachev and Babenko 2022, "On Embeddings for Numerical Features in Tabular Deep Learning"
    (https://arxiv.org/abs/2203.05556), section 3.2: with it a plain network finds the thresholds that trees do. A
    missing number (NaN) is 0 in every bin.

    Args:
        edges: For each column its ascending edges, at least two.
    """

    def __init__(self, edges: Sequence[Sequence[float]], **options: Any) -> None:
        super().__init__(**{"dtype": "float32", "trainable": False, **options})
        self.edges = [list(column) for column in edges]
        self._column = np.repeat(np.arange(len(self.edges)), [len(column) - 1 for column in self.edges])
        self._low = np.concatenate([column[:-1] for column in self.edges]).astype(np.float32)
        self._width = np.concatenate([np.diff(column) for column in self.edges]).astype(np.float32)

    def call(self, numbers: Any) -> Any:
        """Map (batch, columns) to (batch, bins of all columns) in [0, 1]."""
        known = ops.logical_not(ops.isnan(numbers))
        reached = ops.take(ops.where(known, numbers, ops.full_like(numbers, -np.inf)), self._column, axis=1)
        return ops.clip((reached - self._low) / self._width, 0.0, 1.0)

    def compute_output_shape(self, shape: Any) -> Any:
        """Count the bins."""
        return (shape[0], len(self._low))

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer."""
        return {**super().get_config(), "edges": self.edges}


@keras.saving.register_keras_serializable(package="fieldnets")
class Standardize(keras.layers.Layer):  # type: ignore[misc]
    """Subtract the mean and divide by the standard deviation, at most 10 of them; a missing number becomes 0.

    Args:
        mean: One per column.
        deviation: One per column, above 0.
    """

    def __init__(self, mean: Sequence[float], deviation: Sequence[float], **options: Any) -> None:
        super().__init__(**{"dtype": "float32", "trainable": False, **options})
        self.mean, self.deviation = list(mean), list(deviation)

    def call(self, numbers: Any) -> Any:
        """Map (batch, columns) to (batch, columns) in [-10, 10]."""
        mean, deviation = np.asarray(self.mean, np.float32), np.asarray(self.deviation, np.float32)
        scaled = ops.clip((numbers - mean) / deviation, -_FARTHEST, _FARTHEST)
        return ops.where(ops.isnan(numbers), ops.zeros_like(scaled), scaled)

    def compute_output_shape(self, shape: Any) -> Any:
        """Keep the shape."""
        return shape

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer."""
        return {**super().get_config(), "mean": self.mean, "deviation": self.deviation}


def embed(categories: Any, sizes: Mapping[str, int]) -> Any:
    """Look up a vector for each name and set them side by side.

    Args:
        categories: (batch, columns) int32 keras tensor; 0 is a name that training did not see.
        sizes: Column -> number of ids, in the order of the columns.

    Returns:
        (batch, sum of widths); a width is about the fourth root of the ids, times 2, as wide columns overfit.
    """
    parts = []
    for index, (column, ids) in enumerate(sizes.items()):
        width = min(16, max(2, round(2 * ids**0.25)))
        layer = keras.layers.Embedding(ids, width, name=f"embedding_{index}_{_plain(column)}")
        parts.append(layer(categories[:, index]))
    return keras.layers.Concatenate(name="embeddings")(parts) if len(parts) > 1 else parts[0]


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)
