"""Sources of radiographs -> checked images and labels -> split by patient with certificate. No TensorFlow.

The rest of the app sees ``Radiographs`` only. How files are read is in ``readers``, what must stay together in
``partition``.
"""

import dataclasses
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from apps.medical_imaging import duplicates, partition
from apps.medical_imaging.readers import checking, entries, images, joining, sources, streaming, writing
from shared import errors, splits

Images = images.Images
PhantomSettings = entries.PhantomSettings


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
        sha256: Of the sorted content hashes and labels.
        notes: What a reader of the report should know.
        quarantined: Number of images set aside.
        synthetic: Whether any image was computed, not taken.
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


def load(
    specs: Sequence[str],
    *,
    data_format: str = "auto",
    image_column: str | None = None,
    label_columns: Sequence[str] = (),
    patient_column: str | None = None,
    uncertain: str = "ignore",
    skip_bad: bool = False,
    quarantine: pathlib.Path | None = None,
    class_names: Sequence[str] | None = None,
    labelled: bool = True,
    phantoms: PhantomSettings | None = None,
) -> Radiographs:
    """Read and check all images of one or several sources.

    Args:
        specs: Built-in source names and paths.
        data_format: One of ``sources.FORMATS``.
        image_column: Column of a table that names the images, where it is not recognised.
        label_columns: Its label columns; of NIH and CheXpert the findings to use.
        patient_column: Its column of patient ids, where it is not recognised.
        uncertain: What a label of -1 counts as: "zeros", "ones" or "ignore" (unknown).
        skip_bad: Set bad images aside instead of refusing them.
        quarantine: Where bad images are then listed, as csv of file, row, reason and image.
        class_names: Classes of a trained model: labels must mean these.
        labelled: Whether labels are needed; without, all labels are NaN.
        phantoms: Which phantoms ``chest-phantoms`` means.

    Raises:
        errors.InputError: Nothing can be read, an image cannot be used, or there are fewer than two classes.
    """
    if isinstance(specs, str) or not specs or len(set(specs)) < len(specs):
        raise errors.InputError(f"Expected one or more sources, each once. Received: {specs!r}")
    options = entries.Options(
        image_column=image_column,
        label_columns=tuple(label_columns),
        patient_column=patient_column,
        uncertain=uncertain,
        labelled=labelled,
        phantoms=phantoms or PhantomSettings(),
    )
    read = [sources.read(spec, options=options, data_format=data_format) for spec in specs]
    batches = [checking.check(source, labelled=labelled, decode=skip_bad) for source in read]
    findings = joining.findings(read, class_names, labelled=labelled)
    bad = [fault for batch in batches for fault in batch.bad]
    if labelled:
        bad += joining.disagreements(batches, None if findings else class_names)
    batches = [checking.without(batch, {(fault.file, fault.row) for fault in bad}) for batch in batches]
    kept = sum(len(batch.entries) for batch in batches)
    checking.settle(bad, kept=kept, skip_bad=skip_bad, quarantine=quarantine)
    names = findings or tuple(class_names or ())
    if labelled and not names:
        names = joining.class_names(batches)
    return _assemble(batches, names, multi=bool(findings), quarantined=len(bad), labelled=labelled)


def split(
    radiographs: Radiographs,
    *,
    fractions: Sequence[float] = (0.73, 0.12, 0.15),
    seed: int,
    near_duplicate_distance: int = 4,
    split_file: pathlib.Path | None = None,
) -> tuple[splits.Split, dict[str, Any]]:
    """Split so that no patient and no duplicate crosses parts, and certify it.

    Args:
        radiographs: Labelled images.
        fractions: Share of train, validation and test; official parts override them.
        seed: Seed of the assignment.
        near_duplicate_distance: Bits of the perceptual hash up to which images stay together.
        split_file: The user's own parts, by image or patient; nothing is moved.

    Returns:
        The split, and the certificate for ``split.json``.

    Raises:
        errors.InputError: There are too few patients of a class.
        errors.GateError: A patient, or the same picture, is in two parts.
    """
    if radiographs.task == "single_label" and np.isnan(radiographs.labels).any():
        raise errors.InputError("Expected labelled images to split. Received: images without labels")
    hashes, names = content_hashes(radiographs), radiographs.images.names
    near = near_duplicates(radiographs, near_duplicate_distance)
    if split_file is None:
        groups = partition.group(radiographs.patients, near, radiographs.fixed_parts, hashes)
        part = _assign(radiographs, groups, fractions=fractions, seed=seed)
    else:
        groups = partition.group(radiographs.patients, near, np.full_like(radiographs.fixed_parts, ""), hashes)
        part = partition.read_file(split_file, names=names, patients=radiographs.patients)
    method = partition.METHOD if split_file is None else "the user's list of parts, checked"
    made = splits.Split(part=part, unit=groups.unit, unit_name=partition.UNIT_NAME, method=method, seed=seed)
    where = str(split_file or "The split")
    partition.refuse_crossing(part, radiographs.patients, radiographs.patients, what=f"{where}: every patient")
    partition.refuse_crossing(part, near, names, what=f"{where}: every picture and its copies")
    return made, _certificate(radiographs, made, groups, near, distance=near_duplicate_distance)


