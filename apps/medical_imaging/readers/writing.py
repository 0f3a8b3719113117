"""The normalised data set: one folder per class, files as they are or as PNG, and a table."""

import io
import pathlib

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from apps.medical_imaging.readers import images
from shared import files

TABLE = "images.csv"


def write(found: images.Images, table: pd.DataFrame, folder: pathlib.Path) -> None:
    """Write images and ``images.csv``, whose first column is the path of each image below ``folder``.

    JPEG and PNG files are copied unchanged, DICOM and floats become 16-bit, 8-bit arrays 8-bit PNG.
    """
    written = []
    for row, name in enumerate(found.names):
        pixels = found.read(row)
        encoded = pixels if isinstance(pixels, bytes) else encode(pixels, deep=not _is_byte(found.items[row]))
        suffix = ".png" if encoded.startswith(b"\x89PNG") else ".jpeg"
        label = str(table["label"].iloc[row]) if "label" in table else "images"
        path = pathlib.Path(_plain(label)) / f"{_plain(_stem(name))}-{row + 1}{suffix}"
        with files.atomic(folder / path) as temporary:
            temporary.write_bytes(encoded)
        written.append(path.as_posix())
    with files.atomic(folder / TABLE) as temporary:
        table.assign(image=written)[["image", *table.columns]].to_csv(temporary, index=False)


def encode(pixels: NDArray[np.float32], *, deep: bool) -> bytes:
    """Return (h, w, 1 or 3) float32 in [0, 1] as PNG: 16 bits for deep grey images, else 8 bits."""
    dtype = np.uint16 if deep and pixels.shape[2] == 1 else np.uint8
    values = np.round(np.clip(pixels, 0, 1) * np.iinfo(dtype).max).astype(dtype)
    buffer = io.BytesIO()
    Image.fromarray(values[:, :, 0] if values.shape[2] == 1 else values).save(buffer, "PNG")
    return buffer.getvalue()


def _is_byte(item: object) -> bool:
    return isinstance(item, np.ndarray) and item.dtype == np.uint8


def _stem(name: str) -> str:
    return pathlib.PurePosixPath(name).stem


def _plain(name: str) -> str:
    """Return a name that every file system takes."""
    return "".join(letter if letter.isalnum() or letter in "-_. " else "_" for letter in name).strip(". ") or "_"
