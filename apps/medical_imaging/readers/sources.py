"""Which reader a source needs: by its name, or by what is in the file or folder."""

import pathlib

from apps.medical_imaging.readers import chexpert, entries, folders, kinds, medmnist, nih, phantom, tables, writing
from shared import errors

FORMATS = ("auto", "chest-phantoms", "folders", "table", "nih", "chexpert", "medmnist", "dicom")
_ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".7z", ".rar", ".bz2", ".xz")


def read(spec: str, *, options: entries.Options, data_format: str) -> entries.Source:
    """Read a source.

    Raises:
        errors.InputError: It does not exist, is of no known format, or not of the one that was named.
    """
    if data_format not in FORMATS:
        raise errors.InputError(f"data_format: expected one of {', '.join(FORMATS)}. Received: {data_format!r}")
    if spec == phantom.NAME or data_format == phantom.NAME:
        return phantom.read(options.phantoms)
    path = locate(spec)
    kind = recognise(path) if data_format == "auto" else data_format
    if kind == "nih":
        return nih.read(path, options=options)
    if kind == "chexpert":
        return chexpert.read(path, options=options)
    if kind == "table":
        return _table(path, options)
    if kind == "medmnist":
        return medmnist.read(path, options=options)
    if path.is_file():
        raise errors.InputError(
            f"{spec}: expected a folder of images, a table or an npz file. Received: {_other(path)}"
        )
    return folders.read(path, options=options)


def recognise(path: pathlib.Path) -> str:
    """Return the format of a file or folder that exists."""
    if path.is_dir():
        if nih.found_in(path) is not None:
            return "nih"
        if (path / writing.TABLE).is_file():
            return "table"
        return "chexpert" if chexpert.found_in(path) else "folders"
    if path.match(nih.PATTERN):
        return "nih"
    if path.suffix.lower() in kinds.TABLES:
        return "nih" if nih.is_nih(path) else "chexpert" if chexpert.is_chexpert(path) else "table"
    if _head(path).startswith(b"PK") and path.suffix.lower() == ".npz":
        return "medmnist"
    return "folders"


def locate(spec: str, *, data_format: str = "auto") -> pathlib.Path:
    """Return the path of a source, downloading it where it is a public set by name.

    Raises:
        errors.InputError: There is nothing at the path, and it is no such set.
    """
    path = pathlib.Path(spec)
    if path.exists() or phantom.NAME in (spec, data_format):
        return path
    from apps.medical_imaging import download

    if spec in download.FILES or spec in download.BY_HAND:
        return download.fetch(spec)
    raise errors.InputError(
        f"{spec}: expected a folder or file that exists, {phantom.NAME}, or a public set by name "
        f"({', '.join(download.FILES)}). Received: none of these"
    )


def _table(path: pathlib.Path, options: entries.Options) -> entries.Source:
    if path.is_dir():
        return tables.read(path / writing.TABLE, options=options, name=path.resolve().name, folder=path)
    return tables.read(path, options=options)


def is_archive(path: pathlib.Path) -> bool:
    """Tell a file that must be unpacked before it can be read."""
    return path.suffix.lower() in _ARCHIVES or _head(path).startswith(b"PK")


def _other(path: pathlib.Path) -> str:
    """Say what a file is that is no source."""
    if is_archive(path):
        return "an archive; unpack it and name the folder"
    return "one image; name the folder above it" if kinds.is_image(path) else "another file"


def _head(path: pathlib.Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(132)
