"""Golden numbers of every app's smoke preset: losses of the first epoch, and what the report says.

A change of these files is a change of behaviour: it belongs in a commit that says why.
"""

import pathlib

import pandas as pd

from shared import files

# Other processors add in another order; a change of the code moves these numbers by far more.
RELATIVE_TOLERANCE = 1e-3


def path(app: str) -> pathlib.Path:
    """Return the file of an app's golden numbers."""
    return pathlib.Path(__file__).parent / f"{app}.json"


def measure(run: files.RunFolder) -> dict[str, dict[str, float]]:
    """Return the numbers of an evaluated run that are held to the golden ones."""
    history = pd.read_csv(run.history)
    first = history[history["epoch"] == 1]
    names = first.get("network", pd.Series("model", index=first.index))
    metrics = files.read_json(run.evaluation / "metrics.json")
    return {
        "first_loss": dict(zip(names, first["loss"].tolist(), strict=True)),
        "metrics": {name: interval["value"] for name, interval in metrics["metrics"].items()},
        "baselines": {
            name: next(iter(values.values()))["value"] for name, values in metrics["baselines"].items()
        },
    }
