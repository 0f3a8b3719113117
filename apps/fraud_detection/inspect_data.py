"""What plain models see of labelled transactions before training: amount, time, and every column that is read."""

import numpy as np
import pandas as pd

from apps.fraud_detection import features, transactions
from shared.evaluation import inspection

# All frauds up to this many, and as many genuine transactions.
MOST_OF_EACH = 3_000


def inspected(found: transactions.Transactions, split: object, *, seed: int) -> inspection.Inspected | None:
    """Return what plain models see of the labelled transactions, half of them frauds; None without labels."""
    del split
    units = np.unique(found.payers.astype(str), return_inverse=True)[1].astype(np.int64)
    rows = np.sort(np.concatenate([_drawn(found, units, label, seed=seed) for label in (0, 1)]))
    if len(np.unique(found.labels[rows])) < 2:
        return None
    columns = _columns(found, rows)
    return inspection.Inspected(
        names=[f"transaction {found.ids[row]}" for row in rows],
        labels=np.eye(2)[found.labels[rows]],
        class_names=("genuine", "fraud"),
        exclusive=True,
        units=units[rows],
        columns=columns,
        matrix=_matrix(columns),
        show=lambda row: ", ".join(f"{name} {value}" for name, value in columns.iloc[row].items()),
        left_out=(
            f"Of {int((found.labels != transactions.UNKNOWN).sum()):,} labelled transactions {len(rows):,} were drawn, "
            "by payer: frauds, and about as many genuine ones."
        ),
    )


def _drawn(found: transactions.Transactions, units: inspection.Ints, label: int, *, seed: int) -> inspection.Ints:
    of_class = np.flatnonzero(found.labels == label).astype(np.int64)
    frauds = int((found.labels == 1).sum())
    return inspection.drawn(of_class, units[of_class], most=min(MOST_OF_EACH, max(frauds, inspection.FOLDS)), seed=seed)


def _columns(found: transactions.Transactions, rows: inspection.Ints) -> pd.DataFrame:
    of_day = (found.time[rows] % features.DAY) / features.DAY * 24
    facts: dict[str, object] = {"hour of the day": np.floor(of_day)}
    if found.calendar:
        facts["weekday"] = pd.to_datetime(found.time[rows], unit="us").day_name()
    if found.schema.amount is not None:
        facts["amount"] = found.amount[rows]
    facts |= {name: values[rows].astype(np.float64) for name, values in found.numeric.items()}
    facts |= {name: values[rows] for name, values in found.categorical.items()}
    return pd.DataFrame(facts)


def _matrix(columns: pd.DataFrame) -> inspection.Floats:
    """Return ranks of numbers, missing ones in the middle, and each frequent name as a column of 0 and 1."""
    numbers = columns.select_dtypes("number")
    ranks = numbers.rank(pct=True).fillna(0.5).to_numpy(np.float64)
    names = columns.drop(columns=numbers.columns).astype(str)
    frequent = {
        name: values.where(values.isin(values.value_counts().index[:20]), "other") for name, values in names.items()
    }
    coded = pd.get_dummies(pd.DataFrame(frequent)).to_numpy(np.float64) if frequent else np.empty((len(columns), 0))
    return np.concatenate([ranks, coded], axis=1)
