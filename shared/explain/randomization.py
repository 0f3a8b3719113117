"""The weight randomization check: an explanation that stays when the weights are shuffled explains the image only.

Adebayo et al. 2018, "Sanity checks for saliency maps" (https://arxiv.org/abs/1810.03292): some well-known methods
show the edges of an image whatever the model has learned.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import scipy.stats

LIMIT = 0.5
"""Median absolute rank correlation below which the check passes. The paper shows curves and no limit; this is ours."""

_MEASURED = ("moving_mean", "moving_variance")

Explain = Callable[[keras.Model], np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class RandomizationCheck:
    """How alike the explanations are before and after weights were shuffled.

    Attributes:
        shares: (s,) part of the weight arrays that were shuffled, counted from the logits; the last is 1.
        correlations: (s, n) rank correlation of each explanation with the original, in [-1, 1]; NaN where the original
            is the same everywhere and so names nothing.
    """

    shares: tuple[float, ...]
    correlations: np.ndarray

    @property
    def means(self) -> tuple[float, ...]:
        """Mean correlation over the explanations for each share; NaN when none names anything."""
        return tuple(float(np.mean(row)) if len(row) else math.nan for row in self._named())

    @property
    def passed(self) -> bool:
        """Whether the explanations depend on what was learned: without it few resemble the original, or its opposite.

        The median absolute correlation with all weights shuffled is below ``LIMIT``.
        """
        last = np.abs(self._named()[-1])
        return bool(len(last) and np.median(last) < LIMIT)

    def _named(self) -> np.ndarray:
        return self.correlations[:, ~np.isnan(self.correlations[0])]


def check(
    model: keras.Model,
    inputs: np.ndarray,
    explain: Explain,
    *,
    shares: Sequence[float] = (0.25, 0.5, 0.75, 1.0),
    seed: int = 0,
) -> RandomizationCheck:
    """Explain the same inputs with ever more of the weights shuffled, from the logits down.

    The model given is not changed.

    Args:
        model: What is explained; one input; its layers can be cloned from their configuration.
        inputs: (n, ...) what is explained, as the model takes it.
        explain: Maps a model of that form to (n, ...) explanations, always of these inputs and the same classes.
        shares: Parts of the weight arrays to shuffle, rising and ending in 1.
        seed: Of the shuffling.

    Raises:
        ValueError: The shares are not rising to 1.
    """
    if not shares or sorted(set(shares)) != list(shares) or shares[0] <= 0 or shares[-1] != 1:
        raise ValueError(f"Expected shares that rise from above 0 to 1. Received: {tuple(shares)}")
    original = explain(model)
    found = [explain(shuffled(model, inputs, share=share, seed=seed)) for share in shares]
    return RandomizationCheck(
        shares=tuple(shares), correlations=np.array([rank_correlations(original, other) for other in found])
    )


def shuffled(model: keras.Model, inputs: np.ndarray, *, share: float, seed: int) -> keras.Model:
    """Return a copy of a model in which the last ``share`` of the weight arrays are shuffled.

    The values of each array are shuffled among themselves: unlike fresh weights they keep its spread. Batch
    normalizations then measure ``inputs`` anew, because with averages of other weights every activation would be
    0 and any explanation blank, which would pass for a change.
    """
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    learned = [weight for weight in copy.weights if weight.name not in _MEASURED]
    kept = len(learned) - math.ceil(share * len(learned))
    for number in range(kept, len(learned)):
        values = keras.ops.convert_to_numpy(learned[number])
        mixed = np.random.default_rng((seed, number)).permutation(values.reshape(-1))
        learned[number].assign(mixed.reshape(values.shape))
    _measure(copy, inputs)
    return copy


def _measure(model: keras.Model, inputs: np.ndarray) -> None:
    """Set the averages of all batch normalizations to those of ``inputs``."""
    model.trainable = True
    layers = _layers(model)
    for layer in layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    if any(isinstance(layer, keras.layers.BatchNormalization) for layer in layers):
        model(keras.ops.convert_to_tensor(inputs), training=True)


def _layers(model: keras.Model) -> list[Any]:
    """List the layers, also of models that are layers."""
    parts = [_layers(layer) if isinstance(layer, keras.Model) else [layer] for layer in model.layers]
    return [layer for part in parts for layer in part]


def rank_correlations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the rank correlation (Spearman) of each row of (n, ...) with the same row of the other, (n,).

    NaN where the first is the same everywhere; 0 where only the second is.

    >>> rank_correlations(np.array([[1, 2, 3], [5, 5, 5]]), np.array([[9, 4, 0], [1, 2, 3]]))
    array([-1., nan])
    """
    rows = zip(first, second, strict=True)
    return np.array([_rank_correlation(one.reshape(-1), other.reshape(-1)) for one, other in rows])


def _rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    if one.min() == one.max():
        return math.nan
    if other.min() == other.max():
        return 0.0
    ranks = [scipy.stats.rankdata(values) for values in (one, other)]
    first, second = (row - row.mean() for row in ranks)
    return float(first @ second / math.sqrt((first @ first) * (second @ second)))
