"""Columns of input tables that ``predict --keep-columns`` carries to its output, as text: ids to join it by."""

import datetime
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
import pyarrow

from shared import errors

ALL = "all"
# Begins the name of a carried column within a chunk, where the app has columns of its own.
_CARRIED = "kept:"
_TEXT = pd.ArrowDtype(pyarrow.string())


def chosen(asked: Sequence[str], names: Sequence[str], *, where: str) -> tuple[str, ...]:
    """Return the columns of a table that are carried.

    Args:
        asked: What ``cli.column_names`` returned; nothing: none is carried.
        names: The columns of the table.
        where: The table, for messages.

    Raises:
        errors.InputError: The table lacks a column, or has it twice.
    """
    wanted = tuple(names) if tuple(asked) == (ALL,) else tuple(asked)
    for name in wanted:
        if names.count(name) != 1:
            meant = "" if name in names else errors.meant(name, names)
            raise errors.InputError(
                f"--keep-columns: {where}: expected one column {name!r}. Received columns: {', '.join(names)}.{meant}"
            )
    return wanted


def in_all(tables: Mapping[str, Sequence[str]], *, where: str) -> tuple[str, ...]:
    """Return the columns that all tables carry: the output has the same for each row.

    Args:
        tables: File -> the columns that are carried of it.
        where: The input, for messages.

    Raises:
        errors.InputError: There is no table, or one carries other columns than the first.
    """
    if not tables:
        raise errors.InputError(f"--keep-columns: {where}: expected a table. Received: inputs that have no columns")
    (first, names), *rest = tables.items()
    for where, others in rest:
        if set(others) != set(names):
            odd = sorted(set(others) ^ set(names))
            raise errors.InputError(
                f"--keep-columns {ALL}: {where}: expected the columns of {first}. Received: a table that differs in "
                f"{', '.join(odd)}; name the columns that all have"
            )
    return tuple(names)


def as_text(cells: Iterable[Any]) -> "pd.Series[Any]":
    """Return cells as text, as a csv would hold them; an empty one is missing.

    >>> as_text(["x", 7, 1.5, True, None, ["a"], ""]).fillna("-").tolist()
    ['x', '7', '1.5', 'true', '-', '["a"]', '-']
    """
    return pd.Series([_text(cell) for cell in cells], dtype=_TEXT)


def _text(cell: Any) -> str | None:
    if isinstance(cell, list | dict):
        return json.dumps(cell, ensure_ascii=False)
    if cell is None or cell is pd.NA or cell != cell:
        return None
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, datetime.date):
        return cell.isoformat()
    text = cell.decode("utf-8", "replace") if isinstance(cell, bytes) else str(cell)
    # Lone surrogates stand for bytes that are no text.
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace") or None


def beside(chunk: pd.DataFrame, names: Sequence[str], cells: Iterable[Sequence[Any]]) -> pd.DataFrame:
    """Return a chunk of inputs with the cells that are carried, one sequence for each column."""
    columns = {f"{_CARRIED}{name}": as_text(each) for name, each in zip(names, cells, strict=True)}
    return chunk.assign(**{name: each.set_axis(chunk.index) for name, each in columns.items()})


def carried(score: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Return how a chunk is scored without the columns that ``beside`` put there, which the output has at its end."""

    def scored(chunk: pd.DataFrame) -> pd.DataFrame:
        ours = [str(name) for name in chunk.columns if str(name).startswith(_CARRIED)]
        table = score(chunk.drop(columns=ours))
        names = {name: name.removeprefix(_CARRIED) for name in ours}
        clash = next((name for name in names.values() if name in table.columns), None)
        if clash is not None:
            raise errors.InputError(
                f"--keep-columns: expected columns that the output has not itself ({', '.join(map(str, table))}). "
                f"Received: {clash!r}; leave it out, or give it another name in the input"
            )
        return table.assign(**{name: chunk[own].set_axis(table.index) for own, name in names.items()})

    return scored
