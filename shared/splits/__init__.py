"""Splits whose units never cross parts, and the certificate that proves it.

A split unit is what must stay together: the images of one patient, the transactions of one card, the near
duplicates of one text. ``assign`` gives whole units to parts; ``certificate`` checks the outcome from scratch
and is written beside every model. Nothing here depends on the order of the rows: the same content and seed
give the same parts.
"""

import dataclasses
import hashlib
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.sparse
import scipy.sparse.csgraph
from numpy.typing import ArrayLike, NDArray
from typing_extensions import TypedDict

from shared import errors, stored
from shared.splits import apportion

PARTS = ("train", "validation", "test")
LEFT_OUT = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Split:
    """Which part every row belongs to.

    Attributes:
        part: (n,) str, one of ``PARTS``, or ``LEFT_OUT`` for a row that no part may use.
        unit: (n,) int64 identity of the row's split unit.
        unit_name: What a unit is, in words.
        method: How parts were chosen, in words.
        seed: Seed of the assignment.
    """

    part: NDArray[np.str_]
    unit: NDArray[np.int64]
    unit_name: str
    method: str
    seed: int

    def rows(self, part: str) -> NDArray[np.int64]:
        """Return the row numbers of one of ``PARTS``, ascending."""
        if part not in PARTS:
            raise errors.InputError(f"Expected a part out of {', '.join(PARTS)}. Received: {part!r}")
        return np.flatnonzero(self.part == part).astype(np.int64)


def merge_units(*unit_arrays: ArrayLike) -> NDArray[np.int64]:
    """Join rows that share a unit in any of the arrays, directly or through other rows.

    Args:
        *unit_arrays: Each (n,), any values that can be sorted.

    Returns:
        (n,) int64 numbers of the connected components, counted in order of first appearance.

    >>> merge_units([0, 0, 1, 2], ["a", "b", "b", "c"]).tolist()
    [0, 0, 0, 1]
    """
    arrays = [np.asarray(units) for units in unit_arrays]
    rows = _common_length(arrays)
    row_nodes, unit_nodes, nodes = [], [], rows
    for units in arrays:
        names, number = np.unique(units, return_inverse=True)
        row_nodes.append(np.arange(rows))
        unit_nodes.append(nodes + number)
        nodes += names.size
    ends = (np.concatenate(row_nodes), np.concatenate(unit_nodes))
    graph = scipy.sparse.coo_array((np.ones(ends[0].size, dtype=np.int8), ends), shape=(nodes, nodes))
    _, component = scipy.sparse.csgraph.connected_components(graph, directed=False)
    return _number_by_appearance(component[:rows])


def units_of_pairs(pairs: NDArray[np.int64], *, rows: int) -> NDArray[np.int64]:
    """Turn (p, 2) pairs of row numbers that belong together into (rows,) units.

    >>> units_of_pairs(np.array([[0, 2], [2, 3]]), rows=5).tolist()
    [0, 1, 0, 0, 2]
    """
    ends = (pairs[:, 0], pairs[:, 1])
    graph = scipy.sparse.coo_array((np.ones(len(pairs), dtype=np.int8), ends), shape=(rows, rows))
    _, component = scipy.sparse.csgraph.connected_components(graph, directed=False)
    return _number_by_appearance(component)


