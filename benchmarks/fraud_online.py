"""One transaction at a time: history from the SQLite store, score from a bundle. Latencies, in one run.

Trains a small ensemble, fills the store with its data, replays the end. ``python -m benchmarks.fraud_online``
"""

import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

from apps.fraud_detection import config, data

REPLAYED = 2_000


def main() -> None:
    from shared.training import runtime

    runtime.quiet_logs()
    from apps.fraud_detection import online, stores
    from shared.bundle import reading as bundle

    settings = config.Config.smoke().replace({"customers": 1_000, "terminals": 2_000, "days": 45})
    booked = data.load(settings)
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        verb("train", "--preset", "smoke", "--run-dir", str(folder / "run"), "--quiet")
        verb("export", "--run-dir", str(folder / "run"), "--output-dir", str(folder / "bundles"), "--quiet")
        scorer = online.Scorer(bundle.load(folder / "bundles"), stores.SqliteStore(folder / "state.db"))
        all_rows = [transaction(booked, row) for row in range(len(booked))]
        started = time.perf_counter()
        for each in all_rows[:-REPLAYED]:
            scorer.remember(each, label=0)
        filled = len(all_rows) - REPLAYED
        print(f"store: {filled:,} transactions remembered, {filled / (time.perf_counter() - started):,.0f} a second")
        for reasons in (False, True):
            milliseconds = []
            for each in all_rows[-REPLAYED:]:
                started = time.perf_counter()
                scorer.score(each, reasons=reasons)
                milliseconds.append(1_000 * (time.perf_counter() - started))
            median, p99 = np.quantile(milliseconds, [0.5, 0.99])
            what = "score and reasons" if reasons else "score"
            print(f"{what}: median {median:.1f} ms, p99 {p99:.1f} ms over {REPLAYED:,} transactions")


def transaction(booked, row):  # type: ignore[no-untyped-def]
    from apps.fraud_detection import online

    parties = {role: str(values[row]) for role, values in booked.entities.items()}
    return online.Transaction(
        identity=str(booked.ids[row]), time=int(booked.time[row]), amount=float(booked.amount[row]), parties=parties
    )


def verb(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "apps.fraud_detection", *arguments], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
