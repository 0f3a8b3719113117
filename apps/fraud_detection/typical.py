"""The typical genuine transaction, from which reasons count: medians and most common names. No TensorFlow here."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from apps.fraud_detection import inputs


def learn(found: inputs.Inputs, arrays: Mapping[str, npt.NDArray[Any]], labels: npt.NDArray[np.int64]) -> inputs.Inputs:
    """Return ``found`` with the typical genuine transaction, which reasons compare others with.

    Args:
        found: Which columns.
        arrays: What the networks read of the training rows.
        labels: (n,) of the rows.
    """
    genuine = {name: values[labels == 0] for name, values in arrays.items()}
    medians = [_median(column) for column in genuine["numbers"].T]
    names = {
        column: ("", *words)[int(np.bincount(genuine["categories"][:, index], minlength=1).argmax())]
        for index, (column, words) in enumerate(found.vocabularies.items())
    }
    steps = _typical_sequence(genuine["sequence"]) if "sequence" in genuine else ()
    return dataclasses.replace(found, typical=tuple(medians), typical_categories=names, typical_sequence=steps)


def _median(column: npt.NDArray[np.float32]) -> float:
    known = column[np.isfinite(column)]
    return float(np.median(known)) if len(known) else np.nan


def _typical_sequence(sequences: npt.NDArray[np.float32]) -> tuple[tuple[float, ...], ...]:
    """Return the medians of (n, length, channels) step by step, as long as the median sequence, counted from its end.

    The last step is the transaction itself, whatever the length.
    """
    present = sequences[:, :, -1] > 0
    length = max(1, int(np.median(present.sum(axis=1)))) if len(sequences) else 1
    ends = np.maximum(present.sum(axis=1), 1)
    found = np.zeros(sequences.shape[1:], np.float64)
    for step in range(length):
        place = ends - length + step
        rows = np.flatnonzero(place >= 0)
        if len(rows):
            found[step] = np.median(sequences[rows, place[rows]], axis=0)
    return tuple(tuple(step.tolist()) for step in found)


def arrays(found: inputs.Inputs) -> dict[str, npt.NDArray[Any]]:
    """Return what the networks read of the typical genuine transaction: array name -> (...), without a batch."""
    ids = [
        words.index(name) + 1 if (name := found.typical_categories.get(column, "")) in words else 0
        for column, words in found.vocabularies.items()
    ]
    sequence = np.zeros((found.sequence_length, len(inputs.CHANNELS)), np.float32)
    if found.typical_sequence:
        sequence[:] = found.typical_sequence
    else:
        # Earlier runs kept none: the transaction alone, of the typical amount and at the typical hour.
        place = {name: value for name, value in zip(found.numbers, found.typical, strict=True) if np.isfinite(value)}
        amount, hour = place.get(inputs.AMOUNT, 0.0), place.get(inputs.HOUR, 12.0)
        sequence[:1] = [np.log1p(max(amount, 0.0)) / 5, 0.0, hour / 24, 0.0, 1.0, 1.0]
    return {
        "numbers": np.asarray(found.typical, np.float32),
        "categories": np.asarray(ids, np.int32),
        "sequence": sequence,
    }
