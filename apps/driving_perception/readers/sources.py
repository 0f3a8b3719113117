"""Which reader a source needs: by its name, or by what is in the file or folder."""

import dataclasses
import pathlib
from collections.abc import Callable

from apps.driving_perception import config
from apps.driving_perception.readers import bdd100k, coco, entries, kitti, table, voc, yolo
from shared import errors

SCENES = "road-scenes"
FORMATS = config.FORMATS

_READERS: dict[str, Callable[[pathlib.Path], entries.Source]] = {
    "kitti": kitti.read,
    "voc": voc.read,
    "coco": coco.read,
    "yolo": yolo.read,
    "bdd100k": bdd100k.read,
}
# In this order: a folder of one format often holds what another would recognise, too.
_TESTS: dict[str, Callable[[pathlib.Path], bool]] = {
    "kitti": kitti.recognise,
    "coco": coco.recognise,
    "bdd100k": bdd100k.recognise,
    "table": table.recognise,
    "yolo": yolo.recognise,
    "voc": voc.recognise,
}


def read(spec: str, *, options: entries.Options, data_format: str) -> entries.Source:
    """Read a source of files; ``road-scenes`` is not one.

    Raises:
        errors.InputError: It does not exist, is of no known format, or not of the one that was named.
    """
    if data_format not in FORMATS:
        raise errors.InputError(f"data_format: expected one of {', '.join(FORMATS)}. Received: {data_format!r}")
    path = locate(spec)
    found = _read(path, spec, options=options, data_format=data_format)
    return dataclasses.replace(found, synthetic=found.synthetic or is_rendered(path))


def _read(path: pathlib.Path, spec: str, *, options: entries.Options, data_format: str) -> entries.Source:
    kind = recognise(path) if data_format == "auto" else data_format
    if not kind:
        if options.labelled:
            raise errors.InputError(
                f"{spec}: expected labelled images: {', '.join(_TESTS)}. Received: a file or folder that is none of "
                "these (--data-format names one)"
            )
        return plain(path)
    if kind == "table":
        return table.read(path, options=options)
    return _READERS[kind](path)


def recognise(path: pathlib.Path) -> str:
    """Return the format of a file or folder that exists, "" for none."""
    folders_only = ("kitti", "yolo", "voc")
    return next(
        (kind for kind, test in _TESTS.items() if (path.is_dir() or kind not in folders_only) and test(path)), ""
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


def plain(path: pathlib.Path) -> entries.Source:
    """Return an image, or the images of a folder, without labels.

    Raises:
        errors.InputError: There is no image.
    """
    folder = path if path.is_dir() else path.parent
    images = entries.pictures(path) if path.is_dir() else [path]
    if not images:
        raise errors.InputError(f"{path}: expected images ({', '.join(entries.SUFFIXES)}). Received: none")
    listed = [entries.Entry(image.relative_to(folder).as_posix(), image, str(image)) for image in images]
    return entries.Source(name=path.resolve().name, entries=listed, vocabulary=())
