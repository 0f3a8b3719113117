"""Sources of road images -> checked images and boxes -> split by sequence with certificate. No TensorFlow.

The rest of the app sees ``Frames`` only. How files are read is in ``readers``, how they are written in ``writers``,
what must stay together in ``partition``.
"""

import pathlib
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from apps.driving_perception import boxes as box
from apps.driving_perception import classes, config, frames, partition, writers
from apps.driving_perception.readers import checking, entries, sources, union
from shared import errors, splits
from shared.sources import cells

CLASS_NAMES = classes.CLASS_NAMES
write = writers.write


def locate(settings: config.Config) -> None:
    """Raise ``errors.InputError`` where a source is not there."""
    for spec in settings.data:
        sources.locate(spec, data_format=settings.data_format)


def load(
    settings: config.Config,
    *,
    class_names: Sequence[str] | None = None,
    labelled: bool = True,
    quarantine: pathlib.Path | None = None,
) -> frames.Frames:
    """Read and check all images and boxes of the sources.

    Args:
        settings: Which sources, and how to read them.
        class_names: Classes of a trained model: only these are evaluated. None takes those that occur.
        labelled: Whether labels are needed.
        quarantine: Where bad boxes and images are listed with ``skip_bad``, as csv of file, object, reason and image.

    Raises:
        errors.InputError: Nothing can be read, a box or an image cannot be used, or there is no box at all, or none of
            a class that the trained model knows.
    """
    specs, data_format = settings.data, settings.data_format
    if not specs or len(set(specs)) < len(specs):
        raise errors.InputError(f"Expected one or more sources, each once. Received: {specs!r}")
    if sources.SCENES in (*specs, data_format):
        return _rendered(settings, class_names)
    options = entries.Options(
        single_class=settings.single_class,
        labelled=labelled,
        follow_links=settings.follow_links,
        allow_outside=settings.allow_outside,
        decimal=cast("cells.Decimal", settings.decimal),
    )
    read = sources.settle([sources.read(spec, options=options, data_format=data_format) for spec in specs])
    meanings = classes.read(None if settings.class_file is None else pathlib.Path(settings.class_file))
    found = [checking.check(source, meanings) for source in read]
    checked = [each.images for each in found]
    # Without labels bad boxes do not matter, but an image that cannot be read is never dropped silently.
    bad = [fault for each in found for fault in each.bad if labelled or not fault.object]
    checking.settle(bad, images=sum(map(len, checked)), skip_bad=settings.skip_bad, quarantine=quarantine)
    own = union.class_names(read, checked, meanings)
    names = tuple(class_names or ()) or own
    if labelled and not names:
        raise errors.InputError(f"{', '.join(specs)}: expected at least one labelled obstacle. Received: none")
    if labelled and own and not set(own) & set(names):
        raise errors.InputError(
            f"{', '.join(specs)}: expected boxes of a class that the model knows: {', '.join(names)}. Received: "
            f"{', '.join(own)} (--class-file maps names)"
        )
    notes = [note for source, each in zip(read, found, strict=True) for note in (*source.notes, *each.notes)]
    return union.assemble(read, checked, names, meanings, bad=len(bad), notes=notes)


def _rendered(settings: config.Config, class_names: Sequence[str] | None) -> frames.Frames:
    """Render road scenes; a trained model's class names only change which classes are evaluated.

    Raises:
        errors.InputError: Other sources were given too, or the model knows none of the classes.
    """
    if len(settings.data) > 1:
        raise errors.InputError(f"Expected {sources.SCENES} alone, or paths only. Received: {', '.join(settings.data)}")
    from apps.driving_perception import simulator

    found = simulator.render(sequences=settings.scene_sequences, frames=settings.scene_frames, seed=settings.seed)
    return found if class_names is None else union.renamed(found, tuple(class_names))


def split(collection: frames.Frames, settings: config.Config) -> tuple[splits.Split, dict[str, Any]]:
    """Split so that no sequence, block or copy crosses parts, and certify it.

    Args:
        collection: Labelled images.
        settings: Shares of the parts, which official parts override, seed, and what stays together; or the user's
            own parts, by image, of which nothing is moved.

    Returns:
        The split, and the certificate for ``split.json``.

    Raises:
        errors.InputError: There are too few units, or none to train on.
        errors.GateError: A unit is in two parts.
    """
    split_file = None if settings.split_file is None else pathlib.Path(settings.split_file)
    alike = partition.near(collection, settings.near_duplicate_distance)
    fixed, notes = partition.official(collection) if split_file is None else (None, [])
    unit = partition.units(collection, alike, block_frames=settings.block_frames, fixed=fixed)
    if split_file is None and fixed is not None:
        part = partition.assign(collection, unit, fractions=settings.fractions, seed=settings.seed, fixed=fixed)
        notes += _of_official(fixed, part)
    elif split_file is not None:
        part = partition.read_file(split_file, collection.images.names)
        splits.refuse_crossing(part, unit, what=f"unit of {split_file} ({partition.UNIT_NAME})")
    partition.require_train(part)
    made = splits.Split(
        part=part,
        unit=splits.name_units(unit, collection.images.content_hashes),
        unit_name=partition.UNIT_NAME,
        method=_method(fixed),
        seed=settings.seed,
    )
    checks = _checks(collection, made, alike, notes)
    certificate = splits.certificate(
        made,
        labels=collection.sources,
        content_hashes=collection.images.content_hashes,
        class_names=collection.source_names,
        checks=checks,
    )
    return made, certificate


