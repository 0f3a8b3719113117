"""Run a module of this code in a process of its own, so that nothing in the current folder can stand in for it."""

import os
import pathlib
import sys

_ROOT = pathlib.Path(__file__).resolve().parents[1]


def command(module: str) -> list[str]:
    """Return the beginning of a command line: ``python -m module`` without the current folder on its path.

    Args:
        module: Its ``__name__``, which is ``fieldnets.shared...`` where this code is installed.
    """
    return [sys.executable, "-P", "-m", module]


def environment(**changes: str) -> dict[str, str]:
    """Return this process's environment with ``changes``, in which `command` finds the code that this process runs.

    What is installed is found anyway. ``python -m apps.sentiment`` in a checkout found it in the current folder.
    """
    inherited = dict(os.environ)
    if not __name__.startswith("fieldnets."):
        inherited["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    return inherited | changes
