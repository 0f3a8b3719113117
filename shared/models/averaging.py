"""Ensembles: the weighted average of several networks' calibrated logits, with weights fitted on validation."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from shared.evaluation import calibration


@keras.saving.register_keras_serializable(package="fieldnets")
class CalibratedAverage(keras.layers.Layer):  # type: ignore[misc]
    """Average logits, each divided by its network's temperature first: an overconfident network counts no more for it.

    Args:
        temperatures: One per network, above 0.
        ensemble_weights: One per network, at least 0, with sum 1.
        name: The layer's name.
    """

    def __init__(
        self, temperatures: list[float], ensemble_weights: list[float], *, name: str = "logits", dtype: Any = "float32"
    ) -> None:
        super().__init__(name=name, trainable=False, dtype=dtype)
        self.temperatures = list(temperatures)
        self.ensemble_weights = list(ensemble_weights)

    def call(self, logits: Any) -> Any:
        """Map one (batch, classes) tensor per network to (batch, classes)."""
        columns = logits if isinstance(logits, list | tuple) else [logits]
        pairs = zip(self.ensemble_weights, self.temperatures, strict=True)
        factors = [weight / temperature for weight, temperature in pairs]
        scaled = [column * factor for column, factor in zip(columns, factors, strict=True)]
        return sum(scaled[1:], scaled[0])

    def compute_output_shape(self, shapes: Any) -> Any:
        """Keep the shape of one network's logits."""
        return shapes[0] if isinstance(shapes, list) else shapes

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"temperatures": self.temperatures, "ensemble_weights": self.ensemble_weights, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "CalibratedAverage":
        """Build the layer from ``get_config``; models saved before called the weights ``shares``."""
        return cls(**{"ensemble_weights" if name == "shares" else name: value for name, value in config.items()})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Member:
    """How a network counts in the average: its logits over ``temperature``, times ``weight``."""

    temperature: float
    weight: float


def average(names: Iterable[str], members: Mapping[str, Member]) -> CalibratedAverage:
    """Return the layer that joins the logits of these networks, given in this order."""
    chosen = [members[name] for name in names]
    return CalibratedAverage([member.temperature for member in chosen], [member.weight for member in chosen])


def fit(logits: Mapping[str, npt.NDArray[np.floating[Any]]], labels: npt.NDArray[np.int64]) -> dict[str, Member]:
    """Return how each network counts in the average, fitted on validation.

    Each network's logits are calibrated by its temperature; then the weights, which sum to 1, are those with the
    smallest log-loss: stacking with weights of at least 0 (Breiman 1996, "Stacked Regressions").

    Args:
        logits: Network -> (n, classes) float.
        labels: (n,) int.
    """
    temperatures = [calibration.fit_temperature(column, labels) for column in logits.values()]
    calibrated = np.stack([column / scale for column, scale in zip(logits.values(), temperatures, strict=True)])
    weights = ensemble_weights(calibrated, labels)
    return {
        name: Member(temperature=temperature, weight=weight)
        for name, temperature, weight in zip(logits, temperatures, weights.tolist(), strict=True)
    }


def ensemble_weights(logits: npt.NDArray[np.floating[Any]], labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return (networks,) weights of at least 0 that sum to 1 and minimise the log-loss of the summed logits.

    Args:
        logits: (networks, n, classes) float.
        labels: (n,) int.
    """
    one_hot = np.eye(logits.shape[2])[labels]

    def loss(weights: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        mixed = special.log_softmax(np.tensordot(weights, logits, axes=1), axis=1)
        slope = np.tensordot(logits, np.exp(mixed) - one_hot, axes=2) / len(labels)
        return -float(np.mean(mixed[np.arange(len(labels)), labels])), slope

    start = np.full(len(logits), 1 / len(logits))
    found = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(logits)).x
    return found / found.sum() if found.sum() > 0 else start
