"""Evaluate a run on labelled transactions: metrics beside baselines, budgets, folds, savings, drift.

``evaluate`` computes the results; ``report`` beside this file shows them. No TensorFlow here.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from apps.fraud_detection import baselines, breakdowns, metrics
from apps.fraud_detection.transactions import CLASS_NAMES
from shared.evaluation import calibration, drift, intervals, resampling
from shared.report import metrics as documents
from shared.report.sections import provenance

APP = "fraud_detection"
FEW_FRAUDS = 50
PSI_ACT = 0.25


@dataclasses.dataclass(frozen=True, kw_only=True)
class Predictions:
    """What the model predicts for the rows.

    Attributes:
        run: Name of the run.
        scores: (n,) calibrated probability of fraud.
        thresholds: (n,) the threshold of each row's fold, frozen on validation data.
        rule: How the thresholds were chosen.
        costs: The cost matrix and the breakdowns.
        members: Scores (n,) of each network of an ensemble; empty otherwise.
        imbalance: Method against imbalance -> scores (n,) of the same learner trained with it; "none" is plain.
        synthetic: Training set ("real", "synthetic", "real and synthetic") -> scores (n,); empty without a GAN.
        memorisation: What the memorisation check of the GAN found, name -> number; empty without a GAN.
        history: One row per network, fold and epoch, as in ``history.csv``.
    """

    run: str
    scores: metrics.Floats
    thresholds: metrics.Floats
    rule: str
    costs: metrics.Costs
    members: Mapping[str, metrics.Floats] = dataclasses.field(default_factory=dict)
    imbalance: Mapping[str, metrics.Floats] = dataclasses.field(default_factory=dict)
    synthetic: Mapping[str, metrics.Floats] = dataclasses.field(default_factory=dict)
    memorisation: Mapping[str, float] = dataclasses.field(default_factory=dict)
    history: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)


Compared = dict[str, tuple[intervals.Intervals, intervals.Intervals]]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Results:
    """What was evaluated, and the numbers.

    Attributes:
        rows: The transactions.
        data: What they are.
        predictions: Of the model.
        baseline_scores: Scores (n,) of each baseline.
        metrics: The model's metrics, average precision first.
        baselines: The same metrics of each baseline, where they have a meaning.
        differences: Model minus baseline, paired.
        members: Headline metrics of each network of an ensemble.
        compared: "imbalance" and "synthetic" -> method -> headline metrics, and differences to the first method.
        folds: Rows with fold, and the value of each headline metric of the model and the baseline to beat.
        by_day: Rows with day, n, frauds, caught in the budget, of the model.
        budgets: Rows with alerts, precision and recall of the model and the baseline to beat.
        slices: Rows with name, n, positives, metrics.
        savings: As ``breakdowns.savings`` returns them.
        calibration: How the scores were calibrated, and the reliability diagram.
        drift: Rows with column, psi and whether it is above ``PSI_ACT``.
        equality: Rows with group, n and false_positive_rate, and the ratio of the smallest to the largest.
        prevalence: Weighted share of frauds.
    """

    rows: metrics.Rows
    data: provenance.Data
    predictions: Predictions
    baseline_scores: Mapping[str, metrics.Floats]
    metrics: intervals.Intervals
    baselines: Mapping[str, intervals.Intervals]
    differences: Mapping[str, intervals.Intervals]
    members: Mapping[str, intervals.Intervals]
    compared: Mapping[str, Compared]
    folds: list[dict[str, Any]]
    by_day: list[dict[str, Any]]
    budgets: list[dict[str, Any]]
    slices: list[dict[str, Any]]
    savings: dict[str, Any]
    calibration: dict[str, Any]
    drift: list[dict[str, Any]]
    equality: dict[str, Any]
    prevalence: float

    @property
    def baseline(self) -> str:
        """The baseline to beat."""
        return baselines.reference(self.baseline_scores)


def evaluate(
    rows: metrics.Rows,
    data: provenance.Data,
    predictions: Predictions,
    *,
    baseline_scores: Mapping[str, metrics.Floats],
    resamples: int = 1000,
    seed: int = 0,
) -> Results:
    """Evaluate ``predictions`` on ``rows``.

    Args:
        rows: The transactions and their labels.
        data: What they are.
        predictions: Of the model.
        baseline_scores: Scores (n,) by name, at least one, from ``baselines.fit`` on the run's own training parts.
        resamples: Bootstrap resamples behind every interval.
        seed: Of the resamples.

    Raises:
        ValueError: There is no baseline, or the rows hold one card only.
    """
    evaluator = Evaluator(rows=rows, costs=predictions.costs, resamples=resamples, seed=seed)
    scores, thresholds = predictions.scores, predictions.thresholds
    model = evaluator.resampled(scores, thresholds=thresholds, calibrated=True)
    others = {
        name: evaluator.resampled(each, calibrated=name in baselines.PROBABILISTIC)
        for name, each in baseline_scores.items()
    }
    # The bias of a calibration error is that of both sides: a difference is not reflected.
    unreflected = dataclasses.replace(model, biased=frozenset())
    rival = baselines.reference(baseline_scores)
    beside = {"model": scores, rival: baseline_scores[rival]}
    frauds = rows.weights[rows.labels == 1].sum()
    return Results(
        rows=rows,
        data=data,
        predictions=predictions,
        baseline_scores=baseline_scores,
        metrics=model.intervals(),
        baselines={name: other.intervals() for name, other in others.items()},
        differences={name: unreflected.minus(other).intervals() for name, other in others.items()},
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
    costs: metrics.Costs
    resamples: int
    seed: int

    @property
    def units(self) -> resampling.Units:
        """The card of each row; a row is its own unit where no card is named."""
        return resampling.units_of(self.rows.payers, rows=len(self.rows))

    def resampled(
        self,
        scores: metrics.Floats,
        *,
        thresholds: metrics.Floats | None = None,
        calibrated: bool = False,
        only: tuple[str, ...] | None = None,
    ) -> intervals.Resampled:
        """Return one model's metrics, or those of ``only``, on all rows and on every resample."""
        units = self.units
        statistics = metrics.statistics(
            self.rows, scores, thresholds=thresholds, costs=self.costs, units=units, calibrated=calibrated
        )
        return intervals.Resampled.of(
            {name: statistic for name, statistic in statistics.items() if only is None or name in only},
            units,
            resamples=self.resamples,
            seed=self.seed,
            biased=frozenset({"ece"}),
            widened=True,
        )


