"""Which reader a source needs: by its name, or by what is in the file or folder."""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Sequence

from apps.driving_perception import config
from apps.driving_perception.readers import bdd100k, coco, entries, kitti_voc, source_files, table, table_columns, yolo
from shared import errors
from shared.sources import folders

SCENES = "road-scenes"
FORMATS = config.FORMATS

_READERS: dict[str, Callable[[source_files.SourceFiles], entries.Source]] = {
    "kitti": kitti_voc.read_kitti,
    "voc": kitti_voc.read_voc,
    "coco": coco.read,
    "yolo": yolo.read,
    "bdd100k": bdd100k.read,
}
# In this order: a folder of one format often holds what another would recognise, too.
_TESTS: dict[str, Callable[[source_files.SourceFiles], bool]] = {
    "kitti": kitti_voc.recognise_kitti,
    "coco": coco.recognise,
    "bdd100k": bdd100k.recognise,
    "table": table.recognise,
    "yolo": yolo.recognise,
    "voc": kitti_voc.recognise_voc,
}
_FOLDERS_ONLY = ("kitti", "voc")


def read(spec: str, *, options: entries.Options, data_format: str) -> entries.Source:
    """Read a source of files; ``road-scenes`` is not one. What lies in it and is not read is counted in its notes.

    Raises:
        errors.InputError: It does not exist, is of no known format, or not of the one that was named; or a link leads
            out of its folder and ``options.follow_links`` is not set, or labels name images outside of it and
            ``options.allow_outside`` is not.
    """
    if data_format not in FORMATS:
        raise errors.InputError(f"data_format: expected one of {', '.join(FORMATS)}. Received: {data_format!r}")
    path = locate(spec)
    files = source_files.SourceFiles(path, follow_links=options.follow_links)
    found = _read(files, options=options, data_format=data_format)
    named = [entry.item for entry in found.entries if isinstance(entry.item, pathlib.Path) and not entry.problem]
    beyond = folders.outside(path, named, allow_outside=options.allow_outside)
    part = _part_of_path(path)
    return dataclasses.replace(
        found,
        entries=[entry if entry.part or not part else entry._replace(part=part) for entry in found.entries],
        notes=[*files.notes, *beyond, *found.notes, *_left(files, found)],
        synthetic=found.synthetic or is_rendered(path),
    )


def _read(files: source_files.SourceFiles, *, options: entries.Options, data_format: str) -> entries.Source:
    kind = _kind(files) if data_format == "auto" else data_format
    parts = {} if files.is_file or (kind and _kind(files) == kind) else _parts(files, kind)
    if parts:
        return _joined(files, {name: _by(each, kind, options) for name, (each, kind) in parts.items()})
    if kind:
        return _by(files, kind, options)
    if options.labelled and files.is_file and files.path.suffix.lower() in table_columns.SUFFIXES:
        # It says which columns are missing.
        return table.read(files, options=options)
    if options.labelled:
        raise errors.InputError(
            f"{files.path}: expected labelled images: {', '.join(_TESTS)}. Received: a file or folder that is none of "
            "these (--data-format names one)"
        )
    return plain(files)


def _by(files: source_files.SourceFiles, kind: str, options: entries.Options) -> entries.Source:
    return table.read(files, options=options) if kind == "table" else _READERS[kind](files)


def _parts(files: source_files.SourceFiles, named: str) -> dict[str, tuple[source_files.SourceFiles, str]]:
    """Return the folders of official parts that are data sets of their own, and the format of each."""
    inner = {name: each for name, each in files.children().items() if name.lower() in entries.PARTS}
    kinds = {name: named or _kind(each) for name, each in inner.items()}
    return {name: (inner[name], kind) for name, kind in kinds.items() if kind and _TESTS[kind](inner[name])}


def _joined(files: source_files.SourceFiles, parts: dict[str, entries.Source]) -> entries.Source:
    """Return the folders of parts as one source, named by their paths below it."""
    return entries.Source(
        name=files.folder.resolve().name,
        entries=[
            entry._replace(name=f"{name}/{entry.name}", part=entry.part or entries.PARTS[name.lower()])
            for name, source in parts.items()
            for entry in source.entries
        ],
        vocabulary=list(dict.fromkeys(word for source in parts.values() for word in source.vocabulary)),
        notes=[f"{name}: {note}" for name, source in parts.items() for note in source.notes],
        columns={column: role for source in parts.values() for column, role in source.columns.items()},
        told=frozenset(path for source in parts.values() for path in source.told),
    )


def _part_of_path(path: pathlib.Path) -> str:
    """Return the official part that a source's own path says: one part of a set may be given alone."""
    full = path.resolve()
    if path.is_dir():
        return source_files.part_of_folders(pathlib.PurePath(full.name) / "x")
    return source_files.part_of_name(path.stem) or source_files.part_of_folders(
        pathlib.PurePath(full.parent.name) / "x"
    )


