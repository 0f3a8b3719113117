"""Loops that Numba compiles at their first call, and keeps for the next process where a folder can be written to."""

from typing import Any

import numba


def compiled(function: Any) -> Any:
    """Compile ``function``; it holds no lock of Python's while it runs."""
    return _compiled(function)


def vectorized(function: Any) -> Any:
    """Compile as ``compiled``, so that sums may be taken in any order and nothing stops at a division by zero.

    That is what lets a processor work on several numbers at a time.
    """
    return _compiled(function, error_model="numpy", fastmath={"contract", "reassoc", "nsz"})


def _compiled(function: Any, **options: Any) -> Any:
    # Numba keeps the module's name in its file. Installed code has another name than a checkout's: a file for each.
    function.__qualname__ = f"{function.__module__}.{function.__qualname__}"
    try:
        return numba.njit(cache=True, nogil=True, **options)(function)
    except RuntimeError:
        return numba.njit(nogil=True, **options)(function)
