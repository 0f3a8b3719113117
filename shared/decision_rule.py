"""The one JSON form of decision rules: what ``decision.json`` of every app holds.

It stands alone because training a detector needs a rule, and none of the calibration that ``shared.decision`` brings.
"""

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from shared import errors, stored


class Rule:
    """A decision rule as ``decision.json`` holds it; a rule is a frozen dataclass of the types of ``stored``."""

    __pydantic_config__: ClassVar[Any] = stored.CLOSED

    @classmethod
    def from_json(cls, content: Mapping[str, Any], *, where: str = "decision") -> Self:
        """Read what ``to_json`` wrote.

        Args:
            content: The JSON object.
            where: The file, for the message.

        Raises:
            errors.InputError: A field is missing or unknown, or its value is none that a rule can have.
        """
        names = set(inspect.signature(cls).parameters)
        if set(content) != names:
            raise errors.InputError(f"{where}: expected the fields {sorted(names)}. Received: {sorted(content)}")
        return stored.check(cls, content, where=where)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able mapping."""
        return {name: _plain(value) for name, value in vars(self).items()}


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value
