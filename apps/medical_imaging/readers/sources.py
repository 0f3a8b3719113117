"""Which reader a source needs, by its name or by what is in the file or folder; sources as streams for ``predict``."""

import dataclasses
import itertools
import logging
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from apps.medical_imaging import readers
from apps.medical_imaging.readers import (
    checking,
    chexpert,
    file_types,
    folders,
    images,
    medmnist,
    nih,
    table_files,
    tables,
)
from apps.medical_imaging.simulator import phantoms
from shared import errors, files
from shared.sources import folders as listings
from shared.sources import kept

SIMULATED = "chest-phantoms"


FORMATS = ("auto", "chest-phantoms", "folders", "table", "nih", "chexpert", "medmnist", "dicom")
_ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".7z", ".rar", ".bz2", ".xz")
log = logging.getLogger("fieldnets")
Pixels: TypeAlias = bytes | NDArray[np.float32]


def simulate(settings: readers.PhantomSettings) -> readers.Source:
    """Generate phantoms as a source; their attributes and boxes are all known."""
    made = phantoms.generate(
        phantoms.Settings(patients=settings.patients, confounder=settings.confounder, seed=settings.seed)
    )
    records = made.attributes.to_dict(orient="records")
    found = [
        readers.Entry(
            name=f"{SIMULATED}[{row}]",
            item=made.images[row],
            file=SIMULATED,
            row=row + 1,
            label=phantoms.CLASS_NAMES[made.labels[row]],
            patient=str(made.patients[row]),
            attributes={str(name): value for name, value in records[row].items() if not pd.isna(value)},
            boxes=made.boxes[row],
            recipe=f"{SIMULATED} {phantoms.VERSION}, {settings.seed}, {settings.confounder}, image {row}",
        )
        for row in range(len(made.labels))
    ]
    note = "the images are SIMULATED by formulas: what is found on them holds for no patient"
    return readers.Source(
        name=SIMULATED, entries=found, class_order=phantoms.CLASS_NAMES, notes=(note,), synthetic=True
    )


def with_parts_by_name(read: Sequence[readers.Source], specs: Sequence[str]) -> list[readers.Source]:
    """Give the images of several sources the part in the source's name, where they have none themselves.

    The name is that of the folder or table, or else, where these name no part, of the folder that it is in.
    """
    paths = [pathlib.Path(spec).absolute() for spec in specs]
    own = [readers.part_in_words(path.stem if path.is_file() else path.name) for path in paths]
    above = [readers.part_of(path.parent.name) for path in paths]
    parts = own if any(own) else above
    # What holds for all alike means nothing: /data/test/a and /data/test/b.
    if len(set(parts)) < 2:
        return list(read)
    return [_with_part(source, spec, part) for source, spec, part in zip(read, specs, parts, strict=True)]


def _with_part(source: readers.Source, spec: str, part: str) -> readers.Source:
    if not part or source.synthetic or any(entry.part for entry in source.entries):
        return source
    note = f"{spec}: by its name its images are the official {part} part"
    named = [entry._replace(part=part) for entry in source.entries]
    return dataclasses.replace(source, entries=named, notes=(*source.notes, note))


def read(spec: str, *, options: readers.Options, data_format: str) -> readers.Source:
    """Read a source.

    Raises:
        errors.InputError: It does not exist, is of no known format, or not of the one that was named; or a table names
            images outside of its folder and ``options.allow_outside`` is not set.
    """
    if data_format not in FORMATS:
        raise errors.InputError(f"data_format: expected one of {', '.join(FORMATS)}. Received: {data_format!r}")
    if spec == SIMULATED or data_format == SIMULATED:
        return simulate(options.phantoms)
    path = locate(spec)
    found = _read(spec, path, options, data_format)
    named = [entry.item for entry in found.entries if isinstance(entry.item, pathlib.Path)]
    beyond = listings.outside(path, named, allow_outside=options.allow_outside)
    return dataclasses.replace(found, notes=(*found.notes, *beyond))


def _read(spec: str, path: pathlib.Path, options: readers.Options, data_format: str) -> readers.Source:
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
        if (path / readers.WRITTEN_TABLE).is_file():
            return "table"
        return "chexpert" if chexpert.found_in(path) else "folders"
    if path.match(nih.PATTERN):
        return "nih"
    if path.suffix.lower() in file_types.TABLES:
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
    if path.exists() or SIMULATED in (spec, data_format):
        return path
    if spec in medmnist.PUBLIC or spec in medmnist.BY_HAND:
        return medmnist.fetch(spec)
    raise errors.InputError(
        f"{spec}: expected a folder or file that exists, {SIMULATED}, or a public set by name "
        f"({', '.join(medmnist.PUBLIC)}). Received: none of these"
    )


