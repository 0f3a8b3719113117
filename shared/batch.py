"""Score any number of rows in bounded memory, and go on after a kill without doubling or losing one.

Each chunk is written whole, as one Parquet file, to ``<output>.partial/``; ``--resume`` skips the chunks that are
there. At the end the chunks are streamed into the output file, which appears in one rename.
"""

import contextlib
import dataclasses
import json
import pathlib
import shutil
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import pandas as pd
import pyarrow.csv
import pyarrow.parquet

from shared import errors, files

FORMATS = (".csv", ".jsonl", ".parquet")
_PLAN = "plan.json"


class _Writer(Protocol):
    def write(self, table: pyarrow.Table) -> None: ...
    def close(self) -> None: ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What ``predict`` wrote.

    Attributes:
        rows: Rows in the output.
        resumed_rows: Rows that an earlier, interrupted call had scored.
    """

    rows: int
    resumed_rows: int


def predict(
    chunks: Iterable[pd.DataFrame],
    score: Callable[[pd.DataFrame], pd.DataFrame],
    *,
    output: pathlib.Path,
    plan: Mapping[str, Any],
    resume: bool = False,
    overwrite: bool = False,
    on_rows: Callable[[int], None] = lambda _rows: None,
    finish: Callable[[pd.DataFrame], pd.DataFrame] | None = None,
) -> Result:
    """Score chunks one after another and write them as one file.

    Args:
        chunks: The input rows; the same sequence each time it is made for the same plan.
        score: Turns a chunk into its output rows.
        output: ``.csv``, ``.jsonl`` or ``.parquet``.
        plan: What decides the output (inputs, model, chunk size); a resumed call must have the same.
        resume: Keep the chunks that an interrupted call finished.
        overwrite: Replace an existing output.
        on_rows: Called with the number of rows after each chunk.
        finish: Turns each chunk's output rows into the final ones, chunk after chunk, when all are scored: for what
            depends on the rows before, such as tracks.

    Raises:
        errors.InputError: The output exists, its suffix is unknown, or the interrupted call had another plan.
    """
    check_output(output, overwrite=overwrite)
    partial = _partial(output)
    _prepare(partial, plan, resume=resume)
    rows = resumed_rows = number = 0
    for number, chunk in enumerate(chunks, start=1):
        part = partial / f"{number:08d}.parquet"
        if part.exists():
            resumed_rows += len(chunk)
        else:
            with files.atomic(part) as temporary:
                score(chunk).to_parquet(temporary, index=False)
        rows += len(chunk)
        on_rows(len(chunk))
    if rows == 0:
        shutil.rmtree(partial)
        raise errors.InputError("expected at least one row to score. Received: none")
    parts = [partial / f"{part:08d}.parquet" for part in range(1, number + 1)]
    if finish is not None:
        parts = _finish(parts, finish)
    _join(parts, output)
    shutil.rmtree(partial)
    return Result(rows=rows, resumed_rows=resumed_rows)


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


def _partial(output: pathlib.Path) -> pathlib.Path:
    return output.with_name(output.name + ".partial")


def _prepare(partial: pathlib.Path, plan: Mapping[str, Any], *, resume: bool) -> None:
    """Make the folder of finished chunks, or check that it belongs to this plan."""
    wanted = json.loads(json.dumps(plan))
    if partial.exists() and resume and (partial / _PLAN).exists():
        found = files.read_json(partial / _PLAN)
        changed = sorted(key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key))
        if changed:
            raise errors.InputError(
                f"{partial}: --resume expects the same call as the interrupted one. Received: another "
                f"{', '.join(changed)}"
            )
        return
    if partial.exists():
        shutil.rmtree(partial)
    files.write_json(partial / _PLAN, wanted)


def _finish(parts: list[pathlib.Path], finish: Callable[[pd.DataFrame], pd.DataFrame]) -> list[pathlib.Path]:
    """Write the final rows of each chunk beside it; an interrupted call does so again from the first on."""
    finished = [part.with_name(f"finished-{part.name}") for part in parts]
    for part, path in zip(parts, finished, strict=True):
        with files.atomic(path) as temporary:
            finish(pd.read_parquet(part)).to_parquet(temporary, index=False)
    return finished


def _join(parts: list[pathlib.Path], output: pathlib.Path) -> None:
    # One schema for all: a column that is empty in one chunk has no type there.
    found = [pyarrow.parquet.read_schema(part) for part in parts]
    schema = pyarrow.unify_schemas(found, promote_options="permissive")
    with files.atomic(output) as temporary, contextlib.closing(_open_writer(temporary, schema)) as writer:
        for part in parts:
            writer.write(pyarrow.parquet.read_table(part, schema=schema))


def _open_writer(path: pathlib.Path, schema: pyarrow.Schema) -> _Writer:
    if path.suffix == ".parquet":
        return _ParquetWriter(path, schema)
    return _CsvWriter(path, schema) if path.suffix == ".csv" else _JsonLinesWriter(path)


class _ParquetWriter:
    def __init__(self, path: pathlib.Path, schema: pyarrow.Schema) -> None:
        self._writer = pyarrow.parquet.ParquetWriter(path, schema)

    def write(self, table: pyarrow.Table) -> None:
        self._writer.write_table(table)

    def close(self) -> None:
        self._writer.close()


class _CsvWriter:
    def __init__(self, path: pathlib.Path, schema: pyarrow.Schema) -> None:
        self._writer = pyarrow.csv.CSVWriter(path, schema)

    def write(self, table: pyarrow.Table) -> None:
        self._writer.write_table(table)

    def close(self) -> None:
        self._writer.close()


class _JsonLinesWriter:
    def __init__(self, path: pathlib.Path) -> None:
        self._stream = path.open("w", encoding="utf-8")

    def write(self, table: pyarrow.Table) -> None:
        for row in table.to_pylist():
            self._stream.write(json.dumps(row, ensure_ascii=False) + "\n")

    def close(self) -> None:
        self._stream.close()
