"""What was read, as the rest of the app sees it: images with labels and patients; described, listed and written."""

import dataclasses
import io
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from apps.medical_imaging import readers
from apps.medical_imaging.readers import checking, images, joining
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


def assemble(
    batches: Sequence[checking.Batch],
    class_names: tuple[str, ...],
    *,
    multi: bool,
    labelled: bool,
    notes: Sequence[str],
    quarantined: int,
    grey_bits: int,
) -> Radiographs:
    """Join the checked entries of all sources.

    Args:
        batches: The entries; at least one.
        class_names: Classes or findings, in the order of the columns.
        multi: Whether they are findings.
        labelled: Whether entries have labels.
        notes: What is to be known besides what the sources say of themselves.
        quarantined: Number of images set aside.
        grey_bits: How many bits of images of 16 bits are in use.
    """
    found = [entry for batch in batches for entry in batch.entries]
    names = list(map(files.printable, joining.unique_names(batches)))
    labels = joining.label_rows(batches, class_names, multi=multi, labelled=labelled)
    hashes = np.array([digest for batch in batches for digest in batch.hashes], dtype=np.uint64)
    stated = [note for batch in batches for note in batch.source.notes]
    # Ids are not told apart by source: two parts of one collection may be given as two sources.
    patients, spellings = joining.one_spelling(found)
    return Radiographs(
        images=images.Images(
            names=joining.objects(names),
            items=joining.objects([entry.item for entry in found]),
            content_hashes=hashes,
            grey_bits=grey_bits,
        ),
        labels=labels,
        task="multi_label" if multi else "single_label",
        class_names=class_names,
        patients=joining.objects(
            [files.printable(patient or name) for patient, name in zip(patients, names, strict=True)]
        ),
        attributes=joining.attributes(found),
        boxes=joining.objects([entry.boxes for entry in found]),
        fixed_parts=np.array([entry.part for entry in found], dtype="<U10"),
        rows=np.array([entry.row for entry in found], dtype=np.int64),
        name=files.printable("+".join(batch.source.name for batch in batches)),
        sha256=joining.fingerprint(found, hashes, labels),
        notes=(
            *stated,
            *_counts(batches, labels, class_names),
            *_gaps(found, labels, class_names if multi and labelled else ()),
            *spellings,
            *notes,
        ),
        quarantined=quarantined,
        synthetic=any(batch.source.synthetic for batch in batches),
        columns=_columns(batches),
    )


def _columns(batches: Sequence[checking.Batch]) -> dict[str, str]:
    """Return the roles of all columns; those of several tables by number and name of the table."""
    several = sum(bool(batch.source.columns) for batch in batches) > 1
    return {
        f"{number}-{batch.source.name}: {column}" if several else column: role
        for number, batch in enumerate(batches, start=1)
        for column, role in batch.source.columns.items()
    }


def _counts(batches: Sequence[checking.Batch], labels: NDArray[np.float32], names: Sequence[str]) -> list[str]:
    """Count what each of several sources holds: their names may be equal, and their classes not."""
    if len(batches) < 2:
        return []
    ends = np.cumsum([len(batch.entries) for batch in batches])
    notes = []
    for number, (batch, rows) in enumerate(zip(batches, np.split(labels, ends[:-1]), strict=True), start=1):
        counts = (rows == 1).sum(axis=0)
        held = ", ".join(f"{count:,} {name}" for count, name in zip(counts, names, strict=True)) or "without labels"
        notes.append(f"source {number}, {batch.source.name}: {len(rows):,} images ({held})")
    return notes


def _gaps(found: Sequence[readers.Entry], labels: NDArray[np.float32], findings: Sequence[str]) -> list[str]:
    """List what is not known of the images: patients, and findings that none is known to have."""
    notes = []
    unknown = sum(not entry.patient for entry in found)
    if unknown:
        notes.append(f"the patient of {unknown:,} images is not known: each counts as a patient of its own")
    absent = [name for place, name in enumerate(findings) if not (labels[:, place] == 1).any()]
    if absent:
        notes.append(f"no image is known to show {', '.join(absent)}: it can be neither learned nor evaluated")
    return notes


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
    with files.atomic(folder / readers.WRITTEN_TABLE) as temporary:
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
