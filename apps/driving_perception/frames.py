"""What was read, as the rest of the app sees it: images with labelled boxes, sequences and conditions."""

import dataclasses
import io
import pathlib
import struct
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from apps.driving_perception import boxes as box
from shared import errors

# As the graph refuses them; see shared.image_files.
MAXIMUM_PIXELS = 100_000_000
# What Pillow raises on files that are no image, cut off or unreasonably large.
UNREADABLE = (OSError, SyntaxError, ValueError, TypeError, EOFError, struct.error, PIL.Image.DecompressionBombError)
_MOST_16_BITS = 65_535


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Images:
    """Images in order.

    Attributes:
        names: (n,) object of str, unique: the path below the source's folder; how messages and files name each.
        items: (n,) object: the path of a file, or the bytes of one in memory.
        sizes: (n, 2) int64 width and height in pixels.
        content_hashes: (n,) uint64: the first 64 bits of the SHA-256 of each file.
    """

    names: NDArray[np.object_]
    items: NDArray[np.object_]
    sizes: NDArray[np.int64]
    content_hashes: NDArray[np.uint64]

    def read(self, row: int) -> bytes:
        """Return the encoded image file (JPEG, PNG or another format, as it is stored).

        Raises:
            errors.InputError: The file cannot be read.
        """
        item = self.items[row]
        if isinstance(item, bytes):
            return item
        try:
            return pathlib.Path(item).read_bytes()
        except OSError as error:
            raise errors.InputError(
                f"{self.names[row]}: expected a readable image file. Received: {error.strerror}"
            ) from None

    def decode(self, row: int) -> NDArray[np.uint8]:
        """Return (height, width, 3) uint8 red, green, blue.

        Raises:
            errors.InputError: The file is no image.
        """
        return decode(self.read(row), name=str(self.names[row]))


def opened(content: bytes) -> PIL.Image.Image:
    """Open an image file; its pixels are decoded when they are asked for.

    Raises:
        OSError, SyntaxError, ValueError or DecompressionBombError: It is none, or larger than ``MAXIMUM_PIXELS``.
    """
    with warnings.catch_warnings():
        # Pillow warns of large pictures and of odd metadata: what cannot be used is said by us, with its name.
        warnings.simplefilter("ignore")
        image = PIL.Image.open(io.BytesIO(content))
    if image.width * image.height > MAXIMUM_PIXELS:
        raise ValueError(f"{image.width} x {image.height} pixels, more than {MAXIMUM_PIXELS:,}")
    return image


def size_of(image: PIL.Image.Image) -> tuple[int, int]:
    """Return width and height as ``decode`` gives them: Pillow turns TIFF as it says, and nothing else."""
    if image.format == "TIFF":
        image.load()
    return image.size


def check(image: PIL.Image.Image) -> None:
    """Decode an opened image as ``decode`` does, and keep nothing; JPEG small, which reads its file all the same.

    Raises:
        OSError, SyntaxError or ValueError: It cannot be decoded.
    """
    if image.format == "JPEG" and image.mode in ("L", "RGB"):
        image.draft("L", (64, 64))
        image.load()
    else:
        _pixels(image)


def decode(content: bytes, *, name: str) -> NDArray[np.uint8]:
    """Decode an image file: (height, width, 3) uint8.

    Pixels are taken as they are stored: labels of road data sets do not know of Exif's orientation, and neither does
    the exported graph. Of several pictures in a file (GIF, WebP, TIFF) the first is taken; 16 bits become 8, as in the
    graph; inks (CMYK) become light; what is transparent keeps its colour.

    Raises:
        errors.InputError: It is none.
    """
    try:
        with opened(content) as image:
            return _pixels(image)
    except UNREADABLE as error:
        raise errors.InputError(f"{name}: expected an image file. Received: {error}") from None


def _pixels(image: PIL.Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith("I;16") or image.mode == "I":
        # Pillow cuts off at 255 what the graph divides by 65,535.
        values = np.asarray(image).astype(np.float64)
        if values.min(initial=0) < 0 or values.max(initial=0) > _MOST_16_BITS:
            raise ValueError("grey values of more than 16 bits")
        grey = np.round(values * (255 / _MOST_16_BITS)).astype(np.uint8)
        return np.repeat(grey[..., np.newaxis], 3, axis=2)
    if image.mode == "F":
        raise ValueError("pixels that are fractions, whose range nothing says")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(image.convert("RGB"))


def as_file(item: bytes | NDArray[np.uint8]) -> bytes:
    """Return an image as the graph reads it: JPEG and PNG as they are, others as PNG; what is no image as it is."""
    if isinstance(item, bytes):
        if item.startswith((b"\xff\xd8\xff", b"\x89PNG")):
            return item
        try:
            return _png(decode(item, name=""))
        except errors.InputError:
            return item
    return _png(item)


def _png(image: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray(image).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Frames:
    """Checked images with their boxes, in the order of their sources.

    Attributes:
        images: The pixels, read when needed.
        boxes: All labelled boxes; of unlabelled images none.
        class_names: k names of what is to be found.
        known_classes: (n, k) bool: which classes the image's source labels. What a source does not label may be in
            its images all the same, and says nothing about the background.
        sequences: (n,) object of str: the drive or clip; ``""`` where it is not known.
        numbers: (n,) int64 place in the sequence, ``UNKNOWN`` where there is none.
        seconds: (n,) float64 time since the sequence began; NaN unknown.
        time_of_day: (n,) object of str: ``day``, ``dusk``, ``night`` or ``""``.
        weather: (n,) object of str, ``clear``, ``rain``, ``fog`` or what the source says, or ``""``.
        fixed_parts: (n,) str official part, ``""`` where there is none.
        sources: (n,) int64 number of the source.
        source_names: What the sources are called.
        sha256: Of all that training and the split read: the sorted content hashes, boxes with class and kind, parts,
            sequences with numbers, and which classes are labelled.
        notes: What a reader of the report should know.
        quarantined: Number of boxes and images set aside.
        synthetic: Whether any image was rendered, not taken.
        columns: Of tables: what each column is taken for, in words.
    """

    images: Images
    boxes: box.Boxes
    class_names: tuple[str, ...]
    known_classes: NDArray[np.bool_]
    sequences: NDArray[np.object_]
    numbers: NDArray[np.int64]
    seconds: NDArray[np.float64]
    time_of_day: NDArray[np.object_]
    weather: NDArray[np.object_]
    fixed_parts: NDArray[np.str_]
    sources: NDArray[np.int64]
    source_names: tuple[str, ...]
    sha256: str
    notes: tuple[str, ...]
    quarantined: int
    synthetic: bool
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        """Count the images."""
        return len(self.sequences)

    @property
    def name(self) -> str:
        """Names of the sources, joined by ``+``."""
        return "+".join(self.source_names)

    def take(self, rows: NDArray[np.int64]) -> "Frames":
        """Return some images with their boxes, in the order of ``rows``."""
        per_image: dict[str, Any] = {
            name: getattr(self, name)[rows]
            for name in (
                "known_classes",
                "sequences",
                "numbers",
                "seconds",
                "time_of_day",
                "weather",
                "fixed_parts",
                "sources",
            )
        }
        images = Images(**{name: values[rows] for name, values in vars(self.images).items()})
        return dataclasses.replace(self, images=images, boxes=self.boxes.of_images(rows), **per_image)
