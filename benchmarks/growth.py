"""Fraud's verbs on 10^4 to 10^7 transactions: how time and memory grow, and one figure of it.

Each size is a file of its own with as many transactions a card. A process takes seconds to begin with: the slope is of
the two largest sizes. ``docs/pictures/growth.svg`` shows all that stands in ``results.json``.

    python -m benchmarks.growth --sizes 4 5 6 --verbs data histories predict
    python -m benchmarks.growth --sizes 4 5 6 --verbs train evaluate --run-dir RUN --model-dir BUNDLE
"""

import argparse
import pathlib
import re
import shutil
import sys
import tempfile

import numpy as np

from benchmarks import fraud_histories, fraud_throughput, results

FIGURE = results.PAGE.parent / "pictures" / "growth.svg"
VERBS = ("data", "histories", "predict", "train", "evaluate")


def words(verb: str, path: pathlib.Path, given: argparse.Namespace) -> list[str]:
    """Return the command line of a verb on a file, which writes beside it."""
    output = str(path.with_name("output"))
    known = {
        "data": ["--data", str(path)],
        "histories": ["--data", str(path), "--output", output],
        "predict": ["--model-dir", str(given.model_dir), str(path), "--output", f"{output}.parquet"],
        "train": ["--data", str(path), "--preset", "smoke", "--epochs", "1", "--run-dir", output],
        "evaluate": ["--run-dir", str(given.run_dir), "--data", str(path), "--output-dir", output],
    }
    return [verb, *known[verb], "--quiet"]


def grow(verb: str, given: argparse.Namespace, folder: pathlib.Path) -> None:
    """Run a verb on every size, and record time, memory and slope."""
    done = []
    for exponent in given.sizes:
        place = folder / f"{verb}-{exponent}"
        place.mkdir()
        path = place / "rows.parquet"
        fraud_histories.write(10**exponent, path)
        seconds, peak, spent = fraud_throughput.call(words(verb, path, given))
        shutil.rmtree(place)
        done.append((exponent, seconds, spent))
        results.record(
            f"Growth: {verb}, 10^{exponent} transactions",
            [seconds],
            unit="s",
            processor_seconds=spent,
            note=f"{peak / 2**30:.2f} GiB at most",
        )
    if len(done) > 1:
        exponents, _, spent_by_size = np.array(done[-2:]).T
        results.record(
            f"Growth: {verb}, slope of log time on log rows",
            [float(np.polyfit(exponents, np.log10(spent_by_size), 1)[0])],
            unit="",
            note="of the seconds of processors of the two largest sizes, what a process begins with included",
        )


def draw() -> None:
    """Write the figure: processors' seconds and memory of each verb against rows."""
    from matplotlib import figure

    points: dict[str, list[tuple[int, float, float]]] = {}
    for row in results.read():
        if found := re.fullmatch(r"Growth: (\w+), 10\^(\d+) transactions", row["name"]):
            memory = float(row["note"].split()[0])
            points.setdefault(found[1], []).append((10 ** int(found[2]), row["processor_seconds"], memory))
    drawn = figure.Figure(figsize=(9, 3.6), layout="constrained")
    axes = drawn.subplots(1, 2)
    for verb, held in points.items():
        rows, seconds, memory = zip(*sorted(held), strict=True)
        axes[0].loglog(rows, seconds, marker="o", label=verb)
        axes[1].semilogx(rows, memory, marker="o", label=verb)
    axes[0].set(xlabel="transactions", ylabel="seconds of processors")
    axes[1].set(xlabel="transactions", ylabel="memory at most (GiB)", ylim=(0, None))
    axes[0].legend()
    drawn.savefig(FIGURE, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[4, 5, 6], help="powers of ten")
    parser.add_argument("--verbs", nargs="+", choices=VERBS, default=VERBS)
    parser.add_argument("--run-dir", type=pathlib.Path, help="of evaluate; default: a smoke training")
    parser.add_argument("--model-dir", type=pathlib.Path, help="of predict; default: the export of that run")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="growth-") as scratch:
        folder = pathlib.Path(scratch)
        if given.run_dir is None and {"evaluate", "predict"} & set(given.verbs) and given.model_dir is None:
            given.run_dir = folder / "run"
            fraud_throughput.call(["train", "--preset", "smoke", "--run-dir", str(given.run_dir), "--quiet"])
        if given.model_dir is None and "predict" in given.verbs:
            given.model_dir = folder / "bundle"
            where = ["--run-dir", str(given.run_dir), "--output-dir", str(given.model_dir)]
            fraud_throughput.call(["export", *where, "--quiet"])
        for verb in given.verbs:
            grow(verb, given, folder)
    draw()


if __name__ == "__main__":
    sys.exit(main())
