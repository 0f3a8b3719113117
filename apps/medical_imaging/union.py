"""Several checked sources as one data set: all their images with labels, patients and what is to be known of them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from apps.medical_imaging import dataset, readers
from apps.medical_imaging.readers import checking, images, joining
from shared import files


def assemble(
    batches: Sequence[checking.Batch],
    class_names: tuple[str, ...],
    *,
    multi: bool,
    labelled: bool,
    notes: Sequence[str],
    quarantined: int,
    grey_bits: int,
) -> dataset.Radiographs:
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
    return dataset.Radiographs(
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
