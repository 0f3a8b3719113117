"""A split as a file that a person can read, edit and hand back: one line per row with its part."""

import csv
import pathlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shared import errors, files, splits

_ALIASES = {
    "training": "train",
    "dev": "validation",
    "valid": "validation",
    "val": "validation",
    "testing": "test",
}
_COLUMNS = ("row", "part")


def write(path: pathlib.Path, split: splits.Split, *, identities: Sequence[str] | None = None) -> None:
    """Write a csv of ``row,part``; rows are named by ``identities`` or else numbered from 1."""
    names = _identities(split.part.size, identities)
    with files.atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(_COLUMNS)
        writer.writerows(zip(names, split.part.tolist(), strict=True))


def read(path: pathlib.Path, *, rows: int, identities: Sequence[str] | None = None) -> NDArray[np.str_]:
    """Read parts, to hand to ``splits.assign``, from a csv with columns ``row`` (or ``id``) and ``part``.

    Args:
        path: The csv.
        rows: Number of rows of the data.
        identities: (rows,) names used in the file; without them rows are numbered from 1.

    Returns:
        (rows,) str parts; ``splits.LEFT_OUT`` where the file gives none or does not name the row.

    Raises:
        errors.InputError: The file cannot be read, or names a row twice, an unknown row or an unknown part.
    """
    number = {name: index for index, name in enumerate(_identities(rows, identities))}
    parts = np.full(rows, splits.LEFT_OUT, dtype="<U10")
    seen: set[str] = set()
    for line, name, part in _lines(path):
        if name not in number or name in seen:
            fault = "named twice" if name in seen else "not in the data"
            raise errors.InputError(
                f"{path}, line {line}: expected each row of the data once. Received: {name!r}, {fault}"
            )
        if part not in (*splits.PARTS, splits.LEFT_OUT):
            raise errors.InputError(
                f"{path}, line {line}: expected a part out of {', '.join(splits.PARTS)}. Received: {part!r}"
            )
        seen.add(name)
        parts[number[name]] = part
    return parts


def _lines(path: pathlib.Path) -> list[tuple[int, str, str]]:
    """Return (line number, row name, part) of every line of the csv."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            header = reader.fieldnames or []
            key = next((name for name in ("row", "id") if name in header), None)
            if key is None or "part" not in header:
                raise errors.InputError(f"{path}: expected columns row (or id) and part. Received: {', '.join(header)}")
            return [(reader.line_num, record[key] or "", _part(record["part"])) for record in reader]
    except (OSError, UnicodeDecodeError) as error:
        raise errors.InputError(f"{path}: expected a readable csv in UTF-8. Received: {error}") from None


def _part(text: str | None) -> str:
    name = (text or "").strip().lower()
    return _ALIASES.get(name, name)


def _identities(rows: int, identities: Sequence[str] | None) -> list[str]:
    names = [str(row) for row in range(1, rows + 1)] if identities is None else list(identities)
    if len(names) != rows:
        raise ValueError(f"Expected an identity for each of {rows} rows. Received: {len(names)}")
    return names
