r"""Labels as they stand in files, and the class names they mean.

Class names and their order come from the labels themselves and never from the order of files or rows:
negative before neutral before positive, ratings from low to high, any other names by alphabet.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence

from apps.sentiment import dataset, readers
from shared import errors

SENTIMENTS = ("very negative", "negative", "neutral", "positive", "very positive")
HIDDEN = "-1"

WORDS: Mapping[str, str] = {
    "neg": "negative",
    "bad": "negative",
    "neu": "neutral",
    "neut": "neutral",
    "pos": "positive",
    "good": "positive",
    **{name: name for name in SENTIMENTS},
}

# Codes that stand for sentiments.
CODES: tuple[Mapping[str, str], ...] = (
    {"0": "negative", "1": "positive", "false": "negative", "true": "positive"},
    {"1": "negative", "2": "positive"},
    {"-1": "negative", "0": "neutral", "1": "positive"},
    {"0": "negative", "1": "neutral", "2": "positive"},
    {"0": "negative", "2": "neutral", "4": "positive"},
)
_HIGHEST_RATING = 10.0
# From 0 to 10 in halves. Of more different numbers each is no class: they are scores.
_MOST_RATINGS = 21

# A code that covers all labels is best. One that covers this share of the rows is accepted: the others are
# unknown labels, such as a lone 7 among zeros and ones. In small files a few strays are a larger share; labels of
# fewer rows than there are parts could be no classes.
_COVERAGE = 0.98
_COVERAGE_BUT_STRAYS = 0.9
_FEWEST_ROWS = 3
_MOST_NAMES = 3


class AmbiguousError(errors.InputError):
    """Labels fit two codes, of which nothing decides."""


def clean(label: str) -> str:
    """Return the label without decoration: lower case, no fastText prefix, numbers in their shortest form.

    >>> [clean(label) for label in (" Positive ", "__label__2", "4.0", "5 stars", "3,5")]
    ['positive', '2', '4', '5', '3.5']
    """
    text = label.strip().casefold().removeprefix("__label__").replace("_", " ")
    text = re.sub(r"\s*stars?$", "", text)
    text = re.sub(r"^([+-]?\d+),(\d{1,2})$", r"\1.\2", text)
    return f"{float(text):g}" if re.fullmatch(r"[+-]?\d+(\.\d+)?", text) else text


def recognised(label: str) -> bool:
    """Tell whether this is a label beyond doubt: a fastText label, a rating or a sentiment."""
    text = clean(label)
    return label.startswith("__label__") or text in WORDS or _is_rating(text) or text == HIDDEN


def kind_of(column: str) -> str:
    """Return what a column's name says of its labels: "stars" (ratings beyond doubt), "rating" (likely) or "class".

    >>> kind_of("Star Rating"), kind_of("overall"), kind_of("label")
    ('stars', 'rating', 'class')
    """
    name = readers.plain_name(column)
    return ("stars" if "star" in name else "rating") if name in readers.RATING_COLUMNS else "class"


def read(counts: Mapping[str, int], *, kind: str = "class") -> dataset.Code:
    """Find out what labels mean.

    Args:
        counts: Rows of each cleaned label.
        kind: What the name of their column says, see ``kind_of``.

    Raises:
        AmbiguousError: They fit two codes.
        errors.InputError: They make no sense together.

    >>> read({"0": 5, "1": 5}).note
    'labels read as: 0 = negative, 1 = positive'
    """
    for accepted in (is_whole, is_nearly_whole):
        if accepted(counts, WORDS):
            return code({label: WORDS[label] for label in sorted(counts) if label in WORDS}, kind=kind)
        codes = [each for each in _possible(counts, kind) if accepted(counts, each)]
        if codes:
            return code(_only(counts, codes), kind=kind, seen=sorted(counts))
    rated = [label for label in counts if _is_rating(label)]
    if sum(counts[label] for label in rated) >= _COVERAGE * sum(counts.values()) and len(rated) <= _MOST_RATINGS:
        return ratings(counts, kind)
    if len(counts) <= _MOST_NAMES and not any(is_number(label) for label in counts):
        note = "class names are not known sentiments: ordered by alphabet"
        return dataset.Code(names={label: label for label in counts}, kinds=(kind,), note=note)
    raise errors.InputError(
        "Expected labels that mean two or three classes (negative, neutral, positive; 0 and 1; ...) "
        f"or a rating from 0 to {_HIGHEST_RATING:g}. Received: {summary(counts)}"
    )


def first_fitting(counts: Mapping[str, int], class_names: Sequence[str]) -> dataset.Code:
    """Read labels as classes by name, else by the first code that holds them: how runs without a recorded code did.

    >>> dict(first_fitting({"1": 3}, ("negative", "positive")).names)
    {'1': 'positive'}
    """
    by_name = {clean(name): name for name in class_names}
    known = {label: by_name.get(label) or by_name.get(WORDS.get(label, "")) for label in counts}
    if any(known.values()):
        return code({label: name for label, name in known.items() if name})
    for accepted in (is_whole, is_nearly_whole):
        for each in CODES:
            if set(each.values()) <= {*class_names, "neutral"} and accepted(counts, each):
                return code({label: each[label] for label in sorted(counts) if each.get(label) in class_names})
    return dataset.Code(names={})


def code(names: Mapping[str, str], *, kind: str = "class", seen: Iterable[str] | None = None) -> dataset.Code:
    """Return a code that notes how the labels that were seen are read, unless they are the class names already."""
    shown = names if seen is None else [label for label in seen if label in names]
    changed = [f"{label} = {names[label]}" for label in shown if label != names[label]]
    return dataset.Code(
        names=dict(names), kinds=(kind,), note=f"labels read as: {', '.join(changed)}" if changed else ""
    )


def ratings(counts: Mapping[str, int], kind: str) -> dataset.Code:
    """Return the code of labels that are ratings."""
    names = {label: label for label in counts if _is_rating(label)}
    return dataset.Code(names=names, ordinal=True, kinds=(kind,), note="labels are ratings")


def stated(text: str) -> dataset.Code:
    """Return the code that ``--label-code`` states.

    Raises:
        errors.InputError: It is no such text.

    >>> dict(stated("1=negative, 2=positive").names)
    {'1': 'negative', '2': 'positive'}
    """
    pairs = [pair.split("=") for pair in text.split(",")]
    names = {clean(pair[0]): pair[1].strip() for pair in pairs if len(pair) == 2}
    if len(names) < len(pairs) or not all(names) or not all(names.values()):
        raise errors.InputError(
            f"--label-code: expected each label once with its class, such as 1=negative,2=positive. Received: {text!r}"
        )
    ordinal = all(is_number(name) for name in names.values())
    return dataclasses.replace(code(names), ordinal=ordinal)


def order(names: set[str]) -> tuple[str, ...]:
    """Return class names in their canonical order.

    >>> order({"positive", "negative"}), order({"10", "9"})
    (('negative', 'positive'), ('9', '10'))
    """
    if names <= set(SENTIMENTS):
        return tuple(name for name in SENTIMENTS if name in names)
    if all(is_number(name) for name in names):
        return tuple(sorted(names, key=float))
    return tuple(sorted(names))


def summary(counts: Mapping[str, int]) -> str:
    """Describe labels and their counts, the most frequent first."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rest = f" and {len(ranked) - 8} more labels" if len(ranked) > 8 else ""
    return ", ".join(f"{label!r} ({count} rows)" for label, count in ranked[:8]) + rest