def _left(files: source_files.SourceFiles, found: entries.Source) -> list[str]:
    """Say how many files of a folder were not read, images apart from others."""
    if files.is_file:
        return []
    read = {entry.item for entry in found.entries} | {pathlib.Path(entry.file) for entry in found.entries}
    rest = [path for path in files.files if path not in read and path not in found.told]
    rest = [path for path in rest if path.name != entries.RENDERED]
    images = [path for path in rest if entries.is_picture(path)]
    left = f"{len(images):,} images are in no file of labels: they are not used" if images else ""
    return [note for note in (left, folders.unread(path for path in rest if path not in set(images))) if note]


def recognise(path: pathlib.Path) -> str:
    """Return the format of a file or folder that exists, "" for none."""
    return _kind(source_files.SourceFiles(path))


def _kind(files: source_files.SourceFiles) -> str:
    return next(
        (kind for kind, test in _TESTS.items() if not (files.is_file and kind in _FOLDERS_ONLY) and test(files)), ""
    )


def is_rendered(path: pathlib.Path) -> bool:
    """Tell whether a source, or the folder that holds it, is marked as rendered; every format is written so."""
    return any((folder / entries.RENDERED).is_file() for folder in (path, path.parent))


def locate(spec: str, *, data_format: str = "auto") -> pathlib.Path:
    """Return the path of a source.

    Raises:
        errors.InputError: There is nothing at the path, and it is no built-in source.
    """
    path = pathlib.Path(spec)
    if SCENES in (spec, data_format) or path.exists():
        return path
    raise errors.InputError(
        f"{spec}: expected a folder or file that exists, or {SCENES}. Received: neither. Public sets are placed by "
        "hand; data/ says where each is to be had"
    )


def plain(files: source_files.SourceFiles) -> entries.Source:
    """Return an image, or the images of a folder, without labels.

    Raises:
        errors.InputError: There is no image.
    """
    images = [files.path] if files.is_file else files.pictures()
    if not images:
        raise errors.InputError(f"{files.path}: expected images ({', '.join(entries.SUFFIXES)}). Received: none")
    listed = [entries.Entry(files.below(image), image, str(image)) for image in images]
    return entries.Source(name=files.path.resolve().name, entries=listed, vocabulary=())


def settle(sources: Sequence[entries.Source]) -> list[entries.Source]:
    """Return sources in which every image file occurs once, under whatever names and links it was listed.

    A file that is listed again with the same boxes and part is left out and counted; one with others is a problem of
    all its entries, since part of its objects would be background in each.
    """
    owners: dict[str, list[tuple[int, entries.Entry]]] = {}
    for number, source in enumerate(sources):
        for entry in source.entries:
            if isinstance(entry.item, pathlib.Path) and not entry.problem:
                owners.setdefault(os.path.realpath(entry.item), []).append((number, entry))
    shared = {file: _listed(found) for file, found in owners.items() if len(found) > 1}
    if not shared:
        return [*sources]
    return [_settled(source, number, shared) for number, source in enumerate(sources)]


def _listed(found: list[tuple[int, entries.Entry]]) -> list[tuple[int, entries.Entry]]:
    return [each for each in found if not each[1].inferred] or found


def _settled(source: entries.Source, number: int, shared: dict[str, list[tuple[int, entries.Entry]]]) -> entries.Source:
    kept: list[entries.Entry] = []
    harmless = yielded = 0
    for entry in source.entries:
        found = shared.get(os.path.realpath(entry.item)) if isinstance(entry.item, pathlib.Path) else None
        if found is None or entry.problem:
            kept.append(entry)
        elif not any(each is entry for _, each in found):
            yielded += 1
        elif len({_content(each) for _, each in found}) > 1:
            names = " and ".join(_name(each) for _, each in found)
            kept.append(
                entry._replace(problem=f"one image file is listed several times, with other boxes or parts: {names}")
            )
        elif found[0][0] == number and found[0][1] is entry:
            kept.append(entry)
        else:
            harmless += 1
    said = {
        "images are files that are listed before under another name: they count once": harmless,
        "images without boxes here are listed by another source: they count there": yielded,
    }
    notes = [f"{count:,} {note}" for note, count in said.items() if count]
    return dataclasses.replace(source, entries=kept, notes=[*source.notes, *notes])


def _content(entry: entries.Entry) -> object:
    """Return what an entry says of its image, to compare: boxes by class and place, and the part."""
    return entry.part, frozenset((thing.name, thing.xyxy, thing.kind) for thing in entry.things)


def _name(entry: entries.Entry) -> str:
    part = f", {entry.part}" if entry.part else ""
    return f"{entry.name} ({pathlib.PurePath(entry.file).name}{part})"
