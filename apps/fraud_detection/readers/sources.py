"""Where transactions come from: the simulator, a file or folder of tables, a public set by its name."""

import dataclasses
import math
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np

from apps.fraud_detection import download, simulator, transactions
from apps.fraud_detection import schema as schemas
from apps.fraud_detection.readers import checking, formats, inference, parts
from shared import errors

FORMATS = ("auto", formats.SIMULATOR, *formats.KNOWN, formats.TABLE)
CHUNK_ROWS = 1 << 18

_SAMPLE_ROWS = 100_000
# What the transactions of a run may lack when its own schema is given.
_OPTIONAL = ("label", "id", "group", "scenario", "weight")


def locate(spec: str) -> pathlib.Path | None:
    """Return the path of a source; None for the simulator. A public set is downloaded if it is not there yet.

    Raises:
        errors.InputError: There is nothing at the path.
    """
    if spec == formats.SIMULATOR:
        return None
    path = pathlib.Path(spec)
    if not path.exists() and spec in (*download.FILES, *download.BY_HAND):
        path = download.fetch(spec)
    if not path.exists():
        raise errors.InputError(
            f"Expected {formats.SIMULATOR!r}, a public set ({', '.join([*download.FILES, *download.BY_HAND])}) or an "
            f"existing path. Received: {spec!r}"
        )
    return path


def load(
    specs: Sequence[str],
    *,
    data_format: str = "auto",
    schema_path: pathlib.Path | None = None,
    schema: schemas.Schema | None = None,
    labelled: bool = True,
    normal_weight: float | None = None,
    sample_weight_column: str | None = None,
    label_delay_days: float | None = None,
    world: simulator.World | None = None,
) -> transactions.Transactions:
    """Read whole sources, check each row, and put all in order of time.

    Args:
        specs: ``card-simulator``, paths of files or folders, names of public sets; several are joined.
        data_format: One of ``FORMATS``; ``auto`` decides by the names of the columns.
        schema_path: A file that says what the columns mean.
        schema: That of a trained run: its columns must be there, but for labels, ids, groups, scenarios and weights.
        labelled: Whether genuine transactions and frauds are demanded; otherwise labels may be missing.
        normal_weight: How many transactions each row that is no fraud stands for; a fraud stands for 1.
        sample_weight_column: Column that says so row by row.
        label_delay_days: Instead of that of the schema.
        world: What to simulate.

    Raises:
        errors.InputError: A source is not there, or its columns or rows cannot be used.
    """
    if data_format not in FORMATS:
        raise errors.InputError(f"Expected a data format out of {', '.join(FORMATS)}. Received: {data_format!r}")
    if not specs:
        raise errors.InputError("Expected at least one source. Received: none")
    _check_weight(normal_weight, sample_weight_column)
    found = {spec: _parts(spec, world, data_format) for spec in dict.fromkeys(specs)}
    every = [part for each in found.values() for part in each]
    if schema is None:
        if schema_path is None and data_format == "auto":
            formats.refuse_almost(every[0].columns, where=every[0].file)
        schema, notes = _understand(every, schema_path, labelled=labelled)
        schema = _changed(schema, sample_weight_column, label_delay_days)
        demanded = [name for name in schema.columns if labelled or name != schema.label]
    else:
        schema, notes = _fitting(_changed(schema, sample_weight_column, label_delay_days), every)
        demanded = list(schema.needed)
    for part in every:
        checking.require(demanded, part.columns, file=part.file)
    joined = _joined(found, schema)
    if labelled:
        checking.refuse_unlearnable(joined)
    if normal_weight is not None:
        joined = dataclasses.replace(joined, weights=np.where(joined.labels == 1, 1.0, normal_weight))
    digest = transactions.digest(joined.content_hashes())
    return dataclasses.replace(joined, sha256=digest, notes=(*notes, *_left_out(every, schema), *joined.notes))


def iterate(
    paths: Sequence[str], schema: schemas.Schema, *, chunk_rows: int = CHUNK_ROWS
) -> Iterator[transactions.Transactions]:
    """Yield the transactions of files in pieces: bounded memory for any number of rows.

    Labels, ids, groups, scenarios and weights may be missing. Rows must be in order of time, over all files; ids must
    be unique within a piece and the one before it. No SHA-256 is computed.

    Args:
        paths: As the ``specs`` of ``load``, in order of time.
        schema: That of the run.
        chunk_rows: Rows of a piece.

    Raises:
        errors.InputError: A source is not there, a row cannot be used, or it is older than the one before it.
    """
    every = [part for path in paths for part in _parts(path)]
    fitting, _ = _fitting(schema, every)
    for part in every:
        checking.require(fitting.needed, part.columns, file=part.file)
    before: checking.Piece | None = None
    for piece in _pieces(every, fitting, chunk_rows):
        before = checking.following(piece, before)
        yield dataclasses.replace(before.rows, name=piece.file)
    if before is None:
        raise errors.InputError(f"{', '.join(paths)}: expected at least one transaction. Received: no rows")


def _parts(spec: str, world: simulator.World | None = None, data_format: str = "auto") -> list[parts.Part]:
    path = locate(spec)
    if path is None:
        return parts.of_simulator(world or simulator.World())
    found = parts.of_path(path)
    return found if data_format == "auto" else [dataclasses.replace(each, data_format=data_format) for each in found]


