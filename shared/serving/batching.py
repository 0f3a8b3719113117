"""Requests that wait together are answered together: one thread per model, a bounded queue, a small wait.

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


@dataclasses.dataclass(frozen=True, eq=False)
class _Request:
    signature: str
    inputs: Arrays
    rows: int
    deadline: float
    came: float
    alone: bool
    future: "concurrent.futures.Future[dict[str, npt.NDArray[Any]]]"

    @property
    def kind(self) -> tuple[Any, ...]:
        """Return what must be equal for two requests to be joined: signature, and each input's shape of a row."""
        if self.alone:
            return (id(self),)
        return (self.signature, *((name, values.shape[1:], values.dtype) for name, values in self.inputs.items()))


class Batcher:
    """Joins requests of several clients into batches.

    Args:
        run: Answers a signature's inputs.
        batch_rows: Most rows of a batch; a larger request is a batch of its own.
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
        future: concurrent.futures.Future[dict[str, npt.NDArray[Any]]] = concurrent.futures.Future()
        with self._changed:
            if self._closed:
                raise refusals.UnavailableError("expected a version that is served. Received: one that was retired")
            if self._rows and self._rows + rows > self._queue_rows:
                raise refusals.BusyError(
                    f"expected at most {self._queue_rows} rows to wait. Received: {rows} more than {self._rows}"
                )
            request = _Request(signature, inputs, rows, deadline, time.monotonic(), alone, future)
            self._waiting.append(request)
            self._rows += rows
            self._changed.notify()
        future.add_done_callback(lambda done: self._drop(request) if done.cancelled() else None)
        return future

    def close(self) -> None:
        """Answer what waits, refuse what comes, and return when all is answered."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while batch := self._take():
            alive = [request for request in batch if self._begin(request)]
            if alive:
                self._answer(alive)

    def _drop(self, request: _Request) -> None:
        """Let a request go whose client left, so that it fills neither the queue nor a batch."""
        with self._changed, contextlib.suppress(ValueError):
            self._waiting.remove(request)
            self._rows -= request.rows

    def _begin(self, request: _Request) -> bool:
        """Return whether somebody still waits for the answer."""
        if not request.future.set_running_or_notify_cancel():
            return False
        if time.monotonic() > request.deadline:
            request.future.set_exception(refusals.DeadlineError("expected to be answered in time. Received: too late"))
            return False
        return True

    def _take(self) -> list[_Request]:
        """Wait for requests and return some that can be joined; none when closed and empty."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            if not self._waiting:
                return []
            self._wait_for_others()
            batch = [self._waiting.popleft()]
            rows, kind = batch[0].rows, batch[0].kind
            # Who got the last answers is about to ask again.
            most = min((self._rows + self._last_rows + 1) // 2, self._batch_rows)
            while self._waiting and rows + self._waiting[0].rows <= most and self._waiting[0].kind == kind:
                batch.append(self._waiting.popleft())
                rows += batch[-1].rows
            self._rows -= rows
            self._last_rows = rows
            return batch

    def _wait_for_others(self) -> None:
        wanted, until = min(self._last_rows, self._batch_rows), self._waiting[0].came + self._wait_seconds
        while self._rows < wanted and not self._closed:
            left = until - time.monotonic()
            if left <= 0 or not self._changed.wait(left):
                return

    def _answer(self, batch: list[_Request]) -> None:
        started = time.monotonic()
        try:
            outputs = self._run(batch[0].signature, _joined([request.inputs for request in batch]))
        except Exception as error:
            self._answer_alone(batch, error)
            return
        start = 0
        for request in batch:
            stop = start + request.rows
            request.future.set_result({name: values[start:stop] for name, values in outputs.items()})
            start = stop
        now = time.monotonic()
        self._on_served(Served(rows=start, waited_seconds=started - batch[0].came, seconds=now - started))

    def _answer_alone(self, batch: list[_Request], error: Exception) -> None:
        """Let a fault fall on the request that has it, not on those it was joined with."""
        if len(batch) == 1:
            batch[0].future.set_exception(error)
            return
        for request in batch:
            self._answer([request])


def _joined(inputs: list[Arrays]) -> Arrays:
    if len(inputs) == 1:
        return inputs[0]
    return {name: np.concatenate([each[name] for each in inputs]) for name in inputs[0]}
