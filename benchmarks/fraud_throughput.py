"""Scoring a Parquet file of 10 million transactions through ``predict``, and XGBoost on the same arrays, in one run.

``predict`` runs the bundle twice: as one compiled function, and as the SavedModel. Trains the smoke preset first
(``--run-dir`` names another run). ``python -m benchmarks.fraud_throughput``
"""

import argparse
import pathlib
import resource
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np
import pandas as pd
import psutil

from apps.fraud_detection import preprocessing, simulator
from benchmarks import results

CUSTOMERS_PER_MILLION = 2_790
COMPARED_ROWS = 500_000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows-in-millions", type=float, default=10)
    parser.add_argument("--run-dir", type=pathlib.Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        run = arguments.run_dir or folder / "run"
        if arguments.run_dir is None:
            call(["train", "--preset", "smoke", "--run-dir", str(run), "--quiet"])
        world = simulator.World(
            customers=round(CUSTOMERS_PER_MILLION * arguments.rows_in_millions),
            terminals=round(2 * CUSTOMERS_PER_MILLION * arguments.rows_in_millions),
        )
        started = time.perf_counter()
        rows = simulator.write(world, folder / "many.parquet")
        print(f"simulated and wrote {rows:,} transactions in {time.perf_counter() - started:.0f} s")
        bundle = folder / "bundle"
        call(["export", "--run-dir", str(run), "--output-dir", str(bundle), "--quiet"])
        rates, spent, peaks = {}, {}, {}
        for name, flags in (("fused", []), ("tensorflow", ["--engine", "tensorflow"])):
            words = [
                "--model-dir",
                str(bundle),
                str(folder / "many.parquet"),
                "--output",
                str(folder / f"{name}.parquet"),
            ]
            seconds, peaks[name], spent[name] = call(["predict", *words, *flags])
            rates[name] = rows / seconds
        results.record(
            f"Fraud: predict of a bundle, {rows:,} rows with reading, histories and writing",
            [rates["fused"]],
            unit="rows/s",
            goal=results.Goal(value=200_000),
            processor_seconds=spent["fused"],
            note=f"{rows / spent['fused']:,.0f} rows a second of one core; {peaks['fused'] / 2**30:.2f} GiB at most",
        )
        results.record(
            "Fraud: predict with the fused ensemble beside the SavedModel",
            [rates["fused"]],
            unit="rows/s",
            ratio=spent["tensorflow"] / spent["fused"],
            peer="the SavedModel's rows for a second of one core (TensorFlow 2.21)",
            note=same(folder),
        )
        compare(run, folder / "many.parquet")


def same(folder: pathlib.Path) -> str:
    """Say how far the scores of both are apart."""
    fused, plain = (pd.read_parquet(folder / f"{name}.parquet") for name in ("fused", "tensorflow"))
    changed = int((fused["decision"] != plain["decision"]).sum())
    worst = float((fused["score"] - plain["score"]).abs().max())
    return f"scores differ by at most {worst:.1e}, {changed} of {len(fused):,} decisions by the last bits"


def call(arguments: list[str]) -> tuple[float, float, float]:
    """Run a verb, and return its seconds, its peak memory in bytes, and the seconds of processors."""
    started, spent = time.perf_counter(), spent_by_children()
    process = subprocess.Popen(
        [sys.executable, "-m", "apps.fraud_detection", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    peak = [0.0]

    def watch() -> None:
        while process.poll() is None:
            try:
                peak[0] = max(peak[0], psutil.Process(process.pid).memory_info().rss)
            except psutil.NoSuchProcess:
                return
            time.sleep(0.05)

    watcher = threading.Thread(target=watch)
    watcher.start()
    errors = process.communicate()[1]
    watcher.join()
    if process.returncode:
        raise SystemExit(errors.decode())
    return time.perf_counter() - started, peak[0], spent_by_children() - spent


def spent_by_children() -> float:
    """Return the seconds of processors of the processes that have ended."""
    found = resource.getrusage(resource.RUSAGE_CHILDREN)
    return found.ru_utime + found.ru_stime


def compare(run: pathlib.Path, path: pathlib.Path) -> None:
    """Time the networks and boosted trees on the same arrays in memory."""
    from shared.training import runtime

    runtime.quiet_logs()
    from apps.fraud_detection import baselines, inputs
    from apps.fraud_detection import run as loaded_run
    from apps.fraud_detection.readers import sources

    scorer = loaded_run.open_run(run).newest
    booked = next(sources.iterate([str(path)], scorer.inputs.schema, chunk_rows=COMPARED_ROWS))
    history = inputs.compute_history(booked, scorer.inputs.schema)
    arrays = preprocessing.arrays(scorer.inputs, booked, history, np.arange(len(booked)))
    trees = baselines.fit_trees(arrays, booked.labels, seed=0)
    for name, score in (("networks", scorer.scores), ("XGBoost, 400 trees", trees)):
        score(arrays)
        started = time.perf_counter()
        score(arrays)
        print(f"{name}: {len(booked) / (time.perf_counter() - started):,.0f} rows/s on arrays in memory")


if __name__ == "__main__":
    main()
