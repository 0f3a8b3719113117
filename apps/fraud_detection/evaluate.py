"""Evaluate predictions on labelled transactions: metrics beside baselines, budgets, folds, savings, drift.

``results`` beside this file holds what comes out, and ``report`` shows it. No TensorFlow here.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from apps.fraud_detection import baselines, breakdowns, metrics
from apps.fraud_detection import decision as decision_rule
from apps.fraud_detection import results as outcome
from apps.fraud_detection.schema import COMPUTED
from apps.fraud_detection.transactions import CLASS_NAMES
from shared import errors
from shared.evaluation import arrays, drift, ends, intervals, miscalibration, resampling
from shared.report import sections

PSI_ACT = 0.25


def evaluate(
    rows: metrics.Rows,
    data: sections.Data,
    predictions: outcome.Predictions,
    *,
    baseline_scores: Mapping[str, metrics.Floats],
    resamples: int = 1000,
    seed: int = 0,
) -> outcome.Results:
    """Evaluate ``predictions`` on ``rows``.

    Args:
        rows: The transactions and their labels.
        data: What they are.
        predictions: Of the model.
        baseline_scores: Scores (n,) by name, at least one, from ``baselines.fit`` on the run's own training parts.
        resamples: Bootstrap resamples behind every interval.
        seed: Of the resamples.

    Raises:
        ValueError: There is no baseline.
        errors.InputError: There are fewer than two transactions, or a score is not finite.
    """
    for name, each in {"the model": predictions.scores, **baseline_scores}.items():
        _check_scores(each, rows, name)
    limits = limits_of(rows, predictions.scores)
    evaluator = Evaluator(rows=rows, costs=predictions.costs, resamples=resamples, seed=seed)
    scores, thresholds = predictions.scores, predictions.thresholds
    model = evaluator.resampled(scores, thresholds=thresholds, calibrated=True)
    others = {
        name: evaluator.resampled(each, calibrated=name in baselines.PROBABILISTIC)
        for name, each in baseline_scores.items()
    }
    rival = baselines.reference(baseline_scores)
    beside = {"model": scores, rival: baseline_scores[rival]}
    frauds = rows.weights[rows.labels == 1].sum()
    return outcome.Results(
        rows=rows,
        data=data,
        predictions=predictions,
        baseline_scores=baseline_scores,
        metrics=model.intervals(),
        baselines={name: other.intervals() for name, other in others.items()},
        # Where a ranking cannot show, a difference of rankings must not look as if it did.
        differences={
            name: intervals.Intervals() if limits else model.minus(other).intervals() for name, other in others.items()
        },
        members={
            name: evaluator.resampled(each, only=metrics.HEADLINE).intervals()
            for name, each in predictions.members.items()
        },
        compared={
            "imbalance": _compare(evaluator, predictions.imbalance),
            "synthetic": _compare(evaluator, predictions.synthetic),
        },
        folds=_by_fold(evaluator, beside),
        by_day=breakdowns.by_day(rows, scores, predictions.costs.alerts_per_day),
        budgets=breakdowns.by_budget(rows, beside),
        slices=breakdowns.slices(rows, scores, thresholds, predictions.costs.alerts_per_day),
        savings=breakdowns.savings(rows, scores, thresholds, predictions.costs),
        calibration=_calibration(rows, scores),
        drift=_drift(rows, scores),
        equality=breakdowns.equality(rows, scores, thresholds),
        prevalence=float(frauds / rows.weights.sum()),
        limits=limits,
    )


def limits_of(rows: metrics.Rows, scores: metrics.Floats) -> str:
    """Return why rows cannot show whether a model ranks better than another one, in a sentence; "" where they can."""
    kinds = [name for number, name in enumerate(CLASS_NAMES) if (rows.labels == number).any()]
    if len(kinds) == 1:
        return (
            f"All {len(rows):,} transactions are of one class, {kinds[0]}: how well the model ranks, and whether it "
            f"does so better than a baseline, cannot be told here."
        )
    if np.ptp(scores) == 0:
        return (
            f"All {len(rows):,} scores are equal: the model ranks nothing here, and which transactions fill the budget "
            f"is chance."
        )
    if rows.has_payer and not rows.several_cards:
        return (
            "All transactions are of one card: they are resampled one by one, and whether the model is better than a "
            "baseline on other cards cannot be told here."
        )
    return ""


def _check_scores(scores: metrics.Floats, rows: metrics.Rows, name: str) -> None:
    if len(rows) < 2:
        raise errors.InputError(f"Expected at least two labelled transactions to evaluate. Received: {len(rows)}")
    broken = np.flatnonzero(~np.isfinite(scores))
    if len(broken):
        raise errors.InputError(
            f"Expected a finite score of {name} for every transaction. Received: {scores[broken[0]]} for "
            f"{len(broken):,} of {len(rows):,}, the first {rows.ids[broken[0]]!s}"
        )


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Evaluator:
    """Values any scores on the same resamples of the cards.

    Attributes:
        rows: The transactions.
        costs: The cost matrix and the breakdowns.
        resamples: Of every bootstrap.
        seed: Of every bootstrap.
    """

    rows: metrics.Rows
    costs: decision_rule.Costs
    resamples: int
    seed: int

    @property
    def units(self) -> arrays.Units:
        """The card of each row; a row is its own unit where no card is named, or one only."""
        return arrays.units_of(self.rows.payers if self.rows.several_cards else None, rows=len(self.rows))

    def resampled(
        self,
        scores: metrics.Floats,
        *,
        thresholds: metrics.Floats | None = None,
        calibrated: bool = False,
        only: tuple[str, ...] | None = None,
    ) -> resampling.Resampled:
        """Return one model's metrics, or those of ``only``, on all rows and on every resample."""
        units = self.units
        statistics = metrics.statistics(
            self.rows, scores, thresholds=thresholds, costs=self.costs, units=units, calibrated=calibrated
        )
        chosen = {name: statistic for name, statistic in statistics.items() if only is None or name in only}
        found = resampling.Resampled.of(chosen, units, resamples=self.resamples, seed=self.seed)
        carriers = resampling.carriers_of(self.rows.labels, units)
        return dataclasses.replace(
            found, bounds={**dict.fromkeys(chosen, ends.UNIT), **metrics.BOUNDS}, carriers=carriers
        )


