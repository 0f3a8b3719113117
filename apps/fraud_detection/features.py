"""What a transaction is compared with: one definition of every feature, for batches and for the online path.

A feature of a transaction is made of itself and of what stood in the books at its instant: earlier transactions of
the same card or terminal, and verdicts that had arrived, which is ``label_delay`` after the transaction they judge. Of
transactions of one instant the earlier in the books come first. Amounts are summed as integers, so that the
same rows give the same bits whether they come from a file of years or from the few rows of a state store.

Windows are open at their old end: ``(t - window, t]`` as pandas' ``rolling("7D")``; count and mean of a window hold
the transaction itself (Le Borgne et al. 2022, chapter "Baseline feature transformation"), what is called usual does
not. No TensorFlow here.
"""

import concurrent.futures
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

MICROSECONDS = 1_000_000
DAY = 86_400 * MICROSECONDS
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
        label: (n,) int64 1 fraud, 0 genuine, ``UNKNOWN`` no verdict.
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
    transactions judged in a window that ends ``label_delay_days`` ago; ``judged_30d``, how many those were;
    ``hours_since_last``; and of its earlier transactions in 30 days ``usual_amount``, their mean, ``amount_ratio`` and
    ``maximum_ratio``, this amount divided by their mean and by their largest. Where there is nothing to
    compare with, a ratio is 1 and the rest 0; ``hours_since_last`` is then the longest it can be, 30 days.

    Args:
        books: The transactions.
        label_delay_days: After how many days a verdict is in the books.
        first: Row number; what was booked before is history only.
    """
    delay = round(label_delay_days * DAY)
    # With history before them rows are a piece of a stream, where memory counts: one entity after the other.
    if first or len(books) < FEW_ROWS:
        return _columns(books, delay, first, map)
    # NumPy sorts and searches without holding Python back: windows and entities keep several cores busy.
    with concurrent.futures.ThreadPoolExecutor(max(2, len(books.entities))) as pool:
        return _columns(books, delay, first, pool.map)


def _columns(books: Books, delay: int, first: int, each: Callable[..., Iterable[Any]]) -> dict[str, Floats]:
    """Return every feature, with ``each`` applying a function to several arguments, one after another or at once."""
    clock = _Clock(books.time, delay, first, each)
    found = each(lambda codes: _of_entity(codes, books, clock, delay), books.entities.values())
    pairs = zip(books.entities, found, strict=True)
    return {f"{entity}_{what}": columns[what] for entity, columns in pairs for what in _WHAT}


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


def _of_entity(codes: Ints, books: Books, clock: "_Clock", delay: int) -> dict[str, Floats]:
    view = _Sorted(codes, clock)
    amount, label = books.amount[view.order], books.label[view.order]
    paid, judged, fraud = (_running(values) for values in (amount, label != UNKNOWN, label == 1))
    end = view.wanted
    last = end + 1
    columns: dict[str, Floats] = {}

    def put(name: str, values: npt.NDArray[Any], nobody: float = 0.0) -> None:
        # At once in four bytes: of millions of rows no column is kept in eight.
        columns[name] = view.restored(values, nobody)

    known = view.first_after(delay)
    judged_until, frauds_until = judged[known], fraud[known]
    for days in WINDOW_DAYS:
        start = view.first_after(days * DAY)
        put(f"count_{days}d", last - start)
        put(f"mean_amount_{days}d", (paid[last] - paid[start]) / ((last - start) * AMOUNT_SCALE))
        early = view.first_after(days * DAY + delay)
        verdicts = judged_until - judged[early]
        put(f"risk_{days}d", _divided(frauds_until - fraud[early], verdicts, 0.0))
    put(f"judged_{days}d", verdicts)
    # The last window is the longest, and what is usual is what stood in it before.
    own = amount[end]
    usual = _divided(paid[end] - paid[start], (end - start) * AMOUNT_SCALE, 0.0)
    put("usual_amount", usual)
    put("amount_ratio", _divided(own / AMOUNT_SCALE, usual, 1.0), 1.0)
    put("maximum_ratio", _divided(own, _largest(amount, start, end), 1.0), 1.0)
    time = clock.time[view.order]
    gap = np.where(end > start, time[end] - time[np.maximum(end - 1, 0)], USUAL_DAYS * DAY)
    put("hours_since_last", gap / (3_600 * MICROSECONDS))
    return columns


class _Clock:
    """Times (n,), not falling, and for those from ``first`` on how many are older than some time before them."""

    def __init__(self, time: Ints, delay: int, first: int, each: Callable[..., Iterable[Any]]) -> None:
        """Look up every window once, for all entities."""
        self.time, self.first = time, first
        windows = sorted({delay, *(days * DAY + later for days in WINDOW_DAYS for later in (0, delay))})
        places = each(lambda ago: np.searchsorted(time, time[first:] - ago, side="right"), windows)
        self._places: dict[int, Ints] = dict(zip(windows, places, strict=True))

    def first_after(self, ago: int) -> Ints:
        """Return (n - first,) the first row of any entity that is younger than ``ago`` microseconds."""
        return self._places[ago]


class _Sorted:
    """Rows by entity and then by time."""

    def __init__(self, codes: Ints, clock: _Clock) -> None:
        """Sort ``codes`` (n,), keeping the order within a code."""
        self._clock = clock
        self.order = _stable_order(codes)
        found = codes[self.order]
        # Entity and place in time as one number, which rises from row to row.
        group = np.cumsum(np.diff(found, prepend=found[:1]) != 0) * (len(codes) + 1)
        self._key = group + self.order
        # Places of the rows whose features are wanted, and which row from ``first`` on each is.
        self.wanted = np.flatnonzero(self.order >= clock.first) if clock.first else np.arange(len(codes))
        self._row = self.order[self.wanted] - clock.first
        self._group, self._unknown = group[self.wanted], found[self.wanted] < 0

    def first_after(self, ago: int) -> Ints:
        """Return for each row the first row of its entity that is younger than ``ago`` microseconds."""
        # Rising numbers are found several times faster than jumping ones.
        place = self._clock.first_after(ago)[self._row]
        place += self._group
        return np.searchsorted(self._key, place, side="left")

    def restored(self, column: npt.NDArray[Any], nobody: float) -> Floats:
        """Return a sorted column in the order of the books; ``nobody`` where the entity is not known."""
        found = column.astype(np.float32)
        found[self._unknown] = nobody
        values = np.empty_like(found)
        values[self._row] = found
        return values


def _stable_order(codes: Ints) -> Ints:
    """Return the stable order of ``codes`` (n,); numpy sorts 16-bit numbers by radix, many times faster."""
    if not len(codes) or np.ptp(codes) >= 2**32:
        return np.argsort(codes, kind="stable")
    shifted = (codes - codes.min()).astype(np.uint32)
    order = np.argsort((shifted & 0xFFFF).astype(np.uint16), kind="stable")
    return order[np.argsort((shifted >> 16).astype(np.uint16)[order], kind="stable")]


def _running(values: npt.NDArray[Any]) -> Ints:
    return np.concatenate([[0], np.cumsum(values, dtype=np.int64)])


def _divided(above: npt.NDArray[Any], below: npt.NDArray[Any], otherwise: float) -> npt.NDArray[np.float64]:
    found: npt.NDArray[np.float64] = np.full(len(above), otherwise)
    np.divide(above, below, out=found, where=below > 0)
    return found


def _largest(values: Ints, start: Ints, end: Ints) -> Ints:
    """Return the largest of ``values[start:end]`` for each of the pairs (k,), 0 where that is empty.

    A sparse table (Bender and Farach-Colton 2000, "The LCA problem revisited"): a range is covered by two
    overlapping ranges whose length is the largest power of two within it.
    """
    length = end - start
    level = np.frexp(np.maximum(length, 1))[1] - 1
    found, table = np.zeros(len(start), np.int64), values.copy()
    for power in range(int(level.max(initial=0)) + 1):
        if power:
            half = 2 ** (power - 1)
            table[: len(table) - half] = np.maximum(table[: len(table) - half], table[half:])
        rows = np.flatnonzero((level == power) & (length > 0))
        found[rows] = np.maximum(table[start[rows]], table[end[rows] - 2**power])
    return found
