"""A folder per class, as Kermany et al. 2018 have it, and what is known of an image from its path or DICOM header.

A path names the official part, above or below the classes, the class, the patient and attributes.
"""

import collections
import os
import pathlib
import re
from collections.abc import Sequence
from typing import NamedTuple

from apps.medical_imaging import readers
from apps.medical_imaging.readers import file_types
from shared import errors, files
from shared.sources import folders

# Kermany, Zhang & Goldbaum 2018: person12_bacteria_34.jpeg, IM-0115-0001.jpeg, NORMAL2-IM-1018-0001.jpeg.
_KERMANY = re.compile(
    r"(?P<patient>person\d+)_(?P<subtype>bacteria|virus)_\d+(_\d+)?|(?P<normal>(NORMAL2-)?IM-\d+)-\d+(-\d+)?"
)
# Folders of one patient (CheXpert: patient00001, BIDS: sub-01, MIMIC: p10000032) and of his studies are no classes.
_PERSON = re.compile(r"(patient|subject|sub)[ _-]?\d+|p\d{8}", re.IGNORECASE)
_STUDY = re.compile(r"(study|series)[ _-]?\d+|s\d{8}", re.IGNORECASE)
# Folders named by what their files are, not by what these show.
_PLAIN = frozenset(("images", "image", "imgs", "img", "pictures", "jpg", "jpeg", "png", "dicom", "dcm"))
MASKS = frozenset(
    ("mask", "masks", "lung mask", "lung masks", "annotation", "annotations", "segmentation", "segmentations")
)
# Of the images below a folder, those that lie beside its class folders are fewer than one in so many.
_LOOSE = 10


# What ``synthesis.synthesiser.write_images`` puts beside images that a generator drew.
SYNTHETIC = "synthetic.json"
_SHOWN = 3
_LONGEST_PATH = 4096


class Identity(NamedTuple):
    """Patient, attributes, and what is wrong with a file, as far as its name or its header tells."""

    patient: str
    attributes: dict[str, object]
    problem: str = ""


class Place(NamedTuple):
    """What the folders above an image name: its part, the names above and below that part, and the patient."""

    part: str
    above: tuple[str, ...]
    below: tuple[str, ...]
    patient: str


def read_place(path: pathlib.PurePath) -> Place:
    """Read the folders of a path within its source.

    >>> read_place(pathlib.PurePath("set/train/NORMAL/patient7/1.png"))
    Place(part='train', above=('set',), below=('NORMAL',), patient='patient7')
    """
    folders = path.parts[:-1]
    part = next((number for number, name in enumerate(folders) if readers.part_of(name)), None)
    cut = len(folders) if part is None else part
    return Place(
        part="" if part is None else readers.part_of(folders[cut]),
        above=_classes(folders[:cut]),
        below=_classes(folders[cut + 1 :]),
        patient=next((name for name in folders if _PERSON.fullmatch(name)), ""),
    )


def classes(places: Sequence[Place]) -> list[str | None]:
    """Return the class that each place names, None where it names none.

    That is the folder below the part; without parts the topmost one in which the images differ. Classes may also
    stand above the parts.
    """
    parted = any(found.part and found.below for found in places)
    names = [found.below if found.part and parted else found.above for found in places]
    free = [name for name, found in zip(names, places, strict=True) if not (found.part and parted)]
    level = class_level(free)
    levels = [0 if found.part and parted else level for found in places]
    return [name[at] if len(name) > at else None for name, at in zip(names, levels, strict=True)]


def class_level(names: Sequence[Sequence[str]]) -> int:
    """Return how many folders stand above the classes: those that all images share.

    A few images that lie higher do not settle it: results.jpg, or a file that is broken.

    >>> class_level([("set", "ill"), ("set", "well"), ("set", "ill", "more")])
    1
    """
    deep = [folders for folders in names if folders]
    for level in range(max(map(len, deep), default=0)):
        here = [folders[level] for folders in deep if len(folders) > level]
        if (len(deep) - len(here)) * _LOOSE > len(deep):
            return max(level - 1, 0)
        if len(set(here)) > 1:
            return level
    return max(max(map(len, deep), default=1) - 1, 0)


def find_masks(paths: Sequence[pathlib.PurePath]) -> set[pathlib.PurePath]:
    """Return those of the images that are masks of others: by their folder, or by a name that ends in ``_mask``."""
    stems = {path.stem for path in paths}
    found = {path for path in paths if any(_key(name) in MASKS for name in path.parts[:-1]) or _is_mask(path, stems)}
    return found if len(found) < len(paths) else set()


def identify(path: pathlib.Path, within: pathlib.PurePath | None = None) -> Identity:
    """Return what a file's name, its folders within its source, or its DICOM header, gives.

    >>> identify(pathlib.Path("person12_virus_7.jpeg"))
    Identity(patient='person12', attributes={'subtype': 'virus'}, problem='')
    """
    folder = read_place(within).patient if within is not None else ""
    if file_types.is_dicom_file(path):
        known = _identify_dicom(path)
        return known._replace(patient=known.patient or folder)
    match = _KERMANY.fullmatch(path.stem)
    if match is None:
        return Identity(folder, {})
    subtype = match["subtype"]
    return Identity(match["patient"] or match["normal"], {"subtype": subtype} if subtype else {})


