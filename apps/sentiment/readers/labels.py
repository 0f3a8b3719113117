"""Labels as they stand in files, and the class names they mean.

Class names and their order come from the labels themselves and never from the order of files or rows:
negative before neutral before positive, ratings from low to high, any other names by alphabet.
"""

import dataclasses
import itertools
import re
from collections.abc import Mapping, Sequence

from shared import errors

SENTIMENTS = ("very negative", "negative", "neutral", "positive", "very positive")

_WORDS = {
    "neg": "negative",
    "bad": "negative",
    "neu": "neutral",
    "neut": "neutral",
    "pos": "positive",
    "good": "positive",
    **{name: name for name in SENTIMENTS},
}

# Codes that stand for sentiments, tried in this order before numbers are taken for a rating.
_CODES: tuple[Mapping[str, str], ...] = (
    {"0": "negative", "1": "positive"},
    {"false": "negative", "true": "positive"},
    {"1": "negative", "2": "positive"},
    {"-1": "negative", "0": "neutral", "1": "positive"},
    {"0": "negative", "1": "neutral", "2": "positive"},
    {"0": "negative", "2": "neutral", "4": "positive"},
)
_HIGHEST_RATING = 10.0

# A reading that covers all labels is best. One that covers this share of the rows is accepted: the others are
# unknown labels, such as a lone 7 among zeros and ones. In small files a few strays are a larger share; labels of
# fewer rows than there are parts could be no classes.
_COVERAGE = 0.98
_COVERAGE_BUT_STRAYS = 0.9
_FEWEST_ROWS = 3
_MOST_NAMES = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading:
    """How the labels of one source are understood.

    Attributes:
        names: Class name of each label (as ``clean`` returns it) that is understood.
        ordinal: Whether the classes are ratings.
        note: The reading in words, empty when labels are the class names already.
    """

    names: Mapping[str, str]
    ordinal: bool = False
    note: str = ""


def clean(label: str) -> str:
    """Return the label without decoration: lower case, no fastText prefix, numbers in their shortest form.

    >>> [clean(label) for label in (" Positive ", "__label__2", "4.0", "5 stars")]
    ['positive', '2', '4', '5']
    """
    text = label.strip().casefold().removeprefix("__label__").replace("_", " ")
    text = re.sub(r"\s*stars?$", "", text)
    return f"{float(text):g}" if re.fullmatch(r"[+-]?\d+(\.\d+)?", text) else text


def recognised(label: str) -> bool:
    """Tell whether this is a label beyond doubt: a fastText label, a rating or a sentiment."""
    text = clean(label)
    return label.startswith("__label__") or text in _WORDS or _is_rating(text) or text == "-1"


def read(counts: Mapping[str, int], *, class_names: Sequence[str] | None = None) -> Reading:
    """Find out what the labels of one source mean.

    Args:
        counts: Rows of each cleaned label.
        class_names: The classes of a trained model; labels must then mean these.

    Raises:
        errors.InputError: The labels make no sense together.

    >>> read({"0": 5, "1": 5}).names
    {'0': 'negative', '1': 'positive'}
    """
    if class_names is not None:
        return _read_for(counts, class_names)
    rows = sum(counts.values())
    for accepted, names in itertools.product((_is_whole, _is_nearly_whole), (_WORDS, *_CODES)):
        if accepted(counts, names):
            return _reading({label: names[label] for label in sorted(counts) if label in names})
    if sum(counts[label] for label in counts if _is_rating(label)) >= _COVERAGE * rows:
        return Reading(
            names={label: label for label in counts if _is_rating(label)},
            ordinal=True,
            note="labels are ratings",
        )
    if len(counts) <= _MOST_NAMES and not any(_is_number(label) for label in counts):
        return Reading(
            names={label: label for label in counts},
            note="class names are not known sentiments: ordered by alphabet",
        )
    raise errors.InputError(
        "Expected labels that mean two or three classes (negative, neutral, positive; 0 and 1; ...) "
        f"or a rating from 0 to {_HIGHEST_RATING:g}. Received: {summary(counts)}"
    )


def order(names: set[str]) -> tuple[str, ...]:
    """Return class names in their canonical order.

    >>> order({"positive", "negative"}), order({"10", "9"})
    (('negative', 'positive'), ('9', '10'))
    """
    if names <= set(SENTIMENTS):
        return tuple(name for name in SENTIMENTS if name in names)
    if all(_is_number(name) for name in names):
        return tuple(sorted(names, key=float))
    return tuple(sorted(names))


def summary(counts: Mapping[str, int]) -> str:
    """Describe labels and their counts, the most frequent first."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rest = f" and {len(ranked) - 8} more labels" if len(ranked) > 8 else ""
    return ", ".join(f"{label!r} ({count} rows)" for label, count in ranked[:8]) + rest


def _is_whole(counts: Mapping[str, int], names: Mapping[str, str]) -> bool:
    return all(label in names for label in counts)


def _is_nearly_whole(counts: Mapping[str, int], names: Mapping[str, str]) -> bool:
    """Tell whether the labels that have no name are strays."""
    strays = [counts[label] for label in counts if label not in names]
    covered = 1 - sum(strays) / sum(counts.values())
    return covered >= _COVERAGE or (covered >= _COVERAGE_BUT_STRAYS and max(strays) < _FEWEST_ROWS)


def _read_for(counts: Mapping[str, int], class_names: Sequence[str]) -> Reading:
    """Read labels as the given classes: by name, else by the first code that can express every label but strays."""
    by_name = {clean(name): name for name in class_names}
    known = {label: by_name.get(label) or by_name.get(_WORDS.get(label, "")) for label in counts}
    if any(known.values()):
        return _reading({label: name for label, name in known.items() if name})
    codes = [code for code in _CODES if set(code.values()) <= set(class_names) | {"neutral"}]
    for accepted, code in itertools.product((_is_whole, _is_nearly_whole), codes):
        if accepted(counts, code):
            return _reading({label: code[label] for label in sorted(counts) if code.get(label) in class_names})
    return Reading(names={})


def _reading(names: Mapping[str, str]) -> Reading:
    changed = [f"{label} = {name}" for label, name in names.items() if label != name]
    return Reading(names=names, note=f"labels read as: {', '.join(changed)}" if changed else "")


def _is_number(label: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?", label) is not None


def _is_rating(label: str) -> bool:
    return _is_number(label) and 0 <= float(label) <= _HIGHEST_RATING
