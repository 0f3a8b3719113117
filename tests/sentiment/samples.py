"""What the contract test feeds this app with: an input to explain, and files like and unlike training."""

import pathlib

import pandas as pd

# Flags that make ``predict`` and ``monitor`` read the files below.
READ_FLAGS = ("--text-column", "text")


def usual(normalised: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """Write 300 texts of the app's own source, some of them awkward, given what ``data --write`` wrote."""
    reviews = pd.read_parquet(normalised / "reviews.parquet", columns=["text", "part"])
    texts = reviews.loc[reviews["part"] == "test", "text"].sample(295, random_state=0).tolist()
    awkward = ["😀 né 漢字", "<br />good & <b>bad</b>", 'one "quoted", text', "line\nbreak", "good " * 3000]
    path = folder / "usual.csv"
    pd.DataFrame({"text": texts + awkward}).to_csv(path, index=False)
    return path


def unusual(folder: pathlib.Path) -> pathlib.Path:
    """Write texts of another language and length."""
    words = ("wagen", "strasse", "gestern", "grün", "fährt", "haus", "über", "nicht", "morgen", "licht")
    texts = [" ".join(words[(row * step) % 10] for step in range(1, 6)) for row in range(1, 301)]
    path = folder / "unusual.csv"
    pd.DataFrame({"text": texts}).to_csv(path, index=False)
    return path


def explain_input(_usual: pathlib.Path) -> str:
    """Return a text to explain."""
    return "The plot is thin, but I loved every minute of it. Not a bad film at all!"


def with_bad(normalised: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """Write 60 labelled texts of the app's own source, and a row that holds none."""
    reviews = pd.read_parquet(normalised / "reviews.parquet", columns=["text", "label", "part"])
    chosen = reviews[reviews["part"] == "test"].sample(60, random_state=1)[["text", "label"]]
    path = folder / "with_bad.csv"
    pd.concat([chosen, pd.DataFrame({"text": [""], "label": chosen["label"][:1]})]).to_csv(path, index=False)
    return path
