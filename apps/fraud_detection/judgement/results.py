"""The numbers of an evaluation, with their intervals: all that ``metrics.json`` and the report show.

No TensorFlow here.
"""

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from apps.fraud_detection.judgement import costs as savings
from apps.fraud_detection.judgement import evidence, names
from apps.fraud_detection.judgement import judge as judges
from shared.evaluation import calibration, drift, intervals, proportions

AMOUNT_EDGES = (10.0, 50.0, 100.0, 220.0, 500.0)
BUDGETS = (10, 25, 50, 100, 200, 500)
PSI_ACT = 0.25
# Predictive equality (Corbett-Davies et al. 2017): equal false positive rates. Below this ratio it is worth a word.
EQUAL_ENOUGH = 0.8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Findings:
    """What was measured.

    Attributes:
        metrics: The model's metrics, average precision first.
        baselines: The same metrics of each baseline, where they have a meaning.
        differences: Model minus baseline, paired.
        members: Headline metrics of each network of an ensemble.
        compared: "imbalance" and "synthetic" -> method -> headline metrics, and differences to the first method.
        folds: Rows with fold, and the value of each headline metric of the model and the baseline to beat.
        by_day: Rows with day, n, frauds, caught in the budget, of the model.
        budgets: Rows with alerts, precision and recall of the model and the baseline to beat.
        slices: Rows with name, n, positives, metrics.
        savings: Rows with threshold and net savings per day, and the best one in hindsight.
        calibration: ECE, Brier score, log-loss and the reliability diagram.
        drift: Rows with column, psi and whether it is above ``PSI_ACT``.
        equality: Rows with group, n and false_positive_rate, and the ratio of the smallest to the largest.
        prevalence: Weighted share of frauds.
        days: Days judged.
    """

    metrics: intervals.Intervals
    baselines: Mapping[str, intervals.Intervals]
    differences: Mapping[str, intervals.Intervals]
    members: Mapping[str, intervals.Intervals]
    compared: Mapping[str, Mapping[str, tuple[intervals.Intervals, intervals.Intervals]]]
    folds: list[dict[str, Any]]
    by_day: list[dict[str, Any]]
    budgets: list[dict[str, Any]]
    slices: list[dict[str, Any]]
    savings: dict[str, Any]
    calibration: dict[str, Any]
    drift: list[dict[str, Any]]
    equality: dict[str, Any]
    prevalence: float
    days: int

    @property
    def notes(self) -> list[str]:
        """Why a number is missing."""
        groups = {"model": self.metrics, **self.baselines}
        return [f"{name}: {note}" for name, found in groups.items() for note in found.notes]


def measure(judge: judges.Judge, run: evidence.Run, baseline_scores: Mapping[str, evidence.Floats]) -> Findings:
    """Measure everything."""
    rows = judge.rows
    model = judge.measure(run.scores, thresholds=run.thresholds, calibrated=True)
    others = {
        name: judge.measure(scores, calibrated=name in names.PROBABILISTIC) for name, scores in baseline_scores.items()
    }
    rival = names.reference(baseline_scores)
    weights = rows.weights
    return Findings(
        metrics=model.metrics(),
        baselines={name: other.metrics() for name, other in others.items()},
        differences={name: model.less(other) for name, other in others.items()},
        members={name: judge.measure(s, only=names.HEADLINE).metrics() for name, s in run.members.items()},
        compared={"imbalance": compare(judge, run.imbalance), "synthetic": compare(judge, run.synthetic)},
        folds=by_fold(judge, {"model": run.scores, rival: baseline_scores[rival]}),
        by_day=by_day(judge, run.scores),
        budgets=by_budget(judge, {"model": run.scores, rival: baseline_scores[rival]}),
        slices=slices(judge, run),
        savings=savings.curve(rows, run),
        calibration=calibrated(judge, run),
        drift=drifted(rows, run.scores),
        equality=equality(judge, run),
        prevalence=float(weights[rows.labels == 1].sum() / weights.sum()),
        days=len(np.unique(rows.days)),
    )


def compare(
    judge: judges.Judge, scores: Mapping[str, evidence.Floats]
) -> dict[str, tuple[intervals.Intervals, intervals.Intervals]]:
    """Return each method's headline metrics, and their paired differences to the first method's."""
    measured = {name: judge.measure(each, only=names.HEADLINE) for name, each in scores.items()}
    first = next(iter(measured.values()), None)
    return {name: (each.metrics(), each.less(first)) for name, each in measured.items() if first is not None}


