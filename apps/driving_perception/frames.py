"""What was read, as the rest of the app sees it: images with labelled boxes, sequences and conditions."""

import dataclasses
import io
import pathlib
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from apps.driving_perception import boxes as box
from shared import errors


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
        """Return the encoded image file (JPEG, PNG, BMP or WebP as it is stored).

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


def decode(content: bytes, *, name: str) -> NDArray[np.uint8]:
    """Decode an image file: (height, width, 3) uint8.

    Pixels are taken as they are stored: labels of road data sets do not know of Exif's orientation.

    Raises:
        errors.InputError: It is none.
    """
    try:
        with PIL.Image.open(io.BytesIO(content)) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise errors.InputError(f"{name}: expected an image file. Received: {error}") from None


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
        sha256: Of the sorted content hashes, boxes and labels.
        notes: What a reader of the report should know.
        quarantined: Number of boxes and images set aside.
        synthetic: Whether any image was rendered, not taken.
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