def is_number(label: str) -> bool:
    """Tell a number from a word, in a cleaned label."""
    return re.fullmatch(r"-?\d+(\.\d+)?", label) is not None


def is_whole(counts: Mapping[str, int], names: Mapping[str, str]) -> bool:
    """Tell whether every label has a name."""
    return all(label in names for label in counts)


def is_nearly_whole(counts: Mapping[str, int], names: Mapping[str, str]) -> bool:
    """Tell whether the labels that have no name are strays."""
    strays = [counts[label] for label in counts if label not in names]
    covered = 1 - sum(strays) / sum(counts.values())
    return covered >= _COVERAGE or (covered >= _COVERAGE_BUT_STRAYS and max(strays) < _FEWEST_ROWS)


def _possible(counts: Mapping[str, int], kind: str) -> Sequence[Mapping[str, str]]:
    """Return the codes that a column of this name can hold: ratings from 1 on are none, whichever occur."""
    if kind == "stars" or (kind == "rating" and not {"0", "-1", "false"} & set(counts)):
        return ()
    return CODES


def _only(counts: Mapping[str, int], codes: Sequence[Mapping[str, str]]) -> Mapping[str, str]:
    """Return the one code that labels are of: all classes of it occur, or no other code and no rating can be meant."""
    found = [{each[label] for label in counts if label in each} for each in codes]
    for each, names in zip(codes, found, strict=True):
        if names == set(each.values()):
            return each
    polar = {"negative", "positive"} <= found[0]
    if len(codes) == 1 and (polar or not all(_is_rating(label) for label in counts)):
        return codes[0]
    meant = ["; ".join(f"{label} = {name}" for label, name in each.items() if label in counts) for each in codes]
    raise AmbiguousError(
        f"Expected labels of which it is clear what they mean. Received: {summary(counts)}, which could be "
        f"{', or '.join(meant if len(codes) > 1 else [*meant, 'ratings'])}. Say which: "
        f"--label-code={','.join(f'{label}={codes[0][label]}' for label in sorted(counts) if label in codes[0])}, "
        f"or for ratings --label-code={','.join(f'{label}={label}' for label in sorted(counts))}"
    )


def _is_rating(label: str) -> bool:
    return is_number(label) and 0 <= float(label) <= _HIGHEST_RATING
