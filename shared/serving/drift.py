"""What a version answered, beside its drift reference, while it serves.

A few rows a second go through the bundle's signature ``drift``; the newest are kept and compared as the verb
``monitor`` compares them. Nothing raw is kept.
"""

import collections
import logging
import queue
import threading
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.bundle import reading as bundle
from shared.evaluation import drift

log = logging.getLogger("fieldnets")

SIGNATURE = "drift"
# Chance of any false alarm in one comparison, as in the verb ``monitor``.
ALPHA = 0.01
NEEDED_ROWS = 200
KEPT_ROWS = 2_000
_ROWS_AT_ONCE = 32
_MOST_WAITING = 64


class Watch:
    """The newest rows of a version's traffic, as columns of its drift reference.

    Args:
        loaded: The bundle; without a reference or the signature nothing is watched.
        rows_per_second: Rows looked at, at most.
    """

    def __init__(self, loaded: bundle.Bundle, *, rows_per_second: float) -> None:
        self._bundle = loaded
        self._reference = loaded.extra("drift_reference.json")
        self.works = bool(self._reference) and SIGNATURE in loaded.signatures and rows_per_second > 0
        self._rate = rows_per_second
        self._credit, self._last = float(_ROWS_AT_ONCE), time.monotonic()
        self.served = 0
        self._rows: collections.deque[dict[str, Any]] = collections.deque(maxlen=KEPT_ROWS)
        self._compared: tuple[int, list[dict[str, Any]]] = (-1, [])
        self._looked = 0
        self._queue: queue.Queue[Mapping[str, npt.NDArray[Any]] | None] = queue.Queue(_MOST_WAITING)
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="drift", daemon=True)
        if self.works:
            self._thread.start()

    def see(self, inputs: Mapping[str, npt.NDArray[Any]]) -> None:
        """Look at some rows of a request later, or at none where there are more than can be looked at."""
        rows = len(next(iter(inputs.values())))
        self.served += rows
        if not self.works:
            return
        now = time.monotonic()
        self._credit = min(self._credit + self._rate * (now - self._last), max(self._rate, _ROWS_AT_ONCE))
        self._last = now
        taken = min(rows, int(self._credit))
        if taken == 0 or self._queue.full():
            return
        self._credit -= taken
        # Spread over the request, whose rows may be sorted.
        chosen = np.linspace(0, rows - 1, taken).astype(int)
        self._queue.put_nowait({name: values[chosen] for name, values in inputs.items()})

    def compare(self) -> list[dict[str, Any]]:
        """Return one row per column as ``drift.compare`` does; none before enough rows were seen."""
        with self._lock:
            rows, looked = list(self._rows), self._looked
        if len(rows) < NEEDED_ROWS:
            return []
        if self._compared[0] != looked:
            columns = {name: _column([row[name] for row in rows]) for name in self._reference}
            self._compared = (looked, drift.compare(self._reference, columns, alpha=ALPHA))
        return self._compared[1]

    def summary(self) -> dict[str, Any]:
        """Return what a page shows: rows looked at, needed and served, whether there is drift, and the columns."""
        columns = self.compare() if self.works else []
        shown = ("name", "psi", "threshold", "p_adjusted", "drift", "missing")
        return {
            "watched": self.works,
            "n": len(self._rows),
            "needed": NEEDED_ROWS,
            "served": self.served,
            "drift": any(row["drift"] for row in columns) if columns else None,
            "columns": [
                {"words": row["name"].replace("_", " "), **{key: row[key] for key in shown}} for row in columns
            ],
        }

    def settle(self, seconds: float = 10.0) -> None:
        """Wait until what was seen has been looked at, for tests and for the last look before a report."""
        until = time.monotonic() + seconds
        while self._queue.unfinished_tasks and time.monotonic() < until:
            time.sleep(0.005)

    def close(self) -> None:
        """Stop looking."""
        if self.works:
            self._queue.put(None)
            self._thread.join()

    def _work(self) -> None:
        while (inputs := self._queue.get()) is not None:
            rows = len(next(iter(inputs.values())))
            try:
                for start in range(0, rows, _ROWS_AT_ONCE):
                    self._look({name: values[start : start + _ROWS_AT_ONCE] for name, values in inputs.items()})
            except Exception:
                # Whoever asked has the answer; a column that cannot be had must not end the watch.
                log.exception("%s: these rows could not be compared with the drift reference", self._bundle.name)
            self._queue.task_done()

    def _look(self, inputs: Mapping[str, npt.NDArray[Any]]) -> None:
        columns = self._bundle.run(inputs, signature=SIGNATURE)
        names = list(self._reference)
        with self._lock:
            self._rows.extend(
                dict(zip(names, row, strict=True))
                for row in zip(*(columns[name].tolist() for name in names), strict=True)
            )
            self._looked += 1


def _column(values: list[Any]) -> npt.NDArray[Any]:
    if isinstance(values[0], str | bool):
        return np.array(values, object)
    found = np.array(values, np.float64)
    return np.where(np.isfinite(found), found, np.nan)
