"""What was read, as the rest of the app sees it: images with labels and patients; described, listed and written."""

import dataclasses
import io
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from apps.medical_imaging.readers import images
from shared import files, splits


@dataclasses.dataclass(frozen=True, kw_only=True)
class Radiographs:
    """Checked images, in the order of their source.

    Attributes:
        images: The pixels, read when needed.
        labels: (n, k) float32: 1 present, 0 absent, NaN unknown. One-hot for classes, a column each for findings.
        task: ``single_label`` or ``multi_label``.
        class_names: k names; of two classes the negative one first.
        patients: (n,) object of str.
        attributes: n rows; some of sex ("F", "M"), age (years), view, site, subtype, device_mark (bool), subtlety.
        boxes: (n,) object: (m, 4) float32 of left, top, right, bottom in fractions; None where unknown.
        fixed_parts: (n,) str official part, ``""`` where there is none.
        rows: (n,) int64 line in its table, or number of the file, from 1.
        name: Names of the sources, joined by ``+``.
        sha256: Of the sorted content hashes, labels, patients, parts and attributes.
        notes: What a reader of the report should know.
        quarantined: Number of images set aside.
        synthetic: Whether any image was computed, not taken.
        columns: Column -> its role in words, where the source is a table.
    """

    images: images.Images
    labels: NDArray[np.float32]
    task: str
    class_names: tuple[str, ...]
    patients: NDArray[np.object_]
    attributes: pd.DataFrame
    boxes: NDArray[np.object_]
    fixed_parts: NDArray[np.str_]
    rows: NDArray[np.int64]
    name: str
    sha256: str
    notes: tuple[str, ...]
    quarantined: int
    synthetic: bool
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)


def frame(radiographs: Radiographs, parts: splits.Split) -> pd.DataFrame:
    """Return one row per image: id, label or findings, patient, attributes, row in its source, part and unit.

    The columns ``id`` and ``part`` are what ``split_file`` reads.
    """
    columns: dict[str, Any] = {"id": radiographs.images.names}
    if radiographs.task == "single_label":
        columns["label"] = np.array(radiographs.class_names, dtype=object)[radiographs.labels.argmax(axis=1)]
    else:
        columns |= {name: radiographs.labels[:, place] for place, name in enumerate(radiographs.class_names)}
    columns["patient"] = radiographs.patients
    columns |= {str(name): radiographs.attributes[name].to_numpy() for name in radiographs.attributes.columns}
    return pd.DataFrame(columns | {"number": radiographs.rows, "part": parts.part, "unit": parts.unit})


def describe(radiographs: Radiographs) -> str:
    """Describe in one line what was read.

    Returns:
        For example ``kermany: 5,216 images of 2,790 patients (1,341 NORMAL, 3,875 PNEUMONIA)``.
    """
    counts = (radiographs.labels == 1).sum(axis=0)
    classes = ", ".join(f"{count:,} {name}" for count, name in zip(counts, radiographs.class_names, strict=True))
    present = [(name, int((radiographs.fixed_parts == name).sum())) for name in splits.PARTS]
    official = ", ".join(f"{count:,} {name}" for name, count in present if count)
    parts = f"; official parts: {official}" if official else ""
    aside = f"; {radiographs.quarantined:,} images set aside" if radiographs.quarantined else ""
    simulated = "SIMULATED images" if radiographs.synthetic else "images"
    people = count_patients(radiographs)
    classes = classes or "without labels"
    return f"{radiographs.name}: {len(radiographs.rows):,} {simulated} of {people:,} patients ({classes}){parts}{aside}"


def count_patients(radiographs: Radiographs) -> int:
    """Return how many patients the images are of."""
    return len(np.unique(radiographs.patients.astype(str)))


def write(found: images.Images, table: pd.DataFrame, path: pathlib.Path) -> None:
    """Write the table, with the path of each image as its first column, and the images beside it.

    JPEG and PNG files are copied unchanged, DICOM and floats become 16-bit, 8-bit arrays 8-bit PNG.
    """
    written = []
    for row, name in enumerate(found.names):
        pixels = found.read(row)
        encoded = pixels if isinstance(pixels, bytes) else encode(pixels, deep=not _is_byte(found.items[row]))
        suffix = ".png" if encoded.startswith(b"\x89PNG") else ".jpeg"
        label = str(table["label"].iloc[row]) if "label" in table else "images"
        file = pathlib.Path(_plain(label)) / f"{_plain(_stem(name))}-{row + 1}{suffix}"
        with files.atomic(path.parent / file) as temporary:
            temporary.write_bytes(encoded)
        written.append(file.as_posix())
    with files.atomic(path) as temporary:
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
