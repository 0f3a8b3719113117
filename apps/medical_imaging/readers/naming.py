"""What the path of an image, or its DICOM header, says of it: part, classes, patient, attributes."""

import pathlib
import re
from collections.abc import Sequence
from typing import NamedTuple

from apps.medical_imaging.readers import entries, kinds
from shared import errors

# Kermany, Zhang & Goldbaum 2018: person12_bacteria_34.jpeg, IM-0115-0001.jpeg, NORMAL2-IM-1018-0001.jpeg.
_KERMANY = re.compile(
    r"(?P<patient>person\d+)_(?P<subtype>bacteria|virus)_\d+(_\d+)?|(?P<normal>(NORMAL2-)?IM-\d+)-\d+(-\d+)?"
)
# Folders of one patient (CheXpert: patient00001, BIDS: sub-01, MIMIC: p10000032) and of his studies are no classes.
_PERSON = re.compile(r"(patient|subject|sub)[ _-]?\d+|p\d{8}", re.IGNORECASE)
_STUDY = re.compile(r"(study|series)[ _-]?\d+|s\d{8}", re.IGNORECASE)
# Folders that say what their files are, not what these show.
_PLAIN = frozenset(("images", "image", "imgs", "img", "pictures", "jpg", "jpeg", "png", "dicom", "dcm"))
MASKS = frozenset(
    ("mask", "masks", "lung mask", "lung masks", "annotation", "annotations", "segmentation", "segmentations")
)
# Of the images below a folder, those that lie beside its class folders are fewer than one in so many.
_LOOSE = 10


class Identity(NamedTuple):
    """Patient, attributes, and what is wrong with a file, as far as its name or its header tells."""

    patient: str
    attributes: dict[str, object]
    problem: str = ""


class Place(NamedTuple):
    """What the folders above an image say: its part, the names above and below that part, and the patient."""

    part: str
    above: tuple[str, ...]
    below: tuple[str, ...]
    patient: str


def place(path: pathlib.PurePath) -> Place:
    """Read the folders of a path within its source.

    >>> place(pathlib.PurePath("set/train/NORMAL/patient7/1.png"))
    Place(part='train', above=('set',), below=('NORMAL',), patient='patient7')
    """
    folders = path.parts[:-1]
    part = next((number for number, name in enumerate(folders) if entries.part_of(name)), None)
    cut = len(folders) if part is None else part
    return Place(
        part="" if part is None else entries.part_of(folders[cut]),
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


def masks(paths: Sequence[pathlib.PurePath]) -> set[pathlib.PurePath]:
    """Return those of the images that are masks of others: by their folder, or by a name that ends in ``_mask``."""
    stems = {path.stem for path in paths}
    found = {path for path in paths if any(_key(name) in MASKS for name in path.parts[:-1]) or _is_mask(path, stems)}
    return found if len(found) < len(paths) else set()


def identify(path: pathlib.Path, within: pathlib.PurePath | None = None) -> Identity:
    """Return what a file's name, its folders within its source, or its DICOM header, gives.

    >>> identify(pathlib.Path("person12_virus_7.jpeg"))
    Identity(patient='person12', attributes={'subtype': 'virus'}, problem='')
    """
    folder = place(within).patient if within is not None else ""
    if kinds.is_dicom_file(path):
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
    known: dict[str, object] = {name: header[name] for name in entries.ATTRIBUTES if header.get(name) is not None}
    return Identity(str(header.get("patient") or ""), known)


def _classes(folders: Sequence[str]) -> tuple[str, ...]:
    return tuple(
        name
        for name in folders
        if not (_PERSON.fullmatch(name) or _STUDY.fullmatch(name) or entries.part_of(name) or _key(name) in _PLAIN)
    )


def _is_mask(path: pathlib.PurePath, stems: set[str]) -> bool:
    bare = re.sub(r"[_-](mask|seg)$", "", path.stem, flags=re.IGNORECASE)
    return bare != path.stem and bare in stems


def _key(name: str) -> str:
    return name.replace("_", " ").replace("-", " ").casefold()
