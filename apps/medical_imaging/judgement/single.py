"""The numbers of an evaluation with one answer per image, with their intervals. No TensorFlow here."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from apps.medical_imaging.judgement import evidence, firmness, operating, subgroups
from apps.medical_imaging.judgement import judge as judges
from shared.evaluation import (
    breakdowns,
    calibration,
    classification,
    conformal,
    cox,
    delong,
    intervals,
    net_benefit,
)

CALIBRATION_METRICS = {name: classification.METRICS[name] for name in ("ece", "brier", "log_loss")}
ROBUST_METRICS = {name: classification.METRICS[name] for name in ("auroc", "balanced_accuracy")}
DECISION_THRESHOLDS = (0.01, 0.02, *np.round(np.arange(0.05, 1.0, 0.05), 2).tolist())
# One number each, and many of them.
QUICK_RESAMPLES = 500


@dataclasses.dataclass(frozen=True, kw_only=True)
class Findings:
    """What was measured.

    Attributes:
        metrics: The model's metrics, AUROC first.
        baselines: The same metrics of each baseline.
        differences: Model minus baseline, paired.
        slices: Rows with name, n, n_units, n_positive (two classes), metrics, differences and notes.
        per_class: Rows with class, support, predicted, precision, recall and f1.
        confusion: (classes, classes) int64, true by row, answered by column.
        calibration: As ``calibrated`` returns it.
        abstention: As ``abstention`` returns it.
        points: Operating points; of two classes only.
        delong: AUROC with DeLong's interval; of two classes only.
        firmness: As ``firmness.measure`` returns it; of two classes only.
        decision_curve: As ``net_benefit.decision_curve`` returns it; of two classes only.
        shortcuts: As ``subgroups.shortcuts`` returns it; of two classes only.
        robustness: As ``robustness`` returns it.
        notes: Why a number is missing.
    """

    metrics: intervals.Intervals
    baselines: Mapping[str, intervals.Intervals]
    differences: Mapping[str, intervals.Intervals]
    slices: list[dict[str, Any]]
    per_class: list[dict[str, Any]]
    confusion: evidence.Ints
    calibration: dict[str, Any]
    abstention: dict[str, Any]
    points: list[dict[str, Any]]
    delong: intervals.Interval | None
    firmness: dict[str, Any]
    decision_curve: list[dict[str, Any]]
    shortcuts: list[dict[str, Any]]
    robustness: list[dict[str, Any]]
    notes: list[str]


def measure(judge: judges.Judge, rows: evidence.Rows, run: evidence.Run) -> Findings:
    """Measure everything."""
    everything, binary = judge.everything, judge.binary
    metrics = judge.model(everything)
    positive = np.asarray(judge.labels == 1) if binary else None
    slices = [judge.slice(name, inside) for name, inside in subgroups.groups(rows, positive).items()]
    both = binary and len(np.unique(judge.labels)) == 2
    return Findings(
        metrics=metrics,
        baselines={name: judge.values(scores, everything) for name, scores in judge.baselines.items()},
        differences={name: judge.difference(name, everything) for name in judge.baselines},
        slices=slices,
        per_class=per_class(judge),
        confusion=breakdowns.confusion(judge.labels, judge.scores, predicted=judge.predicted),
        calibration=calibrated(judge, run),
        abstention=abstention(judge, run),
        points=operating.points(judge, run) if binary else [],
        delong=ranked(judge) if both else None,
        firmness=firmness.measure(judge, run) if binary else {},
        decision_curve=decision_curve(judge) if binary else [],
        shortcuts=subgroups.shortcuts(judge, rows.attributes) if both else [],
        robustness=robustness(judge, run),
        notes=metrics.notes,
    )


def per_class(judge: judges.Judge) -> list[dict[str, Any]]:
    """Return precision, recall and F1 of each class with their intervals, and its AUROC against the rest."""
    rows = breakdowns.per_class(
        judge.labels,
        judge.scores,
        predicted=judge.predicted,
        class_names=judge.class_names,
        units=judge.units,
        resamples=judge.resamples,
        seed=judge.seed,
    )
    return [{**row, "auroc": _auroc_of(judge, number)} for number, row in enumerate(rows)]


def _auroc_of(judge: judges.Judge, number: int) -> intervals.Interval | None:
    """Return the AUROC of one class against the rest, None where it is undefined."""
    truth = (judge.labels == number).astype(np.int64)
    found = classification.summarize(
        truth,
        judge.scores[:, number],
        units=judge.units,
        metrics={"auroc": classification.auroc},
        resamples=judge.resamples,
        seed=judge.seed,
    )
    return found.get("auroc")


def ranked(judge: judges.Judge) -> intervals.Interval | None:
    """Return AUROC with DeLong's interval by patient, None with too few patients of a class."""
    try:
        return delong.interval(judge.labels, judge.scores[:, 1], units=judge.units)
    except ValueError:
        return None


