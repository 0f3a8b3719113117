"""A table of boxes, CSV or Parquet: a row for each box, with the image's name and its corners.

Columns are recognised by their usual names. Images that the table does not list have no boxes, where images that it
lists stand in the same folder; in other folders nothing says that they were looked at, and they are not used. A folder
may hold a table for each official part: ``train.csv``, ``val.csv``, ``test.csv``.
"""

import math
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from apps.driving_perception import boxes as box
from apps.driving_perception.readers import entries, source_files, table_columns
from shared import errors

# Between the names of the classes that an image is labelled for.
KNOWN_SEPARATOR = "|"
_USUAL = ("boxes.csv", "boxes.parquet", "boxes.tsv", "annotations.csv", "labels.csv", "train.csv", "bbox.csv")
_OURS = ("split.csv", "quarantine.csv")


class _Images(NamedTuple):
    """The images around a table, by their paths below the folder, and by their own names with and without suffix."""

    by_path: dict[str, pathlib.Path]
    by_name: dict[str, list[str]]

    def find(self, name: str, part: str) -> list[str]:
        """Return the paths that a name means; where several have it, those in the folder of the part."""
        spelled = pathlib.PurePosixPath(name.replace("\\", "/")).as_posix()
        if spelled in self.by_path:
            return [spelled]
        matches = self.by_name.get(pathlib.PurePosixPath(spelled).name, [])
        of_part = [path for path in matches if part and source_files.part_of_folders(path) == part]
        return of_part if len(of_part) == 1 else matches


def recognise(files: source_files.SourceFiles) -> bool:
    """Tell by the five columns that are needed."""
    return bool(_files(files))


def read(files: source_files.SourceFiles, *, options: entries.Options) -> entries.Source:
    """Read a table, or the folder that holds it, or one table for each official part.

    Raises:
        errors.InputError: There is none, a column is missing, or a row cannot be read.
    """
    found = _files(files, any_columns=True)
    if not found:
        raise errors.InputError(
            f"{files.path}: expected one table of boxes (.csv, .tsv, .parquet), or one for each official part. "
            "Received: none or several"
        )
    tables = [table_columns.read(file, decimal=options.decimal) for file in found]
    pictures = files.pictures()
    images = _Images({files.below(path): path for path in pictures}, {})
    for name in images.by_path:
        path = pathlib.PurePath(name)
        for spelled in {path.name, entries.stem(path)}:
            images.by_name.setdefault(spelled, []).append(name)
    parts = ["" if len(tables) == 1 else source_files.part_of_name(table.file.stem) for table in tables]
    listed = [
        entry for table, part in zip(tables, parts, strict=True) for entry in _entries(table, images, options, part)
    ]
    held = {entry.item for entry in listed}
    rest = [path for path in pictures if path not in held]
    folders = {path.parent for path in held if isinstance(path, pathlib.Path)}
    others = [path for path in _beside(files) if path not in found and _is_ours(path)]
    theirs = {path for other in others for path in _listed_in(other, images, options)}
    taken = sum(path in theirs for path in rest)
    rest = [path for path in rest if path not in theirs]
    bare = [
        entries.Entry(files.below(path), path, str(found[0]), part=_part_of(path, listed, files), inferred=True)
        for path in rest
        if path.parent in folders
    ]
    names = [name for table in tables for name in _classes(table, options)]
    named = ", ".join(file.name for file in found)
    several = len(tables) > 1
    return entries.Source(
        name=files.folder.resolve().name,
        entries=[*listed, *bare],
        vocabulary=list(dict.fromkeys(names)),
        notes=[
            *(note for table in tables for note in table.notes),
            *(
                f"{table.file.name}: no column is named class: all boxes count as {options.single_class!r} "
                "(--single-class)"
                for table in tables
                if "class" not in table.text and options.labelled
            ),
            *_notes(named, bare=len(bare), elsewhere=len(rest) - len(bare)),
            *(
                [
                    f"{taken:,} images are in other tables ({', '.join(sorted(path.name for path in others))}): "
                    "they are not used"
                ]
                if taken
                else []
            ),
        ],
        columns={
            (f"{table.file.name}: {column}" if several else column): role
            for table in tables
            for column, role in table.columns.items()
        },
        told=frozenset((*found, *pictures)),
    )


def _files(files: source_files.SourceFiles, *, any_columns: bool = False) -> list[pathlib.Path]:
    """Return the tables that a path means: itself, one of the usual names, the folder's only one, or one for a part."""
    if files.is_file:
        candidates = [files.path] if files.path.suffix.lower() in table_columns.SUFFIXES else []
        return candidates if any_columns or all(map(_is_ours, candidates)) else []
    beside = _beside(files)
    ours = [path for path in beside if _is_ours(path)]
    parts = [source_files.part_of_name(path.stem) for path in ours]
    if len(ours) > 1 and all(parts) and len(set(parts)) == len(parts):
        return ours
    usual = [path for name in _USUAL for path in beside if path.name == name]
    chosen = usual[:1] or (beside if len(beside) == 1 else ours if len(ours) == 1 else [])
    return chosen if any_columns or all(map(_is_ours, chosen)) else []


def _beside(files: source_files.SourceFiles) -> list[pathlib.Path]:
    return [path for path in files.direct(files.folder, *table_columns.SUFFIXES) if path.name not in _OURS]


def _listed_in(file: pathlib.Path, images: _Images, options: entries.Options) -> list[pathlib.Path]:
    """Return the images that a table lists."""
    names = dict.fromkeys(table_columns.read(file, decimal=options.decimal).text["image"].tolist())
    return [images.by_path[path] for name in names for path in images.find(name, "")]


