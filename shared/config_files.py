"""Config files for people: a commented one to begin with, and the schema by which an editor completes and checks it."""

import dataclasses
import json
import textwrap
from typing import Any

from shared import config

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}
_LINE_CHARACTERS = 100


def schema(cls: type[config.Config], *, title: str) -> dict[str, Any]:
    """Return the JSON Schema of an app's config files: every setting with its type, choices, limits and help.

    Args:
        cls: The app's config class.
        title: What it is of.
    """
    fields = {field.name: _of_field(field, config.field_types(cls)[field.name]) for field in dataclasses.fields(cls)}
    return {
        "$schema": DRAFT,
        "title": title,
        "type": "object",
        "additionalProperties": False,
        "properties": {config.SCHEMA: {"type": "string"}, **fields},
    }


def _of_field(field: dataclasses.Field[Any], declared: Any) -> dict[str, Any]:
    limits = field.metadata
    kinds = [_TYPES[kind] for kind in config.member_types(config.element_type(declared))]
    one: dict[str, Any] = {"type": kinds[0] if len(kinds) == 1 else kinds}
    for name, limit in (("minimum", limits["minimum"]), ("maximum", limits["maximum"])):
        if limit is not None:
            one[name] = limit
    if limits["choices"]:
        one["enum"] = list(limits["choices"])
    described = {"description": described_by(field)}
    return {"type": "array", "items": one, **described} if config.is_sequence(declared) else {**one, **described}


def described_by(field: dataclasses.Field[Any]) -> str:
    """Return a field's help with its unit, choices and limits."""
    limits = field.metadata
    choices = " | ".join("null" if each is None else str(each) for each in limits["choices"])
    ends = [f"{word} {limits[name]}" for word, name in (("at least", "minimum"), ("at most", "maximum"))]
    known = [end for end in ends if not end.endswith("None")]
    notes = "; ".join(filter(None, [f"[{limits['unit']}]" if limits["unit"] else "", choices, ", ".join(known)]))
    return f"{limits['help']}{f' ({notes})' if notes else ''}"


def commented(settings: config.Config, *, head: str, data_fields: tuple[str, ...] = (), schema_file: str = "") -> str:
    """Return a YAML file with every setting, each behind a comment that says what it does.

    Args:
        settings: The values.
        head: What the file is, on its first lines.
        data_fields: Names of the settings that say how to read a source, which come first.
        schema_file: The schema that lies beside it; editors read its name in the first line.
    """
    fields = {field.name: field for field in dataclasses.fields(settings)}
    own = [field.name for field in dataclasses.fields(config.Config)]
    others = [name for name in fields if name not in (*data_fields, *own)]
    groups = {"Reading the source": data_fields, "Networks and training": others, "Repeatability and devices": own}
    lines = [f"# yaml-language-server: $schema={schema_file}"] if schema_file else []
    lines += [f"# {line}" for line in textwrap.wrap(head, _LINE_CHARACTERS)]
    for title, names in groups.items():
        lines += ["", f"# ---- {title}"]
        for name in names:
            lines += [f"# {line}" for line in textwrap.wrap(described_by(fields[name]), _LINE_CHARACTERS)]
            lines.append(f"{name}: {json.dumps(settings.to_json()[name], ensure_ascii=False)}")
    return "\n".join(lines) + "\n"
