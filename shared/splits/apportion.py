"""Sharing split units out among parts: stratified, seeded, independent of the order of rows.

The engine behind ``shared.splits.assign``. Units that hold the same number of rows of each class are
interchangeable, so they are shared out together by largest remainder; which of them go where is decided by a
keyed hash of their identity.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from shared import errors

_TIE_BREAK = 1e-6


def shuffle_keys(units: NDArray[np.int64], seed: int) -> NDArray[np.uint64]:
    """Return a pseudo-random key for each unit that depends on its identity and the seed alone.

    The finalizer of SplitMix64 (Steele, Lea and Flood 2014) is a bijection: distinct units have distinct
    keys.
    """
    start = np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]
    mixed = units.view(np.uint64) ^ start
    for shift, multiplier in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(multiplier)
    keys: NDArray[np.uint64] = mixed ^ (mixed >> np.uint64(31))
    return keys


def share_out(counts: NDArray[np.int64], keys: NDArray[np.uint64], fractions: NDArray[np.float64]) -> NDArray[np.int64]:
    """Give each unit a part.

    Args:
        counts: (units, classes) rows of each class in each unit.
        keys: (units,) distinct keys that decide which of several like units goes where.
        fractions: (parts,) shares that sum to 1.

    Returns:
        (units,) int64 part numbers.

    >>> keys = np.array([3, 1, 2, 0], dtype=np.uint64)
    >>> share_out(np.ones((4, 1), dtype=np.int64), keys, np.array([0.5, 0.5])).tolist()
    [1, 0, 1, 0]
    """
    part = np.zeros(len(counts), dtype=np.int64)
    owed = np.zeros((fractions.size, counts.shape[1]))
    for members in _alike(counts):
        unit = counts[members[0]]
        quotas = _quotas(members.size, unit, fractions, owed)
        part[members[np.argsort(keys[members])]] = np.repeat(np.arange(fractions.size), quotas)
        owed += np.outer(fractions * members.size - quotas, unit)
    return part


def fill_empty(
    part: NDArray[np.int64],
    counts: NDArray[np.int64],
    keys: NDArray[np.uint64],
    fractions: NDArray[np.float64],
    titles: Sequence[str],
) -> None:
    """Move the smallest fitting units, in place, until every part with a share holds every class.

    Raises:
        errors.InputError: A class has too few units for that.
    """
    wanted = np.flatnonzero(fractions > 0)
    for class_number, title in enumerate(titles):
        holders = np.flatnonzero(counts[:, class_number])
        if holders.size < wanted.size:
            raise errors.InputError(
                f"Expected at least {wanted.size} independent groups of {title!r}, one for each of the "
                f"{wanted.size} parts. Received: {holders.size}. Add data, or set a part's fraction to 0"
            )
        for empty in (number for number in wanted if not (part[holders] == number).any()):
            part[_spare_unit(part, counts, keys, holders, title)] = empty


def _alike(counts: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yield the numbers of units with equal counts, the largest units first."""
    kinds, kind = np.unique(counts, axis=0, return_inverse=True)
    order = np.argsort(kind.ravel(), kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(kind.ravel(), minlength=len(kinds)))[:-1])
    for number in np.argsort(-kinds.sum(axis=1), kind="stable"):
        if groups[number].size:
            yield groups[number]


def _quotas(
    units: int, unit: NDArray[np.int64], fractions: NDArray[np.float64], owed: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Share like units among parts by largest remainder, making up for the rows owed."""
    wanted = fractions * units + owed @ unit / (unit @ unit)
    wanted = np.where(fractions > 0, np.maximum(wanted, 0), 0)
    wanted = wanted * units / wanted.sum() if wanted.sum() else fractions * units
    quotas = np.floor(wanted).astype(np.int64)
    remainders = np.where(fractions > 0, wanted - quotas + _TIE_BREAK * owed.sum(axis=1), -np.inf)
    quotas[np.argsort(-remainders, kind="stable")[: units - quotas.sum()]] += 1
    return quotas


def _spare_unit(
    part: NDArray[np.int64],
    counts: NDArray[np.int64],
    keys: NDArray[np.uint64],
    holders: NDArray[np.int64],
    title: str,
) -> np.int64:
    """Find the smallest unit whose part keeps all the classes it has when the unit leaves."""
    units_with_class = np.stack([(counts[part == number] > 0).sum(axis=0) for number in range(part.max() + 1)])
    spare = [unit for unit in holders if (units_with_class[part[unit]][counts[unit] > 0] > 1).all()]
    if not spare:
        raise errors.InputError(
            f"Expected enough independent groups of {title!r} to put one in every part. "
            "Received: groups that each hold rows another part needs. Add data, or set a part's fraction to 0"
        )
    return min(spare, key=lambda unit: (counts[unit].sum(), keys[unit]))
