"""Score any number of rows in bounded memory, and go on after a kill without doubling or losing one.

Each chunk is written whole, as one Parquet file, to ``<output>.partial/``; ``--resume`` skips the chunks that are
there. At the end the chunks are streamed into the output file, which appears in one rename.
"""

import contextlib
import dataclasses
import logging
import pathlib
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
import pyarrow.parquet

from shared import errors, files, resuming, row_files

log = logging.getLogger("fieldnets")

FORMATS = row_files.FORMATS
_PLAN = "plan.json"
# What lies in the folder of finished chunks, and what a killed call leaves there.
_OURS = re.compile(r"\.lock|\.?plan(-\w+)?\.json|\.?(finished-)?\d{8}(-\w+)?\.parquet")
# What tells input rows from each other; an output has both, or none.
_IDENTITY = ["file", "row"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Share:
    """Some of the chunks, written as an output of their own; see ``shards``.

    Attributes:
        takes: ``(number of a chunk, from 1) -> bool``: whether it is one of them.
        seal: ``(file, its columns, rows of every chunk)``: called before the file takes the output's name.
    """

    takes: Callable[[int], bool]
    seal: Callable[[pathlib.Path, pyarrow.Schema, Sequence[int]], None]


_EVERYTHING = Share(takes=lambda _number: True, seal=lambda _file, _schema, _rows: None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What ``predict`` wrote.

    Attributes:
        rows: Rows in the output.
        resumed_rows: Rows that an earlier, interrupted call had scored.
    """

    rows: int
    resumed_rows: int


def predict(  # noqa: PLR0913
    chunks: Iterable[pd.DataFrame],
    score: Callable[[pd.DataFrame], pd.DataFrame],
    *,
    output: pathlib.Path,
    plan: Mapping[str, Any],
    resume: bool = False,
    overwrite: bool = False,
    on_rows: Callable[[int], None] = lambda _rows: None,
    finish: Callable[[pd.DataFrame], pd.DataFrame] | None = None,
    share: Share = _EVERYTHING,
) -> Result:
    """Score chunks one after another and write them as one file.

    Args:
        chunks: The input rows; the same sequence each time it is made for the same plan.
        score: Turns a chunk into its output rows.
        output: ``.csv``, ``.jsonl`` or ``.parquet``.
        plan: What decides the output: ``inputs`` as ``resuming.inputs`` gives them, the model by its hash, options; a
            resumed call must have the same.
        resume: Keep the chunks that an interrupted call finished.
        overwrite: Replace an existing output.
        on_rows: Called with the number of rows after each chunk.
        finish: Turns each chunk's output rows into the final ones, chunk after chunk, when all are scored: for what
            depends on the rows before, such as tracks.
        share: Which chunks are scored; the others are only counted.

    Raises:
        errors.InputError: The output exists, its suffix is unknown, the interrupted call had another plan, another
            process writes this output, or what stands in the place of the parts is not ours.
    """
    check_output(output, overwrite=overwrite)
    partial = files.beside(output, ".partial")
    _refuse_foreign(partial)
    with resuming.locked(partial, what="`predict` into one output"):
        _prepare(partial, plan, resume=resume)
        parts, counts, resumed_rows = _score(chunks, score, partial=partial, on_rows=on_rows, takes=share.takes)
        if sum(counts) == 0:
            _discard(partial)
            raise errors.InputError("expected at least one row to score. Received: none")
        if finish is not None:
            parts = _finish(parts, finish)
        _join(parts, output, seal=lambda file, schema: share.seal(file, schema, counts))
        _discard(partial)
    rows = sum(count for number, count in enumerate(counts, start=1) if share.takes(number))
    return Result(rows=rows, resumed_rows=resumed_rows)


def _score(
    chunks: Iterable[pd.DataFrame],
    score: Callable[[pd.DataFrame], pd.DataFrame],
    *,
    partial: pathlib.Path,
    on_rows: Callable[[int], None],
    takes: Callable[[int], bool],
) -> tuple[list[pathlib.Path], list[int], int]:
    """Return the parts, one for each chunk taken, the rows of all chunks, and how many rows were there before."""
    parts: list[pathlib.Path] = []
    counts: list[int] = []
    resumed_rows = 0
    for number, chunk in enumerate(chunks, start=1):
        counts.append(len(chunk))
        part = partial / f"{number:08d}.parquet"
        if takes(number):
            parts.append(part)
            if part.exists() and _fits(part, chunk):
                resumed_rows += len(chunk)
            else:
                _write(score(chunk), part)
        on_rows(len(chunk))
    return parts, counts, resumed_rows


def _fits(part: pathlib.Path, chunk: pd.DataFrame) -> bool:
    """Tell whether a finished part is whole and of these rows; another is scored again, with a warning."""
    try:
        found = _read(part).to_pandas()
    except (OSError, pyarrow.ArrowException) as error:
        log.warning("%s: this part cannot be read and is made again: %s", part, error)
        return False
    known = [name for name in _IDENTITY if name in found and name in chunk]
    expected = chunk[known].reset_index(drop=True)
    if len(found) == len(chunk) and (not known or found[known].astype(str).equals(expected.astype(str))):
        return True
    log.warning("%s: this part is of other rows and is made again", part)
    return False


def check_output(output: pathlib.Path, *, overwrite: bool) -> None:
    """Refuse an output that could not be written, before any work is done.

    Raises:
        errors.InputError: The suffix is unknown, or the file exists and may not be replaced.
    """
    if output.suffix not in FORMATS:
        raise errors.InputError(f"--output: expected a name that ends in {', '.join(FORMATS)}. Received: {output}")
    if output.exists() and not overwrite:
        raise errors.InputError(
            f"--output: expected a new file. Received: {output}, which exists (--overwrite replaces it)"
        )


def _refuse_foreign(partial: pathlib.Path) -> None:
    """Refuse to use, and later to delete, a folder of the name that is not ours.

    Raises:
        errors.InputError: Something that no call of ``predict`` wrote stands there.
    """
    if not partial.exists() and not partial.is_symlink():
        return
    names = [each.name for each in partial.iterdir()] if partial.is_dir() and not partial.is_symlink() else [None]
    foreign = [name for name in names if name is None or not _OURS.fullmatch(name)]
    if foreign or (set(names) - {resuming.LOCK} and not _is_plan(partial / _PLAN, names)):
        raise errors.InputError(
            f"{partial}: expected a place for the parts of an unfinished output. Received: "
            f"{'a folder' if partial.is_dir() else 'a file'} that `predict` did not write; move it, or write elsewhere"
        )


def _is_plan(path: pathlib.Path, names: Sequence[str | None]) -> bool:
    """Tell whether a plan of ours is there; a call that was killed at once has left the beginning of one."""
    if not path.exists():
        return all(name is None or name.startswith((".plan-", resuming.LOCK)) for name in names)
    with contextlib.suppress(errors.InputError):
        return "inputs" in files.read_json(path)
    return False


def _prepare(partial: pathlib.Path, plan: Mapping[str, Any], *, resume: bool) -> None:
    """Keep the plan in the folder of finished chunks, or check that these are of this plan."""
    if not resume:
        resuming.clear(partial)
    resuming.begin(partial / _PLAN, {"inputs": [], **plan, **resuming.version()}, what="call of `predict`")


def _discard(partial: pathlib.Path) -> None:
    resuming.clear(partial)
    shutil.rmtree(partial)


def _finish(parts: list[pathlib.Path], finish: Callable[[pd.DataFrame], pd.DataFrame]) -> list[pathlib.Path]:
    """Write the final rows of each chunk beside it; an interrupted call does so again from the first on."""
    finished = [part.with_name(f"finished-{part.name}") for part in parts]
    for part, path in zip(parts, finished, strict=True):
        _write(finish(_read(part).to_pandas()), path)
    return finished


def _join(
    parts: list[pathlib.Path], output: pathlib.Path, *, seal: Callable[[pathlib.Path, pyarrow.Schema], None]
) -> None:
    # One schema for all: a column that is empty in one chunk has no type there.
    schemas = [_schema(part) for part in parts]
    schema = pyarrow.unify_schemas(schemas, promote_options="permissive") if parts else pyarrow.schema([])
    with files.atomic(output) as temporary:
        with contextlib.closing(row_files.open_writer(temporary, schema)) as writer:
            for part in parts:
                writer.write(_read(part, schema=schema))
        seal(temporary, schema)


# Streams, since Arrow takes no path that is not UTF-8.


def _write(table: pd.DataFrame, part: pathlib.Path) -> None:
    with files.atomic(part) as temporary, temporary.open("wb") as stream:
        pyarrow.parquet.write_table(pyarrow.Table.from_pandas(table, preserve_index=False), stream)


def _read(part: pathlib.Path, schema: pyarrow.Schema | None = None) -> pyarrow.Table:
    with part.open("rb") as stream:
        return pyarrow.parquet.read_table(stream, schema=schema)


def _schema(part: pathlib.Path) -> pyarrow.Schema:
    with part.open("rb") as stream:
        return pyarrow.parquet.read_schema(stream)
