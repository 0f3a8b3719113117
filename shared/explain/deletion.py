"""The deletion check: an explanation is of use only if taking away what it names moves the prediction."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from shared.explain import integrated_gradients


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


def check(
    compute_logits: Callable[[np.ndarray], np.ndarray],
    token_ids: np.ndarray,
    attribution: integrated_gradients.Attribution,
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
