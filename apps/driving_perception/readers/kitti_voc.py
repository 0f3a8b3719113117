"""KITTI and Pascal VOC: a label file for each image, and lists that may name official parts.

KITTI: ``image_2/*.png`` and ``label_2/*.txt`` with 15 columns (16 with a score). Geiger et al. 2012; columns as in the
devkit's readme: type, truncated 0..1, occluded 0..3 (3 unknown), alpha, the box in pixels, height, width, length, and
the place x, y, z in metres; -1 and -1000 mark what is not given.

Pascal VOC: an XML file beside each image, in ``Annotations`` or in ``annotations``. Corners are taken as they stand. In
VOC itself they count from 1 and include the last pixel; most tools that write the format count from 0, one pixel off.
"""

import math
import pathlib
import xml.etree.ElementTree
from collections.abc import Callable, Mapping, Sequence

from apps.driving_perception import boxes as box
from apps.driving_perception.readers import entries, source_files
from shared import errors

# What KITTI's annotators labelled in every image.
KITTI_VOCABULARY = ("Car", "Van", "Truck", "Pedestrian", "Person_sitting", "Cyclist", "Tram", "Misc", "DontCare")
_KITTI_COLUMNS = (15, 16)
_UNGIVEN = -999.0
_VOC_FOLDERS = ("Annotations", "annotations", "xmls", "labels", ".")
_VOC_PICTURES = ("JPEGImages", "images", "Images", ".")


def recognise_kitti(files: source_files.SourceFiles) -> bool:
    """Tell by the two folders."""
    return bool(_kitti_roots(files))


def read_kitti(files: source_files.SourceFiles) -> entries.Source:
    """Read a folder that holds ``image_2`` and ``label_2``, or ``training``, and ``testing`` where it has labels.

    Raises:
        errors.InputError: It does not, or an image is in two lists of parts.
    """
    roots = _kitti_roots(files)
    if not roots:
        raise errors.InputError(f"{files.path}: expected the folders image_2 and label_2 of KITTI. Received: neither")
    found = [entry for root in roots for entry in _kitti_entries(root, files)]
    lists = source_files.lists(files.folder, files) or source_files.lists(roots[0], files)
    found, notes = _by_lists(found, lists, files, stem_of=lambda line: pathlib.PurePath(line).name)
    others = {thing.name for entry in found for thing in entry.things} - set(KITTI_VOCABULARY)
    return entries.Source(
        name=files.folder.resolve().name,
        entries=found,
        vocabulary=(*KITTI_VOCABULARY, *sorted(others)),
        notes=notes,
        told=frozenset((*lists, *(files.pictures() if lists else ()))),
    )


def _kitti_roots(files: source_files.SourceFiles) -> list[pathlib.Path]:
    both = {path.relative_to(files.folder).parts[:-1] for path in files.files}
    folders = {parts[:i] for parts in both for i in range(1, len(parts) + 1)}
    for names in ((), ("training",)):
        if {(*names, "image_2"), (*names, "label_2")} <= folders:
            tested = {("testing", "image_2"), ("testing", "label_2")} <= folders and names
            roots = [names, ("testing",)] if tested else [names]
            return [files.folder.joinpath(*root) for root in roots]
    return []


def _kitti_entries(root: pathlib.Path, files: source_files.SourceFiles) -> list[entries.Entry]:
    images = entries.by_stem(files.pictures(root / "image_2"))
    labels = {path.stem: path for path in files.direct(root / "label_2", ".txt")}
    part = source_files.part_of_folders(root / "x", inside=files.folder)
    found = []
    for stem, paths in images.items():
        label, path = labels.get(stem), paths[0]
        problem = entries.twice(paths, "images of one name") or ("" if label else f"no label_2/{stem}.txt")
        things = () if problem or label is None else tuple(_kitti_things(label))
        name = f"{root.name}/{path.name}" if part == "test" else path.name
        found.append(entries.Entry(name, path, str(label or path), things, part=part, problem=problem))
    return found + [
        entries.Entry(f"{stem}.png", path, str(path), problem=f"no image image_2/{stem}.png or .jpeg")
        for stem, path in labels.items()
        if stem not in images
    ]


def _kitti_things(path: pathlib.Path) -> list[entries.LabelledBox]:
    lines = path.read_text("utf-8", errors="replace").splitlines()
    return [_kitti_thing(line.split(), number) for number, line in enumerate(lines, start=1) if line.strip()]


