"""What plain models see of labelled texts before training: lengths, marks, sources, and words."""

import re

import numpy as np
import pandas as pd
from sklearn.feature_extraction import text as extraction

from apps.sentiment import dataset
from shared import splits
from shared.evaluation import inspection

# More texts take the `data` verb seconds and say little more.
MOST_ROWS, MOST_CHARACTERS = 5_000, 600
_WORD = re.compile(r"\w+")


def inspected(reviews: dataset.Reviews, split: splits.Split, *, seed: int) -> inspection.Inspected | None:
    """Return what plain models see of the labelled texts; None without labels."""
    labelled = np.flatnonzero((reviews.labels >= 0) & (split.part != splits.LEFT_OUT)).astype(np.int64)
    if not labelled.size:
        return None
    rows = inspection.drawn(labelled, split.unit[labelled], most=MOST_ROWS, seed=seed)
    texts = reviews.texts[rows].tolist()
    vectorizer = extraction.TfidfVectorizer(sublinear_tf=True, min_df=2 if len(rows) > 200 else 1, dtype=np.float32)
    return inspection.Inspected(
        names=[f"{reviews.files[row]}, row {reviews.rows[row]}" for row in rows],
        labels=np.eye(len(reviews.class_names))[reviews.labels[rows]],
        class_names=reviews.class_names,
        exclusive=True,
        units=split.unit[rows],
        columns=pd.DataFrame([_facts(text) for text in texts]).assign(source=reviews.sources[rows]),
        matrix=vectorizer.fit_transform(texts),
        show=lambda row: texts[row][:MOST_CHARACTERS] + (" ..." if len(texts[row]) > MOST_CHARACTERS else ""),
        left_out=f"Of {len(labelled):,} labelled texts {len(rows):,} were drawn." if len(rows) < len(labelled) else "",
    )


def _facts(text: str) -> dict[str, float]:
    words = _WORD.findall(text)
    letters = sum(character.isalpha() for character in text)
    return {
        "characters": len(text),
        "words": len(words),
        "share of capital letters": sum(character.isupper() for character in text) / max(letters, 1),
        "share of digits": sum(character.isdigit() for character in text) / max(len(text), 1),
        "exclamation marks": text.count("!"),
        "question marks": text.count("?"),
        "different words": len({word.lower() for word in words}),
    }