def _identify_dicom(path: pathlib.Path) -> Identity:
    # Imported only where there is DICOM: every other start is faster without pydicom.
    from apps.medical_imaging.readers import dicom

    try:
        header = dicom.describe(path)
    except errors.InputError as error:
        return Identity("", {}, str(error))
    known: dict[str, object] = {name: header[name] for name in readers.ATTRIBUTES if header.get(name) is not None}
    return Identity(str(header.get("patient") or ""), known)


def _classes(folders: Sequence[str]) -> tuple[str, ...]:
    return tuple(
        name
        for name in folders
        if not (_PERSON.fullmatch(name) or _STUDY.fullmatch(name) or readers.part_of(name) or _key(name) in _PLAIN)
    )


def _is_mask(path: pathlib.PurePath, stems: set[str]) -> bool:
    bare = re.sub(r"[_-](mask|seg)$", "", path.stem, flags=re.IGNORECASE)
    return bare != path.stem and bare in stems


def _key(name: str) -> str:
    return name.replace("_", " ").replace("-", " ").casefold()


def read(folder: pathlib.Path, *, options: readers.Options) -> readers.Source:
    """Read all images below ``folder``; the class is the name of the folder below the part, or of the topmost one.

    Images in folders of masks, and images beside the folders of classes, belong to no class: they are counted.

    Raises:
        errors.InputError: There is no image.
    """
    listed = folders.listing(folder, follow_links=options.follow_links)
    paths = [path for path in listed.files if file_types.is_image(path)]
    others = sorted(set(listed.files) - set(paths))
    _refuse_written_links(others)
    if not paths:
        received = folders.unread(others) or "none"
        raise errors.InputError(f"{folder}: expected JPEG, PNG or DICOM files below this folder. Received: {received}")
    masks = find_masks([path.relative_to(folder) for path in paths])
    kept = [path for path in paths if path.relative_to(folder) not in masks]
    found = _entries(kept, folder, options=options)
    loose = _loose(found) if options.labelled else []
    return readers.Source(
        name=folder.resolve().name,
        entries=[entry for entry in found if entry.label is not None] if loose else found,
        notes=(*listed.notes, *left_out(others), *_passed_over(masks, loose)),
        synthetic=(folder / SYNTHETIC).is_file(),
    )


def not_read(
    below: Sequence[pathlib.Path], images: Sequence[readers.Item], *, tables: Sequence[pathlib.Path]
) -> list[str]:
    """Say which files below a folder are neither ``tables`` that were read nor images that these name."""
    others = [path for path in below if path not in tables and not file_types.is_image(path)]
    return [*unlisted(images, below), *left_out(others)]


def left_out(others: Sequence[pathlib.Path]) -> list[str]:
    """Say how many files of a folder are not read, and which of them could be."""
    tables = [path.name for path in others if path.suffix.lower() in file_types.TABLES]
    directories = sum(file_types.is_directory(path) for path in others if not path.suffix)
    unread = folders.unread([path for path in others if path.name != SYNTHETIC])
    notes = [f"{unread} (only JPEG, PNG and DICOM are read)"] if unread else []
    if tables:
        notes.append(f"a table is read where it is named itself: {_shown(tables)}")
    if directories:
        notes.append(f"{directories} of these is a DICOMDIR: a list of files, no image")
    return notes


def unlisted(images: Sequence[readers.Item], below: Sequence[pathlib.Path]) -> list[str]:
    """Say how many of the files below a folder are images that no row of a table names."""
    named = {os.path.realpath(item) for item in images if isinstance(item, pathlib.Path)}
    rest = [path for path in below if file_types.is_image(path) and os.path.realpath(path) not in named]
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
        if readers.part_of(path.name) and path.stat().st_size < _LONGEST_PATH:
            target = path.read_bytes().decode("utf-8", "replace").strip()
            if target and "\n" not in target:
                raise errors.InputError(
                    f"{path}: expected the folder of a part, or a link to it. Received: a file that holds {target!r}"
                )


def _entries(paths: Sequence[pathlib.Path], folder: pathlib.Path, *, options: readers.Options) -> list[readers.Entry]:
    within = [path.relative_to(folder) for path in paths]
    places = [read_place(path) for path in within]
    named = classes(places) if options.labelled else [None] * len(places)
    found = []
    for number, (path, inner, place, label) in enumerate(zip(paths, within, places, named, strict=True), start=1):
        known = identify(path, inner)
        found.append(
            readers.Entry(
                name=files.printable(inner.as_posix()),
                item=path,
                file=files.printable(path),
                row=number,
                label=label,
                patient=known.patient,
                part=place.part,
                attributes=known.attributes,
                problem=known.problem,
            )
        )
    return found


def _loose(found: Sequence[readers.Entry]) -> list[str]:
    """Return the names of images that lie beside the folders of classes; none where there are no classes."""
    loose = [entry.name for entry in found if entry.label is None]
    return loose if any(not readers.is_missing_label(entry.label) for entry in found) else []


def _passed_over(masks: set[pathlib.PurePath], loose: Sequence[str]) -> list[str]:
    notes = []
    if masks:
        where = collections.Counter(path.parent.name or "names that end in _mask" for path in masks)
        notes.append(f"{len(masks):,} images are left out as masks of others: {_shown(sorted(where))}")
    if loose:
        notes.append(f"{len(loose):,} images lie in no folder of a class and are left out: {_shown(loose)}")
    return notes


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
