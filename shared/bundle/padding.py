"""Rows of many lengths or sizes in one batch: each runs with those of its own, so that no time goes into padding."""

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


def by_size(network: Run, images: Sequence[str], sizes: str) -> Run:
    """Return a network that is asked for images of one size at a time, without what fills their rows up.

    Args:
        network: From inputs (batch, height, width, channels) to outputs (batch, h, w, channels).
        images: Its inputs; each image is in the upper left corner of its row.
        sizes: The array (batch, 2) of the images' heights and widths; "": they fill their rows.
    """
    if not sizes:
        return network

    def run(given: Arrays) -> dict[str, npt.NDArray[Any]]:
        parts = list(of_one_size(given, images, sizes))
        found = [network(part) for _, part in parts]
        back = np.argsort(np.concatenate([rows for rows, _ in parts]), kind="stable")
        return {name: _filled_up([part[name] for part in found])[back] for name in found[0]}

    return run


def of_one_size(given: Arrays, images: Sequence[str], sizes: str) -> Iterator[tuple[npt.NDArray[np.int64], Arrays]]:
    """Yield rows whose images have one size, and those images; see ``by_size``."""
    found, which = np.unique(given[sizes], axis=0, return_inverse=True)
    for number, (height, width) in enumerate(found):
        rows = np.flatnonzero(which.ravel() == number)
        yield rows, {name: given[name][rows, :height, :width] for name in images}


def _filled_up(parts: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Return (n, h, w, channels) parts below each other, with zeros up to the largest h and w."""
    height, width = (max(part.shape[axis] for part in parts) for axis in (1, 2))
    rooms = [((0, 0), (0, height - part.shape[1]), (0, width - part.shape[2]), (0, 0)) for part in parts]
    return np.concatenate([np.pad(part, room) for part, room in zip(parts, rooms, strict=True)])


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