def calibrated(judge: judges.Judge, run: evidence.Run) -> dict[str, Any]:
    """Return calibration before and after the temperature that was fitted on validation data."""
    decision = judges.demand_decision(run)
    raw = calibration.apply_temperature(np.asarray(run.logits, np.float64), 1.0)
    stages = {"before": raw, "after": judge.scores}
    everything = judge.everything
    return {
        "method": "temperature, fitted on validation data",
        "temperature": decision.temperature,
        **{name: judge.values(scores, everything, CALIBRATION_METRICS) for name, scores in stages.items()},
        **_slope(judge),
        "reliability": {
            name: calibration.reliability(judge.labels, judge.judged(scores), bins=10, units=judge.units)
            for name, scores in stages.items()
        },
    }


def _slope(judge: judges.Judge) -> dict[str, Any]:
    """Return slope and intercept of two classes, or why there is none."""
    if not judge.binary:
        return {}
    try:
        return dict(cox.slope_and_intercept(judge.labels, judge.scores, units=judge.units))
    except ValueError as error:
        return {"slope": None, "intercept": None, "why": str(error)}


def abstention(judge: judges.Judge, run: evidence.Run) -> dict[str, Any]:
    """Return what leaving the unsure images to a person buys and costs."""
    decision = judges.demand_decision(run)
    sets = conformal.prediction_sets(judge.scores, decision.quantile)
    return {
        "rule": "abstain unless the conformal prediction set holds exactly one class",
        "alpha": decision.alpha,
        "quantile": decision.quantile,
        **conformal.abstention(judge.correct, decision.abstains(judge.scores), units=judge.units),
        "sets": conformal.coverage_report(sets, judge.labels, units=judge.units),
        "aurc": intervals.bootstrap(
            conformal.aurc,
            judge.correct.astype(np.int64),
            judge.scores.max(axis=1),
            units=judge.units,
            resamples=min(judge.resamples, QUICK_RESAMPLES),
            seed=judge.seed,
        ),
    }


def decision_curve(judge: judges.Judge) -> list[dict[str, Any]]:
    """Return the model's net benefit over threshold probabilities."""
    return net_benefit.decision_curve(
        judge.labels,
        judge.scores[:, 1],
        DECISION_THRESHOLDS,
        units=judge.units,
        resamples=min(judge.resamples, QUICK_RESAMPLES),
        seed=judge.seed,
    )


def robustness(judge: judges.Judge, run: evidence.Run) -> list[dict[str, Any]]:
    """Return rows with corruption, level (0: the same images untouched), n and metrics."""
    if run.corrupted is None:
        return []
    decision, rows = judges.demand_decision(run), run.corrupted.rows
    part = dataclasses.replace(judge, labels=judge.labels[rows], units=judge.units[rows])
    found = []
    for kind, levels in run.corrupted.logits.items():
        for level, logits in enumerate([run.logits[rows], *levels]):
            scores = decision.scores(logits)
            metrics = part.values(scores, part.everything, ROBUST_METRICS, predicted=decision.predicted(scores))
            found.append({"corruption": kind, "level": level, "n": len(rows), "metrics": metrics})
    return found
