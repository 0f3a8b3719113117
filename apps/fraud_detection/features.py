"""What a transaction is compared with: one definition of every feature, for batches and for the online path.

A feature of a transaction is made of itself and of what stood in the books at its instant: earlier transactions of
the same card or terminal, and labels that had arrived, which is ``label_delay`` after their transaction. Of
transactions of one instant the earlier in the books come first. Amounts are summed as integers, so that the
same rows give the same bits whether they come from a file of years or from the few rows of a state store.

Windows are open at their old end: ``(t - window, t]`` as pandas' ``rolling("7D")``; count and mean of a window hold
the transaction itself (Le Borgne et al. 2022, chapter "Baseline feature transformation"), what is called usual does
not. No TensorFlow here.
"""

import concurrent.futures
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from shared import compiling

MICROSECONDS = 1_000_000
HOUR = 3_600 * MICROSECONDS
DAY = 24 * HOUR
WINDOW_DAYS = (1, 7, 30)
USUAL_DAYS = WINDOW_DAYS[-1]
# Amounts are kept as whole ten-thousandths: exact for cents, and for currencies with three decimals.
AMOUNT_SCALE = 10_000
UNKNOWN = -1
# Below this many rows a pool of threads costs more than it spares.
FEW_ROWS = 20_000

Floats: TypeAlias = npt.NDArray[np.float32]
Ints: TypeAlias = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Books:
    """Transactions in the order in which they were booked, oldest first.

    Attributes:
        time: (n,) int64 microseconds since 1970, not falling.
        amount: (n,) int64 in ten-thousandths of the currency.
        entities: Name of an entity, such as ``customer``, to (n,) int64 codes; below 0 where it is not known.
        label: (n,) int64 1 fraud, 0 genuine, ``UNKNOWN`` not known.
    """

    time: Ints
    amount: Ints
    entities: Mapping[str, Ints]
    label: Ints

    def __len__(self) -> int:
        return len(self.time)