def _compare(evaluator: Evaluator, scores: Mapping[str, metrics.Floats]) -> Compared:
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
            found = dict(metrics.ranking(part, evaluator.costs, cards=rows.has_payer))
            values = {key: float(found[key](everything)[0]) for key in metrics.HEADLINE if key in found}
            row[name] = {key: value for key, value in values.items() if np.isfinite(value)}
    return table


def mean_and_deviation(folds: list[dict[str, Any]], who: str, metric: str) -> tuple[float, float] | None:
    """Return mean and standard deviation of a metric over the folds, as the Handbook's tables give them."""
    values = [fold[who][metric] for fold in folds if metric in fold[who]]
    return (float(np.mean(values)), float(np.std(values))) if values else None


def _calibration(rows: metrics.Rows, scores: metrics.Floats) -> dict[str, Any]:
    """Return the reliability of the probabilities, in bins of equal counts; rows are not weighted in the diagram."""
    if not np.allclose(rows.weights, 1.0):
        return {"method": "Platt scaling, fitted on validation data with the rows' weights"}
    reliability = calibration.reliability(rows.labels, scores, bins=15, units=rows.payers)
    return {"method": "Platt scaling, fitted on validation data", "reliability": reliability}


def _drift(rows: metrics.Rows, scores: metrics.Floats) -> list[dict[str, Any]]:
    """Return the population stability index of each input and of the score, validation against these rows."""
    columns = {**rows.columns, "score": scores}
    reference = {**rows.reference_columns, "score": rows.reference_scores}
    known = [name for name, values in columns.items() if np.isfinite(values).any()]
    known = [name for name in known if np.isfinite(reference[name]).any()]
    compared = drift.compare(
        drift.reference({name: reference[name] for name in known}), {name: columns[name] for name in known}
    )
    return [{"column": row["name"], "psi": row["psi"], "large": row["psi"] > PSI_ACT} for row in compared]


