"""Rows of many lengths in one batch: each runs with those of about its length, so that no time goes into padding."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent import futures
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

# Fewer rows than this are as fast together as in halves.
LARGE_GROUP = 8

Arrays: TypeAlias = Mapping[str, npt.NDArray[Any]]
Run: TypeAlias = Callable[[Arrays], dict[str, npt.NDArray[Any]]]


def by_length(network: Run, padded: Sequence[str], *, workers: int) -> Run:
    """Return a network that is asked for rows of about the same length at a time.

    Args:
        network: Its answers do not depend on padding.
        padded: Inputs (batch, length) that end in zeros; rows are sorted by the length of the first.
        workers: Threads that may ask it at the same time.
    """
    if not padded:
        return network
    pool = futures.ThreadPoolExecutor(workers)

    def ask(given: Arrays, rows: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:
        return network(dict(_taken(given, rows, padded)))

    def run(given: Arrays) -> dict[str, npt.NDArray[Any]]:
        order = groups(lengths(given[padded[0]]), workers=workers)
        each = map if len(order) == 1 else pool.map
        found = list(each(lambda rows: ask(given, rows), order))
        back = np.argsort(np.concatenate(order), kind="stable")
        return {name: np.concatenate([part[name] for part in found])[back] for name in found[0]}

    return run


def lengths(values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return (batch,) where the zeros at the end of each row begin, at least 1.

    >>> lengths(np.array([[3, 0, 2, 0], [0, 0, 0, 0]])).tolist()
    [3, 1]
    """
    return np.asarray(np.where(values != 0, np.arange(1, values.shape[1] + 1), 1).max(axis=1), np.int64)


def groups(found: npt.NDArray[np.int64], *, workers: int = 1) -> list[npt.NDArray[np.int64]]:
    """Return row numbers, together where lengths lie between the same powers of two; the longest first.

    Args:
        found: (batch,) lengths.
        workers: Into how many parts a group of at least ``LARGE_GROUP`` rows is cut.

    >>> [rows.tolist() for rows in groups(np.array([5, 100, 7, 120]))]
    [[1, 3], [0, 2]]
    """
    power = np.frexp(found)[1]
    alike = [np.flatnonzero(power == each) for each in np.unique(power)[::-1]]
    return [part for rows in alike for part in np.array_split(rows, workers if len(rows) >= LARGE_GROUP else 1)]


def _taken(given: Arrays, rows: npt.NDArray[np.int64], padded: Sequence[str]) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    for name, values in given.items():
        some = values[rows]
        yield name, some[:, : lengths(some).max()] if name in padded else some
