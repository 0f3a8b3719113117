"""Where transactions come from: the simulator, a file or folder of tables, a public set by its name."""

import dataclasses
import functools
import logging
import math
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from apps.fraud_detection import download, simulator, transactions
from apps.fraud_detection import schema as schemas
from apps.fraud_detection.readers import (
    checking,
    columns,
    formats,
    inference,
    numerals,
    parts,
    repeats,
    roles,
    time_columns,
)
from shared import errors
from shared.sources import cells

log = logging.getLogger("fieldnets")
FORMATS = ("auto", formats.SIMULATOR, *formats.KNOWN, formats.TABLE)
CHUNK_ROWS = 1 << 18

_SAMPLE_ROWS = 100_000
# What the transactions of a run may lack when its own schema is given.
_OPTIONAL = ("label", "id", "group", "scenario", "weight")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading:
    """What a user says of how tables are to be read.

    Attributes:
        data_format: One of ``FORMATS``; ``auto`` decides by the names of the columns.
        follow_links: Whether links may lead out of a folder.
        decimal: The mark before the fraction in numbers of text.
        time_format: One of ``schema.TIME_FORMATS``, or a unit of ``schema.UNITS``.
        time: The column of the time; None: as the schema says.
        amount: That of the amount.
        label: That of the label.
        weight: That of the weights.
        label_delay_days: After how many days a label is known.
    """

    data_format: str = "auto"
    follow_links: bool = False
    decimal: cells.Decimal = "auto"
    time_format: str = schemas.AUTO
    time: str | None = None
    amount: str | None = None
    label: str | None = None
    weight: str | None = None
    label_delay_days: float | None = None


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
    reading: Reading = Reading(),
    schema_path: pathlib.Path | None = None,
    schema: schemas.Schema | None = None,
    labelled: bool = True,
    normal_weight: float | None = None,
    world: simulator.World | None = None,
) -> transactions.Transactions:
    """Read whole sources, check each row, and put all in order of time.

    Args:
        specs: ``card-simulator``, paths of files or folders, names of public sets; several are joined.
        reading: What the user says of the tables.
        schema_path: A file that says what the columns mean.
        schema: That of a trained run: its columns must be there, but for labels, ids, groups, scenarios and weights.
        labelled: Whether genuine transactions and frauds are demanded; otherwise labels may be missing.
        normal_weight: How many transactions each row that is no fraud stands for; a fraud stands for 1.
        world: What to simulate.

    Raises:
        errors.InputError: A source is not there, or its columns or rows cannot be used.
    """
    if reading.data_format not in FORMATS:
        raise errors.InputError(
            f"Expected a data format out of {', '.join(FORMATS)}. Received: {reading.data_format!r}"
        )
    if not specs:
        raise errors.InputError("Expected at least one source. Received: none")
    _check_weight(normal_weight, reading.weight)
    found = _found(specs, reading, world)
    every = [part for each in found.values() for part in each.parts]
    notes = [note for each in found.values() for note in each.notes]
    if schema is None:
        if schema_path is None and reading.data_format == "auto":
            formats.refuse_almost(every[0].names, where=every[0].file)
        schema, more = _understand(every, schema_path, reading, labelled=labelled)
        demanded = [name for name in schema.columns if labelled or name != schema.label]
        learning = True
    else:
        schema, more = _fitting(_changed(schema, reading), every)
        demanded, learning = list(schema.needed), False
    for part in every:
        checking.require(demanded, part.names, file=part.file)
    joined = _settled(found, schema, reading, learning=learning)
    if labelled:
        checking.refuse_unlearnable(joined)
    if normal_weight is not None:
        joined = dataclasses.replace(joined, weights=np.where(joined.labels == 1, 1.0, normal_weight))
    return dataclasses.replace(
        joined,
        sha256=transactions.digest(joined.cell_hashes()),
        notes=(*notes, *more, *roles.left_out(every, joined.schema), *joined.notes),
        roles=roles.describe(every, joined.schema),
    )


def iterate(
    paths: Sequence[str],
    schema: schemas.Schema,
    *,
    chunk_rows: int = CHUNK_ROWS,
    reading: Reading = Reading(),
    tell: Callable[[str], None] | None = None,
) -> Iterator[transactions.Transactions]:
    """Yield the transactions of files in pieces: bounded memory for any number of rows.

    Labels, ids, groups, scenarios and weights may be missing. Rows must be in order of time, over all files; ids must
    be unique within a piece and the one before it. No SHA-256 is computed.

    Args:
        paths: As the ``specs`` of ``load``, in order of time.
        schema: That of the run.
        chunk_rows: Rows of a piece.
        reading: What the user says of the tables.
        tell: Takes notes on what is read, and which files are not; None: they are logged.

    Raises:
        errors.InputError: A source is not there, a row cannot be used, or it is older than the one before it.
    """
    tell = tell or functools.partial(log.info, "%s")
    found = _found(paths, reading)
    every = [part for each in found.values() for part in each.parts]
    fitting, absent = _fitting(_changed(schema, reading), every)
    for note in (*(note for each in found.values() for note in each.notes), *absent):
        tell(note)
    for part in every:
        checking.require(fitting.needed, part.names, file=part.file)
    if reading.decimal != "auto":
        fitting = _with_decimals(fitting, every, reading, _number_columns(fitting))
    before: checking.Piece | None = None
    for piece in _pieces(every, fitting, chunk_rows):
        before = checking.following(piece, before)
        yield dataclasses.replace(before.rows, name=piece.file)
    for note in (note for part in every for note in part.said.values()):
        tell(note)
    if before is None:
        raise errors.InputError(f"{', '.join(paths)}: expected at least one transaction. Received: no rows")


