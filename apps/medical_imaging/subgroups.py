"""Subgroups of the evaluated rows, and whether an attribute is a shortcut to the label. No TensorFlow here."""

import itertools
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from shared.evaluation import classification, evaluators, intervals, summaries

Bools: TypeAlias = npt.NDArray[np.bool_]
Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]

AGE_EDGES_YEARS = (18, 40, 60, 75)
MOST_VALUES = 12
THIRDS = ("lowest third", "middle third", "highest third")
# Fewer than this in a cell and a comparison within a label would be noise.
SMALLEST_CELL = 15
RANKINGS = ("among_negatives", "among_positives", "agreeing", "conflicting")

Masks = dict[str, dict[str, Bools]]


def slices(attributes: pd.DataFrame, positive: Bools | None) -> dict[str, Bools]:
    """Return the subgroups as masks (n,) by name, such as ``sex=F`` or ``age=60 to 74 years``.

    A value that only ill patients have, such as the kind of pneumonia, is evaluated against all who are well:
    among the ill alone no specificity and no AUROC exist. Its name then ends in ``, with all negatives``.

    Args:
        attributes: Of the images, n rows.
        positive: (n,) of two classes, whether the image is positive; None for several classes.
    """
    found = {}
    for kind, masks in kinds(attributes).items():
        for value, mask in masks.items():
            alone = positive is not None and bool(positive[mask].all()) and not bool(positive.all())
            if alone and positive is not None:
                found[f"{kind}={value}, with all negatives"] = mask | ~positive
            else:
                found[f"{kind}={value}"] = mask
    return found


def kinds(attributes: pd.DataFrame) -> Masks:
    """Return for each usable attribute its values' masks (n,); a missing value is in none."""
    found = {str(name): _masks(str(name), attributes[name]) for name in attributes.columns}
    return {name: masks for name, masks in found.items() if masks}


def _masks(name: str, column: "pd.Series[Any]") -> dict[str, Bools]:
    if name == "age":
        return _bands(column.to_numpy(np.float64))
    known = column.notna().to_numpy()
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        return _thirds(column.to_numpy(np.float64)) if column[known].nunique() > MOST_VALUES else _values(column)
    return _values(column)


def _values(column: "pd.Series[Any]") -> dict[str, Bools]:
    """Return one mask per value, the most frequent values first."""
    known = column.notna().to_numpy(bool)
    text = column.astype(object).map(_spelled).to_numpy(object)
    names = pd.Series(text[known], dtype=object).value_counts().index[:MOST_VALUES]
    return {str(name): np.asarray(known & (text == name), np.bool_) for name in sorted(names)}


