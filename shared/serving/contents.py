"""The body of a request: what it may be called, how it is compressed, and JSON whose cost is known before parsing."""

import re
import zlib
from collections.abc import Callable, Iterable
from typing import Any

import fastapi
import orjson

from shared.serving import refusals, settings

# ``curl -d`` calls every body a form, tritonclient calls its bodies nothing.
_READ = ("", "application/json", "application/octet-stream", "application/x-www-form-urlencoded")
# A page may send these without asking first; no client of a model does.
_NEVER = ("text", "multipart")
_CODINGS = {"gzip", "x-gzip", "deflate"}
# zlib's numbers for: gzip or zlib by its first bytes; deflate without a frame, which some clients send as deflate.
_FRAMED, _BARE = 47, -15
# Strings are matched whole, so that what stands in them stays. One without an end is matched to the end of the body,
# and nothing is matched twice (the signs +): otherwise the time grows with the square of the body's size.
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?'
_STRINGS = re.compile(_STRING, re.DOTALL)
_TOKENS = re.compile(_STRING + rb"|-?Infinity|NaN", re.DOTALL)


async def content(request: fastapi.Request, example: Callable[[], str], *, raw: bool = False) -> bytes:
    """Return a request's body, which is JSON though ``curl -d`` calls it a form.

    Args:
        request: The request.
        example: Makes a body that would be read.
        raw: Whether it holds tensors, or a file, behind its JSON.

    Raises:
        refusals.MediaTypeError: It is called a file or a text.
    """
    kind = _media_type(request)
    if not _is_read(kind, raw=raw):
        raise refusals.MediaTypeError(
            f"expected application/json, such as {example()}, with bytes as base64. Received: {kind:.50}",
            {"accept": "application/json"},
        )
    return await request.body()


def is_json(request: fastapi.Request) -> bool:
    """Return whether a body is called JSON."""
    return _media_type(request) == "application/json"


def content_coding(values: Iterable[bytes]) -> str:
    """Return the content coding that header fields name, in lower case; "" for none.

    Args:
        values: Of each Content-Encoding field.

    Raises:
        refusals.MediaTypeError: It is another, or there are several.
    """
    named = [each.strip().lower() for value in values for each in value.decode("latin-1").split(",")]
    found = [each for each in named if each not in ("", "identity")]
    if len(found) > 1 or not _CODINGS.issuperset(found):
        raise refusals.MediaTypeError(
            f"Content-Encoding: expected gzip or deflate. Received: {', '.join(found)!r:.50}",
            {"accept-encoding": "gzip, deflate"},
        )
    return found[0] if found else ""


def decompressed(body: bytes, coding: str, most_bytes: int) -> bytes:
    """Return what a compressed body holds.

    Args:
        body: The body; of gzip, one member or several.
        coding: As ``content_coding`` returns it.
        most_bytes: The most that it may hold.

    Raises:
        refusals.TooLargeError: It holds more; no more than that is decompressed.
        refusals.Refusal: It is not in that coding, or not whole.

    >>> import gzip
    >>> decompressed(gzip.compress(b"good"), "gzip", 4)
    b'good'
    """
    # The lower four bits of a zlib stream's first byte are 8, and no stream without a frame that zlib writes begins so.
    bare = coding == "deflate" and not (body[:1] and body[0] & 0x0F == 8)
    parts, size, rest = [], 0, body
    try:
        while rest:
            member = zlib.decompressobj(_BARE if bare else _FRAMED)
            part = member.decompress(rest, most_bytes - size + 1)
            parts.append(part)
            size += len(part)
            if size > most_bytes:
                raise refusals.TooLargeError(f"expected a body of at most {most_bytes} bytes when decompressed")
            if not member.eof:
                raise zlib.error("it ends too early")
            rest = member.unused_data
    except zlib.error as error:
        raise refusals.Refusal(f"Content-Encoding: expected a body in {coding}. Received: {error}") from None
    if not body:
        raise refusals.Refusal(f"Content-Encoding: expected a body in {coding}. Received: none")
    return b"".join(parts)


def read_json(content: bytes, example: Callable[[], str], limits: settings.Settings) -> dict[str, Any]:
    """Read a request's body as a JSON object; NaN, Infinity and -Infinity are read as missing numbers, as null is.

    Args:
        content: The body.
        example: Makes a body that would be read, for the message.
        limits: The limit of values.

    Raises:
        refusals.Refusal: It is none.
        refusals.LimitError: It has too many values.
    """
    _check_values(content, limits.max_values)
    try:
        body = _loaded(content)
    except orjson.JSONDecodeError as error:
        begun = content.lstrip()[:1] in (b"{", b"[", b'"')
        received = str(error) if begun else f"{len(content)} bytes that are none, first {content[:12]!r}"
        raise refusals.Refusal(f"expected a JSON object, such as {example()}. Received: {received}") from None
    if not isinstance(body, dict):
        raise refusals.Refusal(f"expected a JSON object, such as {example()}. Received: {type(body).__name__}")
    return body


def _is_read(media_type: str, *, raw: bool) -> bool:
    """Return whether a body of a media type is read; ``raw``: it holds tensors, or a file, behind its JSON.

    >>> [_is_read(kind, raw=False) for kind in ("application/json", "", "text/plain", "image/png")]
    [True, True, False, False]
    """
    if raw:
        return media_type.partition("/")[0] not in _NEVER
    return media_type in _READ or media_type.endswith("+json")


def _media_type(request: fastapi.Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _check_values(content: bytes, most: int) -> None:
    """Refuse a body of too many values before it is parsed: no other thread runs meanwhile.

    A value begins the body, or stands behind a bracket or a comma. Those in strings are left out, but only from bodies
    that seem to have too many.
    """
    if len(content) <= most:
        return
    strings = (content.count(b'"') - content.count(b'\\"')) // 2
    # An object has as many names as values.
    if strings <= 2 * most:
        if _count_values(content) <= most:
            return
        content = _STRINGS.sub(b"", content)
    if (found := max(strings // 2, _count_values(content))) > most:
        raise refusals.LimitError(f"expected a body of at most {most} values. Received: {found}")


def _count_values(content: bytes) -> int:
    return sum(map(content.count, (b",", b"[", b"{")))


def _loaded(content: bytes) -> Any:
    """Read JSON, with the three tokens that TF Serving and Triton take beyond it."""
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        if b"NaN" not in content and b"Infinity" not in content:
            raise
        return orjson.loads(_TOKENS.sub(lambda found: found[0] if found[0][:1] == b'"' else b"null", content))