def _operating_points(results: Results) -> list[dict[str, Any]]:
    """Return the frozen threshold, the budget, and recall at fixed false positive rates."""
    found, predictions = results.metrics, results.predictions
    at_threshold = ("precision", "sensitivity", "alerts_per_day", "net_savings_per_day")
    in_budget = ("precision_in_budget", "recall_in_budget", "value_recall_in_budget")
    return [
        {
            "name": "frozen threshold",
            "rule": predictions.rule,
            "threshold": float(predictions.thresholds[-1]),
            **{name: found.get(name) for name in at_threshold},
        },
        {
            "name": "budget",
            "rule": f"the {predictions.costs.alerts_per_day} most suspicious transactions of each day",
            **{name: found.get(name) for name in in_budget},
        },
        *(
            {"name": f"false positive rate {rate:g}", "recall": found.get(f"recall_at_fpr_{rate:g}")}
            for rate in metrics.FALSE_POSITIVE_RATES
        ),
    ]


def metrics_document(results: Results) -> dict[str, Any]:
    """Return the content of ``metrics.json``."""
    rows = results.rows
    return documents.metrics_document(
        app=APP,
        run=results.predictions.run,
        data=results.data.content(n=len(rows), n_units=len(np.unique(rows.payers))),
        metrics=results.metrics,
        baselines=results.baselines,
        differences=results.differences,
        operating_points=_operating_points(results),
        slices=results.slices,
        calibration=results.calibration,
        notes=_notes(results),
        more={
            "prevalence": results.prevalence,
            "prequential": _prequential(results.folds),
            "by_day": results.by_day,
            "budgets": results.budgets,
            "savings": results.savings,
            "drift": results.drift,
            "predictive_equality": results.equality,
            "members": results.members,
            **{
                kind: {name: {"metrics": own, "differences": less} for name, (own, less) in found.items()}
                for kind, found in results.compared.items()
            },
            "memorisation": dict(results.predictions.memorisation),
        },
    )


def _prequential(folds: list[dict[str, Any]]) -> dict[str, Any]:
    """Return each fold's headline metrics, and their mean and standard deviation over the folds."""
    summary = {
        name: {
            metric: {"mean": found[0], "sd": found[1]}
            for metric in metrics.HEADLINE
            if (found := mean_and_deviation(folds, name, metric)) is not None
        }
        for name in folds[0]
        if name != "fold"
    }
    return {"folds": folds, "summary": summary}


def _notes(results: Results) -> list[str]:
    rows = results.rows
    groups = {"model": results.metrics, **results.baselines}
    notes = [*results.data.notes, *(f"{name}: {note}" for name, found in groups.items() for note in found.notes)]
    frauds = int(rows.labels.sum())
    if frauds < FEW_FRAUDS:
        notes.append(f"Only {frauds} frauds were evaluated: most differences cannot show on so few.")
    if not rows.has_payer:
        notes.append("The data name no cards: transactions are resampled one by one, and nothing is counted by card.")
    if not np.allclose(rows.weights, 1.0):
        notes.append("Rows are weighted by how many transactions of the population they stand for.")
    return [*notes, "These numbers hold for fraud like that of these weeks: fraudsters change what they do."]


def predictions_table(results: Results) -> pd.DataFrame:
    """Return one row per transaction.

    Columns: id, fold, day, amount, payer, label, weight, score, threshold, decision, the scenario and group where they
    are known, and ``<baseline>_score``.
    """
    rows, predictions = results.rows, results.predictions
    columns: dict[str, Any] = {
        "id": rows.ids,
        "fold": rows.folds + 1,
        "day": [rows.day_names[int(day)] for day in rows.days],
        "amount": rows.amounts,
        "payer": rows.payers,
        "label": np.array(CLASS_NAMES, object)[rows.labels],
        "weight": rows.weights,
        "score": predictions.scores,
        "threshold": predictions.thresholds,
        "decision": np.array(CLASS_NAMES, object)[(predictions.scores >= predictions.thresholds).astype(int)],
    }
    for name, values in (("scenario", rows.scenarios), ("group", rows.groups)):
        if values is not None:
            columns[name] = values
    return pd.DataFrame(columns | {f"{name}_score": scores for name, scores in results.baseline_scores.items()})
