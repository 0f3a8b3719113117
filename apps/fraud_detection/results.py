"""The results of an evaluation: what was predicted and the numbers; as ``metrics.json`` and ``predictions.parquet``.

``evaluate`` computes them, ``report`` shows them. No TensorFlow here.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from apps.fraud_detection import baselines, metrics
from apps.fraud_detection import decision as decision_rule
from apps.fraud_detection.transactions import CLASS_NAMES
from shared.evaluation import intervals
from shared.report import metrics as documents
from shared.report import sections

APP = "fraud_detection"
FEW_FRAUDS = 50


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
    costs: decision_rule.Costs
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
        drift: Rows with column, psi and whether it is large.
        equality: Rows with group, n and false_positive_rate, and the ratio of the smallest to the largest.
        prevalence: Weighted share of frauds.
        limits: Why these rows cannot show all that an evaluation shows, in a sentence; "" where they can.
    """

    rows: metrics.Rows
    data: sections.Data
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
    limits: str = ""

    @property
    def baseline(self) -> str:
        """The baseline to beat."""
        return baselines.reference(self.baseline_scores)


def mean_and_deviation(folds: list[dict[str, Any]], who: str, metric: str) -> tuple[float, float] | None:
    """Return mean and standard deviation of a metric over the folds, as the Handbook's tables give them."""
    values = [fold[who][metric] for fold in folds if metric in fold[who]]
    return (float(np.mean(values)), float(np.std(values))) if values else None


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
    notes = [*([results.limits] if results.limits else []), *results.data.notes]
    notes += [f"{name}: {note}" for name, found in groups.items() for note in found.notes]
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
