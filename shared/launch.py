"""Start one training in several processes of this machine, and again where one of them dies; or helpers of a search."""

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
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from shared import errors, machine
from shared.training import cluster

RESTARTS = 3
POLL_SECONDS = 0.2
# Between the end of one process and that of the others, which wait for it: they see that it is gone and say so.
GRACE_SECONDS = 5.0
INPUT = errors.InputError.exit_code
HELPER = "FIELDNETS_HELPER"

log = logging.getLogger("fieldnets")


def train(command: Sequence[str], *, workers: int, restarts: int = RESTARTS) -> Mapping[str, Any]:
    """Run ``train`` in so many processes and return what the first one says.

    A process that is killed ends the others; all begin again from the last complete epoch.

    Args:
        command: The whole command line, of a process that reads `cluster.VARIABLE`.
        workers: Processes, at least 2.
        restarts: How often to begin again.

    Raises:
        SystemExit: The training ends with that exit code; it has said why.
    """
    command = [*command, "--json"]
    for attempt in range(restarts + 1):
        with tempfile.TemporaryDirectory(prefix="fieldnets-workers-") as folder:
            started = [_start(command, each, pathlib.Path(folder)) for each in _clusters(workers)]
            try:
                rank, code = _wait(started)
                if code == 0:
                    result: Mapping[str, Any] = orjson.loads((pathlib.Path(folder) / "0.out").read_bytes())
                    return result
                _say(rank, code, pathlib.Path(folder))
            finally:
                _end(started)
        if code in (INPUT, -signal.SIGINT, 128 + signal.SIGINT) or attempt == restarts:
            raise SystemExit(code if code > 0 else 1)
        log.warning("all workers begin again from the last complete epoch (%d of %d)", attempt + 1, restarts)
        command = [*(each for each in command if each != "--overwrite"), "--resume"]
    raise AssertionError("the last attempt returns or raises")


def is_helper() -> bool:
    """Tell whether this process is one that ``helpers`` started."""
    return HELPER in os.environ


def end_with_parent() -> None:
    """End this process when the one that started it has ended, however that was."""

    def wait() -> None:
        # Not by sys.stdin: its lock would be held when the interpreter ends.
        os.read(0, 1)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def helpers(command: Sequence[str], *, count: int) -> None:
    """Run a command in so many processes that share its work, until all have ended; a killed one stops no other.

    Raises:
        SystemExit: One ended with that exit code, and has said why; the others are ended.
    """
    environment = _environment(count, **{HELPER: "1"})
    started = [
        # They read from a pipe that nobody writes into, and that closes when this process ends.
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment)
        for _ in range(count)
    ]
    try:
        while None in (codes := [each.poll() for each in started]) and not any(
            code for code in codes if (code or 0) > 0
        ):
            time.sleep(POLL_SECONDS)
    finally:
        _end(started)
        for each in started:
            if each.stdin is not None:
                each.stdin.close()
    for code in filter(None, codes):
        if code > 0:
            raise SystemExit(code)
        log.warning("a process was ended by %s", signal.Signals(-code).name)


def _clusters(workers: int) -> list[cluster.Cluster]:
    """Return what each process is told, on ports that were free a moment ago."""
    sockets = [socket.socket() for _ in range(workers)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    addresses = tuple(f"127.0.0.1:{each.getsockname()[1]}" for each in sockets)
    for each in sockets:
        each.close()
    return [cluster.Cluster(addresses=addresses, rank=rank) for rank in range(workers)]


def _start(command: Sequence[str], of: cluster.Cluster, folder: pathlib.Path) -> subprocess.Popen[bytes]:
    """Start one process; what the first says on standard error is seen, what the others say is kept."""
    with (folder / f"{of.rank}.out").open("wb") as output, (folder / f"{of.rank}.err").open("wb") as error:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=sys.stderr if of.is_first else error,
            env=_environment(len(of.addresses), **{cluster.VARIABLE: of.to_json()}),
        )


def _environment(processes: int, **told: str) -> dict[str, str]:
    """Return the environment of one of so many processes of this machine: each uses its share of the cores."""
    threads = os.environ.get("TF_NUM_INTRAOP_THREADS", str(max(1, machine.usable_cores() // processes)))
    return machine.python_environment(TF_NUM_INTRAOP_THREADS=threads, **told)


def _wait(started: Sequence[subprocess.Popen[bytes]]) -> tuple[int, int]:
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


def _say(rank: int, code: int, folder: pathlib.Path) -> None:
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    said = (folder / f"{rank}.err").read_text("utf-8", "replace").strip().splitlines()
    log.warning("worker %d %s%s", rank, how, "".join(f"\n  {line}" for line in said[-5:]))


def _end(started: Sequence[subprocess.Popen[bytes]]) -> None:
    for each in started:
        if each.poll() is None:
            each.kill()
    for each in started:
        each.wait()
