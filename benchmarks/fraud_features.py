"""Features of 1.8 million simulated transactions, beside pandas' groupby-rolling, in one run; the values are compared.

pandas computes the same columns in the straightforward way, for both entities: counts, mean amounts and delayed risks
over 1, 7 and 30 days, time since the last, mean and maximum before. ``python -m benchmarks.fraud_features``
"""

import statistics
import time

import numpy as np
import pandas as pd

from apps.fraud_detection import config, data, features

DELAY_DAYS = 7.0


def main() -> None:
    booked = data.load(config.Config.default())
    books = booked.books()
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        found = features.compute(books, label_delay_days=DELAY_DAYS)
        seconds.append(time.perf_counter() - started)
    ours = statistics.median(seconds)
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
    # pandas leaves all transactions of one instant out of what came before; we leave out those that were booked later.
    compared = {f"{role}_{name}": values for role, columns in rolled.items() for name, values in columns.items()}
    compared = {name: values for name, values in compared.items() if "usual" not in name and "ratio" not in name}
    worst = max(
        float(np.max(np.abs(found[name] - values) / np.maximum(np.abs(values), 1))) for name, values in compared.items()
    )
    print(f"{len(booked):,} transactions: fieldnets {ours:.1f} s, {len(found)} columns; pandas {theirs:.1f} s")
    print(f"ratio {theirs / ours:.1f}; largest relative difference of {len(compared)} columns {worst:.1e}")


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
    put("judged_30d", delayed[30][1] - delayed[0][1])
    before = groups["amount"].rolling("30D", closed="left")
    usual, largest = before.mean(), before.max()
    amount = table["amount"].to_numpy()[order]
    put("usual_amount", usual.fillna(0))
    put("amount_ratio", (amount / usual.where(usual > 0)).fillna(1))
    put("maximum_ratio", (amount / largest.where(largest > 0)).fillna(1))
    gap = table.groupby(role)["time"].diff().dt.total_seconds().fillna(np.inf).clip(upper=30 * 86_400)
    found["hours_since_last"] = (gap / 3_600).to_numpy()
    return found


if __name__ == "__main__":
    main()
