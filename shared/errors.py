"""The errors a user can meet. Each carries the exit code of DESIGN section 3."""


class FieldnetsError(Exception):
    """A state that this software could not go on from (exit code 1)."""

    exit_code = 1


class InputError(FieldnetsError, ValueError):
    """Bad usage or bad input (exit code 2).

    The message names the file, row or field, what was expected, and ends in ``Received: ...``.
    """

    exit_code = 2


class GateError(FieldnetsError):
    """A check that guards a result failed: split certificate, export parity or drift (exit code 3)."""

    exit_code = 3
