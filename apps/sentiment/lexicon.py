"""What words say by themselves: the VADER lexicon's ratings, and the polarity of class names. No TensorFlow.

Ten people rated each word from -4 to 4 (Hutto and Gilbert 2014, https://ojs.aaai.org/index.php/ICWSM/article/view/14550).
A small corpus lacks most words of the texts to come; their ratings give what its few thousand labels cannot.
"""

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from vaderSentiment import vaderSentiment

# N-grams of the lexicon's words alone: about fifty symbols, hence some hundred thousand n-grams of at most three.
ORDERS = 3
BUCKETS = 2**17

_WORD = re.compile(r"[^\W\d_]+")
# From these ratings on a word is clearly, or strongly, positive or negative: thirds of the lexicon, about.
_CLEAR, _STRONG = 1.4, 2.4
# What turns or weakens the ratings of the words around it (Polanyi and Zaenen 2006, "Contextual valence
# shifters"), beside the lexicon's own negations; the tokenizer splits "n't" off.
_SHIFTERS = (
    *("nʼt", "no", "but", "only", "too", "if", "would", "could", "should", "than"),
    *("more", "most", "less", "very", "so", "hardly", "barely", "fails", "lacks"),
)
# Of class names, at any distances: ``polarity`` puts the extremes at -1 and 1.
_POLARITY_OF_NAME = {
    **dict.fromkeys(("very negative", "strongly negative", "terrible"), -2.0),
    **dict.fromkeys(("negative", "neg", "bad"), -1.0),
    **dict.fromkeys(("neutral", "neu", "mixed", "okay"), 0.0),
    **dict.fromkeys(("positive", "pos", "good"), 1.0),
    **dict.fromkeys(("very positive", "strongly positive", "excellent"), 2.0),
}


def ratings() -> dict[str, float]:
    """Return the rating of each word of the lexicon, in [-4, 4], by its token.

    >>> ratings()["good"] > 1 > -1 > ratings()["bad"]
    True
    """
    lexicon = vaderSentiment.SentimentIntensityAnalyzer().lexicon
    return {word: float(rating) for word, rating in lexicon.items() if _WORD.fullmatch(word)}


def symbols() -> dict[str, str]:
    """Return what each rated or shifting word is called in the n-grams of the lexicon's words.

    >>> found = symbols()
    >>> found["good"], found["awful"], found["not"], "film" in found
    ('+2', '-2', 'not', False)
    """
    shifting = {word for word in (*vaderSentiment.NEGATE, *_SHIFTERS) if "'" not in word}
    return {word: _strength(rating) for word, rating in ratings().items()} | {word: word for word in shifting}


def columns(vocabulary: Sequence[str]) -> npt.NDArray[np.float32]:
    """Return (tokens, 4), what word vectors hold of ratings: rating / 2, is positive, is negative, strength / 4.

    All are 0 for a token that is not in the lexicon.

    >>> columns(["film", "good"]).shape, bool(columns(["film"]).any())
    ((2, 4), False)
    """
    known = ratings()
    rating = np.array([known.get(token, 0.0) for token in vocabulary], np.float32)
    return np.stack([rating / 2, rating > 0, rating < 0, np.abs(rating) / 4], axis=1).astype(np.float32)


def _strength(rating: float) -> str:
    steps = 1 + (abs(rating) > _CLEAR) + (abs(rating) > _STRONG)
    return f"{'+' if rating > 0 else '-'}{steps}"


def polarity(class_names: Sequence[str]) -> npt.NDArray[np.float64] | None:
    """Return where each class stands between most negative (-1) and most positive (1), read from its name.

    Numbers (0 and 1, or ratings with or without "star") are taken as a rising scale.

    Args:
        class_names: One name per class, in any order.

    Returns:
        (classes,) float64 in [-1, 1], or None when the names do not say it, such as "sports" and "politics".

    >>> polarity(["negative", "positive"])
    array([-1.,  1.])
    >>> polarity(["5 stars", "3 stars", "1 star"])
    array([ 1.,  0., -1.])
    """
    places = [_place(name) for name in class_names]
    known = [place for place in places if place is not None]
    if len(known) < len(places) or len(set(known)) < 2:
        return None
    low, high = min(known), max(known)
    return 2.0 * (np.array(known) - low) / (high - low) - 1.0


def _place(name: str) -> float | None:
    plain = name.strip().lower().replace("_", " ").replace("-", " ")
    try:
        return float(plain.removesuffix("s").removesuffix("star"))
    except ValueError:
        return _POLARITY_OF_NAME.get(plain)
