"""A process that has imported what is heavy, and does what it is told in copies of itself, which come to harm.

``python -m tests.faults.zygote [tensorflow]`` reads one JSON object a line, see `Work`, and answers each with one line:
exit code (negative: the signal), seconds, and how many changes of the file system were begun.
"""

import contextlib
import errno
import importlib
import json
import os
import resource
import runpy
import select
import signal
import sys
import threading
import time
import traceback
from typing import Any

from typing_extensions import TypedDict

# What Python tells an audit hook of before it changes a file system; ``dlsym``: of renameat2.
_CHANGES = frozenset(
    ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "ctypes.dlsym")
)
_WRITING = os.O_WRONLY | os.O_RDWR
# What children would else import one after the other.
_IMPORTED = (
    *("tests.faults.writers", "tests.faults.hostile_inputs", "shared.training.search_figures", "shared.verbs"),
    *("apps.sentiment.data", "apps.fraud_detection.data", "apps.fraud_detection.histories"),
)
_REMOVING = frozenset(("os.remove", "os.rmdir"))


class Work(TypedDict, total=False):
    """What a copy does, and what befalls it.

    Attributes:
        words: Module and arguments, as of ``python -m``; or, with ``function``, a module and a function's arguments.
        function: Name of the module's function.
        folder: The current folder; only what is changed below it counts.
        output: Beginning of the names of the files of standard output and error.
        environment: Variables to set.
        at_seconds: When to send ``signal``.
        at_change: Or before which change of the file system, counted from 1.
        later_seconds: How long after that change.
        signal: Default SIGKILL.
        errno: In place of a signal: what that change and all after it fail with.
        limit: A resource's name, such as ``RLIMIT_FSIZE``, and its limit.
        beyond_mebibytes: How much more memory than this process has it may ask for.
        clock_seconds: What ``time.time`` jumps by at that change.
    """

    words: list[str]
    function: str
    folder: str
    output: str
    environment: dict[str, str]
    at_seconds: float
    at_change: int
    later_seconds: float
    signal: int
    errno: int
    limit: tuple[str, int]
    beyond_mebibytes: int
    clock_seconds: float


class Harm:
    """Counts the changes of the file system, and strikes at one."""

    def __init__(self, work: Work, counter: int) -> None:
        self._work, self._counter, self.count = work, counter, 0
        self._root = os.path.realpath(work["folder"])
        self._entered = False

    def hook(self, event: str, given: tuple[Any, ...]) -> None:
        """Be told of what Python is about to do."""
        if self._entered or not self._is_change(event, given):
            return
        self._entered = True
        try:
            self._begun(event, given)
        finally:
            self._entered = False

    def _is_change(self, event: str, given: tuple[Any, ...]) -> bool:
        if event == "ctypes.dlsym":
            return bool(given[1] == "renameat2")
        if event == "open":
            flags = given[2] if isinstance(given[2], int) else 0
            return bool(flags & _WRITING) and self._is_ours(given[0])
        return event in _CHANGES and self._is_ours(given[0])

    def _is_ours(self, path: Any) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        whole = os.path.join(os.getcwd(), os.fsdecode(path))
        return whole.startswith(self._root + os.sep)

    def _begun(self, event: str, given: tuple[Any, ...]) -> None:
        self.count += 1
        os.pwrite(self._counter, str(self.count).encode(), 0)
        number, wanted = self._work.get("errno"), self._work.get("at_change", 0)
        if number and wanted and self.count >= wanted and not (number == errno.ENOSPC and event in _REMOVING):
            raise OSError(number, os.strerror(number), str(given[0]))
        if not number and self.count == wanted:
            self._strike()

    def _strike(self) -> None:
        if jump := self._work.get("clock_seconds"):
            real = time.time
            time.time = lambda: real() + jump
            return
        struck = self._work.get("signal", signal.SIGKILL)
        if later := self._work.get("later_seconds"):
            threading.Timer(later, os.kill, (os.getpid(), struck)).start()
        else:
            os.kill(os.getpid(), struck)


def do(work: Work) -> int:
    """Do the work in this process; return its exit code."""
    counter = os.open(f"{work['output']}.changes", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        handle = os.open(f"{work['output']}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, descriptor)
    os.environ.update(work.get("environment", {}))
    os.chdir(work["folder"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if "limit" in work:
        name, most = work["limit"]
        resource.setrlimit(getattr(resource, name), (most, most))
    if "beyond_mebibytes" in work:
        with open("/proc/self/statm") as stream:
            most = int(stream.read().split()[0]) * resource.getpagesize() + (work["beyond_mebibytes"] << 20)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    sys.addaudithook(Harm(work, counter).hook)
    module, *arguments = work["words"]
    try:
        if "function" in work:
            getattr(importlib.import_module(module), work["function"])(*arguments)
        else:
            sys.argv = [module, *arguments]
            runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def in_copy(work: Work) -> dict[str, float]:
    """Do the work in a copy of this process, and strike it in time."""
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        # Of a group of its own: what it starts ends with it.
        os.setpgid(0, 0)
        code = 1
        try:
            code = do(work)
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)
    status = _waited(child, work)
    seconds = time.monotonic() - started
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    with open(f"{work['output']}.changes") as stream:
        changes = int(stream.read() or 0)
    return {"code": os.waitstatus_to_exitcode(status), "seconds": seconds, "changes": changes}


def _waited(child: int, work: Work) -> int:
    handle = os.pidfd_open(child)
    try:
        if "at_seconds" in work:
            ended, _, _ = select.select([handle], [], [], work["at_seconds"])
            if not ended:
                os.kill(child, work.get("signal", signal.SIGKILL))
        return os.waitpid(child, 0)[1]
    finally:
        os.close(handle)


def main() -> None:
    if "tensorflow" in sys.argv[1:]:
        importlib.import_module("tests.preloaded")
    for name in _IMPORTED:
        importlib.import_module(name)
    for line in sys.stdin:
        print(json.dumps(in_copy(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
