"""Which schema tables are read by: a file's, that of a known format, an inferred one, or that of a trained run.

Where a column is not written plainly, the one convention that all of its rows show joins the schema.
"""

import dataclasses
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

from apps.fraud_detection import schema as schemas
from apps.fraud_detection.readers import checking, formats, inference, names, parts, roles, time_columns
from shared import errors
from shared.sources import columns, numerals

_SAMPLE_ROWS = 100_000
# What the transactions of a run may lack when its own schema is given.
_OPTIONAL = ("label", "id", "group", "scenario", "weight")


def choose(
    every: Sequence[parts.Part], schema_path: pathlib.Path | None, reading: inference.Reading, *, labelled: bool
) -> tuple[schemas.Schema, tuple[str, ...]]:
    """Return what the columns mean, and notes on it: from a file, by a known format, or by guessing."""
    if schema_path is not None:
        return changed(schemas.Schema.load(schema_path), reading), ()
    first = every[0]
    name = first.data_format
    common = [column for column in first.names if all(column in part.names for part in every)]
    if name == formats.TABLE:
        return _guess(every, common, reading, labelled=labelled)
    for part in every:
        schema = formats.known(name, part.names, where=part.file)
    schema = formats.restrict(schema, common, keep=("label",) if labelled else ())
    known = formats.of(name)
    return changed(schema, reading), known.notes


def _guess(
    every: Sequence[parts.Part], common: Sequence[str], reading: inference.Reading, *, labelled: bool
) -> tuple[schemas.Schema, tuple[str, ...]]:
    part = every[0]
    sample = next(part.read(common, _SAMPLE_ROWS), None)
    if sample is None:
        raise errors.InputError(f"{part.file}: expected at least one transaction. Received: no rows")
    checking.require(list(reading.named.values()), common, file=part.file)
    open_roles = [role for role in names.ROLES if role not in reading.named]
    try:
        schema = inference.infer(sample, where=part.file, reading=reading)
    except columns.UnreadableError:
        raise
    except errors.InputError:
        roles.refuse_missing(every, dict.fromkeys(open_roles))
        raise
    roles.refuse_missing(every, {role: getattr(schema, role) for role in open_roles if labelled or role != "label"})
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


def fitting(schema: schemas.Schema, every: Sequence[parts.Part]) -> tuple[schemas.Schema, tuple[str, ...]]:
    """Return a run's schema without the optional columns that no part has, and without ids that not every part has."""
    found = {column for column in schema.columns for part in every if formats.has(column, part.names)}
    if not all(schema.id in part.names for part in every):
        found.discard(schema.id or "")
    fitting = formats.restrict(schema, found, keep=("numeric", "categorical"))
    absent = [role for role in _OPTIONAL if getattr(fitting, role) != getattr(schema, role)]
    words = ", ".join(f"{getattr(schema, role)} ({role})" for role in absent)
    return fitting, (f"not in the data: {words}",) if absent else ()


def changed(schema: schemas.Schema, reading: inference.Reading) -> schemas.Schema:
    """Return a schema with the columns and conventions that the user states instead."""
    given: dict[str, Any] = dict(reading.named)
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


def with_convention(
    schema: schemas.Schema, every: Sequence[parts.Part], reading: inference.Reading, column: str
) -> schemas.Schema:
    """Return a schema with the convention that all rows of a column show, the schema itself where there is none."""
    if column in number_columns(schema):
        return with_decimals(schema, every, reading, [column])
    if column == schema.time and schema.time_unit == "datetime" and schema.time_format == schemas.AUTO:
        how = time_columns.date_order(_columns(every, column), where=every[0].file, column=column)
        return dataclasses.replace(schema, time_format=how)
    return schema


def with_decimals(
    schema: schemas.Schema, every: Sequence[parts.Part], reading: inference.Reading, wanted: Sequence[str]
) -> schemas.Schema:
    """Return a schema with the conventions of columns of numbers, from all rows of all parts."""
    settled = {name: numerals.find_convention(_columns(every, name), decimal=reading.decimal) for name in wanted}
    kept = {name: written for name, written in schema.decimal.items() if name not in settled}
    return dataclasses.replace(schema, decimal={**kept, **{name: each for name, each in settled.items() if each}})


def _columns(every: Sequence[parts.Part], column: str) -> "Iterator[inference.Column]":
    for part in every:
        if column in part.names:
            for frame in part.read([column], parts.CHUNK_ROWS):
                yield frame[column]


def number_columns(schema: schemas.Schema) -> list[str]:
    """Return the columns of numbers: amount, weight and features."""
    return [name for name in (schema.amount, schema.weight, *schema.numeric) if name is not None]


def own_names(every: Sequence[parts.Part], name: str) -> list[str]:
    """Return what files call a column that the schema calls ``name``."""
    return [part.aliases[name] for part in every if name in part.aliases]
