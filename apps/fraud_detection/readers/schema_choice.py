"""Which schema tables are read by: a file's, that of a known format, an inferred one, or that of a trained run.

Where a column is not written plainly, the one convention that all of its rows show joins the schema. ``describe`` gives
the role of every column, or why it is not read, for ``data`` and the report.
"""

import dataclasses
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from apps.fraud_detection import schema as schemas
from apps.fraud_detection.readers import checking, formats, inference, names, parts, time_columns
from shared import errors
from shared.sources import columns, numerals

_MARKS = {"point": "a decimal point and thousands separators where there are any", "comma": "decimal commas"}
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
        refuse_missing(every, dict.fromkeys(open_roles))
        raise
    refuse_missing(every, {role: getattr(schema, role) for role in open_roles if labelled or role != "label"})
    if labelled and schema.label is None:
        raise errors.InputError(
            f"{part.file}: expected a column of labels, such as is_fraud. Name it with --label-column, or in a file: "
            f"--schema FILE, such as\n{inference.EXAMPLE}\nReceived: a table with {formats.shown(part.columns)}"
        )
    if reading.label_delay_days is not None:
        schema = dataclasses.replace(schema, label_delay_days=reading.label_delay_days)
    words = ", ".join(f"{role} {name}" for role, name in named(schema).items())
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


def refuse_missing(every: Sequence[parts.Part], chosen: Mapping[str, str | None]) -> None:
    """Refuse files of which a column that is called a time, an amount or a label is lost, in one of them or in all.

    Args:
        every: The files.
        chosen: Role -> the column that has it, though others may be called so; None where none has.

    Raises:
        errors.InputError: The column holds lists or records, or not every file has it.
    """
    for role, column in chosen.items():
        for part in every:
            for name in names.ROLES[role].likelier(part.nested, column):
                raise errors.InputError(
                    f"{part.file}: column {name!r}: expected one {role} a row. Received: lists or records "
                    f"({checking.ADVICE[role]})"
                )
            for name in names.ROLES[role].likelier(part.columns, column):
                lacking = [other for other in every if name not in other.names]
                if lacking:
                    raise errors.InputError(
                        f"{lacking[0].file}: expected the column {name!r} ({role}), as {part.file} has it. Received: a "
                        f"table with {formats.shown(lacking[0].columns)} ({checking.ADVICE[role]})"
                    )


def named(schema: schemas.Schema) -> dict[str, str]:
    """Return the roles that a table was found to have, for a note: role -> column."""
    clock = f" and {schema.clock}" if schema.clock else ""
    found = {
        "time": f"{schema.time}{clock} ({schema.time_unit})",
        "amount": schema.amount,
        **schema.entities,
        "label": schema.label,
    }
    return {role: name for role, name in found.items() if name}


def conventions(schema: schemas.Schema) -> tuple[str, ...]:
    """Return notes on the columns that are not written plainly."""
    notes = []
    for name, written in schema.decimal.items():
        decimal, _, currency = written.partition(" ")
        notes.append(f"{name}: numbers are read with {_MARKS[decimal]}{f', in {currency}' if currency else ''}")
    if schema.time_format != schemas.AUTO:
        notes.append(
            f"{schema.time}: times are read as {schema.time_format}, as all rows agree; --time-format reads otherwise"
        )
    if schema.clock is not None:
        notes.append(f"{schema.clock}: the time of day of {schema.time}")
    return tuple(notes)


def left_out(every: Sequence[parts.Part], schema: schemas.Schema) -> tuple[str, ...]:
    """Return a note on the columns that are not read."""
    unread = [name for name, role in describe(every, schema) if role.startswith("not read")]
    return (f"columns not read: {formats.shown(unread)}",) if unread else ()


def describe(every: Sequence[parts.Part], schema: schemas.Schema) -> tuple[tuple[str, str], ...]:
    """Return the role of every column, under the name that the file has for it."""
    found: dict[str, str] = {}
    roles = _columns_of(schema)
    for part in every:
        asked = {part.aliases.get(name, name): name for name in _read(schema, part)}
        for name in part.columns:
            meant = asked.get(name)
            found.setdefault(name, roles[meant] if meant else f"not read: {_reason(name, part, schema, every)}")
        found |= {name: "not read: it holds lists or records" for name in part.nested}
    return tuple(found.items())


def _columns_of(schema: schemas.Schema) -> Mapping[str, str]:
    found: dict[str, list[str]] = {}

    def add(name: str | None, role: str) -> None:
        for each in formats.SYNTHETIC.get(name or "", (name,)):
            if each is not None:
                found.setdefault(each, []).append(role)

    for name, role in time_columns.described(schema).items():
        add(name, role)
    add(schema.amount, "amount")
    for role, name in schema.entities.items():
        add(name, role)
    for role in ("label", "id", "group", "scenario", "weight"):
        add(getattr(schema, role), role)
    for name in schema.numeric:
        add(name, "feature: number")
    for name in schema.categorical:
        add(name, "feature: category")
    return {name: ", ".join(roles) for name, roles in found.items()}


def _read(schema: schemas.Schema, part: parts.Part) -> tuple[str, ...]:
    return formats.sources(schema.columns, part.names)


def _reason(name: str, part: parts.Part, schema: schemas.Schema, every: Sequence[parts.Part]) -> str:
    if formats.is_leaking(name):
        return "it gives the label away, as in PaySim"
    if part.data_format != formats.TABLE:
        return f"{part.data_format} has no use for it"
    if names.is_index(name) or not name:
        return "it numbers the rows"
    lacking = [other.file for other in every if name not in other.names]
    if lacking:
        return f"{lacking[0]}{f' and {len(lacking) - 1} more' if lacking[1:] else ''} has no such column"
    if schema.label is not None and names.is_of_fraud(name):
        return "its name is about frauds, which could give the label away"
    if names.is_time(name):
        return "another time"
    return "empty, or too many different names to learn from; or --schema FILE does not name it"
