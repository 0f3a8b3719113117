"""Every image checked: what a source gave is either usable, or bad with a reason."""

import collections
import dataclasses
import pathlib
from collections.abc import Callable, Container, Hashable, Iterable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from apps.medical_imaging import readers
from apps.medical_imaging.readers import file_types, images
from shared import errors
from shared.sources import quarantine as bad_rows

_SHOWN = 5
_AT_ONCE = 64
_SHOWN_LETTERS = 300


class BadRow(NamedTuple):
    """An image that cannot be used, and why."""

    file: str
    row: int
    reason: str
    image: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Batch:
    """The usable entries of a source, the content hash of each, and its other rows."""

    source: readers.Source
    entries: list[readers.Entry]
    hashes: list[int]
    bad: list[BadRow]


# Tells of encoded JPEG and PNG files which of them the network's own graph can decode.
Decodes: TypeAlias = Callable[[Sequence[bytes]], Sequence[bool]]


def check(source: readers.Source, *, labelled: bool, decode: bool, decodes: Decodes | None = None) -> Batch:
    """Check every image of a source: its entry and its file.

    Args:
        source: The source.
        labelled: Whether an image needs a label.
        decode: Whether to decode each file, not only to look at its structure: slower, and finds more.
        decodes: The decoder that training uses: what it refuses is bad here, too. None: Pillow alone judges.
    """
    kept, hashes, bad = [], [], []
    for start in range(0, len(source.entries), _AT_ONCE):
        some = source.entries[start : start + _AT_ONCE]
        found = [problem(entry, labelled=labelled, decode=decode) for entry in some]
        refusals = _undecodable(some, found, decodes) if decode and decodes is not None else {}
        for place, (entry, (fault, digest)) in enumerate(zip(some, found, strict=True)):
            reason = fault or refusals.get(place, "")
            if reason:
                bad.append(refused(entry, reason))
            else:
                kept.append(entry)
                hashes.append(digest)
    return Batch(source=source, entries=kept, hashes=hashes, bad=bad)


def _undecodable(some: Sequence[readers.Entry], found: Sequence[tuple[str, int]], decodes: Decodes) -> dict[int, str]:
    """Return by place why the network's decoder cannot read a file that seemed whole."""
    read = {place: _encoded(entry) for place, entry in enumerate(some) if not found[place][0]}
    files = {place: content for place, content in read.items() if content is not None}
    if not files:
        return {}
    outcomes = zip(files.items(), decodes(list(files.values())), strict=True)
    return {place: file_types.undecodable(content) for (place, content), can in outcomes if not can}


def _encoded(entry: readers.Entry) -> bytes | None:
    """Return the content of a JPEG or PNG file; None for DICOM and arrays."""
    if not isinstance(entry.item, pathlib.Path):
        return None
    content = entry.item.read_bytes()
    return None if file_types.is_dicom(content) else content


def problem(entry: readers.Entry, *, labelled: bool, decode: bool) -> tuple[str, int]:
    """Say why an entry cannot be used, nothing for one that can; and return its content hash."""
    if entry.problem:
        return entry.problem, 0
    if labelled and entry.findings is None and readers.is_missing_label(entry.label):
        return "missing label", 0
    if isinstance(entry.item, pathlib.Path):
        try:
            content = entry.item.read_bytes()
            fault = file_types.damage(content) or (images.decoding_problem(content) if decode else "")
        except OSError as error:
            return f"cannot be read: {error.strerror}", 0
    else:
        fault = array_problem(entry.item)
    return fault, 0 if fault else images.content_hash(entry.recipe or entry.item)


def array_problem(array: np.ndarray) -> str:
    """Say why an array is no image: shape, type or range."""
    if array.ndim not in (2, 3) or not array.size or (array.ndim == 3 and array.shape[2] not in (1, 3)):
        return f"an array of shape {array.shape}, not (height, width) or (height, width, 1 or 3)"
    if array.dtype in (np.uint8, np.uint16):
        return ""
    if not np.issubdtype(array.dtype, np.floating):
        return f"an array of {array.dtype}, not uint8, uint16 or floats"
    if not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
        return "an array of floats that are not all within 0 and 1"
    return ""


