"""What stood in the last days of each card or terminal: one pass over its transactions, compiled by Numba.

Each transaction enters a window once and leaves it once, so that the work grows with the number of transactions and
not with the length of the windows. Sums are of integers: no order of adding matters. No TensorFlow here.
"""

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
UNKNOWN = -1


def compiled(function: Any) -> Any:
    """Compile ``function`` at its first call, and keep that for the next process where a folder can be written to."""
    # Numba keeps the module's name in its file. Installed code has another name than a checkout's: a file for each.
    function.__qualname__ = f"{__name__}.{function.__qualname__}"
    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:
        return numba.njit(nogil=True)(function)


@compiled
def windows(
    starts: npt.NDArray[np.bool_], time: Ints, amount: Ints, label: Ints, lengths: Ints, delay: int
) -> tuple[Ints, Ints, Ints, Ints]:
    """Count and sum the transactions in ``(t - length, t]`` and the verdicts in ``(t - delay - length, t - delay]``.

    A transaction at ``t`` sees itself and those booked before it, and verdicts only on those booked before it.

    Args:
        starts: (n,) whether another entity begins here; rows are by entity, and within one as they were booked.
        time: (n,) microseconds, not falling within an entity.
        amount: (n,) integers.
        label: (n,) 1 fraud, 0 genuine, ``UNKNOWN`` no verdict.
        lengths: (windows,) microseconds, above 0.
        delay: Microseconds until a verdict is known, at least 0.

    Returns:
        (windows, n) int64 each: the row of the first transaction, the sum of the amounts, verdicts, frauds among them.
    """
    shape = (len(lengths), len(time))
    first, paid = np.empty(shape, np.int64), np.empty(shape, np.int64)
    judged, frauds = np.empty(shape, np.int64), np.empty(shape, np.int64)
    for window in range(len(lengths)):
        oldest, forgotten, known, total, verdicts, found = 0, 0, 0, 0, 0, 0
        for i in range(len(time)):
            if starts[i]:
                oldest, forgotten, known, total, verdicts, found = i, i, i, 0, 0, 0
            total += amount[i]
            since = time[i] - lengths[window]
            while time[oldest] <= since:
                total -= amount[oldest]
                oldest += 1
            while known < i and time[known] <= time[i] - delay:
                verdicts += label[known] != UNKNOWN
                found += label[known] == 1
                known += 1
            while forgotten < known and time[forgotten] <= since - delay:
                verdicts -= label[forgotten] != UNKNOWN
                found -= label[forgotten] == 1
                forgotten += 1
            first[window, i], paid[window, i], judged[window, i], frauds[window, i] = oldest, total, verdicts, found
    return first, paid, judged, frauds


@compiled
def largest_before(first: Ints, values: Ints) -> Ints:
    """Return (n,) the largest of ``values[first[i]:i]``, 0 where there is none.

    A queue of falling values (Lemire 2006, "Streaming maximum-minimum filter using no more than three comparisons per
    element").

    Args:
        first: (n,) at most their own place each; not falling.
        values: (n,) of at least 0.
    """
    found, queue = np.zeros(len(values), np.int64), np.empty(len(values), np.int64)
    head, tail = 0, 0
    for i in range(len(values)):
        while head < tail and queue[head] < first[i]:
            head += 1
        if head < tail:
            found[i] = values[queue[head]]
        while head < tail and values[queue[tail - 1]] <= values[i]:
            tail -= 1
        queue[tail] = i
        tail += 1
    return found
