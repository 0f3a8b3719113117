"""Money: what thresholds save, with the frozen one and the best one in hindsight. No TensorFlow here."""

from typing import Any

import numpy as np

from apps.fraud_detection.judgement import evidence

POINTS = 60


def curve(rows: evidence.Rows, run: evidence.Run) -> dict[str, Any]:
    """Return net savings per day against the share of transactions alerted.

    Savings are the recovered share of the amounts of alerted frauds, less the cost of looking at every alert
    (Correa Bahnsen et al. 2013). ``hindsight`` is the best of all thresholds on these very rows: a bound, not a result.
    """
    gain = (rows.labels == 1) * rows.amounts * run.costs.recovered_share - run.costs.investigation
    order = np.argsort(-run.scores, kind="stable")
    days = len(np.unique(np.stack([rows.folds, rows.days]), axis=1).T)
    saved = np.concatenate([[0.0], np.cumsum((gain * rows.weights)[order])]) / days
    alerts = np.concatenate([[0.0], np.cumsum(rows.weights[order])]) / days
    best = int(np.argmax(saved))
    alerted = run.scores >= run.thresholds
    everything = float((rows.labels * rows.amounts * rows.weights).sum() / days * run.costs.recovered_share)
    reach = int(np.searchsorted(alerts, max(4 * run.costs.alerts_per_day, 2 * alerts[best], 1.0)))
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
        "investigation_cost": run.costs.investigation,
        "recovered_share": run.costs.recovered_share,
    }
