"""What labels mean: the names of classes, their order, and the numbers that stand for them."""

import re
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

_NEGATIVE = frozenset(
    (
        "normal",
        "negative",
        "no finding",
        "no findings",
        "healthy",
        "benign",
        "0",
        "false",
        "no",
        "absent",
        "none",
        "control",
    )
)
# How programs write that a cell holds nothing; "none" is what was found.
_MISSING = frozenset(("", "na", "n/a", "#n/a", "<na>", "nan", "-nan", "null", "missing"))
_NEGATIVE_STARTS = ("normal", "no ", "not ", "non-", "no-", "without ")


# A whole number that a program wrote as a fraction: 1.0, or 1,0.
_WHOLE = re.compile(r"(-?\d+)[.,]0+")


def key(name: str) -> str:
    """Return what makes two spellings of a label the same: letters alike in case, one kind of space, whole numbers.

    >>> key("No_Finding"), key("1.0")
    ('no finding', '1')
    """
    bare = " ".join(name.replace("_", " ").split()).casefold()
    whole = _WHOLE.fullmatch(bare)
    return whole[1] if whole else bare


def is_negative(name: str) -> bool:
    """Tell whether a class means that nothing was found.

    >>> is_negative("NORMAL"), is_negative("No_Finding"), is_negative("pneumonia")
    (True, True, False)
    """
    return key(name) in _NEGATIVE or key(name).startswith(_NEGATIVE_STARTS)


def is_missing(text: str | None) -> bool:
    """Tell whether a label or cell says nothing.

    >>> is_missing(" NaN"), is_missing("N/A"), is_missing(None), is_missing("None")
    (True, True, True, False)
    """
    return key(text or "") in _MISSING


def order(names: Iterable[str], *, class_order: Sequence[str] = ()) -> tuple[str, ...]:
    """Put class names in canonical order, one spelling of each.

    Of two classes the negative one comes first. Otherwise ``class_order`` holds where it names them all, else numbers
    by value, then the alphabet.

    >>> order(["PNEUMONIA", "NORMAL", "normal"])
    ('NORMAL', 'PNEUMONIA')
    """
    spelled: dict[str, str] = {}
    for name in sorted(names):
        spelled.setdefault(key(name), name.strip())
    given = [key(name) for name in class_order]
    rank = {name: place for place, name in enumerate(given)} if set(spelled) <= set(given) else {}
    found = sorted(
        spelled, key=lambda name: (rank.get(name, 0), not name.isdecimal(), int(name) if name.isdecimal() else 0, name)
    )
    if len(found) == 2 and is_negative(found[1]) and not is_negative(found[0]):
        found.reverse()
    return tuple(spelled[name] for name in found)


def one_hot(names: Sequence[str | None], class_names: Sequence[str]) -> NDArray[np.float32]:
    """Return (n, k) float32 one-hot labels; a row of NaN where the label is None."""
    number = {key(name): place for place, name in enumerate(class_names)}
    labels = np.full((len(names), len(class_names)), np.nan, np.float32)
    for row, name in enumerate(names):
        if name is not None:
            labels[row] = 0
            labels[row, number[key(name)]] = 1
    return labels
