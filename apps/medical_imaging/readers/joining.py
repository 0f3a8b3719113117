"""Several checked sources as one: which classes they have, and the columns of all their images."""

import hashlib
import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from apps.medical_imaging import readers
from apps.medical_imaging.readers import checking, images
from shared import errors

_SHOWN = 3


def findings(read: Sequence[readers.Source], class_names: Sequence[str] | None, *, labelled: bool) -> tuple[str, ...]:
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
    keys = {readers.label_key(name) for name in known or ()}
    for entry in (entry for batch in batches for entry in batch.entries):
        if known is not None and readers.label_key(entry.label or "") not in keys:
            reason = f"unknown label {readers.excerpt(entry.label or '')!r} (expected {', '.join(known)})"
            found[entry.file, entry.row] = checking.refused(entry, reason)
    return list(found.values())


def class_names(batches: Sequence[checking.Batch]) -> tuple[str, ...]:
    """Return the classes of all sources in canonical order.

    Raises:
        errors.InputError: There is one only.
    """
    order = next((batch.source.class_order for batch in batches if batch.source.class_order), ())
    found = {entry.label or "" for batch in batches for entry in batch.entries}
    names = readers.order_classes(found, class_order=order)
    if len(names) < 2:
        raise errors.InputError(
            f"Expected images of at least two classes. Received: one class, {readers.excerpt(names[0])!r}"
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
        return readers.one_hot([entry.label for entry in found], names)
    columns = [batches[0].source.findings.index(name) for name in names]
    return np.array([entry.findings for entry in found], np.float32)[:, columns]


def attributes(found: Sequence[readers.Entry]) -> pd.DataFrame:
    """Return the attributes that any image has, missing ones as None or NaN."""
    present = [name for name in readers.ATTRIBUTES if any(name in entry.attributes for entry in found)]
    table = pd.DataFrame(index=range(len(found)))
    for name in present:
        values = [entry.attributes.get(name) for entry in found]
        table[name] = pd.Series(values, dtype=float if name in ("age", "subtlety") else object)
        if name == "device_mark" and None not in values:
            table[name] = table[name].astype(bool)
    return table


def fingerprint(found: Sequence[readers.Entry], hashes: NDArray[np.uint64], labels_of: NDArray[np.float32]) -> str:
    """Return the SHA-256 of all that training and evaluation read, whatever its order.

    That is content, labels, patient, official part, attributes and boxes. Of images that are computed the recipe, in
    the hashes, stands for the rest: processors round attributes differently.
    """
    rows = sorted(
        f"{digest:016x}".encode() + row.tobytes() + _read_besides(entry)
        for entry, digest, row in zip(found, hashes.tolist(), labels_of, strict=True)
    )
    return hashlib.sha256(b"".join(rows)).hexdigest()


def _read_besides(entry: readers.Entry) -> bytes:
    if entry.recipe:
        return b""
    boxes = None if entry.boxes is None else np.asarray(entry.boxes, np.float32).tolist()
    attributes = [(name, entry.attributes[name]) for name in sorted(entry.attributes)]
    return repr((entry.patient, entry.part, attributes, boxes)).encode()


def grey_bits(batches: Sequence[checking.Batch], *, given: int | None) -> tuple[int, list[str]]:
    """Return by how many bits all images of 16 bits are scaled, and what is to be known of that.

    Args:
        batches: The sources.
        given: The number that the user or a finished run gives; None: as many as the values need.

    Raises:
        errors.InputError: The sources use different numbers of bits, and none is given: a model that takes files
            could not tell them apart.
    """
    found = {f"{number}-{batch.source.name}": _used(batch) for number, batch in enumerate(batches, start=1)}
    needed = {used.bits for used in found.values() if used.images}
    if given is None and len(needed) > 1:
        shown = "; ".join(
            f"{name}: {used.bits} (up to {used.largest:,})" for name, used in found.items() if used.images
        )
        raise errors.InputError(
            "Expected 16-bit images that all use the same number of bits: a model that takes files cannot tell them "
            f"apart (--grey-bits reads all by one number). Received: {shown}"
        )
    bits = given or next(iter(needed), images.DEEPEST)
    notes = [images.note_on_bits(name.split("-", 1)[1], used, bits=bits) for name, used in found.items()]
    return bits, [note for note in notes if note]


def _used(batch: checking.Batch) -> images.BitsUsed:
    return images.bits_used([entry.item for entry in batch.entries])


def one_way_of_labels(batches: Sequence[checking.Batch]) -> None:
    """Refuse sources of which some number their classes and others name them: what 0 means would be a guess.

    Raises:
        errors.InputError: It names two such sources.
    """
    kinds: dict[bool, str] = {}
    for batch in batches:
        names = {readers.label_key(entry.label or "") for entry in batch.entries}
        if len({name.isdecimal() for name in names}) == 1:
            shown = ", ".join(sorted(names)[:_SHOWN])
            kinds.setdefault(min(names).isdecimal(), f"{batch.source.name}: {shown}")
    if len(kinds) > 1:
        raise errors.InputError(
            "Expected sources that call their classes alike. Received: "
            f"numbers in {kinds[True]}; names in {kinds[False]}"
        )


def one_spelling(found: Sequence[readers.Entry]) -> tuple[list[str], list[str]]:
    """Return the patient of each entry, and a note where ids differ only by case or leading zeros.

    Such ids are one patient written by two programs: held apart, his images could be in two parts.
    """
    spelled: dict[str, str] = {}
    others: dict[str, str] = {}
    for entry in found:
        first = spelled.setdefault(_same_id(entry.patient), entry.patient)
        if first != entry.patient:
            others.setdefault(entry.patient, first)
    shown = ", ".join(f"{other} and {first}" for other, first in list(others.items())[:_SHOWN])
    note = f"{len(others):,} patient ids differ from others by case or zeros only, and count as the same: {shown}"
    return [spelled[_same_id(entry.patient)] for entry in found], [note] if others else []


def _same_id(patient: str) -> str:
    """Return what ids of one patient have in common.

    >>> _same_id("P007") == _same_id("p7"), _same_id("100") == _same_id("10")
    (True, False)
    """
    return re.sub(r"\d+", lambda digits: digits[0].lstrip("0") or "0", patient.strip().casefold())


def objects(values: Sequence[object]) -> NDArray[np.object_]:
    """Return (n,) object; np.array would turn arrays of one shape into one large array."""
    array = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):
        array[place] = value
    return array
