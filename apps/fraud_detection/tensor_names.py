"""What the tensors of the exported graph are called: the columns' own names, where they can be. No TensorFlow here.

A tensor's name is an argument of a function and a part of a protocol: a letter first, then letters, digits and ``_``
of ASCII, no word of Python, and different from the others whatever their case.
"""

import keyword
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from apps.fraud_detection import features, inputs, preprocessing
from apps.fraud_detection.transactions import Transactions

SCORE, SEQUENCE = "score", "sequence"
# Arguments that TensorFlow's own functions have beside a signature's.
_TAKEN = ("self", "args", "kwargs")


class Source(NamedTuple):
    """Where a tensor comes from: its kind (``time``, ``number``, ``text``, ``history``, ``sequence``) and name."""

    kind: str
    name: str


def of_inputs(found: inputs.Inputs) -> dict[Source, str]:
    """Return the names of a signature's inputs: raw columns, the histories of the entities, and the sequence.

    The time comes first. A column that has two roles of one kind is one tensor.
    """
    names = found.schema
    sources: list[Source] = []
    if {inputs.HOUR, inputs.WEEKEND} & set(found.numbers):
        sources.append(Source("time", names.time))
    if names.amount is not None:
        sources.append(Source("number", names.amount))
    sources += [Source("number", name) for name in names.numeric]
    sources += [Source("history", name) for name in found.history]
    sources += [Source("text", name) for name in found.vocabularies]
    if found.sequence_length:
        sources.append(Source("sequence", SEQUENCE))
    sources = list(dict.fromkeys(sources))
    return dict(zip(sources, valid([source.name for source in sources]), strict=True))


def columns(
    found: inputs.Inputs,
    transactions: Transactions,
    history: Mapping[str, npt.NDArray[np.float32]],
    rows: npt.NDArray[np.int64] | slice,
) -> dict[str, npt.NDArray[Any]]:
    """Return what a signature takes, from transactions: input name -> (n, ...)."""

    def values(source: Source) -> npt.NDArray[Any]:
        if source.kind == "time":
            return transactions.time[rows] / features.MICROSECONDS
        if source.kind == "history":
            return history[source.name][rows]
        if source.kind == "text":
            return transactions.categorical[source.name][rows]
        if source.kind == "sequence":
            return preprocessing.sequences(found, transactions, history, rows)
        if source.name == found.schema.amount:
            return transactions.amount[rows].astype(np.float32)
        return transactions.numeric[source.name][rows]

    return {name: values(source) for source, name in of_inputs(found).items()}


def originals(found: inputs.Inputs) -> dict[str, str]:
    """Return tensor name -> the column's own name, for those that differ."""
    return {name: source.name for source, name in of_inputs(found).items() if name != source.name}


def valid(columns: Sequence[str]) -> list[str]:
    """Return a tensor name for each of ``columns``; one that is valid as it is keeps its name.

    >>> valid(["Transaction Amount (EUR)", "risk-a", "risk_a", "class", "3ds_score", "_x", "risk_a"])
    ['Transaction_Amount__EUR_', 'risk_a_3', 'risk_a', 'class_', 'column_3ds_score', 'column_x', 'risk_a_2']
    """
    wanted = [_plain(column) for column in columns]
    # Names that need no change are given first, whichever column stands before.
    order = sorted(range(len(wanted)), key=lambda each: wanted[each] != columns[each])
    taken: set[str] = set()
    found = {index: _free(wanted[index], taken, str.lower) for index in order}
    return [found[index] for index in range(len(wanted))]


def of_drift(found: inputs.Inputs) -> dict[str, tuple[str, ...]]:
    """Return what drift reports call what the networks read: ``numbers``, ``categories`` and ``sequence``.

    Each name occurs once, and none is that of the score.
    """
    kinds = {"numbers": found.shown, "categories": tuple(found.vocabularies)}
    if found.sequence_length:
        kinds["sequence"] = tuple(f"{SEQUENCE}_{channel}" for channel in inputs.CHANNELS)
    taken = {SCORE, *(name for names in kinds.values() for name in names)}
    renamed = {SCORE: _free(SCORE, taken, str)}
    seen: set[str] = set()
    return {kind: tuple(_free(renamed.get(name, name), seen, str) for name in names) for kind, names in kinds.items()}


def _plain(column: str) -> str:
    """Return the nearest valid name; letters of other alphabets become their numbers, which tell columns apart."""
    in_ascii = "".join(letter if letter.isascii() else f"u{ord(letter):04x}" for letter in column)
    name = re.sub(r"\W", "_", in_ascii, flags=re.ASCII)
    if not re.match("[A-Za-z]", name):
        name = f"column_{name.lstrip('_')}"
    return f"{name}_" if keyword.iskeyword(name) or name in _TAKEN else name


def _free(name: str, taken: set[str], key: Callable[[str], str]) -> str:
    """Return ``name``, with a number if it is taken, and take it."""
    number, found = 1, name
    while key(found) in taken:
        number += 1
        found = f"{name}_{number}"
    taken.add(key(found))
    return found