def _spelled(value: object) -> str:
    """Return yes and no for a flag, the value as text otherwise."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return str(value)


def _bands(age: Floats) -> dict[str, Bools]:
    low, *_, high = AGE_EDGES_YEARS
    names = [f"under {low} years"]
    names += [f"{a} to {b - 1} years" for a, b in itertools.pairwise(AGE_EDGES_YEARS)]
    names += [f"{high} years and over"]
    place = np.where(np.isnan(age), -1, np.searchsorted(AGE_EDGES_YEARS, age, side="right"))
    return {name: place == number for number, name in enumerate(names) if (place == number).any()}


def _thirds(values: Floats) -> dict[str, Bools]:
    edges = np.nanquantile(values, [1 / 3, 2 / 3])
    place = np.where(np.isnan(values), -1, np.searchsorted(edges, values, side="left"))
    return {name: place == number for number, name in enumerate(THIRDS) if (place == number).any()}


def shortcuts(evaluator: evaluators.Evaluator, attributes: pd.DataFrame) -> list[dict[str, Any]]:
    """Return one row per attribute value that images of both classes have, with and without it, or that goes with one.

    Within one label, an attribute should not matter: the chance that a random image with it scores higher
    than one without (an AUROC of the attribute) should be 0.5. Where the attribute goes with the label in
    the data, and scores follow it within both labels, the model has likely learned the attribute (DeGrave,
    Janizek & Lee 2021, Nat. Mach. Intell. 3). ``agreeing`` and ``conflicting`` are the AUROC on images whose
    attribute agrees with its association and on those where it does not: a shortcut fails on the second.

    Returns:
        Rows with name, prevalence_with, prevalence_without (intervals), among_negatives, among_positives,
        agreeing, conflicting (intervals, or None where too few), suspected (bool) and untold (bool): whether the
        attribute goes with the label so closely that too few images contradict it to see what the scores follow.
    """
    positive = evaluator.labels == 1
    found = []
    for kind, masks in kinds(attributes).items():
        known = np.logical_or.reduce(list(masks.values()))
        # Of two values the second is the complement of the first.
        chosen = list(masks.items())[-1:] if len(masks) == 2 else list(masks.items())
        for value, mask in chosen:
            cells = [known & (mask == side) & (positive == label) for side in (True, False) for label in (True, False)]
            name = f"{kind}={value}"
            if min(int(cell.sum()) for cell in cells) >= SMALLEST_CELL:
                found.append(_shortcut(evaluator, name, mask, known))
            elif min(int((known & (mask == side)).sum()) for side in (True, False)) >= 2 * SMALLEST_CELL:
                found += _untold(evaluator, name, mask, known)
    return found


def _shortcut(evaluator: evaluators.Evaluator, name: str, mask: Bools, known: Bools) -> dict[str, Any]:
    positive = evaluator.labels == 1
    share = _shares(evaluator, mask, known)
    higher = share[0] is not None and share[1] is not None and share[0].value >= share[1].value
    agrees = mask == (positive if higher else ~positive)
    among = [_ranking(evaluator, mask.astype(np.int64), known & (positive == label)) for label in (False, True)]
    return {
        "name": name,
        "prevalence_with": share[0],
        "prevalence_without": share[1],
        "among_negatives": among[0],
        "among_positives": among[1],
        "agreeing": _ranking(evaluator, evaluator.labels, known & _opposed(agrees, positive)),
        "conflicting": _ranking(evaluator, evaluator.labels, known & _opposed(~agrees, positive)),
        "suspected": _suspected(share, among),
        "untold": False,
    }


def _untold(evaluator: evaluators.Evaluator, name: str, mask: Bools, known: Bools) -> list[dict[str, Any]]:
    """Return a row without rankings where the attribute clearly goes with the label, none elsewhere."""
    share = _shares(evaluator, mask, known)
    if share[0] is None or share[1] is None or not _apart(share[0], share[1]):
        return []
    row = {"name": name, "prevalence_with": share[0], "prevalence_without": share[1]}
    return [row | dict.fromkeys(RANKINGS) | {"suspected": False, "untold": True}]


def _shares(evaluator: evaluators.Evaluator, mask: Bools, known: Bools) -> list[intervals.Interval | None]:
    """Return the share of positives among rows with and without the attribute."""
    positive = evaluator.labels == 1
    return [
        intervals.proportion_among(positive, known & (mask == side), units=evaluator.units) for side in (True, False)
    ]


def _apart(one: intervals.Interval, other: intervals.Interval) -> bool:
    return one.low > other.high or one.high < other.low


def _opposed(chosen: Bools, positive: Bools) -> Bools:
    """Return the rows to rank, or none where one label is missing among them."""
    both = positive[chosen].any() and not positive[chosen].all()
    return chosen if both else np.zeros_like(chosen)


def _ranking(evaluator: evaluators.Evaluator, truth: Ints, inside: Bools) -> intervals.Interval | None:
    """Return the AUROC of the model's score for ``truth`` on the rows inside, None where too few."""
    return auroc(evaluator, truth, inside=inside) if inside.sum() >= SMALLEST_CELL else None


def auroc(
    evaluator: evaluators.Evaluator, truth: Ints, *, column: int = 1, inside: Bools | None = None
) -> intervals.Interval | None:
    """Return the AUROC of one class's score for ``truth`` (n,), of all rows or those inside; None where undefined."""
    rows = np.ones(len(truth), np.bool_) if inside is None else inside
    found = summaries.summarize(
        truth[rows],
        evaluator.scores[rows, column],
        units=evaluator.units[rows],
        metrics={"auroc": classification.auroc},
        resamples=evaluator.resamples,
        seed=evaluator.seed,
    )
    return found.get("auroc")


def _suspected(share: list[intervals.Interval | None], among: list[intervals.Interval | None]) -> bool:
    """Whether attribute and label go together, and scores follow the attribute the same way without the finding.

    Among the positives alone a higher score may be a graver illness; among the negatives there is none.
    """
    negatives = among[0]
    if share[0] is None or share[1] is None or negatives is None:
        return False
    up, down = share[0].low > share[1].high, share[0].high < share[1].low
    return (up and negatives.low > 0.5) or (down and negatives.high < 0.5)
