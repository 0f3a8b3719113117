"""The one JSON form of decision rules: what ``decision.json`` of every app holds.

It stands alone because training a detector needs a rule, and none of the calibration that ``shared.decision`` brings.
"""

import inspect
from collections.abc import Mapping
from typing import Any, Self

from shared import errors


class Rule:
    """A decision rule as ``decision.json`` holds it; a rule is a frozen dataclass of numbers, names and tuples."""

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read what ``to_json`` wrote.

        Raises:
            errors.InputError: A field is missing or unknown.
        """
        names = set(inspect.signature(cls).parameters)
        if set(content) != names:
            raise errors.InputError(f"decision: expected the fields {sorted(names)}. Received: {sorted(content)}")
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in content.items()})

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able mapping."""
        return {name: _plain(value) for name, value in vars(self).items()}


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value
