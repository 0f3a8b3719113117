"""How runs of this app are compared: what names a transaction in ``predictions.parquet``, and which metrics."""

import numpy as np
import pandas as pd

from apps.fraud_detection import decision, evaluate, metrics
from shared import files
from shared.runs import comparing


def compare(first: comparing.Tested, second: comparing.Tested, clusters: comparing.Ints) -> comparing.Compared:
    """Compare two runs by the costs and the budget of the first: metrics are means over the folds."""
    costs = _costs(first)
    found = [
        evaluate.Evaluator(rows=_rows(each.table, clusters), costs=costs, resamples=first.resamples, seed=0).resampled(
            each.table["score"].to_numpy(np.float64),
            thresholds=each.table["threshold"].to_numpy(np.float64),
            calibrated=True,
        )
        for each in (first, second)
    ]
    return comparing.paired(*found)


def _costs(run: comparing.Tested) -> decision.Costs:
    rule = files.read_json(run.run.decision)
    return decision.Costs(
        investigation=rule["investigation_cost"],
        recovered_share=rule["recovered_share"],
        alerts_per_day=rule["alerts_per_day"],
    )


def _rows(table: pd.DataFrame, clusters: comparing.Ints) -> metrics.Rows:
    days, names = pd.factorize(table["day"])
    count = len(np.unique(clusters))
    return metrics.Rows(
        ids=table["id"].to_numpy(),
        folds=table["fold"].to_numpy(np.int64) - 1,
        days=days.astype(np.int64),
        day_names=dict(enumerate(names)),
        amounts=table["amount"].to_numpy(np.float64),
        labels=np.asarray(table["label"] == "fraud", np.int64),
        payers=clusters,
        has_payer=1 < count < len(clusters),
        weights=table["weight"].to_numpy(np.float64),
        columns={},
        reference_columns={},
        reference_scores=np.zeros(0),
    )


COMPARISON = comparing.App(
    keys=("id", "fold"),
    cluster="payer",
    truth=lambda _columns: ["label", "amount"],
    compare=compare,
    positive="fraud",
)
