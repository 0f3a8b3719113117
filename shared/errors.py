"""The errors a user can meet. Each carries the exit code of DESIGN section 3."""

import difflib
from collections.abc import Sequence

# Of a message: what was received may be a whole file on one line.
_LONGEST, _END = 2_000, 700


def meant(word: str, known: Sequence[str]) -> str:
    """Return what ends a message about a word that is not known: the one that was probably meant, or nothing.

    >>> meant("encodr", ["ngram", "encoder"]), meant("?", ["ngram"])
    (" Did you mean 'encoder'?", '')
    """
    close = difflib.get_close_matches(word, known, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


class FieldnetsError(Exception):
    """A state that this software could not go on from (exit code 1).

    >>> len(str(InputError("a.json: expected 3. Received: " + "x" * 70_000)))
    2000
    """

    exit_code = 1

    def __init__(self, message: str = "", *more: object) -> None:
        if len(message) > _LONGEST:
            message = f"{message[: _LONGEST - _END - 5]} ... {message[-_END:]}"
        super().__init__(message, *more)


class InputError(FieldnetsError, ValueError):
    """Bad usage or bad input (exit code 2).

    The message names the file, row or field, what was expected, and ends in ``Received: ...``.
    """

    exit_code = 2


class GateError(FieldnetsError):
    """A check that guards a result failed: split certificate, export parity or drift (exit code 3)."""

    exit_code = 3
