"""Why a request is not answered: each refusal has its HTTP status and one message."""

import reprlib
from collections.abc import Mapping
from typing import Any

from shared import errors

_MOST_CHARACTERS = 100
# As ``repr``, but without reading more of a value than is shown: clients choose how large and how deep it is.
_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = _MOST_CHARACTERS


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


class CrossSiteError(Refusal):
    """A page of another site sent it."""

    status = 403


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


class MisdirectedError(Refusal):
    """It is addressed to a name that is not this server's."""

    status = 421


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
        CrossSiteError,
        NotFoundError,
        SlowClientError,
        TooLargeError,
        MediaTypeError,
        MisdirectedError,
        LimitError,
        BusyError,
        UnavailableError,
        DeadlineError,
    )
}


def shown(value: Any) -> str:
    """Return how a client's value is shown in a message, in at most 100 characters.

    >>> shown([[1, 2], "a"])
    "[[1, 2], 'a']"
    """
    return _REPR.repr(value)[:_MOST_CHARACTERS]
