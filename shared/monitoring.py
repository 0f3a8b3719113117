"""Has the input changed, or what the model says of it? New columns beside the reference inside a bundle.

The verb ``monitor`` compares a data set; ``Watch`` compares what a version is asked while it serves: a few rows a
second go through the bundle's signature ``drift``, and the newest results are kept. Nothing raw is kept.
"""

import collections
import functools
import logging
import pathlib
import queue
import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from shared import errors, files, published
from shared.bundle import reading as bundle
from shared.evaluation import drift
from shared.report import blocks, document

log = logging.getLogger("fieldnets")

# Chance of any false alarm in one comparison.
ALPHA = 0.01
SIGNATURE = "drift"
# While serving: rows that are compared, at least and at most.
NEEDED_ROWS = 200
KEPT_ROWS = 2_000
_ROWS_AT_ONCE = 32
_MOST_WAITING = 64
Ask: TypeAlias = Callable[[Mapping[str, Any]], dict[str, npt.NDArray[Any]]]


def monitor(
    loaded: bundle.Bundle,
    columns: Mapping[str, npt.NDArray[Any]],
    *,
    names: Mapping[str, str],
    things: str,
    output: pathlib.Path | None,
    left_out: Collection[str] = (),
) -> dict[str, Any]:
    """Compare new columns with the bundle's reference, and write ``drift.json`` and ``report.html`` if asked.

    Args:
        loaded: A bundle with ``drift_reference.json``.
        columns: The reference's columns of the new data, each (n,).
        names: What each column is, in words.
        things: What the rows are, in the plural.
        output: Folder of the two files.
        left_out: Columns of the reference that cannot be compared with these data.

    Returns:
        One row per column, whether any drifted, and exit code 3 if so.
    """
    reference = loaded.extra("drift_reference.json")
    known = {name: content for name, content in reference.items() if name not in left_out}
    rows = drift.compare(known, columns, alpha=ALPHA)
    drifted = [row["name"] for row in rows if row["drift"]]
    n = len(next(iter(columns.values())))
    result = {"n": n, "drift": bool(drifted), "drifted": drifted, "columns": rows}
    if output is not None:
        page = report(rows, name=loaded.name, names=names, things=f"{n:,} new {things}")
        with published.folder(output, listed=False) as into:
            files.write_json(into / "drift.json", result)
            files.write_text(into / "report.html", document.render(page))
    return result | {"exit_code": errors.GateError.exit_code if drifted else 0}


def asking(loaded: bundle.Bundle) -> Ask:
    """Return the bundle's signature ``drift`` as a function of a batch.

    Raises:
        errors.InputError: The bundle has no such signature.
    """
    if SIGNATURE not in loaded.signatures:
        raise errors.InputError(
            f"{loaded.path}: expected a bundle with the signature {SIGNATURE}; export the run again. "
            f"Received: {', '.join(loaded.signatures)}"
        )
    return functools.partial(loaded.run, signature=SIGNATURE)


def in_batches(ask: Ask, inputs: Mapping[str, npt.NDArray[Any]], *, rows: int) -> dict[str, npt.NDArray[Any]]:
    """Return the drift columns of many rows, asked about a part at a time.

    Args:
        ask: What ``asking`` returns, or the same function before it was exported.
        inputs: Its inputs, each (n, ...).
        rows: Most rows at once.
    """
    count = len(next(iter(inputs.values())))
    parts = [
        ask({name: values[start : start + rows] for name, values in inputs.items()}) for start in range(0, count, rows)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def report(rows: list[dict[str, Any]], *, name: str, names: Mapping[str, str], things: str) -> document.Report:
    """Return the page that says what drifted, by how much, and what that means."""
    drifted = [names[row["name"]] for row in rows if row["drift"]]
    answer = f"Drift in {', '.join(drifted)}." if drifted else "No drift: these look like the reference."
    table = blocks.Table(
        columns=("What", "Drift", "PSI", "alarm from", "Distance", "p (Holm)", "Reference n", "New n"),
        rows=[
            (
                names[row["name"]],
                "yes" if row["drift"] else "no",
                row["psi"],
                row["threshold"],
                row["total_variation"] if row["ks"] is None else row["ks"],
                row["p_adjusted"],
                row["n_reference"],
                row["n"],
            )
            for row in rows
        ],
        caption="Distance: Kolmogorov-Smirnov for numbers, total variation for categories.",
        emphasis=[index for index, row in enumerate(rows) if row["drift"]],
    )
    lead = (
        f"{things} against the validation part of the training run. A row is drift when its population "
        f"stability index passes the alarm line and chance alone explains it with p below {ALPHA:g}."
    )
    return document.Report(
        title=f"Drift of {name}", answer=answer, sections=[document.Section("Comparison", lead, [table])]
    )


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