def names(entities: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the features of these entities, in their order.

    >>> len(names(["customer"]))
    14
    """
    return tuple(f"{entity}_{what}" for entity in entities for what in _WHAT)


def compute(books: Books, *, label_delay_days: float, first: int = 0) -> dict[str, Floats]:
    """Return every feature of every transaction from ``first`` on: name -> (n - first,) float32.

    For each entity: ``count_<w>d`` transactions, ``mean_amount_<w>d`` and ``risk_<w>d``, the share of fraud among the
    labelled transactions of a window that ends ``label_delay_days`` ago; ``judged_30d``, how many those were;
    ``hours_since_last``; and of its earlier transactions in 30 days ``usual_amount``, their mean, ``amount_ratio`` and
    ``maximum_ratio``, this amount divided by their mean and by their largest. Where there is nothing to
    compare with, a ratio is 1 and the rest 0; ``hours_since_last`` is then the longest it can be, 30 days.

    Args:
        books: The transactions.
        label_delay_days: After how many days a label is in the books.
        first: Row number; what was booked before is history only.
    """
    delay = round(label_delay_days * DAY)
    apply = map if len(books) < FEW_ROWS else _apply_at_once
    found = apply(lambda codes: _of_entity(codes, books, delay, first), books.entities.values())
    pairs = zip(books.entities, found, strict=True)
    return {f"{entity}_{what}": columns[what] for entity, columns in pairs for what in _WHAT}


def _apply_at_once(function: Callable[[Ints], dict[str, Floats]], entities: Iterable[Ints]) -> list[dict[str, Floats]]:
    """Do what ``map`` does, a core for each entity: neither NumPy nor what is compiled holds Python back."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        return list(pool.map(function, entities))


def needed_days(label_delay_days: float) -> float:
    """Return how many days back the features of a transaction look."""
    return max(WINDOW_DAYS) + label_delay_days


_WHAT = (
    *(f"count_{days}d" for days in WINDOW_DAYS),
    *(f"mean_amount_{days}d" for days in WINDOW_DAYS),
    *(f"risk_{days}d" for days in WINDOW_DAYS),
    "judged_30d",
    "hours_since_last",
    "usual_amount",
    "amount_ratio",
    "maximum_ratio",
)


def _of_entity(codes: Ints, books: Books, delay: int, first: int) -> dict[str, Floats]:
    order = stable_order(codes)
    code, time, amount, label = (each[order] for each in (codes, books.time, books.amount, books.label))
    starts = np.diff(code, prepend=code[:1] - 1) != 0
    lengths = np.array([days * DAY for days in WINDOW_DAYS])
    found = np.empty((len(_WHAT), len(books) - first), np.float32)
    described(starts, code < 0, order - first, time, amount, label, lengths, delay, found)
    return dict(zip(_WHAT, found, strict=True))


def stable_order(codes: Ints) -> Ints:
    """Return the stable order of ``codes`` (n,); numpy sorts 16-bit numbers by radix, many times faster."""
    if not len(codes) or np.ptp(codes) >= 2**32:
        return np.argsort(codes, kind="stable")
    shifted = (codes - codes.min()).astype(np.uint32)
    order = np.argsort((shifted & 0xFFFF).astype(np.uint16), kind="stable")
    return order[np.argsort((shifted >> 16).astype(np.uint16)[order], kind="stable")]


@compiling.compiled
def described(  # noqa: PLR0913
    starts: npt.NDArray[np.bool_],
    nobody: npt.NDArray[np.bool_],
    place: Ints,
    time: Ints,
    amount: Ints,
    label: Ints,
    lengths: Ints,
    delay: int,
    found: Floats,
) -> None:
    """Write the features of one entity into ``found``; see ``compute``.

    One pass for each window, whose running sums are those of whole numbers, and nothing between them and the columns:
    of millions of rows no sum is kept. What is largest before comes from a queue of falling amounts (Lemire 2006,
    "Streaming maximum-minimum filter using no more than three comparisons per element").

    Args:
        starts: (n,) whether another entity begins here; rows are by entity, and within one as they were booked.
        nobody: (n,) whether the entity is not known.
        place: (n,) in which row of ``found`` to write; below 0: the row is history only.
        time: (n,) microseconds, not falling within an entity.
        amount: (n,) integers of at least 0.
        label: (n,) 1 fraud, 0 genuine, ``UNKNOWN`` not known.
        lengths: (windows,) microseconds, above 0, the longest last: what is usual is what stood in it before.
        delay: Microseconds until a label is known, at least 0.
        found: (columns in the order of their names, rows) float32.
    """
    count = len(lengths)
    queue = np.empty(len(time), np.int64)
    for window in range(count):
        is_longest = window == count - 1
        oldest, forgotten, known, total, labels, frauds, head, tail = 0, 0, 0, 0, 0, 0, 0, 0
        for i in range(len(time)):
            if starts[i]:
                oldest, forgotten, known, total, labels, frauds, head, tail = i, i, i, 0, 0, 0, 0, 0
            total += amount[i]
            since = time[i] - lengths[window]
            while time[oldest] <= since:
                total -= amount[oldest]
                oldest += 1
            while known < i and time[known] <= time[i] - delay:
                labels += label[known] != UNKNOWN
                frauds += label[known] == 1
                known += 1
            while forgotten < known and time[forgotten] <= since - delay:
                labels -= label[forgotten] != UNKNOWN
                frauds -= label[forgotten] == 1
                forgotten += 1
            largest = 0
            if is_longest:
                while head < tail and queue[head] < oldest:
                    head += 1
                largest = amount[queue[head]] if head < tail else 0
                while head < tail and amount[queue[tail - 1]] <= amount[i]:
                    tail -= 1
                queue[tail] = i
                tail += 1
            row = place[i]
            if row < 0:
                continue
            is_known = not nobody[i]
            inside = i - oldest + 1
            found[window, row] = inside if is_known else 0
            found[count + window, row] = total / (inside * AMOUNT_SCALE) if is_known else 0
            found[2 * count + window, row] = frauds / labels if is_known and labels > 0 else 0
            if is_longest:
                before = inside - 1
                usual = (total - amount[i]) / (before * AMOUNT_SCALE) if before > 0 else 0.0
                gap = time[i] - time[i - 1] if before > 0 else USUAL_DAYS * DAY
                found[3 * count, row] = labels if is_known else 0
                found[3 * count + 1, row] = gap / HOUR if is_known else 0
                found[3 * count + 2, row] = usual if is_known else 0
                found[3 * count + 3, row] = amount[i] / AMOUNT_SCALE / usual if is_known and usual > 0 else 1
                found[3 * count + 4, row] = amount[i] / largest if is_known and largest > 0 else 1