def _is_ours(file: pathlib.Path) -> bool:
    return set(table_columns.NEEDED) <= table_columns.roles(table_columns.header(file)).keys()


def _classes(table: table_columns.Table, options: entries.Options) -> list[str]:
    if "class" not in table.text:
        return [options.single_class]
    return [name for name in dict.fromkeys(table.text["class"].tolist()) if name]


def _part_of(path: pathlib.Path, listed: Sequence[entries.Entry], files: source_files.SourceFiles) -> str:
    """Return the part of an image that no table lists: its folder's, where that of the listed ones says it, too."""
    return source_files.part_of_folders(path, inside=files.folder) if any(entry.part for entry in listed) else ""


def _notes(name: str, *, bare: int, elsewhere: int) -> list[str]:
    said = {
        f"{bare:,} images are not in {name}: they count as images without boxes": bare,
        f"{elsewhere:,} images are in folders of which {name} lists no image: they are not used": elsewhere,
    }
    return [note for note, count in said.items() if count]


def _entries(table: table_columns.Table, images: _Images, options: entries.Options, part: str) -> list[entries.Entry]:
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(table.text["image"].tolist()):
        rows.setdefault(name, []).append(row)
    nameless = rows.pop("", [])
    found = [_entry(name, group, table, images, options, part) for name, group in rows.items()]
    return found + [
        entries.Entry(table.where(row), table.file, str(table.file), problem=f"{table.where(row)} names no image")
        for row in nameless
    ]


def _entry(
    name: str,
    rows: Sequence[int],
    table: table_columns.Table,
    images: _Images,
    options: entries.Options,
    part: str,
) -> entries.Entry:
    first = rows[0]
    said, wrong = entries.extras({role: _number(table, role, first) for role in ("number", "seconds")})
    known = _text(table, "known_classes", first)
    own = entries.part(_text(table, "part", first)) or part
    matches = images.find(name, own)
    image = images.by_path[matches[0]] if len(matches) == 1 else None
    missing = (
        f"no image file {name}" if not matches else f"{len(matches)} images of this name: {', '.join(matches[:3])}"
    )
    size, unlike = _size(table, rows)
    return entries.Entry(
        matches[0] if image else name,
        image or table.file.parent / name,
        str(table.file),
        tuple(_thing(table, row, options) for row in rows if not _is_bare(table, row)),
        size=size,
        sequence=_text(table, "sequence", first),
        time_of_day=_text(table, "time_of_day", first),
        weather=_text(table, "weather", first),
        part=own,
        known=tuple(known.split(KNOWN_SEPARATOR)) if known else None,
        problem=(_contradiction(table, rows) or unlike or wrong) if image else missing,
        **said,
    )


def _is_bare(table: table_columns.Table, row: int) -> bool:
    """Tell a row of an image that has no boxes: all of its corners are empty."""
    return row not in table.problems and all(math.isnan(table.numbers[side][row]) for side in table_columns.CORNERS)


def _contradiction(table: table_columns.Table, rows: Sequence[int]) -> str:
    """Say where the rows of one image are of two parts; "" where they are not."""
    if "part" not in table.text:
        return ""
    found = {entries.part(table.text["part"][row]): table.where(row) for row in reversed(rows)}
    shown = " and ".join(f"{part or 'none'} ({row})" for part, row in found.items())
    return f"its rows are of several parts: {shown}" if len(found) > 1 else ""


def _size(table: table_columns.Table, rows: Sequence[int]) -> tuple[tuple[int, int] | None, str]:
    """Return the size that an image was labelled at, and what is wrong where its rows do not agree."""
    if not {"width", "height"} <= table.numbers.keys():
        return None, ""
    both = np.stack([table.numbers[side][list(rows)] for side in ("width", "height")], axis=1)
    given = [(int(width), int(height)) for width, height in both[(both >= 1).all(axis=1)].tolist()]
    distinct = list(dict.fromkeys(given))
    shown = ", ".join(f"{width} x {height}" for width, height in distinct[:3])
    return (distinct[0] if distinct else None), f"its rows give several sizes: {shown}" if len(distinct) > 1 else ""


def _thing(table: table_columns.Table, row: int, options: entries.Options) -> entries.LabelledBox:
    values = [float(table.numbers[side][row]) for side in table_columns.CORNERS]
    said, problem = entries.extras(
        {role: _number(table, role, row) for role in ("occlusion", "truncation", "distance", "track")}
    )
    kind = _text(table, "kind", row).lower()
    if kind and kind not in box.KINDS:
        problem = f"kind {kind!r} is none of {', '.join(box.KINDS)}"
    if any(map(math.isnan, values)):
        empty = [side for side, value in zip(table_columns.CORNERS, values, strict=True) if math.isnan(value)]
        problem = f"a corner is no number: {', '.join(_text(table, side, row) or 'nothing' for side in empty)}"
    ignored, unclear = entries.flag(_text(table, "ignore", row), "ignore")
    name = _text(table, "class", row) if "class" in table.text else options.single_class
    return entries.LabelledBox(
        name,
        (values[0], values[1], values[2], values[3]),
        row + 1,
        kind=box.KINDS.index(kind) if kind in box.KINDS else box.REGION if ignored else box.OBJECT,
        problem=table.problems.get(row, "") or unclear or problem,
        where=table.where(row),
        **said,
    )


def _number(table: table_columns.Table, role: str, row: int) -> float | None:
    return float(table.numbers[role][row]) if role in table.numbers else None


def _text(table: table_columns.Table, role: str, row: int) -> str:
    return str(table.text[role][row]) if role in table.text else ""
