"""The Keras layers that only this app has: from scores to log-odds, and what the GAN needs inside a graph.

The GAN draws columns of numbers as their places among the training rows: ``Quantiles`` in NumPy, ``Places`` in a graph.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Self, TypeAlias

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from apps.fraud_detection.transactions import CLASS_NAMES
from shared import stored

Floats: TypeAlias = npt.NDArray[np.float32]

_GENUINE = CLASS_NAMES.index("genuine")
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

    __pydantic_config__: ClassVar[Any] = stored.CLOSED

    values: stored.Several[stored.Several[stored.Number]]
    levels: stored.Several[stored.Several[stored.Share]]
    discrete: stored.Several[stored.Flag]
    typical: stored.Several[stored.Number]

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
    def from_json(cls, content: Mapping[str, Any], *, where: str = "quantiles") -> Self:
        """Read what ``to_json`` wrote; ``errors.InputError`` where ``where``, the file, holds something else."""
        return stored.check(cls, content, where=where)


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


@keras.saving.register_keras_serializable(package="fieldnets")
class SquaredError(keras.layers.Layer):  # type: ignore[misc]
    """Logarithm of the mean squared difference of two (batch, columns): (batch, 1)."""

    def call(self, pair: Any) -> Any:
        """Compare row by row."""
        wanted, restored = pair
        return ops.log(ops.mean(ops.square(wanted - restored), axis=1, keepdims=True) + 1e-6)

    def compute_output_shape(self, shapes: Any) -> Any:
        """One number per row."""
        return (shapes[0][0], 1)


@keras.saving.register_keras_serializable(package="fieldnets")
class PlattLogits(keras.layers.Layer):  # type: ignore[misc]
    """Two logits from log-odds or any score (batch, 1): 0 and ``slope * score + offset``, fitted on validation."""

    def __init__(self, slope: float, offset: float, **options: Any) -> None:
        super().__init__(**{"dtype": "float32", "trainable": False, **options})
        self.slope, self.offset = slope, offset

    def call(self, score: Any) -> Any:
        """Map (batch, 1) to (batch, 2)."""
        return ops.concatenate([ops.zeros_like(score), self.slope * score + self.offset], axis=1)

    def compute_output_shape(self, shape: Any) -> Any:
        """Two logits per row."""
        return (shape[0], len(CLASS_NAMES))

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer."""
        return {**super().get_config(), "slope": self.slope, "offset": self.offset}


@keras.saving.register_keras_serializable(package="fieldnets")
class LogOdds(keras.layers.Layer):  # type: ignore[misc]
    """The log-odds of fraud, (batch, 1), of two logits (batch, 2)."""

    def call(self, logits: Any) -> Any:
        """Subtract."""
        return logits[:, 1:] - logits[:, :1]

    def compute_output_shape(self, shape: Any) -> Any:
        """One number per row."""
        return (shape[0], 1)


@keras.saving.register_keras_serializable(package="fieldnets")
class Places(keras.layers.Layer):  # type: ignore[misc]
    """``Quantiles.places`` in the graph: numbers (batch, columns) to [-1, 1]."""

    def __init__(self, quantiles: dict[str, Any], **options: Any) -> None:
        super().__init__(**{"dtype": "float32", "trainable": False, **options})
        self.quantiles = quantiles
        self._columns = Quantiles.from_json(quantiles)

    def call(self, numbers: Any) -> Any:
        """Interpolate each column."""
        typical = np.asarray(self._columns.typical, np.float32)
        known = ops.where(ops.isnan(numbers), ops.broadcast_to(typical, ops.shape(numbers)), numbers)
        pairs = zip(self._columns.values, self._columns.levels, strict=True)
        columns = [self._interpolated(known[:, i : i + 1], *pair) for i, pair in enumerate(pairs)]
        return 2 * ops.concatenate(columns, axis=1) - 1

    @staticmethod
    def _interpolated(column: Any, values: tuple[float, ...], levels: tuple[float, ...]) -> Any:
        low, rise = np.asarray(values[:-1], np.float32), np.diff(np.asarray(levels, np.float32))
        if not len(rise):
            return ops.full_like(column, levels[0])
        width = np.diff(np.asarray(values, np.float64)).astype(np.float32)
        return levels[0] + ops.sum(ops.clip((column - low) / width, 0, 1) * rise, axis=1, keepdims=True)

    def compute_output_shape(self, shape: Any) -> Any:
        """Keep the shape."""
        return shape

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer."""
        return {**super().get_config(), "quantiles": self.quantiles}


@keras.saving.register_keras_serializable(package="fieldnets")
class AsGenuine(keras.layers.Layer):  # type: ignore[misc]
    """Minus the critic's score of a row as a genuine one, (batch, 1)."""

    def __init__(self, critic: keras.Model, **options: Any) -> None:
        super().__init__(**{"dtype": "float32", "trainable": False, **options})
        self.critic = critic

    def call(self, places: Any) -> Any:
        """Score rows as genuine ones."""
        label = ops.full((ops.shape(places)[0],), _GENUINE, dtype="int32")
        return -self.critic({"sample": places, "label": label}, training=False)

    def compute_output_shape(self, shape: Any) -> Any:
        """One number per row."""
        return (shape[0], 1)

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer."""
        return {**super().get_config(), "critic": keras.saving.serialize_keras_object(self.critic)}

    @classmethod
    def from_config(cls, content: dict[str, Any]) -> "AsGenuine":
        """Rebuild the layer with its critic."""
        return cls(**{**content, "critic": keras.saving.deserialize_keras_object(content["critic"])})
