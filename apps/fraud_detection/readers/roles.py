"""What every column of a source is read as, and why some are not: in words, for ``data`` and the report."""

from collections.abc import Mapping, Sequence

from apps.fraud_detection import schema as schemas
from apps.fraud_detection.readers import checking, formats, names, parts, time_columns
from shared import errors

_MARKS = {"point": "a decimal point and thousands separators where there are any", "comma": "decimal commas"}


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
    roles = _roles(schema)
    for part in every:
        asked = {part.aliases.get(name, name): name for name in _read(schema, part)}
        for name in part.columns:
            meant = asked.get(name)
            found.setdefault(name, roles[meant] if meant else f"not read: {_reason(name, part, schema, every)}")
        found |= {name: "not read: it holds lists or records" for name in part.nested}
    return tuple(found.items())


def _roles(schema: schemas.Schema) -> Mapping[str, str]:
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
