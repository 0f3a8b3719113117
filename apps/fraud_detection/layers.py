"""The Keras layers that only this app has: from scores to log-odds, and what the GAN needs inside a graph."""

from typing import Any

import keras
import numpy as np
from keras import ops

from apps.fraud_detection.quantiles import Quantiles
from apps.fraud_detection.transactions import CLASS_NAMES

_GENUINE = CLASS_NAMES.index("genuine")


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
