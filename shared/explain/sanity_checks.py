"""Checks that an explanation must pass before it is believed: deletion of what it names, and shuffled weights.

Deletion: an explanation of a text is of use only if taking away what it names moves the prediction.

Weight randomization (Adebayo et al. 2018, "Sanity checks for saliency maps", https://arxiv.org/abs/1810.03292): an
explanation that stays when the weights are shuffled explains the image only. Some well-known methods show the edges of
an image whatever the model has learned.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import scipy.stats

from shared.explain import gradients

# Median absolute rank correlation below which the check passes. The paper shows curves and no limit; this is ours.
RANDOMIZATION_LIMIT = 0.5
_MEASURED = ("moving_mean", "moving_variance")

Explain = Callable[[keras.Model], np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class DeletionCheck:
    """How far the score of the explained class falls when tokens are removed.

    Attributes:
        top: (n,) fall of the log-odds without the tokens that speak most for the class.
        random: (n,) mean fall without as many random tokens.
    """

    top: np.ndarray
    random: np.ndarray

    @property
    def mean_difference(self) -> float:
        """How much further the score falls without the top tokens, on average."""
        return float(np.mean(self.top - self.random))

    @property
    def standard_error(self) -> float:
        """Standard error of the mean difference over the texts; infinite for a single one."""
        if len(self.top) < 2:
            return math.inf
        return float(np.std(self.top - self.random, ddof=1) / math.sqrt(len(self.top)))

    @property
    def share_larger(self) -> float:
        """Part of the texts in which the top tokens matter more than random ones."""
        return float(np.mean(self.top > self.random))

    @property
    def passed(self) -> bool:
        """Whether the top tokens matter more beyond chance: mean difference above 1.96 standard errors."""
        return self.mean_difference > 1.96 * self.standard_error


def remove(token_ids: np.ndarray, removed: np.ndarray) -> np.ndarray:
    """Take tokens out of rows and close the gaps; padding (0) fills the end.

    >>> remove(np.array([[7, 8, 9, 0]]), np.array([[True, False, False, False]]))
    array([[8, 9, 0, 0]])
    """
    kept = np.where(removed, 0, token_ids)
    order = np.argsort(kept == 0, axis=-1, kind="stable")
    return np.take_along_axis(kept, order, axis=-1)


def deletion(
    compute_logits: Callable[[np.ndarray], np.ndarray],
    token_ids: np.ndarray,
    attribution: gradients.Attribution,
    *,
    fraction: float = 0.1,
    draws: int = 10,
    seed: int = 0,
) -> DeletionCheck:
    """Remove each text's top tokens, and as many random ones, and compare how the score moves.

    Args:
        compute_logits: Maps (m, length) token ids to (m, classes) logits.
        token_ids: (n, length) int, 0 = padding at the end; every row holds at least two tokens.
        attribution: Of these rows.
        fraction: Part of a text's tokens removed, in (0, 1); at least one token.
        draws: Random removals per text.
        seed: Of the random removals.

    Raises:
        ValueError: A row of fewer than two tokens, or a fraction outside (0, 1).
    """
    lengths = (token_ids != 0).sum(axis=1)
    if not 0 < fraction < 1:
        raise ValueError(f"Expected fraction in (0, 1). Received: {fraction}")
    if len(token_ids) == 0 or lengths.min() < 2:
        raise ValueError(f"Expected rows of at least two tokens. Received: {lengths.tolist()} tokens")
    counts = np.maximum(1, np.floor(fraction * lengths)).astype(int)
    generator = np.random.default_rng(seed)

    def fall(ranking: np.ndarray) -> np.ndarray:
        ids = remove(token_ids, _highest(ranking, token_ids, counts))
        moved: np.ndarray = attribution.score - log_odds(compute_logits(ids), attribution.targets)
        return moved

    falls = [fall(generator.random(token_ids.shape)) for _ in range(draws)]
    return DeletionCheck(top=fall(attribution.values), random=np.mean(falls, axis=0))


def log_odds(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return log p / (1 - p) of each row's target class, (n,), of logits (n, classes).

    >>> log_odds(np.log([[0.2, 0.8]]), np.array([1])).round(4)
    array([1.3863])
    """
    rows = np.arange(len(logits))
    others = np.array(logits, dtype=np.float64)
    others[rows, targets] = -np.inf
    odds: np.ndarray = logits[rows, targets] - np.logaddexp.reduce(others, axis=1)
    return odds


def _highest(ranking: np.ndarray, token_ids: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mark each row's ``counts`` tokens that rank highest, never padding."""
    ranked = np.where(token_ids == 0, -np.inf, ranking)
    position = np.argsort(np.argsort(-ranked, axis=1, kind="stable"), axis=1)
    marked: np.ndarray = position < counts[:, None]
    return marked


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

        The median absolute correlation with all weights shuffled is below ``RANDOMIZATION_LIMIT``.
        """
        last = np.abs(self._named()[-1])
        return bool(len(last) and np.median(last) < RANDOMIZATION_LIMIT)

    def _named(self) -> np.ndarray:
        return self.correlations[:, ~np.isnan(self.correlations[0])]


def randomization(
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
