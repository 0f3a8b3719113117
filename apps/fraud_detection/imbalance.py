"""What is done against class imbalance, compared on one learner: does it help? No TensorFlow here.

The Handbook finds that such methods raise AUROC or balanced accuracy and mostly cost average precision (Le Borgne et
al. 2022, chapter 6). Rows are resampled inside the training part only.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from sklearn import neighbors

from apps.fraud_detection import baselines

Arrays: TypeAlias = Mapping[str, npt.NDArray[Any]]
Ints: TypeAlias = npt.NDArray[np.int64]
Training: TypeAlias = tuple[dict[str, npt.NDArray[Any]], Ints, npt.NDArray[np.float64] | None]

NEIGHBOURS = 5
# Genuine rows left per fraud by undersampling, and reached by oversampling.
RATIO = 10


def compare(train: Arrays, labels: Ints, test: Arrays, *, seed: int) -> dict[str, npt.NDArray[np.float64]]:
    """Return method -> scores (n,) of ``test``, by boosted trees trained on what the method makes of ``train``."""
    found = {}
    for name, method in METHODS.items():
        arrays, kinds, weights = method(train, labels, np.random.default_rng(seed))
        found[name] = baselines.fit_trees(arrays, kinds, weights=weights, seed=seed)(test)
    return found


def none(train: Arrays, labels: Ints, _rng: np.random.Generator) -> Training:
    """Train on the rows as they are."""
    return dict(train), labels, None


def class_weight(train: Arrays, labels: Ints, _rng: np.random.Generator) -> Training:
    """Let each class weigh the same."""
    share = labels.mean()
    return dict(train), labels, np.where(labels == 1, 0.5 / share, 0.5 / (1 - share))


def undersampling(train: Arrays, labels: Ints, rng: np.random.Generator) -> Training:
    """Keep a tenfold number of genuine rows, at random."""
    fraud, genuine = np.flatnonzero(labels == 1), rng.permutation(np.flatnonzero(labels == 0))
    rows = np.sort(np.concatenate([fraud, genuine[: RATIO * len(fraud)]]))
    return _take(train, rows), labels[rows], None


def oversampling(train: Arrays, labels: Ints, rng: np.random.Generator) -> Training:
    """Repeat frauds, at random, to a tenth of the genuine rows."""
    rows = np.concatenate([np.arange(len(labels)), rng.choice(np.flatnonzero(labels == 1), _missing(labels))])
    return _take(train, rows), labels[rows], None


def smote(train: Arrays, labels: Ints, rng: np.random.Generator) -> Training:
    """Add frauds between a fraud and one of its five nearest (Chawla et al. 2002); categories are the fraud's own."""
    fraud = np.flatnonzero(labels == 1)
    numbers = np.nan_to_num(train["numbers"][fraud])
    scaled = (numbers - numbers.mean(axis=0)) / np.maximum(numbers.std(axis=0), 1e-6)
    size = min(NEIGHBOURS + 1, len(fraud))
    near = neighbors.NearestNeighbors(n_neighbors=size).fit(scaled).kneighbors(scaled, return_distance=False)
    chosen = rng.integers(0, len(fraud), _missing(labels))
    other = near[chosen, rng.integers(min(1, size - 1), size, len(chosen))]
    step = rng.random((len(chosen), 1))
    added = _take(train, fraud[chosen])
    added["numbers"] = (numbers[chosen] + step * (numbers[other] - numbers[chosen])).astype(np.float32)
    joined = {name: np.concatenate([train[name], added[name]]) for name in train}
    return joined, np.concatenate([labels, np.ones(len(chosen), np.int64)]), None


METHODS: Mapping[str, Callable[[Arrays, Ints, np.random.Generator], Training]] = {
    "none": none,
    "class_weight": class_weight,
    "undersampling": undersampling,
    "oversampling": oversampling,
    "smote": smote,
}


def _missing(labels: Ints) -> int:
    return max(0, int((labels == 0).sum()) // RATIO - int(labels.sum()))


def _take(arrays: Arrays, rows: Ints) -> dict[str, npt.NDArray[Any]]:
    return {name: values[rows] for name, values in arrays.items()}
