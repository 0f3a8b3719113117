"""Plain baselines that every report shows beside the model: logistic regression on few pixels, and class shares.

They are fitted on the training part and tuned on the validation part of the model's own run, and give
calibrated probabilities, so that each of the model's numbers has its counterpart. No TensorFlow here.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from sklearn import linear_model, preprocessing

from shared.evaluation import calibration, other_models

Floats: TypeAlias = npt.NDArray[np.float64]
Labels: TypeAlias = npt.NDArray[np.floating[Any]]
Predict: TypeAlias = Callable[[npt.NDArray[Any]], Floats]

FEATURES, PIXELS, MAJORITY = "feature_logistic", "pixel_logistic", "majority"
LABELS = {
    FEATURES: "Logistic regression on features",
    PIXELS: "Logistic regression on pixels",
    MAJORITY: "Class shares of training",
    **other_models.LABELS,
}
STRONGEST_FIRST = (FEATURES, PIXELS, MAJORITY)
REQUIREMENTS = {
    FEATURES: "It needs a network with weights from elsewhere, and training images of two classes.",
    PIXELS: "It needs training images of two classes.",
    MAJORITY: "It needs training labels.",
}
# PIXELS sees thumbnails of this side, FEATURES the features of a frozen ImageNet network.
THUMBNAIL_PIXELS = 16
# Inverse strengths of the L2 penalty, tried on validation; with 1,281 weights weaker ones overfit, and take minutes.
PENALTIES = {PIXELS: (1e-4, 1e-3, 1e-2, 1e-1, 1.0), FEATURES: (1e-4, 1e-3, 1e-2)}
# More rows than this change the weights by less than their noise, and take minutes.
MOST_ROWS = {PIXELS: 20_000, FEATURES: 10_000}


def reference(groups: Mapping[str, object]) -> str:
    """Return the baseline to beat: the run's own model, the linear one on features, then on pixels, else the first.

    >>> reference({"majority": {}, "pixel_logistic": {}})
    'pixel_logistic'
    """
    names = (other_models.OWN_MODEL, *STRONGEST_FIRST)
    return next((name for name in names if name in groups), next(iter(groups)))


def label(name: str) -> str:
    """Return what reports call a baseline."""
    return LABELS.get(name, name)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """A part of the data as a baseline sees it.

    Attributes:
        features: (n, d) or (n, s, s, c): ``thumbnails`` of the images, or features of a frozen network.
        labels: (n, k) float in {0, 1}, NaN where unknown.
    """

    features: npt.NDArray[Any]
    labels: Labels


def thumbnails(images: npt.NDArray[np.generic], *, size: int = THUMBNAIL_PIXELS) -> npt.NDArray[np.float32]:
    """Return images (n, s, s) or (n, s, s, c) as (n, size, size) float32 means over equal areas, channels averaged.

    Args:
        images: uint8 or float of any range.
        size: Side of the result in pixels, not above s.

    Raises:
        ValueError: Another shape, or images smaller than the result.

    >>> thumbnails(np.arange(16.0).reshape(1, 4, 4), size=2)[0].tolist()
    [[2.5, 4.5], [10.5, 12.5]]
    """
    if images.ndim not in (3, 4) or min(images.shape[1:3]) < size:
        raise ValueError(f"images: expected (n, s, s) or (n, s, s, c), s at least {size}. Received: {images.shape}")
    height, width = images.shape[1:3]
    rows, columns = _area_weights(height, size), _area_weights(width, size)
    found = np.empty((len(images), size, size), np.float32)
    # One image at a time: a float copy of 100,000 images would not fit in memory.
    for number, image in enumerate(images):
        grey = image if image.ndim == 2 else image.mean(axis=-1)
        found[number] = rows @ grey.astype(np.float32) @ columns.T
    return found


def _area_weights(length: int, size: int) -> npt.NDArray[np.float32]:
    """Return (size, length) weights that average ``length`` pixels over ``size`` equal stretches."""
    edges = np.linspace(0, length, size + 1)
    starts, ends = edges[:-1, np.newaxis], edges[1:, np.newaxis]
    pixel = np.arange(length)
    covered = np.clip(np.minimum(pixel + 1, ends) - np.maximum(pixel, starts), 0, None)
    return np.asarray(covered * size / length, np.float32)


def fit(train: Part, validation: Part, *, task: str, seed: int, name: str = PIXELS) -> dict[str, Predict]:
    """Fit the class shares and a logistic regression, where the labels allow one.

    Args:
        train: What to fit on.
        validation: What to choose the penalty and calibrate on.
        task: "single_label" (rows of labels sum to one) or "multi_label" (each finding by itself).
        seed: Draws the training rows where there are more than ``MOST_ROWS``.
        name: ``PIXELS`` or ``FEATURES``.

    Returns:
        By name, a function from features (m, ...) to probabilities (m, k) float64. Without the logistic
        regression where training knows one class only. A finding of which training knows one class only is
        given its share.
    """
    shares = np.nan_to_num(np.nanmean(np.where(np.isnan(train.labels).all(axis=0), 0.0, train.labels), axis=0))
    found: dict[str, Predict] = {MAJORITY: lambda features: np.tile(shares.astype(np.float64), (len(features), 1))}
    chosen = _sample(len(train.labels), most=MOST_ROWS[name], seed=seed)
    train = Part(features=_flat(train.features)[chosen], labels=train.labels[chosen])
    validation = Part(features=_flat(validation.features), labels=validation.labels)
    if task == "single_label":
        known = np.unique(train.labels.argmax(axis=1))
        if len(known) > 1:
            found[name] = _classes(train, validation, penalties=PENALTIES[name])
    elif any(_two_sided(column) for column in train.labels.T):
        found[name] = _findings(train, validation, shares=shares.astype(np.float64), penalties=PENALTIES[name])
    return {key: found[key] for key in STRONGEST_FIRST if key in found}


def _sample(rows: int, *, most: int, seed: int) -> npt.NDArray[np.int64]:
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).choice(rows, size=most, replace=False))


def _flat(features: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    return np.asarray(features, np.float32).reshape(len(features), -1)


def _two_sided(column: Labels) -> bool:
    return len(np.unique(column[~np.isnan(column)])) > 1


def _classes(train: Part, validation: Part, *, penalties: Sequence[float]) -> Predict:
    """Fit one class per image; a class missing from training gets 0."""
    scaler = preprocessing.StandardScaler().fit(train.features)
    classes = train.labels.shape[1]
    held_out, truth = scaler.transform(validation.features), validation.labels.argmax(axis=1)
    model = _tuned(scaler.transform(train.features), train.labels.argmax(axis=1), held_out, truth, penalties)
    temperature = _temperature(_logits(model, held_out), truth, known=model.classes_)

    def predict(features: npt.NDArray[Any]) -> Floats:
        logits = _logits(model, scaler.transform(_flat(features)))
        scores = np.zeros((len(logits), classes))
        scores[:, model.classes_] = calibration.apply_temperature(logits, temperature)
        return scores

    return predict


def _findings(train: Part, validation: Part, *, shares: Floats, penalties: Sequence[float]) -> Predict:
    """Fit each finding by itself, on the rows where it is known."""
    scaler = preprocessing.StandardScaler().fit(train.features)
    features, held_out = scaler.transform(train.features), scaler.transform(validation.features)
    models: dict[int, tuple[Any, float]] = {}
    for column, (labels, truth) in enumerate(zip(train.labels.T, validation.labels.T, strict=True)):
        if _two_sided(labels):
            known, seen = ~np.isnan(labels), ~np.isnan(truth)
            known_truth = truth[seen].astype(np.int64)
            model = _tuned(features[known], labels[known].astype(np.int64), held_out[seen], known_truth, penalties)
            logits = _logits(model, held_out[seen]) if seen.any() else np.zeros((0, 2))
            models[column] = model, _temperature(logits, known_truth, known=model.classes_)

    def predict(new: npt.NDArray[Any]) -> Floats:
        inputs = scaler.transform(_flat(new))
        scores = np.tile(shares, (len(inputs), 1))
        for column, (model, temperature) in models.items():
            scores[:, column] = calibration.apply_temperature(_logits(model, inputs), temperature)[:, 1]
        return scores

    return predict


def _tuned(
    features: npt.NDArray[Any],
    labels: npt.NDArray[np.int64],
    held_out: npt.NDArray[Any],
    truth: npt.NDArray[np.int64],
    penalties: Sequence[float],
) -> Any:
    """Return the logistic regression whose penalty has the least validation log loss, the strongest on ties."""
    models = [
        linear_model.LogisticRegression(C=penalty, max_iter=500, tol=1e-3).fit(features, labels)
        for penalty in penalties
    ]
    rows = np.isin(truth, models[0].classes_)
    if not rows.any():
        return models[len(models) // 2]
    place = np.searchsorted(models[0].classes_, truth[rows])
    return min(models, key=lambda model: _log_loss(model, held_out[rows], place))


def _log_loss(model: Any, features: npt.NDArray[Any], place: npt.NDArray[np.int64]) -> float:
    chance = model.predict_proba(features)[np.arange(len(place)), place]
    return float(-np.log(np.maximum(chance, 1e-12)).mean())


def _logits(model: Any, features: npt.NDArray[Any]) -> Floats:
    """Return (n, known classes) logits; scikit-learn gives one column for two classes."""
    found = np.asarray(model.decision_function(features), np.float64)
    return found if found.ndim == 2 else np.stack([-found / 2, found / 2], axis=1)


def _temperature(logits: Floats, labels: npt.NDArray[np.int64], *, known: npt.NDArray[np.int64]) -> float:
    """Fit a temperature on the rows whose class is known; 1 where nothing can be fitted."""
    rows = np.isin(labels, known)
    if not rows.any() or not np.ptp(logits[rows], axis=1).any():
        return 1.0
    return calibration.fit_temperature(logits[rows], np.searchsorted(known, labels[rows]))
