"""What is given more than once: files, whole contents, rows; and the names of sources and of their parts."""

import collections
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from apps.fraud_detection.readers import checking, formats, names
from shared import errors

_PARTS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "holdout"),
}


def refuse_twice(
    specs: Sequence[str], files_of: Callable[[Sequence[str], Any], Sequence[pathlib.Path]], reading: Any
) -> None:
    """Refuse sources of which one, or a file of one, is given twice: its rows would count twice.

    Args:
        specs: The sources.
        files_of: Lists the files of sources.
        reading: For ``files_of``.

    Raises:
        errors.InputError: It names both.
    """
    seen: dict[str, str] = {}
    for spec in specs:
        paths = [spec] if spec == formats.SIMULATOR else map(str, files_of([spec], reading))
        for path in paths:
            real = spec if spec == formats.SIMULATOR else os.path.realpath(path)
            if real in seen:
                both = f"{path}, which is {seen[real]}" if path != seen[real] else f"{path} twice"
                raise errors.InputError(f"Expected each file once. Received: {both}")
            seen[real] = path


def source_names(specs: Sequence[str]) -> list[str]:
    """Return short names of sources, each another one.

    >>> source_names(["a/x.csv", "y.csv"]), source_names(["a/x.csv", "b/x.csv"])
    (['x.csv', 'y.csv'], ['a/x.csv', 'b/x.csv'])
    """
    short = [spec if spec == formats.SIMULATOR else pathlib.Path(spec).name or spec for spec in specs]
    count = collections.Counter(short)
    return [name if count[name] == 1 else spec for name, spec in zip(short, specs, strict=True)]


def refuse_copies(pieces: Sequence[checking.Piece]) -> list[str]:
    """Return notes on rows that stand in more than one file, where no column of ids tells them apart.

    Args:
        pieces: Of all files, those of a file one after another.

    Raises:
        errors.InputError: Two files hold the same rows.
    """
    files = list(dict.fromkeys(piece.file for piece in pieces))
    if len(files) < 2 or pieces[0].rows.schema.id is not None:
        return []
    found: dict[str, npt.NDArray[np.uint64]] = {
        file: np.sort(np.concatenate([p.rows.cell_hashes(with_ids=False) for p in pieces if p.file == file]))
        for file in files
    }
    notes: list[str] = []
    for number, file in enumerate(files):
        for other in files[:number]:
            if np.array_equal(found[file], found[other]):
                raise errors.InputError(f"{file}: expected rows of its own. Received: the very rows of {other}")
        before = [found[other] for other in files[:number]]
        twice = int(np.isin(found[file], np.concatenate(before)).sum()) if before else 0
        if twice:
            notes.append(f"{file}: {twice:,} of {len(found[file]):,} rows stand in a file before it, too; all are kept")
    return notes


def named_parts(files: Sequence[str]) -> list[str]:
    """Return a note on files that are named for parts, which are not the parts that will be made.

    >>> named_parts(["a/fraudTrain.csv", "a/fraudTest.csv"])[0][:64]
    'files are named for parts (train: fraudTrain.csv; test: fraudTes'
    """
    paths = [pathlib.Path(file) for file in files]
    said = [{*names.words(path.name.partition(".")[0]), *names.words(path.parent.name)} for path in paths]
    named = {
        part: [path.name for path, words in zip(paths, said, strict=True) if words & set(spellings)]
        for part, spellings in _PARTS.items()
    }
    found = {part: each for part, each in named.items() if each}
    if len(found) < 2:
        return []
    shown = "; ".join(f"{part}: {formats.shown(each)}" for part, each in found.items())
    return [
        f"files are named for parts ({shown}): their rows are joined, and parts are made in order of time. To keep the "
        f"files apart, train on the first ones and give the others to evaluate as --data"
    ]