def _method(fixed: NDArray[np.str_] | None) -> str:
    if fixed is None:
        return partition.LISTED
    return partition.OFFICIAL if (fixed != "").any() else partition.METHOD


def _of_official(fixed: NDArray[np.str_], part: NDArray[np.str_]) -> list[str]:
    """Say how official parts were filled up."""
    said = {
        "no official validation part: validation is drawn out of the official training part": (
            partition.lacks_validation(fixed)
        ),
        "no official test part, and none is drawn: evaluate --split validation, or --data with other images": (
            bool((fixed != "").any()) and not (part == "test").any()
        ),
    }
    return [note for note, holds in said.items() if holds]


def _checks(
    collection: frames.Frames, made: splits.Split, alike: NDArray[np.int64], notes: Sequence[str]
) -> dict[str, Any]:
    """Describe what was kept together, and count what is alike across parts all the same."""
    named = collection.sequences.astype(str) != ""
    torn = [
        name
        for name in np.unique(collection.sequences[named].astype(str))
        if len(set(made.part[collection.sequences == name].tolist()) - {splits.LEFT_OUT}) > 1
    ]
    across = sum(len(set(made.part[alike == value].tolist()) - {splits.LEFT_OUT}) > 1 for value in np.unique(alike))
    if across and made.method == partition.OFFICIAL:
        notes = [
            *notes,
            f"{across:,} groups of pictures that look alike are in several official parts: kept as they are",
        ]
    real = collection.boxes.kind != box.REGION
    boxes = {
        part: {
            name: int((real & (collection.boxes.label == label) & (made.part[collection.boxes.image] == part)).sum())
            for label, name in enumerate(collection.class_names)
        }
        for part in splits.PARTS
    }
    return {
        "data_sha256": collection.sha256,
        "notes": [*collection.notes, *notes],
        "sequences": len(np.unique(collection.sequences[named].astype(str))),
        "sequences_in_two_parts": len(torn),
        "images_without_sequence": int((~named).sum()),
        "near_duplicate_groups_of_one_series_across_parts": across,
        "boxes": boxes,
    }


def frame(collection: frames.Frames, made: splits.Split) -> pd.DataFrame:
    """Return one row per image: id, source, sequence, place, size, boxes of each class, part and unit.

    The columns ``id`` and ``part`` are what ``split_file`` reads.
    """
    real = collection.boxes.kind != box.REGION
    counts = {
        f"n_{name}": np.bincount(
            collection.boxes.image[real & (collection.boxes.label == label)], minlength=len(collection)
        )
        for label, name in enumerate(collection.class_names)
    }
    return pd.DataFrame(
        {
            "id": collection.images.names,
            "source": np.array(collection.source_names, object)[collection.sources],
            "sequence": collection.sequences,
            "number": collection.numbers,
            "width": collection.images.sizes[:, 0],
            "height": collection.images.sizes[:, 1],
            **counts,
            "part": made.part,
            "unit": made.unit,
        }
    )


def describe(collection: frames.Frames) -> str:
    """Say in one line what was read.

    Returns:
        For example ``kitti: 30 images, 0 sequences (64 car, 5 truck, 12 person; 102 ignored)``.
    """
    real = collection.boxes.kind == box.OBJECT
    counts = np.bincount(collection.boxes.label[real], minlength=len(collection.class_names))
    objects = ", ".join(f"{count:,} {name}" for count, name in zip(counts, collection.class_names, strict=True))
    ignored = f"; {int((~real).sum()):,} ignored" if (~real).any() else ""
    sequences = len(set(collection.sequences.tolist()) - {""})
    aside = f"; {collection.quarantined:,} set aside" if collection.quarantined else ""
    kind = "SYNTHETIC images" if collection.synthetic else "images"
    said = f"{objects or 'without labels'}{ignored}"
    return f"{collection.name}: {len(collection):,} {kind}, {sequences:,} named sequences ({said}){aside}"


def content_hashes(collection: frames.Frames) -> NDArray[np.uint64]:
    """Return (n,) the hash of each image's content, as certificates use it."""
    return collection.images.content_hashes
