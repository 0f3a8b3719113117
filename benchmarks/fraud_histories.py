"""Histories of 10^5 to 10^8 transactions: time, memory of all processes, growth.

Each size is a world of its own with as many transactions a card, written to Parquet by a generator that is faster than
the app's simulator; ``fraud-detection histories`` then runs as a process of its own, whose memory, with that of
its workers, is read ten times a second. A size that would not end in time is named and left out.

    python -m benchmarks.fraud_histories --sizes 5 6 7 8 --minutes 15 --workers 2
    python -m benchmarks.fraud_histories --partitioning     # plain records against DuckDB
"""

import argparse
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import numpy as np
import psutil
import pyarrow
import pyarrow.parquet

from benchmarks import results
from shared import machine

# As the app's default world has: a card pays every other day for half a year; a terminal is used by many cards.
ROWS_PER_CARD, ROWS_PER_TERMINAL, DAYS = 360, 180, 183
CHUNK = 1 << 20
LATEST = 1.3


def tables(rows: int, seed: int = 0) -> Iterator[pyarrow.Table]:
    """Yield transactions in order of time, in pieces."""
    seconds = DAYS * 86_400
    for first in range(0, rows, CHUNK):
        rng = np.random.default_rng([seed, first])
        count = min(CHUNK, rows - first)
        when = (first + np.arange(count) + rng.random(count)) / rows * seconds
        yield pyarrow.table(
            {
                "TRANSACTION_ID": np.arange(first, first + count),
                "TX_DATETIME": np.datetime64("2018-04-01", "s") + when.astype("timedelta64[s]"),
                "CUSTOMER_ID": rng.integers(0, max(rows // ROWS_PER_CARD, 1), count),
                "TERMINAL_ID": rng.integers(0, max(rows // ROWS_PER_TERMINAL, 1), count),
                "TX_AMOUNT": rng.integers(1, 20_000, count) / 100,
                "TX_FRAUD": (rng.random(count) < 0.01).astype(np.int64),
            }
        )


def write(rows: int, path: pathlib.Path) -> None:
    found = tables(rows)
    first = next(found)
    with pyarrow.parquet.ParquetWriter(path, first.schema, compression="none", use_dictionary=False) as writer:
        writer.write_table(first)
        for table in found:
            writer.write_table(table)


def run(path: pathlib.Path, output: pathlib.Path, *, workers: int, memory: str) -> tuple[float, float, float]:
    """Return seconds, seconds of processors, and the highest sum of the resident memory of all processes, in GiB."""
    words = ["histories", "--data", str(path), "--output", str(output), "--quiet"]
    command = [*machine.python_command("apps.fraud_detection"), *words, "--workers", str(workers), "--memory", memory]
    started, spent, highest = time.perf_counter(), spent_by_children(), 0
    process = subprocess.Popen(command, env=machine.python_environment(), stdout=subprocess.DEVNULL)
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        highest = max(highest, resident(watched))
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return time.perf_counter() - started, spent_by_children() - spent, highest / 2**30


def spent_by_children() -> float:
    found = resource.getrusage(resource.RUSAGE_CHILDREN)
    return found.ru_utime + found.ru_stime


def resident(process: psutil.Process) -> int:
    total = 0
    for each in [process, *children(process)]:
        try:
            total += each.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def growth(sizes: list[int], minutes: float, workers: int, memory: str, folder: pathlib.Path) -> None:
    began, done = time.perf_counter(), []
    for exponent in sizes:
        left = 60 * minutes - (time.perf_counter() - began)
        expected = LATEST * 10 * done[-1][1] if done else 0.0
        if expected > left:
            print(f"10^{exponent}: not reached: some {expected:,.0f} s expected, {left:,.0f} s left", flush=True)
            break
        path, output = folder / "rows.parquet", folder / "histories"
        started = time.perf_counter()
        write(10**exponent, path)
        written = time.perf_counter() - started
        seconds, processor, gibibytes = run(path, output, workers=workers, memory=memory)
        done.append((10**exponent, seconds, processor))
        results.record(
            f"Fraud histories: 10^{exponent} transactions",
            [seconds],
            unit="s",
            processor_seconds=processor,
            note=f"{gibibytes:.2f} GiB of all processes at most, limit {memory}, {workers} workers",
        )
        print(
            f"10^{exponent}: {seconds:,.1f} s ({processor:,.1f} s of cores), {10**exponent / seconds:,.0f} rows/s, "
            f"{gibibytes:.2f} GiB at most (limit {memory}, {workers} workers); generated in {written:,.1f} s",
            flush=True,
        )
        shutil.rmtree(output)
        path.unlink()
    # A process takes seconds to begin with: the slope of the larger sizes says how time grows. On a machine that others
    # use, too, the time of processors says more.
    if len(done) < 2:
        return
    rows, seconds, processors = np.log10(np.array(done)).T
    for first in range(len(done) - 1):
        slopes = [np.polyfit(rows[first:], each[first:], 1)[0] for each in (seconds, processors)]
        print(
            f"slope of log time on log rows from 10^{rows[first]:.0f} to 10^{rows[-1]:.0f}: {slopes[0]:.2f}; of "
            f"processors {slopes[1]:.2f}"
        )


def partitioning(exponent: int, folder: pathlib.Path) -> None:
    """Write the rows of a file by entity, in two ways; both get Arrow tables, as checked rows are none of a file's."""
    import duckdb

    from apps.fraud_detection import partitions
    from apps.fraud_detection.readers import sources

    path, number = folder / "rows.parquet", 32
    write(10**exponent, path)
    started = time.perf_counter()
    with partitions.Writer(folder / "plain", ["customer", "terminal"], number) as writer:

        def consume(_schema, pieces):  # type: ignore[no-untyped-def]
            rows = 0
            for piece in pieces:
                writer.add(piece.rows, rows)
                rows += len(piece.rows)
            return rows

        sources.stream([str(path)], consume)
    plain = time.perf_counter() - started
    print(f"records, all cells checked: {plain:.1f} s, {size(folder / 'plain'):.2f} GiB, rows in their order")
    started = time.perf_counter()
    connection = duckdb.connect()
    connection.execute("SET memory_limit = '2GiB'")
    for column in ("CUSTOMER_ID", "TERMINAL_ID"):
        connection.execute(
            f"COPY (SELECT row_number() OVER () AS row, TX_DATETIME, TX_AMOUNT, TX_FRAUD, {column},"
            f" hash({column}) % {number} AS partition FROM read_parquet('{path}')) TO '{folder / column}'"
            f" (FORMAT parquet, PARTITION_BY (partition))"
        )
    theirs = time.perf_counter() - started
    total = size(folder / "CUSTOMER_ID") + size(folder / "TERMINAL_ID")
    print(f"DuckDB {duckdb.__version__}, no cell checked: {theirs:.1f} s, {total:.2f} GiB; {theirs / plain:.2f} times")
    last = connection.execute(
        f"SELECT bool_and(row > before) FROM (SELECT row, lag(row, 1, 0) OVER (PARTITION BY filename ORDER BY"
        f" file_row_number) AS before FROM read_parquet('{folder}/CUSTOMER_ID/*/*.parquet', filename = true,"
        f" file_row_number = true))"
    ).fetchone()
    print(f"DuckDB kept the order of the rows: {last[0] if last else None}")


def size(folder: pathlib.Path) -> float:
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file()) / 2**30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[5, 6, 7, 8], help="powers of ten")
    parser.add_argument("--minutes", type=float, default=15.0, help="a size that would take longer is left out")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--memory", default="2GiB")
    parser.add_argument("--partitioning", action="store_true", help="compare two ways to partition instead")
    parser.add_argument("--folder", type=pathlib.Path, help="for scratch: some 33 GB for 10^8 rows")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder, prefix="fraud-histories-") as scratch:
        if given.partitioning:
            partitioning(given.sizes[-1] if given.sizes != [5, 6, 7, 8] else 7, pathlib.Path(scratch))
        else:
            growth(given.sizes, given.minutes, given.workers, given.memory, pathlib.Path(scratch))


if __name__ == "__main__":
    sys.exit(main())
