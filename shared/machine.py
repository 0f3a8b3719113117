"""What this machine and installation have, and how this code is started on it in a process of its own.

TensorFlow is asked only about GPUs.
"""

import concurrent.futures
import contextlib
import importlib.metadata
import importlib.util
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from shared import errors

CGROUP_LIMIT = pathlib.Path("/sys/fs/cgroup/memory.max")
PROCESSOR = pathlib.Path("/proc/cpuinfo")
_ROOT = pathlib.Path(__file__).resolve().parents[1]


def installed(names: Sequence[str]) -> dict[str, str | None]:
    """Return each distribution's version, None where it is not installed."""
    return {name: _version(name) for name in names}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def missing(modules: Iterable[str]) -> list[str]:
    """Return the top-level modules that cannot be imported, without importing any."""
    return [module for module in modules if importlib.util.find_spec(module) is None]


def usable_cores() -> int:
    """Count the cores this process may run on: in a container fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads(processes: int, *, cores: int | None = None) -> dict[str, str]:
    """Return the variable that gives each of so many processes its share of the cores; one that is set stays.

    Args:
        processes: How many run at the same time.
        cores: Of their machine; None: this one.
    """
    share = max(1, (usable_cores() if cores is None else cores) // processes)
    return {"TF_NUM_INTRAOP_THREADS": os.environ.get("TF_NUM_INTRAOP_THREADS", str(share))}


def memory_limit(path: pathlib.Path = CGROUP_LIMIT) -> int | None:
    """Return the container's memory limit in bytes, None where there is none."""
    text = path.read_text().strip() if path.is_file() else "max"
    return int(text) if text.isdecimal() else None


def processor_flags(path: pathlib.Path = PROCESSOR) -> frozenset[str]:
    """Return the processor's features as Linux names them; empty elsewhere."""
    text = path.read_text() if path.is_file() else ""
    found = re.search(r"^flags\s*:\s*(.*)$", text, flags=re.MULTILINE)
    return frozenset(found.group(1).split()) if found else frozenset()


def driver_gpus(field: str) -> list[str]:
    """Ask the driver's own tool, nvidia-smi, for a field of every GPU; no tool, no GPU."""
    command = ["nvidia-smi", f"--query-gpu={field}", "--format=csv,noheader"]
    try:
        finished = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in finished.stdout.splitlines() if line.strip()]


def tensorflow_gpus() -> list[str]:
    """Return the names of the GPUs that TensorFlow can use."""
    from shared.training import runtime

    devices = runtime.describe()["devices"]
    return [str(device.get("model") or device["name"]) for device in devices if device["type"] == "GPU"]


def python_command(module: str) -> list[str]:
    """Return the beginning of a command line: ``python -m module`` without the current folder on its path.

    So nothing in that folder can stand in for a module of ours.

    Args:
        module: Its ``__name__``, which is ``fieldnets.shared...`` where this code is installed.
    """
    return [sys.executable, "-P", "-m", module]


def python_environment(**changes: str) -> dict[str, str]:
    """Return this process's environment with ``changes``: there `python_command` finds the code that runs here.

    What is installed is found anyway. ``python -m apps.sentiment`` in a checkout found it in the current folder.
    """
    inherited = dict(os.environ)
    if not __name__.startswith("fieldnets."):
        inherited["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    return inherited | changes


@contextlib.contextmanager
def processes(workers: int) -> Iterator[concurrent.futures.Executor | None]:
    """Yield processes that end with this one; None where this one does the work."""
    if workers == 1:
        yield None
        return
    import multiprocessing

    pool = concurrent.futures.ProcessPoolExecutor(
        workers, mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_parent
    )
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """Leave interruptions to the parent, and end when it is gone, however it ended."""
    import multiprocessing.connection

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def do_each(
    function: Callable[..., object],
    tasks: Sequence[tuple[Any, ...]],
    pool: concurrent.futures.Executor | None,
    *,
    what: str,
) -> None:
    """Do every task, here or in the processes, and show how many are done.

    Raises:
        errors.FieldnetsError: A process was ended from outside.
    """
    from shared import progress

    with progress.counter() as bar:
        shown = bar.add_task(what, total=len(tasks))
        if pool is None:
            for task in tasks:
                function(*task)
                bar.advance(shown)
            return
        try:
            for done in concurrent.futures.as_completed([pool.submit(function, *task) for task in tasks]):
                done.result()
                bar.advance(shown)
        except concurrent.futures.BrokenExecutor:
            raise errors.FieldnetsError(
                "a worker was ended from outside, perhaps for want of memory; --resume goes on"
            ) from None


def peak_memory_bytes() -> int:
    """Return the most memory that this process held at a time."""
    import resource

    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else 1024 * largest
