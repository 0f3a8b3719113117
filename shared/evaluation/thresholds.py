"""Decision thresholds of binary scores by stated rules, from validation data only.

Everywhere a row is positive when ``score >= threshold``. Between two neighbouring scores every threshold
decides alike, and over a plateau of equally good ones the data prefer none: the middle is taken, which is
farthest from deciding differently on the next sample.

Where validation scores are nearly separable, every cut within the gap makes the same few errors there, and a
rule that counts errors is decided by a handful of odd images. The middle and the spread of a class are known
from all of its rows, so the cut of "equal_margin" between them moves little from sample to sample.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from shared.evaluation import arrays

BOUNDS: Final = ("sensitivity>=x", "specificity>=x", "fpr<=x", "precision>=x")
RULE: Final = re.compile(r"(sensitivity|specificity|precision|fpr)(>=|<=)([0-9.]+)")
# Rates are ratios of counts: 0.95 of 20 must count as reached whatever the last bit.
TOLERANCE: Final = 1e-12
# The logit of a float64 probability stays finite within these; calibrated scores rarely come near them.
EPSILON: Final = 1e-15
# The median absolute deviation of a normal distribution times this is its standard deviation.
NORMAL_SPREAD: Final = 1.4826
# A class whose rows score all alike would pull the cut onto itself; no spread is less than this share of the gap.
SMALLEST_SPREAD: Final = 0.01


@dataclasses.dataclass(frozen=True)
class Threshold:
    """A threshold and how it was found.

    Attributes:
        value: a row is positive when its score is at least this.
        rule: the rule's name.
        objective: what the rule maximised (or, for "cost", minimised per row) on the validation data; for
            "equal_margin" the distance to both classes, in their spreads.
        low: scores above this ...
        high: ... and up to this are thresholds as good as ``value``.
        n: validation rows.
        n_positive: positives among them.
    """

    value: float
    rule: str
    objective: float
    low: float
    high: float
    n: int
    n_positive: int

    def to_json(self) -> dict[str, float | int | str]:
        """Return the mapping for decision.json."""
        return dataclasses.asdict(self)


class Cuts(NamedTuple):
    """All m + 1 ways to cut m distinct scores, from "all positive" to "none positive".

    Attributes:
        below: (m + 1,) the score that a cut's thresholds must exceed.
        upto: (m + 1,) the largest of a cut's thresholds.
        true_positive: (m + 1,) positives at or above.
        false_positive: (m + 1,) negatives at or above.
        positive: number of positives.
        negative: number of negatives.
    """

    below: arrays.Floats
    upto: arrays.Floats
    true_positive: arrays.Floats
    false_positive: arrays.Floats
    positive: int
    negative: int

    @property
    def sensitivity(self) -> arrays.Floats:
        """TP / P of each cut."""
        return self.true_positive / self.positive

    @property
    def specificity(self) -> arrays.Floats:
        """TN / N of each cut."""
        return 1 - self.fpr

    @property
    def fpr(self) -> arrays.Floats:
        """FP / N of each cut."""
        return self.false_positive / self.negative

    @property
    def precision(self) -> arrays.Floats:
        """TP / (TP + FP) of each cut; 0 where nothing is positive, so that such a cut never meets a floor."""
        chosen = self.true_positive + self.false_positive
        return np.divide(self.true_positive, chosen, out=np.zeros_like(chosen), where=chosen > 0)


def _accuracy(cuts: Cuts) -> arrays.Floats:
    correct = cuts.true_positive + cuts.negative - cuts.false_positive
    return np.asarray(correct / (cuts.positive + cuts.negative))


def _f1(cuts: Cuts) -> arrays.Floats:
    return 2 * cuts.true_positive / (cuts.true_positive + cuts.false_positive + cuts.positive)


def _balanced_accuracy(cuts: Cuts) -> arrays.Floats:
    return (cuts.sensitivity + cuts.specificity) / 2


OBJECTIVES: Final[Mapping[str, Callable[[Cuts], arrays.Floats]]] = {
    "max_accuracy": _accuracy,
    "max_f1": _f1,
    "max_balanced_accuracy": _balanced_accuracy,
    "youden": lambda cuts: cuts.sensitivity + cuts.specificity - 1,
}


def select(
    rule: str,
    y_true: npt.ArrayLike,
    y_score: npt.ArrayLike,
    *,
    cost_false_positive: float = 1.0,
    cost_false_negative: float = 1.0,
) -> Threshold:
    """Return the threshold that a rule chooses on validation data.

    Rules: "argmax" (0.5, whatever the data), "equal_margin" (equally far from both classes in their spreads,
    for nearly separable scores; see `equal_margin`; "max_balanced_accuracy" stands in, under its own name, where
    the positives' median is not the higher one), "max_accuracy", "max_f1", "max_balanced_accuracy" and
    "youden" (the same cut; Youden 1950), "cost" (least ``FP cost_fp + FN cost_fn``; Elkan 2001), and floors and
    ceilings: "sensitivity>=x" (then the best specificity), "specificity>=x", "fpr<=x" and "precision>=x"
    (then the best sensitivity). Of equal cuts those of the widest range of scores win.

    Args:
        rule: the rule's name.
        y_true: (n,) in {0, 1}, both present.
        y_score: (n,) or (n, 2) scores.
        cost_false_positive: of one, >= 0; read by "cost" only.
        cost_false_negative: of one, >= 0; read by "cost" only.

    Raises:
        ValueError: unknown rule, one class only, or a floor that no threshold reaches.

    Example:
        >>> select("max_accuracy", [0, 0, 1, 1], [0.1, 0.3, 0.7, 0.8]).value
        0.5
        >>> select("sensitivity>=0.9", [0, 1, 1, 0], [0.1, 0.3, 0.7, 0.8]).value
        0.2
    """
    truth = arrays.labels(y_true, classes=2)
    cuts = cuts_of(truth, arrays.positive(y_score, rows=len(truth)))
    if rule == "argmax":
        size = len(truth)
        correct = (arrays.positive(y_score, rows=size) >= 0.5) == truth
        return Threshold(0.5, rule, float(correct.mean()), 0.5, 0.5, size, cuts.positive)
    if rule == "equal_margin":
        return _equal_margin(truth, arrays.positive(y_score, rows=len(truth)), cuts)
    if rule == "cost":
        per_row = _cost(cuts, cost_false_positive, cost_false_negative) / len(truth)
        best = _best(cuts, rule, -per_row)
        return dataclasses.replace(best, objective=-best.objective)
    if rule in OBJECTIVES:
        return _best(cuts, rule, OBJECTIVES[rule](cuts))
    return _constrained(cuts, rule)


def cuts_of(y_true: arrays.Ints, score: arrays.Floats) -> Cuts:
    """Return every cut of the scores.

    Raises:
        ValueError: one class only.

    Example:
        >>> cuts_of(np.array([0, 1]), np.array([0.2, 0.6])).true_positive
        array([1., 1., 0.])
    """
    positive = int(y_true.sum())
    if positive in (0, len(y_true)):
        raise ValueError(f"expected rows of both classes. Received: only class {y_true[0]}")
    distinct, code = np.unique(score, return_inverse=True)
    at = [np.bincount(code, weights=y_true == c, minlength=len(distinct)) for c in (1, 0)]
    true_positive, false_positive = (np.append(counts[::-1].cumsum()[::-1], 0.0) for counts in at)
    # The outer cuts reach to the ends of [0, 1], or no farther than the scores do when those lie outside.
    below = np.append(min(0.0, np.nextafter(distinct[0], -np.inf)), distinct)
    upto = np.append(distinct, max(1.0, np.nextafter(distinct[-1], np.inf)))
    return Cuts(below, upto, true_positive, false_positive, positive, len(y_true) - positive)


def _cost(cuts: Cuts, false_positive: float, false_negative: float) -> arrays.Floats:
    """Return the total cost of each cut."""
    if not (false_positive >= 0 and false_negative >= 0 and false_positive + false_negative > 0):
        raise ValueError(f"cost: expected costs >= 0, not both 0. Received: {false_positive}, {false_negative}")
    return false_positive * cuts.false_positive + false_negative * (cuts.positive - cuts.true_positive)


def _constrained(cuts: Cuts, rule: str) -> Threshold:
    """Return the best cut that meets a floor or ceiling."""
    parts = RULE.fullmatch(rule.replace(" ", ""))
    if parts is None or (parts[1] == "fpr") != (parts[2] == "<="):
        known = ["argmax", *OBJECTIVES, "cost", "equal_margin", *BOUNDS]
        raise ValueError(f"rule: expected one of {', '.join(known)}. Received: {rule!r}")
    name, bound = parts[1], float(parts[3])
    rates = {"sensitivity": cuts.sensitivity, "specificity": cuts.specificity, "precision": cuts.precision}
    met = cuts.fpr <= bound + TOLERANCE if name == "fpr" else rates[name] >= bound - TOLERANCE
    if not met.any():
        raise ValueError(f"rule: expected a {name} that some threshold reaches. Received: {rule!r}")
    wanted, spare = cuts.sensitivity, cuts.specificity
    if name == "sensitivity":
        wanted, spare = spare, wanted
    reached = float(wanted[met].max())
    ties = met & (wanted >= reached - TOLERANCE)
    return dataclasses.replace(_best(cuts, rule, np.where(ties, spare, -np.inf)), objective=reached)


def _equal_margin(truth: arrays.Ints, score: arrays.Floats, cuts: Cuts) -> Threshold:
    """Return the cut of `equal_margin` with the neighbouring scores as its range."""
    value, distance = equal_margin(truth, score)
    if distance <= 0:
        return _best(cuts, "max_balanced_accuracy", _balanced_accuracy(cuts))
    place = int(np.searchsorted(cuts.upto, value))
    low, high = float(cuts.below[place]), float(cuts.upto[place])
    return Threshold(value, "equal_margin", distance, low, high, len(truth), cuts.positive)


def _best(cuts: Cuts, rule: str, objective: arrays.Floats) -> Threshold:
    """Return the middle of the widest plateau of the largest objective."""
    best = objective.max()
    flat = np.concatenate([[False], objective >= best - TOLERANCE, [False]])
    starts, ends = np.flatnonzero(~flat[:-1] & flat[1:]), np.flatnonzero(flat[:-1] & ~flat[1:]) - 1
    widest = int((cuts.upto[ends] - cuts.below[starts]).argmax())
    low, high = float(cuts.below[starts[widest]]), float(cuts.upto[ends[widest]])
    middle = low + (high - low) / 2
    n = cuts.positive + cuts.negative
    # Neighbouring floats have no middle: only the upper one decides as the cut does.
    return Threshold(middle if middle > low else high, rule, float(best), low, high, n, cuts.positive)


def equal_margin(y_true: arrays.Ints, score: arrays.Floats) -> tuple[float, float]:
    """Return the probability between the classes, and its distance from both in spreads.

    With m the median and s the scaled median absolute deviation of a class's logits, the cut
    t = (m0 s1 + m1 s0) / (s0 + s1) has (t - m0) / s0 = (m1 - t) / s1: were the logits normal, it would make
    sensitivity and specificity equal, which is the least of the larger error (minimax; Anderson & Bahadur
    1962, Ann. Math. Stat. 33). Medians, because a few mislabelled rows move a mean (Huber 1981).

    Args:
        y_true: (n,) in {0, 1}, both present.
        score: (n,) probabilities of class 1.

    Returns:
        The cut in (0, 1) and (m1 - m0) / (s0 + s1), which is not above 0 where class 1 does not score higher.

    Raises:
        ValueError: scores outside [0, 1].

    Example:
        >>> from scipy import special
        >>> score = special.expit(np.array([-5.0, -4.0, -3.0, 1.0, 3.0, 5.0]))
        >>> cut, distance = equal_margin(np.array([0, 0, 0, 1, 1, 1]), score)
        >>> round(float(special.logit(cut)), 3)  # -4 with spread 1, 3 with spread 2
        -1.667
    """
    arrays.probabilities(score, rows=len(y_true))
    logit = special.logit(np.clip(score, EPSILON, 1 - EPSILON))
    middle = [float(np.median(logit[y_true == c])) for c in (0, 1)]
    gap = middle[1] - middle[0]
    spread = [
        max(NORMAL_SPREAD * float(np.median(np.abs(logit[y_true == c] - middle[c]))), SMALLEST_SPREAD * abs(gap))
        for c in (0, 1)
    ]
    both = sum(spread)
    if both == 0:
        return float(special.expit(middle[0])), 0.0
    cut = (middle[0] * spread[1] + middle[1] * spread[0]) / both
    return float(special.expit(cut)), gap / both
