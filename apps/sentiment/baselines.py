"""Plain baselines that every report shows beside the model: a linear one, a lexicon and the majority class.

They are fitted on the training part and tuned on the validation part of the model's own run, and give
calibrated probabilities, so that each of the model's numbers has its counterpart. No TensorFlow here.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from sklearn import feature_extraction, linear_model
from vaderSentiment import vaderSentiment

from apps.sentiment import lexicon
from shared.evaluation import calibration, other_models

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Predict: TypeAlias = Callable[[Sequence[str]], Floats]

LINEAR, LEXICON, MAJORITY = "tfidf_logistic", "vader", "majority"
LABELS = {
    LINEAR: "TF-IDF + logistic regression",
    LEXICON: "VADER lexicon",
    MAJORITY: "Majority class",
    **other_models.LABELS,
}

REQUIREMENTS = {
    LINEAR: "It needs training texts with words, and of two classes.",
    LEXICON: "It needs class names from negative to positive.",
    MAJORITY: "It needs training labels.",
}

# Inverse strengths of the L2 penalty, tried on validation.
PENALTIES = (1.0, 4.0, 16.0, 64.0)
# Below this many texts a word that occurs once may be all there is to learn from.
ROWS_FOR_RARE_WORDS = 1000
# VADER takes 1.5 ms for a long review; 2,000 place its cut points to within 0.01 of accuracy.
LEXICON_TUNING_ROWS = 2000

_WORD = r"\w+(?:['’]\w+)*"
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|<br\s*/?>|\n")


def fit(
    train_texts: Sequence[str],
    train_labels: npt.ArrayLike,
    validation_texts: Sequence[str],
    validation_labels: npt.ArrayLike,
    *,
    class_names: Sequence[str],
    seed: int,
) -> dict[str, Predict]:
    """Fit every baseline that the data allow.

    Args:
        train_texts: (n,) str.
        train_labels: (n,) int in [0, classes).
        validation_texts: (m,) str, for the penalty, the cut points and the calibration.
        validation_labels: (m,) int in [0, classes).
        class_names: One name per class.
        seed: Draws the validation texts on which the lexicon's cut points are tuned.

    Returns:
        By name, a function from texts (k,) to probabilities (k, classes) float64. Without ``tfidf_logistic``
        where the training texts hold one class or no words, without ``vader`` where the class names have no
        polarity.
    """
    truth = np.asarray(train_labels, np.int64)
    held_out = np.asarray(validation_labels, np.int64)
    found = {MAJORITY: majority(truth, classes=len(class_names))}
    if len(np.unique(truth)) > 1 and any(re.search(_WORD, text) for text in train_texts):
        found[LINEAR] = linear((train_texts, truth), (validation_texts, held_out), classes=len(class_names))
    polarity = lexicon.polarity(class_names)
    if polarity is not None:
        chosen = _sample(len(held_out), seed=seed)
        texts = [validation_texts[row] for row in chosen]
        found[LEXICON] = lexicon_scorer(texts, held_out[chosen], polarity=polarity)
    return {name: found[name] for name in LABELS if name in found}


def _sample(rows: int, *, seed: int) -> Ints:
    size = min(rows, LEXICON_TUNING_ROWS)
    return np.sort(np.random.default_rng(seed).choice(rows, size=size, replace=False))


def majority(labels: Ints, *, classes: int) -> Predict:
    """Predict the class frequencies of the training part for every text.

    >>> majority(np.array([0, 1, 1, 1]), classes=2)(["any text"])
    array([[0.25, 0.75]])
    """
    share = np.bincount(labels, minlength=classes) / len(labels)
    return lambda texts: np.tile(share, (len(texts), 1))


def linear(train: tuple[Sequence[str], Ints], validation: tuple[Sequence[str], Ints], *, classes: int) -> Predict:
    """Fit logistic regression on sublinear TF-IDF of words and word pairs.

    The penalty is the one with the best validation accuracy, the strongest on ties. Probabilities are
    calibrated by a temperature, which leaves the predicted classes as they are. A class missing from ``train`` gets 0.

    Args:
        train: Texts (n,) and labels (n,) of at least two classes.
        validation: Texts (m,) and labels (m,).
        classes: Number of columns of the result.
    """
    texts, labels = train
    vectorizer = feature_extraction.text.TfidfVectorizer(
        ngram_range=(1, 2),
        sublinear_tf=True,
        min_df=2 if len(texts) >= ROWS_FOR_RARE_WORDS else 1,
        token_pattern=_WORD,
        dtype=np.float32,
    )
    features, held_out = vectorizer.fit_transform(texts), vectorizer.transform(validation[0])
    # No warm start: the first gradient would meet the tolerance, and a weaker penalty would change nothing.
    models = [linear_model.LogisticRegression(C=penalty, max_iter=1000) for penalty in PENALTIES]
    best = max(models, key=lambda model: model.fit(features, labels).score(held_out, validation[1]))
    temperature = _temperature(_logits(best, held_out), validation[1], known=best.classes_)

    def predict(new: Sequence[str]) -> Floats:
        scores = np.zeros((len(new), classes))
        logits = _logits(best, vectorizer.transform(new))
        scores[:, best.classes_] = calibration.apply_temperature(logits, temperature)
        return scores

    return predict


def _logits(model: Any, features: Any) -> Floats:
    """Return (n, known classes) logits; scikit-learn gives one column for two classes."""
    found = np.asarray(model.decision_function(features), np.float64)
    return found if found.ndim == 2 else np.stack([-found / 2, found / 2], axis=1)


def _temperature(logits: Floats, labels: Ints, *, known: Ints) -> float:
    """Fit a temperature on the rows whose class is known; 1 where nothing can be fitted."""
    rows = np.isin(labels, known)
    if not rows.any() or not np.ptp(logits[rows], axis=1).any():
        return 1.0
    return calibration.fit_temperature(logits[rows], np.searchsorted(known, labels[rows]))


def lexicon_scorer(texts: Sequence[str], labels: Ints, *, polarity: Floats) -> Predict:
    """Turn VADER's compound valence (Hutto and Gilbert 2014, ICWSM) into class probabilities.

    VADER was made for sentences: on a whole review its sum saturates near 1 or -1, and takes quadratic time.
    So a text's valence is the mean over its sentences (AUROC on film reviews 0.83 instead of 0.78, in a third
    of the time). Cut points between neighbouring classes have the best accuracy on ``texts``; an
    adjacent-category logit around them gives probabilities whose highest is the class between the cut points.

    Args:
        texts: (m,) str to tune on.
        labels: (m,) int.
        polarity: (classes,) where each class stands between negative and positive.
    """
    analyzer = vaderSentiment.SentimentIntensityAnalyzer()
    rank = np.argsort(polarity, kind="stable")
    column = np.argsort(rank)
    cuts = cut_points(_valences(analyzer, texts), column[labels], classes=len(polarity))

    def logits(new: Sequence[str]) -> Floats:
        steps = _valences(analyzer, new)[:, np.newaxis] - cuts
        rising = np.concatenate([np.zeros((len(new), 1)), np.cumsum(steps, axis=1)], axis=1)
        return np.asarray(rising[:, column], np.float64)

    temperature = _temperature(logits(texts), labels, known=np.arange(len(polarity)))
    return lambda new: calibration.apply_temperature(logits(new), temperature)


def _valences(analyzer: Any, texts: Sequence[str]) -> Floats:
    return np.array([_valence(analyzer, text) for text in texts], np.float64)


def _valence(analyzer: Any, text: str) -> float:
    sentences = [sentence for sentence in _SENTENCE_END.split(text) if sentence.strip()]
    compounds = [analyzer.polarity_scores(sentence)["compound"] for sentence in sentences]
    return float(np.mean(compounds)) if compounds else 0.0


def cut_points(values: Floats, labels: Ints, *, classes: int) -> Floats:
    """Return the rising cut points that classify the most values correctly.

    Dynamic programming over the gaps between neighbouring values: the best way to place k cut points below a
    gap extends the best way to place k - 1 of them.

    Args:
        values: (n,) in [-1, 1].
        labels: (n,) int in [0, classes), rising with the value.
        classes: Number of classes.

    Returns:
        (classes - 1,) float64 in [-1.01, 1.01]; equal neighbours leave no room for the class between.

    >>> cut_points(np.array([-0.8, -0.2, 0.4, 0.6]), np.array([0, 0, 1, 1]), classes=2)
    array([0.1])
    """
    distinct = np.unique(values)
    gaps = np.concatenate([[-1.01], (distinct[1:] + distinct[:-1]) / 2, [1.01]])
    # below[k, g]: rows of class k whose value lies below gap g.
    below = np.stack([np.searchsorted(np.sort(values[labels == k]), gaps) for k in range(classes)])
    right, choices = below[0], []
    for k in range(1, classes):
        gain = right - below[k]
        leading = np.maximum.accumulate(gain)
        choices.append(np.maximum.accumulate(np.where(gain == leading, np.arange(len(gaps)), 0)))
        right = leading + below[k]
    chosen = [len(gaps) - 1]
    for choice in reversed(choices):
        chosen.append(int(choice[chosen[-1]]))
    return np.asarray(gaps[chosen[:0:-1]], np.float64)
