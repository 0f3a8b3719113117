"""From transactions to the arrays that the networks read: ``numbers``, ``categories`` and ``sequence``.

The bundle computes the same from raw columns in its graph (``graph.py``). No TensorFlow here.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from apps.fraud_detection import features, inputs
from apps.fraud_detection.transactions import Transactions

Floats: TypeAlias = npt.NDArray[np.float32]
Ints: TypeAlias = npt.NDArray[np.int64]


def arrays(
    found: inputs.Inputs, transactions: Transactions, history: Mapping[str, Floats], rows: Ints | slice
) -> dict[str, npt.NDArray[Any]]:
    """Return what the networks read of ``rows``.

    Args:
        found: Which columns.
        transactions: All transactions, those before the rows too: the sequences are made of them.
        history: As ``inputs.compute_history`` returns it for all transactions.
        rows: Row numbers, or a slice.

    Returns:
        ``numbers`` (n, columns) float32; ``categories`` (n, columns) int32 where there are any; ``sequence``
        (n, length, channels) float32 where the inputs have one.
    """
    result: dict[str, npt.NDArray[Any]] = {"numbers": numbers(found, transactions, history, rows)}
    if found.vocabularies:
        result["categories"] = np.stack(
            [ids(transactions.categorical[name][rows], words) for name, words in found.vocabularies.items()], axis=1
        )
    if found.sequence_length:
        result["sequence"] = sequences(found, transactions, history, rows)
    return result


def numbers(
    found: inputs.Inputs, transactions: Transactions, history: Mapping[str, Floats], rows: Ints | slice
) -> Floats:
    """Return (n, columns) float32, in the order of ``found.numbers``."""
    time = transactions.time[rows]
    computed = {
        inputs.AMOUNT: lambda: transactions.amount[rows],
        inputs.HOUR: lambda: hours(time),
        inputs.WEEKEND: lambda: weekends(time),
    }

    def column(name: str) -> npt.NDArray[Any]:
        if name in computed:
            return computed[name]()
        if name.startswith(inputs.COMPUTED):
            return history[name.removeprefix(inputs.COMPUTED)][rows]
        return transactions.numeric[name][rows]

    return np.stack([np.asarray(column(name), np.float32) for name in found.numbers], axis=1)


def hours(time: Ints) -> npt.NDArray[np.float64]:
    """Return (n,) hour of the day in [0, 24) of ``time`` in microseconds."""
    return (time % features.DAY) / features.HOUR


def weekends(time: Ints) -> npt.NDArray[np.float64]:
    """Return (n,) 1 on Saturdays and Sundays, else 0."""
    return ((time // features.DAY + inputs.FIRST_WEEKDAY) % 7 >= inputs.SATURDAY).astype(np.float64)


def sequences(
    found: inputs.Inputs, transactions: Transactions, history: Mapping[str, Floats], rows: Ints | slice
) -> Floats:
    """Return the payer's last transactions, oldest first, the newest last: (n, length, channels) float32.

    Channels: the logarithm of the amount, the logarithm of the hours before the newest, the hour of its
    day, the risk of the payee at its instant, whether its payee is that of the newest, and 1. Rows with
    fewer transactions end in zeros.
    """
    places = previous(transactions, found, rows)
    known = places >= 0
    place = np.maximum(places, 0)
    last = np.take_along_axis(place, known.sum(axis=1, keepdims=True) - 1, axis=1)
    payees = _payees(transactions)
    steps = channels(
        amount=transactions.amount[place],
        time=transactions.time[place],
        now=transactions.time[last],
        payee_risk=payees.risk(history)[place],
        same_payee=payees.codes[place] == payees.codes[last],
    )
    return np.where(known[:, :, np.newaxis], steps, np.float32(0))


def channels(
    *,
    amount: npt.NDArray[np.float64],
    time: Ints,
    now: Ints,
    payee_risk: Floats,
    same_payee: npt.NDArray[np.bool_],
) -> Floats:
    """Return ``CHANNELS`` of transactions, (..., channels) float32.

    Args:
        amount: (...) in the currency.
        time: (...) their instants in microseconds.
        now: Instant of the newest; broadcast to them.
        payee_risk: (...) share of fraud at their payees in 30 days, as known at their instants.
        same_payee: (...) whether their payee is that of the newest.
    """
    before = (now - time) / features.HOUR
    found = (
        np.log1p(np.maximum(amount, 0)) / 5,
        np.log1p(before) / 5,
        hours(time) / 24,
        payee_risk,
        same_payee,
        np.ones(time.shape),
    )
    return np.stack([np.asarray(channel, np.float64) for channel in found], axis=-1).astype(np.float32)


def previous(transactions: Transactions, found: inputs.Inputs, rows: Ints | slice) -> Ints:
    """Return (n, length) rows of the payer's last transactions, oldest first, padded with -1 at the end."""
    order, place, first = transactions.by_payer
    end = place[rows] + 1
    start = np.maximum(first[rows], end - found.sequence_length)
    # Nobody's transactions are no sequence: such a row stands alone.
    start = np.where(transactions.payers[rows] < 0, end - 1, start)
    oldest = (transactions.time[rows] - inputs.SEQUENCE_DAYS * features.DAY)[:, np.newaxis]
    steps = np.arange(found.sequence_length)
    taken = order[np.minimum(start[:, np.newaxis] + steps, len(order) - 1)]
    inside = start[:, np.newaxis] + steps < end[:, np.newaxis]
    start += (inside & (transactions.time[taken] <= oldest)).sum(axis=1)
    places = start[:, np.newaxis] + steps
    return np.where(places < end[:, np.newaxis], order[np.minimum(places, len(order) - 1)], -1)


