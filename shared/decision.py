"""From logits to a calibrated score, a label and a decision that may abstain. Fitted on validation data only.

``decision.json`` holds one :class:`Decision`; evaluation uses it through NumPy here, the exported model carries
the same arithmetic in its graph (``shared.bundle.export``), and export fails where the two disagree.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from shared import decision_rule, errors, stored
from shared.evaluation import calibration, conformal, thresholds

ABSTAIN = "abstain"
ARGMAX = "argmax"
# How far from every validation score the border of abstention lies where it can: twice what export tolerates.
_CLEARANCE = 2e-5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decision(decision_rule.Rule):
    """How a classifier's logits become a decision.

    Attributes:
        class_names: One name per logit.
        temperature: Divides the logits before the softmax (Guo et al. 2017); above 0.
        threshold: Score of the last class from which it is predicted, for two classes; None means argmax.
        rule: The rule that chose the threshold.
        alpha: Accepted rate of prediction sets that miss the true class, in (0, 1).
        quantile: Split-conformal quantile of ``1 - score of the true class``, in [0, 1].
        fitted_on: What it was fitted on: part, rows, units, sha256.
    """

    class_names: stored.SomeNames
    temperature: stored.Positive
    threshold: stored.Threshold | None
    rule: stored.Text
    alpha: stored.InnerShare
    quantile: stored.Share
    fitted_on: Mapping[str, Any]

    def scores(self, logits: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return calibrated probabilities (n, classes) for logits (n, classes).

        Raises:
            errors.InputError: A logit is NaN or infinite: the model is broken.
        """
        broken = ~np.isfinite(np.asarray(logits, np.float64)).all(axis=-1)
        if broken.any():
            raise errors.InputError(
                f"the model: expected finite scores. Received: NaN or infinity for {int(broken.sum()):,} of "
                f"{broken.size:,} rows; its training has failed, train it again"
            )
        return calibration.apply_temperature(np.asarray(logits, np.float64), self.temperature)

    def predicted(self, scores: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.int64]:
        """Return the class index predicted for each row of ``scores`` (n, classes), abstention aside."""
        if self.threshold is None:
            return np.asarray(np.argmax(scores, axis=1), np.int64)
        return np.asarray(scores[:, -1] >= self.threshold, np.int64)

    def abstains(self, scores: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.bool_]:
        """Return where the conformal prediction set does not hold exactly one class."""
        return conformal.abstains(conformal.prediction_sets(scores, self.quantile))

    def decisions(self, scores: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.object_]:
        """Return the class name predicted for each row, or ``abstain``."""
        names = np.array(self.class_names, object)[self.predicted(scores)]
        return np.where(self.abstains(scores), ABSTAIN, names).astype(object)


def fit(
    logits: npt.NDArray[np.floating[Any]],
    labels: npt.NDArray[np.int64],
    *,
    class_names: tuple[str, ...],
    alpha: float,
    fitted_on: Mapping[str, Any],
    rule: str = ARGMAX,
) -> Decision:
    """Fit temperature, conformal quantile and, for two classes, a threshold on validation rows.

    Args:
        logits: (n, classes) float, uncalibrated.
        labels: (n,) int in [0, classes).
        class_names: One name per logit.
        alpha: Accepted rate of prediction sets that miss the true class, in (0, 1).
        fitted_on: What the rows are: part, rows, sha256.
        rule: How the threshold of two classes is chosen, as in ``shared.evaluation.thresholds``; more classes
            always get the most probable one.
    """
    temperature = calibration.fit_temperature(logits, labels)
    scores = calibration.apply_temperature(logits, temperature)
    searched = len(class_names) == 2 and rule != ARGMAX
    chosen = thresholds.select(rule, labels, scores[:, 1]) if searched else None
    return Decision(
        class_names=class_names,
        temperature=temperature,
        threshold=chosen.value if chosen else None,
        rule=chosen.rule if chosen else "most probable class",
        alpha=alpha,
        quantile=clear_quantile(conformal.fit_quantile(scores, labels, alpha=alpha), scores),
        fitted_on=fitted_on,
    )


def clear_quantile(quantile: float, scores: npt.NDArray[np.floating[Any]]) -> float:
    """Move a conformal quantile up, by as little as is needed, to where no score comes near it.

    The fitted quantile is the score of a validation row. That row, asked again, would be predicted or abstained from
    by the last bit, which differs between float64 here and float32 in the graph. A larger quantile keeps the promise.

    Args:
        quantile: As ``conformal.fit_quantile`` returns it for ``scores``.
        scores: (n, classes) probabilities of the validation rows.

    >>> round(clear_quantile(0.4, np.array([[0.7, 0.3], [0.6, 0.4]])), 6)
    0.40002
    """
    borders = np.unique(np.append(1 - np.asarray(scores, np.float64), [quantile, 1.0]))
    borders = borders[borders >= quantile]
    gaps = np.minimum(np.diff(borders), 2 * _CLEARANCE)
    # Among a million scores no gap may be wide enough: then the widest nearby.
    nearby = gaps[borders[:-1] <= quantile + 50 * _CLEARANCE]
    if not nearby.size:
        return quantile
    chosen = int(np.argmax(nearby))
    return float(borders[chosen] + nearby[chosen] / 2)
