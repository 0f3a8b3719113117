"""Reasons in plain words: which inputs belong together, and how each is described. No TensorFlow here."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from apps.fraud_detection import features, inputs

AMOUNT, FREQUENCY, PARTNER, MOMENT = "amount", "frequency", "counterparty", "time of day"
NUMBER, CATEGORY, SEQUENCE = "number", "category", "last transactions"
REASONS = 3


class Reason(NamedTuple):
    """Inputs that belong together.

    Attributes:
        kind: ``AMOUNT``, ``FREQUENCY``, ``PARTNER``, ``MOMENT``, ``NUMBER``, ``CATEGORY`` or ``SEQUENCE``.
        name: The role of a counterparty, or the column of a number or a category; else empty.
        array: Which of the arrays of ``preprocessing.arrays`` holds them.
        columns: Their columns in it; for a sequence, all.
    """

    kind: str
    name: str
    array: str
    columns: tuple[int, ...]


class Row(NamedTuple):
    """What one transaction is described by.

    Attributes:
        numbers: (columns,) what the networks read.
        names: Categorical column -> its name in the source; "" is missing.
        sequence: (length, channels); empty where there is none.
    """

    numbers: npt.NDArray[np.floating[Any]]
    names: Mapping[str, str]
    sequence: npt.NDArray[np.floating[Any]]


def families(found: inputs.Inputs) -> dict[str, Reason]:
    """Return the reasons by what they are called; everything that the networks read is in exactly one.

    Amounts, against whomever they are compared, are one reason, the payer's frequency another, what is known of the
    payee a third, and every other column its own, also categories; so is the payer's sequence.
    """
    groups: dict[tuple[str, str], list[int]] = {}
    for index, name in enumerate(found.numbers):
        groups.setdefault(_family(name, found), []).append(index)
    reasons = [Reason(*key, "numbers", tuple(columns)) for key, columns in groups.items()]
    reasons += [Reason(CATEGORY, name, "categories", (index,)) for index, name in enumerate(found.vocabularies)]
    if found.sequence_length:
        reasons.append(Reason(SEQUENCE, "", "sequence", tuple(range(found.sequence_length))))
    ours = {AMOUNT, FREQUENCY, MOMENT, SEQUENCE, *found.schema.entities}
    called: dict[str, Reason] = {}
    for reason in reasons:
        name = reason.name or reason.kind
        # A column of the source may have the name of another reason.
        while name in called or (reason.kind in (NUMBER, CATEGORY) and name in ours):
            name = f"column {name}"
        called[name] = reason
    return called


def _family(name: str, found: inputs.Inputs) -> tuple[str, str]:
    if not name.startswith(inputs.COMPUTED):
        return NUMBER, name
    if name == inputs.AMOUNT:
        return AMOUNT, ""
    if name in (inputs.HOUR, inputs.WEEKEND):
        return MOMENT, ""
    bare = name.removeprefix(inputs.COMPUTED)
    role = max((each for each in found.schema.entities if bare.startswith(f"{each}_")), key=len)
    if not bare.removeprefix(f"{role}_").startswith(("count", "hours", "risk", "judged")):
        return AMOUNT, ""
    return (FREQUENCY, "") if role == found.schema.payer else (PARTNER, role)


def say(name: str, found: inputs.Inputs, row: Row) -> str:
    """Return one reason of one transaction in words.

    Args:
        name: What the reason is called in ``families``.
        found: Which columns there are.
        row: The transaction.

    Returns:
        For example ``7 transactions of the customer in 24 h, usual 1.2 a day``.
    """
    reason = families(found)[name]
    value = {
        each.removeprefix(inputs.COMPUTED): float(number)
        for each, number in zip(found.numbers, row.numbers, strict=True)
        if each.startswith(inputs.COMPUTED)
    }
    payer = found.schema.payer
    currency = f" {found.schema.currency}" if found.schema.currency else ""
    if reason.kind == MOMENT:
        return _moment(value)
    if reason.kind == AMOUNT:
        return _amount(value, payer, currency)
    if reason.kind == FREQUENCY:
        return _frequency(value, payer or "")
    if reason.kind == PARTNER:
        return _counterparty(value, reason.name, found)
    if reason.kind == SEQUENCE:
        return _sequence(row.sequence, payer or "", currency)
    if reason.kind == CATEGORY:
        return _category(reason.name, row.names.get(reason.name, ""), found)
    (column,) = reason.columns
    return f"{reason.name} {_number(float(row.numbers[column]))}, typical {_number(found.typical[column])}"


def _moment(value: Mapping[str, float]) -> str:
    parts = []
    if "hour" in value:
        minutes = int(value["hour"] * 60) % (24 * 60)
        parts.append(f"at {minutes // 60:02d}:{minutes % 60:02d}")
    if value.get("weekend"):
        parts.append("on a weekend")
    return " ".join(parts) or "on a working day"


def _amount(value: Mapping[str, float], payer: str | None, currency: str) -> str:
    amount = value.get("amount", float("nan"))
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
    labelled = "" if value[f"{role}_judged_30d"] else ", none of them labelled yet"
    return f"{role} with {_counted(today)} in 24 h and {month:.0f} in 30 d{labelled}"


def _sequence(sequence: npt.NDArray[np.floating[Any]], payer: str, currency: str) -> str:
    earlier = sequence[sequence[:, -1] > 0][:-1]
    if not len(earlier):
        return f"no earlier transaction of the {payer} in {inputs.SEQUENCE_DAYS} days"
    mean, hours = np.expm1(5 * earlier[:, 0].astype(float)).mean(), np.expm1(5 * float(earlier[-1, 1]))
    last = f"last transaction of the {payer}" if len(earlier) == 1 else f"last {len(earlier)} of the {payer}"
    return f"{last}: {mean:.2f}{currency} on average, the newest {hours:.1f} h before"


def _category(column: str, name: str, found: inputs.Inputs) -> str:
    new = ", rare or never seen in training" if name and name not in found.vocabularies[column] else ""
    return f"{column} {name or 'missing'}{new}, typical {found.typical_categories.get(column) or 'missing'}"


def _counted(count: float) -> str:
    return f"{count:.0f} transaction" + ("" if count == 1 else "s")


def _number(value: float) -> str:
    return "missing" if np.isnan(value) else f"{value:.4g}"
