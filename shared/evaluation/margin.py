"""The cut that stands equally far, in each class's own spread, from the middle of both classes.

Where validation scores are nearly separable, every cut within the gap makes the same few errors there, and a
rule that counts errors is decided by a handful of odd images: it may stand right beside one class, and the
next hospital's images, shifted a little, fall on the wrong side. The middle and the spread of a class are
known from all of its rows, so a cut between them moves little from sample to sample.
"""

import numpy as np
from scipy import special

from shared.evaluation import arrays

# The logit of a float64 probability stays finite within these; calibrated scores rarely come near them.
EPSILON = 1e-15
# The median absolute deviation of a normal distribution times this is its standard deviation.
NORMAL_SPREAD = 1.4826
# A class whose rows score all alike would pull the cut onto itself; no spread is less than this share of the gap.
SMALLEST_SPREAD = 0.01


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
