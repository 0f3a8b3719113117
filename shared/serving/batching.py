"""Requests that wait together are answered together: one thread per model, a bounded queue, a small wait.

A request of more rows than a batch has is answered in pieces, one in each turn: whoever comes meanwhile waits for a
piece of each request before it, never for a whole large one.

As soon as the thread is free it answers what waits, but no more than half of what is under way, so that the other half
can be read and written meanwhile. Only when several rows came together the last time does it wait, for at most the
latency budget, until as many are there again: a single client never waits.
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from shared.serving import refusals

Arrays: TypeAlias = Mapping[str, npt.NDArray[Any]]
Run: TypeAlias = Callable[[str, Arrays], dict[str, npt.NDArray[Any]]]
# Of texts or files, a fraction of a second for the networks here.
_PIECE_BYTES = 1 << 19


@dataclasses.dataclass(frozen=True, kw_only=True)
class Served:
    """One batch that was answered, for those who watch.

    Attributes:
        rows: Its rows.
        waited_seconds: How long its oldest request had waited.
        seconds: How long the model took.
    """

    rows: int
    waited_seconds: float
    seconds: float


@dataclasses.dataclass(eq=False)
class _Request:
    """A request, where it is cut, and how much of it was answered.

    Attributes:
        cuts: The row behind the last of each piece.
        taken: How many of its rows no longer wait.
        parts: The answers of its first pieces.
    """

    signature: str
    inputs: Arrays
    rows: int
    deadline: float
    came: float
    alone: bool
    future: "concurrent.futures.Future[dict[str, npt.NDArray[Any]]]"
    cuts: tuple[int, ...]
    taken: int = 0
    parts: list[Arrays] = dataclasses.field(default_factory=list)

    @property
    def left(self) -> int:
        """Rows that wait."""
        return self.rows - self.taken

    @property
    def kind(self) -> tuple[Any, ...]:
        """Return what must be equal for two requests to be joined: signature, and each input's shape of a row."""
        if self.alone:
            return (id(self),)
        return (self.signature, *((name, values.shape[1:], values.dtype) for name, values in self.inputs.items()))


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Piece:
    """Rows of a request that are answered together."""

    request: _Request
    start: int
    stop: int

    @property
    def rows(self) -> int:
        """How many."""
        return self.stop - self.start

    @property
    def inputs(self) -> Arrays:
        """One array (rows, ...) per input."""
        if self.rows == self.request.rows:
            return self.request.inputs
        return {name: values[self.start : self.stop] for name, values in self.request.inputs.items()}


