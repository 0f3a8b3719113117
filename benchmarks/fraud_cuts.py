"""The fraud app on earlier and earlier parts of a file without its newest rows, beside its baselines.

``python -m benchmarks.fraud_cuts FILE [--normal-weight W]``: of the first 50, 60, 70 and 80 % of the rows in order of
time, the last tenth of the file is judged each time and what is before it is learnt from. The newest 20 %, on which the
whole file is judged, are never read: what is chosen here is not chosen on them.
"""

import argparse
import json
import pathlib
import tempfile

import numpy as np
import pandas as pd

from benchmarks import engines

APP = "fraud_detection"
SHARES, JUDGED, VALIDATION = (0.5, 0.6, 0.7, 0.8), 0.1, 0.1
METRICS = ("average_precision", "auroc")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=pathlib.Path, help="CSV in order of time, such as ULB's creditcard.csv")
    parser.add_argument("--normal-weight", default="1", help="genuine transactions that each genuine row stands for")
    arguments = parser.parse_args()
    table = pd.read_csv(arguments.file)
    found: dict[str, list[list[float]]] = {}
    for share in SHARES:
        with tempfile.TemporaryDirectory() as scratch:
            part = table.iloc[: round(share * len(table))]
            for name, values in judged(part, share, arguments.normal_weight, pathlib.Path(scratch)).items():
                found.setdefault(name, []).append(values)
    print(f"{'model':20s}" + "".join(f"{f'{metric}, mean of {len(SHARES)}':>32s}" for metric in METRICS) + "   each")
    for name, rows in found.items():
        each = ", ".join(f"{precision:.3f} / {area:.3f}" for precision, area in rows)
        print(f"{name:20s}" + "".join(f"{value:32.4f}" for value in np.mean(rows, axis=0)) + f"   {each}")


def judged(part: pd.DataFrame, share: float, normal_weight: str, folder: pathlib.Path) -> dict[str, list[float]]:
    """Train and evaluate on a part; return each model's metrics."""
    part.to_csv(folder / "part.csv", index=False)
    run = ("--run-dir", str(folder / "run"))
    fractions = ("--test-fraction", str(JUDGED / share), "--validation-fraction", str(VALIDATION))
    engines.command_line(
        APP, "train", "--data", str(folder / "part.csv"), "--normal-weight", normal_weight, *run, *fractions
    )
    engines.command_line(APP, "evaluate", *run)
    metrics = json.loads((folder / "run" / "evaluation" / "metrics.json").read_text())
    models = {"ensemble": metrics["metrics"], **metrics["members"], **metrics["baselines"]}
    return {name: [values[metric]["value"] for metric in METRICS] for name, values in models.items()}


if __name__ == "__main__":
    main()
