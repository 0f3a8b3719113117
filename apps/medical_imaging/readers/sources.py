"""Which reader a source needs: by its name, or by what is in the file or folder."""

import pathlib

from apps.medical_imaging.readers import chexpert, entries, folders, medmnist, nih, phantom, tables, writing
from shared import errors

FORMATS = ("auto", "chest-phantoms", "folders", "table", "nih", "chexpert", "medmnist", "dicom")
TABLES = (".csv", ".tsv", ".parquet")


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
    folder = path if path.is_dir() else path.parent
    if kind == "nih":
        return nih.read(folder, options=options)
    if kind == "chexpert":
        return chexpert.read(folder, options=options)
    if kind == "table":
        return _table(path, options)
    if kind == "medmnist":
        return medmnist.read(path, options=options)
    if path.is_file():
        raise errors.InputError(f"{spec}: expected a folder of images, a table or an npz file. Received: another file")
    return folders.read(path, options=options)


def recognise(path: pathlib.Path) -> str:
    """Return the format of a file or folder that exists.

    Raises:
        errors.InputError: It is a file of no known kind.
    """
    if path.is_dir():
        if any(path.glob(nih.PATTERN)):
            return "nih"
        if chexpert.tables(path):
            return "chexpert"
        return "table" if (path / writing.TABLE).is_file() else "folders"
    if path.match(nih.PATTERN):
        return "nih"
    if path.suffix.lower() in TABLES:
        return "chexpert" if path in chexpert.tables(path.parent) else "table"
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
        return tables.read(path / writing.TABLE, options=options, name=path.resolve().name)
    return tables.read(path, options=options)


def _head(path: pathlib.Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(132)
