"""KITTI's object detection: ``image_2/*.png`` and ``label_2/*.txt`` with 15 columns (16 with a score).

Geiger et al. 2012; columns as in the devkit's readme: type, truncated 0..1, occluded 0..3 (3 unknown), alpha, the box
in pixels, height, width, length, and the place x, y, z in metres; -1 and -1000 mark what is not given.
"""

import math
import pathlib

from apps.driving_perception.readers import entries, source_files
from shared import errors

# What KITTI's annotators labelled in every image.
VOCABULARY = ("Car", "Van", "Truck", "Pedestrian", "Person_sitting", "Cyclist", "Tram", "Misc", "DontCare")
_COLUMNS = (15, 16)
_UNGIVEN = -999.0


def recognise(files: source_files.SourceFiles) -> bool:
    """Tell by the two folders."""
    return bool(_roots(files))


def read(files: source_files.SourceFiles) -> entries.Source:
    """Read a folder that holds ``image_2`` and ``label_2``, or ``training``, and ``testing`` where it has labels.

    Raises:
        errors.InputError: It does not, or an image is in two lists of parts.
    """
    roots = _roots(files)
    if not roots:
        raise errors.InputError(f"{files.path}: expected the folders image_2 and label_2 of KITTI. Received: neither")
    found = [entry for root in roots for entry in _entries(root, files)]
    lists = source_files.lists(files.folder, files) or source_files.lists(roots[0], files)
    notes: list[str] = []
    if lists:
        images = {
            entries.stem(pathlib.Path(entry.item)): entry for entry in found if isinstance(entry.item, pathlib.Path)
        }
        known = {stem: entry.item for stem, entry in images.items() if isinstance(entry.item, pathlib.Path)}
        parts = source_files.settle(
            source_files.by_list(lists, lambda line, _: known.get(pathlib.PurePath(line).name), folder=files.folder),
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
    others = {thing.name for entry in found for thing in entry.things} - set(VOCABULARY)
    return entries.Source(
        name=files.folder.resolve().name,
        entries=found,
        vocabulary=(*VOCABULARY, *sorted(others)),
        notes=[note for note in notes if note],
        told=frozenset((*lists, *(files.pictures() if lists else ()))),
    )


def _roots(files: source_files.SourceFiles) -> list[pathlib.Path]:
    both = {path.relative_to(files.folder).parts[:-1] for path in files.files}
    folders = {parts[:i] for parts in both for i in range(1, len(parts) + 1)}
    for names in ((), ("training",)):
        if {(*names, "image_2"), (*names, "label_2")} <= folders:
            tested = {("testing", "image_2"), ("testing", "label_2")} <= folders and names
            roots = [names, ("testing",)] if tested else [names]
            return [files.folder.joinpath(*root) for root in roots]
    return []


def _entries(root: pathlib.Path, files: source_files.SourceFiles) -> list[entries.Entry]:
    images = entries.by_stem(files.pictures(root / "image_2"))
    labels = {path.stem: path for path in files.direct(root / "label_2", ".txt")}
    part = source_files.part_of_folders(root / "x", inside=files.folder)
    found = []
    for stem, paths in images.items():
        label, path = labels.get(stem), paths[0]
        problem = entries.twice(paths, "images of one name") or ("" if label else f"no label_2/{stem}.txt")
        things = () if problem or label is None else tuple(_things(label))
        name = f"{root.name}/{path.name}" if part == "test" else path.name
        found.append(entries.Entry(name, path, str(label or path), things, part=part, problem=problem))
    return found + [
        entries.Entry(f"{stem}.png", path, str(path), problem=f"no image image_2/{stem}.png or .jpeg")
        for stem, path in labels.items()
        if stem not in images
    ]


def _things(path: pathlib.Path) -> list[entries.LabelledBox]:
    lines = path.read_text("utf-8", errors="replace").splitlines()
    return [_thing(line.split(), number) for number, line in enumerate(lines, start=1) if line.strip()]


def _thing(fields: list[str], number: int) -> entries.LabelledBox:
    if len(fields) not in _COLUMNS:
        return entries.LabelledBox(
            fields[0], (math.nan,) * 4, number, problem=f"{len(fields)} columns, not {_COLUMNS[0]} or {_COLUMNS[1]}"
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
