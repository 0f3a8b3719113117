"""Types of command-line flags: what argparse turns a text into, with a message that says what is expected."""

import argparse
import math
from collections.abc import Callable, Sequence


def at_least(minimum: int, maximum: int | None = None) -> Callable[[str], int]:
    """Return a parser of whole numbers within limits."""

    def parse(text: str) -> int:
        number = int(text) if text.lstrip("-").isdecimal() else None
        if number is None or number < minimum or (maximum is not None and number > maximum):
            limits = f"at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
            raise argparse.ArgumentTypeError(f"expected a whole number {limits}. Received: {text!r}")
        return number

    return parse


def not_negative(text: str) -> float:
    """Return a finite number of at least 0.

    Raises:
        argparse.ArgumentTypeError: The text is none.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number of at least 0. Received: {text!r}")
    return number


def some_of(choices: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """Return a parser of names separated by commas, each once."""

    def parse(text: str) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
        for name in names:
            if name not in choices:
                raise argparse.ArgumentTypeError(f"invalid choice: {name!r} (expected some of {', '.join(choices)})")
        return names

    return parse
