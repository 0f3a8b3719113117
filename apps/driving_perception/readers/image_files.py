"""Facts of each image file, read once with the decoder that training uses: size, digest, why it cannot be used."""

import concurrent.futures
import hashlib
import os
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import PIL
import PIL.Image

from apps.driving_perception import frames
from apps.driving_perception.readers import entries

# Exif's tag, and its value for a picture that is shown as it is stored.
_ORIENTATION, _UPRIGHT = 0x0112, 1
# Orientations that swap width and height.
_SIDEWAYS = (5, 6, 7, 8)
# Other pictures of one view: JPEG files with a preview, or of two lenses.
_ONE_VIEW = ("MPO",)


class ImageFile(NamedTuple):
    """What a file is.

    Attributes:
        size: Width and height in pixels; 0 where it is no image.
        digest: First 64 bits of its content's SHA-256.
        fault: Why it cannot be used; "" where it can.
        orientation: Exif's; 1 is upright.
        pictures: How many it holds, of which the first is taken.
    """

    size: tuple[int, int] = (0, 0)
    digest: int = 0
    fault: str = ""
    orientation: int = _UPRIGHT
    pictures: int = 1


def read_all(listed: Sequence[entries.Entry]) -> list[ImageFile]:
    """Read the images of entries that have no problem yet, on all cores; Pillow decodes outside the lock."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(lambda entry: ImageFile(fault=entry.problem) if entry.problem else read(entry), listed))


def read(entry: entries.Entry) -> ImageFile:
    """Read one image file: its size, digest and faults."""
    content = b""
    try:
        content = entry.item if isinstance(entry.item, bytes) else pathlib.Path(entry.item).read_bytes()
        with frames.opened(content) as image:
            size, orientation = frames.size_of(image), orientation_of(image)
            pictures = 1 if image.format in _ONE_VIEW else getattr(image, "n_frames", 1)
            fault = _whole(image, content)
    except PIL.UnidentifiedImageError:
        return ImageFile(fault="no image that can be read")
    except frames.UNREADABLE as error:
        return ImageFile(fault=f"no image that can be read: {error}")
    digest = int.from_bytes(hashlib.sha256(content).digest()[:8], "big")
    return ImageFile(size, digest, fault or _other_size(entry, size, orientation), orientation, pictures)


def orientation_of(image: PIL.Image.Image) -> int:
    """Return Exif's orientation of an opened image; 1 where it says none, or Pillow has turned the picture (TIFF)."""
    try:
        said = _UPRIGHT if image.format == "TIFF" else image.getexif().get(_ORIENTATION)
    # Exif of other programs may be broken: then it turns nothing.
    except Exception:
        return _UPRIGHT
    return said if isinstance(said, int) and 1 <= said <= 8 else _UPRIGHT


def _whole(image: PIL.Image.Image, content: bytes) -> str:
    """Say why a file cannot be decoded to its end; "" where it can: one that was cut off opens all the same."""
    try:
        if image.format == "PNG":
            # Of a chunk that is not needed for the pixels the decoder does not miss the end.
            with frames.opened(content) as again:
                again.verify()
        frames.check(image)
    except (OSError, SyntaxError) as error:
        return "the image file is cut off" if "truncated" in str(error) or image.format == "PNG" else _broken(error)
    except frames.UNREADABLE as error:
        return _broken(error)
    return ""


def _broken(error: Exception) -> str:
    return f"no image that can be decoded: {error}"


def _other_size(entry: entries.Entry, size: tuple[int, int], orientation: int) -> str:
    if entry.size is None or entry.size == size:
        return ""
    turned = orientation in _SIDEWAYS
    hint = (
        f" (Exif turns it to {size[1]} x {size[0]}, and pixels are taken as they are stored: turn the file, or label "
        "it as it is stored)"
        if turned and entry.size == size[::-1]
        else ""
    )
    return f"labelled for {entry.size[0]} x {entry.size[1]} pixels, but it has {size[0]} x {size[1]}{hint}"
