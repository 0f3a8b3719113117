"""A folder per class, as Kermany et al. 2018 have it, with parts above the classes where there are any."""

import collections
import os
import pathlib
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from apps.medical_imaging.readers import entries, images
from shared import errors

SUFFIXES = (".jpg", ".jpeg", ".png", ".dcm", ".dicom")
# Pictures that are not read; their number is noted.
_OTHERS = (".bmp", ".gif", ".jp2", ".nii", ".tif", ".tiff", ".webp")
# What ``synthesis.write`` puts beside images that a generator drew.
SYNTHETIC = "synthetic.json"
# Kermany, Zhang & Goldbaum 2018: person12_bacteria_34.jpeg, IM-0115-0001.jpeg, NORMAL2-IM-1018-0001.jpeg.
_KERMANY = re.compile(
    r"(?P<patient>person\d+)_(?P<subtype>bacteria|virus)_\d+(_\d+)?|(?P<normal>(NORMAL2-)?IM-\d+)-\d+(-\d+)?"
)


class Identity(NamedTuple):
    """Patient, attributes, and what is wrong with a file, as far as its name or its header tells."""

    patient: str
    attributes: dict[str, object]
    problem: str = ""


def read(folder: pathlib.Path, *, options: entries.Options) -> entries.Source:
    """Read all images below ``folder``; the class is the name of the folder below the part, or of the topmost one.

    Raises:
        errors.InputError: There is no image.
    """
    everything = sorted(_visible(folder))
    paths = [path for path in everything if path.suffix.lower() in SUFFIXES or _bare_dicom(path)]
    others = _others(everything)
    if not paths:
        received = others or "none"
        raise errors.InputError(f"{folder}: expected JPEG, PNG or DICOM files below this folder. Received: {received}")
    shared = _common(folder, paths)
    found = [
        read_entry(path, folder, skip=shared, number=number, labelled=options.labelled)
        for number, path in enumerate(paths, start=1)
    ]
    return entries.Source(
        name=folder.resolve().name,
        entries=found,
        notes=(f"passed over: {others} files; only JPEG, PNG and DICOM are read",) if others else (),
        synthetic=(folder / SYNTHETIC).is_file(),
    )


def read_entry(path: pathlib.Path, folder: pathlib.Path, *, skip: int, number: int, labelled: bool) -> entries.Entry:
    """Read what the path of an image says; of DICOM, what its header says too."""
    place = path.relative_to(folder)
    parts = [entries.part_of(name) for name in place.parts[:-1]]
    part = next((part for part in parts if part), "")
    after = parts.index(part) + 1 if part else skip
    names = [name for name in place.parts[after:-1] if not entries.part_of(name)]
    known = identify(path)
    return entries.Entry(
        name=place.as_posix(),
        item=path,
        file=str(path),
        row=number,
        label=names[0] if names and labelled else None,
        patient=known.patient,
        part=part,
        attributes=known.attributes,
        problem=known.problem,
    )


def identify(path: pathlib.Path) -> Identity:
    """Return what a file's name, or its DICOM header, gives.

    >>> identify(pathlib.Path("person12_virus_7.jpeg"))
    Identity(patient='person12', attributes={'subtype': 'virus'}, problem='')
    """
    if is_dicom(path):
        return _identify_dicom(path)
    match = _KERMANY.fullmatch(path.stem)
    if match is None:
        return Identity("", {})
    subtype = match["subtype"]
    return Identity(match["patient"] or match["normal"], {"subtype": subtype} if subtype else {})


def is_dicom(path: pathlib.Path) -> bool:
    """Tell DICOM by its name, or by its content where the name says nothing."""
    return path.suffix.lower() in (".dcm", ".dicom") or (not path.suffix and _bare_dicom(path))


def _identify_dicom(path: pathlib.Path) -> Identity:
    from apps.medical_imaging.readers import dicom

    try:
        header = dicom.describe(path)
    except errors.InputError as error:
        return Identity("", {}, str(error))
    known: dict[str, object] = {name: header[name] for name in entries.ATTRIBUTES if header.get(name) is not None}
    return Identity(str(header.get("patient") or ""), known)


def _bare_dicom(path: pathlib.Path) -> bool:
    """Tell a DICOM file without a suffix."""
    if path.suffix or not path.is_file():
        return False
    with path.open("rb") as stream:
        return images.is_dicom(stream.read(132))


def _common(folder: pathlib.Path, paths: list[pathlib.Path]) -> int:
    """Return how many folders above the classes all images share."""
    above = [path.relative_to(folder).parts[:-1] for path in paths]
    depth = min(len(names) for names in above)
    shared = [len({names[level] for names in above}) == 1 for level in range(depth)]
    return min([*shared, False].index(False), max(depth - 1, 0))


def _visible(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yield the files below a folder but hidden ones."""
    for top, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        yield from (pathlib.Path(top, name) for name in names if not name.startswith("."))


def _others(paths: Iterable[pathlib.Path]) -> str:
    """Count the pictures of kinds that are not read: ``3 .bmp, 1 .tif``."""
    counts = collections.Counter(path.suffix.lower() for path in paths)
    return ", ".join(f"{counts[suffix]:,} {suffix}" for suffix in _OTHERS if counts[suffix])
