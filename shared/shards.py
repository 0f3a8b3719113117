"""Score one share of the inputs in each of several processes, and join what they wrote.

Shard I of N takes the chunks I, I + N, I + 2N ... of all inputs, so that no process need know how long they are, and
each chunk is scored as it would be without shards. Beside each output lies a manifest. ``merge`` checks the manifests
and writes the file that one call without shards would have written.
"""

import contextlib
import dataclasses
import itertools
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow

from shared import batch, errors, files, resuming, row_files

_ENDING = ".manifest.json"
# Of the histograms of scores, which are probabilities.
_BINS = 20


class Shard(NamedTuple):
    """Which share of the chunks: ``number`` from 1, ``of`` so many."""

    number: int
    of: int

    def takes(self, chunk: int) -> bool:
        """Tell whether a chunk, from 1, belongs to this shard.

        >>> [chunk for chunk in range(1, 8) if Shard(2, 3).takes(chunk)]
        [2, 5]
        """
        return (chunk - self.number) % self.of == 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """The output of a shard.

    Attributes:
        path: The output.
        manifest: What ``share`` wrote beside it.
    """

    path: pathlib.Path
    manifest: Mapping[str, Any]

    @property
    def shard(self) -> Shard:
        """Which share of the chunks it holds."""
        return Shard(self.manifest["shard"], self.manifest["of"])

    def tables(self) -> Iterator[pyarrow.Table]:
        """Yield its rows, chunk after chunk."""
        return row_files.regrouped(
            row_files.read(self.path, row_files.schema(self.manifest["columns"])), self.manifest["chunk_rows"]
        )


def manifest_of(output: pathlib.Path) -> pathlib.Path:
    """Return where the manifest of a shard's output is.

    >>> manifest_of(pathlib.Path("scores-1.csv")).as_posix()
    'scores-1.csv.manifest.json'
    """
    return files.beside(output, _ENDING)


def share(
    shard: Shard, output: pathlib.Path, *, made_of: Mapping[str, Any], told: Callable[[], Mapping[str, Any]]
) -> batch.Share:
    """Return the share of the chunks that a shard scores, and how its manifest is written.

    Args:
        shard: Which share.
        output: Where it goes.
        made_of: What decides the output of all shards alike.
        told: Returns what the app's merge needs; called when all is scored.
    """

    def seal(file: pathlib.Path, schema: pyarrow.Schema, counts: Sequence[int]) -> None:
        taken = [rows for number, rows in enumerate(counts, start=1) if shard.takes(number)]
        # A file of no chunks has no columns either.
        rows, histogram = _summary(file, schema) if taken else (0, {})
        manifest = {
            "shard": shard.number,
            "of": shard.of,
            "rows": rows,
            "sha256": files.sha256(file),
            "histogram": histogram,
            "columns": {field.name: str(field.type) for field in schema},
            "chunk_rows": taken,
            "all": {"chunks": len(counts), "rows": sum(counts)},
            "made_of": {**made_of, **resuming.version()},
            "told": dict(told()),
        }
        # Before the output takes its name: an output without a manifest would be of no use, and could not be resumed.
        files.write_json(manifest_of(output), manifest)

    return batch.Share(takes=shard.takes, seal=seal)


def finished(shard: Shard, output: pathlib.Path, *, made_of: Mapping[str, Any]) -> int | None:
    """Return how many rows a finished shard has, None where it is not finished.

    Raises:
        errors.InputError: The output was made of something else, or has changed since; the message names it.
    """
    if not output.exists():
        return None
    part = _opened(output)
    wanted = json.loads(json.dumps({**made_of, **resuming.version(), "shard": list(shard)}))
    begun = {**part.manifest["made_of"], "shard": list(part.shard)}
    differing = resuming.differing(begun, wanted)
    if differing:
        raise errors.InputError(f"{output}: expected the shard that was begun. Received: another {differing}")
    _refuse_changed(part)
    return int(part.manifest["rows"])


def check_place(output: pathlib.Path) -> None:
    """Refuse an output whose manifest would replace a file that is none.

    Raises:
        errors.InputError: There is such a file.
    """
    place = manifest_of(output)
    with contextlib.suppress(errors.InputError):
        if not place.exists() or "chunk_rows" in files.read_json(place):
            return
    raise errors.InputError(f"{place}: expected the manifest of a shard, or no file. Received: another file")


def checked(paths: Sequence[pathlib.Path], *, app: str) -> list[Part]:
    """Return the outputs of all shards of one call in order, compared with their manifests and with each other.

    Args:
        paths: Outputs of shards, in any order.
        app: Which app must have written them, as ``made_of`` says.

    Raises:
        errors.InputError: One has no manifest, was changed, is there twice, is missing, or was made of other inputs, by
            another model or with other settings than the first; the message names it.
    """
    parts = sorted(map(_opened, paths), key=lambda part: (part.shard.number, paths.index(part.path)))
    first = parts[0]
    if (by := first.manifest["made_of"].get("app")) != app:
        raise errors.InputError(f"{first.path}: expected a shard of {app}. Received: one of {by}")
    for before, part in itertools.pairwise(parts):
        if part.shard.number == before.shard.number:
            raise errors.InputError(
                f"{part.path}: expected each shard once. Received: shard {_shown(part)}, which {before.path} is, too"
            )
    for part in parts:
        _refuse_other_work(part, first)
    missing = sorted(set(range(1, first.shard.of + 1)) - {part.shard.number for part in parts})
    if missing:
        raise errors.InputError(
            f"--merge: expected all {first.shard.of} shards. Received: none that is shard "
            f"{', '.join(map(str, missing))} of {first.shard.of}"
        )
    for part in parts:
        _refuse_changed(part)
    return parts