def by_fold(judge: judges.Judge, scores: Mapping[str, evidence.Floats]) -> list[dict[str, Any]]:
    """Return one row per fold: number, and for each of ``scores`` its headline metrics."""
    values = {name: judge.by_fold(each) for name, each in scores.items()}
    count = len(next(iter(values.values())))
    return [
        {"fold": fold + 1, **{name: _finite(each[fold], names.HEADLINE) for name, each in values.items()}}
        for fold in range(count)
    ]


def _finite(values: Mapping[str, float], wanted: tuple[str, ...]) -> dict[str, float]:
    return {name: values[name] for name in wanted if name in values and np.isfinite(values[name])}


def mean_and_deviation(folds: list[dict[str, Any]], who: str, metric: str) -> tuple[float, float] | None:
    """Return mean and standard deviation of a metric over the folds, as the Handbook's tables give them."""
    values = [fold[who][metric] for fold in folds if metric in fold[who]]
    return (float(np.mean(values)), float(np.std(values))) if values else None


def within_budget(rows: evidence.Rows, scores: evidence.Floats, alerts: int) -> evidence.Bools:
    """Return (n,) which rows are among the ``alerts`` most suspicious of their fold and day."""
    order = np.lexsort((-scores, rows.days, rows.folds))
    day = np.cumsum((np.diff(rows.days[order], prepend=-1) != 0) | (np.diff(rows.folds[order], prepend=-1) != 0))
    total = np.cumsum(rows.weights[order]) - rows.weights[order]
    start = np.concatenate([[0.0], total[np.flatnonzero(np.diff(day)) + 1]])
    inside = np.zeros(len(rows), bool)
    inside[order] = total - start[day - 1] < alerts
    return inside


def by_day(judge: judges.Judge, scores: evidence.Floats) -> list[dict[str, Any]]:
    """Return one row per fold and day: how many frauds there were and how many were caught in the budget."""
    rows = judge.rows
    caught = within_budget(rows, scores, judge.costs.alerts_per_day)
    found = []
    for fold, day in np.unique(np.stack([rows.folds, rows.days], axis=1), axis=0):
        inside = (rows.folds == fold) & (rows.days == day)
        fraud = inside & (rows.labels == 1)
        found.append(
            {
                "fold": int(fold) + 1,
                "day": rows.day_names[int(day)],
                "n": int(inside.sum()),
                "frauds": int(fraud.sum()),
                "caught_in_budget": int((caught & fraud).sum()),
            }
        )
    return found


def by_budget(judge: judges.Judge, scores: Mapping[str, evidence.Floats]) -> list[dict[str, Any]]:
    """Return one row per budget: alerts a day, and precision and recall of each of ``scores``."""
    rows = judge.rows
    fraud = rows.weights * (rows.labels == 1)
    table = []
    for alerts in BUDGETS:
        row: dict[str, Any] = {"alerts": alerts}
        for name, each in scores.items():
            inside = within_budget(rows, each, alerts)
            row[name] = {
                "precision": float(fraud[inside].sum() / max(rows.weights[inside].sum(), 1e-12)),
                "recall": float(fraud[inside].sum() / max(fraud.sum(), 1e-12)),
            }
        table.append(row)
    return table


def slices(judge: judges.Judge, run: evidence.Run) -> list[dict[str, Any]]:
    """Return one row per scenario, band of amounts and group: how much of its fraud is caught, how precisely."""
    rows = judge.rows
    kinds: dict[str, evidence.Bools] = {}
    if rows.scenarios is not None:
        for name in np.unique(rows.scenarios[rows.labels == 1].astype(str)):
            kinds[f"scenario={name}"] = np.asarray((rows.scenarios == name) & (rows.labels == 1))
    kinds |= {f"amount={name}": inside for name, inside in amount_bands(rows.amounts).items()}
    if rows.groups is not None:
        kinds |= {f"group={name}": np.asarray(rows.groups == name) for name in np.unique(rows.groups.astype(str))}
    caught = within_budget(rows, run.scores, judge.costs.alerts_per_day)
    return [_slice(judge, name, inside, caught, run.scores >= run.thresholds) for name, inside in kinds.items()]


