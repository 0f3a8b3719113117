"""Columns that are computed while reading, and cells that a format writes in a way of its own."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from apps.fraud_detection import simulator
from apps.fraud_detection.readers import formats
from shared.sources import columns, numerals


def adapt(frame: pd.DataFrame, wanted: Sequence[str], *, data_format: str, file: str, before: int) -> pd.DataFrame:
    """Return a frame with computed columns, and with what a format writes in a way of its own written plainly.

    Args:
        frame: Rows of a file.
        wanted: The columns that a schema names.
        data_format: As ``recognise`` returns it.
        file: For messages.
        before: Rows of the file before these.
    """
    changed: dict[str, Any] = {}
    if "card_key" in wanted and "card_key" not in frame:
        changed["card_key"] = _card_key(frame)
    if "age_group" in wanted and "age_group" not in frame and "customer_age" in frame:
        age = numerals.numbers(frame["customer_age"], columns.Place(file, "customer_age", before))
        changed["age_group"] = np.select(
            [age > formats.AGE_LIMIT, age <= formats.AGE_LIMIT], ["age > 50", "age <= 50"], ""
        )
    if data_format == "baf":
        for name in set(formats.BAF_MISSING) & set(frame):
            values = numerals.numbers(frame[name], columns.Place(file, name, before))
            changed[name] = np.where(values < 0, np.nan, values)
    if data_format in ("handbook", formats.SIMULATOR) and "TX_FRAUD_SCENARIO" in frame:
        changed["TX_FRAUD_SCENARIO"] = _scenario(frame["TX_FRAUD_SCENARIO"])
    return frame.assign(**changed) if changed else frame


def _card_key(frame: pd.DataFrame) -> columns.Names:
    """Return (n,) object: the fields of a card joined; ``""`` where even the first is missing."""
    parts = [columns.text(frame[name]) for name in formats.CARD if name in frame]
    joined = parts[0]
    for part in parts[1:]:
        joined = joined + "|" + part
    return np.where(parts[0] == "", "", joined)


def _scenario(column: pd.Series) -> columns.Names:
    names = {str(number): name for number, name in enumerate(simulator.SCENARIOS)}
    found, distinct = pd.factorize(columns.text(column))
    return np.array([names.get(value, value) for value in distinct] or [""], object)[found]
