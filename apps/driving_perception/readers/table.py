"""A table of boxes, CSV or Parquet: a row for each box, with the image's name and its corners.

Columns are recognised by their usual names. Images that the table does not list have no boxes, where images that it
lists stand in the same folder; in other folders nothing says that they were looked at, and they are not used.
"""

import math
import pathlib
from typing import Any

import pandas as pd

from apps.driving_perception import boxes as box
from apps.driving_perception.readers import entries
from shared import errors

SUFFIXES = (".csv", ".parquet")
COLUMNS = {
    "image": ("image", "filename", "file", "file_name", "path", "image_id", "img"),
    "xmin": ("xmin", "x1", "left", "x_min"),
    "ymin": ("ymin", "y1", "top", "y_min"),
    "xmax": ("xmax", "x2", "right", "x_max"),
    "ymax": ("ymax", "y2", "bottom", "y_max"),
    "class": ("class", "label", "name", "category", "class_name"),
    "kind": ("kind",),
    "ignore": ("ignore", "iscrowd", "crowd"),
    "occlusion": ("occlusion", "occluded"),
    "truncation": ("truncation", "truncated"),
    "distance": ("distance", "distance_m", "depth"),
    "track": ("track", "track_id", "object_id"),
    "sequence": ("sequence", "clip", "video", "drive"),
    "number": ("number", "frame", "frame_id", "frame_number"),
    "seconds": ("seconds", "time", "timestamp"),
    "time_of_day": ("time_of_day", "timeofday"),
    "weather": ("weather",),
    "part": ("part", "split"),
    "known_classes": ("known_classes",),
}
_NEEDED = ("image", "xmin", "ymin", "xmax", "ymax")
# Between the names of the classes that an image is labelled for.
KNOWN_SEPARATOR = "|"
_USUAL = ("boxes.csv", "boxes.parquet", "annotations.csv", "labels.csv", "train.csv", "bbox.csv")


def recognise(path: pathlib.Path) -> bool:
    """Tell by the five columns that are needed."""
    file = file_of(path)
    if file is None:
        return False
    return set(_NEEDED) <= set(_renamed(_head(file)))


def file_of(path: pathlib.Path) -> pathlib.Path | None:
    """Return the table that a path means: itself, one of the usual names in a folder, or its only one."""
    if path.is_file():
        return path if path.suffix.lower() in SUFFIXES else None
    for name in _USUAL:
        if (path / name).is_file():
            return path / name
    found = [each for each in sorted(path.iterdir()) if each.suffix.lower() in SUFFIXES and each.name != "split.csv"]
    return found[0] if len(found) == 1 else None


def read(path: pathlib.Path, *, options: entries.Options) -> entries.Source:
    """Read a table, or the folder that holds it.

    Raises:
        errors.InputError: There is none, or a column is missing.
    """
    file = file_of(path)
    if file is None:
        raise errors.InputError(f"{path}: expected one table of boxes (.csv, .parquet). Received: none or several")
    table = _table(file)
    missing = [name for name in _NEEDED if name not in table]
    if missing:
        raise errors.InputError(
            f"{file}: expected the columns {', '.join(_NEEDED)}. Received: none for {', '.join(missing)}"
        )
    folder = path if path.is_dir() else path.parent
    images = {image.relative_to(folder).as_posix(): image for image in entries.pictures(folder)}
    by_name: dict[str, list[str]] = {}
    for name in images:
        by_name.setdefault(pathlib.PurePath(name).name, []).append(name)
    nameless = [f"row {row + 2}" for row in table.index[table["image"].isna()].tolist()]
    rows = {str(name): group for name, group in table.dropna(subset="image").groupby("image", sort=False)}
    found, held = [], set()
    for name, group in rows.items():
        matches = [name] if name in images else by_name.get(pathlib.PurePath(name).name, [])
        held.update(matches[:1])
        image = images.get(matches[0]) if len(matches) == 1 else None
        found.append(_entry(matches[0] if image else name, image, group, file, options))
    rest = [(name, image) for name, image in images.items() if name not in held]
    listed = {images[name].parent for name in held}
    bare = [entries.Entry(name, image, str(file)) for name, image in rest if image.parent in listed]
    strays = [entries.Entry(row, file, str(file), problem=f"{row} names no image") for row in nameless]
    names = [str(name) for name in table["class"].dropna().unique()] if "class" in table else [options.single_class]
    return entries.Source(
        name=folder.resolve().name,
        entries=[*found, *bare, *strays],
        vocabulary=names,
        notes=_notes(file.name, bare=len(bare), elsewhere=len(rest) - len(bare)),
    )


