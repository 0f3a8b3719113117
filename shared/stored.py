"""What JSON files of ours may hold when they are read back: types and ranges, and one sentence for what is outside.

A file is declared as a dataclass or a ``TypedDict`` (that of ``typing_extensions``) of the types below, all of them
strict: nothing is converted, "1" is no number.
"""

import functools
import pathlib
from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias, TypeVar, cast

import pydantic

from shared import errors, files

Stored = TypeVar("Stored")
Element = TypeVar("Element")

# What a dataclass names as its ``__pydantic_config__``; strict, it would not be made of a JSON object. A TypedDict is
# open: it keeps fields that are not declared.
CLOSED = pydantic.ConfigDict(extra="forbid")
OPEN = pydantic.ConfigDict(strict=True, allow_inf_nan=False, extra="allow")

Number: TypeAlias = Annotated[float, pydantic.Field(strict=True, allow_inf_nan=False)]
NotNegative: TypeAlias = Annotated[Number, pydantic.Field(ge=0)]
Positive: TypeAlias = Annotated[Number, pydantic.Field(gt=0)]
Share: TypeAlias = Annotated[Number, pydantic.Field(ge=0, le=1)]
InnerShare: TypeAlias = Annotated[Number, pydantic.Field(gt=0, lt=1)]
Count: TypeAlias = Annotated[int, pydantic.Field(strict=True, ge=0, lt=1 << 63)]
# Just outside of [0, 1] lies a threshold that every score reaches, or none.
Threshold: TypeAlias = Annotated[Number, pydantic.Field(ge=-1e-4, le=1 + 1e-4)]
# A list in JSON.
Several: TypeAlias = Annotated[tuple[Element, ...], pydantic.Strict(False)]
Flag: TypeAlias = Annotated[bool, pydantic.Strict()]
Text: TypeAlias = Annotated[str, pydantic.Field(strict=True)]
Digest: TypeAlias = Annotated[str, pydantic.Field(strict=True, pattern="^[0-9a-f]{64}$")]
open_fields = pydantic.with_config(OPEN)


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"each name once, not {twice[0]!r} twice")
    return names


Names: TypeAlias = Annotated[Several[Annotated[Text, pydantic.Field(min_length=1)]], pydantic.AfterValidator(_distinct)]
SomeNames: TypeAlias = Annotated[Names, pydantic.Field(min_length=1)]


def check(declared: type[Stored], content: Mapping[str, Any], *, where: str) -> Stored:
    """Return what a JSON object holds as the declared type.

    Args:
        declared: A dataclass or ``TypedDict``.
        content: As ``files.read_json`` returns it, or as it was before it was written.
        where: The file, for the message.

    Raises:
        errors.InputError: A field is missing, or has another type or a number out of its range; the first is named.
    """
    try:
        found: Stored = _adapter(cast(Any, declared)).validate_python(content)
    except pydantic.ValidationError as error:
        raise errors.InputError(f"{where}: {_said(error)}") from None
    return found


def read(declared: type[Stored], path: pathlib.Path) -> Stored:
    """Read a JSON file as the declared type; see ``check``."""
    return check(declared, files.read_json(path), where=str(path))


@functools.cache
def _adapter(declared: Any) -> pydantic.TypeAdapter[Any]:
    return pydantic.TypeAdapter(declared)


def _said(error: pydantic.ValidationError) -> str:
    """Return the first fault in a sentence, such as ``threshold: expected ... Received: 2``."""
    first = error.errors(include_url=False)[0]
    field = ".".join(map(str, first["loc"])) or "the whole"
    if first["type"] == "extra_forbidden":
        return f"{field}: expected no field of this name. Received: one"
    if first["type"] == "missing":
        return f"{field}: expected this field. Received: none of this name"
    wanted = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return f"{field}: expected {wanted[:1].lower()}{wanted[1:]}. Received: {first['input']!r:.100}"