def _kitti_thing(fields: list[str], number: int) -> entries.LabelledBox:
    if len(fields) not in _KITTI_COLUMNS:
        return entries.LabelledBox(
            fields[0],
            (math.nan,) * 4,
            number,
            problem=f"{len(fields)} columns, not 15 or 16",
        )
    values = [entries.number(field) for field in fields[1:]]
    if any(map(math.isnan, values)):
        wrong = next(field for field, value in zip(fields[1:], values, strict=True) if math.isnan(value))
        return entries.LabelledBox(fields[0], (math.nan,) * 4, number, problem=f"{wrong!r} is no number")
    truncated, depth = values[0], values[12]
    left, top, right, bottom = values[3:7]
    said, problem = entries.extras({"occlusion": fields[2], "distance": fields[13] if depth > _UNGIVEN else None})
    return entries.LabelledBox(
        fields[0],
        (left, top, right, bottom),
        number,
        # Above 1 are the levels of KITTI's tracking labels, which are no shares.
        truncation=truncated if 0 <= truncated <= 1 else math.nan,
        problem=problem,
        **said,
    )


def recognise_voc(files: source_files.SourceFiles) -> bool:
    """Tell by XML files in one of the usual folders."""
    return _voc_annotations(files) is not None


def read_voc(files: source_files.SourceFiles) -> entries.Source:
    """Read a folder of images with their XML files; ``ImageSets/Main`` names official parts.

    Raises:
        errors.InputError: There is no XML file, or an image is in two lists of parts.
    """
    below = _voc_annotations(files)
    if below is None:
        raise errors.InputError(f"{files.path}: expected XML files of Pascal VOC. Received: none")
    labels = {path.stem: [path] for path in files.direct(below, ".xml")}
    for path in _elsewhere(files, below):
        if path.stem in labels:
            labels[path.stem].append(path)
    held, pictures = _voc_pictures(files)
    images = entries.by_stem(pictures)
    found = [_voc_entry(paths, images, files) for paths in labels.values()]
    spoken = {entry.item for entry in found}
    bare = [path for path in pictures if path not in spoken]
    # A folder of VOC's own holds nothing but labelled images; beside XML files may lie anything.
    missing = [] if held == files.folder else bare
    found += [
        entries.Entry(files.below(path), path, str(path), problem=f"no {entries.stem(path)}.xml in {below.name}")
        for path in missing
    ]
    lists = source_files.lists(files.folder, files)
    found, notes = _by_lists(found, lists, files, stem_of=_stem)
    names = sorted({thing.name for entry in found for thing in entry.things})
    return entries.Source(
        name=files.folder.resolve().name,
        entries=found,
        vocabulary=names,
        notes=notes,
        told=frozenset((*lists, *(pictures if lists else ()), *(path for paths in labels.values() for path in paths))),
    )


def _voc_annotations(files: source_files.SourceFiles) -> pathlib.Path | None:
    return next((files.folder / name for name in _VOC_FOLDERS if files.direct(files.folder / name, ".xml")), None)


def _elsewhere(files: source_files.SourceFiles, below: pathlib.Path) -> list[pathlib.Path]:
    """Return the XML files of the other usual folders: a second one for an image contradicts the first."""
    others = dict.fromkeys(files.folder / name for name in _VOC_FOLDERS)
    return [path for other in others if other != below for path in files.direct(other, ".xml")]


def _voc_pictures(files: source_files.SourceFiles) -> tuple[pathlib.Path, list[pathlib.Path]]:
    """Return the folder of the images and the images that lie in it."""
    for name in _VOC_PICTURES:
        folder = files.folder / name
        found = [path for path in files.pictures(folder) if path.parent == folder]
        if found:
            return folder, found
    return files.folder, []


def _stem(line: str) -> str:
    return entries.stem(pathlib.PurePath(line))


def _voc_entry(
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
    things = tuple(_voc_thing(each, number) for number, each in enumerate(root.iter("object"), start=1))
    sides = [entries.number(root.findtext(f"size/{side}") or "") for side in ("width", "height")]
    known = all(1 <= side < math.inf for side in sides)
    return entries.Entry(name, image, str(path), things, size=(int(sides[0]), int(sides[1])) if known else None)


def _voc_thing(element: xml.etree.ElementTree.Element, number: int) -> entries.LabelledBox:
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


def _by_lists(
    found: list[entries.Entry],
    lists: Sequence[pathlib.Path],
    files: source_files.SourceFiles,
    *,
    stem_of: Callable[[str], str],
) -> tuple[list[entries.Entry], list[str]]:
    """Return the images that lists of official parts name, each with its part, and notes; all where there is no list.

    ``stem_of`` returns the stem of the image that a line names, where the line is not the stem itself.
    """
    if not lists:
        return found, []
    known = {entries.stem(entry.item): entry.item for entry in found if isinstance(entry.item, pathlib.Path)}
    called = source_files.called(lists)
    parts = source_files.settle(
        source_files.by_list(lists, lambda line, _: known.get(line) or known.get(stem_of(line)), folder=files.folder),
        where=f"{files.folder}, {called}",
    )
    notes = [source_files.counted(parts, where=called), source_files.left_out(known.values(), parts, where=called)]
    named = [entry._replace(part=parts.of[entry.item]) for entry in found if entry.item in parts.of]
    return [*named, *parts.strays], [note for note in notes if note]
