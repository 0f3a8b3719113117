"""What the contract test feeds this app with: an input to explain, and files like and unlike training."""

import pathlib

import pandas as pd

from apps.fraud_detection import simulator

# Flags that make ``predict`` and ``monitor`` read the files below: they name no other columns.
READ_FLAGS = ()


def usual(_normalised: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """Write the transactions of the smoke preset without the kinds of fraud."""
    world = simulator.World(customers=500, terminals=1_000, days=100)
    path = folder / "usual.csv"
    simulator.simulate(world).drop(columns=["TX_FRAUD_SCENARIO"]).to_csv(path, index=False)
    return path


def unusual(folder: pathlib.Path) -> pathlib.Path:
    """Write transactions of customers who pay twice as much and at night."""
    table = pd.read_csv(folder / "usual.csv")
    table["TX_AMOUNT"] = table["TX_AMOUNT"] * 2
    table["TX_DATETIME"] = (pd.to_datetime(table["TX_DATETIME"]) + pd.Timedelta(hours=11)).astype(str)
    path = folder / "unusual.csv"
    table.to_csv(path, index=False)
    return path


def explain_input(usual: pathlib.Path) -> str:
    """Return the file whose last transaction is explained."""
    return str(usual)