def _notes(name: str, *, bare: int, elsewhere: int) -> list[str]:
    said = {
        f"{bare:,} images are not in {name}: they count as images without boxes": bare,
        f"{elsewhere:,} images are in folders of which {name} lists no image: they are not used": elsewhere,
    }
    return [note for note, count in said.items() if count]


def _head(file: pathlib.Path) -> pd.DataFrame:
    try:
        if file.suffix.lower() == ".csv":
            return pd.read_csv(file, nrows=1, dtype=str)
        return pd.read_parquet(file).head(1)
    except (OSError, ValueError):
        return pd.DataFrame()


def _table(file: pathlib.Path) -> pd.DataFrame:
    try:
        if file.suffix.lower() == ".csv":
            found = pd.read_csv(file, dtype=str, keep_default_na=True)
        else:
            found = pd.read_parquet(file)
    except (OSError, ValueError) as error:
        raise errors.InputError(f"{file}: expected a table. Received: {str(error).strip()}") from None
    # Rows with one value more than there are columns: pandas takes their first for the name of the row.
    if file.suffix.lower() == ".csv" and not isinstance(found.index, pd.RangeIndex):
        raise errors.InputError(f"{file}: expected as many columns in the rows as in the header. Received: more")
    return _renamed(found.reset_index(drop=True))


def _renamed(table: pd.DataFrame) -> pd.DataFrame:
    lower = {str(column).strip().lower(): column for column in table.columns}
    names = {}
    for name, spellings in COLUMNS.items():
        found = next((lower[spelling] for spelling in spellings if spelling in lower), None)
        if found is not None and found not in names:
            names[found] = name
    return table.rename(columns=names)


def _entry(
    name: str, image: pathlib.Path | None, group: pd.DataFrame, file: pathlib.Path, options: entries.Options
) -> entries.Entry:
    records = group.to_dict("records")
    first = records[0]
    said, wrong = entries.extras({"number": first.get("number"), "seconds": first.get("seconds")})
    known = _text(first.get("known_classes"))
    things = tuple(
        _thing({str(key): value for key, value in record.items()}, int(str(row)) + 2, options)
        for row, record in zip(group.index, records, strict=True)
        if not all(_missing(record.get(side)) for side in _NEEDED[1:])
    )
    return entries.Entry(
        name,
        image or file.parent / name,
        str(file),
        things,
        sequence=_text(first.get("sequence")),
        time_of_day=_text(first.get("time_of_day")),
        weather=_text(first.get("weather")),
        part=entries.part(first.get("part")),
        known=tuple(known.split(KNOWN_SEPARATOR)) if known else None,
        problem=wrong if image else f"no image file {name}, or several",
        **said,
    )


def _thing(record: dict[str, Any], row: int, options: entries.Options) -> entries.Thing:
    values = [entries.number(_text(record.get(side))) for side in _NEEDED[1:]]
    said, problem = entries.extras(
        {name: record.get(name) for name in ("occlusion", "truncation", "distance", "track")}
    )
    kind = _text(record.get("kind")).lower()
    if kind and kind not in box.KINDS:
        problem = f"kind {kind!r} is none of {', '.join(box.KINDS)}"
    if any(map(math.isnan, values)):
        problem = f"a corner is no number: {', '.join(_text(record.get(side)) or 'nothing' for side in _NEEDED[1:])}"
    ignored = _text(record.get("ignore")).lower() in ("1", "1.0", "true", "yes")
    name = _text(record.get("class")) if "class" in record else options.single_class
    return entries.Thing(
        name,
        (values[0], values[1], values[2], values[3]),
        row,
        kind=box.KINDS.index(kind) if kind in box.KINDS else box.REGION if ignored else box.OBJECT,
        problem=problem,
        **said,
    )


def _missing(value: Any) -> bool:
    return value is None or value != value


def _text(value: Any) -> str:
    return "" if _missing(value) else str(value).strip()
