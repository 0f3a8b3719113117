"""Several checked sources as one: which classes they have, and the columns of all their images."""

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from apps.medical_imaging.readers import checking, entries, labels
from shared import errors


def findings(read: Sequence[entries.Source], class_names: Sequence[str] | None, *, labelled: bool) -> tuple[str, ...]:
    """Return the findings of sources whose images may have several; nothing where each has one class."""
    kinds = {source.findings for source in read}
    if not labelled or kinds == {()}:
        return ()
    if len(kinds) > 1:
        shown = "; ".join(f"{source.name}: {', '.join(source.findings) or 'one class each'}" for source in read)
        raise errors.InputError(f"Expected sources with the same findings. Received: {shown}")
    found = kinds.pop()
    missing = [name for name in class_names or () if name not in found]
    if missing:
        raise errors.InputError(
            f"{read[0].name}: expected the findings of the model. Received: none named {', '.join(missing)}"
        )
    return tuple(class_names) if class_names is not None else found


def disagreements(batches: Sequence[checking.Batch], known: Sequence[str] | None) -> list[checking.BadRow]:
    """Return entries with labels that contradict each other, or that are not among the ``known`` ones of a model."""
    found = checking.conflicts(batches)
    keys = {labels.key(name) for name in known or ()}
    for entry in (entry for batch in batches for entry in batch.entries):
        if known is not None and labels.key(entry.label or "") not in keys:
            reason = f"unknown label {entries.excerpt(entry.label or '')!r} (expected {', '.join(known)})"
            found[entry.file, entry.row] = checking.refused(entry, reason)
    return list(found.values())


def class_names(batches: Sequence[checking.Batch]) -> tuple[str, ...]:
    """Return the classes of all sources in canonical order.

    Raises:
        errors.InputError: There is one only.
    """
    order = next((batch.source.class_order for batch in batches if batch.source.class_order), ())
    names = labels.order({entry.label or "" for batch in batches for entry in batch.entries}, class_order=order)
    if len(names) < 2:
        raise errors.InputError(
            f"Expected images of at least two classes. Received: one class, {entries.excerpt(names[0])!r}"
        )
    return names


def unique_names(batches: Sequence[checking.Batch]) -> list[str]:
    """Return a name for every image; with several sources, their number and name come first."""
    if len(batches) == 1:
        return [entry.name for entry in batches[0].entries]
    return [
        f"{number}-{batch.source.name}/{entry.name}"
        for number, batch in enumerate(batches, start=1)
        for entry in batch.entries
    ]


def label_rows(
    batches: Sequence[checking.Batch], names: tuple[str, ...], *, multi: bool, labelled: bool
) -> NDArray[np.float32]:
    """Return (n, k) labels: one-hot, or a column per finding, or NaN where none are wanted."""
    found = [entry for batch in batches for entry in batch.entries]
    if not labelled:
        return np.full((len(found), len(names)), np.nan, np.float32)
    if not multi:
        return labels.one_hot([entry.label for entry in found], names)
    columns = [batches[0].source.findings.index(name) for name in names]
    return np.array([entry.findings for entry in found], np.float32)[:, columns]


def attributes(found: Sequence[entries.Entry]) -> pd.DataFrame:
    """Return the attributes that any image has, missing ones as None or NaN."""
    present = [name for name in entries.ATTRIBUTES if any(name in entry.attributes for entry in found)]
    table = pd.DataFrame(index=range(len(found)))
    for name in present:
        values = [entry.attributes.get(name) for entry in found]
        table[name] = pd.Series(values, dtype=float if name in ("age", "subtlety") else object)
        if name == "device_mark" and None not in values:
            table[name] = table[name].astype(bool)
    return table


def fingerprint(hashes: NDArray[np.uint64], said: NDArray[np.float32]) -> str:
    """Return the SHA-256 of contents and labels, whatever their order."""
    rows = sorted(f"{digest:016x}".encode() + row.tobytes() for digest, row in zip(hashes.tolist(), said, strict=True))
    return hashlib.sha256(b"".join(rows)).hexdigest()


def objects(values: Sequence[object]) -> NDArray[np.object_]:
    """Return (n,) object; np.array would turn arrays of one shape into one large array."""
    array = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):
        array[place] = value
    return array