def name_units(units: ArrayLike, content_hashes: ArrayLike) -> NDArray[np.int64]:
    """Name each unit by its smallest content hash, so that names do not depend on the order of rows.

    Args:
        units: (n,) any units.
        content_hashes: (n,) uint64; equal content must already share a unit.
    """
    _, number = np.unique(np.asarray(units), return_inverse=True)
    hashes = np.asarray(content_hashes, dtype=np.uint64)
    smallest = np.full(number.max(initial=-1) + 1, np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(smallest, number, hashes)
    return smallest[number].view(np.int64)


def assign(
    units: ArrayLike,
    labels: ArrayLike,
    *,
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    seed: int,
    fixed: ArrayLike | None = None,
    class_names: Sequence[str] = (),
) -> NDArray[np.str_]:
    """Give whole units to parts so that every class reaches the fractions as nearly as its units allow.

    Args:
        units: (n,) int unit of each row.
        labels: (n,) int class of each row.
        fractions: Share of train, validation and test; a part of share 0 stays empty.
        seed: Same seed and units, same parts, whatever the order of rows.
        fixed: (n,) official part of each row, or ``""`` where it is free. A unit follows its fixed row.
        class_names: Names for messages.

    Returns:
        (n,) str part of each row.

    Raises:
        errors.GateError: One unit holds rows of two official parts.
        errors.InputError: Fractions do not sum to 1, or a class has fewer units than there are parts to fill.

    >>> assign([1, 1, 2, 3, 4], [0, 0, 0, 0, 0], fractions=(0.5, 0.25, 0.25), seed=0).tolist()
    ['train', 'train', 'train', 'validation', 'test']
    """
    shares = _checked_fractions(fractions)
    names, number = np.unique(np.asarray(units, dtype=np.int64), return_inverse=True)
    classes, label = np.unique(np.asarray(labels, dtype=np.int64), return_inverse=True)
    counts = np.zeros((names.size, classes.size), dtype=np.int64)
    np.add.at(counts, (number, label), 1)
    keys = apportion.shuffle_keys(names, seed)
    part = _fixed_parts(number, names.size, fixed)
    free = part < 0
    part[free] = apportion.share_out(counts[free], keys[free], shares)
    if free.all():
        titles = [class_names[value] if 0 <= value < len(class_names) else f"class {value}" for value in classes]
        apportion.fill_empty(part, counts, keys, shares, titles)
    return np.array(PARTS)[part[number]]


def certificate(
    split: Split,
    *,
    labels: ArrayLike,
    content_hashes: ArrayLike,
    class_names: Sequence[str],
    checks: Mapping[str, object],
) -> dict[str, Any]:
    """Check a split from scratch and describe it for ``split.json``.

    Args:
        split: The split to check.
        labels: (n,) int index into ``class_names``.
        content_hashes: (n,) uint64 hash of each row's content.
        class_names: Names of the classes.
        checks: What the app found and grouped, added as it is.

    Raises:
        errors.GateError: A unit, or identical content, is in two parts. An overlap is never a warning.
    """
    hashes, label = np.asarray(content_hashes, dtype=np.uint64), np.asarray(labels, dtype=np.int64)
    _common_length([split.part, split.unit, hashes, label])
    refuse_crossing(split.part, split.unit, what=f"unit ({split.unit_name})")
    refuse_crossing(split.part, hashes, what="identical content")
    used = int(np.isin(split.part, PARTS).sum())
    counts = {name: _count_part(split, name, label, class_names) for name in PARTS}
    return {
        "unit": split.unit_name,
        "method": split.method,
        "seed": split.seed,
        "rows": used,
        "units": sum(count["units"] for count in counts.values()),
        "left_out_rows": split.part.size - used,
        "fractions": {name: round(count["rows"] / max(used, 1), 6) for name, count in counts.items()},
        "counts": counts,
        "sha256": {name: _digest(hashes[split.rows(name)]) for name in PARTS},
        "overlap": {"units_in_two_parts": 0, "identical_content_in_two_parts": 0},
        "checks": dict(checks),
    }


def refuse_crossing(part: NDArray[np.str_], units: ArrayLike, *, what: str) -> None:
    """Raise ``errors.GateError`` that names the first few offenders when a unit has rows in two parts."""
    rows = np.flatnonzero(part != LEFT_OUT)
    names, number = np.unique(np.asarray(units)[rows], return_inverse=True)
    present = np.zeros((names.size, len(PARTS)), dtype=bool)
    present[number, [PARTS.index(value) for value in part[rows].tolist()]] = True
    crossing = np.flatnonzero(present.sum(axis=1) > 1)
    if crossing.size:
        examples = "; ".join(_describe_crossing(part, rows[number == unit]) for unit in crossing[:3])
        raise errors.GateError(
            f"The split is not valid: expected every {what} in one part only. "
            f"Received: {crossing.size} in several parts, first {examples}"
        )


@stored.open_fields
class _Certificate(TypedDict):
    """What ``split.json`` holds that is read again."""

    unit: stored.Text
    method: stored.Text
    rows: stored.Count
    fractions: dict[str, stored.Share]
    overlap: dict[str, stored.Count]
    sha256: dict[str, stored.Digest]
    checks: dict[str, Any]


def read_certificate(path: pathlib.Path) -> dict[str, Any]:
    """Read the ``split.json`` of a run.

    Raises:
        errors.InputError: It is none, or holds a value that no certificate has.
    """
    found: dict[str, Any] = dict(stored.read(_Certificate, path))
    missing = sorted(set(PARTS) - set(found["sha256"]))
    if missing:
        raise errors.InputError(f"{path}: sha256: expected one of each part. Received: none of {', '.join(missing)}")
    return found


def require_same(recorded: Mapping[str, Any], split: Split, *, content_hashes: ArrayLike) -> None:
    """Check that ``split`` holds the very rows that a recorded certificate was issued for.

    Raises:
        errors.GateError: A part's content differs, because the data changed since.
    """
    hashes = np.asarray(content_hashes, dtype=np.uint64)
    for name in PARTS:
        expected, received = recorded["sha256"][name], _digest(hashes[split.rows(name)])
        if received != expected:
            raise errors.GateError(
                f"The {name} part is not the one this run was certified for: the data has changed. "
                f"Expected content {expected}. Received: {received}"
            )


def _count_part(split: Split, name: str, labels: NDArray[np.int64], class_names: Sequence[str]) -> dict[str, Any]:
    rows = split.rows(name)
    return {
        "rows": int(rows.size),
        "units": int(np.unique(split.unit[rows]).size),
        "classes": {title: int((labels[rows] == index).sum()) for index, title in enumerate(class_names)},
    }


def _describe_crossing(part: NDArray[np.str_], rows: NDArray[np.int64]) -> str:
    first = [rows[part[rows] == name][0] for name in PARTS if (part[rows] == name).any()]
    return " and ".join(f"row {row + 1} ({part[row]})" for row in first)


def _digest(hashes: NDArray[np.uint64]) -> str:
    return hashlib.sha256(np.sort(hashes).astype(">u8").tobytes()).hexdigest()


def _number_by_appearance(values: NDArray[Any]) -> NDArray[np.int64]:
    _, first, number = np.unique(values, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[number].astype(np.int64)


def _common_length(arrays: Sequence[NDArray[Any]]) -> int:
    lengths = {len(array) for array in arrays}
    if len(lengths) != 1:
        raise ValueError(f"Expected one or more arrays of one length. Received lengths: {sorted(lengths)}")
    return lengths.pop()


def _checked_fractions(fractions: Sequence[float]) -> NDArray[np.float64]:
    shares = np.asarray(fractions, dtype=np.float64)
    if shares.shape != (len(PARTS),) or (shares < 0).any() or abs(shares.sum() - 1) > 1e-9 or not shares[0]:
        raise errors.InputError(
            "Expected fractions of train, validation and test that are not negative, sum to 1 "
            "and leave rows to train on. "
            f"Received: {tuple(fractions)}"
        )
    return shares


def _fixed_parts(number: NDArray[np.int64], units: int, fixed: ArrayLike | None) -> NDArray[np.int64]:
    """Return (units,) the number of the part each unit is fixed to, or -1."""
    part = np.full(units, -1, dtype=np.int64)
    if fixed is None:
        return part
    official = np.asarray(fixed, dtype=np.str_)
    refuse_crossing(official, number, what="split unit of official parts")
    for index, name in enumerate(PARTS):
        part[number[official == name]] = index
    return part