def _compare(evaluator: Evaluator, scores: Mapping[str, metrics.Floats]) -> outcome.Compared:
    """Return each method's headline metrics, and their paired differences to the first method's."""
    found = {name: evaluator.resampled(each, only=metrics.HEADLINE) for name, each in scores.items()}
    first = next(iter(found.values()), None)
    return {name: (each.intervals(), each.minus(first).intervals()) for name, each in found.items() if first}


def _by_fold(evaluator: Evaluator, scores: Mapping[str, metrics.Floats]) -> list[dict[str, Any]]:
    """Return one row per fold: number, and for each of ``scores`` its headline metrics."""
    rows, units, everything = evaluator.rows, evaluator.units, np.ones((1, evaluator.units.count))
    table: list[dict[str, Any]] = [{"fold": number + 1} for number in range(len(np.unique(rows.folds)))]
    for name, each in scores.items():
        for row, part in zip(table, metrics.fold_parts(rows, each, None, units), strict=True):
            found = dict(metrics.ranking(part, evaluator.costs, cards=rows.several_cards))
            values = {key: float(found[key](everything)[0]) for key in metrics.HEADLINE if key in found}
            row[name] = {key: value for key, value in values.items() if np.isfinite(value)}
    return table


def _calibration(rows: metrics.Rows, scores: metrics.Floats) -> dict[str, Any]:
    """Return the reliability of the probabilities, in bins of equal counts; rows are not weighted in the diagram."""
    if not np.allclose(rows.weights, 1.0):
        return {"method": "Platt scaling, fitted on validation data with the rows' weights"}
    reliability = miscalibration.reliability(rows.labels, scores, bins=15, units=rows.payers)
    return {"method": "Platt scaling, fitted on validation data", "reliability": reliability}


def _drift(rows: metrics.Rows, scores: metrics.Floats) -> list[dict[str, Any]]:
    """Return the population stability index of each input and of the score, validation against these rows.

    A large one is above ``PSI_ACT``, and above what chance gives in so few rows. Numbers of which either side has none
    are left out.
    """
    # A column of the source may have that name.
    score = "score" if "score" not in rows.columns else f"{COMPUTED}score"
    reference = {**rows.reference_columns, score: rows.reference_scores}
    columns = {**rows.columns, score: scores}
    known = [name for name in columns if _has_values(columns[name]) and _has_values(reference[name])]
    compared = drift.compare(
        drift.reference({name: reference[name] for name in known}), {name: columns[name] for name in known}
    )
    return [
        {"column": row["name"], "psi": row["psi"], "large": row["psi"] > max(PSI_ACT, row["threshold"])}
        for row in compared
    ]


def _has_values(column: npt.NDArray[Any]) -> bool:
    """Return whether there is anything to compare: a finite number, or a column of names, missing or not."""
    return column.dtype.kind == "O" or bool(np.isfinite(column).any())
