"""The numbers of an evaluation, with their intervals: all that ``metrics.json`` and the report show.

No TensorFlow here.
"""

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from apps.sentiment.judgement import evidence
from apps.sentiment.judgement import judge as judges
from shared import decision as decisions
from shared.evaluation import breakdowns, calibration, classification, conformal, intervals

CALIBRATION_METRICS = {name: classification.METRICS[name] for name in ("ece", "brier", "log_loss")}
MEMBER_METRICS = {name: classification.METRICS[name] for name in ("accuracy", "f1_macro", "auroc", "ece")}
MOST_SOURCES = 20
LENGTH_EDGES_WORDS = (25, 100, 200, 400)
UNKNOWN_EDGES_PERCENT = (0, 1, 3, 10)
RISK_RESAMPLES = 500


@dataclasses.dataclass(frozen=True, kw_only=True)
class Findings:
    """What was measured.

    Attributes:
        metrics: The model's metrics, accuracy first.
        baselines: The same metrics of each baseline.
        members: Some metrics of each network of an ensemble.
        differences: Model minus baseline, paired.
        slices: Rows with name, n, n_units, metrics, baselines, differences and notes.
        per_class: Rows with class, support, predicted, precision, recall and f1.
        confusion: (classes, classes) int64, true by row, answered by column.
        calibration: As ``calibrated`` returns it.
        abstention: As ``abstention`` returns it.
    """

    metrics: intervals.Intervals
    baselines: Mapping[str, intervals.Intervals]
    members: Mapping[str, intervals.Intervals]
    differences: Mapping[str, intervals.Intervals]
    slices: list[dict[str, Any]]
    per_class: list[dict[str, Any]]
    confusion: evidence.Ints
    calibration: dict[str, Any]
    abstention: dict[str, Any]

    @property
    def notes(self) -> list[str]:
        """Why a number is missing."""
        groups = {"model": self.metrics, **self.baselines}
        return [f"{name}: {note}" for name, found in groups.items() for note in found.notes]


def measure(judge: judges.Judge, rows: evidence.Rows, run: evidence.Run, *, ordinal: bool) -> Findings:
    """Measure everything; ``ordinal`` adds the mean absolute error in classes."""
    metrics = dict(classification.METRICS)
    if ordinal:
        metrics["mean_absolute_error"] = judges.mean_absolute_error
    everything = judge.everything
    return Findings(
        metrics=judge.model(everything, metrics),
        baselines={name: judge.values(scores, everything, metrics) for name, scores in judge.baselines.items()},
        members={name: judge.values(scores, everything, MEMBER_METRICS) for name, scores in run.members.items()},
        differences={name: judge.difference(name, everything, metrics) for name in judge.baselines},
        slices=[judge.slice(name, inside) for name, inside in groups(rows).items()],
        per_class=per_class(judge, run.decision.class_names),
        confusion=breakdowns.confusion(judge.labels, judge.scores, predicted=judge.predicted),
        calibration=calibrated(judge, run),
        abstention=abstention(judge, run.decision),
    )


def groups(rows: evidence.Rows) -> dict[str, evidence.Bools]:
    """Return the slices by name: ``source=...``, ``length=...`` and ``out_of_vocabulary=...``."""
    names, counts = np.unique(rows.sources.astype(str), return_counts=True)
    common = names[np.argsort(-counts, kind="stable")][:MOST_SOURCES]
    words = np.array([len(text.split()) for text in rows.texts], np.float64)
    kinds = {
        "source": {name: np.asarray(rows.sources == name) for name in common},
        "length": _bins(words, LENGTH_EDGES_WORDS, unit="words"),
        "out_of_vocabulary": _bins(100 * rows.out_of_vocabulary, UNKNOWN_EDGES_PERCENT, unit="%"),
    }
    return {f"{kind}={name}": inside for kind, masks in kinds.items() for name, inside in masks.items()}


def _bins(values: evidence.Floats, edges: tuple[int, ...], *, unit: str) -> dict[str, evidence.Bools]:
    """Cut at ``edges``; a bin holds its upper edge. Empty bins are left out."""
    names = [
        f"at most {edges[0]} {unit}",
        *(f"above {low} to {high} {unit}" for low, high in itertools.pairwise(edges)),
        f"above {edges[-1]} {unit}",
    ]
    place = np.searchsorted(edges, values, side="left")
    return {name: place == number for number, name in enumerate(names) if (place == number).any()}


def calibrated(judge: judges.Judge, run: evidence.Run) -> dict[str, Any]:
    """Return calibration before and after the temperature that was fitted on validation data."""
    raw = calibration.apply_temperature(np.asarray(run.logits, np.float64), 1.0)
    stages = {"before": raw, "after": judge.scores}
    everything = judge.everything
    return {
        "method": "temperature, fitted on validation data",
        "temperature": run.decision.temperature,
        **{name: judge.values(scores, everything, CALIBRATION_METRICS) for name, scores in stages.items()},
        "reliability": {
            name: calibration.reliability(judge.labels, scores, units=judge.units) for name, scores in stages.items()
        },
    }


def abstention(judge: judges.Judge, decision: decisions.Decision) -> dict[str, Any]:
    """Return what the frozen abstention rule does here, and the area under the risk-coverage curve."""
    sets = conformal.prediction_sets(judge.scores, decision.quantile)
    correct = judge.correct
    return {
        "rule": "abstain unless the conformal prediction set holds exactly one class",
        "alpha": decision.alpha,
        "quantile": decision.quantile,
        **conformal.abstention(correct, decision.abstains(judge.scores), units=judge.units),
        "sets": conformal.coverage_report(sets, judge.labels, units=judge.units),
        "aurc": intervals.bootstrap(
            conformal.aurc,
            correct.astype(np.int64),
            judge.scores.max(axis=1),
            units=judge.units,
            resamples=min(judge.resamples, RISK_RESAMPLES),
            seed=judge.seed,
        ),
    }


def operating_points(decision: decisions.Decision, held_back: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the two ways to use the model: to answer every text, or to abstain from the unsure ones."""
    return [
        {
            "name": "answer every text",
            "rule": decision.rule,
            "threshold": decision.threshold,
            "coverage": 1.0,
            "accuracy": held_back["accuracy"],
        },
        {
            "name": "abstain when unsure",
            "rule": held_back["rule"],
            "alpha": decision.alpha,
            "quantile": decision.quantile,
            "coverage": held_back["coverage"],
            "accuracy": held_back["selective_accuracy"],
        },
    ]


def per_class(judge: judges.Judge, class_names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return precision, recall and F1 of each class with their intervals."""
    return breakdowns.per_class(
        judge.labels,
        judge.scores,
        predicted=judge.predicted,
        class_names=class_names,
        units=judge.units,
        resamples=judge.resamples,
        seed=judge.seed,
    )
