"""What synthetic transactions are worth: what trees learn from them, and whether they are copies. No TensorFlow."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import neighbors

from apps.fraud_detection import baselines
from shared.evaluation import classification

MOST_ROWS = 5_000


def compare(
    synthetic: npt.NDArray[np.float32],
    train: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    test: npt.NDArray[np.float32],
    *,
    seed: int,
) -> dict[str, npt.NDArray[np.float64]]:
    """Return training set -> scores (n,) of ``test``, by the same trees trained on real, synthetic and both rows.

    Args:
        synthetic: (m, columns), drawn with the classes of ``labels``.
        train: (m, columns) real rows.
        labels: (m,) in {0, 1}.
        test: (n, columns) real rows.
        seed: Of the trees.
    """
    sets = {
        "real": (train, labels),
        "synthetic": (synthetic, labels),
        "real and synthetic": (np.concatenate([train, synthetic]), np.concatenate([labels, labels])),
    }
    return {
        name: baselines.fit_trees({"numbers": numbers}, kinds, seed=seed)({"numbers": test})
        for name, (numbers, kinds) in sets.items()
    }


def memorisation(
    synthetic: npt.NDArray[np.float32], train: npt.NDArray[np.float32], holdout: npt.NDArray[np.float32], *, seed: int
) -> dict[str, float]:
    """Compare how near synthetic rows lie to training rows with how near unseen real rows do.

    Distances to the nearest training row over standardized columns, of at most ``MOST_ROWS`` rows of each kind.

    Args:
        synthetic: (n, columns) float, NaN for missing.
        train: (m, columns) all rows that the generator learnt from.
        holdout: (k, columns) real rows that it did not see.
        seed: Of the choice of rows.

    Returns:
        ``synthetic_distance`` and ``holdout_distance``, medians; ``copies`` and ``holdout_copies``, the share nearer
        than a hundredth of the median holdout distance; ``closeness``, the probability that a synthetic row is nearer
        than an unseen real one, ties half: 0.5 is alike, more is copying (Meehan et al. 2020,
        https://arxiv.org/abs/2004.05675).
    """
    rng = np.random.default_rng(seed)
    scale = _scale(train)
    known = neighbors.NearestNeighbors(n_neighbors=1).fit(scale(train))

    def nearest(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        chosen = rng.permutation(len(rows))[:MOST_ROWS]
        return np.asarray(known.kneighbors(scale(rows[chosen]))[0][:, 0], np.float64)

    drawn, unseen = nearest(synthetic), nearest(holdout)
    near = np.median(unseen) / 100
    kinds = np.repeat([1, 0], [len(drawn), len(unseen)])
    return {
        "synthetic_distance": float(np.median(drawn)),
        "holdout_distance": float(np.median(unseen)),
        "copies": float((drawn < near).mean()),
        "holdout_copies": float((unseen < near).mean()),
        "closeness": classification.auroc(kinds, -np.concatenate([drawn, unseen])),
    }


def _scale(train: npt.NDArray[np.float32]) -> Any:
    known = np.nan_to_num(train)
    mean, deviation = known.mean(axis=0), np.maximum(known.std(axis=0), 1e-6)
    return lambda rows: (np.nan_to_num(rows) - mean) / deviation