def _table(path: pathlib.Path, options: readers.Options) -> readers.Source:
    if path.is_dir():
        return tables.read(path / readers.WRITTEN_TABLE, options=options, name=path.resolve().name, folder=path)
    return tables.read(path, options=options)


def is_archive(path: pathlib.Path) -> bool:
    """Tell a file that must be unpacked before it can be read."""
    return path.suffix.lower() in _ARCHIVES or _head(path).startswith(b"PK")


def _other(path: pathlib.Path) -> str:
    """Say what a file is that is no source."""
    if is_archive(path):
        return "an archive; unpack it and name the folder"
    return "one image; name the folder above it" if file_types.is_image(path) else "another file"


def _head(path: pathlib.Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(132)


def chunks(inputs: Iterable[readers.Source], *, chunk_rows: int) -> Iterator[tuple[pd.DataFrame, list[Pixels]]]:
    """Yield at most ``chunk_rows`` images at a time, with a frame of columns file (str) and row (int64, from 1).

    Encoded files come as they are, even where they are no image, so that each gets a row. DICOM and arrays come as
    (h, w, 1 or 3) float32 in [0, 1]; DICOM that cannot be decoded, and an array that training would refuse, come as
    empty bytes, with a warning.

    Raises:
        errors.InputError: A table names a file that does not exist, or has a row that does not fit.
    """
    for table, part in unread(inputs, chunk_rows=chunk_rows):
        yield table, [pixels(entry) for entry in part]


def unread(
    inputs: Iterable[readers.Source], *, chunk_rows: int, keep: Sequence[str] = ()
) -> Iterator[tuple[pd.DataFrame, list[readers.Entry]]]:
    """Yield what ``chunks`` does, with the images still to be read, and the cells of tables that are kept."""
    inputs = list(inputs)
    names, tables = _kept(inputs, keep) if keep else ((), {})
    for source in inputs:
        found = iter(source.entries)
        while part := list(itertools.islice(found, chunk_rows)):
            table = pd.DataFrame([(files.printable(entry.file), entry.row) for entry in part], columns=["file", "row"])
            held = [[tables[entry.file].at[entry.row, name] for entry in part] for name in names]
            yield kept.beside(table, names, held), part


def _kept(inputs: Sequence[readers.Source], keep: Sequence[str]) -> tuple[tuple[str, ...], dict[str, pd.DataFrame]]:
    """Return the columns that are kept, and the cells of each table by its rows.

    Raises:
        errors.InputError: An image is not listed by a table, or tables have other columns.
    """
    tables: dict[str, pd.DataFrame] = {}
    names: dict[str, tuple[str, ...]] = {}
    for entry in itertools.chain.from_iterable(source.entries for source in inputs):
        if entry.file in tables:
            continue
        path = pathlib.Path(entry.file)
        if path.suffix.lower() not in file_types.TABLES or not path.is_file():
            kept.in_all({}, where=entry.file)
        table, _ = table_files.read(path)
        names[entry.file] = kept.chosen(keep, [str(name) for name in table.columns], where=entry.file)
        tables[entry.file] = table[list(names[entry.file])]
    return kept.in_all(names, where="the inputs"), tables


def listed(path: str | pathlib.Path, options: readers.Options | None = None) -> readers.Source:
    """Return the images of one input, unread.

    Raises:
        errors.InputError: The path does not exist, or is a folder or table that cannot be read.
    """
    found, chosen = pathlib.Path(path), options or readers.Options(labelled=False)
    alone = found.is_file() and found.suffix.lower() not in (*file_types.TABLES, ".npz")
    if alone and not is_archive(found):
        shown = files.printable(path)
        return readers.Source(name=shown, entries=[readers.Entry(name=shown, item=found, file=shown, row=1)])
    return read(str(path), options=chosen, data_format="auto")


def pixels(entry: readers.Entry) -> Pixels:
    """Read one image."""
    if entry.problem and _is_listed(entry):
        raise errors.InputError(f"{entry.file}, row {entry.row}: expected an image file. Received: {entry.problem}")
    fault = "" if isinstance(entry.item, pathlib.Path) else checking.array_problem(entry.item)
    if fault:
        log.warning("%s, row %d: %s", entry.file, entry.row, fault)
        return b""
    try:
        return images.read(entry.item, name=entry.name)
    except errors.InputError as error:
        if isinstance(entry.item, pathlib.Path) and not entry.item.is_file():
            raise
        log.warning("%s", error)
        return b""


def _is_listed(entry: readers.Entry) -> bool:
    """Tell a row of a table from a file that stands for itself, and gets a row though its header is broken."""
    return (
        not isinstance(entry.item, pathlib.Path)
        or files.printable(entry.item) != entry.file
        or pathlib.Path(entry.file).suffix.lower() in file_types.TABLES
    )
