"""What ``evaluate --require`` demands of the numbers of a ``metrics.json``, such as ``accuracy.low>=0.88``.

A name is the way to a number in that file. ``metrics.`` may be left out of it; a row of a list (a slice, an operating
point, a class) is found by its name: ``slices.sex=F.auroc``. Of a value with an interval the name means the value, and
``.low`` and ``.high`` the ends of the interval. Nothing heavy is imported here: the command line reads the flag.
"""

import argparse
import dataclasses
import difflib
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from shared import errors

_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
# The name may hold a comparison itself, as an operating point's does: the last one counts.
_REQUIREMENT = re.compile(r"(?P<name>.*[^<>=\s])\s*(?P<comparison>>=|<=|>|<)\s*(?P<bound>[^<>=\s]+)")
_NAMES_OF_ROWS = ("name", "class")
_NEAREST = 5


@dataclasses.dataclass(frozen=True)
class Requirement:
    """A number of ``metrics.json`` and what it is compared with."""

    name: str
    comparison: str
    bound: float

    def __str__(self) -> str:
        return f"{self.name}{self.comparison}{self.bound:g}"

    def met_by(self, value: float) -> bool:
        """Tell whether a number meets the requirement."""
        return _COMPARISONS[self.comparison](value, self.bound)


@dataclasses.dataclass(frozen=True)
class Check:
    """A requirement and the number that was found for it."""

    requirement: Requirement
    value: float

    @property
    def met(self) -> bool:
        """Whether the number meets the requirement."""
        return self.requirement.met_by(self.value)

    def to_json(self) -> dict[str, Any]:
        """Return what the verb prints of it."""
        return {"requirement": str(self.requirement), "value": self.value, "met": self.met}

    def __str__(self) -> str:
        return f"requirement not met: {self.requirement}. Received: {self.value:.6g}"


def parse(text: str) -> Requirement:
    """Return the requirement that a flag holds.

    >>> str(parse("accuracy.low >= 0.88")), parse("slices.length=above 400 words.auroc>0.9").name
    ('accuracy.low>=0.88', 'slices.length=above 400 words.auroc')

    Raises:
        argparse.ArgumentTypeError: The text is none.
    """
    found = _REQUIREMENT.fullmatch(text.strip())
    bound = _number(found["bound"]) if found else math.nan
    if found is None or not math.isfinite(bound):
        raise argparse.ArgumentTypeError(
            f"expected a metric, one of {' '.join(_COMPARISONS)} and a number, such as accuracy>=0.9 or "
            f"accuracy.low>=0.88. Received: {text!r}"
        )
    return Requirement(found["name"], found["comparison"], bound)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def check(requirements: Sequence[Requirement], document: Mapping[str, Any]) -> list[Check]:
    """Compare the numbers of a ``metrics.json`` with what is required of them.

    Raises:
        errors.InputError: A name is not in the document; the message has the nearest ones that are.
    """
    known = numbers(document)
    for requirement in requirements:
        if requirement.name not in known:
            raise errors.InputError(_unknown(requirement, known, document.get("notes", ())))
    return [Check(requirement, known[requirement.name]) for requirement in requirements]


def numbers(document: Mapping[str, Any]) -> dict[str, float]:
    """Return every number of a ``metrics.json`` by the names that it may be required by.

    >>> sorted(numbers({"metrics": {"auroc": {"value": 0.9, "low": 0.8, "high": 1.0}}}))
    ['auroc', 'auroc.high', 'auroc.low', 'metrics.auroc', 'metrics.auroc.high', 'metrics.auroc.low']
    """
    found: dict[str, float] = {}
    for way, value in _walk(document, ()):
        found[".".join(way)] = value
        # The model's own metrics are walked before all else: no later name takes the place of theirs.
        found.setdefault(".".join(part for part in way if part != "metrics"), value)
    return found


def _walk(content: Any, way: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], float]]:
    if isinstance(content, Mapping):
        if {"value", "low", "high"} <= set(content):
            yield way, float(content["value"])
            yield from (((*way, end), float(content[end])) for end in ("low", "high"))
            return
        for name, entry in sorted(content.items(), key=lambda item: item[0] != "metrics"):
            yield from _walk(entry, (*way, str(name)))
    elif isinstance(content, list):
        for place, entry in enumerate(content):
            yield from _walk(entry, (*way, _row_name(entry, place)))
    elif isinstance(content, int | float) and not isinstance(content, bool):
        yield way, float(content)


def _row_name(entry: Any, place: int) -> str:
    """Return what a row of a list is called: its name, or else its place from 0."""
    names = [entry[key] for key in _NAMES_OF_ROWS if isinstance(entry, Mapping) and key in entry]
    return str(names[0]) if names else str(place)


def _unknown(requirement: Requirement, known: Mapping[str, float], notes: Sequence[str]) -> str:
    metric = requirement.name.removesuffix(".low").removesuffix(".high")
    shorter = [name for name in known if not name.startswith("metrics.")]
    nearest = difflib.get_close_matches(requirement.name, shorter, n=_NEAREST, cutoff=0.4) or shorter[:_NEAREST]
    why = [note for note in notes if note.startswith(f"{metric}: ")]
    reason = f" ({why[0]})" if why else ""
    return (
        f"--require {requirement}: expected a number of metrics.json{reason}, such as {', '.join(nearest)}. "
        f"Received: {requirement.name!r}; everything is written"
    )