def files_of(specs: Sequence[str], reading: Reading = Reading()) -> list[pathlib.Path]:
    """Return the files that are read of sources, in their order; none for the simulator."""
    paths = [path for spec in specs if (path := locate(spec)) is not None]
    return [file for path in paths for file in parts.files_of(path, follow_links=reading.follow_links)]


def _found(specs: Sequence[str], reading: Reading, world: simulator.World | None = None) -> dict[str, parts.Found]:
    repeats.refuse_twice(specs, files_of, reading)
    return {spec: _parts(spec, reading, world) for spec in specs}


def _parts(spec: str, reading: Reading, world: simulator.World | None = None) -> parts.Found:
    path = locate(spec)
    if path is None:
        return parts.of_simulator(world or simulator.World())
    found = parts.of_path(path, follow_links=reading.follow_links)
    if reading.data_format == "auto":
        return found
    return found._replace(parts=[each.as_format(reading.data_format) for each in found.parts])


def _understand(
    every: Sequence[parts.Part], schema_path: pathlib.Path | None, reading: Reading, *, labelled: bool
) -> tuple[schemas.Schema, tuple[str, ...]]:
    """Return what the columns mean, and notes on it: from a file, by a known format, or by guessing."""
    if schema_path is not None:
        return _changed(schemas.Schema.load(schema_path), reading), ()
    first = every[0]
    name = first.data_format
    common = [column for column in first.names if all(column in part.names for part in every)]
    if name == formats.TABLE:
        return _guess(every, common, reading, labelled=labelled)
    for part in every:
        schema = formats.known(name, part.names, where=part.file)
    schema = formats.restrict(schema, common, keep=("label",) if labelled else ())
    known = formats.KNOWN["handbook" if name == formats.SIMULATOR else name]
    return _changed(schema, reading), known.notes


def _guess(
    every: Sequence[parts.Part], common: Sequence[str], reading: Reading, *, labelled: bool
) -> tuple[schemas.Schema, tuple[str, ...]]:
    part = every[0]
    sample = next(part.read(common, _SAMPLE_ROWS), None)
    if sample is None:
        raise errors.InputError(f"{part.file}: expected at least one transaction. Received: no rows")
    given = inference.Given(
        time=reading.time,
        amount=reading.amount,
        label=reading.label,
        weight=reading.weight,
        time_format=reading.time_format,
        decimal=reading.decimal,
    )
    for role in ("time", "amount", "label", "weight"):
        if getattr(given, role) is not None:
            checking.require([getattr(given, role)], common, file=part.file)
    open_roles = [role for role in ("time", "amount", "label") if getattr(given, role) is None]
    try:
        schema = inference.infer(sample, where=part.file, given=given)
    except columns.UnreadableError:
        raise
    except errors.InputError:
        roles.refuse_lost(every, dict.fromkeys(open_roles))
        raise
    roles.refuse_lost(every, {role: getattr(schema, role) for role in open_roles if labelled or role != "label"})
    if labelled and schema.label is None:
        raise errors.InputError(
            f"{part.file}: expected a column of labels, such as is_fraud. Name it with --label-column, or in a file: "
            f"--schema FILE, such as\n{inference.EXAMPLE}\nReceived: a table with {formats.shown(part.columns)}"
        )
    if reading.label_delay_days is not None:
        schema = dataclasses.replace(schema, label_delay_days=reading.label_delay_days)
    words = ", ".join(f"{role} {name}" for role, name in roles.named(schema).items())
    note = f"{part.file}: columns recognised by their names: {words}; --schema FILE names them otherwise"
    lost = {name: columns.lost_digits(sample[name]) for name in (*schema.entities.values(), schema.id) if name}
    warnings = [f"{part.file}: {name} is {how}: different ones may be one" for name, how in lost.items() if how]
    return schema, (note, *warnings)


def _fitting(schema: schemas.Schema, every: Sequence[parts.Part]) -> tuple[schemas.Schema, tuple[str, ...]]:
    """Return a run's schema without the optional columns that no part has, and without ids that not every part has."""
    found = {column for column in schema.columns for part in every if formats.has(column, part.names)}
    if not all(schema.id in part.names for part in every):
        found.discard(schema.id or "")
    fitting = formats.restrict(schema, found, keep=("numeric", "categorical"))
    absent = [role for role in _OPTIONAL if getattr(fitting, role) != getattr(schema, role)]
    words = ", ".join(f"{getattr(schema, role)} ({role})" for role in absent)
    return fitting, (f"not in the data: {words}",) if absent else ()


