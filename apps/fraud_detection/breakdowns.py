"""What is caught by day, by budget of alerts, by slice and by group, and what thresholds save. No TensorFlow here."""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from apps.fraud_detection import decision as decision_rule
from apps.fraud_detection import metrics
from shared.evaluation import intervals

AMOUNT_EDGES = (10.0, 50.0, 100.0, 220.0, 500.0)
BUDGETS = (10, 25, 50, 100, 200, 500)
POINTS = 60


def within_budget(rows: metrics.Rows, scores: metrics.Floats, alerts: int) -> metrics.Bools:
    """Return (n,) which rows are among the ``alerts`` most suspicious of their fold and day."""
    order = np.lexsort((-scores, rows.days, rows.folds))
    day = np.cumsum((np.diff(rows.days[order], prepend=-1) != 0) | (np.diff(rows.folds[order], prepend=-1) != 0))
    total = np.cumsum(rows.weights[order]) - rows.weights[order]
    start = np.concatenate([[0.0], total[np.flatnonzero(np.diff(day)) + 1]])
    inside = np.zeros(len(rows), bool)
    inside[order] = total - start[day - 1] < alerts
    return inside


def by_day(rows: metrics.Rows, scores: metrics.Floats, alerts: int) -> list[dict[str, Any]]:
    """Return one row per fold and day: how many frauds there were and how many were caught in the budget."""
    caught = within_budget(rows, scores, alerts)
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


def by_budget(rows: metrics.Rows, scores: Mapping[str, metrics.Floats]) -> list[dict[str, Any]]:
    """Return one row per budget: alerts a day, and precision and recall of each of ``scores``."""
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


def savings(
    rows: metrics.Rows, scores: metrics.Floats, thresholds: metrics.Floats, costs: decision_rule.Costs
) -> dict[str, Any]:
    """Return net savings per day against the share of transactions alerted.

    Savings are the recovered share of the amounts of alerted frauds, less the cost of looking at every alert
    (Correa Bahnsen et al. 2013). ``hindsight`` is the best of all thresholds on these very rows: a bound, not a result.
    """
    gain = (rows.labels == 1) * rows.amounts * costs.recovered_share - costs.investigation
    order = np.argsort(-scores, kind="stable")
    days = len(np.unique(np.stack([rows.folds, rows.days]), axis=1).T)
    saved = np.concatenate([[0.0], np.cumsum((gain * rows.weights)[order])]) / days
    alerts = np.concatenate([[0.0], np.cumsum(rows.weights[order])]) / days
    best = int(np.argmax(saved))
    alerted = scores >= thresholds
    everything = float((rows.labels * rows.amounts * rows.weights).sum() / days * costs.recovered_share)
    reach = int(np.searchsorted(alerts, max(4 * costs.alerts_per_day, 2 * alerts[best], 1.0)))
    places = np.unique(np.linspace(0, min(reach, len(alerts) - 1), POINTS).astype(int))
    return {
        "alerts_per_day": alerts[places].tolist(),
        "net_savings_per_day": saved[places].tolist(),
        "frozen": {
            "alerts_per_day": float((rows.weights * alerted).sum() / days),
            "net_savings_per_day": float((gain * rows.weights)[alerted].sum() / days),
        },
        "hindsight": {"alerts_per_day": float(alerts[best]), "net_savings_per_day": float(saved[best])},
        "perfect_per_day": everything,
        "investigation_cost": costs.investigation,
        "recovered_share": costs.recovered_share,
    }


def slices(rows: metrics.Rows, scores: metrics.Floats, thresholds: metrics.Floats, alerts: int) -> list[dict[str, Any]]:
    """Return one row per scenario, band of amounts and group: how much of its fraud is caught, how precisely."""
    kinds: dict[str, metrics.Bools] = {}
    if rows.scenarios is not None:
        for name in np.unique(rows.scenarios[rows.labels == 1].astype(str)):
            kinds[f"scenario={name}"] = np.asarray((rows.scenarios == name) & (rows.labels == 1))
    kinds |= {f"amount={name}": inside for name, inside in amount_bands(rows.amounts).items()}
    if rows.groups is not None:
        kinds |= {f"group={name}": np.asarray(rows.groups == name) for name in np.unique(rows.groups.astype(str))}
    fraud, alerted = rows.labels == 1, scores >= thresholds
    caught = within_budget(rows, scores, alerts)

    def share(hits: metrics.Bools, among: metrics.Bools) -> intervals.Interval | None:
        return intervals.proportion_among(hits, among, units=rows.payers)

    return [
        {
            "name": name,
            "n": int(inside.sum()),
            "positives": int((inside & fraud).sum()),
            "metrics": {
                "recall_in_budget": share(caught, inside & fraud),
                "sensitivity": share(alerted, inside & fraud),
                "precision": share(fraud, inside & alerted),
            },
        }
        for name, inside in kinds.items()
    ]


def amount_bands(amounts: metrics.Floats) -> dict[str, metrics.Bools]:
    """Return the bands of amounts that occur, each as a mask (n,); a band holds its upper edge."""
    labels = [f"at most {AMOUNT_EDGES[0]:g}"]
    labels += [f"{low:g} to {high:g}" for low, high in itertools.pairwise(AMOUNT_EDGES)]
    labels += [f"above {AMOUNT_EDGES[-1]:g}"]
    place = np.searchsorted(AMOUNT_EDGES, amounts, side="left")
    return {label: place == index for index, label in enumerate(labels) if (place == index).any()}


def equality(rows: metrics.Rows, scores: metrics.Floats, thresholds: metrics.Floats) -> dict[str, Any]:
    """Return each group's false positive rate at the frozen threshold, and smallest over largest (1 is equal)."""
    if rows.groups is None:
        return {}
    alerted, genuine = scores >= thresholds, rows.labels == 0
    table: list[dict[str, Any]] = []
    for name in np.unique(rows.groups.astype(str)):
        among = np.asarray(genuine & (rows.groups == name))
        rate = intervals.proportion_among(alerted, among, units=rows.payers)
        if rate is not None:
            table.append({"group": str(name), "n": int(among.sum()), "false_positive_rate": rate})
    rates = [row["false_positive_rate"].value for row in table]
    return {"groups": table, "ratio": min(rates) / max(rates) if rates and max(rates) > 0 else None}
