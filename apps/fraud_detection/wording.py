"""Reasons in plain words: which columns belong together, and what to say of them. No TensorFlow here."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from apps.fraud_detection import features, inputs

AMOUNT, FREQUENCY, PARTNER, MOMENT = "amount", "frequency", "counterparty", "time of day"
REASONS = 3


def families(found: inputs.Inputs) -> dict[str, tuple[int, ...]]:
    """Return reason -> the columns of ``numbers`` that it is made of; every column is in one.

    Amounts, against whomever they are compared, are one reason, the payer's frequency another, what is known of the
    payee a third, and every other column its own.
    """
    groups: dict[str, list[int]] = {}
    for index, name in enumerate(found.numbers):
        groups.setdefault(_family(name, found), []).append(index)
    return {name: tuple(columns) for name, columns in groups.items()}


def _family(name: str, found: inputs.Inputs) -> str:
    if name in found.schema.numeric:
        return name
    if name == inputs.AMOUNT:
        return AMOUNT
    if name in (inputs.HOUR, inputs.WEEKEND):
        return MOMENT
    role, _, what = name.partition("_")
    for each in found.schema.entities:
        if name.startswith(f"{each}_"):
            role, what = each, name.removeprefix(f"{each}_")
    if not what.startswith(("count", "hours", "risk", "judged")):
        return AMOUNT
    return FREQUENCY if role == found.schema.payer else role


def say(reason: str, found: inputs.Inputs, row: npt.NDArray[np.floating[Any]]) -> str:
    """Return one reason of one transaction in words.

    Args:
        reason: One of ``families``.
        found: Which columns there are.
        row: (columns,) its ``numbers``.

    Returns:
        For example ``7 transactions of the customer in 24 h, usual 1.2 a day``.
    """
    value = dict(zip(found.numbers, row.tolist(), strict=True))
    payer = found.schema.payer
    currency = f" {found.schema.currency}" if found.schema.currency else ""
    if reason == MOMENT:
        return _moment(value)
    if reason == AMOUNT:
        return _amount(value, payer, currency)
    if reason == FREQUENCY and payer is not None:
        return _frequency(value, payer)
    if reason in found.schema.entities:
        return _counterparty(value, reason, found)
    typical = found.typical[found.numbers.index(reason)]
    return f"{reason} {_number(value[reason])}, typical {_number(typical)}"


def _moment(value: Mapping[str, float]) -> str:
    parts = []
    if inputs.HOUR in value:
        minutes = int(value[inputs.HOUR] * 60) % (24 * 60)
        parts.append(f"at {minutes // 60:02d}:{minutes % 60:02d}")
    if value.get(inputs.WEEKEND):
        parts.append("on a weekend")
    return " ".join(parts) or "on a working day"


def _amount(value: Mapping[str, float], payer: str | None, currency: str) -> str:
    amount = value.get(inputs.AMOUNT, float("nan"))
    usual = value.get(f"{payer}_usual_amount", 0.0)
    if not usual:
        unknown = f", the {payer}'s first in {features.USUAL_DAYS} days" if payer else ""
        return f"amount {amount:.2f}{currency}{unknown}"
    ratio, largest = value[f"{payer}_amount_ratio"], value[f"{payer}_maximum_ratio"]
    above = f", {largest:.1f} times the largest" if largest > 1 else ""
    return f"amount {amount:.2f}{currency}, {ratio:.1f} times the {payer}'s usual {usual:.2f}{currency}{above}"


def _frequency(value: Mapping[str, float], payer: str) -> str:
    today, month = value[f"{payer}_count_1d"], value[f"{payer}_count_30d"]
    return f"{_counted(today)} of the {payer} in 24 h, usual {month / features.USUAL_DAYS:.1f} a day"


def _counterparty(value: Mapping[str, float], role: str, found: inputs.Inputs) -> str:
    delay = found.schema.label_delay_days
    for days in features.WINDOW_DAYS:
        risk = value[f"{role}_risk_{days}d"]
        if risk > 0:
            until = f", known with {delay:g} days of delay" if delay else ""
            return f"{role} with {100 * risk:.0f} % fraud among its transactions of {days} d{until}"
    today, month = value[f"{role}_count_1d"], value[f"{role}_count_30d"]
    judged = "" if value[f"{role}_judged_30d"] else ", none of them judged yet"
    return f"{role} with {_counted(today)} in 24 h and {month:.0f} in 30 d{judged}"


def _counted(count: float) -> str:
    return f"{count:.0f} transaction" + ("" if count == 1 else "s")


def _number(value: float) -> str:
    return "missing" if np.isnan(value) else f"{value:.4g}"


def with_amount(
    found: inputs.Inputs, row: npt.NDArray[np.float32], amounts: npt.NDArray[np.float64]
) -> npt.NDArray[np.float32]:
    """Return (n, columns) copies of a transaction, each as if its amount were another and all else the same.

    Args:
        found: Which columns there are.
        row: (columns,) its ``numbers``.
        amounts: (n,) other amounts, above 0.
    """
    place = {name: index for index, name in enumerate(found.numbers)}
    copies = np.repeat(row[np.newaxis], len(amounts), axis=0)
    old = float(row[place[inputs.AMOUNT]])
    copies[:, place[inputs.AMOUNT]] = amounts
    for role in found.schema.entities:
        for days in features.WINDOW_DAYS:
            # The windows hold the transaction itself.
            count = row[place[f"{role}_count_{days}d"]]
            column = place[f"{role}_mean_amount_{days}d"]
            copies[:, column] += (amounts - old) / max(float(count), 1.0)
        usual = row[place[f"{role}_usual_amount"]]
        if usual > 0:
            copies[:, place[f"{role}_amount_ratio"]] = amounts / usual
            copies[:, place[f"{role}_maximum_ratio"]] *= amounts / max(old, 1e-6)
    return copies