def _understand(
    every: Sequence[parts.Part], schema_path: pathlib.Path | None, *, labelled: bool
) -> tuple[schemas.Schema, tuple[str, ...]]:
    """Return what the columns mean, and notes on it: from a file, by a known format, or by guessing."""
    if schema_path is not None:
        return schemas.Schema.load(schema_path), ()
    first = every[0]
    name = first.data_format
    common = [column for column in first.columns if all(column in part.columns for part in every)]
    if name == formats.TABLE:
        return _guess(first, common, labelled=labelled)
    for part in every:
        schema = formats.known(name, part.columns, where=part.file)
    schema = formats.restrict(schema, common, keep=("label",) if labelled else ())
    known = formats.KNOWN["handbook" if name == formats.SIMULATOR else name]
    return schema, known.notes


def _guess(part: parts.Part, common: Sequence[str], *, labelled: bool) -> tuple[schemas.Schema, tuple[str, ...]]:
    sample = next(part.chunks(common, _SAMPLE_ROWS), None)
    if sample is None:
        raise errors.InputError(f"{part.file}: expected at least one transaction. Received: no rows")
    schema = inference.infer(sample, where=part.file)
    if labelled and schema.label is None:
        raise errors.InputError(
            f"{part.file}: expected a column of labels, such as is_fraud. Name it in a file: --schema FILE, such as\n"
            f"{inference.EXAMPLE}\nReceived: a table with {formats.shown(part.columns)}"
        )
    roles = {
        "time": f"{schema.time} ({schema.time_unit})",
        "amount": schema.amount,
        **schema.entities,
        "label": schema.label,
    }
    words = ", ".join(f"{role} {name}" for role, name in roles.items() if name)
    return schema, (f"{part.file}: columns recognised by their names: {words}; --schema FILE names them otherwise",)


def _fitting(schema: schemas.Schema, every: Sequence[parts.Part]) -> tuple[schemas.Schema, tuple[str, ...]]:
    """Return a run's schema without the optional columns that no part has, and without ids that not every part has."""
    found = {column for column in schema.columns for part in every if formats.has(column, part.columns)}
    if not all(schema.id in part.columns for part in every):
        found.discard(schema.id or "")
    fitting = formats.restrict(schema, found, keep=("numeric", "categorical"))
    absent = [role for role in _OPTIONAL if getattr(fitting, role) != getattr(schema, role)]
    words = ", ".join(f"{getattr(schema, role)} ({role})" for role in absent)
    return fitting, (f"not in the data: {words}",) if absent else ()


def _changed(schema: schemas.Schema, weight: str | None, delay: float | None) -> schemas.Schema:
    if weight is not None:
        left = {
            role: tuple(name for name in getattr(schema, role) if name != weight) for role in ("numeric", "categorical")
        }
        schema = dataclasses.replace(schema, weight=weight, numeric=left["numeric"], categorical=left["categorical"])
    return schema if delay is None else dataclasses.replace(schema, label_delay_days=delay)


def _check_weight(normal_weight: float | None, column: str | None) -> None:
    if normal_weight is None:
        return
    if not 0 < normal_weight < math.inf:
        raise errors.InputError(f"Expected a weight of genuine transactions above 0. Received: {normal_weight!r}")
    if column is not None:
        raise errors.InputError(
            f"Expected a weight of genuine transactions or a column of weights, not both. "
            f"Received: {normal_weight!r} and {column!r}"
        )


def _joined(found: dict[str, list[parts.Part]], schema: schemas.Schema) -> transactions.Transactions:
    """Read source after source, and put the rows of all in order of time."""
    pieces: dict[str, list[checking.Piece]] = {}
    numbered = 0
    for spec, every in found.items():
        pieces[spec] = list(_pieces(every, schema, CHUNK_ROWS, numbered))
        numbered += sum(len(each.rows) for each in pieces[spec])
    names = [spec if spec == formats.SIMULATOR else pathlib.Path(spec).name for spec in found]
    return checking.join(list(pieces.values()), names=names)


def _pieces(
    every: Sequence[parts.Part], schema: schemas.Schema, chunk_rows: int, numbered: int = 0
) -> Iterator[checking.Piece]:
    """Yield the checked rows of parts; of each part only the columns that the schema names are read."""
    for part in every:
        before = 0
        wanted = [column for column in schema.columns if formats.has(column, part.columns)]
        for frame in part.chunks(formats.sources(wanted, part.columns), chunk_rows):
            if not len(frame):
                continue
            plain = formats.adapt(frame, wanted, data_format=part.data_format, file=part.file, before=before)
            yield checking.piece(plain, schema, file=part.file, before=before, numbered=numbered)
            before, numbered = before + len(frame), numbered + len(frame)


def _left_out(every: Sequence[parts.Part], schema: schemas.Schema) -> tuple[str, ...]:
    """Return a note on the columns that are not read."""
    seen = list(dict.fromkeys(column for part in every for column in part.columns))
    unread = [column for column in seen if column not in formats.sources(schema.columns, seen)]
    return (f"columns not read: {formats.shown(unread)}",) if unread else ()
