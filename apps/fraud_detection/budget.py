"""What is caught within budgets of alerts, and what thresholds save. No TensorFlow here."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from apps.fraud_detection import metrics

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
    rows: metrics.Rows, scores: metrics.Floats, thresholds: metrics.Floats, costs: metrics.Costs
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
