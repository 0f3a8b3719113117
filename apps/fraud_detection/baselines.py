"""Plain models that every report shows beside the networks: logistic, boosted trees, isolation forest, a rule.

They are fitted on the training part of the model's own fold and read the very numbers that the networks read, with
categories as one-hot columns. The second half compares what is done against class imbalance on the same boosted trees:
the Handbook finds that such methods raise AUROC or balanced accuracy and mostly cost average precision (Le Borgne et
al. 2022, chapter 6). Rows are resampled inside the training part only. No TensorFlow here.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import xgboost
from sklearn import ensemble, impute, linear_model, neighbors, pipeline, preprocessing

from apps.fraud_detection import inputs
from shared.evaluation import other_models

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Arrays: TypeAlias = Mapping[str, npt.NDArray[Any]]
Predict: TypeAlias = Callable[[Arrays], Floats]
Training: TypeAlias = tuple[dict[str, npt.NDArray[Any]], Ints, Floats | None]

LOGISTIC, TREES, FOREST, RULE = "logistic", "xgboost", "isolation_forest", "rule"
LABELS = {
    LOGISTIC: "Logistic regression",
    TREES: "XGBoost",
    FOREST: "Isolation forest",
    RULE: "Rule on amount and frequency",
    **other_models.LABELS,
}
# Those whose scores are probabilities.
PROBABILISTIC = (LOGISTIC, TREES, other_models.OWN_MODEL)
# Numbers of trees, of which the one with the smallest validation loss is taken.
MOST_TREES, PATIENCE = 400, 30
# Rare names would make thousands of columns.
MOST_ONE_HOT = 50
# Of SMOTE.
NEIGHBOURS = 5
# Genuine rows left per fraud by undersampling, and reached by oversampling.
RATIO = 10


def reference(names: Iterable[str]) -> str:
    """Return the baseline to beat: the run's own model, boosted trees, or the first there is.

    >>> reference({"logistic": 0, "xgboost": 1})
    'xgboost'
    """
    found = list(names)
    return next((name for name in (other_models.OWN_MODEL, TREES) if name in found), found[0])


def label(name: str) -> str:
    """Return what reports call a baseline."""
    return LABELS.get(name, name)


def fit(
    train: Arrays, labels: Ints, validation: Arrays, validation_labels: Ints, *, names: tuple[str, ...], seed: int
) -> dict[str, Predict]:
    """Fit every baseline.

    Args:
        train: ``preprocessing.arrays`` of the training part.
        labels: (n,) in {0, 1}, both present.
        validation: Arrays of the validation part, for the number of trees.
        validation_labels: (m,).
        names: Names of the columns of ``numbers``.
        seed: Of trees and forest.

    Returns:
        By name, a function from arrays to scores (n,) in [0, 1]; those of ``logistic`` and ``xgboost`` are
        probabilities.
    """
    return {
        LOGISTIC: fit_logistic(train, labels),
        TREES: fit_trees(train, labels, validation, validation_labels, seed=seed),
        FOREST: fit_forest(train, seed=seed),
        RULE: fit_rule(train, names),
    }


def table(arrays: Arrays) -> npt.NDArray[np.float32]:
    """Return (n, columns) float32: the numbers, and a column for each frequent name."""
    parts = [arrays["numbers"]]
    for column in arrays.get("categories", np.zeros((0, 0))).T:
        parts.append((column[:, np.newaxis] == np.arange(1, MOST_ONE_HOT + 1)).astype(np.float32))
    return np.concatenate(parts, axis=1)


def fit_logistic(train: Arrays, labels: Ints) -> Predict:
    """Fit L2-regularised logistic regression on standardized columns; a missing number is its median."""
    fitted = pipeline.make_pipeline(
        impute.SimpleImputer(strategy="median", keep_empty_features=True),
        preprocessing.StandardScaler(),
        linear_model.LogisticRegression(max_iter=2000),
    ).fit(table(train), labels)
    return lambda arrays: np.asarray(fitted.predict_proba(table(arrays))[:, 1], np.float64)


def fit_trees(
    train: Arrays,
    labels: Ints,
    validation: Arrays | None = None,
    validation_labels: Ints | None = None,
    *,
    weights: Floats | None = None,
    seed: int,
) -> Predict:
    """Fit gradient-boosted trees (Chen and Guestrin 2016, XGBoost); validation chooses how many."""
    stopping = validation is not None and validation_labels is not None and validation_labels.any()
    model = xgboost.XGBClassifier(
        n_estimators=MOST_TREES,
        max_depth=4,
        learning_rate=0.05,
        subsample=0.8,
        colsample_bytree=0.8,
        early_stopping_rounds=PATIENCE if stopping else None,
        eval_metric="logloss",
        tree_method="hist",
        n_jobs=2,
        random_state=seed,
    )
    seen = [(table(validation), validation_labels)] if stopping and validation is not None else None
    model.fit(table(train), labels, sample_weight=weights, eval_set=seen, verbose=False)
    return lambda arrays: np.asarray(model.predict_proba(table(arrays))[:, 1], np.float64)


def fit_forest(train: Arrays, *, seed: int) -> Predict:
    """Fit an isolation forest (Liu, Ting and Zhou 2008), which sees no label."""
    fitted = pipeline.make_pipeline(
        impute.SimpleImputer(strategy="median", keep_empty_features=True),
        ensemble.IsolationForest(n_estimators=100, random_state=seed),
    ).fit(table(train))
    return lambda arrays: np.asarray(-fitted.score_samples(table(arrays)), np.float64)


def fit_rule(train: Arrays, names: tuple[str, ...]) -> Predict:
    """Rank by the larger of two ranks: of the amount, and of the payer's transactions in a day."""
    counts = [name for name in names if name.startswith(inputs.COMPUTED) and name.endswith("_count_1d")]
    watched = [i for i, name in enumerate(names) if name in (inputs.AMOUNT, *counts)][:2] or [0]
    ranked = [np.sort(train["numbers"][:, column]) for column in watched]

    def predict(arrays: Arrays) -> Floats:
        ranks = [
            np.searchsorted(known, arrays["numbers"][:, column], side="right") / len(known)
            for known, column in zip(ranked, watched, strict=True)
        ]
        return np.asarray(np.max(ranks, axis=0), np.float64)

    return predict


def compare_imbalance(train: Arrays, labels: Ints, test: Arrays, *, seed: int) -> dict[str, npt.NDArray[np.float64]]:
    """Return method -> scores (n,) of ``test``, by boosted trees trained on what the method makes of ``train``."""
    found = {}
    for name, method in METHODS.items():
        arrays, kinds, weights = method(train, labels, np.random.default_rng(seed))
        found[name] = fit_trees(arrays, kinds, weights=weights, seed=seed)(test)
    return found


def plain(train: Arrays, labels: Ints, _rng: np.random.Generator) -> Training:
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
    "none": plain,
    "class_weight": class_weight,
    "undersampling": undersampling,
    "oversampling": oversampling,
    "smote": smote,
}


def _missing(labels: Ints) -> int:
    return max(0, int((labels == 0).sum()) // RATIO - int(labels.sum()))


def _take(arrays: Arrays, rows: Ints) -> dict[str, npt.NDArray[Any]]:
    return {name: values[rows] for name, values in arrays.items()}