def near_duplicates(radiographs: Radiographs, distance: int) -> NDArray[np.int64]:
    """Return (n,) int64 groups of images that are the same picture, exactly or nearly."""
    exact = np.unique(content_hashes(radiographs), return_inverse=True)[1]
    return splits.merge_units(exact, duplicates.near(radiographs.images, distance=distance))


def content_hashes(radiographs: Radiographs) -> NDArray[np.uint64]:
    """Return (n,) the hash of each image's content, as certificates use it."""
    return radiographs.images.content_hashes


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
    """Say in one line what was read.

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
    patients = _patients(radiographs)
    said = classes or "without labels"
    return f"{radiographs.name}: {len(radiographs.rows):,} {simulated} of {patients:,} patients ({said}){parts}{aside}"


def iterate_images(
    paths: Sequence[str | pathlib.Path], *, chunk_rows: int
) -> Iterator[tuple[pd.DataFrame, list[streaming.Pixels]]]:
    """Stream the images of files, folders, tables and npz files, for ``predict``; see ``streaming.chunks``."""
    return streaming.chunks(paths, chunk_rows=chunk_rows)


def write(radiographs: Radiographs, table: pd.DataFrame, folder: pathlib.Path) -> None:
    """Write the normalised data set: ``<folder>/<class>/<name>.png`` or ``.jpeg``, and ``images.csv``.

    Args:
        radiographs: The images.
        table: Their rows as ``frame`` gives them; ``images.csv`` names each image's file beside.
        folder: Where to write; it can be read again as a source, with parts and patients.
    """
    writing.write(radiographs.images, table.assign(synthetic=radiographs.synthetic), folder)


def _assign(
    radiographs: Radiographs, groups: partition.Groups, *, fractions: Sequence[float], seed: int
) -> NDArray[np.str_]:
    return partition.assign(
        groups,
        partition.strata(radiographs.labels, groups.unit, task=radiographs.task),
        fractions=fractions,
        seed=seed,
        class_names=(*radiographs.class_names, "no finding"),
    )


def _certificate(
    radiographs: Radiographs, made: splits.Split, groups: partition.Groups, near: NDArray[np.int64], *, distance: int
) -> dict[str, Any]:
    """Check the split from scratch and describe it."""
    hashes = content_hashes(radiographs)
    checks = {
        "data_sha256": radiographs.sha256,
        "notes": [*radiographs.notes, *groups.notes],
        "patients": _patients(radiographs),
        "patients_in_two_parts": 0,
        "exact_duplicate_rows": len(hashes) - len(np.unique(hashes)),
        **partition.describe_near(near, made, distance=distance),
        "largest_unit_rows": int(np.unique(groups.unit[~groups.left_out], return_counts=True)[1].max(initial=0)),
        "left_out_across_official_parts": int(groups.left_out.sum()),
    }
    strata = partition.strata(radiographs.labels, groups.unit, task=radiographs.task)
    names = radiographs.class_names
    found = splits.certificate(made, labels=strata, content_hashes=hashes, class_names=names, checks=checks)
    if radiographs.task == "multi_label":
        partition.count_findings(found, made, radiographs.labels, names)
    return found


def _patients(radiographs: Radiographs) -> int:
    return len(np.unique(radiographs.patients.astype(str)))


def _assemble(
    batches: Sequence[checking.Batch], class_names: tuple[str, ...], *, multi: bool, quarantined: int, labelled: bool
) -> Radiographs:
    found = [entry for batch in batches for entry in batch.entries]
    names = joining.unique_names(batches)
    labels = joining.label_rows(batches, class_names, multi=multi, labelled=labelled)
    hashes = np.array([digest for batch in batches for digest in batch.hashes], dtype=np.uint64)
    notes = [note for batch in batches for note in batch.source.notes]
    if quarantined:
        notes.append(f"{quarantined} images could not be used and were set aside")
    return Radiographs(
        images=Images(
            names=joining.objects(names),
            items=joining.objects([entry.item for entry in found]),
            content_hashes=hashes,
        ),
        labels=labels,
        task="multi_label" if multi else "single_label",
        class_names=class_names,
        # Ids are not told apart by source: two parts of one collection may be given as two sources.
        patients=joining.objects([entry.patient or name for entry, name in zip(found, names, strict=True)]),
        attributes=joining.attributes(found),
        boxes=joining.objects([entry.boxes for entry in found]),
        fixed_parts=np.array([entry.part for entry in found], dtype="<U10"),
        rows=np.array([entry.row for entry in found], dtype=np.int64),
        name="+".join(batch.source.name for batch in batches),
        sha256=joining.fingerprint(hashes, labels),
        notes=tuple(notes),
        quarantined=quarantined,
        synthetic=any(batch.source.synthetic for batch in batches),
    )