def _changed(schema: schemas.Schema, reading: Reading) -> schemas.Schema:
    """Return a schema with what the user says instead."""
    asked = {role: getattr(reading, role) for role in ("time", "amount", "label", "weight")}
    given: dict[str, Any] = {role: name for role, name in asked.items() if name is not None}
    left = {
        role: tuple(name for name in getattr(schema, role) if name not in given.values())
        for role in ("numeric", "categorical")
    }
    # Beside another column of the time, that of its time of day means nothing.
    clock = schema.clock if reading.time in (None, schema.time) else None
    schema = dataclasses.replace(schema, clock=clock, **{**left, **given})
    if reading.time_format in schemas.UNITS:
        schema = dataclasses.replace(schema, time_unit=reading.time_format, time_format=schemas.AUTO)
    elif reading.time_format != schemas.AUTO:
        schema = dataclasses.replace(schema, time_unit="datetime", time_format=reading.time_format)
    delay = reading.label_delay_days
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


def _settled(
    found: dict[str, parts.Found], schema: schemas.Schema, reading: Reading, *, learning: bool
) -> transactions.Transactions:
    """Read all rows; where a column is not written plainly, by the one convention that all of its rows show.

    A run's schema holds the conventions of its columns: those of later data are not guessed anew.
    """
    every = [part for each in found.values() for part in each.parts]
    if reading.decimal != "auto":
        schema = _with_decimals(schema, every, reading, _number_columns(schema))
    asked: set[str] = set()
    while True:
        try:
            joined = _joined(found, schema)
        except columns.UnreadableError as error:
            names = [name for name in schema.columns if error.column in (name, *_own_names(every, name))]
            if not learning or not names or names[0] in asked:
                raise
            settled = _with_convention(schema, every, reading, names[0])
            if settled == schema:
                raise
            asked.add(names[0])
            schema = settled
        else:
            written = roles.conventions(schema)
            return dataclasses.replace(joined, notes=(*written, *joined.notes))


def _with_convention(
    schema: schemas.Schema, every: Sequence[parts.Part], reading: Reading, column: str
) -> schemas.Schema:
    if column in _number_columns(schema):
        return _with_decimals(schema, every, reading, [column])
    if column == schema.time and schema.time_unit == "datetime" and schema.time_format == schemas.AUTO:
        how = time_columns.settle(_columns(every, column), where=every[0].file, column=column)
        return dataclasses.replace(schema, time_format=how)
    return schema


def _with_decimals(
    schema: schemas.Schema, every: Sequence[parts.Part], reading: Reading, wanted: Sequence[str]
) -> schemas.Schema:
    """Return a schema with the conventions of columns of numbers, from all rows of all parts."""
    settled = {name: numerals.settle(_columns(every, name), decimal=reading.decimal) for name in wanted}
    kept = {name: written for name, written in schema.decimal.items() if name not in settled}
    return dataclasses.replace(schema, decimal={**kept, **{name: each for name, each in settled.items() if each}})


def _columns(every: Sequence[parts.Part], column: str) -> "Iterator[inference.Column]":
    for part in every:
        if column in part.names:
            for frame in part.read([column], CHUNK_ROWS):
                yield frame[column]


def _number_columns(schema: schemas.Schema) -> list[str]:
    return [name for name in (schema.amount, schema.weight, *schema.numeric) if name is not None]


def _own_names(every: Sequence[parts.Part], name: str) -> list[str]:
    return [part.aliases[name] for part in every if name in part.aliases]


def _joined(found: dict[str, parts.Found], schema: schemas.Schema) -> transactions.Transactions:
    """Read source after source, and put the rows of all in order of time."""
    pieces: dict[str, list[checking.Piece]] = {}
    numbered = 0
    for spec, each in found.items():
        pieces[spec] = list(_pieces(each.parts, schema, CHUNK_ROWS, numbered))
        numbered += sum(len(piece.rows) for piece in pieces[spec])
    every = [part for each in found.values() for part in each.parts]
    joined = checking.join(list(pieces.values()), names=repeats.source_names(list(found)))
    said = [note for part in every for note in part.said.values()]
    said += repeats.refuse_copies([piece for each in pieces.values() for piece in each])
    said += repeats.named_parts([part.file for part in every])
    return dataclasses.replace(joined, notes=(*said, *joined.notes))


def _pieces(
    every: Sequence[parts.Part], schema: schemas.Schema, chunk_rows: int, numbered: int = 0
) -> Iterator[checking.Piece]:
    """Yield the checked rows of parts; of each part only the columns that the schema names are read."""
    for part in every:
        before = 0
        wanted = [column for column in schema.columns if formats.has(column, part.names)]
        for frame in part.read(formats.sources(wanted, part.names), chunk_rows):
            if not len(frame):
                continue
            plain = formats.adapt(frame, wanted, data_format=part.data_format, file=part.file, before=before)
            yield checking.piece(
                plain, schema, file=part.file, before=before, numbered=numbered, own_names=part.aliases
            )
            before, numbered = before + len(frame), numbered + len(frame)
