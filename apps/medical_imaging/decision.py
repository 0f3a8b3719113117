"""The decision rule: from logits to scores, labels and a decision, fitted on validation. No TensorFlow here.

An image has one label out of several classes (``shared.decision.Decision``), or several findings that may be
present or not (``MultiLabelDecision``). Both abstain where the prediction set does not hold exactly one label, or one
state of each finding. ``graph`` has the same arithmetic for the exported model.
"""

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import special

from shared import decision as decisions
from shared import decision_rule, stored
from shared.evaluation import calibration, conformal, thresholds

NO_FINDING = "No Finding"
INVALID = "invalid"
SEPARATOR = "|"
# Temperature, threshold and quantile of a finding that validation does not show: called present from one half on.
UNFITTED = 1.0, 0.5, 0.5
log = logging.getLogger("fieldnets")
Labels: TypeAlias = npt.NDArray[np.float32]
Scores: TypeAlias = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, kw_only=True)
class MultiLabelDecision(decision_rule.Rule):
    """How the logits of several findings become decisions.

    Attributes:
        class_names: One name per finding.
        temperatures: Each divides its finding's logit before the sigmoid; above 0.
        thresholds: Score from which each finding is called present.
        rule: The rule that chose the thresholds.
        alpha: Accepted rate of prediction sets that miss the truth of a finding, in (0, 1).
        quantiles: Split-conformal quantile of ``1 - score of the true state`` for each finding, in [0, 1].
        fitted_on: What they were fitted on.
    """

    class_names: stored.SomeNames
    temperatures: stored.Several[stored.Positive]
    thresholds: stored.Several[stored.Threshold]
    rule: stored.Text
    alpha: stored.InnerShare
    quantiles: stored.Several[stored.Share]
    fitted_on: Mapping[str, Any]

    def __post_init__(self) -> None:
        """Refuse numbers that are not one per finding."""
        counts = {len(self.temperatures), len(self.thresholds), len(self.quantiles)}
        if counts != {len(self.class_names)}:
            raise ValueError(
                f"decision: expected {len(self.class_names)} temperatures, thresholds and quantiles, one per finding. "
                f"Received: {sorted(counts)}"
            )

    def present(self, scores: Scores) -> npt.NDArray[np.bool_]:
        """Return (n, findings) which findings are called present."""
        return np.asarray(scores >= np.array(self.thresholds), np.bool_)

    def scores(self, logits: npt.ArrayLike) -> Scores:
        """Return calibrated probabilities (n, findings) for logits (n, findings)."""
        return np.asarray(special.expit(np.asarray(logits, np.float64) / self.temperatures), np.float64)

    def labels(self, scores: Scores) -> npt.NDArray[np.object_]:
        """Return (n,) the names of the findings called present, joined by ``|``, or ``No Finding``."""
        names, present = np.array(self.class_names, object), self.present(scores)
        return np.array([SEPARATOR.join(names[row]) or NO_FINDING for row in present], object)

    def explained(self, scores: Scores) -> npt.NDArray[np.int64]:
        """Return (n,) the finding to explain: the highest score among those called present, or of all where none is."""
        # Scores are at most 1: one called present comes before any other.
        return np.asarray(np.argmax(scores + 2.0 * self.present(scores), axis=1), np.int64)

    def decisions(self, scores: Scores) -> npt.NDArray[np.object_]:
        """Return the labels, or ``abstain`` where one finding's prediction set does not hold exactly one state."""
        limits = 1.0 - np.asarray(self.quantiles)
        states = (scores >= limits).astype(int) + (1.0 - scores >= limits)
        return np.where((states == 1).all(axis=1), self.labels(scores), decisions.ABSTAIN).astype(object)


Rule: TypeAlias = decisions.Decision | MultiLabelDecision


