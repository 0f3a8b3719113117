"""Start one training in several processes, and again where one of them dies; or helpers of a search.

On this machine they are children of this process; on a Ray cluster each is the child of an actor
(`shared.ray_actors`). What a death, bad input or the end means is the same. Each ends with whoever started it.
"""

import contextlib
import dataclasses
import functools
import logging
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import orjson

from shared import errors, machine
from shared.training import cluster

RESTARTS = 3
POLL_SECONDS = 0.2
# Between the end of one process and that of the others, which wait for it: they see that it is gone and say so.
GRACE_SECONDS = 5.0
INPUT = errors.InputError.exit_code
SHOWN_LINES = 5
HELPER = "FIELDNETS_HELPER"

log = logging.getLogger("fieldnets")


class EndedError(SystemExit):
    """A process that this one started has ended with a code, and has said why; uncaught, this one ends with it."""

    code: int

    def __str__(self) -> str:
        """Say so."""
        return f"a process of this call ended with exit code {self.code}"


class Process(Protocol):
    """One process of a training, wherever it runs."""

    def poll(self) -> int | None:
        """Return its exit code, minus the signal that ended it; None while it runs."""

    def said(self) -> str:
        """Return what it wrote to standard error, as far as that was not shown."""

    def output(self) -> bytes:
        """Return what it wrote to standard output."""


def train(
    command: Sequence[str], *, workers: int, ray_address: str | None = None, restarts: int = RESTARTS
) -> Mapping[str, Any]:
    """Run ``train`` in so many processes and return what the first one says.

    A process that is killed ends the others; all begin again from the last complete epoch.

    Args:
        command: The whole command line, of a process that reads `cluster.VARIABLE`.
        workers: Processes, at least 2.
        ray_address: The Ray cluster that they run on, as ``ray.init`` takes it; None = this machine, without Ray.
        restarts: How often to begin again.

    Raises:
        errors.InputError: Ray is not installed, or its cluster is not there or too small.
        EndedError: The training ends with that exit code; it has said why.
    """
    command = [*command, "--json"]
    with _places(ray_address, here=_together) as start:
        for attempt in range(restarts + 1):
            with start(command, workers) as processes:
                rank, code = _wait(processes)
                if code == 0:
                    return _result(processes[0].output())
                _say(rank, code, processes[rank].said())
            if code in (INPUT, -signal.SIGINT, 128 + signal.SIGINT) or attempt == restarts:
                raise EndedError(code if code > 0 else 1)
            log.warning("all workers begin again from the last complete epoch (%d of %d)", attempt + 1, restarts)
            command = [*(each for each in command if each != "--overwrite"), "--resume"]
    raise AssertionError("the last attempt returns or raises")


@contextlib.contextmanager
def _places(ray_address: str | None, *, here: Any, alone: bool = False) -> Iterator[Any]:
    """Yield a function that starts all processes: (command, count) -> context of a list of `Process`.

    Args:
        ray_address: The Ray cluster; None = this machine.
        here: That function for this machine.
        alone: Whether each works by itself, so that it need not be told of the others.
    """
    if ray_address is None:
        yield here
        return
    from shared import ray_actors, ray_cluster

    with ray_cluster.connected(ray_address):
        yield functools.partial(ray_actors.start, show=sys.stderr.write, told={HELPER: "1"}, alone=alone)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Child:
    """A process of this machine; what the first says on standard error is seen, what the others say is kept."""

    process: subprocess.Popen[bytes]
    written: pathlib.Path

    def poll(self) -> int | None:
        return self.process.poll()

    def said(self) -> str:
        return self.written.with_suffix(".err").read_text("utf-8", "replace")

    def output(self) -> bytes:
        return self.written.read_bytes()


@contextlib.contextmanager
def _together(command: Sequence[str], workers: int) -> Iterator[list[_Child]]:
    """Start the processes of a training on this machine, and end them with the block."""
    with tempfile.TemporaryDirectory(prefix="fieldnets-workers-") as folder:
        started = [_start(command, each, pathlib.Path(folder)) for each in _clusters(workers)]
        try:
            yield started
        finally:
            _end([each.process for each in started])


