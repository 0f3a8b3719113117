"""Files that a bundle's graph does not decode, and that an app reads for the page: such as DICOM."""

import base64
import dataclasses
from collections.abc import Callable
from typing import NamedTuple

from shared import errors
from shared.bundle import reading as bundle
from shared.serving import refusals


class Image(NamedTuple):
    """A file that was read: as the graph takes it, and as a browser shows it."""

    file: bytes
    preview: bytes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reader:
    """Reads files of one kind.

    Attributes:
        kind: What the page calls them, such as ``dicom``.
        read: ``(bundle, content, most_pixels) -> Image``; raises ``errors.InputError`` where it cannot.
    """

    kind: str
    read: Callable[[bundle.Bundle, bytes, int], Image]


def converted(content: bytes, reader: Reader, loaded: bundle.Bundle, most_pixels: int) -> dict[str, str]:
    """Return what a page needs of a file, in base64.

    Raises:
        refusals.Refusal: The file cannot be read; its message says why.
    """
    try:
        image = reader.read(loaded, content, most_pixels)
    except errors.InputError as error:
        raise refusals.Refusal(str(error)) from None
    return {name: base64.b64encode(value).decode() for name, value in image._asdict().items()}
