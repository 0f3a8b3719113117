"""Sources of radiographs -> checked images and labels -> split by patient with certificate. No TensorFlow.

The rest of the app sees ``Radiographs`` only, made by ``dataset``. How files are read is in ``readers``, what must
stay together in ``splitting``.
"""

import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from apps.medical_imaging import config, dataset, readers, splitting, union
from apps.medical_imaging.readers import checking, images, joining, sources
from shared import errors, files, splits
from shared.sources import cells
from shared.splits import near_duplicates as duplicates

Radiographs = dataset.Radiographs
frame = dataset.frame
describe = dataset.describe


def locate(settings: config.Config) -> None:
    """Find every source, downloading public sets by name; ``errors.InputError`` where one is not there."""
    for spec in settings.data:
        sources.locate(spec, data_format=settings.data_format)


def load(
    settings: config.Config,
    *,
    class_names: Sequence[str] | None = None,
    labelled: bool = True,
    quarantine: pathlib.Path | None = None,
    grey_bits: int | None = None,
    decodes: checking.Decodes | None = None,
    decode: bool | None = None,
) -> Radiographs:
    """Read and check all images of the sources.

    Args:
        settings: Which sources, and how to read them.
        class_names: Classes of a trained model: labels must mean these.
        labelled: Whether labels are needed; without, all labels are NaN.
        quarantine: Where bad images are listed with ``skip_bad``, as csv of file, row, reason and image.
        grey_bits: How many bits of images of 16 bits a trained model reads; None: what ``settings`` say, or as many
            as their values need.
        decodes: The network's own decoder, which then decides what a bad image is.
        decode: Whether every file is decoded to see whether it is whole; None: where bad ones are to be set aside.

    Raises:
        errors.InputError: Nothing can be read, an image cannot be used, or there are fewer than two classes.
    """
    specs, skip_bad, data_format = settings.data, settings.skip_bad, settings.data_format
    if not specs or len(set(specs)) < len(specs):
        raise errors.InputError(f"Expected one or more sources, each once. Received: {specs!r}")
    options = reading_options(settings, labelled=labelled)
    read = sources.with_parts_by_name(
        [sources.read(spec, options=options, data_format=data_format) for spec in specs], specs
    )
    deeply = skip_bad if decode is None else decode
    batches = [checking.check(source, labelled=labelled, decode=deeply, decodes=decodes) for source in read]
    findings = joining.findings(read, class_names, labelled=labelled)
    bad = [fault for batch in batches for fault in batch.bad]
    if labelled:
        bad += joining.disagreements(batches, None if findings else class_names)
    batches = checking.without(batches, {(fault.file, fault.row) for fault in bad})
    kept = sum(len(batch.entries) for batch in batches)
    checking.settle(bad, kept=kept, skip_bad=skip_bad, quarantine=quarantine)
    again = checking.repeated(batches)
    batches = checking.without(batches, again)
    names = findings or tuple(class_names or ())
    if labelled and not names:
        joining.one_way_of_labels(batches)
        names = joining.class_names(batches)
    bits, deep = joining.grey_bits(batches, given=grey_bits or settings.grey_bits)
    return union.assemble(
        batches,
        names,
        multi=bool(findings),
        labelled=labelled,
        notes=[*deep, *checking.notes(batches, quarantined=len(bad), repeated=len(again))],
        quarantined=len(bad),
        grey_bits=bits,
    )


def reading_options(settings: config.Config, *, labelled: bool) -> readers.Options:
    """Return what the settings say of how sources are to be read."""
    return readers.Options(
        image_column=settings.image_column,
        label_columns=settings.label_columns,
        patient_column=settings.patient_column,
        uncertain=settings.uncertain,
        labelled=labelled,
        phantoms=readers.PhantomSettings(
            patients=settings.phantom_patients, confounder=settings.phantom_confounder, seed=settings.seed
        ),
        follow_links=settings.follow_links,
        allow_outside=settings.allow_outside,
        decimal=cast("cells.Decimal", settings.decimal),
        # Parts that the user lists replace a column of official ones, which then need not be understood.
        parts=settings.split_file is None,
    )