def fit(
    logits: npt.NDArray[np.floating[Any]],
    labels: Labels,
    *,
    task: str,
    class_names: tuple[str, ...],
    rule: str,
    alpha: float,
    fitted_on: Mapping[str, Any],
) -> Rule:
    """Fit calibration, thresholds and abstention on validation rows.

    Args:
        logits: (n, k) float.
        labels: (n, k) float32 in {0, 1}; with several findings also NaN, which counts nowhere.
        task: ``single_label`` or ``multi_label``.
        class_names: k names.
        rule: How thresholds are chosen.
        alpha: Accepted rate of prediction sets that miss the truth.
        fitted_on: What the rows are.
    """
    if task == "single_label":
        known = {"class_names": class_names, "alpha": alpha, "fitted_on": fitted_on}
        return _fit_classes(logits, labels.argmax(axis=1), rule, known)
    fitted = [_fit_finding(logits[:, i], labels[:, i], rule, alpha, name) for i, name in enumerate(class_names)]
    temperatures, cuts, quantiles = (tuple(column) for column in zip(*fitted, strict=True))
    return MultiLabelDecision(
        class_names=class_names,
        temperatures=temperatures,
        thresholds=cuts,
        rule=rule,
        alpha=alpha,
        quantiles=quantiles,
        fitted_on=fitted_on,
    )


def _fit_classes(
    logits: npt.NDArray[np.floating[Any]], labels: npt.NDArray[np.int64], rule: str, known: Mapping[str, Any]
) -> decisions.Decision:
    """Fit the rule of one label per image; where validation holds one class only, nothing can be fitted."""
    if len(np.unique(labels)) > 1:
        return decisions.fit(logits, labels, rule=rule, **known)
    log.warning("the validation part holds images of one class only: no calibration, no threshold")
    temperature, _, quantile = UNFITTED
    name = "most probable class"
    return decisions.Decision(temperature=temperature, threshold=None, rule=name, quantile=quantile, **known)


def _fit_finding(
    logit: npt.NDArray[np.floating[Any]], label: Labels, rule: str, alpha: float, name: str
) -> tuple[float, float, float]:
    """Return temperature, threshold and conformal quantile of one finding.

    Where validation holds no image with it, or none without, nothing can be fitted: it is called present from 0.5 on.
    """
    known = ~np.isnan(label)
    truth, two = label[known].astype(np.int64), np.stack([-logit[known] / 2, logit[known] / 2], axis=1)
    if len(np.unique(truth)) < 2:
        log.warning("%s: the validation part holds no image with it, or none without: it is not calibrated", name)
        return UNFITTED
    temperature = calibration.fit_temperature(two, truth)
    scores = calibration.apply_temperature(two, temperature)
    cut = thresholds.select(rule, truth, scores[:, 1]).value
    quantile = decisions.clear_quantile(float(conformal.fit_quantile(scores, truth, alpha=alpha)), scores)
    return temperature, float(cut), quantile


def from_json(content: Mapping[str, Any], *, where: str = "decision") -> Rule:
    """Read a ``decision.json`` of either kind."""
    kind: type[Rule] = MultiLabelDecision if "temperatures" in content else decisions.Decision
    return kind.from_json(content, where=where)


def predictions(
    rule: Rule, logits: npt.NDArray[np.floating[Any]], valid: npt.NDArray[np.bool_]
) -> dict[str, npt.NDArray[Any]]:
    """Return what the serving signature returns for images of which some may not be any.

    Args:
        rule: The decision rule.
        logits: (n, k).
        valid: (n,) whether a row was an image.

    Returns:
        ``scores`` (n, k), 0 where there was no image (JSON has no NaN); ``labels`` (n,); ``decision`` (n,), a label,
        ``abstain`` or ``invalid``; ``valid`` (n,).
    """
    scores = rule.scores(logits)
    if isinstance(rule, MultiLabelDecision):
        labels = rule.labels(scores)
    else:
        labels = np.array(rule.class_names, object)[rule.predicted(scores)]
    return {
        "scores": np.where(valid[:, np.newaxis], scores, 0.0),
        "labels": np.where(valid, labels, INVALID),
        "decision": np.where(valid, rule.decisions(scores), INVALID),
        "valid": valid,
    }