class Batcher:
    """Joins requests of several clients into batches, and cuts those that are larger than a batch.

    Args:
        run: Answers a signature's inputs.
        batch_rows: Most rows of a batch.
        queue_rows: Rows that may wait.
        wait_seconds: The latency budget.
        on_served: Told of each batch.
    """

    def __init__(
        self,
        run: Run,
        *,
        batch_rows: int,
        queue_rows: int,
        wait_seconds: float,
        on_served: Callable[[Served], None] = lambda _served: None,
    ) -> None:
        self._run, self._on_served = run, on_served
        self._batch_rows, self._queue_rows, self._wait_seconds = batch_rows, queue_rows, wait_seconds
        self._waiting: collections.deque[_Request] = collections.deque()
        self._rows = 0
        self._last_rows = 1
        # How many rows must wait for the thread to go on, where it sleeps.
        self._wanted = 1
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="batcher", daemon=True)
        self._thread.start()

    @property
    def waiting_rows(self) -> int:
        """Rows that wait."""
        return self._rows

    def submit(
        self, signature: str, inputs: Arrays, *, deadline: float, alone: bool = False
    ) -> "concurrent.futures.Future[dict[str, npt.NDArray[Any]]]":
        """Queue a request.

        Args:
            signature: Which signature.
            inputs: One array (rows, ...) per input.
            deadline: ``time.monotonic()`` after which nobody waits for the answer.
            alone: Whether it is answered without others, because they would change its answer.

        Returns:
            A future of the outputs, one array (rows, ...) each. Who cancels it takes the request out of the queue.

        Raises:
            refusals.BusyError: The queue is full.
            refusals.UnavailableError: The batcher was closed.
        """
        rows = len(next(iter(inputs.values())))
        cuts = _cuts(inputs, rows, self._batch_rows)
        future: concurrent.futures.Future[dict[str, npt.NDArray[Any]]] = concurrent.futures.Future()
        with self._changed:
            if self._closed:
                raise refusals.UnavailableError("expected a version that is served. Received: one that was retired")
            if self._rows and self._rows + rows > self._queue_rows:
                raise refusals.BusyError(
                    f"expected at most {self._queue_rows} rows to wait. Received: {rows} more than {self._rows}"
                )
            request = _Request(signature, inputs, rows, deadline, time.monotonic(), alone, future, cuts)
            self._waiting.append(request)
            self._rows += rows
            # Waking the thread for each request would take the interpreter from whoever reads the next one.
            if self._rows >= self._wanted:
                self._changed.notify()
        future.add_done_callback(lambda _done: self._drop(request) if request.left else None)
        return future

    def close(self, seconds: float | None = None) -> bool:
        """Answer what waits and refuse what comes; return whether all was answered within ``seconds``."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while batch := self._take():
            alive = [piece for piece in batch if self._begin(piece.request)]
            if alive:
                self._answer(alive)
            self._return([piece.request for piece in alive])

    def _drop(self, request: _Request) -> None:
        """Let what waits of a request go, so that it fills neither the queue nor a batch."""
        with self._changed:
            self._rows -= request.left
            request.taken = request.rows
            with contextlib.suppress(ValueError):
                self._waiting.remove(request)

    def _return(self, requests: list[_Request]) -> None:
        """Put those of whom rows are left behind all who wait."""
        with self._changed:
            self._waiting.extend(request for request in requests if request.left)

    def _begin(self, request: _Request) -> bool:
        """Return whether somebody still waits for the answer."""
        if request.future.cancelled() or (not request.left and not request.future.set_running_or_notify_cancel()):
            return False
        if time.monotonic() > request.deadline:
            _settle(request.future, refusals.DeadlineError("expected to be answered in time. Received: too late"))
            return False
        return True

    def _take(self) -> list[_Piece]:
        """Wait for requests and return some that can be joined; none when closed and empty."""
        with self._changed:
            if not self._is_asked():
                return []
            # Who got the last answers is about to ask again.
            most = min((self._rows + self._last_rows + 1) // 2, self._batch_rows)
            batch = [self._next()]
            rows, kind = batch[0].rows, batch[0].request.kind
            while self._waiting and rows + self._waiting[0].left <= most and self._waiting[0].kind == kind:
                batch.append(self._next())
                rows += batch[-1].rows
            self._rows -= rows
            self._last_rows = rows
            return batch

    def _next(self) -> _Piece:
        """Take the first request's next piece."""
        request = self._waiting.popleft()
        start = request.taken
        request.taken = next(cut for cut in request.cuts if cut > start)
        return _Piece(request=request, start=start, stop=request.taken)

    def _is_asked(self) -> bool:
        """Wait for requests, and a little for others; return whether there are some: not when closed and empty."""
        while True:
            self._wanted = 1
            while not self._waiting and not self._closed:
                self._changed.wait()
            if self._waiting:
                self._wait_for_others()
            # All who waited may have left meanwhile.
            if self._waiting or self._closed:
                return bool(self._waiting)

    def _wait_for_others(self) -> None:
        until = self._waiting[0].came + self._wait_seconds
        self._wanted = min(self._last_rows, self._batch_rows)
        while self._rows < self._wanted and not self._closed:
            left = until - time.monotonic()
            if left <= 0 or not self._changed.wait(left):
                return

    def _answer(self, batch: list[_Piece]) -> None:
        started = time.monotonic()
        try:
            outputs = self._run(batch[0].request.signature, _joined([piece.inputs for piece in batch]))
        except Exception as error:
            self._answer_alone(batch, error)
            return
        start = 0
        for piece in batch:
            stop = start + piece.rows
            _give(piece.request, {name: values[start:stop] for name, values in outputs.items()})
            start = stop
        now = time.monotonic()
        self._on_served(Served(rows=start, waited_seconds=started - batch[0].request.came, seconds=now - started))

    def _answer_alone(self, batch: list[_Piece], error: Exception) -> None:
        """Let a fault fall on the request that has it, not on those it was joined with."""
        if len(batch) == 1:
            _settle(batch[0].request.future, error)
            return
        for piece in batch:
            self._answer([piece])


def _cuts(inputs: Arrays, rows: int, most_rows: int) -> tuple[int, ...]:
    """Return the row behind the last of each piece: ``most_rows`` rows, ``_PIECE_BYTES`` of strings, or one row."""
    if rows == 1:
        return (1,)
    texts = [values.reshape(rows, -1).tolist() for values in inputs.values() if values.dtype == object]
    if not texts:
        return (*range(most_rows, rows, most_rows), rows)
    cuts, start, size = [], 0, 0
    for row, cells in enumerate(zip(*texts, strict=True)):
        own = sum(len(cell) for row_cells in cells for cell in row_cells)
        if row > start and (row - start == most_rows or size + own > _PIECE_BYTES):
            cuts.append(row)
            start, size = row, 0
        size += own
    return (*cuts, rows)


def _give(request: _Request, outputs: dict[str, npt.NDArray[Any]]) -> None:
    """Note the answer of a piece; with the last one the request is answered."""
    if request.rows == len(next(iter(outputs.values()))):
        request.future.set_result(outputs)
        return
    request.parts.append(outputs)
    if not request.left and not request.future.cancelled():
        names = request.parts[0]
        request.future.set_result({name: _stacked([part[name] for part in request.parts]) for name in names})


def _stacked(parts: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Return the rows of all parts; those of free size are filled up to the longest, as the graphs do, with zeros."""
    shapes = {part.shape[1:] for part in parts}
    if len(shapes) == 1:
        return np.concatenate(parts)
    sides = tuple(map(max, zip(*shapes, strict=True)))
    found = np.full((sum(map(len, parts)), *sides), "" if parts[0].dtype == object else 0, parts[0].dtype)
    start = 0
    for part in parts:
        stop = start + len(part)
        found[(slice(start, stop), *map(slice, part.shape[1:]))] = part
        start = stop
    return found


def _settle(future: "concurrent.futures.Future[Any]", error: Exception) -> None:
    """Let a future fail, unless nobody waits for it any more."""
    with contextlib.suppress(concurrent.futures.InvalidStateError):
        future.set_exception(error)


def _joined(inputs: list[Arrays]) -> Arrays:
    if len(inputs) == 1:
        return inputs[0]
    return {name: np.concatenate([each[name] for each in inputs]) for name in inputs[0]}