def split(radiographs: Radiographs, settings: config.Config) -> tuple[splits.Split, dict[str, Any]]:
    """Split so that no patient and no duplicate crosses parts, and certify it.

    Args:
        radiographs: Labelled images.
        settings: Shares of the parts, which official parts override, seed, and what counts as a near duplicate; or
            the user's own parts, by image or patient, of which nothing is moved.

    Returns:
        The split, and the certificate for ``split.json``.

    Raises:
        errors.InputError: There are too few patients of a class, or none to train on.
        errors.GateError: A patient, or the same picture, is in two parts.
    """
    if radiographs.task == "single_label" and np.isnan(radiographs.labels).any():
        raise errors.InputError("Expected labelled images to split. Received: images without labels")
    hashes, names = content_hashes(radiographs), radiographs.images.names
    near = near_duplicates(radiographs, settings.near_duplicate_distance)
    split_file = None if settings.split_file is None else pathlib.Path(settings.split_file)
    if split_file is None:
        groups = splitting.group(radiographs.patients, near, radiographs.fixed_parts, hashes)
        part = _assign(radiographs, groups, fractions=settings.fractions, seed=settings.seed)
    else:
        groups = splitting.group(radiographs.patients, near, np.full_like(radiographs.fixed_parts, ""), hashes)
        part = splitting.read_file(split_file, names=names, patients=radiographs.patients)
    method = splitting.METHOD if split_file is None else "the user's list of parts, checked"
    made = splits.Split(part=part, unit=groups.unit, unit_name=splitting.UNIT_NAME, method=method, seed=settings.seed)
    where = str(split_file or "The split")
    splitting.refuse_crossing(part, radiographs.patients, radiographs.patients, what=f"{where}: every patient")
    splitting.refuse_crossing(part, near, names, what=f"{where}: every picture and its copies")
    classes = radiographs.class_names if radiographs.task == "single_label" else ()
    splitting.require_train(part, radiographs.labels, classes, where=where, left_out=groups.left_out)
    return made, _certificate(radiographs, made, groups, near, distance=settings.near_duplicate_distance)


def near_duplicates(radiographs: Radiographs, distance: int) -> NDArray[np.int64]:
    """Return (n,) int64 groups of images that are the same picture, exactly or nearly."""
    exact = np.unique(content_hashes(radiographs), return_inverse=True)[1]
    return splits.merge_units(exact, duplicates.near(images.Scaled(images=radiographs.images), distance=distance))


def content_hashes(radiographs: Radiographs) -> NDArray[np.uint64]:
    """Return (n,) the hash of each image's content, as certificates use it."""
    return radiographs.images.content_hashes


def iterate_images(
    paths: Sequence[str | pathlib.Path], *, chunk_rows: int, options: readers.Options | None = None
) -> Iterator[tuple[pd.DataFrame, list[sources.Pixels]]]:
    """Stream the images of files, folders, tables and npz files, for ``predict``; see ``sources.chunks``."""
    return sources.chunks((sources.listed(path, options) for path in paths), chunk_rows=chunk_rows)


def write(radiographs: Radiographs, table: pd.DataFrame, folder: pathlib.Path) -> None:
    """Write the normalised data set: ``<folder>/<class>/<name>.png`` or ``.jpeg``, and ``images.csv``.

    Args:
        radiographs: The images.
        table: Their rows as ``frame`` gives them; ``images.csv`` names each image's file beside.
        folder: Where to write; it can be read again as a source, with parts and patients.
    """
    dataset.write(radiographs.images, table.assign(synthetic=radiographs.synthetic), folder / readers.WRITTEN_TABLE)


def refuse_to_write_over(radiographs: Radiographs, folder: pathlib.Path | None) -> dict[str, Any]:
    """Refuse to write a data set into a folder whose images are read; say nothing of it otherwise.

    Raises:
        errors.InputError: An image lies in the folder, or below.
    """
    parents = {item.parent for item in radiographs.images.items if isinstance(item, pathlib.Path)}
    if folder is not None:
        files.refuse_output_over_input(folder, sorted(parents))
    return {}


def _assign(
    radiographs: Radiographs, groups: splitting.Groups, *, fractions: Sequence[float], seed: int
) -> NDArray[np.str_]:
    return splitting.assign(
        groups,
        splitting.strata(radiographs.labels, groups.unit, task=radiographs.task),
        fractions=fractions,
        seed=seed,
        class_names=(*radiographs.class_names, "no finding"),
    )


def _certificate(
    radiographs: Radiographs, made: splits.Split, groups: splitting.Groups, near: NDArray[np.int64], *, distance: int
) -> dict[str, Any]:
    """Check the split from scratch and describe it."""
    hashes = content_hashes(radiographs)
    checks = {
        "data_sha256": radiographs.sha256,
        "notes": [*radiographs.notes, *groups.notes],
        "patients": dataset.count_patients(radiographs),
        "patients_in_two_parts": 0,
        "exact_duplicate_rows": len(hashes) - len(np.unique(hashes)),
        **splitting.describe_near(near, made, distance=distance),
        "largest_unit_rows": int(np.unique(groups.unit[~groups.left_out], return_counts=True)[1].max(initial=0)),
        "left_out_across_official_parts": int(groups.left_out.sum()),
    }
    strata = splitting.strata(radiographs.labels, groups.unit, task=radiographs.task)
    names = radiographs.class_names
    found = splits.certificate(made, labels=strata, content_hashes=hashes, class_names=names, checks=checks)
    if radiographs.task == "multi_label":
        splitting.count_findings(found, made, radiographs.labels, names)
    return found
