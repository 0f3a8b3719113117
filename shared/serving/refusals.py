"""Why a request is not answered: each refusal has its HTTP status and one message."""

from collections.abc import Mapping

from shared import errors


class Refusal(errors.InputError):
    """A request that is not answered.

    Attributes:
        status: The HTTP status.
        retry_seconds: After how long it makes sense to try again; None: not at all as it is.
        closes: Whether the connection ends with the answer: the request was not read to its end, or there are too many.
    """

    status = 400
    retry_seconds: int | None = None
    closes = False

    def __init__(self, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self._headers = headers or {}

    @property
    def headers(self) -> dict[str, str]:
        """The headers that the answer has beside the message."""
        retry = {} if self.retry_seconds is None else {"retry-after": str(self.retry_seconds)}
        return {**self._headers, **retry, **({"connection": "close"} if self.closes else {})}


class UnauthorizedError(Refusal):
    """A token is needed."""

    status = 401


class NotFoundError(Refusal):
    """There is no such model, version, label or signature."""

    status = 404


class SlowClientError(Refusal):
    """The body did not arrive in time."""

    status = 408
    closes = True


class TooLargeError(Refusal):
    """The body is larger than allowed."""

    status = 413
    closes = True


class MediaTypeError(Refusal):
    """The body is of a media type, or in a content coding, that is not read."""

    status = 415


class LimitError(Refusal):
    """A body that can be read asks for more than allowed: rows, pixels, characters."""

    status = 422


class BusyError(Refusal):
    """Too much is waiting already."""

    status = 429
    retry_seconds = 1


class HeadTooLargeError(Refusal):
    """The headers are longer than allowed."""

    status = 431


class NotImplementedHereError(Refusal):
    """A method or a transfer coding of HTTP that this server has not."""

    status = 501


class UnavailableError(Refusal):
    """The model is not served at the moment."""

    status = 503
    closes = True
    retry_seconds = 1


class DeadlineError(Refusal):
    """The answer took too long."""

    status = 504
    retry_seconds = 5


class HttpVersionError(Refusal):
    """A version of HTTP that this server does not speak."""

    status = 505


# What a route may answer with.
STATUSES = {
    kind.status: kind
    for kind in (
        Refusal,
        UnauthorizedError,
        NotFoundError,
        SlowClientError,
        TooLargeError,
        MediaTypeError,
        LimitError,
        BusyError,
        UnavailableError,
        DeadlineError,
    )
}
