"""Predictions of another model, read from a file and joined to the rows of a run.

``evaluate --predictions FILE`` judges them as it judges the run's own model: on the same rows, by the same metrics,
with calibration and thresholds from the validation part. Rows are known by their identity, never by their position.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from shared import errors, files
from shared.evaluation import other_models
from shared.sources import columns, tables

PART = "part"
_SUM_TOLERANCE = 1e-3
_MOST_NAMED = 3

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """The rows of a run that another model must score.

    Attributes:
        table: One row per row of the run's data: identity, and what of the input a table can hold; no labels.
        identity: The columns that together name a row.
        parts: Row numbers of each part: validation, and the part to evaluate.
        class_names: Names of the classes.
        exclusive: Whether each row is of one class, so that probabilities add up to 1.
    """

    table: pd.DataFrame
    identity: Sequence[str]
    parts: Mapping[str, Ints]
    class_names: Sequence[str]
    exclusive: bool = True

    def write(self, path: pathlib.Path) -> int:
        """Write the rows of the parts to a csv or parquet file, and return how many they are.

        Raises:
            errors.InputError: The file exists, or its name ends otherwise.
        """
        if path.exists() or path.suffix not in (".csv", ".parquet"):
            fault = ", which exists" if path.exists() else ""
            raise errors.InputError(f"--write-rows: expected a new .csv or .parquet. Received: {path}{fault}")
        found = pd.concat(
            [self.table.iloc[rows].assign(**{PART: name}) for name, rows in self.parts.items()], ignore_index=True
        )
        with files.atomic(path) as temporary:
            if path.suffix == ".parquet":
                found.to_parquet(temporary, index=False)
            else:
                found.to_csv(temporary, index=False)
        return len(found)


def read(path: pathlib.Path, rows: Rows) -> other_models.Predictions:
    """Read a file of predictions.

    Args:
        path: csv, parquet or jsonl with the columns of ``rows.identity`` and one column per class: its name, or
            ``score_`` and its name; of two classes that exclude each other, ``score`` of the second one is enough.
        rows: The rows whose predictions are wanted.

    Raises:
        errors.InputError: A column is missing, a row of a part is missing or named twice, a row is none of the run's,
            or a score is no probability.
    """
    table, names = _table(path), list(rows.identity)
    identities = rows.table[names]
    missing = [name for name in names if name not in table.columns]
    if missing:
        raise errors.InputError(
            f"{path}: expected the columns {', '.join(names)}, which name a row. Received: {_listed(table.columns)} "
            f"(`evaluate --write-rows FILE` writes the rows to score)"
        )
    scores = _scores(path, table, rows.class_names, exclusive=rows.exclusive)
    place = _places(path, _keys(table[names]), _keys(identities))
    found: dict[str, Floats] = {}
    for part, numbers in rows.parts.items():
        at = np.array([place.get(int(row), -1) for row in numbers], np.int64)
        absent = np.flatnonzero(at < 0)
        if len(absent):
            shown = [_shown(identities, int(numbers[row])) for row in absent[:_MOST_NAMED]]
            raise errors.InputError(
                f"{path}: expected a prediction of every row of the part {part}. Received: none of {len(absent):,} of "
                f"{len(numbers):,}, such as {'; '.join(shown)}"
            )
        found[part] = scores[at]
    wanted = sum(map(len, rows.parts.values()))
    more = len(place) - wanted
    notes = (f"{more:,} rows of {path.name} are of other parts, and were not read.",) if more > 0 else ()
    return other_models.Predictions(name=path.stem, scores=found, notes=notes)


def _table(path: pathlib.Path) -> pd.DataFrame:
    if path.suffix.lower() != ".jsonl":
        return tables.read(path)
    try:
        return pd.read_json(path, lines=True, dtype=False)
    except (OSError, ValueError) as error:
        raise errors.InputError(f"{path}: expected one JSON object per line. Received: {error}") from None


def _keys(table: pd.DataFrame) -> list[tuple[str, ...]]:
    return list(zip(*([str(each) for each in columns.identities(table[name])] for name in table), strict=True))


def _places(path: pathlib.Path, given: list[tuple[str, ...]], known: list[tuple[str, ...]]) -> dict[int, int]:
    """Return row of the run -> row of the file."""
    number = {key: row for row, key in enumerate(known)}
    if len(number) < len(known):
        raise errors.InputError(
            f"{path}: expected rows of the run that can be told apart. Received: {len(known) - len(number):,} of "
            f"{len(known):,} with the identity of another one"
        )
    place: dict[int, int] = {}
    for line, key in enumerate(given):
        row = number.get(key)
        if row is None or row in place:
            fault = "which is no row of the run's data" if row is None else "which is named twice"
            raise errors.InputError(
                f"{path}: row {line + 1}: expected each row of the run's data once at most. Received: "
                f"{', '.join(key)}, {fault}"
            )
        place[row] = line
    return place


def _scores(path: pathlib.Path, table: pd.DataFrame, class_names: Sequence[str], *, exclusive: bool) -> Floats:
    for named in ([f"score_{name}" for name in class_names], list(class_names)):
        if all(name in table.columns for name in named):
            found = np.stack([_numbers(path, table, name) for name in named], axis=1)
            break
    else:
        if not (exclusive and len(class_names) == 2 and "score" in table.columns):
            alone = ", or score of the second one" if exclusive and len(class_names) == 2 else ""
            raise errors.InputError(
                f"{path}: expected a column of probabilities for each class, "
                f"{', '.join(f'score_{name}' for name in class_names)}{alone}. Received: {_listed(table.columns)}"
            )
        second = _numbers(path, table, "score")
        found = np.stack([1 - second, second], axis=1)
    if not exclusive:
        return found
    total = found.sum(axis=1)
    off = np.flatnonzero(np.abs(total - 1) > _SUM_TOLERANCE)
    if len(off):
        raise errors.InputError(
            f"{path}: row {off[0] + 1}: expected probabilities that add up to 1. Received: {total[off[0]]:.6g}, and "
            f"{len(off) - 1:,} more such rows"
        )
    return np.asarray(found / total[:, np.newaxis], np.float64)


def _numbers(path: pathlib.Path, table: pd.DataFrame, name: str) -> Floats:
    values = pd.to_numeric(table[name].astype(object), errors="coerce").to_numpy(np.float64, na_value=np.nan)
    wrong = np.flatnonzero(~((values >= 0) & (values <= 1)))
    if len(wrong):
        raise errors.InputError(
            f"{path}: row {wrong[0] + 1}, column {name!r}: expected a probability in [0, 1]. Received: "
            f"{table[name].iloc[int(wrong[0])]!r}, and {len(wrong) - 1:,} more such rows"
        )
    return values


def _shown(identities: pd.DataFrame, row: int) -> str:
    return ", ".join(f"{name} {value}" for name, value in identities.iloc[row].items())


def _listed(names: Any) -> str:
    shown = [str(name) for name in names]
    return ", ".join(shown[:20]) + (f" and {len(shown) - 20} more" if len(shown) > 20 else "")
