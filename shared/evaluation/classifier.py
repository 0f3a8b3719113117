"""The common evaluation of a classifier: metrics beside baselines, slices, classes, calibration and abstention."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from shared.evaluation import (
    arrays,
    bootstrap,
    calibration,
    conformal,
    evaluators,
    intervals,
    miscalibration,
    summaries,
)

CALIBRATION_METRICS = {name: summaries.METRICS[name] for name in ("ece", "brier", "log_loss")}
# One number each, and many of them.
QUICK_RESAMPLES = 500


class DecisionRule(Protocol):
    """What was frozen on validation data, as ``shared.decision.Decision`` holds it."""

    @property
    def temperature(self) -> float:
        """Divides the logits."""

    @property
    def alpha(self) -> float:
        """Accepted rate of prediction sets that miss the true class."""

    @property
    def quantile(self) -> float:
        """Split-conformal quantile."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Results:
    """The numbers of an evaluation, with their intervals.

    Attributes:
        metrics: The model's metrics, the headline first.
        baselines: The same metrics of each baseline.
        differences: Model minus baseline, paired.
        slices: Rows as ``Evaluator.slice`` returns them.
        per_class: Rows with class, support, predicted, precision, recall and f1.
        confusion: (classes, classes) int64, true by row, predicted by column.
        calibration: Before and after the temperature, with reliability diagrams.
        abstention: What the frozen abstention rule does here, and the area under the risk-coverage curve.
        degenerate: Why these rows cannot show whether the model is better than a baseline; empty where they can. There
            are no ``differences`` then.
    """

    metrics: intervals.Intervals
    baselines: Mapping[str, intervals.Intervals]
    differences: Mapping[str, intervals.Intervals]
    slices: list[dict[str, Any]]
    per_class: list[dict[str, Any]]
    confusion: arrays.Ints
    calibration: dict[str, Any]
    abstention: dict[str, Any]
    degenerate: str = ""

    @property
    def notes(self) -> list[str]:
        """Why a number is missing."""
        groups = {"model": self.metrics, **self.baselines}
        notes = [f"{name}: {note}" for name, found in groups.items() for note in found.notes]
        return [self.degenerate, *notes] if self.degenerate else notes


def evaluate(
    evaluator: evaluators.Evaluator, logits: npt.ArrayLike, rule: DecisionRule, slices: Mapping[str, npt.ArrayLike]
) -> Results:
    """Evaluate a classifier.

    Args:
        evaluator: The rows, the model's scores and its baselines.
        logits: (n, classes) of the model, uncalibrated.
        rule: What was frozen on validation data.
        slices: For each name a (n,) bool mask.
    """
    found = evaluator.compare(evaluator.metrics, evaluator.metrics)
    reason = degenerate(evaluator.labels, evaluator.scores, evaluator.class_names)
    return Results(
        degenerate=reason,
        metrics=found.model,
        baselines=found.baselines,
        differences={name: intervals.Intervals() for name in found.differences} if reason else found.differences,
        slices=[evaluator.slice(name, inside) for name, inside in slices.items()],
        per_class=summaries.per_class(
            evaluator.labels,
            evaluator.scores,
            predicted=evaluator.predicted,
            class_names=evaluator.class_names,
            units=evaluator.units,
            resamples=evaluator.resamples,
            seed=evaluator.seed,
        ),
        confusion=summaries.confusion(evaluator.labels, evaluator.scores, predicted=evaluator.predicted),
        calibration=_calibration(evaluator, logits, rule),
        abstention=_abstention(evaluator, rule),
    )


def degenerate(labels: arrays.Ints, scores: arrays.Floats, class_names: tuple[str, ...]) -> str:
    """Say why rows cannot show whether a model is better than another; nothing where they can.

    Args:
        labels: (n,) true classes.
        scores: (n, classes) of the model.
        class_names: One name per class.

    >>> degenerate(np.array([1, 1]), np.array([[0.4, 0.6], [0.2, 0.8]]), ("no", "yes"))
    'Only one class occurs, yes: these rows cannot show how well the model tells classes apart.'
    """
    present = np.unique(labels)
    if len(present) == 1:
        name = class_names[present[0]]
        return f"Only one class occurs, {name}: these rows cannot show how well the model tells classes apart."
    if not np.ptp(scores, axis=0).any():
        return "The model gives every row the same scores: it does not tell these rows apart."
    return ""


def _calibration(evaluator: evaluators.Evaluator, logits: npt.ArrayLike, rule: DecisionRule) -> dict[str, Any]:
    stages = {"before": calibration.apply_temperature(np.asarray(logits, np.float64), 1.0), "after": evaluator.scores}
    return {
        "method": "temperature, fitted on validation data",
        "temperature": rule.temperature,
        **{name: evaluator.metrics_of(scores, CALIBRATION_METRICS) for name, scores in stages.items()},
        "reliability": {
            name: miscalibration.reliability(
                evaluator.labels, evaluator.read(scores), bins=evaluator.reliability_bins, units=evaluator.units
            )
            for name, scores in stages.items()
        },
    }


def _abstention(evaluator: evaluators.Evaluator, rule: DecisionRule) -> dict[str, Any]:
    sets = conformal.prediction_sets(evaluator.scores, rule.quantile)
    return {
        "rule": "abstain unless the conformal prediction set holds exactly one class",
        "alpha": rule.alpha,
        "quantile": rule.quantile,
        **conformal.abstention(evaluator.correct, conformal.abstains(sets), units=evaluator.units),
        "sets": conformal.coverage_report(sets, evaluator.labels, units=evaluator.units),
        "aurc": bootstrap.interval(
            conformal.aurc,
            evaluator.correct.astype(np.int64),
            evaluator.scores.max(axis=1),
            units=evaluator.units,
            resamples=min(evaluator.resamples, QUICK_RESAMPLES),
            seed=evaluator.seed,
        ),
    }


def operating_points(abstention: Mapping[str, Any], *, noun: str) -> list[dict[str, Any]]:
    """Return the two ways to use a classifier: to decide on every ``noun``, or to abstain from the unsure ones."""
    return [
        {"name": f"answer every {noun}", "coverage": 1.0, "accuracy": abstention["accuracy"]},
        {
            "name": "abstain when unsure",
            **{name: abstention[name] for name in ("rule", "alpha", "quantile", "coverage")},
            "accuracy": abstention["selective_accuracy"],
        },
    ]


def score_columns(prefix: str, scores: arrays.Floats, class_names: tuple[str, ...]) -> dict[str, arrays.Floats]:
    """Return the columns of ``predictions.parquet`` that hold scores (n, classes)."""
    return {f"{prefix}score_{name}": scores[:, place] for place, name in enumerate(class_names)}
