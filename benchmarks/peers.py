"""A peer of a benchmark, in a process and an environment of its own: its libraries need not agree with ours.

PyTorch's triton, for one, brings an LLVM that ends a process which has TensorFlow's too.
"""

import contextlib
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping

PYTHON = pathlib.Path(".venv-torch/bin/python")


class Peer:
    """Steps of another process, timed there."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def seconds(self, name: str) -> float:
        """Run a step and return how long it took; of a name in ``facts`` return the number."""
        print(name, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline() if self._process.stdout else ""
        if not answer:
            raise RuntimeError(f"Expected the seconds of {name!r}. Received: nothing; the peer's process has ended")
        return float(answer)


@contextlib.contextmanager
def started(module: str, python: pathlib.Path, *arguments: str) -> Iterator[Peer | None]:
    """Yield a benchmark's peer, ``python -m module --peer ...``, or None where there is no such Python."""
    if not python.is_file():
        yield None
        return
    command = [str(python), "-m", module, "--peer", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Peer(process)
        finally:
            process.terminate()


def serve(steps: Mapping[str, Callable[[], object]], facts: Mapping[str, float] | None = None) -> None:
    """Run the steps whose names come on standard input, and print the seconds of each, or a fact of that name."""
    known = facts or {}
    for name in map(str.strip, sys.stdin):
        print(known[name] if name in known else timed(steps[name]), flush=True)


def timed(step: Callable[[], object]) -> float:
    """Return how many seconds a step takes."""
    begun = time.perf_counter()
    step()
    return time.perf_counter() - begun


def how_to(packages: str) -> str:
    """Say how the environment of a peer is made."""
    return (
        f"{PYTHON} is not there: no ratio. Make it with `python3 -m venv {PYTHON.parent.parent} && {PYTHON} -m pip "
        f"install {packages}` and run this again."
    )