def is_helper() -> bool:
    """Tell whether this process is one that this module started."""
    return HELPER in os.environ


def end_with_parent() -> None:
    """End this process when the one that started it has ended, however that was."""

    def wait() -> None:
        # Not by sys.stdin: its lock would be held when the interpreter ends.
        os.read(0, 1)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def helpers(command: Sequence[str], *, count: int, ray_address: str | None = None) -> None:
    """Run a command in so many processes that share its work, until all have ended; a killed one stops no other.

    Args:
        command: The whole command line, of a process that calls ``is_helper``.
        count: Processes.
        ray_address: As of ``train``.

    Raises:
        errors.InputError: Ray is not installed, or its cluster is not there or too small.
        EndedError: One ended with that exit code, and has said why; the others are ended.
    """
    with _places(ray_address, here=_apart, alone=True) as start, start(command, count) as started:
        while None in (codes := [each.poll() for each in started]) and not any(
            code for code in codes if (code or 0) > 0
        ):
            time.sleep(POLL_SECONDS)
    for code in filter(None, codes):
        if code > 0:
            raise EndedError(code)
        log.warning("a process was ended by %s", signal.Signals(-code).name)


@contextlib.contextmanager
def _apart(command: Sequence[str], count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Start processes that know nothing of each other on this machine, and end them with the block."""
    environment = _environment(count)
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment)
        for _ in range(count)
    ]
    try:
        yield started
    finally:
        _end(started)


def _clusters(workers: int) -> list[cluster.Cluster]:
    """Return what each process is told, on ports that were free a moment ago."""
    sockets = [socket.socket() for _ in range(workers)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    addresses = tuple(f"127.0.0.1:{each.getsockname()[1]}" for each in sockets)
    for each in sockets:
        each.close()
    return [cluster.Cluster(addresses=addresses, rank=rank) for rank in range(workers)]


def _start(command: Sequence[str], of: cluster.Cluster, folder: pathlib.Path) -> _Child:
    written = folder / f"{of.rank}.out"
    with written.open("wb") as output, written.with_suffix(".err").open("wb") as error:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=sys.stderr if of.is_first else error,
            env=_environment(len(of.addresses), **{cluster.VARIABLE: of.to_json()}),
        )
    return _Child(process=process, written=written)


def _environment(processes: int, **told: str) -> dict[str, str]:
    """Return the environment of one of so many processes of this machine: each uses its share of the cores.

    It reads from a pipe that nobody writes into, and that closes when this process ends.
    """
    return machine.python_environment(**machine.threads(processes), **{HELPER: "1"}, **told)


def _wait(started: Sequence[Process]) -> tuple[int, int]:
    """Return rank and exit code of the first process that fails, or (0, 0) when all are done.

    A death makes the others fail: what was killed, or refused its input, says more than who missed it.
    """
    while True:
        codes = [each.poll() for each in started]
        failed = [rank for rank, code in enumerate(codes) if code]
        if failed:
            deadline = time.monotonic() + GRACE_SECONDS
            while None in codes and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
                codes = [each.poll() for each in started]
            named = {rank: code for rank, code in enumerate(codes) if code}
            rank = min(named, key=lambda each: (named[each] != INPUT, named[each] >= 0, each))
            return rank, named[rank]
        if None not in codes:
            return 0, 0
        time.sleep(POLL_SECONDS)


def _result(output: bytes) -> Mapping[str, Any]:
    """Return the JSON object that a process wrote last: on JAX, Gloo says before it that its peers have come."""
    _, brace, rest = (b"\n" + output).partition(b"\n{")
    result: Mapping[str, Any] = orjson.loads(brace + rest)
    return result


def _say(rank: int, code: int, said: str) -> None:
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    lines = said.strip().splitlines()[-SHOWN_LINES:]
    log.warning("worker %d %s%s", rank, how, "".join(f"\n  {line}" for line in lines))


def _end(started: Sequence[subprocess.Popen[bytes]]) -> None:
    for each in started:
        if each.poll() is None:
            each.kill()
    for each in started:
        each.wait()
        if each.stdin is not None:
            each.stdin.close()
