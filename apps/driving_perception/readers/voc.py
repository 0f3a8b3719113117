"""Pascal VOC: one XML file for each image, beside it, in ``Annotations`` or in ``annotations``.

Corners are taken as they stand. In VOC itself they count from 1 and include the last pixel; most tools that write the
format count from 0. The difference is one pixel.
"""

import math
import pathlib
import xml.etree.ElementTree
from collections.abc import Sequence

from apps.driving_perception import boxes as box
from apps.driving_perception.readers import entries
from shared import errors

_FOLDERS = ("Annotations", "annotations", "xmls", "labels", ".")
_PICTURES = ("JPEGImages", "images", "Images", ".")


def recognise(folder: pathlib.Path) -> bool:
    """Tell by XML files in one of the usual folders."""
    return _annotations(folder) is not None


def read(folder: pathlib.Path) -> entries.Source:
    """Read a folder of images with their XML files.

    Raises:
        errors.InputError: There is no XML file.
    """
    below = _annotations(folder)
    if below is None:
        raise errors.InputError(f"{folder}: expected XML files of Pascal VOC. Received: none")
    files = {path.stem: [path] for path in sorted(below.glob("*.xml"))}
    for path in _elsewhere(folder, below):
        if path.stem in files:
            files[path.stem].append(path)
    images = entries.by_stem(_pictures(folder))
    found = [_entry(paths, images.get(stem, []), folder) for stem, paths in files.items()]
    found += [
        entries.Entry(path.relative_to(folder).as_posix(), path, str(path), problem=f"no {stem}.xml in {below.name}")
        for stem, paths in images.items()
        for path in paths
        if stem not in files
    ]
    names = sorted({thing.name for entry in found for thing in entry.things})
    return entries.Source(name=folder.resolve().name, entries=found, vocabulary=names)


def _annotations(folder: pathlib.Path) -> pathlib.Path | None:
    return next((folder / name for name in _FOLDERS if any((folder / name).glob("*.xml"))), None)


def _elsewhere(folder: pathlib.Path, below: pathlib.Path) -> list[pathlib.Path]:
    """Return the XML files of the other usual folders: a second one for an image contradicts the first."""
    others = {(folder / name).resolve() for name in _FOLDERS} - {below.resolve()}
    return [path for other in sorted(others) for path in sorted(other.glob("*.xml"))]


def _pictures(folder: pathlib.Path) -> list[pathlib.Path]:
    for name in _PICTURES:
        found = sorted(path for path in (folder / name).glob("*") if path.suffix.lower() in entries.SUFFIXES)
        if found:
            return found
    return []


def _entry(paths: Sequence[pathlib.Path], images: Sequence[pathlib.Path], folder: pathlib.Path) -> entries.Entry:
    path = paths[0]
    if not images:
        return entries.Entry(path.name, path, str(path), problem="no image of this name")
    image, name = images[0], images[0].relative_to(folder).as_posix()
    problem = entries.twice(images, "images of one name") or entries.twice(paths, "XML files for one image")
    if problem:
        return entries.Entry(name, image, str(path), problem=problem)
    try:
        root = xml.etree.ElementTree.fromstring(path.read_bytes())
    # An encoding that Python does not know is a LookupError.
    except (xml.etree.ElementTree.ParseError, LookupError, OSError, ValueError) as error:
        return entries.Entry(name, image, str(path), problem=f"broken XML: {error}")
    things = tuple(_thing(each, number) for number, each in enumerate(root.iter("object"), start=1))
    sides = [entries.number(root.findtext(f"size/{side}") or "") for side in ("width", "height")]
    known = all(1 <= side < math.inf for side in sides)
    return entries.Entry(name, image, str(path), things, size=(int(sides[0]), int(sides[1])) if known else None)


def _thing(element: xml.etree.ElementTree.Element, number: int) -> entries.Thing:
    name = (element.findtext("name") or "").strip()
    texts = [element.findtext(f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")]
    corners = [entries.number(text or "") for text in texts]
    problem = "" if name else "no name"
    if any(map(math.isnan, corners)):
        problem = f"a corner is no number: {', '.join(str(text) for text in texts)}"
    occluded = (element.findtext("occluded") or "").strip()
    return entries.Thing(
        name,
        (corners[0], corners[1], corners[2], corners[3]),
        number,
        kind=box.NEIGHBOUR if (element.findtext("difficult") or "").strip() == "1" else box.OBJECT,
        occlusion={"0": 0, "1": 1, "2": 2}.get(occluded, box.UNKNOWN),
        truncation=0.0 if (element.findtext("truncated") or "").strip() == "0" and occluded else math.nan,
        problem=problem,
    )
