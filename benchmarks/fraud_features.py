"""Features of 1.8 million simulated transactions, beside pandas' groupby-rolling, in one run; the values are compared.

pandas computes counts and mean amounts of both entities over 1, 7 and 30 days, and the sums that risks are made of:
18 of the 28 columns that we compute. ``python -m benchmarks.fraud_features``
"""

import time

import numpy as np
import pandas as pd

from apps.fraud_detection import config, features, prepare

DELAY_DAYS = 7.0


def main() -> None:
    booked = prepare.load_source(config.Config.default())
    books = booked.books()
    started = time.perf_counter()
    found = features.compute(books, label_delay_days=DELAY_DAYS)
    ours = time.perf_counter() - started
    table = pd.DataFrame(
        {
            "time": booked.time.astype("datetime64[us]"),
            "amount": booked.amount,
            "fraud": (booked.labels == 1).astype(float),
            **booked.entities,
        }
    )
    started = time.perf_counter()
    rolled = {role: rolling(table, role) for role in booked.entities}
    theirs = time.perf_counter() - started
    worst = max(
        float(np.max(np.abs(found[f"{role}_{name}"] - values) / np.maximum(np.abs(values), 1)))
        for role, columns in rolled.items()
        for name, values in columns.items()
    )
    print(f"{len(booked):,} transactions: fieldnets {ours:.1f} s, {len(found)} columns; pandas {theirs:.1f} s")
    print(f"ratio {theirs / ours:.1f}; largest relative difference {worst:.1e}")


def rolling(table: pd.DataFrame, role: str) -> dict[str, np.ndarray]:
    """Return the counts, mean amounts and risks of one entity, in the order of ``table``."""
    groups = table.set_index("time").groupby(role)
    order = table.sort_values([role, "time"], kind="stable").index
    found: dict[str, np.ndarray] = {}

    def put(name: str, values: pd.Series) -> None:
        column = np.empty(len(table))
        column[order] = values.to_numpy()
        found[name] = column

    delayed = {}
    for days in (0, *features.WINDOW_DAYS):
        window = f"{round((DELAY_DAYS + days) * 24)}h"
        delayed[days] = [groups["fraud"].rolling(window).agg(how) for how in ("sum", "count")]
    for days in features.WINDOW_DAYS:
        put(f"count_{days}d", groups["amount"].rolling(f"{days}D").count())
        put(f"mean_amount_{days}d", groups["amount"].rolling(f"{days}D").mean())
        frauds, judged = (late - early for late, early in zip(delayed[days], delayed[0], strict=True))
        put(f"risk_{days}d", (frauds / judged.where(judged > 0)).fillna(0))
    return found


if __name__ == "__main__":
    main()