def with_amounts(
    found: inputs.Inputs, one: Mapping[str, npt.NDArray[Any]], amounts: npt.NDArray[np.float64]
) -> dict[str, npt.NDArray[Any]]:
    """Return (n, ...) copies of a transaction, each as if its amount were another and all else the same.

    Args:
        found: Which columns there are.
        one: The arrays of one row that the networks read.
        amounts: (n,) other amounts, above 0.
    """
    copies = {name: np.repeat(values, len(amounts), axis=0) for name, values in one.items()}
    copies["numbers"] = with_amount(found, one["numbers"][0], amounts)
    if "sequence" in copies:
        # The sequence ends with the transaction itself.
        own = int((one["sequence"][0, :, -1] > 0).sum()) - 1
        copies["sequence"][:, own, 0] = np.log1p(amounts) / 5
    return copies


def with_amount(
    found: inputs.Inputs, row: npt.NDArray[np.float32], amounts: npt.NDArray[np.float64]
) -> npt.NDArray[np.float32]:
    """Return (n, columns) copies of a transaction's ``numbers`` (columns,), each as if its amount were another."""
    place = {name: index for index, name in enumerate(found.numbers)}

    def computed(name: str) -> int:
        return place[f"{inputs.COMPUTED}{name}"]

    copies = np.repeat(row[np.newaxis], len(amounts), axis=0)
    old = float(row[place[inputs.AMOUNT]])
    copies[:, place[inputs.AMOUNT]] = amounts
    if found.schema.amount in place:
        copies[:, place[found.schema.amount]] = amounts
    for role in found.schema.entities:
        for days in features.WINDOW_DAYS:
            # The windows hold the transaction itself, unless nobody is known to whom it belongs.
            count = float(row[computed(f"{role}_count_{days}d")])
            if count > 0:
                copies[:, computed(f"{role}_mean_amount_{days}d")] += (amounts - old) / count
        usual = row[computed(f"{role}_usual_amount")]
        if usual > 0:
            copies[:, computed(f"{role}_amount_ratio")] = amounts / usual
            copies[:, computed(f"{role}_maximum_ratio")] *= amounts / max(old, 1e-6)
    return copies


@dataclasses.dataclass(frozen=True, eq=False)
class _Payees:
    """Who is paid: the entity after the payer, if there is one."""

    role: str | None
    codes: npt.NDArray[Any]

    def risk(self, history: Mapping[str, Floats]) -> Floats:
        if self.role is None:
            return np.zeros(len(self.codes), np.float32)
        return history[f"{self.role}_risk_{features.WINDOW_DAYS[-1]}d"]


def _payees(transactions: Transactions) -> _Payees:
    roles = list(transactions.schema.entities)[1:2]
    if not roles:
        return _Payees(None, np.zeros(len(transactions), np.int64))
    return _Payees(roles[0], transactions.entities[roles[0]])


def ids(values: npt.NDArray[np.object_], words: tuple[str, ...]) -> npt.NDArray[np.int32]:
    """Return (n,) int32 ids: 0 for a name that is not among ``words``, which are sorted."""
    if not words:
        return np.zeros(len(values), np.int32)
    known = np.array(words, dtype=str)
    texts = values.astype(str)
    place = np.minimum(np.searchsorted(known, texts), len(known) - 1)
    return np.where(known[place] == texts, place + 1, 0).astype(np.int32)
