"""Why a request is not answered: each refusal has its HTTP status and one message."""

from shared import errors


class Refusal(errors.InputError):
    """A request that is not answered.

    Attributes:
        status: The HTTP status.
        retry_seconds: After how long it makes sense to try again; None: not at all as it is.
    """

    status = 400
    retry_seconds: int | None = None


class NotFoundError(Refusal):
    """There is no such model, version, label or signature."""

    status = 404


class SlowClientError(Refusal):
    """The body did not arrive in time."""

    status = 408


class TooLargeError(Refusal):
    """The body is larger than allowed."""

    status = 413


class LimitError(Refusal):
    """A body that can be read asks for more than allowed: rows, pixels, characters."""

    status = 422


class BusyError(Refusal):
    """Too much is waiting already."""

    status = 429
    retry_seconds = 1


class UnavailableError(Refusal):
    """The model is not served at the moment."""

    status = 503
    retry_seconds = 1


class DeadlineError(Refusal):
    """The answer took too long."""

    status = 504
    retry_seconds = 5


STATUSES = {
    kind.status: kind
    for kind in (
        Refusal,
        NotFoundError,
        SlowClientError,
        TooLargeError,
        LimitError,
        BusyError,
        UnavailableError,
        DeadlineError,
    )
}