def conflicts(batches: Iterable[Batch]) -> dict[tuple[str, int], BadRow]:
    """Return, by file and row, entries that contradict each other.

    That is the same content with another label, or the same file with another patient.
    """
    labelled_as: dict[int, dict[str, readers.Entry]] = collections.defaultdict(dict)
    whose: dict[Hashable, dict[str, readers.Entry]] = collections.defaultdict(dict)
    pairs = [(entry, digest) for batch in batches for entry, digest in zip(batch.entries, batch.hashes, strict=True)]
    for entry, digest in pairs:
        labelled_as[digest].setdefault(_label(entry), entry)
        if entry.patient:
            whose[_file(entry)].setdefault(entry.patient, entry)
    found = {}
    for entry, digest in pairs:
        labelled = {key: other for key, other in labelled_as[digest].items() if key != _label(entry)}
        owners = whose[_file(entry)] if len(whose[_file(entry)]) > 1 else {}
        owned = {key: other for key, other in owners.items() if key != entry.patient}
        other = next(iter([*labelled.values(), *owned.values()]), None)
        if other is not None:
            what = "label" if labelled else "patient"
            reason = f"the same image also occurs with another {what}, in {other.file}, row {other.row}"
            found[entry.file, entry.row] = refused(entry, reason)
    return found


def repeated(batches: Iterable[Batch]) -> set[tuple[str, int]]:
    """Return the file and row of entries that list a file once more for the same part.

    The first one stays, or the first that names the patient.
    """
    first: dict[tuple[Hashable, str], readers.Entry] = {}
    found = set()
    for entry in (entry for batch in batches for entry in batch.entries):
        key = _file(entry), entry.part
        before = first.setdefault(key, entry)
        if before is entry:
            continue
        if entry.patient and not before.patient:
            first[key] = entry
            found.add((before.file, before.row))
        else:
            found.add((entry.file, entry.row))
    return found


def _label(entry: readers.Entry) -> str:
    return readers.label_key(entry.label or "") if entry.findings is None else str(entry.findings)


def _file(entry: readers.Entry) -> Hashable:
    """Return the image file, or what names an array."""
    return entry.item if isinstance(entry.item, pathlib.Path) else (entry.file, entry.row)


def without(batches: Iterable[Batch], gone: Container[tuple[str, int]]) -> list[Batch]:
    """Return the batches without some entries, named by file and row."""
    found = []
    for batch in batches:
        kept = [number for number, entry in enumerate(batch.entries) if (entry.file, entry.row) not in gone]
        hashes = [batch.hashes[number] for number in kept]
        found.append(dataclasses.replace(batch, entries=[batch.entries[number] for number in kept], hashes=hashes))
    return found


def notes(batches: Iterable[Batch], *, quarantined: int, repeated: int) -> list[str]:
    """Say how many rows do not count, and why; and how many of those that do are copies."""
    found = []
    hashes = [digest for batch in batches for digest in batch.hashes]
    copies = len(hashes) - len(set(hashes))
    if copies:
        found.append(f"{copies:,} images hold the same content as another one, under a name of their own")
    if repeated:
        found.append(f"{repeated:,} rows list an image again with the same label: each image counts once")
    if quarantined:
        found.append(f"{quarantined} images could not be used and were set aside")
    return found


def refused(entry: readers.Entry, reason: str) -> BadRow:
    """Return an entry as a bad row; texts of its table are cut short."""
    shown = (readers.excerpt(text, letters=_SHOWN_LETTERS) for text in (reason, entry.name))
    return BadRow(entry.file, entry.row, *shown)


def settle(bad: Sequence[BadRow], *, kept: int, skip_bad: bool, quarantine: pathlib.Path | None) -> None:
    """Refuse bad images with one message, or write them to the quarantine file.

    Raises:
        errors.InputError: There are bad images and ``skip_bad`` is false, or nothing else is left.
    """
    if bad and not (skip_bad and kept):
        shown = "; ".join(f"{fault.file}, row {fault.row}: {fault.reason}{_of(fault)}" for fault in bad[:_SHOWN])
        more = f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
        advice = " --skip-bad sets such images aside." if kept else " No image is left to use."
        raise errors.InputError(
            f"{len(bad)} of {len(bad) + kept} images cannot be used.{advice} Expected in each row a whole JPEG, PNG "
            f"or DICOM image and one label. Received: {shown}{more}"
        )
    if not kept:
        raise errors.InputError("Expected at least one image. Received: none")
    if bad and quarantine is not None:
        with bad_rows.opened(BadRow._fields) as aside:
            for fault in bad:
                aside.add(fault)
            aside.write(quarantine)


def _of(fault: BadRow) -> str:
    """Name the image, where neither its file nor the reason does."""
    named = fault.image in fault.file or fault.image in fault.reason
    return "" if named or not fault.image else f" (image {fault.image})"