def merge(
    parts: Sequence[Part],
    *,
    output: pathlib.Path,
    resume: bool = False,
    overwrite: bool = False,
    on_rows: Callable[[int], None] = lambda _rows: None,
    finish: Callable[[pd.DataFrame], pd.DataFrame] | None = None,
) -> batch.Result:
    """Join the outputs of all shards, in the order of their chunks; see ``batch.predict``.

    Args:
        parts: As ``checked`` returns them.
        output: ``.csv``, ``.jsonl`` or ``.parquet``, whatever the parts are.
        resume: Go on with a merge that was interrupted.
        overwrite: Replace an existing output.
        on_rows: Called with the number of rows after each chunk.
        finish: As for ``batch.predict``.
    """
    return batch.predict(
        _in_turn([part.tables() for part in parts]),
        lambda chunk: chunk,
        output=output,
        plan={"inputs": resuming.inputs(part.path for part in parts)},
        resume=resume,
        overwrite=overwrite,
        on_rows=on_rows,
        finish=finish,
    )


def _in_turn(tables: Sequence[Iterator[pyarrow.Table]]) -> Iterator[pd.DataFrame]:
    """Yield the first chunk of each shard, then the second of each, until there is none."""
    for each in itertools.cycle(tables):
        table = next(each, None)
        if table is None:
            return
        yield table.to_pandas()


def _opened(path: pathlib.Path) -> Part:
    place = manifest_of(path)
    for each in (path, place):
        if not each.is_file():
            raise errors.InputError(
                f"{path}: expected what `predict --shard` wrote, with {place.name} beside it. Received: no {each.name}"
            )
    manifest = files.read_json(place)
    expected = ("shard", "of", "rows", "sha256", "histogram", "columns", "chunk_rows", "all", "made_of", "told")
    lacking = [name for name in expected if name not in manifest]
    if lacking:
        raise errors.InputError(f"{place}: expected the manifest of a shard. Received: one without {lacking[0]}")
    return Part(path=path, manifest=manifest)


def _refuse_other_work(part: Part, first: Part) -> None:
    if part.shard.of != first.shard.of:
        raise errors.InputError(
            f"{part.path}: expected one of {first.shard.of} shards, as {first.path}. Received: shard {_shown(part)}"
        )
    differing = resuming.differing(first.manifest["made_of"], part.manifest["made_of"])
    if not differing and part.manifest["all"] != first.manifest["all"]:
        differing = "number of rows in all"
    if differing:
        raise errors.InputError(
            f"{part.path}: expected a shard of the same call as {first.path}. Received: another {differing}"
        )


def _refuse_changed(part: Part) -> None:
    """Compare an output with its manifest: content, rows, histogram, and that it has its chunks and no others."""
    said, shard = part.manifest, part.shard
    if files.sha256(part.path) != said["sha256"]:
        raise errors.InputError(f"{part.path}: expected the file that its manifest describes. Received: a changed one")
    rows, histogram = _summary(part.path, row_files.schema(said["columns"])) if said["chunk_rows"] else (0, {})
    found = {
        "rows": (said["rows"], rows),
        "rows of chunks": (sum(said["chunk_rows"]), rows),
        "chunks": (len(range(shard.number, said["all"]["chunks"] + 1, shard.of)), len(said["chunk_rows"])),
        "histogram": (said["histogram"], histogram),
    }
    for name, (expected, received) in found.items():
        if expected != received:
            raise errors.InputError(f"{part.path}: expected the {name} {expected}. Received: {received}")


def _shown(part: Part) -> str:
    return f"{part.shard.number}/{part.shard.of}"


def _summary(path: pathlib.Path, schema: pyarrow.Schema) -> tuple[int, dict[str, dict[str, Any]]]:
    """Return how many rows an output has, and for each column of scores a histogram over [0, 1].

    ``other`` are scores that are missing or outside.
    """
    names = [field.name for field in schema if _is_of_scores(field)]
    counts = {name: np.zeros(_BINS, np.int64) for name in names}
    rows = 0
    for table in row_files.read(path, schema):
        rows += len(table)
        for name in names:
            values = table[name].to_numpy().astype(np.float64)
            counts[name] += np.histogram(values[np.isfinite(values)], _BINS, range=(0.0, 1.0))[0]
    return rows, {name: {"counts": found.tolist(), "other": rows - int(found.sum())} for name, found in counts.items()}


def _is_of_scores(field: pyarrow.Field) -> bool:
    named = field.name == "score" or field.name.startswith("score_")
    return bool(named and pyarrow.types.is_floating(field.type))
