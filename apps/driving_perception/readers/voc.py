"""Pascal VOC: one XML file for each image, beside it, in ``Annotations`` or in ``annotations``.

Corners are taken as they stand. In VOC itself they count from 1 and include the last pixel; most tools that write the
format count from 0. The difference is one pixel.
"""

import math
import pathlib
import xml.etree.ElementTree
from collections.abc import Mapping, Sequence

from apps.driving_perception import boxes as box
from apps.driving_perception.readers import entries, source_files
from shared import errors

_FOLDERS = ("Annotations", "annotations", "xmls", "labels", ".")
_PICTURES = ("JPEGImages", "images", "Images", ".")


def recognise(files: source_files.SourceFiles) -> bool:
    """Tell by XML files in one of the usual folders."""
    return _annotations(files) is not None


def read(files: source_files.SourceFiles) -> entries.Source:
    """Read a folder of images with their XML files; ``ImageSets/Main`` names official parts.

    Raises:
        errors.InputError: There is no XML file, or an image is in two lists of parts.
    """
    below = _annotations(files)
    if below is None:
        raise errors.InputError(f"{files.path}: expected XML files of Pascal VOC. Received: none")
    labels = {path.stem: [path] for path in files.direct(below, ".xml")}
    for path in _elsewhere(files, below):
        if path.stem in labels:
            labels[path.stem].append(path)
    held, pictures = _pictures(files)
    images = entries.by_stem(pictures)
    found = [_entry(paths, images, files) for paths in labels.values()]
    spoken = {entry.item for entry in found}
    bare = [path for path in pictures if path not in spoken]
    # A folder of VOC's own holds nothing but labelled images; beside XML files may lie anything.
    missing = [] if held == files.folder else bare
    found += [
        entries.Entry(files.below(path), path, str(path), problem=f"no {entries.stem(path)}.xml in {below.name}")
        for path in missing
    ]
    lists = source_files.lists(files.folder, files)
    notes: list[str] = []
    if lists:
        known = {entries.stem(entry.item): entry.item for entry in found if isinstance(entry.item, pathlib.Path)}
        parts = source_files.settle(
            source_files.by_list(lists, lambda line, _: known.get(line) or known.get(_stem(line)), folder=files.folder),
            where=f"{files.folder}, {source_files.called(lists)}",
        )
        notes += [
            source_files.counted(parts, where=source_files.called(lists)),
            source_files.left_out(known.values(), parts, where=source_files.called(lists)),
        ]
        found = [
            *(entry._replace(part=parts.of[entry.item]) for entry in found if entry.item in parts.of),
            *parts.strays,
        ]
    names = sorted({thing.name for entry in found for thing in entry.things})
    return entries.Source(
        name=files.folder.resolve().name,
        entries=found,
        vocabulary=names,
        notes=[note for note in notes if note],
        told=frozenset((*lists, *(pictures if lists else ()), *(path for paths in labels.values() for path in paths))),
    )


def _annotations(files: source_files.SourceFiles) -> pathlib.Path | None:
    return next((files.folder / name for name in _FOLDERS if files.direct(files.folder / name, ".xml")), None)


def _elsewhere(files: source_files.SourceFiles, below: pathlib.Path) -> list[pathlib.Path]:
    """Return the XML files of the other usual folders: a second one for an image contradicts the first."""
    others = dict.fromkeys(files.folder / name for name in _FOLDERS)
    return [path for other in others if other != below for path in files.direct(other, ".xml")]


def _pictures(files: source_files.SourceFiles) -> tuple[pathlib.Path, list[pathlib.Path]]:
    """Return the folder of the images and the images that lie in it."""
    for name in _PICTURES:
        folder = files.folder / name
        found = [path for path in files.pictures(folder) if path.parent == folder]
        if found:
            return folder, found
    return files.folder, []


def _stem(line: str) -> str:
    return entries.stem(pathlib.PurePath(line))


def _entry(
    paths: Sequence[pathlib.Path], pictures: Mapping[str, list[pathlib.Path]], files: source_files.SourceFiles
) -> entries.Entry:
    path = paths[0]
    try:
        root = xml.etree.ElementTree.fromstring(path.read_bytes())
        problem = ""
    # An encoding that Python does not know is a LookupError.
    except (xml.etree.ElementTree.ParseError, LookupError, OSError, ValueError) as error:
        root, problem = xml.etree.ElementTree.Element("annotation"), f"broken XML: {error}"
    named = (root.findtext("filename") or "").strip()
    images = pictures.get(path.stem) or pictures.get(_stem(pathlib.PurePath(named).name), [])
    if not images:
        return entries.Entry(path.name, path, str(path), problem=problem or "no image of this name")
    image, name = images[0], files.below(images[0])
    problem = entries.twice(images, "images of one name") or entries.twice(paths, "XML files for one image") or problem
    if problem:
        return entries.Entry(name, image, str(path), problem=problem)
    things = tuple(_thing(each, number) for number, each in enumerate(root.iter("object"), start=1))
    sides = [entries.number(root.findtext(f"size/{side}") or "") for side in ("width", "height")]
    known = all(1 <= side < math.inf for side in sides)
    return entries.Entry(name, image, str(path), things, size=(int(sides[0]), int(sides[1])) if known else None)


def _thing(element: xml.etree.ElementTree.Element, number: int) -> entries.LabelledBox:
    name = (element.findtext("name") or "").strip()
    texts = [element.findtext(f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")]
    corners = [entries.number(text or "") for text in texts]
    problem = "" if name else "no name"
    if any(map(math.isnan, corners)):
        problem = f"a corner is no number: {', '.join(str(text) for text in texts)}"
    occluded = (element.findtext("occluded") or "").strip()
    difficult, unclear = entries.flag(element.findtext("difficult"), "difficult")
    return entries.LabelledBox(
        name,
        (corners[0], corners[1], corners[2], corners[3]),
        number,
        kind=box.NEIGHBOUR if difficult else box.OBJECT,
        occlusion={"0": 0, "1": 1, "2": 2}.get(occluded, box.UNKNOWN),
        truncation=0.0 if (element.findtext("truncated") or "").strip() == "0" and occluded else math.nan,
        problem=problem or unclear,
    )
