"""A folder per class, as Kermany et al. 2018 have it, with parts above the classes where there are any."""

import collections
import os
import pathlib
from collections.abc import Sequence

from apps.medical_imaging.readers import entries, kinds, labels, naming
from shared import errors
from shared.sources import folders

# What ``synthesis.write`` puts beside images that a generator drew.
SYNTHETIC = "synthetic.json"
_SHOWN = 3
_LONGEST_PATH = 4096


def read(folder: pathlib.Path, *, options: entries.Options) -> entries.Source:
    """Read all images below ``folder``; the class is the name of the folder below the part, or of the topmost one.

    Images in folders of masks, and images beside the folders of classes, belong to no class: they are counted.

    Raises:
        errors.InputError: There is no image.
    """
    listed = folders.listing(folder, follow_links=options.follow_links)
    paths = [path for path in listed.files if kinds.is_image(path)]
    others = sorted(set(listed.files) - set(paths))
    _refuse_written_links(others)
    if not paths:
        received = folders.unread(others) or "none"
        raise errors.InputError(f"{folder}: expected JPEG, PNG or DICOM files below this folder. Received: {received}")
    masks = naming.masks([path.relative_to(folder) for path in paths])
    kept = [path for path in paths if path.relative_to(folder) not in masks]
    found = _entries(kept, folder, options=options)
    loose = _loose(found) if options.labelled else []
    return entries.Source(
        name=folder.resolve().name,
        entries=[entry for entry in found if entry.label is not None] if loose else found,
        notes=(*listed.notes, *left_out(others), *_passed_over(masks, loose)),
        synthetic=(folder / SYNTHETIC).is_file(),
    )


def left_out(others: Sequence[pathlib.Path]) -> list[str]:
    """Say how many files of a folder are not read, and which of them could be."""
    tables = [path.name for path in others if path.suffix.lower() in kinds.TABLES]
    directories = sum(kinds.is_directory(path) for path in others if not path.suffix)
    unread = folders.unread([path for path in others if path.name != SYNTHETIC])
    said = [f"{unread} (only JPEG, PNG and DICOM are read)"] if unread else []
    if tables:
        said.append(f"a table is read where it is named itself: {_shown(tables)}")
    if directories:
        said.append(f"{directories} of these is a DICOMDIR: a list of files, no image")
    return said


def unlisted(images: Sequence[entries.Item], below: Sequence[pathlib.Path]) -> list[str]:
    """Say how many of the files below a folder are images that no row of a table names."""
    named = {os.path.realpath(item) for item in images if isinstance(item, pathlib.Path)}
    rest = [path for path in below if kinds.is_image(path) and os.path.realpath(path) not in named]
    if not rest:
        return []
    parents = collections.Counter(path.parent.name for path in rest)
    where = ", ".join(f"{folder} x{count:,}" for folder, count in parents.most_common(_SHOWN))
    return [f"{len(rest):,} images are in no row of a table and are not read: {where}"]


def _refuse_written_links(others: Sequence[pathlib.Path]) -> None:
    """Refuse a file that has the name of a part and holds a path: what a checkout without links makes of one.

    Raises:
        errors.InputError: There is one: the part that it stands for would be missing without a word.
    """
    for path in others:
        if entries.part_of(path.name) and path.stat().st_size < _LONGEST_PATH:
            target = path.read_bytes().decode("utf-8", "replace").strip()
            if target and "\n" not in target:
                raise errors.InputError(
                    f"{path}: expected the folder of a part, or a link to it. Received: a file that holds {target!r}"
                )


def _entries(paths: Sequence[pathlib.Path], folder: pathlib.Path, *, options: entries.Options) -> list[entries.Entry]:
    within = [path.relative_to(folder) for path in paths]
    places = [naming.place(path) for path in within]
    named = naming.classes(places) if options.labelled else [None] * len(places)
    found = []
    for number, (path, inner, place, label) in enumerate(zip(paths, within, places, named, strict=True), start=1):
        known = naming.identify(path, inner)
        found.append(
            entries.Entry(
                name=inner.as_posix(),
                item=path,
                file=str(path),
                row=number,
                label=label,
                patient=known.patient,
                part=place.part,
                attributes=known.attributes,
                problem=known.problem,
            )
        )
    return found


def _loose(found: Sequence[entries.Entry]) -> list[str]:
    """Return the names of images that lie beside the folders of classes; none where there are no classes."""
    loose = [entry.name for entry in found if entry.label is None]
    return loose if any(not labels.is_missing(entry.label) for entry in found) else []


def _passed_over(masks: set[pathlib.PurePath], loose: Sequence[str]) -> list[str]:
    said = []
    if masks:
        where = collections.Counter(path.parent.name or "names that end in _mask" for path in masks)
        said.append(f"{len(masks):,} images are left out as masks of others: {_shown(sorted(where))}")
    if loose:
        said.append(f"{len(loose):,} images lie in no folder of a class and are left out: {_shown(loose)}")
    return said


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
