"""Golden numbers of every app's smoke preset: losses of the first epoch, and what the report says.

``python -m tests.golden`` (``make golden``) rewrites them. A change of these files is a change of behaviour: it belongs
in a commit that says why.
"""

import pathlib
import tempfile

import pandas as pd

from shared import files
from tests import helpers

# Other processors add in another order; a change of the code moves these numbers by far more.
RELATIVE_TOLERANCE = 1e-3
SMOOTH = ("brier", "log_loss", "mean_absolute_error")


def path(app: str) -> pathlib.Path:
    """Return the file of an app's golden numbers."""
    return pathlib.Path(__file__).parent / "golden_numbers" / f"{app}.json"


def measure(run: files.RunFolder) -> dict[str, dict[str, float]]:
    """Return the numbers of an evaluated run that are held to the golden ones."""
    history = pd.read_csv(run.history)
    first = history[history["epoch"] == 1]
    names = first.get("network", pd.Series("model", index=first.index)).astype(str)
    metrics = files.read_json(run.evaluation / "metrics.json")
    return {
        "first_loss": dict(zip(names, first["loss"].tolist(), strict=True)),
        "metrics": _smooth(metrics["metrics"]),
        "baselines": {
            f"{name} {metric}": value
            for name, values in metrics["baselines"].items()
            for metric, value in _smooth(values).items()
        },
    }


def _smooth(intervals: dict[str, dict[str, float]]) -> dict[str, float]:
    """Keep the metrics that a rounding error cannot make jump; accuracy on 48 texts can."""
    return {name: interval["value"] for name, interval in intervals.items() if name in SMOOTH}


def main() -> None:
    """Train and evaluate every app's smoke preset, and write what came out."""
    for app in helpers.APPS:
        with tempfile.TemporaryDirectory() as scratch:
            command_line = helpers.CommandLine(pathlib.Path(scratch))
            run = files.RunFolder(pathlib.Path(scratch) / "run")
            command_line.run(f"apps.{app}", "train", "--preset", "smoke", "--run-dir", run.path)
            command_line.run(f"apps.{app}", "evaluate", "--run-dir", run.path)
            files.write_json(path(app), measure(run))
            print(path(app))


if __name__ == "__main__":
    main()