def _slice(
    judge: judges.Judge, name: str, inside: evidence.Bools, caught: evidence.Bools, alerted: evidence.Bools
) -> dict[str, Any]:
    fraud = judge.rows.labels == 1

    def share(hits: evidence.Bools, among: evidence.Bools) -> intervals.Interval | None:
        return proportions.proportion_among(hits, among, units=judge.units.code)

    return {
        "name": name,
        "n": int(inside.sum()),
        "positives": int((inside & fraud).sum()),
        "metrics": {
            "recall_in_budget": share(caught, inside & fraud),
            "sensitivity": share(alerted, inside & fraud),
            "precision": share(fraud, inside & alerted),
        },
    }


def amount_bands(amounts: evidence.Floats) -> dict[str, evidence.Bools]:
    """Return the bands of amounts that occur, each as a mask (n,); a band holds its upper edge."""
    labels = [f"at most {AMOUNT_EDGES[0]:g}"]
    labels += [f"{low:g} to {high:g}" for low, high in itertools.pairwise(AMOUNT_EDGES)]
    labels += [f"above {AMOUNT_EDGES[-1]:g}"]
    place = np.searchsorted(AMOUNT_EDGES, amounts, side="left")
    return {label: place == index for index, label in enumerate(labels) if (place == index).any()}


def calibrated(judge: judges.Judge, run: evidence.Run) -> dict[str, Any]:
    """Return the reliability of the probabilities, in bins of equal counts; rows are not weighted in the diagram."""
    rows = judge.rows
    if not np.allclose(rows.weights, 1.0):
        return {"method": "Platt scaling, fitted on validation data with the rows' weights"}
    reliability = calibration.reliability(rows.labels, run.scores, bins=15, units=judge.units.code)
    return {"method": "Platt scaling, fitted on validation data", "reliability": reliability}


def drifted(rows: evidence.Rows, scores: evidence.Floats) -> list[dict[str, Any]]:
    """Return the population stability index of each input and of the score, validation against these rows."""
    columns = {**rows.columns, "score": scores}
    reference = {**rows.reference_columns, "score": rows.reference_scores}
    known = [name for name, values in columns.items() if np.isfinite(values).any()]
    known = [name for name in known if np.isfinite(reference[name]).any()]
    compared = drift.compare(
        drift.reference({name: reference[name] for name in known}), {name: columns[name] for name in known}
    )
    return [{"column": row["name"], "psi": row["psi"], "large": row["psi"] > PSI_ACT} for row in compared]


def equality(judge: judges.Judge, run: evidence.Run) -> dict[str, Any]:
    """Return each group's false positive rate at the frozen threshold, and smallest over largest (1 is equal)."""
    rows = judge.rows
    if rows.groups is None:
        return {}
    alerted, genuine = run.scores >= run.thresholds, rows.labels == 0
    table: list[dict[str, Any]] = []
    for name in np.unique(rows.groups.astype(str)):
        among = np.asarray(genuine & (rows.groups == name))
        rate = proportions.proportion_among(alerted, among, units=judge.units.code)
        if rate is not None:
            table.append({"group": str(name), "n": int(among.sum()), "false_positive_rate": rate})
    rates = [row["false_positive_rate"].value for row in table]
    ratio = min(rates) / max(rates) if rates and max(rates) > 0 else None
    return {"groups": table, "ratio": ratio}


def operating_points(findings: Findings, run: evidence.Run) -> list[dict[str, Any]]:
    """Return the frozen threshold, the budget, and recall at fixed false positive rates."""
    found = findings.metrics
    points: list[dict[str, Any]] = [
        {
            "name": "frozen threshold",
            "rule": run.rule,
            "threshold": float(run.thresholds[-1]),
            **{n: found.get(n) for n in ("precision", "sensitivity", "alerts_per_day", "net_savings_per_day")},
        },
        {
            "name": "budget",
            "rule": f"the {run.costs.alerts_per_day} most suspicious transactions of each day",
            **{n: found.get(n) for n in ("precision_in_budget", "recall_in_budget", "value_recall_in_budget")},
        },
    ]
    rates = names.FALSE_POSITIVE_RATES
    return points + [
        {"name": f"false positive rate {rate:g}", "recall": found.get(f"recall_at_fpr_{rate:g}")} for rate in rates
    ]
