"""Bodies that are compressed: ``Content-Encoding: gzip`` or ``deflate``, within the limit of what comes out."""

import zlib
from collections.abc import Iterable

from shared.serving import refusals

_CODINGS = {"gzip", "x-gzip", "deflate"}
# zlib's numbers for: gzip or zlib by its first bytes; deflate without a frame, which some clients send as deflate.
_FRAMED, _BARE = 47, -15


def coding(values: Iterable[bytes]) -> str:
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
        coding: What ``coding`` returned for it.
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
